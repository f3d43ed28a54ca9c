// SPDX-License-Identifier: GPL-2.0-only
/*
 * The leases whose break tells the module that the blocks of a file may move. The top
 * of file.c explains why leases of these kinds are used, and what else is needed.
 *
 * Why not with the inode lock. The VFS grants a delegation only if inode_trylock()
 * succeeds. An O_DIRECT read by the file system holds that lock shared throughout, so
 * three readers of a slow device never leave it free. Waiting for the lock does not
 * help: readers queue behind the waiter, and get the lock before the VFS calls
 * inode_trylock(). So the lease is inserted as FL_LAYOUT, which needs neither the lock
 * nor a check of counts, and lm_setup turns it into a delegation. lm_setup runs under
 * the spinlock under which the lease was inserted. All tasks that look at leases take
 * that lock, so none of them sees the lease as FL_LAYOUT.
 *
 * Why the VFS takes the inode lock: an operation that holds it exclusively looks for
 * delegations once, and must not miss one that is granted afterwards. Instead,
 * bpio_lease_take() inserts the leases, then takes the lock shared and drops it at
 * once. That waits for the operations that may have looked too early; all later ones
 * find the leases. It does not wait for readers, nor do they wait for it. The map is
 * made afterwards.
 *
 * Other holders. A lease or delegation of another holder (a program with F_SETLEASE,
 * Samba, nfsd) must be granted, kept and broken as if the module had none. Beside a
 * lease of the module, that would fail:
 *
 * - An F_WRLCK lease is granted only if there is no other lease.
 * - Up to 6.12, a breaker that must not wait gets EWOULDBLOCK when any lease is
 *   left, even one that it need not break. It would break ours, find the other one,
 *   and fail. This concerns open(O_RDONLY | O_TRUNC), which breaks delegations only,
 *   and changes of attributes for a file system above (overlayfs, ecryptfs) or for a
 *   client (ksmbd, nfsd), which cannot wait for a delegation.
 *
 * So the module takes no lease while another holder has one. When another is requested,
 * the VFS announces it before granting it: bpio_lease_notify() then drops ours, and the
 * module takes none until the announced one has had time to appear (@yielded).
 * bpio_lease_lock serialises the two, so that an attempt to take a lease comes either
 * before an announcement, which then finds our leases, or after it.
 *
 * The module does not learn when the announced lease is granted. If it takes longer
 * than that time, both exist. Then bpio_lease_steps_aside() tells the next breaker, of
 * any kind, that ours does not conflict: it revokes the file as lm_break would, and
 * the worker removes our lease later. The breaker proceeds with the other leases as if
 * ours did not exist.
 *
 * Level: file.
 */
#include <linux/file.h>
#include <linux/hashtable.h>
#include <linux/notifier.h>
#include <linux/sched/mm.h>

#include "compat.h"
#include "file.h"
#include "lease.h"
#include "plant.h"

#define BPIO_LEASE_HASH_BITS	10

static void (*bpio_lease_on_break)(struct bpio_file *file);

/*
 * Protects the table of files by inode, and bpio_file.leased. It is global, so nothing
 * under it waits for I/O. Taken after arm_lock and volume->lock; the VFS's locks for
 * leases nest inside.
 */
static DEFINE_MUTEX(bpio_lease_lock);
static DEFINE_HASHTABLE(bpio_lease_files, BPIO_LEASE_HASH_BITS);

/* The owner distinguishes the layout lease from the delegation on the same file. */
static void *bpio_lease_layout_owner(struct bpio_file *file)
{
	return &file->layout_lease;
}

static struct bpio_file *bpio_lease_layout_file(struct file_lease *lease)
{
	return container_of(bpio_compat_lease_owner(lease), struct bpio_file,
			    layout_lease);
}

/*
 * The lease is already off the list, or the caller removes it. Context: holds the
 * spinlock under which all leases of the inode are broken, changed and freed.
 */
static void bpio_lease_forget_layout(struct file_lease *lease)
{
	bpio_lease_layout_file(lease)->layout_lease = NULL;
}

/*
 * Drop the layout lease together with the delegation. On some kernels a breaker waits
 * for any lease that is left, so an open with O_NONBLOCK or O_TRUNC would fail without
 * need. The layout lease was taken first, so the breaker, which walks the list, has
 * already passed it, and it may be removed.
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

/* Take no lease for some time, and delay the worker accordingly. */
static void bpio_lease_hold_off(struct bpio_file *file)
{
	WRITE_ONCE(file->yielded, jiffies);
	WRITE_ONCE(file->backoff, BPIO_FILE_BACKOFF_MAX);
}

/* The lease may be removed at once, see bpio_file_revoke(), so no opener waits. */
static bool bpio_lease_break(struct file_lease *lease)
{
	struct bpio_file *file = bpio_compat_lease_owner(lease);

	bpio_lease_on_break(file);
	bpio_lease_drop_layout(file);
	return true;
}

