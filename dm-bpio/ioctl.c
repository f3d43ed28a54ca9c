// SPDX-License-Identifier: GPL-2.0-only
/*
 * From user space's ioctls on the mapped device to the operations.
 *
 * Device-mapper holds the device's SRCU across an ioctl, and a suspend waits
 * for that after it has begun to hold back I/O. So nothing here may need I/O of
 * the volume: no file-system I/O, and no page fault on user memory unless the
 * gate of the target was entered, which the presuspend hook waits for. Memory
 * is allocated without I/O for the same reason.
 */
#include <linux/blkdev.h>
#include <linux/capability.h>
#include <linux/file.h>
#include <linux/pagemap.h>
#include <linux/pr.h>
#include <linux/sched/mm.h>
#include <linux/uaccess.h>

#include "compat.h"
#include "ioctl.h"
#include "protocol.h"
#include "target.h"

/* Longest input that is looked at, in bytes; far beyond any structure. */
#define BPIO_IOCTL_INPUT_MAX	4096
/* Most layers that are reported. */
#define BPIO_IOCTL_ROWS_MAX	256

static_assert(sizeof(struct bpio_ioctl) == 40);
static_assert(sizeof(struct fs_bpio_input) == 32);
static_assert(sizeof(struct bpio_results) == 172);
static_assert(sizeof(struct fs_bpio_info) == 96);
static_assert(sizeof(struct bpio_layer_info) == 344);
static_assert(sizeof(struct fs_bpio_stack) == 232);
static_assert(sizeof(struct fs_bpio_output) == 224);
static_assert(sizeof(struct bpio_input) == 32);
static_assert(sizeof(struct bpio_output) == 232);
static_assert(sizeof(struct bpio_version) == 24);
static_assert(sizeof(struct bpio_handle_arm) == 32);
static_assert(sizeof(struct bpio_handle_info) == 600);
static_assert(offsetof(struct bpio_results, reason) == 168);
static_assert(offsetof(struct fs_bpio_info, direct_reads) == 56);
static_assert(offsetof(struct fs_bpio_output, handle) == 216);
static_assert(offsetof(struct bpio_output, support) == 224);

static int bpio_ioctl_get_envelope(struct bpio_ioctl *env, void __user *uenv,
				   size_t in_size, size_t out_size)
{
	if (copy_from_user(env, uenv, sizeof(*env)))
		return -EFAULT;
	if (env->size != sizeof(*env) || env->flags || env->reserved)
		return -EINVAL;
	if (env->in_length < in_size)
		return -EMSGSIZE;
	if (env->in_length > BPIO_IOCTL_INPUT_MAX)
		return -EINVAL;
	if (env->out_length < out_size)
		return -ERANGE;
	return 0;
}

static int bpio_ioctl_get_input(const struct bpio_ioctl *env, void *in,
				size_t in_size)
{
	int ret = copy_struct_from_user(in, in_size,
					u64_to_user_ptr(env->in_buffer),
					env->in_length);

	return ret == -E2BIG ? -EINVAL : ret;
}

/*
 * An operation must not take effect when its answer could not be delivered, and
 * an answer that does not come must leave the buffer as it is.
 */
static int bpio_ioctl_probe_output(const struct bpio_ioctl *env,
				   struct bpio_ioctl __user *uenv,
				   size_t out_size)
{
	if (fault_in_safe_writeable((char __user *)uenv, sizeof(*uenv)) ||
	    fault_in_safe_writeable(u64_to_user_ptr(env->out_buffer), out_size))
		return -EFAULT;
	return 0;
}

static int bpio_ioctl_put_output(const struct bpio_ioctl *env,
				 struct bpio_ioctl __user *uenv,
				 const void *out, size_t out_size, size_t more)
{
	if (copy_to_user(u64_to_user_ptr(env->out_buffer), out, out_size) ||
	    put_user(out_size + more, &uenv->bytes_returned))
		return -EFAULT;
	return 0;
}

/* Behind the output of a QUERY of all layers: how many, and the layers. */
static int bpio_ioctl_put_rows(const struct bpio_ioctl *env,
			       const struct bpio_protocol_request *request,
			       size_t *size)
{
	struct fs_bpio_stack __user *ustack = u64_to_user_ptr(env->out_buffer);
	u32 written = min(request->nr_rows, request->room);

	*size = sizeof(*ustack) - sizeof(ustack->output) +
		written * sizeof(*request->rows);
	if (put_user(request->nr_rows, &ustack->layers) ||
	    put_user(written, &ustack->written) ||
	    copy_to_user(ustack->layer, request->rows,
			 written * sizeof(*request->rows)))
		return -EFAULT;
	return 0;
}

static int bpio_ioctl_alloc_rows(const struct bpio_ioctl *env,
				 struct bpio_protocol_request *request)
{
	size_t room;

	if (!(request->in.in_flags & FS_BPIO_INFL_ALL_LAYERS))
		return 0;
	if (env->out_length < sizeof(struct fs_bpio_stack))
		return -ERANGE;

	room = (env->out_length - sizeof(struct fs_bpio_stack)) /
	       sizeof(*request->rows);
	request->room = min(room, BPIO_IOCTL_ROWS_MAX);
	/* One row too many, so that there always is a pointer. */
	request->rows = kvcalloc(request->room + 1, sizeof(*request->rows),
				 GFP_KERNEL);
	return request->rows ? 0 : -ENOMEM;
}

static int bpio_ioctl_get_fs(struct bpio_protocol_request *request,
			     struct bpio_ioctl *env,
			     struct bpio_ioctl __user *uenv)
{
	int ret;

