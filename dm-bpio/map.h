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
 * struct bpio_map_bio - what the target keeps for a bio of its device
 * @route: reference while the bio is on it, or NULL
 * @started: jiffies when a read was mapped whose completion is to be noted, else 0
 * @target: where the bio goes when it fails on the route
 * @iter: position of the bio as it was mapped
 * @flags: its bi_flags then
 * @remaining: completions it waited for then; left at zero where it was split
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
 * bpio_map_read() - do with a read of the mapped device what is not the usual
 * @target: the target
 * @bio: a bio that is being mapped
 *
 * Context: the map method.
 * Return: what the map method is to return, or DM_MAPIO_KILL when it has to map the
 * bio itself.
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
 * bpio_map_end_io() - a bio of the mapped device has completed
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
