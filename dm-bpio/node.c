// SPDX-License-Identifier: GPL-2.0-only
/*
 * The control node, /dev/bpio. Permission to read a file is enough for its operations;
 * no access to the mapped device is needed.
 *
 * Unlike ioctls of the mapped device, these do not run under device-mapper's SRCU. An
 * operation is inside the gate of the table only while it is executed, which keeps the
 * table live. User memory is accessed and files are armed outside of the gate, because
 * presuspend waits for the gate and both may need I/O of the volume.
 *
 * Level: door.
 */
#include <linux/blkdev.h>
#include <linux/capability.h>
#include <linux/file.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "envelope.h"
#include "node.h"
#include "protocol.h"
#include "tally.h"
#include "table.h"
#include "volume.h"

static_assert(sizeof(struct bpio_tally) == 1088);

static bool bpio_node_is_device(const struct file *file)
{
	return S_ISBLK(file_inode(file)->i_mode) &&
	       S_ISBLK(file->f_mapping->host->i_mode);
}

/* The device number of @file, if it is a device, or of its file system. */
static dev_t bpio_node_dev(const struct file *file)
{
	struct block_device *bdev = file_inode(file)->i_sb->s_bdev;

	if (bpio_node_is_device(file))
		return I_BDEV(file->f_mapping->host)->bd_dev;
	return bdev ? bdev->bd_dev : 0;
}

/* Information about a volume requires read access to something on it. */
static bool bpio_node_may_ask(const struct bpio_protocol_request *request)
{
	return request->file->f_mode & FMODE_READ ||
	       (request->in.operation != FS_BPIO_OP_QUERY &&
		request->in.operation != FS_BPIO_OP_GET_INFO);
}

static bool bpio_node_is_privileged(const struct file *file)
{
	return (bpio_node_is_device(file) && file->f_mode & FMODE_WRITE) ||
	       ns_capable_noaudit(&init_user_ns, CAP_SYS_ADMIN);
}

/* Find file and volume; the caller puts those that are set, also after an error. */
static int bpio_node_locate(struct bpio_protocol_request *request)
{
	struct file *file = fget(request->in.fd);

	if (!file)
		return -EBADF;
	request->file = file;
	if (!bpio_node_may_ask(request))
		return -EACCES;
	request->volume = bpio_volume_find(bpio_node_dev(file));
	if (!request->volume)
		return -ENXIO;
	request->privileged = bpio_node_is_privileged(file);
	return 0;
}

/* Enter the gate of the live table. Return: the table, or NULL if there is none. */
static struct bpio_table *bpio_node_enter(struct bpio_volume *volume)
{
	struct bpio_table *table;

	mutex_lock(&volume->lock);
	table = volume->table;
	/* Presuspend waits for the gate before it detaches the table. */
	if (table && !bpio_gate_enter(&table->gate))
		table = NULL;
	mutex_unlock(&volume->lock);
	return table;
}

static int bpio_node_run(struct bpio_protocol_request *request)
{
	struct bpio_table *table = bpio_node_enter(request->volume);
	unsigned int noio;
	int ret;

	if (!table)
		return -EAGAIN;

	noio = memalloc_noio_save();
	ret = bpio_protocol_fs(request);
	memalloc_noio_restore(noio);

	bpio_gate_leave(&table->gate);
	return ret;
}

static int bpio_node_fs_locate(struct bpio_protocol_request *request)
{
	int ret = bpio_node_locate(request);

	if (ret == -ENXIO && request->in.operation == FS_BPIO_OP_ENABLE)
		bpio_tally_refuse(request->tally, BPIO_REASON_OTHER_VOLUME);
	return ret;
}

static int bpio_node_fs(struct bpio_tally_ctx *tally,
			struct bpio_ioctl __user *uenv)
{
	struct bpio_protocol_request request = { .tally = tally };
	struct bpio_ioctl env;
	int ret;

	ret = bpio_envelope_get_fs(&request, &env, uenv);
	if (!ret)
		ret = bpio_node_fs_locate(&request);
	if (!ret)
		ret = bpio_envelope_prepare_fs(&request, &env, uenv);
	if (!ret)
		ret = bpio_node_run(&request);
	if (!ret) {
		if (request.in.in_flags & FS_BPIO_INFL_ARM)
			bpio_protocol_arm(&request);
		ret = bpio_envelope_answer_fs(&request, &env, uenv, ret);
	}

