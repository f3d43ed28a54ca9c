/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_TABLE_H
#define BPIO_TABLE_H

#include <linux/blkdev.h>
#include <linux/device-mapper.h>
#include <linux/list.h>

#include "gate.h"

struct bpio_layer;
struct bpio_layer_ops;
struct bpio_volume;

/**
 * struct bpio_table - the bpio targets of one table of a mapped device
 * @volume: the mapped device; holds a reference
 * @dm: device-mapper's table; only used to identify it
 * @gate: for control operations; open while the table is live
 * @node: in volume->tables; volume->lock
 * @nr: number of bpio targets constructed; volume->lock
 * @live: number of those that were resumed and not suspended since; volume->lock
 * @sectors: sum of the 512-byte sectors they map; volume->lock
 * @layers: the layers of the targets, by bpio_seat.index; NULL or an ERR_PTR where
 *	there is none. Written in hooks of the target, by one task at a time; read
 *	inside @gate.
 *
 * A table is live, and is volume->table, while all of its bpio targets are live. The
 * top of table.c explains what that means for routes.
 */
struct bpio_table {
	struct bpio_volume	*volume;
	struct dm_table		*dm;
	struct bpio_gate	gate;
	struct list_head	node;
	unsigned int		nr;
	unsigned int		live;
	sector_t		sectors;
	struct bpio_layer	**layers;
};

/**
 * struct bpio_seat - the place of one target in its table
 * @table: the table
 * @index: index of the target among the bpio targets of @table
 */
struct bpio_seat {
	struct bpio_table	*table;
	unsigned int		index;
};

int bpio_table_join(struct bpio_seat *seat, struct dm_target *ti);
void bpio_table_leave(struct bpio_seat *seat, struct dm_target *ti);
void bpio_table_resume(struct bpio_seat *seat, struct dm_target *ti,
		       const struct bpio_layer_ops *ops, void *context,
		       bool any_storage);
void bpio_table_presuspend(struct bpio_seat *seat);

/**
 * bpio_table_bdev() - the mapped device of a table
 * @table: the table
 *
 * Context: any, as long as @table exists.
 */
static inline struct block_device *
bpio_table_bdev(const struct bpio_table *table)
{
	return dm_disk(dm_table_get_md(table->dm))->part0;
}

/**
 * bpio_table_is_mixed() - whether a table has lines of other targets as well
 * @table: the table
 *
 * Context: any; the table is live.
 */
static inline bool bpio_table_is_mixed(const struct bpio_table *table)
{
	return table->sectors != dm_table_get_size(table->dm);
}

#endif /* BPIO_TABLE_H */
