// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * ENABLE through a descriptor that is already open.
 */
#include <errno.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "internal.h"

static bool is_device(int door)
{
	struct stat st;

	return !fstat(door, &st) && S_ISBLK(st.st_mode);
}

/*
 * The mapped device does not arm within ENABLE. If arming fails, reads are slower but
 * correct, and the verdict has the reason.
 */
static void arm(int fd, struct fs_bpio_output *output)
{
	struct bpio_file_arm answer;
	int ret;

	ret = bpio_file_arm(fd, &answer);
	if (output->obstacle == BPIO_REASON_NOT_DIRECT)
		return;
	if (!ret || ret == -EBUSY)
		output->obstacle = answer.reason;
}

int bpio_enable_on(int door, int fd, unsigned int flags,
		   struct bpio_verdict *verdict)
{
	struct fs_bpio_output output;
	unsigned int in_flags = bpio__in_flags(flags);
	bool arm_after;
	int ret;

	ret = bpio__check(flags, BPIO_ARM | BPIO_SKIP_STORAGE, verdict);
	if (ret)
		return ret;
	arm_after = flags & BPIO_ARM && is_device(door);
	if (flags & BPIO_ARM && !arm_after)
		in_flags |= FS_BPIO_INFL_ARM;
	ret = bpio__fsctl(door, FS_BPIO_OP_ENABLE, in_flags, fd, &output);
	if (ret && ret != -EXDEV)
		return bpio__failed(verdict, ret);
	if (!ret && arm_after && output.support != BPIO_SUPPORT_NONE)
		arm(fd, &output);
	bpio__verdict(verdict, door, fd, &output, &output.enable);
	if (ret || output.support != BPIO_SUPPORT_NONE)
		return ret;
	ret = bpio__status(output.enable.op_status);
	return ret ? ret : -EOPNOTSUPP;
}