	ret = bpio_ioctl_get_envelope(env, uenv, sizeof(request->in),
				      sizeof(request->out));
	if (!ret)
		ret = bpio_ioctl_get_input(env, &request->in,
					   sizeof(request->in));
	if (!ret)
		ret = bpio_protocol_check(request);
	if (!ret)
		ret = bpio_ioctl_alloc_rows(env, request);
	if (!ret)
		ret = bpio_ioctl_probe_output(env, uenv, sizeof(request->out));
	return ret;
}

static int bpio_ioctl_answer_fs(struct bpio_protocol_request *request,
				const struct bpio_ioctl *env,
				struct bpio_ioctl __user *uenv)
{
	size_t more = 0;
	int ret = 0;

	if (request->rows)
		ret = bpio_ioctl_put_rows(env, request, &more);
	if (!ret)
		ret = bpio_ioctl_put_output(env, uenv, &request->out,
					    sizeof(request->out), more);
	bpio_protocol_finish(request, !ret);
	return ret;
}

static int bpio_ioctl_fs(struct bpio_target *target,
			 struct bpio_ioctl __user *uenv, bool privileged)
{
	struct bpio_protocol_request request = {
		.target		= target,
		.privileged	= privileged,
	};
	struct bpio_ioctl env;
	int ret, put;

	ret = bpio_ioctl_get_fs(&request, &env, uenv);
	if (ret)
		goto out;

	ret = bpio_protocol_fs(&request);
	/* -EXDEV is the only error that comes with an answer in words. */
	if (!ret || ret == -EXDEV) {
		put = bpio_ioctl_answer_fs(&request, &env, uenv);
		ret = put ? put : ret;
	}
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

	ret = bpio_ioctl_get_envelope(&env, uenv, sizeof(in), sizeof(out));
	if (!ret)
		ret = bpio_ioctl_get_input(&env, &in, sizeof(in));
	if (!ret)
		ret = bpio_ioctl_probe_output(&env, uenv, sizeof(out));
	if (!ret)
		ret = bpio_protocol_storage(target->volume, &in, &out,
					    privileged);
	if (ret)
		return ret;
	return bpio_ioctl_put_output(&env, uenv, &out, sizeof(out), 0);
}

static int bpio_ioctl_version(struct bpio_version __user *uversion)
{
	struct bpio_version version;
	u32 size;

	if (get_user(size, &uversion->size))
		return -EFAULT;
	if (size < sizeof(version) || size > BPIO_IOCTL_INPUT_MAX)
		return -EINVAL;

	bpio_protocol_version(&version);
	if (copy_to_user(uversion, &version, sizeof(version)) ||
	    clear_user(uversion + 1, size - sizeof(version)))
		return -EFAULT;
	return 0;
}

static int bpio_ioctl_dispatch(struct bpio_target *target, unsigned int cmd,
			       void __user *argp, bool privileged)
{
	switch (cmd) {
	case BPIO_IOC_GET_VERSION:
		return bpio_ioctl_version(argp);
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

	if (!bpio_gate_enter(&target->gate))
		return -EAGAIN;

	noio = memalloc_noio_save();
	ret = bpio_ioctl_dispatch(target, cmd, (void __user *)arg,
				  may_write ||
				  ns_capable_noaudit(&init_user_ns, CAP_SYS_ADMIN));
	memalloc_noio_restore(noio);

	bpio_gate_leave(&target->gate);
	return ret;
}

/* dm-linear's rule: as it is, if the target covers the whole device below. */
static bool bpio_ioctl_covers_device(const struct bpio_target *target)
{
	return !target->start &&
	       target->ti->len == bdev_nr_sectors(target->dev->bdev);
}

/*
 * What a target does not see itself comes to it by way of a disk of its own that
 * is never added to the system: device-mapper hands an ioctl to the block device
 * that the target names, and tells that how the mapped device was opened.
 */
static int bpio_ioctl_disk_ioctl(struct block_device *bdev, blk_mode_t mode,
				 unsigned int cmd, unsigned long arg)
{
	struct bpio_target *target = bdev->bd_disk->private_data;
	struct block_device *below = target->dev->bdev;

	if (bpio_ioctl_is_ours(cmd))
		return bpio_ioctl_run(target, cmd, arg, mode & BLK_OPEN_WRITE);

	/* User space gets ENOTTY, as dm-linear would answer. */
	if (!bpio_ioctl_covers_device(target) && !capable(CAP_SYS_RAWIO))
		return -ENOIOCTLCMD;
	if (!below->bd_disk->fops->ioctl)
		return -ENOTTY;
	return below->bd_disk->fops->ioctl(below, mode, cmd, arg);
}

/*
 * The one persistent-reservation call that also goes by prepare_ioctl, whose
 * positive answers device-mapper ignores here.
 */
static int bpio_ioctl_disk_pr_clear(struct block_device *bdev, u64 key)
{
	struct bpio_target *target = bdev->bd_disk->private_data;
	struct block_device *below = target->dev->bdev;
	const struct pr_ops *ops = below->bd_disk->fops->pr_ops;

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

	if (!bpio_ioctl_is_ours(cmd)) {
		*bdev = target->dev->bdev;
		return bpio_ioctl_covers_device(target) ? 0 : 1;
	}

	ret = bpio_ioctl_run(target, cmd, arg, false);
	if (ret != -EPERM) {
		*forward = false;
		return ret;
	}
	/*
	 * Write access to the mapped device would do, but nothing tells here how
	 * it was opened.
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
 * bpio_ioctl_disk_create() - give a target the means to see its ioctls
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
