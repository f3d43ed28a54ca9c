// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Calls on an enabled file.
 */
#include <errno.h>
#include <string.h>

#include "internal.h"

int bpio_file_arm(int fd, struct bpio_file_arm *arm)
{
	struct bpio_file_arm own;
	int ret;

	if (!arm)
		arm = &own;
	memset(arm, 0, sizeof(*arm));
	arm->size = sizeof(*arm);
	ret = bpio__ioctl(fd, BPIO_IOC_FILE_ARM, arm);
	if (ret < 0)
		return ret;
	return arm->armed ? 0 : -EBUSY;
}

int bpio_file_info(int fd, struct bpio_file_info *info)
{
	int ret;

	memset(info, 0, sizeof(*info));
	info->size = sizeof(*info);
	ret = bpio__ioctl(fd, BPIO_IOC_FILE_INFO, info);
	return ret < 0 ? ret : 0;
}
