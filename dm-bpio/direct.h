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
#include "handle.h"
#include "plant.h"
#include "route.h"

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
 * @handle: what is read
 * @route: the way; holds a reference
 * @map: for finding further pieces, with a reference, or NULL when @first is all
 * @first: the first piece
 * @count: bytes of the read, cut at the end of the file
 * @flags: REQ_* for its bio when it is a single one
 *
 * From bpio_direct_begin() until its bios have completed, the read also holds
 * the i_dio_count of the inode.
 */
struct bpio_direct {
	struct bpio_handle	*handle;
	struct bpio_route	*route;
	struct bpio_extent_map	*map;
	struct bpio_piece	first;
	size_t			count;
	blk_opf_t		flags;
};

enum bpio_reason bpio_direct_obstacle(const struct bpio_handle *handle);
ssize_t bpio_direct_read(struct bpio_handle *handle, struct kiocb *iocb,
			 struct iov_iter *to, bool present);
int bpio_direct_fill(struct bio *bio, struct iov_iter *to,
		     struct block_device *bdev);
void bpio_direct_wake(struct task_struct **waiter);
void bpio_direct_sleep(struct task_struct **waiter);

/**
 * bpio_direct_find() - the first piece of a range of a file
 * @map: where its blocks lie on the volume
 * @route: where the volume's sectors lie
 * @pos: offset in the file, in bytes
 * @count: length of the range
 * @piece: the piece, out
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
	const struct bpio_segment *segment;
	sector_t sector;
	u64 skip, room;

	if (unlikely(!extent))
		return pos < map->end ? BPIO_REASON_UNMAPPED :
					BPIO_REASON_NOT_ARMED;
	skip = pos - extent->offset;
	sector = extent->sector + (skip >> SECTOR_SHIFT);

	segment = bpio_route_find(route, sector);
	if (unlikely(!segment))
		return BPIO_REASON_VOLUME_SUSPENDED;
	skip = extent->length - skip;
	room = (segment->start + segment->length - sector) << SECTOR_SHIFT;

	piece->bdev = segment->bdev;
	piece->sector = sector - segment->start + segment->target;
	piece->bytes = min3((u64)count, skip, room);
	return BPIO_REASON_NONE;
}

/**
 * bpio_direct_vecs() - pages that an iterator spans
 * @to: the iterator
 * @max: the most that matters
 *
 * Context: any.
 * Return: the number, at most @max; 0 when @to brings vectors of its own.
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
 * bpio_direct_end() - undo what let a read go direct
 * @handle: the handle
 * @route: the route
 *
 * All bios have completed: blocks may be freed, the stack may be suspended.
 *
 * Context: any.
 */
static inline void bpio_direct_end(struct bpio_handle *handle,
				   struct bpio_route *route)
{
	if (!bpio_plant(BPIO_PLANT_DIO_COUNT))
		inode_dio_end(handle->file->inode);
	percpu_ref_put(&route->ref);
}

/**
 * bpio_direct_count() - count a read that went direct
 * @handle: the handle
 * @bytes: what it returned
 *
 * Context: any.
 */
static inline void bpio_direct_count(struct bpio_handle *handle, size_t bytes)
{
	this_cpu_inc(handle->stats->counters.direct_reads);
	this_cpu_add(handle->stats->counters.direct_bytes, bytes);
}

/**
 * bpio_direct_would_wait() - whether a bio failed because it must not wait
 * @bio: a bio that has failed
 *
 * A mapped device keeps saying that it can be asked not to wait after a table
 * below it was replaced by one that cannot, which then refuses the question.
 *
 * Context: any.
 */
static inline bool bpio_direct_would_wait(const struct bio *bio)
{
	return bio->bi_status == BLK_STS_AGAIN ||
	       (bio->bi_status == BLK_STS_NOTSUPP && bio->bi_opf & REQ_NOWAIT);
}

#endif /* BPIO_DIRECT_H */
