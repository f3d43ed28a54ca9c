/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_STORAGE_H
#define BPIO_STORAGE_H

#include <linux/blkdev.h>
#include <linux/dm-bpio.h>

enum bpio_reason bpio_storage_judge(struct block_device *bdev, bool any_storage);
const char *bpio_storage_driver_name(struct block_device *bdev);

#endif /* BPIO_STORAGE_H */
