// SPDX-License-Identifier: GPL-2.0-only
/*
 * The leases by which the kernel tells that the blocks of a file may move. Why
 * these, and what else it takes, stands at the top of file.c.
 */
#include <linux/delay.h>
#include <linux/file.h>
#include <linux/sched/signal.h>

#include "compat.h"
#include "file.h"
#include "lease.h"
#include "plant.h"

/* Tells the second lease from the first, which has the same open file. */
static void *bpio_lease_layout_owner(struct bpio_file *file)
{
	return &file->layout_lease;
}

/*
 * The lease is off the list already, or is taken off by the caller. Under the
 * spinlock that all leases of the inode are broken, changed and freed under.
 */
static void bpio_lease_forget_layout(struct file_lease *lease)
{
	struct bpio_file *file = container_of(bpio_compat_lease_owner(lease),
					      struct bpio_file, layout_lease);

	file->layout_lease = NULL;
}

/*
 * Let the layout lease go along with the other one. Some kernels take any lease
 * that is left for one that has to be waited for: an open that does not want to
 * wait, and one with O_TRUNC, would fail although nobody holds them up. The
 * layout lease was taken first, so it is none that the breaker is just looking
 * at or will look at next.
 */
static void bpio_lease_drop_layout(struct bpio_file *file)
{
	struct file_lease *lease = file->layout_lease;
	LIST_HEAD(dropped);

	if (!lease)
		return;
	bpio_lease_forget_layout(lease);
	lease_modify(lease, F_UNLCK, &dropped);
	bpio_compat_lease_free_dropped(lease);
}

/* May go at once: see bpio_file_revoke(). So no opener is ever held up. */
static bool bpio_lease_break(struct file_lease *lease)
{
	struct bpio_file *file = bpio_compat_lease_owner(lease);

	bpio_file_revoke(file);
	bpio_lease_drop_layout(file);
	return true;
}

static bool bpio_lease_break_layout(struct file_lease *lease)
{
	struct bpio_file *file = container_of(bpio_compat_lease_owner(lease),
					      struct bpio_file, layout_lease);

	/*
	 * Some kernels let the breaker look once a tick, as long as there is any
	 * other lease, whether one like this is left, and do not break one that
	 * was taken meanwhile: it would wait for as long as that is there. So none
	 * is taken for some time, and the worker need not try.
	 */
	WRITE_ONCE(file->layout_broken, jiffies);
	WRITE_ONCE(file->backoff, BPIO_FILE_BACKOFF_MAX);
	bpio_file_revoke(file);
	bpio_lease_forget_layout(lease);
	return true;
}

static int bpio_lease_change_layout(struct file_lease *lease, int type,
				    struct list_head *dispose)
{
	if (type == F_UNLCK)
		bpio_lease_forget_layout(lease);
	return lease_modify(lease, type, dispose);
}

static const struct lease_manager_operations bpio_lease_ops = {
	.lm_break	= bpio_lease_break,
	.lm_change	= lease_modify,
	BPIO_COMPAT_LEASE_OPEN_CONFLICT
};

static const struct lease_manager_operations bpio_lease_layout_ops = {
	.lm_break	= bpio_lease_break_layout,
	.lm_change	= bpio_lease_change_layout,
	BPIO_COMPAT_LEASE_OPEN_CONFLICT
};

/* Jiffies until a layout lease may be taken, see bpio_lease_break_layout(). */
static unsigned long bpio_lease_layout_delay(const struct bpio_file *file)
{
	unsigned long broken = READ_ONCE(file->layout_broken);
	unsigned long over = broken + BPIO_FILE_BACKOFF_MAX;
	unsigned long now = jiffies;

	return time_in_range_open(now, broken, over) ? over - now : 0;
}

/**
 * bpio_lease_await_breaker() - let go on whoever has broken the layout lease
 * @file: the file
 *
 * Until then bpio_lease_take() fails.
 *
 * Context: sleeps for BPIO_FILE_BACKOFF_MAX at most, interruptibly.
 */
