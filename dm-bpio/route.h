/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_ROUTE_H
#define BPIO_ROUTE_H

#include <linux/blkdev.h>
#include <linux/list.h>
#include <linux/percpu-refcount.h>
#include <linux/rcupdate.h>
#include <linux/dm-bpio.h>

#include "segment.h"

struct bpio_drain;
struct bpio_layer;

/**
 * struct bpio_route - the path of direct reads through the stack; immutable except
 *	for @told and the fields that drain.c uses
 * @ref: one while published, one for each direct read in flight
 * @length_mask: logical block size minus 1, in bytes; for offsets and lengths
 * @memory_mask: alignment of user memory minus 1, in bytes
 * @peer_memory: all devices of @segments can transfer to memory of PCI devices
 * @nr: number of segments
 * @support: how much of the stack the route skips
 * @compatible: the storage device can be read directly, even if a layer above objects
 * @nr_layers: number of layers that reads skip
 * @nr_met: number of @layers: those, followed by layers that were queried and did not
 *	agree
 * @layers: the first @nr_layers agreed to be skipped, top to bottom; they are counted
 *	in bpio_layer.routes until the route is discarded. The rest may have been
 *	freed: only compare their addresses.
 * @drain: the drain of the volume, set when the route is retired
 * @node: in @drain->retired
 * @number: position in the order of retired routes
 * @replaced: an equal route took its place, so its layers are not sent DISABLE
 * @drained: @ref has reached zero; protected by @drain->lock
 * @rcu: for freeing
 * @results: the objection that keeps the route from being full
 * @objector: the device of the objecting layer
 * @told: the state of the route that was last reported; protected by
 *	volume->drain_lock
 * @segments: sorted by start, without gaps; holds their references
 *
 * Published in bpio_volume.route. A reader finds it under RCU and takes @ref with
 * percpu_ref_tryget_live(). Unpublishing a route also retires it, see drain.c. The
 * devices that its segments point to exist until the drain has collected it.
 */
struct bpio_route {
	struct percpu_ref	ref;
	unsigned int		length_mask;
	unsigned int		memory_mask;
	bool			peer_memory;
	unsigned int		nr;
	enum bpio_support	support;
	bool			compatible;
	unsigned int		nr_layers;
	unsigned int		nr_met;
	struct bpio_layer	**layers;
	struct bpio_drain	*drain;
	struct list_head	node;
	unsigned long		number;
	bool			replaced;
	bool			drained;
	struct rcu_head		rcu;
	struct bpio_results	results;
	dev_t			objector;
	bool			told;
	struct bpio_segment	segments[] __counted_by(nr);
};

struct bpio_route *bpio_route_alloc(unsigned int nr, unsigned int nr_met);
struct bpio_route *bpio_route_clone(const struct bpio_route *route);
void bpio_route_discard(struct bpio_route *route);
bool bpio_route_equal(const struct bpio_route *a, const struct bpio_route *b);
bool bpio_route_has_layer(const struct bpio_route *route,
			  const struct bpio_layer *layer);
bool bpio_route_met_layer(const struct bpio_route *route,
			  const struct bpio_layer *layer);

/**
 * bpio_route_info() - the properties of a route that user space sees
 * @route: the route, or NULL
 *
 * Context: any; the caller holds a reference to @route or is under RCU.
 * Return: BPIO_INFO_*.
 */
static inline unsigned int bpio_route_info(const struct bpio_route *route)
{
	return route && route->peer_memory ? BPIO_INFO_PEER_MEMORY : 0;
}

/**
 * bpio_route_find() - find where the reads of a sector of the volume enter the stack
 * @route: the route
 * @sector: 512-byte sector on the volume
 * @place: out: the place
 *
 * Context: any; the caller holds a reference to @route or is under RCU.
 * Return: false beyond the end of the volume.
 */
static inline bool bpio_route_find(const struct bpio_route *route,
				   sector_t sector, struct bpio_place *place)
{
	const struct bpio_segment *segment;
	sector_t skip;

	segment = bpio_segment_find(route->segments, route->nr, sector);
	if (unlikely(!segment))
		return false;
	if (unlikely(!segment->bdev))
		return bpio_segment_find_striped(segment, sector, place);

	skip = sector - segment->start;
	place->bdev = segment->bdev;
	place->sector = segment->target + skip;
	place->room = segment->length - skip;
	return true;
}

#endif /* BPIO_ROUTE_H */
