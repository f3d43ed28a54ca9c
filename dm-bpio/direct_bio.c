// SPDX-License-Identifier: GPL-2.0-only
/*
 * What all direct reads share: filling bios with the reader's memory, waiting for
 * them, and reads whose memory cannot be pinned.
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
	 * Not asleep yet, it goes on from the store, and may exit. Without preemption
	 * it is not freed before it was woken, as under rcu_read_lock(), and cheaper.
	 */
	preempt_disable();
	/* Pairs with bpio_direct_sleep(): the read has ended before. */
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
	/* What completes it may be a thread that waits for this processor. */
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
 * bpio_direct_fill() - give a bio as many pages of the reader as it takes
 * @direct: the read
 * @bio: the bio
 * @to: where the reader wants the bytes; advanced
 * @part: it may be full before it has all of @to
 *
 * No page is faulted in, because that may take for ever (the memory may be
 * served by user space, or by a device that is suspended) while a reference to
 * the route holds up everybody who changes the stack. The lock of the reader's
 * address space may have to be waited for, when the page tables do not tell: as
 * long as another thread of the same process takes to map something.
 *
 * Peer memory, which is that of another PCI device, goes into a bio only when
 * every device of the route can transfer to it. Then a read that needs several
 * bios does not stop half-way. The driver finds out whether the two devices reach
 * each other, and fails the bio if not. Only user memory is looked at: nobody who
 * brings vectors of the kernel's has peer memory in them, because io_uring cannot
 * register it and nvmet uses it with block devices only, and the file system, too,
 * takes vectors as they are.
 *
 * Context: process context.
 * Return: 0; -EFAULT when a page is not there, -EREMOTEIO when one is of peer
 * memory and cannot be used, with @to and @bio as before.
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
	 * A full bio is cut to whole blocks. The cut is shorter than a block, and each
	 * vector that it removes has at least a sector.
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
 * bpio_direct_unfilled() - go on with a read whose memory could not be used
 * @direct: the read; nothing of it was submitted
 * @iocb: as the caller gave it
 * @to: likewise
 * @error: what bpio_direct_fill() has returned
 *
 * Context: as read_iter; neither i_dio_count nor the route is held any more.
 * Return: as read_iter, with -EFAULT when it may help to fault the memory in.
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
