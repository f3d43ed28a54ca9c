// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The control node, its tally, and the version of the module.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "internal.h"

int bpio_node_open(void)
{
	int fd = open(BPIO_NODE, O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int bpio_kernel_version(int door, struct bpio_version *version)
{
	int ret;

	memset(version, 0, sizeof(*version));
	version->size = sizeof(*version);
	ret = bpio__ioctl(door, BPIO_IOC_GET_VERSION, version);
	return ret < 0 ? ret : 0;
}

int bpio_node_tally(int node, struct bpio_tally *tally)
{
	int ret;

	memset(tally, 0, sizeof(*tally));
	tally->size = sizeof(*tally);
	ret = bpio__ioctl(node, BPIO_IOC_TALLY, tally);
	return ret < 0 ? ret : 0;
}
