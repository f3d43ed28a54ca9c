// SPDX-License-Identifier: GPL-2.0-only
/*
 * Direct reads: from an offset in a file to bios for the device at the bottom.
 */
#include <linux/bio.h>
#include <linux/moduleparam.h>
#include <linux/pagemap.h>
#include <linux/slab.h>

#include "compat.h"
#include "direct.h"
#include "extent.h"
#include "fallback.h"
#include "file.h"
#include "handle.h"
#include "io.h"
#include "route.h"
#include "trace.h"

/* Pages that the bio of a small synchronous read has room for on the stack. */
#define BPIO_DIRECT_INLINE_VECS	4

/* Flags that the file system may raise on a file that is open read-only. */
#define BPIO_DIRECT_REFUSED	(S_VERITY | S_ENCRYPTED | S_DAX | S_SWAPFILE)

static bool bpio_direct_on = true;
module_param_named(bypass, bpio_direct_on, bool, 0644);
MODULE_PARM_DESC(bypass, "Let reads go direct; N makes the file system serve all");

static enum bpio_reason bpio_direct_check_file(const struct bpio_handle *handle)
{
	struct bpio_file *file = handle->file;
	struct address_space *mapping = file->inode->i_mapping;
	/* Pairs with clear_bit_unlock() in bpio_file_publish(). */
	unsigned long state = smp_load_acquire(&file->state);

	if (unlikely(READ_ONCE(handle->disabled)))
		return BPIO_REASON_DISABLED;
	if (unlikely(!READ_ONCE(bpio_direct_on)))
		return BPIO_REASON_SWITCHED_OFF;
	if (unlikely(state))
		return bpio_file_reason(file, state);
	if (unlikely(READ_ONCE(file->inode->i_flags) & BPIO_DIRECT_REFUSED))
		return bpio_file_refuse(file->inode);
	/*
	 * Pages that were pinned for DMA before the file was armed may become
	 * dirty without a writer.
	 */
	if (unlikely(mapping_tagged(mapping, PAGECACHE_TAG_DIRTY) ||
		     mapping_tagged(mapping, PAGECACHE_TAG_WRITEBACK)))
		return BPIO_REASON_DIRTY_PAGES;
	return BPIO_REASON_NONE;
}

/**
 * bpio_direct_obstacle() - what keeps reads of a handle from going direct now
 * @handle: the handle
 *
 * Context: any.
 * Return: the reason, BPIO_REASON_NONE when mapped ranges are read direct.
 */
enum bpio_reason bpio_direct_obstacle(const struct bpio_handle *handle)
{
	struct bpio_volume *volume = handle->file->volume;
	enum bpio_reason reason = bpio_direct_check_file(handle);

	if (!reason && !rcu_access_pointer(volume->route))
		reason = READ_ONCE(volume->no_route);
	return reason;
}

/*
 * Cut the read at the end of the file. The last block of a file that does not
 * fill it is left to the file system, which knows what may be seen of it.
 */
