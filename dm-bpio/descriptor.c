// SPDX-License-Identifier: GPL-2.0-only
/*
 * The descriptor of a bypass handle, which ENABLE returns.
 *
 * To programs it is a read-only regular file with the size and identity of the
 * file it stands for. It is a regular file, with an inode of its own, also
 * because io_uring repeats reads that would have had to wait only for these.
 */
#include <linux/file.h>
#include <linux/fsnotify.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pseudo_fs.h>
#include <linux/seq_file.h>
#include <linux/uaccess.h>

#include "bypass.h"
#include "compat.h"
#include "descriptor.h"
#include "direct.h"
#include "fallback.h"
#include "file.h"
#include "handle.h"
#include "reason.h"

/* "BPIO" */
#define BPIO_DESCRIPTOR_FS_MAGIC	0x4250494f

/* Mounted while there are handles, so that it does not keep the module loaded. */
static struct vfsmount *bpio_descriptor_mnt;
static int bpio_descriptor_mnt_count;

/*
 * A page may go again once the first bios are on their way: a fork() by another
 * thread takes away the right to write to all of them for a moment. O_DIRECT on
 * the file would not end there, so the file system brings the rest. A read that
 * was repeated and came out short has used up more of @to than it returned.
 */
static ssize_t bpio_descriptor_read_rest(struct bpio_handle *handle,
					 struct kiocb *iocb, struct iov_iter *to,
					 size_t count, ssize_t done)
{
	ssize_t ret;

	if (!iov_iter_count(to) || iov_iter_count(to) != count - done ||
	    iocb->ki_pos >= i_size_read(handle->file->inode))
		return done;

	bpio_fallback_count(handle, iocb->ki_pos, iov_iter_count(to),
			    BPIO_REASON_NO_MEMORY);
	/* Its completion would not know of the part that is there. */
	ret = bpio_fallback_read_sync(handle, iocb->ki_pos, to);
	if (ret <= 0)
		return done;
	iocb->ki_pos += ret;
	return done + ret;
}

/* The memory was not there: have it brought, with nothing held. */
static noinline ssize_t bpio_descriptor_read_again(struct bpio_handle *handle,
						   struct kiocb *iocb,
						   struct iov_iter *to)
{
	size_t count = iov_iter_count(to);
	ssize_t ret = -EFAULT;

	if (fault_in_iov_iter_writeable(to, count) < count)
		ret = bpio_direct_read(handle, iocb, to, true);
	if (ret > 0)
		ret = bpio_descriptor_read_rest(handle, iocb, to, count, ret);
	/* It went again, or only part of it can be had. */
	if (ret == -EFAULT)
		ret = bpio_fallback_read(handle, iocb, to,
					 BPIO_REASON_NO_MEMORY);
	return ret;
}

static ssize_t bpio_descriptor_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct bpio_handle *handle = iocb->ki_filp->private_data;
	struct file *user_file = handle->user_file;
	size_t count = iov_iter_count(to);
	ssize_t ret;

	if (!count)
		return 0;

	/* May this process read that file still? As read(2) would ask. */
	ret = rw_verify_area(READ, user_file, &iocb->ki_pos, count);
	if (ret)
		return ret;

	ret = bpio_direct_read(handle, iocb, to, false);
	if (unlikely(ret == -EFAULT))
		ret = bpio_descriptor_read_again(handle, iocb, to);

	if (ret > 0 || ret == -EIOCBQUEUED)
		fsnotify_access(user_file);
	return ret;
}

/*
 * The inode may outlive the handle: a descriptor opened with O_PATH through
 * /proc holds the one and not the other. So its pointer is good only under the
 * lock under which the release clears it.
 */
static bool bpio_descriptor_get_path(struct inode *inode, struct path *path)
{
	struct bpio_handle *handle;

	spin_lock(&inode->i_lock);
	handle = inode->i_private;
	if (handle) {
		*path = handle->user_file->f_path;
		path_get(path);
	}
	spin_unlock(&inode->i_lock);
	return handle;
}

/* Size and identity are those of the file, so programs see no difference. */
static int bpio_descriptor_getattr(BPIO_COMPAT_IDMAP_PARAM const struct path *path,
				   struct kstat *stat, u32 mask,
				   unsigned int flags)
{
	struct path user_path;
	int ret;

	if (!bpio_descriptor_get_path(d_inode(path->dentry), &user_path))
		return -ESTALE;
	/* The security module was asked about the handle; it has to see the file. */
	ret = vfs_getattr(&user_path, stat, mask, flags & AT_STATX_SYNC_TYPE);
	path_put(&user_path);
	return ret;
}

