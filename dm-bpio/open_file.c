// SPDX-License-Identifier: GPL-2.0-only
/*
 * Open files with BypassIO enabled, from ENABLE to the release.
 *
 * ENABLE replaces the file operations (f_op) of the open file, a struct file, by a copy
 * of those of its file system, with a few members that point here. The program keeps
 * its descriptor, and all other operations go to the file system as before. Why this
 * is safe while other tasks use the same struct file:
 *
 * - Publication. The copy is complete before smp_store_release() makes it
 *   visible. A load of f_op returns one table or the other, because an aligned
 *   pointer is loaded in one piece, and reaches the copy by an address dependency.
 *   KCSAN reports a race of this marked store with the plain loads of the VFS;
 *   bpio_open_file_publish() is not inlined, so that this one report can be
 *   filtered.
 * - Two consistent tables. The VFS may load f_op twice, for a check and for the
 *   call. No member that is set in the original is NULL in the copy, and members that
 *   differ handle a call in flight as the original does. So it does not matter which
 *   of the tables a load finds. Nothing in the kernel compares the
 *   f_op of a regular file that is open read-only: XFS does so for swapext and
 *   exchange-range, which require files open for writing.
 * - Lifetime. The copy stays in place while the file is open: DISABLE only sets a
 *   flag. It is part of struct bpio_open_file, which the release hook frees. The
 *   VFS calls that hook once, when the last reference to the struct file is gone,
 *   so no other call can be running and none can follow. Asynchronous reads hold a
 *   reference until they have completed.
 * - Modules. After the release hook, fops_put() in __fput() drops the module
 *   reference of the table in f_op. The copy has this module as its owner and takes
 *   a reference when it is published. The release hook itself drops the reference
 *   to the file system's module, and leaves f_op pointing to a static table of this
 *   module. So it is the core kernel that drops the reference to this module, after
 *   the last instruction of this module; from then on the module may be unloaded.
 *
 * Level: open file.
 */
#include <linux/compat.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "bypass.h"
#include "direct.h"
#include "file.h"
#include "kernel_pause.h"
#include "open_file.h"
#include "read.h"
#include "stack.h"
#include "tally.h"
#include "trace.h"

static const struct file_operations bpio_released_fops = {
	.owner	= THIS_MODULE,
};

/* Notify the stack that an open file is no longer enabled. */
static void bpio_open_file_notify_disabled(struct bpio_volume *volume,
					   struct inode *inode)
{
	struct bpio_results ignored;

	lockdep_assert_held(&volume->drain_lock);

	/* Without a live table there is no stack to notify. */
	if (volume->table)
		bpio_stack_query_file(volume, inode, FS_BPIO_OP_DISABLE,
				      &ignored);
	bpio_bypass_update_locked(volume);
}

static void bpio_open_file_set_enabled(struct bpio_open_file *of)
{
	struct bpio_file *file = of->file;

	lockdep_assert_held(&file->volume->lock);

	WRITE_ONCE(of->disabled, false);
	WRITE_ONCE(file->enabled, file->enabled + 1);
	file->volume->active++;
	trace_bpio_enable(of);
}

/* Return: whether it was enabled. */
static bool bpio_open_file_set_disabled(struct bpio_open_file *of)
{
	struct bpio_file *file = of->file;

	lockdep_assert_held(&file->volume->lock);

	if (of->disabled)
		return false;

	WRITE_ONCE(of->disabled, true);
	WRITE_ONCE(file->enabled, file->enabled - 1);
	file->volume->active--;
	trace_bpio_disable(of);
	return true;
}

static void bpio_open_file_free(struct bpio_open_file *of)
{
	free_percpu(of->stats);
	kfree(of);
}

