// SPDX-License-Identifier: GPL-2.0-only
/*
 * Per-inode state: when the blocks of a file may be read without its file system.
 *
 * A file is armed when its extent map is published and nothing can have moved
 * its blocks since the map was made. Three things together ensure that:
 *
 * 1. A read lease of the kind that delegations use (FL_DELEG). The VFS breaks it
 *    before every open for writing and every truncation. That includes
 *    open(O_RDONLY | O_TRUNC), which breaks no ordinary lease. Breaking it sets
 *    BPIO_FILE_REVOKED.
 * 2. i_writecount, checked after the lease is in place, because such a lease is
 *    granted even while the file is open for writing. It counts descriptors, shared
 *    writable mappings and asynchronous writes in flight. An opener cannot be
 *    missed: it raises the count and then looks for leases; arming inserts the lease
 *    and then reads the count; both have a full barrier in between. On XFS a second
 *    lease (FL_LAYOUT) is broken where it moves blocks without a writer.
 * 3. i_dio_count, which each direct read raises before it checks the state. The file
 *    system waits until it is zero, under the inode lock, before it frees or moves a
 *    block. So a read either sees BPIO_FILE_REVOKED, or has ended before its blocks
 *    may belong to another file. See bpio_direct_begin().
 *
 * Reads that overlap keep i_dio_count above zero. A task that waits for zero must not
 * wait for ever. If the task has broken a lease, REVOKED keeps new reads from raising
 * the count. These waiters, in 6.1, 6.12, 7.2 and 7.3, break no lease:
 *
 * - ext4_ioctl_setflags() when a file becomes immutable, and
 *   ext4_change_inode_journal_flag() when the journalling of its data is switched
 *   on or off;
 * - xchk_setup_inode_bmap() of XFS, when a file is only checked and not repaired;
 * - xfs_free_eofblocks(), when XFS frees the blocks it has preallocated behind the
 *   end of a file: at close, in a worker every five minutes, for
 *   XFS_IOC_FREE_EOFBLOCKS, and when space is short;
 * - inode_drain_writes() for swapon(2), which has the file open for writing, so
 *   that there is no lease.
 *
 * All waiters, these and those that break a lease, hold the inode lock exclusively from
 * before they read the count until it is zero. So a read that finds the lock held
 * exclusively does not raise the count. It falls back to the file system, where it
 * waits for the lock like any other read. The waiter then waits only for reads in
 * flight, and for at most one read of each task that has already passed this check.
 *
 * Level: file.
 */
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/memcontrol.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uio.h>

#include "compat.h"
#include "event.h"
#include "extent.h"
#include "file.h"
#include "file_map.h"
#include "lease.h"
#include "open_file.h"
#include "plant.h"
#include "probe.h"
#include "trace.h"
#include "volume.h"

#define BPIO_FILE_BACKOFF_MIN	(HZ / 50)

static struct workqueue_struct *bpio_file_wq;

/**
 * bpio_file_refuse() - check whether the inode permits bypass
 * @inode: an inode of a file system that takes part
 *
 * Context: any.
 * Return: the reason why not, or BPIO_REASON_NONE.
 */
enum bpio_reason bpio_file_refuse(const struct inode *inode)
{
	if (IS_VERITY(inode))
		return BPIO_REASON_VERITY;
	if (IS_ENCRYPTED(inode))
		return BPIO_REASON_ENCRYPTED;
	if (IS_DAX(inode))
		return BPIO_REASON_DAX;
	if (IS_SWAPFILE(inode))
		return BPIO_REASON_SWAP_FILE;
	return BPIO_REASON_NONE;
}

/**
 * bpio_file_ask() - check whether the file system still serves reads
 * @filp: an open file of it, in any mode
 *
 * A file system that was shut down (by its administrator, after an error, or because
 * its device is gone) fails all reads. The shutdown breaks no lease, and its flag is
 * private to the file system. So send a read of zero bytes: ext4 and XFS check the flag
 * first in each read, and take no lock for this one.
 *
 * Context: process context; does not wait.
 * Return: BPIO_REASON_NONE or BPIO_REASON_SHUT_DOWN.
 */
enum bpio_reason bpio_file_ask(struct file *filp)
{
	struct iov_iter nothing;
	struct kiocb kiocb;