static enum bpio_reason bpio_direct_clamp(const struct inode *inode, loff_t pos,
					  size_t *count)
{
	loff_t size = i_size_read(inode);

	if (likely(pos + *count <= (size & ~(loff_t)(i_blocksize(inode) - 1))))
		return BPIO_REASON_NONE;
	if (pos >= size || size & (i_blocksize(inode) - 1))
		return BPIO_REASON_END_OF_FILE;
	*count = size - pos;
	return BPIO_REASON_NONE;
}

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
enum bpio_reason bpio_direct_find(const struct bpio_extent_map *map,
				  const struct bpio_route *route,
				  loff_t pos, size_t count,
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

/* Whether the rest of the range is mapped too, however many pieces it takes. */
static enum bpio_reason bpio_direct_find_rest(const struct bpio_direct *direct,
					      const struct bpio_extent_map *map,
					      loff_t pos)
{
	size_t done = direct->first.bytes;
	struct bpio_piece piece;
	enum bpio_reason reason;

	while (done < direct->count) {
		reason = bpio_direct_find(map, direct->route, pos + done,
					  direct->count - done, &piece);
		if (reason)
			return reason;
		done += piece.bytes;
	}
	return BPIO_REASON_NONE;
}

/* Everything that may be looked at under RCU only; takes the references. */
static enum bpio_reason bpio_direct_lookup(struct bpio_direct *direct,
					   const struct kiocb *iocb,
					   const struct iov_iter *to)
{
	struct bpio_file *file = direct->handle->file;
	struct bpio_volume *volume = file->volume;
	struct bpio_route *route = direct->route;
	struct bpio_extent_map *map;
	enum bpio_reason reason;

	map = rcu_dereference(file->map);
	if (unlikely(!map))
		return BPIO_REASON_NOT_ARMED;
	if (unlikely(!route))
		return READ_ONCE(volume->no_route) ?: BPIO_REASON_VOLUME_SUSPENDED;
	if (unlikely((iocb->ki_pos | direct->count) & route->length_mask) ||
	    !bpio_compat_iter_is_aligned(to, route->memory_mask,
					 route->length_mask))
		return BPIO_REASON_UNALIGNED;

	reason = bpio_direct_find(map, route, iocb->ki_pos, direct->count,
				  &direct->first);
	if (unlikely(reason))
		return reason;

	/* A target that cannot say "not now" refuses the question altogether. */
	if (unlikely(iocb->ki_flags & IOCB_NOWAIT &&
		     !bdev_nowait(direct->first.bdev)))
		return BPIO_REASON_NO_WAIT;

	direct->map = NULL;
	if (unlikely(direct->first.bytes < direct->count)) {
		reason = bpio_direct_find_rest(direct, map, iocb->ki_pos);
		if (reason)
			return reason;
		/* Several bios cannot be submitted without waiting. */
		if (iocb->ki_flags & IOCB_NOWAIT)
			return BPIO_REASON_NO_WAIT;
		if (!refcount_inc_not_zero(&map->ref))
			return BPIO_REASON_REVOKED;
		direct->map = map;
	}

	if (likely(percpu_ref_tryget_live(&route->ref)))
		return BPIO_REASON_NONE;
	bpio_extent_map_put(direct->map);
	return BPIO_REASON_VOLUME_SUSPENDED;
}

/**
 * bpio_direct_begin() - see whether a read may go direct now
 * @direct: what bpio_direct_read() needs, out
 * @handle: the handle
 * @iocb: where to read
 * @to: how much, and where to
 *
 * The order here is what makes a direct read safe; see the top of file.c. First
 * i_dio_count is raised, then, behind a full barrier, the state is looked at.
 * Whoever takes blocks from the file sets BPIO_FILE_REVOKED, has a full barrier,
 * and then waits until i_dio_count is zero. So if the state does not say
 * REVOKED, the breaker is behind us and will wait for our bios.
 *
 * The map that is found after that check is one of a time at which a lease was
 * held. It may be another one than was there at the check, when the file was
 * disarmed and armed again in between, but not one that has become wrong: blocks
 * cannot have been taken from the file since the check.
 *
 * Context: process context; does not sleep.
 * Return: BPIO_REASON_NONE, with i_dio_count raised and a reference to the route
 * held; BPIO_REASON_NO_WAIT when the read may go direct once it may wait; or why
 * the file system has to serve it.
 */
enum bpio_reason bpio_direct_begin(struct bpio_direct *direct,
				   struct bpio_handle *handle,
				   const struct kiocb *iocb,
				   const struct iov_iter *to)
{
	struct inode *inode = handle->file->inode;
	enum bpio_reason reason;

	direct->handle = handle;
	direct->count = iov_iter_count(to);

	/* A first look spares those who wait for i_dio_count to become zero. */
	reason = bpio_direct_check_file(handle);
	if (unlikely(reason))
		return reason;

	inode_dio_begin(inode);
	/* Pairs with the barrier in bpio_file_lease_break(). */
	smp_mb__after_atomic();

	rcu_read_lock();
	/*
	 * The route before the state. Whoever pauses or vetoes sets a flag,
	 * publishes a fresh route, and waits for the reads on the old one: a read
	 * that finds the fresh one must find the flag.
	 */
	direct->route = rcu_dereference(handle->file->volume->route);
	/* Pairs with the publication of the fresh route. */
	smp_rmb();
	reason = bpio_direct_check_file(handle);
	if (likely(!reason))
		reason = bpio_direct_clamp(inode, iocb->ki_pos, &direct->count);
	if (likely(!reason))
		reason = bpio_direct_lookup(direct, iocb, to);
	rcu_read_unlock();

	if (unlikely(reason))
		inode_dio_end(inode);
	return reason;
}

/**
 * bpio_direct_end() - undo bpio_direct_begin()
 * @handle: the handle
 * @route: the route
 *
 * All bios have completed: blocks may be freed, the stack may be suspended.
 *
 * Context: any.
 */
void bpio_direct_end(struct bpio_handle *handle, struct bpio_route *route)
{
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
void bpio_direct_count(struct bpio_handle *handle, size_t bytes)
{
	this_cpu_inc(handle->stats->counters.direct_reads);
	this_cpu_add(handle->stats->counters.direct_bytes, bytes);
}

/**
 * struct bpio_simple - a synchronous read of one bio, on the caller's stack
 * @bio: the bio
 * @waiter: the caller, NULL when the bio has completed
 * @inline_vecs: for reads of a few pages
 */
struct bpio_simple {
	struct bio		bio;
	struct task_struct	*waiter;
	struct bio_vec		inline_vecs[BPIO_DIRECT_INLINE_VECS];
};

/**
 * bpio_direct_wake() - end bpio_direct_sleep()
 * @waiter: who sleeps; gone as soon as it is NULL
 *
 * Context: any.
 */
void bpio_direct_wake(struct task_struct **waiter)
{
	struct task_struct *task = *waiter;

	WRITE_ONCE(*waiter, NULL);
	blk_wake_io_task(task);
}

/**
 * bpio_direct_sleep() - wait for the completion of a read
 * @waiter: the current task, until bpio_direct_wake() makes it NULL
 *
 * Context: sleeps, uninterruptibly, as for any I/O.
 */
void bpio_direct_sleep(struct task_struct **waiter)
{
	for (;;) {
		set_current_state(TASK_UNINTERRUPTIBLE);
		if (!READ_ONCE(*waiter))
			break;
		bpio_compat_io_schedule();
	}
	__set_current_state(TASK_RUNNING);
}

static void bpio_direct_simple_end_io(struct bio *bio)
{
	bpio_direct_wake(&container_of(bio, struct bpio_simple, bio)->waiter);
}

/**
 * bpio_direct_fill() - give a bio as many pages of the reader as it takes
 * @bio: the bio
 * @to: where the reader wants the bytes; advanced
 * @bdev: the device
 *
 * No page is faulted in, because that may take for ever (the memory may be
 * served by user space, or by a device that is suspended) while a reference to
 * the route holds up everybody who changes the stack.
 *
 * Context: process context.
 * Return: 0, or -EFAULT when a page is not there, with @to and @bio as before.
 */
int bpio_direct_fill(struct bio *bio, struct iov_iter *to,
		     struct block_device *bdev)
{
	size_t count = iov_iter_count(to);
	size_t size;
	int ret;

	to->nofault = true;
	ret = bpio_compat_bio_fill(bio, to, bdev);
	to->nofault = false;
	size = bio->bi_iter.bi_size;
	if (likely(!ret && (size == count || bio->bi_vcnt == bio->bi_max_vecs)))
		return 0;

	if (!ret) {
		bio_release_pages(bio, false);
		iov_iter_revert(to, size);
		bio->bi_iter.bi_size = 0;
		bio->bi_vcnt = 0;
	}
	return ret ? ret : -EFAULT;
}

/* Return: bytes that were to be read, or why the bio was not submitted. */
static ssize_t bpio_direct_simple_bio(struct bpio_direct *direct,
				      struct kiocb *iocb, struct iov_iter *to,
				      struct bpio_simple *simple,
				      struct bio_vec *vecs, unsigned int nr_vecs)
{
	struct bio *bio = &simple->bio;
	ssize_t ret;

	bio_init(bio, direct->first.bdev, vecs, nr_vecs, REQ_OP_READ | REQ_SYNC);
	bio->bi_iter.bi_sector = direct->first.sector;
	bio->bi_ioprio = iocb->ki_ioprio;
	bio->bi_end_io = bpio_direct_simple_end_io;
	if (iocb->ki_flags & IOCB_NOWAIT)
		bio->bi_opf |= REQ_NOWAIT;

	ret = bpio_direct_fill(bio, to, direct->first.bdev);
	if (likely(!ret)) {
		ret = bio->bi_iter.bi_size;
		trace_bpio_direct_read(direct->handle, iocb->ki_pos, bio);
		simple->waiter = current;
		submit_bio(bio);
		bpio_direct_sleep(&simple->waiter);
		bio_release_pages(bio, user_backed_iter(to));
	}
	bio_uninit(bio);
	return ret;
}

/*
 * A synchronous read of one piece, the shape that matters most: the bio lies on
 * the stack, and so do its vectors unless there are many.
 */
static ssize_t bpio_direct_read_simple(struct bpio_direct *direct,
				       struct kiocb *iocb, struct iov_iter *to,
				       unsigned int nr_vecs)
{
	struct bpio_handle *handle = direct->handle;
	struct bpio_simple simple;
	struct bio_vec *vecs = simple.inline_vecs;
	ssize_t ret = -ENOMEM;

	if (nr_vecs > BPIO_DIRECT_INLINE_VECS)
		vecs = kmalloc_array(nr_vecs, sizeof(*vecs), GFP_NOIO);
	if (likely(vecs))
		ret = bpio_direct_simple_bio(direct, iocb, to, &simple, vecs,
					     nr_vecs);
	bpio_direct_end(handle, direct->route);
	if (vecs != simple.inline_vecs)
		kfree(vecs);
	if (unlikely(ret == -ENOMEM))
		return bpio_fallback_read(handle, iocb, to,
					  BPIO_REASON_NO_MEMORY);
	if (unlikely(ret < 0))
		return ret;

	if (likely(!simple.bio.bi_status)) {
		bpio_direct_count(handle, ret);
		iocb->ki_pos += ret;
		return ret;
	}

	iov_iter_revert(to, ret);
	if (simple.bio.bi_status == BLK_STS_AGAIN &&
	    iocb->ki_flags & IOCB_NOWAIT)
		return -EAGAIN;
	return bpio_fallback_read(handle, iocb, to, BPIO_REASON_DEVICE_ERROR);
}

/**
 * bpio_direct_read() - read direct
 * @direct: from bpio_direct_begin(); used up
 * @iocb: as the handle got it
 * @to: as the handle got it
 * @present: the reader's memory was faulted in just now
 *
 * Context: as read_iter.
 * Return: as read_iter; -EFAULT also when a page is not there, in which case
 * nothing was done. Failures of the device are repeated by the file system.
 */
ssize_t bpio_direct_read(struct bpio_direct *direct, struct kiocb *iocb,
			 struct iov_iter *to, bool present)
{
	struct bpio_extent_map *map = direct->map;
	size_t beyond = iov_iter_count(to) - direct->count;
	unsigned int nr_vecs;
	bool single;
	ssize_t ret;

	iov_iter_truncate(to, direct->count);
	nr_vecs = bio_iov_vecs_to_alloc(to, BIO_MAX_VECS + 1);
	single = !map && nr_vecs <= BIO_MAX_VECS;

	if (likely(single && is_sync_kiocb(iocb))) {
		ret = bpio_direct_read_simple(direct, iocb, to, nr_vecs);
	} else if (single || present || !user_backed_iter(to)) {
		ret = bpio_io_read(direct, iocb, to);
	} else {
		/* Half of the bios may be on their way when a page is missing. */
		bpio_direct_end(direct->handle, direct->route);
		ret = -EFAULT;
	}
	bpio_extent_map_put(map);
	/* A read that was queued may have taken its iterator along. */
	if (ret != -EIOCBQUEUED)
		iov_iter_reexpand(to, iov_iter_count(to) + beyond);
	return ret;
}
