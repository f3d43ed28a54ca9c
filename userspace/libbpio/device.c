// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The mapped device of a volume: finding its node and opening it.
 */
#include <blkid/blkid.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "internal.h"

/*
 * Checked before the device is opened: opening another device can have side effects,
 * and may fail with EACCES, which does not tell whether it is a volume.
 */
static int is_mapped_device(dev_t dev)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/dm", major(dev),
		 minor(dev));
	return !access(path, F_OK);
}

int bpio__open_dev(dev_t dev, int mode)
{
	struct stat st;
	char *node;
	int fd, ret;

	if (!is_mapped_device(dev))
		return -ENOTTY;
	node = blkid_devno_to_devname(dev);
	if (!node)
		return -ENXIO;
	fd = open(node, mode | O_CLOEXEC | O_NONBLOCK);
	ret = fd < 0 ? -errno : 0;
	free(node);
	if (ret)
		return ret;

	/* The node may belong to another device since it was looked up. */
	if (fstat(fd, &st))
		ret = -errno;
	else if (st.st_rdev != dev)
		ret = -ENXIO;
	else
		ret = bpio__check_volume(fd);
	if (!ret)
		return fd;
	close(fd);
	return ret;
}

int bpio_volume_open_dev(unsigned int major, unsigned int minor)
{
	return bpio__open_dev(makedev(major, minor), O_RDONLY);
}
