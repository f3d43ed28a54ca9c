/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_EXTENT_H
#define BPIO_EXTENT_H

#include <linux/fs.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/types.h>

/**
 * struct bpio_extent - a run of a file that is contiguous on the volume
 * @offset: first byte in the file
 * @length: bytes
 * @sector: first 512-byte sector on the volume
 */
struct bpio_extent {
	u64	offset;
	u64	length;
	u64	sector;
};

/**
 * struct bpio_extent_map - where the data of a file lies; only @full may change
 * @ref: one while published, one for each read that spans extents
 * @rcu: for freeing
 * @start: offset in the file, in bytes, of the part that is known
 * @end: where that part ends
 * @mapped: bytes of that part that the extents cover
 * @full: the map cannot grow, because it reached a memory limit
 * @nr: number of extents
 * @extents: sorted by offset, not overlapping, adjacent ones merged
 */
struct bpio_extent_map {
	refcount_t		ref;
	struct rcu_head		rcu;
	u64			start;
	u64			end;
	u64			mapped;
	bool			full;
	unsigned int		nr;
	struct bpio_extent	extents[] __counted_by(nr);
};

/**
 * struct bpio_extent_builder - a map under construction
 * @extents: extents found so far
 * @nr: number of @extents
 * @room: number of extents allocated
 * @goal: number of extents after which walks stop
 * @start: offset in the file, in bytes, where the map begins
 * @end: offset in the file, in bytes, where the next walk continues
 * @mapped: bytes covered
 */
struct bpio_extent_builder {
	struct bpio_extent	*extents;
	unsigned int		nr;
	unsigned int		room;
	unsigned int		goal;
	u64			start;
	u64			end;
	u64			mapped;
};

int bpio_extent_builder_init(struct bpio_extent_builder *builder,
			     const struct bpio_extent_map *map, u64 start,
			     unsigned int more);
void bpio_extent_builder_exit(struct bpio_extent_builder *builder);
int bpio_extent_reserve(struct bpio_extent_builder *builder, unsigned int more);
void bpio_extent_append(struct bpio_extent_builder *builder, u64 offset,
			u64 length, u64 sector);
void bpio_extent_truncate(struct bpio_extent_builder *builder, u64 end);
int bpio_extent_walk(struct bpio_extent_builder *builder, struct inode *inode,
		     u64 end);
struct bpio_extent_map *
bpio_extent_map_create(const struct bpio_extent_builder *builder);
void bpio_extent_map_put(struct bpio_extent_map *map);

/**
 * bpio_extent_is_full() - whether a builder has no room for another extent
 * @builder: the builder
 *
 * Context: any.
 */
static inline bool bpio_extent_is_full(const struct bpio_extent_builder *builder)
{
	return builder->nr == builder->room;
}

/**
 * bpio_extent_goes_on() - whether a walk has to continue
 * @builder: the extents so far
 * @end: byte offset to stop at
 *
 * Context: any.
 */
static inline bool
bpio_extent_goes_on(const struct bpio_extent_builder *builder, u64 end)
{
	return builder->end < end && builder->nr < builder->goal;
}

/**
 * bpio_extent_map_knows() - whether a byte of the file lies in the known part
 * @map: the map
 * @offset: byte offset in the file
 *
 * Context: any.
 */
static inline bool bpio_extent_map_knows(const struct bpio_extent_map *map,
					 u64 offset)
{
	return offset - map->start < map->end - map->start;
}

/**
 * bpio_extent_find() - find the extent that contains a byte of the file
 * @map: the map
 * @offset: byte offset in the file
 *
 * Context: any; the caller keeps @map alive by RCU or a reference.
 * Return: the extent, or NULL when the byte is not mapped.
 */
static inline const struct bpio_extent *
bpio_extent_find(const struct bpio_extent_map *map, u64 offset)
{
	const struct bpio_extent *base = map->extents;
	unsigned int nr = map->nr;

	if (!nr)
		return NULL;

	/* Branch-free binary search: the last extent that starts at or before offset. */
	while (nr > 1) {
		unsigned int half = nr / 2;

		base = base[half].offset <= offset ? base + half : base;
		nr -= half;
	}

	/* One unsigned comparison also catches an offset before the extent. */
	return offset - base->offset < base->length ? base : NULL;
}

#endif /* BPIO_EXTENT_H */
