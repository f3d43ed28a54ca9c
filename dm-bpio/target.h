/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_TARGET_H
#define BPIO_TARGET_H

#include <linux/blkdev.h>
#include <linux/device-mapper.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

struct bpio_layer;
struct bpio_volume;

/**
 * struct bpio_gate - lets control operations in while a target is live
 * @lock: protects @open and @inside
 * @open: operations may enter
 * @inside: operations that have entered and not left
 * @empty: woken when the last one leaves a closed gate
 *
 * Device-mapper waits for running ioctls only after it has begun to hold back
 * I/O. An ioctl that touches user memory may need just that I/O for a page
 * fault, and both would wait for ever. The gate makes the presuspend hook wait
 * for them before, while I/O still flows, and turns later ones away.
 */
struct bpio_gate {
	spinlock_t		lock;	/* @open and @inside */
	bool			open;
	unsigned int		inside;
	wait_queue_head_t	empty;
};

/**
 * struct bpio_target - one instance of the "bpio" target
 * @ti: the target
 * @dev: device below
 * @start: first 512-byte sector of @dev that the target uses
 * @any_storage: full bypass also when the storage is not NVMe
 * @volume: the mapped device
 * @gate: for control operations
 * @layer: as which it takes part in walks, also of volumes above
 * @disk: takes the ioctls that the target does not see itself
 */
struct bpio_target {
	struct dm_target	*ti;
	struct dm_dev		*dev;
	sector_t		start;
	bool			any_storage;
	struct bpio_volume	*volume;
	struct bpio_gate	gate;
	struct bpio_layer	*layer;
	struct gendisk		*disk;
};

/**
 * bpio_target_bdev() - the mapped device that a target is the table of
 * @target: the target
 *
 * Context: any, as long as @target lives.
 */
static inline struct block_device *
bpio_target_bdev(const struct bpio_target *target)
{
	return dm_disk(dm_table_get_md(target->ti->table))->part0;
}

bool bpio_gate_enter(struct bpio_gate *gate);
void bpio_gate_leave(struct bpio_gate *gate);

int bpio_target_init(void);
void bpio_target_exit(void);

#endif /* BPIO_TARGET_H */
