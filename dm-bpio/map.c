// SPDX-License-Identifier: GPL-2.0-only
/*
 * Volume bypass (BPIO_OP_ENABLE): the target's map method sends every read of the
 * mapped device along the route, whatever program or file system it comes from.
 *
 * Level: door.
 */
#include <linux/device-mapper.h>
#include <linux/workqueue.h>

#include "bypass.h"
#include "compat.h"
#include "map.h"
#include "probe.h"
#include "route.h"
#include "standing.h"
#include "target.h"
#include "volume.h"

static struct workqueue_struct *bpio_map_wq;

/**
 * bpio_map_data_size() - bytes of per-bio data that the target needs
 */
size_t bpio_map_data_size(void)
{
	return sizeof(struct bpio_map_bio);
}

/*
 * Send a bio along a route, unless the segment leads to the volume itself (because a
 * line of the table has no layer, or the volume is paused): the map method would call
 * itself forever.
 */
static bool bpio_map_onto(struct bpio_map_bio *data, struct bpio_route *route,
			  struct bio *bio)
{
	struct bpio_place place;

	if (!bpio_route_find(route, data->sector, &place) ||
	    place.bdev->bd_dev == data->target->seat.table->volume->dev ||
	    !percpu_ref_tryget_live(&route->ref))
		return false;

	if (bio_sectors(bio) > place.room)
		dm_accept_partial_bio(bio, place.room);

	data->route = route;
	data->iter = bio->bi_iter;
	data->flags = bio->bi_flags;
	data->remaining = atomic_read(&bio->__bi_remaining);
	bio_set_dev(bio, place.bdev);
	bio->bi_iter.bi_sector = place.sector;
	return true;
}

/* Send a read past the layers below, if there is a route. */
static bool bpio_map_try(struct bpio_target *target, struct bio *bio)
{
	struct bpio_map_bio *data = dm_per_bio_data(bio, sizeof(*data));
	struct bpio_volume *volume = target->seat.table->volume;
	struct bpio_route *route;
	bool mapped = false;

	data->target = target;
	data->sector = bio->bi_iter.bi_sector;
	rcu_read_lock();
	route = rcu_dereference(volume->route);
	/* Check the flag again after the route: a drain waits for reads that saw it set. */
	smp_rmb();
	if (route && test_bit(BPIO_MAP_BYPASS, &volume->map_watch) &&
	    READ_ONCE(bpio_standing_on))
		mapped = bpio_map_onto(data, route, bio);
	rcu_read_unlock();

	if (mapped)
		atomic64_inc(&volume->mapped_reads);
	else if (!route)
		bpio_bypass_update_later(volume);
	return mapped;
}

/**
 * bpio_map_watched() - map a read of a volume that has bits of enum bpio_map_watch
 * @target: the target
 * @bio: a bio that is being mapped
 *
 * Context: the map method.
 * Return: the return value of the map method, or DM_MAPIO_KILL if the caller must map
 * the bio itself.
 */
int bpio_map_watched(struct bpio_target *target, struct bio *bio)
{
	struct bpio_map_bio *data = dm_per_bio_data(bio, sizeof(*data));
	struct bpio_volume *volume = target->seat.table->volume;
	unsigned long watch = READ_ONCE(volume->map_watch);

	if (watch & BIT(BPIO_MAP_PROBES) && bpio_probe_take(volume, bio))
		return DM_MAPIO_SUBMITTED;
	if (watch & BIT(BPIO_MAP_AWAITS)) {
		data->target = target;
		data->started = jiffies | 1;
	}
	if (watch & BIT(BPIO_MAP_BYPASS) && bpio_map_try(target, bio))
		return DM_MAPIO_REMAPPED;
	return DM_MAPIO_KILL;
}

static void bpio_map_repeat(struct work_struct *work)
{
	struct bpio_map_bio *data = container_of(work, struct bpio_map_bio, work);
	struct bpio_target *target = data->target;
	struct bio *bio = dm_bio_from_per_bio_data(data, sizeof(*data));

	/* Reset to the state before the first attempt, or a split would end it twice. */
	bio->bi_flags = data->flags;
	atomic_set(&bio->__bi_remaining, data->remaining);
	bio->bi_iter = data->iter;
	bio->bi_iter.bi_sector = data->sector;
	bpio_target_remap(target, bio);
	/*
	 * The reader does not poll the queue that it goes to now, and it is too late
	 * to return -EAGAIN.
	 */
	bio->bi_opf &= ~(REQ_POLLED | REQ_NOWAIT);
	bio->bi_cookie = BLK_QC_T_NONE;
	submit_bio_noacct(bio);
}

/**
 * bpio_map_leave() - complete or repeat a bio that was sent along a route
 * @data: the data of the bio
 * @error: its status
 *
 * A read that failed on the route is sent again, through the layers, unless it failed
 * only because it would have had to wait.
 *
 * Context: the end_io method, any context.
 * Return: DM_ENDIO_*.
 */
int bpio_map_leave(struct bpio_map_bio *data, blk_status_t error)
{
	struct bio *bio = dm_bio_from_per_bio_data(data, sizeof(*data));

	percpu_ref_put(&data->route->ref);
	data->route = NULL;
	if (likely(!error) || error == BLK_STS_AGAIN)
		return DM_ENDIO_DONE;

	bio->bi_status = BLK_STS_OK;
	INIT_WORK(&data->work, bpio_map_repeat);
	queue_work(bpio_map_wq, &data->work);
	return DM_ENDIO_INCOMPLETE;
}

/**
 * bpio_map_init() - create the workqueue
 *
 * Return: 0 or -ENOMEM.
 */
int bpio_map_init(void)
{
	/* Reads of a file system wait for it, and memory reclaim may wait for those. */
	bpio_map_wq = alloc_workqueue("bpio_map", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	return bpio_map_wq ? 0 : -ENOMEM;
}

/**
 * bpio_map_exit() - undo bpio_map_init()
 */
void bpio_map_exit(void)
{
	destroy_workqueue(bpio_map_wq);
}