/* Remove an open file from its file. Return: whether it was the last one. */
static bool bpio_open_file_forget(struct bpio_open_file *of)
{
	struct bpio_file *file = of->file;
	struct bpio_volume *volume = file->volume;
	bool was_enabled, last_of_file;

	lockdep_assert_held(&volume->drain_lock);

	mutex_lock(&volume->lock);
	was_enabled = bpio_open_file_set_disabled(of);
	list_del(&of->node);
	last_of_file = list_empty(&file->opens);
	if (last_of_file)
		bpio_volume_forget(volume, file);
	else
		bpio_file_open_closed(file);
	mutex_unlock(&volume->lock);

	if (was_enabled || of->untold)
		bpio_open_file_notify_disabled(volume, file_inode(of->filp));
	return last_of_file;
}

/*
 * The last close, after all reads have ended. The struct file still pins the
 * inode and the mount, which bpio_file_destroy() needs.
 */
static void bpio_open_file_destroy(struct bpio_open_file *of)
{
	struct bpio_file *file = of->file;
	struct bpio_volume *volume = file->volume;
	bool last_of_file;
	unsigned int noio;

	bpio_volume_hold(volume);
	noio = bpio_bypass_lock(volume);
	last_of_file = bpio_open_file_forget(of);
	bpio_bypass_unlock(volume, noio);
	bpio_volume_put(volume);

	bpio_tally_remove(of);
	if (!last_of_file)
		return;
	if (current->flags & PF_KTHREAD)
		bpio_file_destroy_later(file, &of->filp->f_path);
	else
		bpio_file_destroy(file);
}

static int bpio_open_file_release(struct inode *inode, struct file *filp)
{
	struct bpio_open_file *of = bpio_open_file_of(filp);
	const struct file_operations *orig = of->orig;
	int ret = 0;

	bpio_open_file_destroy(of);
	if (orig->release)
		ret = orig->release(inode, filp);

	/* __fput() does not do this any more; see "Modules" above. */
	fops_put(orig);
	WRITE_ONCE(filp->f_op, &bpio_released_fops);
	bpio_open_file_free(of);
	return ret;
}

static long bpio_open_file_ioctl(struct file *filp, unsigned int cmd,
				 unsigned long arg)
{
	struct bpio_open_file *of = bpio_open_file_of(filp);
	long ret = bpio_open_file_control(of, cmd, (void __user *)arg);

	if (ret != -ENOIOCTLCMD)
		return ret;
	return of->orig->unlocked_ioctl ?
	       of->orig->unlocked_ioctl(filp, cmd, arg) : ret;
}

#ifdef CONFIG_COMPAT
static long bpio_open_file_compat_ioctl(struct file *filp, unsigned int cmd,
					unsigned long arg)
{
	struct bpio_open_file *of = bpio_open_file_of(filp);
	long ret = bpio_open_file_control(of, cmd, compat_ptr(arg));

	if (ret != -ENOIOCTLCMD)
		return ret;
	return of->orig->compat_ioctl ?
	       of->orig->compat_ioctl(filp, cmd, arg) : ret;
}
#endif

static void bpio_open_file_show_fdinfo(struct seq_file *m, struct file *filp)
{
	struct bpio_open_file *of = bpio_open_file_of(filp);

	if (of->orig->show_fdinfo)
		of->orig->show_fdinfo(m, filp);
	bpio_open_file_show(of, m);
}

static void bpio_open_file_init_fops(struct bpio_open_file *of)
{
	of->orig = of->filp->f_op;
	of->fops = *of->orig;
	of->fops.owner = THIS_MODULE;
	of->fops.read_iter = bpio_read_iter;
	of->fops.unlocked_ioctl = bpio_open_file_ioctl;
#ifdef CONFIG_COMPAT
	of->fops.compat_ioctl = bpio_open_file_compat_ioctl;
#endif
	of->fops.show_fdinfo = bpio_open_file_show_fdinfo;
	of->fops.release = bpio_open_file_release;
}