static bool bpio_lease_break_layout(struct file_lease *lease)
{
	struct bpio_file *file = bpio_lease_layout_file(lease);

	/*
	 * On some kernels the breaker polls every tick while any other lease remains,
	 * and does not break a newly taken one, so it could wait for as long as that
	 * exists. Take none for a while.
	 */
	bpio_lease_hold_off(file);
	bpio_lease_on_break(file);
	bpio_lease_forget_layout(lease);
	return true;
}

static bool bpio_lease_is_foreign(const struct file_lease *lease)
{
	return lease->fl_lmops->lm_break != bpio_lease_break &&
	       lease->fl_lmops->lm_break != bpio_lease_break_layout;
}

static bool bpio_lease_find_foreign(struct file_lock_context *context)
{
	struct file_lease *lease;

	lockdep_assert_held(&context->flc_lock);

	bpio_compat_for_each_lease(lease, context)
		if (bpio_lease_is_foreign(lease))
			return true;
	return false;
}

static bool bpio_lease_has_foreign(const struct bpio_file *file)
{
	struct file_lock_context *context = locks_inode_context(file->inode);
	bool found;

	if (!context)
		return false;
	spin_lock(&context->flc_lock);
	found = bpio_lease_find_foreign(context);
	spin_unlock(&context->flc_lock);
	return found;
}

/* Return: whether the breaker must ignore our lease, as if it were its own. */
static bool bpio_lease_step_aside(struct bpio_file *file)
{
	if (!bpio_lease_find_foreign(locks_inode_context(file->inode)))
		return false;
	/* The same breaker calls this more than once. */
	if (!test_bit(BPIO_FILE_REVOKED, &file->state))
		bpio_lease_on_break(file);
	return true;
}

static bool bpio_lease_steps_aside(struct file_lease *lease)
{
	return bpio_lease_step_aside(bpio_compat_lease_owner(lease));
}

static bool bpio_lease_steps_aside_layout(struct file_lease *lease)
{
	return bpio_lease_step_aside(bpio_lease_layout_file(lease));
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
	.lm_setup		= bpio_lease_setup,
	.lm_break		= bpio_lease_break,
	.lm_change		= lease_modify,
	.lm_breaker_owns_lease	= bpio_lease_steps_aside,
	BPIO_COMPAT_LEASE_OPEN_CONFLICT
};

static const struct lease_manager_operations bpio_lease_layout_ops = {
	.lm_break		= bpio_lease_break_layout,
	.lm_change		= bpio_lease_change_layout,
	.lm_breaker_owns_lease	= bpio_lease_steps_aside_layout,
	BPIO_COMPAT_LEASE_OPEN_CONFLICT
};

/* Jiffies until leases may be taken, see bpio_lease_hold_off(). */
static unsigned long bpio_lease_delay(const struct bpio_file *file)
{
	unsigned long yielded = READ_ONCE(file->yielded);
	unsigned long over = yielded + BPIO_FILE_BACKOFF_MAX;
	unsigned long now = jiffies;

	return time_in_range_open(now, yielded, over) ? over - now : 0;
}

/**
 * bpio_lease_await() - wait until leases may be taken again
 * @file: the file
 *
 * Until then bpio_lease_take() fails, so that no task that breaks or takes a lease
 * finds a new one of ours.
 *
 * Context: sleeps for BPIO_FILE_BACKOFF_MAX at most, interruptibly.
 */
void bpio_lease_await(const struct bpio_file *file)
{
	unsigned long delay = bpio_lease_delay(file);

	if (delay)
		schedule_timeout_interruptible(delay);
}

