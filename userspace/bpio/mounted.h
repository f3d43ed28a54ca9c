/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Finds volumes through the file systems that are mounted from them, for users who may
 * use neither device-mapper's control node nor mapped devices.
 */
#ifndef BPIO_MOUNTED_H
#define BPIO_MOUNTED_H

#include <sys/types.h>

struct bpio_volume;

/*
 * Opens a directory where the file system of the device is mounted. -ENOENT when it is
 * not mounted, else the error of the first that cannot be opened
 */
int mounted_open(dev_t dev);

/* As bpio_volume_foreach(); calls @unreadable for devices that may be a volume */
void mounted_foreach(int (*visit)(const struct bpio_volume *volume, void *arg),
		     void (*unreadable)(dev_t dev, const char *mount_point,
					int error, void *arg), void *arg);

#endif /* BPIO_MOUNTED_H */
