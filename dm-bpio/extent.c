// SPDX-License-Identifier: GPL-2.0-only
/*
 * The extent map of a file, built by asking the file system block by block.
 *
 * bmap() is the only interface by which a module may ask ext4 or XFS where a block
 * lies. It answers for one block at a time, 0 for anything that is not plain
 * data on the device (holes, preallocated and inline ranges, errors), writes
 * dirty pages back first, and takes the inode lock shared.
 */
#include <linux/blk_types.h>
#include <linux/overflow.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "extent.h"

/*
 * A bound on kernel memory: 4 Mi extents are 96 MiB for one file. Ranges behind
 * it stay unmapped and are read by the file system.
 */
#define BPIO_EXTENT_MAX		(4U << 20)

static int bpio_extent_grow(struct bpio_extent_builder *builder)
{
	unsigned int room = builder->room ? builder->room * 2 : 64;
	struct bpio_extent *extents;

	if (room > BPIO_EXTENT_MAX)
		return -E2BIG;

	extents = kvmalloc_array(room, sizeof(*extents), GFP_KERNEL);
	if (!extents)
		return -ENOMEM;

	if (builder->nr)
		memcpy(extents, builder->extents,
		       array_size(builder->nr, sizeof(*extents)));
	kvfree(builder->extents);
	builder->extents = extents;
	builder->room = room;
	return 0;
}

static int bpio_extent_add(struct bpio_extent_builder *builder, u64 offset,
			   u64 length, u64 sector)
{
	struct bpio_extent *last = builder->extents + builder->nr - 1;
	int ret;

	if (builder->nr && last->offset + last->length == offset &&
	    last->sector + (last->length >> SECTOR_SHIFT) == sector) {
		last->length += length;
		builder->mapped += length;
		return 0;
	}

	if (builder->nr == builder->room) {
		ret = bpio_extent_grow(builder);
		if (ret)
			return ret;
	}

	builder->extents[builder->nr++] = (struct bpio_extent) {
		.offset = offset,
		.length = length,
		.sector = sector,
	};
	builder->mapped += length;
	return 0;
}

/**
 * bpio_extent_walk() - map the next part of a file
 * @builder: what was mapped so far; continued at @builder->end
 * @inode: the file
 * @end: byte offset to stop at, rounded up to whole blocks
 *
 * Context: process context, sleeps, does file-system I/O; the caller holds
 * neither the inode lock nor anything that a suspend of the volume waits for.
 * Return: 0, -EINTR on a signal, -ENOMEM, -E2BIG, or an error of bmap().
 */
int bpio_extent_walk(struct bpio_extent_builder *builder, struct inode *inode,
		     u64 end)
{
	unsigned int bits = inode->i_blkbits;
	sector_t block;
	int ret;

	while (builder->end < end) {
		if (signal_pending(current))
			return -EINTR;

		block = builder->end >> bits;
		ret = bmap(inode, &block);
		if (ret)
			return ret;

		if (block) {
			ret = bpio_extent_add(builder, builder->end,
					      1ULL << bits,
					      block << (bits - SECTOR_SHIFT));
			if (ret)
				return ret;
		}
		builder->end += 1ULL << bits;
		cond_resched();
	}
	return 0;
}

/**
 * bpio_extent_map_create() - freeze what was built into a map
 * @builder: the extents; stays usable for further walking
 *
 * Context: may sleep.
 * Return: a map with one reference, or NULL without memory.
 */
struct bpio_extent_map *
bpio_extent_map_create(const struct bpio_extent_builder *builder)
{
	struct bpio_extent_map *map;

	map = kvmalloc(struct_size(map, extents, builder->nr), GFP_KERNEL);
	if (!map)
		return NULL;

	refcount_set(&map->ref, 1);
	map->end = builder->end;
	map->mapped = builder->mapped;
	map->nr = builder->nr;
	memcpy(map->extents, builder->extents,
	       array_size(builder->nr, sizeof(*map->extents)));
	return map;
}

/**
 * bpio_extent_builder_exit() - free what a builder holds
 * @builder: the builder
 *
 * Context: may sleep.
 */
void bpio_extent_builder_exit(struct bpio_extent_builder *builder)
{
	kvfree(builder->extents);
}

/**
 * bpio_extent_map_put() - drop a reference to a map
 * @map: the map, or NULL
 *
 * Readers that found the map under RCU may use it for a grace period more.
 *
 * Context: any, also interrupt context.
 */
void bpio_extent_map_put(struct bpio_extent_map *map)
{
	if (map && refcount_dec_and_test(&map->ref))
		kvfree_rcu(map, rcu);
}
