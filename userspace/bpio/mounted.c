// SPDX-License-Identifier: GPL-2.0-only
/*
 * See mounted.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "bpio.h"
#include "mapped.h"
#include "mounted.h"
#include "place.h"

static const char *mount_point(struct json_object *mounts, size_t i)
{
	struct json_object *mount = json_object_array_get_idx(mounts, i);

	return json_object_get_string(json_object_object_get(mount,
							     "mount_point"));
}

/* Something else may be mounted on top of it. */
static int open_directory(const char *path, dev_t dev)
{
	struct stat st;
	int fd;

	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	if (!fstat(fd, &st) && st.st_dev == dev)
		return fd;
	close(fd);
	return -ENOENT;
}

int mounted_open(dev_t dev)
{
	struct json_object *mounts = mounts_of(dev);
	int fd = -ENOENT, error = 0;
	size_t i;

	for (i = 0; fd < 0 && i < json_object_array_length(mounts); i++) {
		fd = open_directory(mount_point(mounts, i), dev);
		if (fd < 0 && !error)
			error = fd;
	}
	json_object_put(mounts);
	return fd < 0 && error ? error : fd;
}

/* -ENOTTY when the file system on the device is on no volume */
static int is_volume(int fd, dev_t dev)
{
	struct bpio_volume_info info = BPIO_VOLUME_INFO_INIT;
	int ret = mapped_error(dev, bpio_volume_info(fd, &info));

	/* A suspended volume returns no more than that. */
	return ret == -EAGAIN ? 0 : ret;
}

static void tell(dev_t dev, int error,
		 void (*unreadable)(dev_t dev, const char *mount_point,
				    int error, void *arg), void *arg)
{
	struct json_object *mounts = mounts_of(dev);

	if (json_object_array_length(mounts))
		unreadable(dev, mount_point(mounts, 0), error, arg);
	json_object_put(mounts);
}

void mounted_foreach(int (*visit)(const struct bpio_volume *volume, void *arg),
		     void (*unreadable)(dev_t dev, const char *mount_point,
					int error, void *arg), void *arg)
{
	char name[NAME_MAX + 1], suspended[8];
	dev_t *devices;
	size_t count, i;

	count = mounted_devices(&devices);
	for (i = 0; i < count; i++) {
		dev_t dev = devices[i];
		struct bpio_volume volume = {
			.name = name, .major = major(dev), .minor = minor(dev),
		};
		int fd, ret;

		if (!mapped_attribute(dev, "name", name, sizeof(name)) ||
		    !mapped_attribute(dev, "suspended", suspended,
				      sizeof(suspended)))
			continue;
		volume.suspended = atoi(suspended);
		fd = mounted_open(dev);
		ret = fd < 0 ? fd : is_volume(fd, dev);
		if (fd >= 0)
			close(fd);
		if (!ret)
			visit(&volume, arg);
		else if (ret != -ENOTTY)
			tell(dev, ret, unreadable, arg);
	}
	free(devices);
}
