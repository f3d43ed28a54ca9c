/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Volumes by the file systems that are mounted from them, for users who may
 * neither ask device-mapper nor open a mapped device.
 */
#ifndef BPIO_MOUNTED_H
#define BPIO_MOUNTED_H

#include <sys/types.h>

struct bpio_volume;

/*
 * Opens a directory where a file system of the device is mounted. -ENOENT when
 * there is none, else the error of the first that cannot be opened
 */
int mounted_open(dev_t dev);

/* As bpio_volume_foreach(); @unreadable is told of devices that may be a volume */
void mounted_foreach(int (*visit)(const struct bpio_volume *volume, void *arg),
		     void (*unreadable)(dev_t dev, const char *mount_point,
					int error, void *arg), void *arg);

#endif /* BPIO_MOUNTED_H */
