/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_SEGMENT_H
#define BPIO_SEGMENT_H

#include <linux/blkdev.h>
#include <linux/minmax.h>
#include <linux/refcount.h>
#include <linux/types.h>

struct bpio_stripes;

/**
 * struct bpio_segment - a range of sectors and where its reads enter the stack
 * @start: first 512-byte sector, on the volume or on the leg it is part of
 * @length: sectors
 * @bdev: device the bio is sent to; kept open by the layer that maps to it. NULL if
 *	the range is striped
 * @target: sector of @bdev to which @start maps
 * @stripes: if @bdev is NULL: the striped set; holds a reference
 */
struct bpio_segment {
	sector_t		start;
	sector_t		length;
	struct block_device	*bdev;
	union {
		sector_t		target;
		struct bpio_stripes	*stripes;
	};
};

/**
 * struct bpio_segments - a list of segments
 * @list: sorted by start, without gaps
 * @nr: number of segments
 * @room: number of segments allocated
 */
struct bpio_segments {
	struct bpio_segment	*list;
	unsigned int		nr;
	unsigned int		room;
};

/**
 * struct bpio_stripes - a range of a striped set; immutable
 * @ref: number of segments that refer to it, of a route and its clones
 * @start: 512-byte sector on the set at which the segment begins
 * @chunk: 512-byte sectors of a chunk
 * @nr: number of legs
 * @legs: for each leg, the segments of its part of the range, by sectors of the leg;
 *	empty for a leg that the range does not reach
 *
 * Chunks are computed, not listed, so the size does not depend on their number. A
 * segment of a leg may be striped in turn.
 */
struct bpio_stripes {
	refcount_t		ref;
	sector_t		start;
	u32			chunk;
	unsigned int		nr;
	struct bpio_segments	legs[] __counted_by(nr);
};

/**
 * struct bpio_place - where the reads of a sector enter the stack
 * @bdev: the device
 * @sector: 512-byte sector on it
 * @room: number of contiguous sectors from there on, at least 1
 */
struct bpio_place {
	struct block_device	*bdev;
	sector_t		sector;
	sector_t		room;
};

bool bpio_segment_find_striped(const struct bpio_segment *segment,
			       sector_t sector, struct bpio_place *place);

struct bpio_stripes *bpio_stripes_alloc(unsigned int nr, u32 chunk,
					sector_t start);
void bpio_segments_get(const struct bpio_segment *list, unsigned int nr);
void bpio_segments_put(const struct bpio_segment *list, unsigned int nr);
void bpio_segments_free(struct bpio_segments *segments);
int bpio_segments_append(struct bpio_segments *segments,
			 const struct bpio_segment *segment);
bool bpio_segments_equal(const struct bpio_segment *a,
			 const struct bpio_segment *b, unsigned int nr);
struct block_device *bpio_segment_bdev(const struct bpio_segment *segment);
void bpio_segments_visit(const struct bpio_segment *list, unsigned int nr,
			 void (*fn)(struct block_device *bdev, void *data),
			 void *data);

/**
 * bpio_segment_find() - find the segment of a list that contains a sector
 * @list: sorted by start, without gaps
 * @nr: number of segments, at least 1
 * @sector: 512-byte sector
 *
 * Context: any.
 * Return: the segment, or NULL when the sector is in none.
 */
static inline const struct bpio_segment *
bpio_segment_find(const struct bpio_segment *list, unsigned int nr,
		  sector_t sector)
{
	const struct bpio_segment *base = list;

	while (nr > 1) {
		unsigned int half = nr / 2;

		base = base[half].start <= sector ? base + half : base;
		nr -= half;
	}
	return sector - base->start < base->length ? base : NULL;
}

#endif /* BPIO_SEGMENT_H */