	init_sync_kiocb(&kiocb, filp);
	/* Because XFS takes a lock in buffered reads. */
	kiocb.ki_flags |= IOCB_DIRECT;
	iov_iter_kvec(&nothing, ITER_DEST, NULL, 0, 0);
	/* Not filp->f_op: the lease file is opened with O_PATH. */
	return file_inode(filp)->i_fop->read_iter(&kiocb, &nothing) ?
	       BPIO_REASON_SHUT_DOWN : BPIO_REASON_NONE;
}

/*
 * A lease of the file is being broken: the map may become invalid.
 *
 * The barrier pairs with the one in bpio_direct_begin(): after it, either the
 * direct read sees REVOKED, or the breaker sees the read in i_dio_count and waits
 * for it. So this function need not wait.
 *
 * Context: a spinlock of the VFS is held.
 */
static void bpio_file_revoke(struct bpio_file *file)
{
	if (bpio_plant(BPIO_PLANT_REVOKE))
		return;
	set_bit(BPIO_FILE_REVOKED, &file->state);
	/* Pairs with the barrier in bpio_direct_begin(), see above. */
	smp_mb__after_atomic();

	atomic64_inc(&file->revokes);
	trace_bpio_revoke(file);
	queue_delayed_work(bpio_file_wq, &file->arm_work,
			   READ_ONCE(file->backoff));
}

static int bpio_file_open(struct bpio_file *file)
{
	struct bpio_volume *volume = file->volume;
	struct bpio_open_file *of;
	struct file *lease_file;
	const struct cred *cred;
	struct path path;

	lockdep_assert_held(&file->arm_lock);

	if (file->lease_file)
		return 0;

	mutex_lock(&volume->lock);
	of = list_first_entry_or_null(&file->opens, struct bpio_open_file,
				      node);
	if (of) {
		path = of->filp->f_path;
		path_get(&path);
		cred = get_cred(of->filp->f_cred);
	}
	mutex_unlock(&volume->lock);
	if (!of)
		return -ENOENT;

	/*
	 * The lease needs a separate struct file, because a close of the user's file
	 * would drop it. O_PATH hides this open from watches (fanotify), from holders
	 * of leases, and from i_readcount.
	 */
	lease_file = dentry_open(&path, O_PATH | O_NOATIME, cred);
	path_put(&path);
	put_cred(cred);
	if (IS_ERR(lease_file))
		return PTR_ERR(lease_file);
	file->lease_file = lease_file;
	return 0;
}

/*
 * Drop the map and the leases. Direct reads in flight may continue: they hold
 * i_dio_count and, if they need the map again, a reference to it.
 */
static void bpio_file_disarm(struct bpio_file *file, enum bpio_reason why)
{
	struct bpio_extent_map *map;

	lockdep_assert_held(&file->arm_lock);

	WRITE_ONCE(file->why, why);
	set_bit(BPIO_FILE_UNARMED, &file->state);
	/*
	 * Before the lease is dropped: a task that then finds no lease must see, in
	 * i_dio_count, the reads that have missed the bit. Pairs with
	 * bpio_direct_begin().
	 */
	smp_mb__after_atomic();
	map = rcu_replace_pointer(file->map, NULL,
				  lockdep_is_held(&file->arm_lock));
	bpio_extent_map_put(map);

	bpio_lease_drop(file);
}

static bool bpio_file_is_open_only_off(struct bpio_file *file,
				       const struct vfsmount *mnt)
{
	struct bpio_open_file *of;
	bool off;

	mutex_lock(&file->volume->lock);
	/*
	 * Without an open file, leave it to the last close, which drops the lease file
	 * synchronously; if a worker did, the following umount would find the mount
	 * busy.
	 */
	off = !list_empty(&file->opens);
	list_for_each_entry(of, &file->opens, node)
		off &= of->filp->f_path.mnt != mnt;
	mutex_unlock(&file->volume->lock);
	return off;
}

/*
 * Whether no open file is left on the mount of the lease file. The open file that it
 * got its path from may be closed while others, on another mount, remain. The lease
 * file must not keep the first mount busy for long.
 */
static bool bpio_file_must_leave_mount(struct bpio_file *file)
{
	lockdep_assert_held(&file->arm_lock);

	return file->lease_file &&
	       bpio_file_is_open_only_off(file, file->lease_file->f_path.mnt);
}

/*
 * With the lease in place, make the checks that the lease does not cover, then build
 * the map. A writer may have changed nothing, but the old map is never reused: all
 * that a module can compare (times, i_version, size, number of blocks) stays the same
 * when blocks are moved without a change of data, as by EXT4_IOC_MOVE_EXT.
 */
