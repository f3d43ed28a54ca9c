// SPDX-License-Identifier: GPL-2.0-only
/*
 * Common parts of direct reads: fill bios with the reader's memory, wait for them, and
 * handle reads whose memory cannot be pinned.
 *
 * Level: read.
 */
#include <linux/bio.h>
#include <linux/pagemap.h>

#include "compat.h"
#include "direct.h"
#include "fallback.h"

/**
 * bpio_direct_wake() - end bpio_direct_sleep()
 * @waiter: the sleeping task; must not be touched once cleared
 *
 * Context: any.
 */
void bpio_direct_wake(struct task_struct **waiter)
{
	struct task_struct *task = *waiter;

	/*
	 * If the task is not asleep yet, it continues as soon as it sees the store,
	 * and may exit. Disabled preemption keeps it from being freed before the wakeup,
	 * as rcu_read_lock() would, at lower cost.
	 */
	preempt_disable();
	/* Pairs with bpio_direct_sleep(): all stores of the read come before this. */
	smp_store_release(waiter, NULL);
	blk_wake_io_task(task);
	preempt_enable();
}

/**
 * bpio_direct_sleep() - wait for the completion of a read
 * @waiter: the current task, until bpio_direct_wake() makes it NULL
 *
 * Context: sleeps, uninterruptibly, as for any I/O.
 */
void bpio_direct_sleep(struct task_struct **waiter)
{
	/* Pairs with bpio_direct_wake(). */
	if (!smp_load_acquire(waiter))
		return;
	/* The completion may run in a thread that waits for this CPU. */
	cond_resched();
	for (;;) {
		set_current_state(TASK_UNINTERRUPTIBLE);
		/* As above. */
		if (!smp_load_acquire(waiter))
			break;
		bpio_compat_io_schedule();
	}
	__set_current_state(TASK_RUNNING);
}

/**
 * bpio_direct_fill() - add as many pages of the reader to a bio as fit
 * @direct: the read
 * @bio: the bio
 * @to: the reader's memory; advanced
 * @part: the bio may be full before it has all of @to
 *
 * No page is faulted in: that may take forever (the memory may be backed by user space,
 * or by a suspended device), while the reference to the route blocks all changes of
 * the stack. If the lockless walk of the page tables fails, this takes the mmap lock,
 * which another thread of the same process may hold while it maps something.
 *
 * Peer memory, which belongs to another PCI device, goes into a bio only if every
 * device of the route can transfer to it, so that a read of several bios does not fail
 * half-way. The driver finds out whether the two devices can reach each other, and
 * fails the bio if not. Only user memory is checked, because bio_vecs of the kernel
 * contain no peer memory: io_uring cannot register it, and nvmet uses it with block
 * devices only. The file system does not check bio_vecs either.
 *
 * Context: process context.
 * Return: 0; -EFAULT when a page is not present, -EREMOTEIO when a page is peer memory
 * and cannot be used; then @to and @bio are unchanged.
 */
int bpio_direct_fill(const struct bpio_direct *direct, struct bio *bio,
		     struct iov_iter *to, bool part)
{
	unsigned int block = bdev_logical_block_size(bio->bi_bdev);
	size_t count = iov_iter_count(to);
	size_t size;
	int ret;

	to->nofault = true;
	ret = bpio_compat_bio_fill(bio, to, direct->route->peer_memory);
	to->nofault = false;
	size = bio->bi_iter.bi_size;
	if (likely(!ret && size == count))
		return 0;
	/*
	 * Cut a full bio to whole blocks. The removed part is shorter than a block, and
	 * each removed vector has at least a sector.
	 */
	if (!ret && part &&
	    bio->bi_max_vecs - bio->bi_vcnt < block >> SECTOR_SHIFT)
		return 0;

	if (!ret || size) {
		bio_release_pages(bio, false);
		iov_iter_revert(to, size);
		bio->bi_iter.bi_size = 0;
		bio->bi_vcnt = 0;
	}
	return ret ? ret : -EFAULT;
}

/**
 * bpio_direct_unfilled() - continue a read whose memory could not be used
 * @direct: the read; no bio of it was submitted
 * @iocb: the caller's
 * @to: the caller's
 * @error: the return value of bpio_direct_fill()
 *
 * Context: as read_iter; neither i_dio_count nor the route is held any more.
 * Return: as read_iter; -EFAULT if the caller should fault the memory in and retry.
 */
ssize_t bpio_direct_unfilled(const struct bpio_direct *direct, struct kiocb *iocb,
			     struct iov_iter *to, int error)
{
	switch (error) {
	case -EREMOTEIO:
		return bpio_fallback_read(direct->of, iocb, to,
					  BPIO_REASON_PEER_MEMORY);
	case -ENOMEM:
		return bpio_fallback_read(direct->of, iocb, to,
					  BPIO_REASON_NO_MEMORY);
	default:
		return error;
	}
}
