/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_TARGET_H
#define BPIO_TARGET_H

#include <linux/blkdev.h>
#include <linux/device-mapper.h>

#include "table.h"

/**
 * struct bpio_target - one instance of the "bpio" target
 * @ti: the target
 * @dev: device below
 * @start: first 512-byte sector of @dev that the target uses
 * @any_storage: full bypass also when the storage below it is not NVMe
 * @seat: its place in the table of the volume
 * @disk: takes the ioctls that the target does not see itself
 */
struct bpio_target {
	struct dm_target	*ti;
	struct dm_dev		*dev;
	sector_t		start;
	bool			any_storage;
	struct bpio_seat	seat;
	struct gendisk		*disk;
};

int bpio_target_init(void);
void bpio_target_exit(void);

#endif /* BPIO_TARGET_H */
