// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * ENABLE and QUERY with a volume that is already open.
 */
#include <errno.h>
#include <unistd.h>

#include "internal.h"

int bpio_enable_on(int volume, int fd, unsigned int flags,
		   struct bpio_verdict *verdict)
{
	struct fs_bpio_output output;
	int ret;

	ret = bpio__check(flags, BPIO_ARM | BPIO_SKIP_STORAGE, verdict);
	if (ret)
		return ret;
	ret = bpio__fsctl(volume, FS_BPIO_OP_ENABLE, bpio__in_flags(flags), fd,
			  &output);
	if (ret == 0 || ret == -EXDEV)
		bpio__verdict(verdict, volume, &output, &output.enable);
	if (ret)
		return ret;

	if (output.handle < 0)
		return output.enable.op_status < 0 ? output.enable.op_status :
						     -EOPNOTSUPP;
	/* An arming that fails costs speed, which the counters will tell. */
	if (flags & BPIO_ARM)
		bpio_handle_arm(output.handle, NULL);
	return output.handle;
}

int bpio_query_on(int volume, int fd, unsigned int flags,
		  struct bpio_verdict *verdict)
{
	struct fs_bpio_output output;
	int ret;

	ret = bpio__check(flags, BPIO_SKIP_STORAGE, verdict);
	if (!ret && fd == -1)
		ret = bpio__check_volume(volume);
	if (ret)
		return ret;
	ret = bpio__fsctl(volume, FS_BPIO_OP_QUERY, bpio__in_flags(flags), fd,
			  &output);
	if (ret == 0 || ret == -EXDEV)
		bpio__verdict(verdict, volume, &output, &output.query);
	return ret;
}