/* A change here would be lost with the handle: the file itself has to be asked. */
static int bpio_descriptor_setattr(BPIO_COMPAT_IDMAP_PARAM struct dentry *dentry,
				   struct iattr *attr)
{
	return -EPERM;
}

static loff_t bpio_descriptor_llseek(struct file *filp, loff_t offset, int whence)
{
	struct bpio_handle *handle = filp->private_data;
	struct inode *inode = handle->file->inode;

	return generic_file_llseek_size(filp, offset, whence,
					inode->i_sb->s_maxbytes,
					i_size_read(inode));
}

static int bpio_descriptor_ioctl_arm(struct bpio_handle *handle,
				     struct bpio_handle_arm __user *uarm)
{
	struct bpio_file *file = handle->file;
	struct bpio_handle_arm arm;
	int ret;

	if (copy_from_user(&arm, uarm, sizeof(arm)))
		return -EFAULT;
	if (arm.size != sizeof(arm) || arm.flags)
		return -EINVAL;

	if (!READ_ONCE(handle->disabled)) {
		ret = bpio_file_arm(file);
		if (ret)
			return ret;
	}

	arm.reason = bpio_direct_obstacle(handle);
	arm.armed = !arm.reason;
	bpio_file_describe(file, &arm.extents, &arm.mapped_bytes);
	return copy_to_user(uarm, &arm, sizeof(arm)) ? -EFAULT : 0;
}

static void bpio_descriptor_fill_info(struct bpio_handle *handle,
				      struct bpio_handle_info *info)
{
	struct bpio_file *file = handle->file;
	struct bpio_counters sum = {};
	unsigned int reason;
	int cpu;

	bpio_handle_count(handle, &sum);
	info->direct_reads = sum.direct_reads;
	info->direct_bytes = sum.direct_bytes;
	info->fallback_reads = sum.fallback_reads;
	info->fallback_bytes = sum.fallback_bytes;
	for_each_possible_cpu(cpu) {
		u64 *reasons = per_cpu_ptr(handle->stats, cpu)->reasons;

		for (reason = 0; reason < BPIO_REASON_COUNT; reason++)
			info->fallback_reason[reason] += READ_ONCE(reasons[reason]);
	}

	info->reason = bpio_direct_obstacle(handle);
	info->armed = !info->reason;
	info->support = bpio_bypass_support(file->volume, NULL);
	info->volume_major = MAJOR(file->volume->dev);
	info->volume_minor = MINOR(file->volume->dev);
	info->revokes = atomic64_read(&file->revokes);
	bpio_file_describe(file, &info->extents, &info->mapped_bytes);
}

static int bpio_descriptor_ioctl_info(struct bpio_handle *handle,
				      struct bpio_handle_info __user *uinfo)
{
	struct bpio_handle_info info = { .size = sizeof(info) };
	u32 head[2];

	if (copy_from_user(head, uinfo, sizeof(head)))
		return -EFAULT;
	if (head[0] != sizeof(info) || head[1])
		return -EINVAL;

	bpio_descriptor_fill_info(handle, &info);
	return copy_to_user(uinfo, &info, sizeof(info)) ? -EFAULT : 0;
}

static long bpio_descriptor_ioctl(struct file *filp, unsigned int cmd,
				  unsigned long arg)
{
	struct bpio_handle *handle = filp->private_data;
	void __user *argp = (void __user *)arg;

	switch (cmd) {
	case BPIO_IOC_HANDLE_ARM:
		return bpio_descriptor_ioctl_arm(handle, argp);
	case BPIO_IOC_HANDLE_INFO:
		return bpio_descriptor_ioctl_info(handle, argp);
	default:
		return -ENOTTY;
	}
}

static void bpio_descriptor_show_fdinfo(struct seq_file *m, struct file *filp)
{
	struct bpio_handle *handle = filp->private_data;
	enum bpio_reason reason = bpio_direct_obstacle(handle);
	struct bpio_counters sum = {};

	bpio_handle_count(handle, &sum);
	seq_printf(m, "bpio-volume:\t%s\n", handle->file->volume->name);
	seq_printf(m, "bpio-armed:\t%s\n",
		   reason ? bpio_reason_text(reason) : "yes");
	seq_printf(m, "bpio-direct:\t%llu reads %llu bytes\n",
		   sum.direct_reads, sum.direct_bytes);
	seq_printf(m, "bpio-fallback:\t%llu reads %llu bytes\n",
		   sum.fallback_reads, sum.fallback_bytes);
}

