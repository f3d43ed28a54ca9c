// SPDX-License-Identifier: GPL-2.0-only
/*
 * Operations on volumes and files for other kernel code, see dm-bpio.h.
 *
 * Level: door.
 */
#include <linux/export.h>

#include "dm-bpio.h"
#include "protocol.h"
#include "stream.h"
#include "volume.h"

static struct bpio_volume *bpio_control_find(struct file *file)
{
	struct block_device *bdev = file_inode(file)->i_sb->s_bdev;

	return bdev ? bpio_volume_find(bdev->bd_dev) : NULL;
}

/**
 * bpio_pause_file() - make the file system serve all reads of a file for a while
 * @file: any open file of the inode
 *
 * Like FS_BPIO_OP_STREAM_PAUSE, but neither user space nor a close ends the pause, and
 * it is counted. It ends after as many calls of bpio_resume_file(), or with the inode,
 * or with the volume (when its mapped device has no bpio target any more). The file
 * need not be enabled. Direct reads of it have drained on return.
 *
 * Context: as bpio_layer_changed().
 * Return: 0; -ENXIO when the file is not on a bypass volume; -ENOSPC when 1024 files of
 * it are paused; -ENOMEM; -EINTR when the task was killed while it waited; the file is
 * paused all the same.
 */
int bpio_pause_file(struct file *file)
{
	struct bpio_volume *volume = bpio_control_find(file);
	int ret;

	if (!volume)
		return -ENXIO;
	ret = bpio_stream_pause_by_kernel(volume, file_inode(file));
	bpio_volume_put(volume);
	return ret;
}
EXPORT_SYMBOL_GPL(bpio_pause_file);

/**
 * bpio_resume_file() - undo one bpio_pause_file()
 * @file: any open file of the inode
 *
 * The last one queries the layers again; a veto keeps the file from being bypassed.
 * Ignored when kernel code has not paused the file. Does not end a pause by
 * FS_BPIO_OP_STREAM_PAUSE.
 *
 * Context: may sleep; not from a callback.
 * Return: 0, the errno of a veto, or -ENXIO when the file is not on a bypass volume.
 */
int bpio_resume_file(struct file *file)
{
	struct bpio_volume *volume = bpio_control_find(file);
	struct bpio_results results = {};
	int ret = 0;

	if (!volume)
		return -ENXIO;
	if (!bpio_stream_resume_by_kernel(volume, file_inode(file), &results))
		ret = results.op_status;
	bpio_volume_put(volume);
	return ret;
}
EXPORT_SYMBOL_GPL(bpio_resume_file);

/**
 * bpio_open_count() - number of open files of an inode with BypassIO enabled
 * @file: any open file of the inode
 *
 * Context: may sleep; not from a callback.
 * Return: the number, 0 if the file is not on a bypass volume.
 */
unsigned int bpio_open_count(struct file *file)
{
	struct bpio_volume *volume = bpio_control_find(file);
	unsigned int count;

	if (!volume)
		return 0;
	count = bpio_stream_open_count(volume, file_inode(file));
	bpio_volume_put(volume);
	return count;
}
EXPORT_SYMBOL_GPL(bpio_open_count);

/**
 * bpio_storage_control() - send a storage operation from kernel code
 * @dev: device number of the volume's mapped device
 * @in: the input
 * @in_length: bytes at @in
 * @out: the answer
 * @out_length: bytes at @out
 *
 * Behaves like the ioctl IOCTL_STORAGE_MANAGE_BYPASS_IO.
 *
 * Context: sleeps; not from a callback.
 * Return: 0, -EMSGSIZE or -ERANGE when a buffer is too short, -EINVAL, -ENXIO
 * when @dev is not a bypass volume, -EAGAIN while it is suspended, -ENOMEM, -EINTR
 * when the task was killed while it waited for reads.
 */
int bpio_storage_control(dev_t dev, const struct bpio_input *in,
			 size_t in_length, struct bpio_output *out,
			 size_t out_length)
{
	struct bpio_volume *volume;
	int ret;

	if (in_length < sizeof(*in))
		return -EMSGSIZE;
	if (out_length < sizeof(*out))
		return -ERANGE;
	if (in->fd)
		return -EINVAL;

	volume = bpio_volume_find(dev);
	if (!volume)
		return -ENXIO;
	memset(out, 0, sizeof(*out));
	ret = bpio_protocol_storage(volume, in, out, true);
	bpio_volume_put(volume);
	return ret;
}
EXPORT_SYMBOL_GPL(bpio_storage_control);
