/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_STORAGE_H
#define BPIO_STORAGE_H

#include <linux/blkdev.h>
#include <linux/dm-bpio.h>

enum bpio_reason bpio_storage_judge(struct block_device *bdev, bool any_storage);
void bpio_storage_driver_name(struct block_device *bdev, char *name,
			      size_t room);

#endif /* BPIO_STORAGE_H */
