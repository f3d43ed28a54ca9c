/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_MAP_H
#define BPIO_MAP_H

#include <linux/bio.h>
#include <linux/device-mapper.h>
#include <linux/workqueue.h>

#include "bypass.h"
#include "target.h"
#include "volume.h"

struct bpio_route;

/**
 * struct bpio_map_bio - per-bio data of the target
 * @route: the route while the bio is on it, a reference, or NULL
 * @started: jiffies when the bio was mapped, if its completion is to be noted, else 0
 * @target: the target, to which the bio is sent if it fails on the route
 * @iter: bi_iter when the bio was mapped
 * @flags: bi_flags when the bio was mapped
 * @remaining: __bi_remaining when the bio was mapped; left at zero where it was split
 * @sector: 512-byte sector of the volume
 * @work: sends it again
 */
struct bpio_map_bio {
	struct bpio_route	*route;
	unsigned long		started;
	struct bpio_target	*target;
	struct bvec_iter	iter;
	unsigned short		flags;
	int			remaining;
	sector_t		sector;
	struct work_struct	work;
};

size_t bpio_map_data_size(void);
int bpio_map_watched(struct bpio_target *target, struct bio *bio);
int bpio_map_leave(struct bpio_map_bio *data, blk_status_t error);

int bpio_map_init(void);
void bpio_map_exit(void);

/**
 * bpio_map_read() - handle a read of the mapped device that needs more than mapping
 * @target: the target
 * @bio: a bio that is being mapped
 *
 * Context: the map method.
 * Return: the return value of the map method, or DM_MAPIO_KILL if the caller must map
 * the bio itself.
 */
static inline int bpio_map_read(struct bpio_target *target, struct bio *bio)
{
	struct bpio_map_bio *data = dm_per_bio_data(bio, sizeof(*data));

	data->route = NULL;
	data->started = 0;
	return unlikely(READ_ONCE(target->seat.table->volume->map_watch)) &&
	       bio_op(bio) == REQ_OP_READ ?
	       bpio_map_watched(target, bio) : DM_MAPIO_KILL;
}

/**
 * bpio_map_end_io() - handle the completion of a bio of the mapped device
 * @bio: the bio
 * @error: its status
 *
 * Context: the end_io method, any context.
 * Return: DM_ENDIO_*.
 */
static inline int bpio_map_end_io(struct bio *bio, blk_status_t error)
{
	struct bpio_map_bio *data = dm_per_bio_data(bio, sizeof(*data));

	if (unlikely(data->started) && !error)
		bpio_bypass_note_read(data->target->seat.table->volume, data->started);
	return unlikely(data->route) ? bpio_map_leave(data, error) :
				       DM_ENDIO_DONE;
}

#endif /* BPIO_MAP_H */
