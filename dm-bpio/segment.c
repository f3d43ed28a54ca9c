// SPDX-License-Identifier: GPL-2.0-only
/*
 * Segments: where the sectors of a volume lie. A route has a list of them; a striped
 * segment has a list for each of its legs.
 *
 * Level: foundation.
 */
#include <linux/mm.h>
#include <linux/slab.h>

#include "plant.h"
#include "segment.h"
#include "stripes.h"

/* Maximum length of one list. */
#define BPIO_SEGMENTS_MAX	65536

/**
 * bpio_segment_find_striped() - find the place of a sector of a striped segment
 * @segment: the segment
 * @sector: 512-byte sector in it, counted like @segment->start
 * @place: out: the place
 *
 * Context: any; the caller keeps the route alive by RCU or a reference.
 * Return: whether the sector has a place.
 */
bool bpio_segment_find_striped(const struct bpio_segment *segment,
			       sector_t sector, struct bpio_place *place)
{
	sector_t room = segment->length - (sector - segment->start);
	const struct bpio_stripes *stripes;
	const struct bpio_segments *leg;
	u32 number, left;

	do {
		stripes = segment->stripes;
		sector += stripes->start - segment->start;
		number = bpio_stripes_find(stripes->nr, stripes->chunk, &sector,
					   &left);
		if (bpio_plant(BPIO_PLANT_STRIPE))
			number = (number + 1) % stripes->nr;
		leg = &stripes->legs[number];
		segment = leg->nr ? bpio_segment_find(leg->list, leg->nr, sector) :
				    NULL;
		if (unlikely(!segment))
			return false;
		room = min3(room, (sector_t)left,
			    segment->length - (sector - segment->start));
	} while (unlikely(!segment->bdev));

	place->bdev = segment->bdev;
	place->sector = sector - segment->start + segment->target;
	place->room = room;
	return true;
}

/**
 * bpio_stripes_alloc() - allocate a striped set of empty legs
 * @nr: number of legs
 * @chunk: sectors of a chunk
 * @start: 512-byte sector on the set at which the segment begins
 *
 * Context: may sleep.
 * Return: the set with one reference, or NULL without memory.
 */
struct bpio_stripes *bpio_stripes_alloc(unsigned int nr, u32 chunk,
					sector_t start)
{
	struct bpio_stripes *stripes;

	stripes = kvzalloc(struct_size(stripes, legs, nr), GFP_KERNEL);
	if (!stripes)
		return NULL;
	stripes->nr = nr;
	stripes->chunk = chunk;
	stripes->start = start;
	refcount_set(&stripes->ref, 1);
	return stripes;
}

static void bpio_stripes_put(struct bpio_stripes *stripes)
{
	unsigned int i;

	if (!refcount_dec_and_test(&stripes->ref))
		return;
	for (i = 0; i < stripes->nr; i++)
		bpio_segments_free(&stripes->legs[i]);
	kvfree(stripes);
}

/**
 * bpio_segments_get() - take a reference to each striped set of a list
 * @list: segments that were copied from another list
 * @nr: number of segments
 *
 * Context: any.
 */
void bpio_segments_get(const struct bpio_segment *list, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		if (!list[i].bdev)
			refcount_inc(&list[i].stripes->ref);
}

/**
 * bpio_segments_put() - drop the references of a list
 * @list: the segments
 * @nr: number of segments
 *
 * Context: any. Recurses for stripes of stripes; the depth of a walk bounds it.
 */
void bpio_segments_put(const struct bpio_segment *list, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		if (!list[i].bdev)
			bpio_stripes_put(list[i].stripes);
}

/**
 * bpio_segments_free() - free a list with its references
 * @segments: the list
 *
 * Context: any.
 */
void bpio_segments_free(struct bpio_segments *segments)
{
	bpio_segments_put(segments->list, segments->nr);
	kvfree(segments->list);
	*segments = (struct bpio_segments) {};
}

