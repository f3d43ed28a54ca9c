// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ioctls of the mapped device. Device-mapper passes them to the target only if the
 * table has a single one. For other volumes use the control node.
 *
 * Device-mapper holds the device's SRCU across an ioctl, and a suspend waits for that
 * after it has begun to hold back I/O. So nothing here may need I/O of the volume: no
 * file-system I/O, and no page fault on user memory except inside the gate of the
 * table, for which the presuspend hook waits first. Memory is allocated without I/O
 * for the same reason.
 *
 * Level: door.
 */
#include <linux/blkdev.h>
#include <linux/capability.h>
#include <linux/file.h>
#include <linux/pr.h>
#include <linux/sched/mm.h>

#include "compat.h"
#include "envelope.h"
#include "ioctl.h"
#include "protocol.h"
#include "target.h"

/* Operations on the volume itself have no file. */
static int bpio_ioctl_get_file(struct bpio_protocol_request *request)
{
	if (request->in.fd == -1 &&
	    bpio_protocol_takes_volume(request->in.operation))
		return 0;
	request->file = fget(request->in.fd);
	return request->file ? 0 : -EBADF;
}

static int bpio_ioctl_fs(struct bpio_target *target,
			 struct bpio_ioctl __user *uenv, bool privileged)
{
	struct bpio_protocol_request request = {
		.volume		= target->seat.table->volume,
		.privileged	= privileged,
	};
	struct bpio_ioctl env;
	int ret;

	ret = bpio_envelope_get_fs(&request, &env, uenv);
	/* See the top of this file. */
	if (!ret && request.in.in_flags & FS_BPIO_INFL_ARM)
		ret = -EINVAL;
	if (!ret)
		ret = bpio_envelope_prepare_fs(&request, &env, uenv);
	if (!ret)
		ret = bpio_ioctl_get_file(&request);
	if (ret)
		goto out;

	ret = bpio_protocol_fs(&request);
	ret = bpio_envelope_answer_fs(&request, &env, uenv, ret);
	if (request.file)
		fput(request.file);
out:
	kvfree(request.rows);
	return ret;
}

static int bpio_ioctl_storage(struct bpio_target *target,
			      struct bpio_ioctl __user *uenv, bool privileged)
{
	struct bpio_output out = {};
	struct bpio_ioctl env;
	struct bpio_input in;
	int ret;

	ret = bpio_envelope_get(&env, uenv, &in, sizeof(in), sizeof(out));
	if (!ret && in.fd)
		ret = -EINVAL;
	if (!ret)
		ret = bpio_envelope_probe(&env, uenv, sizeof(out));
	if (!ret)
		ret = bpio_protocol_storage(target->seat.table->volume, &in, &out,
					    privileged);
	if (ret)
		return ret;
	return bpio_envelope_put(&env, uenv, &out, sizeof(out), 0);
}

static int bpio_ioctl_dispatch(struct bpio_target *target, unsigned int cmd,
			       void __user *argp, bool privileged)
{
	switch (cmd) {
	case BPIO_IOC_GET_VERSION:
		return bpio_envelope_version(argp);
	case FSCTL_MANAGE_BYPASS_IO:
		return bpio_ioctl_fs(target, argp, privileged);
	default:
		return bpio_ioctl_storage(target, argp, privileged);
	}
}

static bool bpio_ioctl_is_ours(unsigned int cmd)
{
	return cmd == BPIO_IOC_GET_VERSION || cmd == FSCTL_MANAGE_BYPASS_IO ||
	       cmd == IOCTL_STORAGE_MANAGE_BYPASS_IO;
}

static int bpio_ioctl_run(struct bpio_target *target, unsigned int cmd,
			  unsigned long arg, bool may_write)
{
	unsigned int noio;
	int ret;

	if (!bpio_gate_enter(&target->seat.table->gate))
		return -EAGAIN;

	noio = memalloc_noio_save();
	ret = bpio_ioctl_dispatch(target, cmd, (void __user *)arg,
				  may_write ||
				  ns_capable_noaudit(&init_user_ns, CAP_SYS_ADMIN));
	memalloc_noio_restore(noio);

	bpio_gate_leave(&target->seat.table->gate);
	return ret;
}