void bpio_lease_await_breaker(const struct bpio_file *file)
{
	unsigned long delay = bpio_lease_layout_delay(file);

	if (delay)
		schedule_timeout_interruptible(delay);
}

static int bpio_lease_try_layout(struct bpio_file *file)
{
	struct file_lease *lease;
	int ret;

	if (bpio_lease_layout_delay(file))
		return -EAGAIN;

	lease = bpio_compat_lease_alloc(file->lease_file, FL_LAYOUT,
					bpio_lease_layout_owner(file),
					&bpio_lease_layout_ops);
	if (!lease)
		return -ENOMEM;

	/* Before it can be broken. */
	file->layout_lease = lease;
	ret = bpio_compat_setlease(file->lease_file, &lease);
	/* NULL when the VFS has taken it over. */
	if (lease) {
		file->layout_lease = NULL;
		bpio_compat_lease_free(lease);
	}
	return ret;
}

static int bpio_lease_try(struct bpio_file *file)
{
	struct file_lease *lease;
	int ret;

	lease = bpio_compat_lease_alloc(file->lease_file,
					bpio_plant(BPIO_PLANT_LEASE) ?
						FL_LEASE : FL_DELEG,
					file, &bpio_lease_ops);
	if (!lease)
		return -ENOMEM;

	ret = bpio_compat_setlease(file->lease_file, &lease);
	if (lease)
		bpio_compat_lease_free(lease);
	return ret;
}

/**
 * bpio_lease_take() - take the leases of a file
 * @file: the file, with its lease_file open and none of the leases held
 * @patience: how long to try, in jiffies
 *
 * The VFS grants a delegation only if it gets the inode lock at once, but every
 * read by the file system holds that lock. Those of enabled files are held off
 * meanwhile. A read that is stuck only makes the attempt fail.
 *
 * Context: sleeps; file->arm_lock held.
 * Return: whether all were granted. Else bpio_lease_drop() drops what was.
 */
bool bpio_lease_take(struct bpio_file *file, unsigned long patience)
{
	unsigned long deadline = jiffies + patience;
	int ret;

	lockdep_assert_held(&file->arm_lock);

	/*
	 * XFS gives blocks of a file to another one also on behalf of somebody who
	 * has it open read-only (FIDEDUPERANGE), and repairs it while it is in use.
	 * It breaks leases of the kind that pNFS uses for that, and no others.
	 * Taken first, see bpio_lease_drop_layout().
	 */
	if (bpio_file_is_xfs(file) && !bpio_plant(BPIO_PLANT_LAYOUT) &&
	    bpio_lease_try_layout(file))
		return false;

	WRITE_ONCE(file->arming, true);
	for (;;) {
		ret = bpio_lease_try(file);
		if (ret != -EAGAIN || inode_is_open_for_write(file->inode) ||
		    time_after(jiffies, deadline) || signal_pending(current))
			break;
		usleep_range(50, 200);
	}
	WRITE_ONCE(file->arming, false);
	wake_up_all(&file->arming_wait);
	return !ret;
}

/**
 * bpio_lease_drop() - give back the leases of a file
 * @file: the file
 *
 * Those that were broken are gone already; then this finds nothing. When it
 * returns nobody can come to @file by way of a lease.
 *
 * Context: may sleep; file->arm_lock held.
 */
void bpio_lease_drop(struct bpio_file *file)
{
	lockdep_assert_held(&file->arm_lock);

	if (!file->lease_file)
		return;
	bpio_compat_unlease(file->lease_file, file);
	if (bpio_file_is_xfs(file))
		bpio_compat_unlease(file->lease_file,
				    bpio_lease_layout_owner(file));
}

/**
 * bpio_lease_hold_off() - hold off a read by the file system
 * @file: the file, while it is arming
 *
 * Context: sleeps for BPIO_LEASE_BY_REQUEST at most.
 */
void bpio_lease_hold_off(struct bpio_file *file)
{
	wait_event_timeout(file->arming_wait, !READ_ONCE(file->arming),
			   BPIO_LEASE_BY_REQUEST);
}