/*
 * A lock on the handle would exclude nobody who locks the file. Programs are to
 * lock the file itself.
 */
static int bpio_descriptor_lock(struct file *filp, int cmd, struct file_lock *lock)
{
	return -EOPNOTSUPP;
}

static int bpio_descriptor_release(struct inode *inode, struct file *filp)
{
	spin_lock(&inode->i_lock);
	inode->i_private = NULL;
	spin_unlock(&inode->i_lock);

	bpio_handle_put(filp->private_data);
	simple_release_fs(&bpio_descriptor_mnt, &bpio_descriptor_mnt_count);
	return 0;
}

static const struct file_operations bpio_descriptor_fops = {
	.owner		= THIS_MODULE,
	.read_iter	= bpio_descriptor_read_iter,
	.iopoll		= iocb_bio_iopoll,
	.splice_read	= BPIO_COMPAT_SPLICE_READ,
	.llseek		= bpio_descriptor_llseek,
	.unlocked_ioctl	= bpio_descriptor_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
	.lock		= bpio_descriptor_lock,
	.flock		= bpio_descriptor_lock,
	.show_fdinfo	= bpio_descriptor_show_fdinfo,
	.release	= bpio_descriptor_release,
};

static const struct inode_operations bpio_descriptor_iops = {
	.getattr	= bpio_descriptor_getattr,
	.setattr	= bpio_descriptor_setattr,
};

/**
 * bpio_descriptor_handle() - the handle that a struct file stands for
 * @file: any open file
 *
 * Return: the handle, alive as long as @file, or NULL.
 */
struct bpio_handle *bpio_descriptor_handle(struct file *file)
{
	return file->f_op == &bpio_descriptor_fops ? file->private_data : NULL;
}

static int bpio_descriptor_init_fs_context(struct fs_context *fc)
{
	return init_pseudo(fc, BPIO_DESCRIPTOR_FS_MAGIC) ? 0 : -ENOMEM;
}

static struct file_system_type bpio_descriptor_fs_type = {
	.name			= "bpio",
	.owner			= THIS_MODULE,
	.init_fs_context	= bpio_descriptor_init_fs_context,
	.kill_sb		= kill_anon_super,
};

/**
 * bpio_descriptor_open() - make a descriptor's struct file
 * @handle: what it stands for, with handle->descriptors raised by the caller;
 *	the release of the struct file drops that
 *
 * Context: may sleep.
 * Return: the struct file, or an ERR_PTR, in which case nothing was taken over.
 */
struct file *bpio_descriptor_open(struct bpio_handle *handle)
{
	struct inode *inode;
	struct file *filp;
	int ret;

	ret = simple_pin_fs(&bpio_descriptor_fs_type, &bpio_descriptor_mnt,
			    &bpio_descriptor_mnt_count);
	if (ret)
		return ERR_PTR(ret);

	inode = alloc_anon_inode(bpio_descriptor_mnt->mnt_sb);
	if (IS_ERR(inode)) {
		simple_release_fs(&bpio_descriptor_mnt, &bpio_descriptor_mnt_count);
		return ERR_CAST(inode);
	}

	inode->i_mode = S_IFREG | 0400;
	inode->i_op = &bpio_descriptor_iops;
	inode->i_private = handle;
	i_size_write(inode, i_size_read(handle->file->inode));

	/* fput() drops it through fops_put(). */
	__module_get(THIS_MODULE);
	filp = alloc_file_pseudo(inode, bpio_descriptor_mnt, "bypass-handle",
				 O_RDONLY | O_DIRECT | O_LARGEFILE,
				 &bpio_descriptor_fops);
	if (IS_ERR(filp)) {
		iput(inode);
		simple_release_fs(&bpio_descriptor_mnt, &bpio_descriptor_mnt_count);
		module_put(THIS_MODULE);
		return filp;
	}

	/*
	 * What do_dentry_open() would set and the pseudo file lacks. Watchers are
	 * told about the file that is read, not about the handle.
	 */
	filp->f_mode |= FMODE_NONOTIFY | FMODE_PREAD | FMODE_PWRITE | FMODE_LSEEK |
			FMODE_ATOMIC_POS | FMODE_NOWAIT | FMODE_CAN_ODIRECT;
	filp->private_data = handle;
	return filp;
}