/* dm-linear passes an ioctl down only if the target covers the whole device below. */
static bool bpio_ioctl_covers_device(const struct bpio_target *target)
{
	return !target->legs[0].start &&
	       target->width == bdev_nr_sectors(target->legs[0].dev->bdev);
}

/*
 * On kernels that do not pass ioctls to targets, each target has a gendisk that is
 * never added to the system. Device-mapper sends an ioctl to the block device that the
 * target names, together with the mode in which the mapped device was opened.
 */
static int bpio_ioctl_disk_ioctl(struct block_device *bdev, blk_mode_t mode,
				 unsigned int cmd, unsigned long arg)
{
	struct bpio_target *target = bdev->bd_disk->private_data;
	struct block_device *below = target->legs[0].dev->bdev;

	if (bpio_ioctl_is_ours(cmd))
		return bpio_ioctl_run(target, cmd, arg, mode & BLK_OPEN_WRITE);

	/* Like dm-stripe: an ioctl cannot be sent to one of several devices. */
	if (target->chunk)
		return -ENOTTY;
	/* User space gets ENOTTY, as from dm-linear. */
	if (!bpio_ioctl_covers_device(target) && !capable(CAP_SYS_RAWIO))
		return -ENOIOCTLCMD;
	if (!below->bd_disk->fops->ioctl)
		return -ENOTTY;
	return below->bd_disk->fops->ioctl(below, mode, cmd, arg);
}

/*
 * The one persistent-reservation call for which device-mapper uses prepare_ioctl, but
 * ignores a positive return value.
 */
static int bpio_ioctl_disk_pr_clear(struct block_device *bdev, u64 key)
{
	struct bpio_target *target = bdev->bd_disk->private_data;
	struct block_device *below = target->legs[0].dev->bdev;
	const struct pr_ops *ops = below->bd_disk->fops->pr_ops;

	if (target->chunk)
		return -ENOTTY;
	if (!ops || !ops->pr_clear)
		return -EOPNOTSUPP;
	return ops->pr_clear(below, key);
}

static const struct pr_ops bpio_ioctl_disk_pr_ops = {
	.pr_clear	= bpio_ioctl_disk_pr_clear,
};

static const struct block_device_operations bpio_ioctl_disk_fops = {
	.owner		= THIS_MODULE,
	.ioctl		= bpio_ioctl_disk_ioctl,
	.pr_ops		= &bpio_ioctl_disk_pr_ops,
};

#ifdef BPIO_TARGET_SEES_IOCTLS

int bpio_ioctl_prepare(struct dm_target *ti, struct block_device **bdev,
		       unsigned int cmd, unsigned long arg, bool *forward)
{
	struct bpio_target *target = ti->private;
	int ret;

	if (!bpio_ioctl_is_ours(cmd) && target->chunk)
		return -ENOTTY;
	if (!bpio_ioctl_is_ours(cmd)) {
		*bdev = target->legs[0].dev->bdev;
		return bpio_ioctl_covers_device(target) ? 0 : 1;
	}

	ret = bpio_ioctl_run(target, cmd, arg, false);
	if (ret != -EPERM) {
		*forward = false;
		return ret;
	}
	/*
	 * Write access to the mapped device would suffice, but the mode in which it
	 * was opened is not known here.
	 */
	*bdev = target->disk->part0;
	return 0;
}

#else

int bpio_ioctl_prepare(struct dm_target *ti, struct block_device **bdev)
{
	struct bpio_target *target = ti->private;

	*bdev = target->disk->part0;
	return 0;
}

#endif

/**
 * bpio_ioctl_disk_create() - create the disk that receives the ioctls of a target
 * @target: the target
 *
 * Context: may sleep.
 * Return: 0 or a negative errno.
 */
int bpio_ioctl_disk_create(struct bpio_target *target)
{
	struct gendisk *disk = bpio_compat_alloc_disk();

	if (IS_ERR(disk))
		return PTR_ERR(disk);

	disk->fops = &bpio_ioctl_disk_fops;
	disk->private_data = target;
	target->disk = disk;
	return 0;
}

/**
 * bpio_ioctl_disk_destroy() - undo bpio_ioctl_disk_create()
 * @target: the target; device-mapper has waited for its last ioctl
 */
void bpio_ioctl_disk_destroy(struct bpio_target *target)
{
	put_disk(target->disk);
}