static enum bpio_reason bpio_file_map_leased(struct bpio_file *file)
{
	struct inode *inode = file->inode;
	enum bpio_reason reason;

	/* Pairs with the barrier between raising the count and break_lease(). */
	smp_mb();
	if (inode_is_open_for_write(inode) && !bpio_plant(BPIO_PLANT_WRITERS))
		return BPIO_REASON_WRITER;
	if (filemap_write_and_wait(inode->i_mapping))
		return BPIO_REASON_DIRTY_PAGES;

	file->no_probe = !bpio_probe_suits(file);
	file->map_jumps = 0;
	reason = bpio_file_map_step(file);
	if (reason)
		return reason;

	WRITE_ONCE(file->armed_at, jiffies);
	/* Publish the map before the bit that allows readers to use it. */
	clear_bit_unlock(BPIO_FILE_UNARMED, &file->state);
	return BPIO_REASON_NONE;
}

static enum bpio_reason bpio_file_try_arm(struct bpio_file *file)
{
	enum bpio_reason reason;

	if (!READ_ONCE(file->enabled))
		return BPIO_REASON_DISABLED;
	reason = bpio_file_refuse(file->inode);
	if (reason)
		return reason;
	if (inode_is_open_for_write(file->inode) &&
	    !bpio_plant(BPIO_PLANT_WRITERS))
		return BPIO_REASON_WRITER;
	if (bpio_file_open(file))
		return BPIO_REASON_LEASE;
	reason = bpio_file_ask(file->lease_file);
	if (reason)
		return reason;
	if (bpio_file_map_is_realtime(file))
		return BPIO_REASON_REALTIME;

	/*
	 * UNARMED is set, so no read goes direct yet. The broken lease has been
	 * removed, or is being removed under flc_lock, which taking the next one also
	 * needs; so only the new lease can set REVOKED.
	 */
	clear_bit(BPIO_FILE_REVOKED, &file->state);
	if (!bpio_lease_take(file))
		return BPIO_REASON_LEASE;
	return bpio_file_map_leased(file);
}

/*
 * Double the delay until the next attempt, unless the file was armed for long enough
 * to be worth the work.
 */
static void bpio_file_back_off(struct bpio_file *file)
{
	bool armed = !test_bit(BPIO_FILE_UNARMED, &file->state);
	unsigned long backoff = READ_ONCE(file->backoff) * 2;

	lockdep_assert_held(&file->arm_lock);

	if (armed && time_after(jiffies, file->armed_at + BPIO_FILE_BACKOFF_MAX))
		backoff = BPIO_FILE_BACKOFF_MIN;
	/* Only the first attempt has no delay. */
	WRITE_ONCE(file->backoff, clamp_t(unsigned long, backoff,
					  BPIO_FILE_BACKOFF_MIN,
					  BPIO_FILE_BACKOFF_MAX));
}

static void bpio_file_arm_locked(struct bpio_file *file)
{
	bool leave = bpio_file_must_leave_mount(file);
	enum bpio_reason reason = READ_ONCE(file->why);

	lockdep_assert_held(&file->arm_lock);

	if (!leave && !bpio_file_wants_arming(file) && READ_ONCE(file->enabled)) {
		if (bpio_file_map_may_grow(file))
			bpio_file_map_step(file);
		return;
	}

	bpio_file_back_off(file);
	if (!test_bit(BPIO_FILE_UNARMED, &file->state)) {
		reason = BPIO_REASON_REVOKED;
		bpio_event_file(BPIO_EVENT_REVOKE, file->volume->dev,
				file->inode->i_ino, reason);
	}
	/* Until the file is armed, reads are counted under the old reason. */
	bpio_file_disarm(file, reason);
	if (leave) {
		fput(file->lease_file);
		file->lease_file = NULL;
	}
	reason = bpio_file_try_arm(file);
	trace_bpio_arm(file, reason);
	if (reason) {
		bpio_file_disarm(file, reason);
		return;
	}
	bpio_event_file(BPIO_EVENT_ARM, file->volume->dev, file->inode->i_ino,
			BPIO_REASON_NONE);
}

