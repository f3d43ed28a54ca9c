// SPDX-License-Identifier: GPL-2.0-only
/*
 * The leases by which the kernel tells that the blocks of a file may move. Why
 * these, and what else it takes, stands at the top of file.c.
 *
 * No inode lock. The VFS grants a delegation only if inode_trylock() succeeds,
 * which an O_DIRECT read by the file system prevents for as long as it takes: it
 * holds the lock shared. Three readers of a slow device never leave it free, and
 * waiting for the lock first does not help: it goes to the readers that queued
 * meanwhile before the trylock. So the lease is inserted as one of a kind that
 * asks for no lock and no count (FL_LAYOUT), and lm_setup turns it into a
 * delegation. That runs under the spinlock under which the lease was inserted and
 * all others look at it, so nobody ever sees the first kind.
 *
 * What the VFS takes the lock for: an operation that holds it exclusively looks
 * for delegations once and then goes on, and must not miss one that is granted in
 * between. Here bpio_lease_take() takes the lock shared when the leases are in
 * place and drops it at once. That waits for the operations that may have looked
 * too early; all later ones find the leases. It waits for no reader, and none
 * waits for it. The map is made afterwards.
 */
#include <linux/file.h>

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

static void bpio_lease_setup(struct file_lease *lease, void **priv)
{
	bpio_compat_lease_set_kind(lease, bpio_plant(BPIO_PLANT_LEASE) ?
						  FL_LEASE : FL_DELEG);
}

static const struct lease_manager_operations bpio_lease_ops = {
	.lm_setup	= bpio_lease_setup,
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

	lease = bpio_compat_lease_alloc(file->lease_file,
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

	lease = bpio_compat_lease_alloc(file->lease_file, file, &bpio_lease_ops);
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
 *
 * Context: sleeps, waits for who holds the inode lock exclusively;
 * file->arm_lock held.
 * Return: whether all were granted. Else bpio_lease_drop() drops what was.
 */
bool bpio_lease_take(struct bpio_file *file)
{
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
	if (bpio_lease_try(file))
		return false;

	/* See the top of this file. */
	inode_lock_shared(file->inode);
	inode_unlock_shared(file->inode);
	return true;
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
