// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Calls on a bypass handle.
 */
#include <errno.h>
#include <string.h>

#include "internal.h"

int bpio_handle_arm(int handle, struct bpio_handle_arm *arm)
{
	struct bpio_handle_arm own;
	int ret;

	if (!arm)
		arm = &own;
	memset(arm, 0, sizeof(*arm));
	arm->size = sizeof(*arm);
	ret = bpio__ioctl(handle, BPIO_IOC_HANDLE_ARM, arm);
	if (ret < 0)
		return ret;
	return arm->armed ? 0 : -EBUSY;
}

int bpio_handle_info(int handle, struct bpio_handle_info *info)
{
	int ret;

	memset(info, 0, sizeof(*info));
	info->size = sizeof(*info);
	ret = bpio__ioctl(handle, BPIO_IOC_HANDLE_INFO, info);
	return ret < 0 ? ret : 0;
}
