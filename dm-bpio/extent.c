// SPDX-License-Identifier: GPL-2.0-only
/*
 * Extent maps of files, and the slow way to build one: bmap(). It maps one block at
 * a time, returns 0 for anything that is not plain data on the device (holes,
 * preallocated and inline ranges, errors), and for all blocks of an XFS file that has
 * or had shared blocks. It writes back dirty pages first, and takes the inode lock
 * shared. The fast way is in probe.c.
 *
 * Level: foundation.
 */
#include <linux/blk_types.h>
#include <linux/log2.h>
#include <linux/moduleparam.h>
#include <linux/overflow.h>
#include <linux/slab.h>

#include "extent.h"

/*
 * Limits on kernel memory, for one file (4 Mi extents are 96 MiB) and for all maps
 * together. The file system reads the ranges that do not fit.
 */
#define BPIO_EXTENT_MAX		(4U << 20)

/* Charged, see bpio_file.memcg. A map is not worth waking the OOM killer. */
#define BPIO_EXTENT_GFP	(GFP_KERNEL_ACCOUNT | __GFP_NORETRY | __GFP_NOWARN)

static unsigned long bpio_extent_map_limit = 256;
module_param_named(map_memory, bpio_extent_map_limit, ulong, 0644);
MODULE_PARM_DESC(map_memory, "Memory limit for the extent maps of all files, in MiB");

/* Bytes of all maps that are not freed yet. */
static atomic_long_t bpio_extent_map_bytes;

/**
 * bpio_extent_reserve() - make room for extents
 * @builder: the builder
 * @more: how many
 *
 * Context: may sleep.
 * Return: 0, -ENOMEM, or -E2BIG when that exceeds BPIO_EXTENT_MAX.
 */
int bpio_extent_reserve(struct bpio_extent_builder *builder, unsigned int more)
{
	struct bpio_extent *extents;
	unsigned int room;

	if (builder->room - builder->nr >= more)
		return 0;
	room = roundup_pow_of_two(builder->nr + more);
	if (room > BPIO_EXTENT_MAX)
		return -E2BIG;

	extents = kvmalloc_array(room, sizeof(*extents), BPIO_EXTENT_GFP);
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

/**
 * bpio_extent_append() - add an extent
 * @builder: the builder, which is not full
 * @offset: first byte in the file, behind all extents added before
 * @length: bytes
 * @sector: first 512-byte sector on the volume
 *
 * Context: any.
 */
void bpio_extent_append(struct bpio_extent_builder *builder, u64 offset,
			u64 length, u64 sector)
{
	struct bpio_extent *last = builder->extents + builder->nr - 1;

	builder->mapped += length;
	if (builder->nr && last->offset + last->length == offset &&
	    last->sector + (last->length >> SECTOR_SHIFT) == sector) {
		last->length += length;
		return;
	}
	builder->extents[builder->nr++] = (struct bpio_extent) {
		.offset = offset,
		.length = length,
		.sector = sector,
	};
}

/**
 * bpio_extent_walk() - map the next part of a file, block by block
 * @builder: the extents so far; continued at @builder->end
 * @inode: the file
 * @end: byte offset to stop at, rounded up to whole blocks
 *
 * Stops early when @builder is full.
 *
 * Context: process context, sleeps, does file-system I/O; the caller holds
 * neither the inode lock nor anything that a suspend of the volume waits for.
 * Return: 0, -ENOMEM, -E2BIG, or an error of bmap().
 */
int bpio_extent_walk(struct bpio_extent_builder *builder, struct inode *inode,
		     u64 end)
{
	unsigned int bits = inode->i_blkbits;
	sector_t block;
	int ret;

	while (bpio_extent_goes_on(builder, end)) {
		block = builder->end >> bits;
		ret = bpio_extent_reserve(builder, 1);
		if (!ret)
			ret = bmap(inode, &block);
		if (ret)
			return ret;

		if (block)
			bpio_extent_append(builder, builder->end, 1ULL << bits,
					   block << (bits - SECTOR_SHIFT));
		builder->end += 1ULL << bits;
		cond_resched();
	}
	return 0;
}

/**
 * bpio_extent_truncate() - drop the extents behind an offset
 * @builder: the builder
 * @end: byte offset, at least @builder->start; the next walk continues there
 *
 * Context: any.
 */
void bpio_extent_truncate(struct bpio_extent_builder *builder, u64 end)
{
	struct bpio_extent *last;
	u64 cut;

	builder->end = end;
	while (builder->nr) {
		last = &builder->extents[builder->nr - 1];
		if (last->offset + last->length <= end)
			break;
		cut = last->offset + last->length - max(end, last->offset);
		builder->mapped -= cut;
		last->length -= cut;
		if (!last->length)
			builder->nr--;
	}
}

/**
 * bpio_extent_builder_init() - begin to build a map
 * @builder: the builder
 * @map: the map to continue at its end, or NULL
 * @start: byte offset in the file of the first block, if @map is NULL
 * @more: extents after which walks stop
 *
 * Context: may sleep.
 * Return: 0, -ENOMEM, -E2BIG.
 */
int bpio_extent_builder_init(struct bpio_extent_builder *builder,
			     const struct bpio_extent_map *map, u64 start,
			     unsigned int more)
{
	int ret;

	*builder = (struct bpio_extent_builder) {
		.start = start, .end = start, .goal = more,
	};
	if (!map)
		return 0;

	ret = bpio_extent_reserve(builder, map->nr);
	if (ret)
		return ret;
	memcpy(builder->extents, map->extents,
	       array_size(map->nr, sizeof(*map->extents)));
	builder->nr = map->nr;
	builder->goal = map->nr + more;
	builder->start = map->start;
	builder->end = map->end;
	builder->mapped = map->mapped;
	return 0;
}

/**
 * bpio_extent_map_create() - make an immutable map of the extents
 * @builder: the extents
 *
 * Context: may sleep.
 * Return: a map with one reference; -ENOMEM, or -E2BIG when all maps together
 * would exceed their memory limit.
 */
struct bpio_extent_map *
bpio_extent_map_create(const struct bpio_extent_builder *builder)
{
	unsigned long limit = READ_ONCE(bpio_extent_map_limit);
	struct bpio_extent_map *map;
	long bytes;

	bytes = struct_size(map, extents, builder->nr);
	if (atomic_long_add_return(bytes, &bpio_extent_map_bytes) >> 20 >= limit) {
		atomic_long_sub(bytes, &bpio_extent_map_bytes);
		return ERR_PTR(-E2BIG);
	}
	map = kvmalloc(bytes, BPIO_EXTENT_GFP);
	if (!map) {
		atomic_long_sub(bytes, &bpio_extent_map_bytes);
		return ERR_PTR(-ENOMEM);
	}

	refcount_set(&map->ref, 1);
	map->start = builder->start;
	map->end = builder->end;
	map->mapped = builder->mapped;
	map->full = false;
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
 * Readers that found the map under RCU may use it for another grace period.
 *
 * Context: any, also interrupt context.
 */
void bpio_extent_map_put(struct bpio_extent_map *map)
{
	if (!map || !refcount_dec_and_test(&map->ref))
		return;
	atomic_long_sub(struct_size(map, extents, map->nr),
			&bpio_extent_map_bytes);
	kvfree_rcu(map, rcu);
}