/* Not inlined, see "Publication" above: the VFS reads f_op with plain loads. */
static noinline void bpio_open_file_publish(struct bpio_open_file *of)
{
	__module_get(THIS_MODULE);
	/* Pairs with the address dependency of calls through f_op. */
	smp_store_release(&of->filp->f_op, &of->fops);
}

/**
 * bpio_open_file_find() - find the object of an open file
 * @filp: any open file, to which the caller has a reference
 *
 * Context: any.
 * Return: the object, which lives as long as @filp, or NULL when BypassIO was
 * never enabled for it.
 */
struct bpio_open_file *bpio_open_file_find(struct file *filp)
{
	const struct file_operations *fops = READ_ONCE(filp->f_op);

	return fops->read_iter == bpio_read_iter ?
	       container_of(fops, struct bpio_open_file, fops) : NULL;
}

/* Keep an enabled open file cheap; kmalloc() rounds the size up. */
static_assert(sizeof(struct bpio_open_file) <= 1024);

static struct bpio_open_file *bpio_open_file_alloc(struct file *filp)
{
	struct bpio_open_file *of = kzalloc(sizeof(*of), GFP_KERNEL_ACCOUNT);

	if (!of)
		return NULL;
	of->stats = alloc_percpu_gfp(struct bpio_open_file_stats,
				     GFP_KERNEL_ACCOUNT);
	if (!of->stats) {
		kfree(of);
		return NULL;
	}
	of->filp = filp;
	of->accessed_at = jiffies - 1;
	return of;
}

/*
 * Find or create the state of an inode. The caller adds the first open file to a new
 * one before it drops volume->lock, or removes and frees it.
 * Return: the file, or NULL without memory.
 */
static struct bpio_file *bpio_open_file_inode(struct bpio_volume *volume,
					      struct inode *inode)
{
	struct bpio_file *file;

	lockdep_assert_held(&volume->drain_lock);

	file = bpio_volume_find_file(volume, inode);
	if (file)
		return file;

	file = bpio_file_create(volume, inode);
	if (!file)
		return NULL;
	if (xa_err(xa_store(&volume->files, inode->i_ino, file, GFP_KERNEL))) {
		bpio_file_free(file);
		return NULL;
	}
	if (bpio_kernel_pause_holds(volume, inode))
		set_bit(BPIO_FILE_KERNEL_PAUSED, &file->state);
	return file;
}

static struct bpio_open_file *bpio_open_file_create(struct bpio_volume *volume,
						    struct file *filp)
{
	struct bpio_open_file *of = bpio_open_file_alloc(filp);

	if (!of)
		return NULL;

	mutex_lock(&volume->lock);
	of->file = bpio_open_file_inode(volume, file_inode(filp));
	if (of->file) {
		list_add_tail(&of->node, &of->file->opens);
		bpio_open_file_set_enabled(of);
	}
	mutex_unlock(&volume->lock);

	if (!of->file) {
		bpio_open_file_free(of);
		return NULL;
	}
	return of;
}

static int bpio_open_file_enable_new(struct bpio_volume *volume,
				     struct file *filp,
				     struct bpio_tally_ctx *tally)
{
	struct bpio_open_file *of = bpio_open_file_create(volume, filp);

	lockdep_assert_held(&volume->drain_lock);

	if (!of) {
		bpio_open_file_notify_disabled(volume, file_inode(filp));
		return -ENOMEM;
	}
	bpio_tally_add(tally, of);
	bpio_open_file_init_fops(of);
	bpio_open_file_publish(of);
	return 0;
}

static int bpio_open_file_enable_locked(struct bpio_volume *volume,
					struct file *filp,
					struct bpio_tally_ctx *tally,
					struct bpio_results *veto)
{
	struct bpio_open_file *of = bpio_open_file_find(filp);
	int ret = 0;

	lockdep_assert_held(&volume->drain_lock);

	if (of && !READ_ONCE(of->disabled))
		return 0;
	if (!bpio_stack_query_file(volume, file_inode(filp), FS_BPIO_OP_ENABLE,
				   veto))
		return -EOPNOTSUPP;

