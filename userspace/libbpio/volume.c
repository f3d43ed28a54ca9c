// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Calls about a whole volume.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "internal.h"

static int get_info(int volume, struct fs_bpio_output *output)
{
	const struct fs_bpio_info *got = &output->get_info;
	struct stat st;
	int ret;

	ret = bpio__fsctl(volume, FS_BPIO_OP_GET_INFO, 0, -1, output);
	if (ret)
		return ret;
	if (fstat(volume, &st))
		return -errno;
	return makedev(got->volume_major, got->volume_minor) == st.st_rdev ?
		0 : -ENOTTY;
}

int bpio__check_volume(int volume)
{
	struct fs_bpio_output output;

	return get_info(volume, &output);
}

int bpio_volume_info(int volume, struct bpio_volume_info *info)
{
	struct bpio_volume_info full = { 0 };
	struct fs_bpio_output output;
	const struct fs_bpio_info *got = &output.get_info;
	int ret;

	if (info->size < sizeof(info->size))
		return -EINVAL;
	ret = get_info(volume, &output);
	if (ret)
		return ret;
	full.out_flags = output.out_flags;
	full.active_files = got->active_count;
	full.storage_major = got->storage_major;
	full.storage_minor = got->storage_minor;
	full.volume_major = got->volume_major;
	full.volume_minor = got->volume_minor;
	full.direct_reads = got->direct_reads;
	full.direct_bytes = got->direct_bytes;
	full.fallback_reads = got->fallback_reads;
	full.fallback_bytes = got->fallback_bytes;
	full.mapped_reads = got->mapped_reads;
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
		ret = bpio__fsctl(volume, operation, 0, -1, &output);
	if (!ret)
		bpio__verdict(verdict, volume, &output,
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

static int storage_control(int volume, unsigned int operation,
			   struct bpio_output *output)
{
	struct bpio_input input = {
		.version = BPIO_INPUT_VERSION,
		.size = sizeof(input),
		.operation = operation,
	};
	struct bpio_ioctl envelope = {
		.size = sizeof(envelope),
		.in_buffer = (unsigned long)&input,
		.out_buffer = (unsigned long)output,
		.in_length = sizeof(input),
		.out_length = sizeof(*output),
	};
	int ret;

	ret = bpio__check_volume(volume);
	if (ret)
		return ret;
	memset(output, 0, sizeof(*output));
	return bpio__ioctl(volume, IOCTL_STORAGE_MANAGE_BYPASS_IO, &envelope);
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
	bpio__verdict(verdict, volume, &same, &output.enable);
	return 0;
}

int bpio_volume_disable(int volume)
{
	struct bpio_output output;

	return storage_control(volume, BPIO_OP_DISABLE, &output);
}
