/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_DIRECT_H
#define BPIO_DIRECT_H

#include <linux/bio.h>
#include <linux/fs.h>
#include <linux/minmax.h>
#include <linux/uio.h>
#include <linux/dm-bpio.h>

#include "extent.h"
#include "file.h"
#include "open_file.h"
#include "plant.h"
#include "route.h"
#include "standing.h"

/*
 * While a read holds i_dio_count and a route, it waits only for the device: a
 * truncation and a suspend wait for it, so it must wait neither for memory nor for a
 * mempool. Without memory it falls back to the file system, which may wait because
 * neither is held then.
 */
#define BPIO_DIRECT_GFP	(GFP_NOWAIT | __GFP_NOWARN)

/**
 * struct bpio_piece - part of a read that is contiguous on one device
 * @bdev: the device
 * @sector: first 512-byte sector on it
 * @bytes: length
 */
struct bpio_piece {
	struct block_device	*bdev;
	sector_t		sector;
	size_t			bytes;
};

/**
 * struct bpio_direct - a read that may go direct
 * @of: the open file
 * @route: the route; holds a reference
 * @map: the map, to find further pieces, with a reference; NULL if @first is all
 * @first: the first piece
 * @count: bytes to read, up to the end of the block in which the file ends
 * @limit: bytes to return: those before the end of the file
 * @flags: REQ_* for the bio if there is only one
 *
 * From bpio_direct_begin() until its bios have completed, the read also holds
 * the i_dio_count of the inode.
 */
struct bpio_direct {
	struct bpio_open_file	*of;
	struct bpio_route	*route;
	struct bpio_extent_map	*map;
	struct bpio_piece	first;
	size_t			count;
	size_t			limit;
	blk_opf_t		flags;
};

enum bpio_reason bpio_direct_obstacle(const struct bpio_open_file *of);
ssize_t bpio_direct_read(struct bpio_open_file *of, struct kiocb *iocb,
			 struct iov_iter *to, bool present);
int bpio_direct_fill(const struct bpio_direct *direct, struct bio *bio,
		     struct iov_iter *to, bool part);
ssize_t bpio_direct_unfilled(const struct bpio_direct *direct, struct kiocb *iocb,
			     struct iov_iter *to, int error);
void bpio_direct_wake(struct task_struct **waiter);
void bpio_direct_sleep(struct task_struct **waiter);

/**
 * bpio_direct_blocked() - whether flags keep reads from going direct
 * @of: the open file
 * @state: a value of of->file->state
 *
 * Context: any.
 * Return: the reason, or BPIO_REASON_NONE.
 */
static inline enum bpio_reason
bpio_direct_blocked(const struct bpio_open_file *of, unsigned long state)
{
	if (unlikely(READ_ONCE(of->disabled)))
		return BPIO_REASON_DISABLED;
	if (unlikely(!READ_ONCE(bpio_standing_on)))
		return BPIO_REASON_SWITCHED_OFF;
	return unlikely(state) ? bpio_file_reason(of->file, state) :
				 BPIO_REASON_NONE;
}

/**
 * bpio_direct_find() - find the first piece of a range of a file
 * @map: where the file's blocks are on the volume
 * @route: where the volume's sectors are
 * @pos: offset in the file, in bytes
 * @count: length of the range
 * @piece: out: the piece
 *
 * Context: any; the caller is under RCU or holds references.
 * Return: BPIO_REASON_NONE, or why the range cannot be read direct.
 */
static inline enum bpio_reason
bpio_direct_find(const struct bpio_extent_map *map,
		 const struct bpio_route *route, loff_t pos, size_t count,
		 struct bpio_piece *piece)
{
	const struct bpio_extent *extent = bpio_extent_find(map, pos);
	struct bpio_place place;
	u64 skip;

	if (unlikely(!extent)) {
		if (bpio_extent_map_knows(map, pos))
			return BPIO_REASON_UNMAPPED;
		return READ_ONCE(map->full) ? BPIO_REASON_MAP_LIMIT :
					      BPIO_REASON_NOT_ARMED;
	}
	skip = pos - extent->offset;
	if (unlikely(!bpio_route_find(route,
				      extent->sector + (skip >> SECTOR_SHIFT),
				      &place)))
		return BPIO_REASON_VOLUME_SUSPENDED;

	piece->bdev = place.bdev;
	piece->sector = place.sector;
	piece->bytes = min3((u64)count, extent->length - skip,
			    place.room << SECTOR_SHIFT);
	return BPIO_REASON_NONE;
}

/**
 * bpio_direct_vecs() - number of pages that an iterator spans
 * @to: the iterator
 * @max: limit of the count
 *
 * Context: any.
 * Return: the number, at most @max; 0 if @to has bio_vecs.
 */
static inline unsigned int bpio_direct_vecs(struct iov_iter *to, int max)
{
	if (likely(iter_is_ubuf(to)))
		return min_t(size_t, max,
			     DIV_ROUND_UP(offset_in_page(to->ubuf + to->iov_offset) +
					  iov_iter_count(to), PAGE_SIZE));
	return bio_iov_vecs_to_alloc(to, max);
}

/**
 * bpio_direct_end() - drop i_dio_count and the reference to the route
 * @of: the open file
 * @route: the route
 *
 * Call it when all bios have completed: then blocks may be freed, and the stack may be
 * suspended.
 *
 * Context: any.
 */
static inline void bpio_direct_end(struct bpio_open_file *of,
				   struct bpio_route *route)
{
	if (!bpio_plant(BPIO_PLANT_DIO_COUNT))
		inode_dio_end(of->file->inode);
	percpu_ref_put(&route->ref);
}

/**
 * bpio_direct_count() - count a read that went direct
 * @of: the open file
 * @bytes: the bytes it returned
 *
 * Context: any.
 */
static inline void bpio_direct_count(struct bpio_open_file *of, size_t bytes)
{
	struct bpio_volume *volume = of->file->volume;

	this_cpu_inc(of->stats->direct_reads);
	this_cpu_add(of->stats->direct_bytes, bytes);
	this_cpu_inc(volume->stats->direct_reads);
	this_cpu_add(volume->stats->direct_bytes, bytes);
}

#endif /* BPIO_DIRECT_H */