static void bpio_file_arm_work(struct work_struct *work)
{
	struct bpio_file *file = container_of(to_delayed_work(work),
					      struct bpio_file, arm_work);
	struct mem_cgroup *old;

	/* Maps are charged to the user who enabled the file. */
	old = set_active_memcg(file->memcg);
	mutex_lock(&file->arm_lock);
	WRITE_ONCE(file->runs_begun, file->runs_begun + 1);
	/* Pairs with the barrier in bpio_file_arm(). */
	smp_mb();
	bpio_file_arm_locked(file);
	WRITE_ONCE(file->runs_ended, file->runs_begun);
	mutex_unlock(&file->arm_lock);
	set_active_memcg(old);
	wake_up_all(&file->arming_wait);
}

/**
 * bpio_file_arm() - arm a file now
 * @file: the file; the caller keeps one of its open files open
 *
 * Queues the worker and waits for it. The probes are not sent from the caller,
 * because they would be accounted, and throttled, as its reads.
 *
 * Context: process context, sleeps until file-system I/O is done: not from an ioctl
 * of the mapped device.
 * Return: 0, also when the file could not be armed, see bpio_file_reason(); -EINTR.
 */
int bpio_file_arm(struct bpio_file *file)
{
	unsigned int run;

	if (!bpio_file_wants_arming(file))
		return 0;
	bpio_lease_await(file);
	/*
	 * A run of the worker that has already begun may have missed what the caller
	 * has just changed. A run that begins later sees it. Pairs with
	 * bpio_file_arm_work().
	 */
	smp_mb();
	run = READ_ONCE(file->runs_begun) + 1;
	mod_delayed_work(bpio_file_wq, &file->arm_work, 0);
	if (wait_event_interruptible(file->arming_wait,
				     (int)(READ_ONCE(file->runs_ended) - run) >= 0))
		return -EINTR;
	return bpio_file_wants_arming(file) && signal_pending(current) ?
	       -EINTR : 0;
}

/**
 * bpio_file_queue() - queue the worker, unless it is already queued
 * @file: the file
 *
 * Context: any.
 */
void bpio_file_queue(struct bpio_file *file)
{
	queue_delayed_work(bpio_file_wq, &file->arm_work,
			   READ_ONCE(file->backoff));
}

/**
 * bpio_file_want() - note a read that fell back because the map lacks its range
 * @file: the file
 * @pos: offset of the read, in bytes
 * @count: length of the read, in bytes
 *
 * Context: any.
 */
void bpio_file_want(struct bpio_file *file, loff_t pos, size_t count)
{
	loff_t last = min_t(loff_t, pos + count, i_size_read(file->inode)) - 1;
	struct bpio_extent_map *map;

	rcu_read_lock();
	map = rcu_dereference(file->map);
	if (map && bpio_extent_map_knows(map, pos))
		pos = last;
	rcu_read_unlock();
	WRITE_ONCE(file->want, pos);
	if (!delayed_work_pending(&file->arm_work))
		queue_delayed_work(bpio_file_wq, &file->arm_work, 0);
}

/**
 * bpio_file_open_closed() - one open file of several was closed
 * @file: the file
 *
 * Queues the worker, which drops the resources held for that open file.
 *
 * Context: any.
 */
void bpio_file_open_closed(struct bpio_file *file)
{
	queue_delayed_work(bpio_file_wq, &file->arm_work, 0);
}

/**
 * bpio_file_describe() - size of the map
 * @file: the file
 * @extents: number of extents, out
 * @mapped: bytes they cover, out
 *
 * Context: any.
 */
void bpio_file_describe(struct bpio_file *file, u64 *extents, u64 *mapped)
{
	struct bpio_extent_map *map;

	rcu_read_lock();
	map = rcu_dereference(file->map);
	*extents = map ? map->nr : 0;
	*mapped = map ? map->mapped : 0;
	rcu_read_unlock();
}

/**
 * bpio_file_create() - allocate the state of an inode
 * @volume: the volume it is on
 * @inode: the inode; the caller keeps it pinned until bpio_file_destroy()
 *
 * Context: may sleep.
 * Return: the file, unarmed and without open files, or NULL without memory.
 */
struct bpio_file *bpio_file_create(struct bpio_volume *volume,
				   struct inode *inode)
{
	struct bpio_file *file = kzalloc(sizeof(*file), GFP_KERNEL_ACCOUNT);

	if (!file)
		return NULL;