	if (of) {
		of->untold = false;
		mutex_lock(&volume->lock);
		bpio_open_file_set_enabled(of);
		mutex_unlock(&volume->lock);
	} else {
		ret = bpio_open_file_enable_new(volume, filp, tally);
	}
	if (!ret)
		bpio_bypass_update_locked(volume);
	return ret;
}

/**
 * bpio_open_file_enable() - enable BypassIO for an open file
 * @volume: the volume the file is on; its target is live
 * @filp: the open file; the caller has checked that it may be bypassed, and has a
 *	reference
 * @tally: the tally of an open file that was never enabled before; may be NULL
 * @out: support and verdict are written
 *
 * Implements FS_BPIO_OP_ENABLE. Ignored if the open file is already enabled.
 *
 * Context: may sleep, up to BPIO_BYPASS_ANSWER while reads of an earlier route have
 * not ended; does no file-system I/O, because it does not arm the file.
 * Return: 0, -EOPNOTSUPP when a layer vetoed the file (with the veto in @out),
 * -ENOMEM.
 */
int bpio_open_file_enable(struct bpio_volume *volume, struct file *filp,
			  struct bpio_tally_ctx *tally,
			  struct fs_bpio_output *out)
{
	unsigned int noio;
	int ret;

	noio = bpio_bypass_lock(volume);
	ret = bpio_open_file_enable_locked(volume, filp, tally, &out->enable);
	bpio_bypass_unlock(volume, noio);
	if (ret)
		return ret;

	if (!rcu_access_pointer(volume->route))
		bpio_bypass_settle(volume, BPIO_BYPASS_ANSWER);
	noio = bpio_bypass_lock(volume);
	out->support = bpio_bypass_verdict(volume, &out->enable);
	bpio_bypass_unlock(volume, noio);
	return 0;
}

/*
 * Notify the stack, unless the open file was enabled again. Return: the ticket to wait
 * for.
 */
static unsigned long bpio_open_file_tell_disabled(struct bpio_open_file *of)
{
	struct bpio_volume *volume = of->file->volume;

	lockdep_assert_held(&volume->drain_lock);

	if (of->untold)
		bpio_open_file_notify_disabled(volume, of->file->inode);
	of->untold = false;
	return volume->drain.begun;
}

/**
 * bpio_open_file_disable() - disable BypassIO for an open file
 * @volume: the volume
 * @filp: the open file, to which the caller has a reference
 *
 * Implements FS_BPIO_OP_DISABLE: ignored when not enabled or on another volume. When
 * it returns, direct reads have drained and the layers were notified.
 *
 * Context: sleeps until direct reads in flight have ended; no lock held.
 * Return: 0, or -EINTR when the task was killed meanwhile. The open file is then
 * disabled, and the layers are notified when it is closed, after its reads have ended.
 */
int bpio_open_file_disable(struct bpio_volume *volume, struct file *filp)
{
	struct bpio_open_file *of = bpio_open_file_find(filp);
	unsigned long ticket = 0;
	unsigned int noio;
	bool was_enabled;

	if (!of || of->file->volume != volume)
		return 0;

	noio = bpio_bypass_lock(volume);
	mutex_lock(&volume->lock);
	was_enabled = bpio_open_file_set_disabled(of);
	mutex_unlock(&volume->lock);
	if (was_enabled) {
		of->untold = true;
		ticket = bpio_bypass_drain_locked(volume);
		bpio_file_kick(of->file);
	}
	bpio_bypass_unlock(volume, noio);

	if (!was_enabled)
		return 0;
	if (bpio_bypass_wait(volume, ticket)) {
		bpio_bypass_update_later(volume);
		return -EINTR;
	}

	noio = bpio_bypass_lock(volume);
	ticket = bpio_open_file_tell_disabled(of);
	bpio_bypass_unlock(volume, noio);
	return bpio_bypass_wait(volume, ticket);
}
