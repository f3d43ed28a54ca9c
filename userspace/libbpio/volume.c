// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Calls about a whole volume.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

static int get_info(int fd, const struct stat *st,
		    struct fs_bpio_output *output)
{
	if (S_ISBLK(st->st_mode))
		return bpio__device_info(fd, st->st_rdev, output);
	return bpio__foreign(bpio__ask(fd, FS_BPIO_OP_GET_INFO, output));
}

int bpio_volume_info(int fd, struct bpio_volume_info *info)
{
	struct bpio_volume_info full = { 0 };
	struct fs_bpio_output output;
	const struct fs_bpio_info *got = &output.get_info;
	struct stat st;
	int ret;

	if (info->size < sizeof(info->size))
		return -EINVAL;
	if (fstat(fd, &st))
		return -errno;
	ret = get_info(fd, &st, &output);
	if (ret)
		return ret;
	full.out_flags = output.out_flags;
	full.active_files = got->active_count;
	full.storage_major = got->storage_major;
	full.storage_minor = got->storage_minor;
	full.volume_major = got->volume_major;
	full.volume_minor = got->volume_minor;
	full.flags = got->flags;
	full.direct_reads = got->direct_reads;
	full.direct_bytes = got->direct_bytes;
	full.fallback_reads = got->fallback_reads;
	full.fallback_bytes = got->fallback_bytes;
	full.mapped_reads = got->mapped_reads;
	full.bmap_steps = got->bmap_steps;
	bpio__string(full.storage_driver, sizeof(full.storage_driver),
		     got->storage_driver_name, got->storage_driver_name_len,
		     BPIO_DRIVER_NAME_MAX);
	bpio__give(info, &full, sizeof(full));
	return 0;
}

/* The verdicts of both operations are at the same place. */
static int control(int volume, unsigned int operation,
		   struct bpio_verdict *verdict)
{
	struct fs_bpio_output output;
	int ret;

	ret = bpio__check(0, 0, verdict);
	if (!ret)
		ret = bpio__check_volume(volume);
	if (!ret)
		ret = bpio__ask(volume, operation, &output);
	if (!ret)
		bpio__verdict(verdict, volume, -1, &output,
			      &output.volume_stack_resume);
	return ret;
}

int bpio_volume_pause(int volume, struct bpio_verdict *verdict)
{
	return control(volume, FS_BPIO_OP_VOLUME_STACK_PAUSE, verdict);
}

int bpio_volume_resume(int volume, struct bpio_verdict *verdict)
{
	return control(volume, FS_BPIO_OP_VOLUME_STACK_RESUME, verdict);
}

static int send_storage(int door, int volume, unsigned int operation,
			struct bpio_output *output)
{
	struct bpio_input input = {
		.version = BPIO_INPUT_VERSION,
		.size = sizeof(input),
		.operation = operation,
		.fd = volume,
	};
	struct bpio_ioctl envelope = {
		.size = sizeof(envelope),
		.in_buffer = (unsigned long)&input,
		.out_buffer = (unsigned long)output,
		.in_length = sizeof(input),
		.out_length = sizeof(*output),
	};

	memset(output, 0, sizeof(*output));
	return bpio__ioctl(door, IOCTL_STORAGE_MANAGE_BYPASS_IO, &envelope);
}

/* Only the node serves volumes of several segments. */
static int storage_control(int volume, unsigned int operation,
			   struct bpio_output *output)
{
	int node, ret;

	ret = bpio__check_volume(volume);
	if (ret)
		return ret;
	node = bpio_node_open();
	if (node < 0)
		return send_storage(volume, 0, operation, output);
	ret = send_storage(node, volume, operation, output);
	close(node);
	return ret == -ENOTTY ? send_storage(volume, 0, operation, output) :
				ret;
}

int bpio_volume_enable(int volume, struct bpio_verdict *verdict)
{
	struct fs_bpio_output same = { 0 };
	struct bpio_output output;
	int ret;

	ret = bpio__check(0, 0, verdict);
	if (!ret)
		ret = storage_control(volume, BPIO_OP_ENABLE, &output);
	if (ret)
		return ret;
	same.support = output.support;
	same.out_flags = output.out_flags;
	bpio__verdict(verdict, volume, -1, &same, &output.enable);
	return 0;
}

int bpio_volume_disable(int volume)
{
	struct bpio_output output;

	return storage_control(volume, BPIO_OP_DISABLE, &output);
}
