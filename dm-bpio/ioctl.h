/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_IOCTL_H
#define BPIO_IOCTL_H

#include "compat.h"

struct bpio_target;
struct dm_target;

int bpio_ioctl_disk_create(struct bpio_target *target);
void bpio_ioctl_disk_destroy(struct bpio_target *target);

#ifdef BPIO_TARGET_SEES_IOCTLS
int bpio_ioctl_prepare(struct dm_target *ti, struct block_device **bdev,
		       unsigned int cmd, unsigned long arg, bool *forward);
#else
int bpio_ioctl_prepare(struct dm_target *ti, struct block_device **bdev);
#endif

#endif /* BPIO_IOCTL_H */