static int bpio_segments_grow(struct bpio_segments *segments)
{
	unsigned int room = segments->room ? segments->room * 2 : 4;
	struct bpio_segment *list;

	if (room > BPIO_SEGMENTS_MAX)
		return -ENOMEM;
	list = kvmalloc_array(room, sizeof(*list), GFP_KERNEL);
	if (!list)
		return -ENOMEM;
	if (segments->nr)
		memcpy(list, segments->list,
		       array_size(segments->nr, sizeof(*list)));
	kvfree(segments->list);
	segments->list = list;
	segments->room = room;
	return 0;
}

/**
 * bpio_segments_append() - add a segment behind the last one
 * @segments: the list
 * @segment: starts where the last one ends; the list takes over its reference
 *
 * Segments that are contiguous below as well are merged.
 *
 * Context: may sleep.
 * Return: 0, or -ENOMEM, also when the list is too long; the caller then keeps the
 * reference.
 */
int bpio_segments_append(struct bpio_segments *segments,
			 const struct bpio_segment *segment)
{
	struct bpio_segment *last;
	int ret;

	if (segments->nr && segment->bdev) {
		last = &segments->list[segments->nr - 1];
		if (last->bdev == segment->bdev &&
		    last->target + last->length == segment->target) {
			last->length += segment->length;
			return 0;
		}
	}
	if (segments->nr == segments->room) {
		ret = bpio_segments_grow(segments);
		if (ret)
			return ret;
	}
	segments->list[segments->nr++] = *segment;
	return 0;
}

static bool bpio_stripes_equal(const struct bpio_stripes *a,
			       const struct bpio_stripes *b)
{
	unsigned int i;

	if (a == b)
		return true;
	if (a->nr != b->nr || a->chunk != b->chunk || a->start != b->start)
		return false;
	for (i = 0; i < a->nr; i++)
		if (a->legs[i].nr != b->legs[i].nr ||
		    !bpio_segments_equal(a->legs[i].list, b->legs[i].list,
					 a->legs[i].nr))
			return false;
	return true;
}

/**
 * bpio_segments_equal() - whether two lists lead to the same sectors
 * @a: one list
 * @b: the other
 * @nr: number of segments of either
 *
 * Context: any.
 */
bool bpio_segments_equal(const struct bpio_segment *a,
			 const struct bpio_segment *b, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++) {
		if (a[i].start != b[i].start || a[i].length != b[i].length ||
		    a[i].bdev != b[i].bdev)
			return false;
		if (a[i].bdev ? a[i].target != b[i].target :
				!bpio_stripes_equal(a[i].stripes, b[i].stripes))
			return false;
	}
	return true;
}

/**
 * bpio_segment_bdev() - the first device that a segment leads to
 * @segment: the segment
 *
 * Context: any.
 */
struct block_device *bpio_segment_bdev(const struct bpio_segment *segment)
{
	const struct bpio_segments *leg;

	while (!segment->bdev) {
		/* A segment is not empty, so at least one leg is not. */
		leg = segment->stripes->legs;
		while (!leg->nr)
			leg++;
		segment = leg->list;
	}
	return segment->bdev;
}

/**
 * bpio_segments_visit() - visit the devices that a list leads to
 * @list: the segments
 * @nr: number of segments
 * @fn: called for each, perhaps several times for the same
 * @data: for @fn
 *
 * Context: any.
 */
void bpio_segments_visit(const struct bpio_segment *list, unsigned int nr,
			 void (*fn)(struct block_device *bdev, void *data),
			 void *data)
{
	const struct bpio_stripes *stripes;
	unsigned int i, leg;

	for (i = 0; i < nr; i++) {
		if (list[i].bdev) {
			fn(list[i].bdev, data);
			continue;
		}
		stripes = list[i].stripes;
		for (leg = 0; leg < stripes->nr; leg++)
			bpio_segments_visit(stripes->legs[leg].list,
					    stripes->legs[leg].nr, fn, data);
	}
}
