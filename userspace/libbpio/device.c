// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The mapped device of a volume: finding its node, opening it, requests about it.
 */
#include <blkid/blkid.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "internal.h"

bool bpio__no_node(int error)
{
	return error == -ENOENT || error == -ENXIO || error == -ENODEV;
}

int bpio__route_device(int volume, struct route *route)
{
	*route = (struct route) {
		.subject = volume, .node = bpio_node_open(), .device = -1,
	};
	route->door = route->node;
	if (route->node >= 0)
		return 0;
	if (!bpio__no_node(route->node))
		return route->node;
	route->door = volume;
	route->subject = -1;
	return 0;
}

void bpio__route_close(struct route *route)
{
	if (route->node >= 0)
		close(route->node);
	if (route->device >= 0)
		close(route->device);
}

int bpio__ask_along(struct route *route, unsigned int operation,
		    struct fs_bpio_output *output)
{
	int ret = bpio__fsctl(route->door, operation, 0, route->subject, output);

	bpio__route_close(route);
	return ret;
}

int bpio__foreign(int error)
{
	return error == -EINVAL || error == -EOPNOTSUPP || error == -EXDEV ?
	       -ENOTTY : error;
}

/*
 * A stock target passes ioctls down, so a device above a volume would answer as if it
 * were the volume; compare the device number in the answer.
 */
int bpio__device_info(int volume, dev_t dev, struct fs_bpio_output *output)
{
	const struct fs_bpio_info *got = &output->get_info;
	struct route route;
	int ret;

	ret = bpio__route_device(volume, &route);
	if (!ret)
		ret = bpio__ask_along(&route, FS_BPIO_OP_GET_INFO, output);
	if (ret)
		return bpio__foreign(ret);
	return makedev(got->volume_major, got->volume_minor) == dev ? 0 : -ENOTTY;
}

int bpio__check_volume(int volume)
{
	struct fs_bpio_output output;
	struct stat st;

	if (fstat(volume, &st))
		return -errno;
	return S_ISBLK(st.st_mode) ?
	       bpio__device_info(volume, st.st_rdev, &output) : -ENOTTY;
}

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