	kvfree(request.rows);
	if (request.volume)
		bpio_volume_put(request.volume);
	if (request.file)
		fput(request.file);
	return ret;
}

/* Like bpio_node_run(), for the storage below the mapped device @file. */
static int bpio_node_run_storage(const struct file *file,
				 const struct bpio_input *in,
				 struct bpio_output *out)
{
	struct bpio_volume *volume;
	struct bpio_table *table;
	unsigned int noio;
	int ret = -EAGAIN;

	volume = bpio_node_is_device(file) ?
		 bpio_volume_find(bpio_node_dev(file)) : NULL;
	if (!volume)
		return -ENXIO;

	table = bpio_node_enter(volume);
	if (table) {
		noio = memalloc_noio_save();
		ret = bpio_protocol_storage(volume, in, out,
					    bpio_node_is_privileged(file));
		memalloc_noio_restore(noio);
		bpio_gate_leave(&table->gate);
	}
	bpio_volume_put(volume);
	return ret;
}

static int bpio_node_storage(struct bpio_ioctl __user *uenv)
{
	struct bpio_output out = {};
	struct bpio_ioctl env;
	struct bpio_input in;
	struct file *file;
	int ret;

	ret = bpio_envelope_get(&env, uenv, &in, sizeof(in), sizeof(out));
	if (!ret)
		ret = bpio_envelope_probe(&env, uenv, sizeof(out));
	if (ret)
		return ret;

	file = fget(in.fd);
	if (!file)
		return -EBADF;
	ret = bpio_node_run_storage(file, &in, &out);
	fput(file);
	return ret ? ret : bpio_envelope_put(&env, uenv, &out, sizeof(out), 0);
}

static int bpio_node_tally(struct bpio_tally_ctx *tally,
			   struct bpio_tally __user *utally)
{
	struct bpio_tally *sum;
	u32 head[2];
	int ret = 0;

	if (copy_from_user(head, utally, sizeof(head)))
		return -EFAULT;
	if (head[0] != sizeof(*sum) || head[1])
		return -EINVAL;

	sum = kmalloc(sizeof(*sum), GFP_KERNEL_ACCOUNT);
	if (!sum)
		return -ENOMEM;
	bpio_tally_read(tally, sum);
	sum->size = sizeof(*sum);
	if (copy_to_user(utally, sum, sizeof(*sum)))
		ret = -EFAULT;
	kfree(sum);
	return ret;
}

static long bpio_node_ioctl(struct file *filp, unsigned int cmd,
			    unsigned long arg)
{
	void __user *argp = (void __user *)arg;

	switch (cmd) {
	case BPIO_IOC_GET_VERSION:
		return bpio_envelope_version(argp);
	case FSCTL_MANAGE_BYPASS_IO:
		return bpio_node_fs(filp->private_data, argp);
	case IOCTL_STORAGE_MANAGE_BYPASS_IO:
		return bpio_node_storage(argp);
	case BPIO_IOC_TALLY:
		return bpio_node_tally(filp->private_data, argp);
	default:
		return -ENOTTY;
	}
}

static int bpio_node_open(struct inode *inode, struct file *filp)
{
	struct bpio_tally_ctx *tally = bpio_tally_create();

	if (!tally)
		return -ENOMEM;
	filp->private_data = tally;
	return nonseekable_open(inode, filp);
}

static int bpio_node_release(struct inode *inode, struct file *filp)
{
	bpio_tally_put(filp->private_data);
	return 0;
}

static const struct file_operations bpio_node_fops = {
	.owner		= THIS_MODULE,
	.open		= bpio_node_open,
	.release	= bpio_node_release,
	.unlocked_ioctl	= bpio_node_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
};

static struct miscdevice bpio_node = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= BPIO_NODE_NAME,
	.fops	= &bpio_node_fops,
	.mode	= 0666,
};

/**
 * bpio_node_init() - register the node
 *
 * Return: 0 or a negative errno.
 */
int bpio_node_init(void)
{
	return misc_register(&bpio_node);
}

/**
 * bpio_node_exit() - undo bpio_node_init()
 */
void bpio_node_exit(void)
{
	misc_deregister(&bpio_node);
}