static int bpio_lease_try_layout(struct bpio_file *file)
{
	struct file_lease *lease;
	int ret;

	lease = bpio_compat_lease_alloc(file->lease_file,
					bpio_lease_layout_owner(file),
					&bpio_lease_layout_ops);
	if (!lease)
		return -ENOMEM;

	/* Set before the lease can be broken. */
	file->layout_lease = lease;
	ret = bpio_compat_setlease(file->lease_file, &lease);
	/* NULL if the VFS has taken it over. */
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

static int bpio_lease_take_locked(struct bpio_file *file)
{
	int ret;

	lockdep_assert_held(&bpio_lease_lock);

	if (bpio_lease_delay(file) || bpio_lease_has_foreign(file))
		return -EAGAIN;

	file->leased = true;
	/*
	 * XFS can replace blocks of a file that is only open read-only
	 * (FIDEDUPERANGE), and repairs files online. Before that it breaks layout
	 * leases, the kind that pNFS uses, and no others. Taken first, see
	 * bpio_lease_drop_layout().
	 */
	if (bpio_file_is_xfs(file) && !bpio_plant(BPIO_PLANT_LAYOUT)) {
		ret = bpio_lease_try_layout(file);
		if (ret)
			return ret;
	}
	return bpio_lease_try(file);
}

/* Allocate without I/O under the lock: reclaim would make its holder wait for I/O. */
static unsigned int bpio_lease_lock_noio(void)
{
	unsigned int noio = memalloc_noio_save();

	mutex_lock(&bpio_lease_lock);
	return noio;
}

static void bpio_lease_unlock_noio(unsigned int noio)
{
	mutex_unlock(&bpio_lease_lock);
	memalloc_noio_restore(noio);
}

/**
 * bpio_lease_take() - take the leases of a file
 * @file: the file, with its lease_file open and none of the leases held
 *
 * Context: sleeps, waits for an exclusive holder of the inode lock; file->arm_lock
 * held.
 * Return: whether all were granted; if not, call bpio_lease_drop() for those that were.
 */
bool bpio_lease_take(struct bpio_file *file)
{
	unsigned int noio;
	int ret;

	lockdep_assert_held(&file->arm_lock);

	noio = bpio_lease_lock_noio();
	ret = bpio_lease_take_locked(file);
	bpio_lease_unlock_noio(noio);
	if (ret)
		return false;

	/* See the top of this file. */
	inode_lock_shared(file->inode);
	inode_unlock_shared(file->inode);
	return true;
}

static void bpio_lease_drop_locked(struct bpio_file *file)
{
	lockdep_assert_held(&bpio_lease_lock);

	if (!file->leased)
		return;
	bpio_compat_unlease(file->lease_file, file);
	if (bpio_file_is_xfs(file))
		bpio_compat_unlease(file->lease_file,
				    bpio_lease_layout_owner(file));
	file->leased = false;
}

/**
 * bpio_lease_drop() - give back the leases of a file
 * @file: the file
 *
 * Broken leases are already gone. When this returns, no lease refers to @file.
 *
 * Context: may sleep; file->arm_lock held.
 */
void bpio_lease_drop(struct bpio_file *file)
{
	unsigned int noio;

	lockdep_assert_held(&file->arm_lock);

	noio = bpio_lease_lock_noio();
	bpio_lease_drop_locked(file);
	bpio_lease_unlock_noio(noio);
}

static struct bpio_file *bpio_lease_find_file(const struct inode *inode)
{
	struct bpio_file *file;

	lockdep_assert_held(&bpio_lease_lock);

	hash_for_each_possible(bpio_lease_files, file, lease_node,
			       (unsigned long)inode)
		if (file->inode == inode)
			return file;
	return NULL;
}

/*
 * Drop our leases in favour of another holder. REVOKED is set first, as in
 * bpio_file_disarm(): a task that then finds no lease must see, in i_dio_count, the
 * reads that have missed the bit.
 */
static void bpio_lease_yield(struct bpio_file *file)
{
	bpio_lease_hold_off(file);
	if (!file->leased)
		return;
	if (!test_bit(BPIO_FILE_REVOKED, &file->state))
		bpio_lease_on_break(file);
	bpio_lease_drop_locked(file);
}

static int bpio_lease_notify(struct notifier_block *block, unsigned long type,
			     void *data)
{
	struct file *filp = bpio_compat_lease_file(data);
	struct bpio_file *file;
	unsigned int noio;

	if (!bpio_compat_may_lease(filp))
		return NOTIFY_DONE;

	noio = bpio_lease_lock_noio();
	file = bpio_lease_find_file(file_inode(filp));
	if (file)
		bpio_lease_yield(file);
	bpio_lease_unlock_noio(noio);
	return NOTIFY_DONE;
}

/* Called after all other notifiers, because they may take long. */
static struct notifier_block bpio_lease_notifier = {
	.notifier_call	= bpio_lease_notify,
	.priority	= INT_MIN,
};

/**
 * bpio_lease_init_file() - watch for leases on a file
 * @file: the file, with its inode
 *
 * Context: may sleep.
 */
void bpio_lease_init_file(struct bpio_file *file)
{
	file->yielded = jiffies - BPIO_FILE_BACKOFF_MAX;
	mutex_lock(&bpio_lease_lock);
	hash_add(bpio_lease_files, &file->lease_node,
		 (unsigned long)file->inode);
	mutex_unlock(&bpio_lease_lock);
}

/**
 * bpio_lease_exit_file() - undo bpio_lease_init_file()
 * @file: the file, without leases
 *
 * Context: may sleep.
 */
void bpio_lease_exit_file(struct bpio_file *file)
{
	WARN_ON(file->leased);
	mutex_lock(&bpio_lease_lock);
	hash_del(&file->lease_node);
	mutex_unlock(&bpio_lease_lock);
}

/**
 * bpio_lease_init() - register the lease notifier
 * @on_break: called under a spinlock of the VFS when a lease of a file is broken
 *
 * Return: 0 or a negative errno.
 */
int bpio_lease_init(void (*on_break)(struct bpio_file *file))
{
	bpio_lease_on_break = on_break;
	return lease_register_notifier(&bpio_lease_notifier);
}

/**
 * bpio_lease_exit() - undo bpio_lease_init()
 */
void bpio_lease_exit(void)
{
	lease_unregister_notifier(&bpio_lease_notifier);
}