	file->state = BIT(BPIO_FILE_UNARMED);
	file->why = BPIO_REASON_NOT_ARMED;
	file->inode = inode;
	file->volume = volume;
	file->armed_at = jiffies;
	mutex_init(&file->arm_lock);
	init_waitqueue_head(&file->arming_wait);
	INIT_DELAYED_WORK(&file->arm_work, bpio_file_arm_work);
	INIT_LIST_HEAD(&file->opens);
	bpio_volume_hold(volume);
	file->memcg = get_mem_cgroup_from_mm(current->mm);
	bpio_lease_init_file(file);
	return file;
}

/**
 * bpio_file_free() - undo bpio_file_create() for a file that was not used
 * @file: a file that never had an open file
 *
 * Context: any that may take a mutex.
 */
void bpio_file_free(struct bpio_file *file)
{
	bpio_lease_exit_file(file);
	mem_cgroup_put(file->memcg);
	bpio_volume_put(file->volume);
	mutex_destroy(&file->arm_lock);
	kfree(file);
}

/**
 * bpio_file_destroy() - free the state of an inode
 * @file: the file; the caller has removed its last open file and still pins the
 *	inode
 *
 * Contexts that may still use @file when this is called, and why each ends:
 *
 * - Reads: none. A read holds a reference to the struct file it reads, and the
 *   last of these is gone.
 * - New open files: none. The caller has erased the file from the volume's index
 *   under volume->lock.
 * - A task that breaks the lease: it holds a spinlock of the VFS, and
 *   bpio_file_disarm() removes the lease under the same lock. Afterwards no lease
 *   refers to @file.
 * - A task that takes a lease: its notifier finds @file in the table of lease.c,
 *   under bpio_lease_lock. bpio_file_free() removes it from there; by then @leased
 *   is clear, so the notifier does not queue the worker.
 * - The worker: it may be running, or be queued by such a break. The first cancel
 *   waits for a run that began before @enabled was zero and may have taken a lease; a
 *   run that begins later takes none. The second cancel comes when the lease is gone,
 *   so nothing can queue the worker again: a break between the two has done so under
 *   a lock that was also needed to drop the lease.
 * - RCU readers of the map: it is freed after a grace period.
 *
 * Context: sleeps, may wait for a worker that does file-system I/O; process
 * context, so that the final fput() is done before the caller returns to user
 * space and the file system can be unmounted then.
 */
void bpio_file_destroy(struct bpio_file *file)
{
	/* A worker that is mapping the file stops when it sees this. */
	WRITE_ONCE(file->enabled, 0);
	cancel_delayed_work_sync(&file->arm_work);

	mutex_lock(&file->arm_lock);
	bpio_file_disarm(file, BPIO_REASON_DISABLED);
	mutex_unlock(&file->arm_lock);
	if (test_bit(BPIO_FILE_REVOKED, &file->state))
		cancel_delayed_work_sync(&file->arm_work);
	bpio_event_forget_file(file->volume->dev, file->inode->i_ino);

	if (file->lease_file)
		fput(file->lease_file);
	bpio_file_free(file);
}

static void bpio_file_destroy_work(struct work_struct *work)
{
	struct bpio_file *file = container_of(work, struct bpio_file,
					      destroy_work);
	struct path path = file->destroy_path;

	bpio_file_destroy(file);
	path_put(&path);
}

/**
 * bpio_file_destroy_later() - call bpio_file_destroy() from a worker
 * @file: the file
 * @path: of the last open file, which may be freed when this returns
 *
 * For a close by a kernel thread. A single worker of the kernel does all such closes of
 * the system, so it must not wait for I/O of a volume that may be suspended.
 *
 * Context: any that may sleep.
 */
void bpio_file_destroy_later(struct bpio_file *file, const struct path *path)
{
	path_get(path);
	file->destroy_path = *path;
	INIT_WORK(&file->destroy_work, bpio_file_destroy_work);
	queue_work(bpio_file_wq, &file->destroy_work);
}

/**
 * bpio_file_init() - create the workqueue, and register the lease notifier
 *
 * Return: 0 or -ENOMEM.
 */
int bpio_file_init(void)
{
	int ret;

	bpio_file_wq = alloc_workqueue("bpio_arm", WQ_UNBOUND, 0);
	if (!bpio_file_wq)
		return -ENOMEM;
	ret = bpio_lease_init(bpio_file_revoke);
	if (ret)
		destroy_workqueue(bpio_file_wq);
	return ret;
}

/**
 * bpio_file_exit() - undo bpio_file_init()
 */
void bpio_file_exit(void)
{
	bpio_lease_exit();
	destroy_workqueue(bpio_file_wq);
}
