// SPDX-License-Identifier: GPL-2.0-only
/*
 * Direct reads: from an offset in a file to bios for the device at the bottom.
 *
 * Level: read.
 */
#include <linux/bio.h>
#include <linux/pagemap.h>

#include "compat.h"
#include "direct.h"
#include "extent.h"
#include "fallback.h"
#include "file.h"
#include "open_file.h"
#include "io.h"
#include "route.h"
#include "simple.h"

/*
 * The flags that bpio_file_refuse() checks. The file system may set them while a file
 * is open read-only, so each read checks them too.
 */
#define BPIO_DIRECT_REFUSED	(S_VERITY | S_ENCRYPTED | S_DAX | S_SWAPFILE)

static inline enum bpio_reason
bpio_direct_check_file(const struct bpio_open_file *of)
{
	struct bpio_file *file = of->file;
	struct address_space *mapping = file->inode->i_mapping;
	/* Pairs with clear_bit_unlock() in bpio_file_map_leased(). */
	unsigned long state = smp_load_acquire(&file->state);
	enum bpio_reason reason = bpio_direct_blocked(of, state);

	if (unlikely(reason))
		return reason;
	if (unlikely(READ_ONCE(file->inode->i_flags) & BPIO_DIRECT_REFUSED))
		return bpio_file_refuse(file->inode);
	/*
	 * Pages that were pinned for DMA before the file was armed may become
	 * dirty without a writer.
	 */
	if (unlikely(mapping_tagged(mapping, PAGECACHE_TAG_DIRTY) ||
		     mapping_tagged(mapping, PAGECACHE_TAG_WRITEBACK)) &&
	    !bpio_plant(BPIO_PLANT_DIRTY))
		return BPIO_REASON_DIRTY_PAGES;
	return BPIO_REASON_NONE;
}

/**
 * bpio_direct_obstacle() - what keeps reads of an open file from going direct now
 * @of: the open file
 *
 * Context: process context; does not wait.
 * Return: the reason, BPIO_REASON_NONE when mapped ranges are read direct.
 */
enum bpio_reason bpio_direct_obstacle(const struct bpio_open_file *of)
{
	struct bpio_volume *volume = of->file->volume;
	enum bpio_reason reason = bpio_direct_check_file(of);

	if (!reason && !rcu_access_pointer(volume->route))
		reason = READ_ONCE(volume->no_route);
	if (!reason && bpio_compat_inode_is_locked(of->file->inode))
		reason = BPIO_REASON_LOCKED;
	return reason ? reason : bpio_file_ask(of->filp);
}

/*
 * Cut the read at the end of the file. Like any O_DIRECT read, it transfers the whole
 * last block, but returns only the bytes before the end of the file.
 *
 * Return: whether there is anything to read.
 */
static inline bool bpio_direct_clamp(struct bpio_direct *direct,
				     const struct inode *inode, loff_t pos)
{
	loff_t size = i_size_read(inode);
	loff_t end = pos + direct->count;

	if (likely(end <= size))
		return true;
	direct->limit = max_t(loff_t, size - pos, 0);
	direct->count = max_t(loff_t, 0,
			      min_t(loff_t, end,
				    round_up(size, i_blocksize(inode))) - pos);
	return direct->limit;
}

/* Whether the rest of the range can be read direct too, in any number of pieces. */
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

/* Offset and length in blocks of the device, memory aligned for its DMA. */
static inline bool bpio_direct_is_aligned(const struct bpio_route *route,
					  u64 offsets, const struct iov_iter *to)
{
	if (unlikely((offsets | iov_iter_count(to)) & route->length_mask))
		return false;
	if (likely(iter_is_ubuf(to)))
		return !(((unsigned long)to->ubuf + to->iov_offset) &
			 route->memory_mask);
	if (iov_iter_is_bvec(to) && to->nr_segs == 1)
		return !((to->bvec->bv_offset + to->iov_offset) &
			 route->memory_mask);
	return bpio_compat_iter_is_aligned(to, route->memory_mask,
					   route->length_mask);
}

/* The part that needs RCU: find extent, segment and route, and take references. */
static inline enum bpio_reason
bpio_direct_lookup(struct bpio_direct *direct, const struct kiocb *iocb,
		   const struct iov_iter *to)
{
	struct bpio_file *file = direct->of->file;
	struct bpio_volume *volume = file->volume;
	struct bpio_route *route = direct->route;
	struct bpio_extent_map *map;
	enum bpio_reason reason;

	map = rcu_dereference(file->map);
	if (unlikely(!map))
		return BPIO_REASON_NOT_ARMED;
	if (unlikely(!route))
		return READ_ONCE(volume->no_route) ?: BPIO_REASON_VOLUME_SUSPENDED;
	if (unlikely(!bpio_direct_is_aligned(route, iocb->ki_pos | direct->count,
					     to)))
		return BPIO_REASON_UNALIGNED;

	reason = bpio_direct_find(map, route, iocb->ki_pos, direct->count,
				  &direct->first);
	if (unlikely(reason))
		return reason;

	direct->map = NULL;
	if (unlikely(direct->first.bytes < direct->count)) {
		reason = bpio_direct_find_rest(direct, map, iocb->ki_pos);
		if (reason)
			return reason;
		if (!refcount_inc_not_zero(&map->ref))
			return BPIO_REASON_REVOKED;
		direct->map = map;
	}

	if (likely(percpu_ref_tryget_live_rcu(&route->ref)))
		return BPIO_REASON_NONE;
	bpio_extent_map_put(direct->map);
	return BPIO_REASON_VOLUME_SUSPENDED;
}

/*
 * Check whether a read may go direct now, and take the references it needs.
 *
 * The order here makes a direct read safe; see the top of file.c. First i_dio_count
 * is raised, then, after a full barrier, the state is checked. A task that takes
 * blocks from the file sets BPIO_FILE_REVOKED, has a full barrier, and then waits
 * until i_dio_count is zero. So if the state does not have REVOKED, that task has yet
 * to read the count and will wait for our bios.
 *
 * The map is loaded after that check. The worker may have replaced it in between, but
 * the new map is correct too: it was made under a lease, and no block can leave the
 * file while i_dio_count is raised.
 *
 * Return: BPIO_REASON_NONE, with i_dio_count raised and a reference to the route
 * held; or why the file system must serve the read.
 */
static inline enum bpio_reason
bpio_direct_begin(struct bpio_direct *direct, struct bpio_open_file *of,
		  const struct kiocb *iocb, const struct iov_iter *to)
{
	struct bpio_file *file = of->file;
	struct inode *inode = file->inode;
	enum bpio_reason reason;

	direct->of = of;
	direct->count = iov_iter_count(to);
	direct->limit = direct->count;

	if (!bpio_plant(BPIO_PLANT_DIO_COUNT))
		inode_dio_begin(inode);
	/* Pairs with the barrier in bpio_file_revoke(). */
	smp_mb__after_atomic();

	rcu_read_lock();
	/*
	 * Load the route before the state. A pause or veto sets a flag, publishes a
	 * new route, and waits for the reads on the old one: a read that finds the new
	 * route must find the flag.
	 */
	direct->route = rcu_dereference(file->volume->route);
	/* Pairs with the publication of the new route. */
	smp_rmb();
	reason = bpio_direct_check_file(of);
	if (likely(!reason) && unlikely(!bpio_direct_clamp(direct, inode,
							   iocb->ki_pos)))
		reason = BPIO_REASON_UNMAPPED;
	if (likely(!reason))
		reason = bpio_direct_lookup(direct, iocb, to);
	rcu_read_unlock();

	if (unlikely(reason) && !bpio_plant(BPIO_PLANT_DIO_COUNT))
		inode_dio_end(inode);
	return reason;
}

/*
 * Only a read that starts where the last one ended can be merged with it. Spare the
 * block layer the search for all others.
 */
static inline blk_opf_t bpio_direct_flags(const struct bpio_direct *direct,
					  loff_t pos)
{
	struct bpio_open_file *of = direct->of;
	bool random = READ_ONCE(of->next) != pos;

	WRITE_ONCE(of->next, pos + direct->count);
	return random ? REQ_NOMERGE : 0;
}

/*
 * Access times have the resolution of a tick, so it is enough to update them in the
 * first read of a tick, unless another task has set one of the inode's times since.
 * That revokes the file, so compare with the time when it was armed again.
 */
static inline void bpio_direct_accessed(struct bpio_open_file *of)
{
	unsigned long now = jiffies;

	if (likely(READ_ONCE(of->accessed_at) == now &&
		   READ_ONCE(of->file->armed_at) != now))
		return;
	WRITE_ONCE(of->accessed_at, now);
	file_accessed(of->filp);
}

/* Submit a read for which bpio_direct_begin() has succeeded. */
static inline ssize_t bpio_direct_submit(struct bpio_direct *direct,
					 struct kiocb *iocb, struct iov_iter *to,
					 bool present)
{
	unsigned int nr_vecs = bpio_direct_vecs(to, BIO_MAX_VECS + 1);

	if (likely(!direct->map && nr_vecs <= BIO_MAX_VECS)) {
		direct->flags = bpio_direct_flags(direct, iocb->ki_pos);
		return is_sync_kiocb(iocb) ?
		       bpio_simple_read(direct, iocb, to, nr_vecs) :
		       bpio_io_read_single(direct, iocb, to, nr_vecs);
	}
	if (present || nr_vecs <= BIO_MAX_VECS || !user_backed_iter(to))
		return bpio_io_read(direct, iocb, to);

	/* Some of the bios may already be in flight when a page is missing. */
	bpio_direct_end(direct->of, direct->route);
	return -EFAULT;
}

/*
 * Clear the memory for the part behind the last block, as for a hole. No page is
 * faulted in; see bpio_direct_fill().
 */
static noinline bool bpio_direct_clear(const struct bpio_direct *direct,
				       const struct iov_iter *to)
{
	struct iov_iter beyond = *to;
	size_t count, cleared;

	iov_iter_advance(&beyond, direct->count);
	count = iov_iter_count(&beyond);
	pagefault_disable();
	cleared = iov_iter_zero(count, &beyond);
	pagefault_enable();
	return cleared == count;
}

/* Submit a read that extends beyond the last block of the file. */
static noinline ssize_t bpio_direct_submit_end(struct bpio_direct *direct,
					       struct kiocb *iocb,
					       struct iov_iter *to, bool present)
{
	size_t beyond = iov_iter_count(to) - direct->count;
	ssize_t ret;

	if (!bpio_direct_clear(direct, to)) {
		bpio_direct_end(direct->of, direct->route);
		return -EFAULT;
	}
	iov_iter_truncate(to, direct->count);
	ret = bpio_direct_submit(direct, iocb, to, present);
	/* A queued read may have completed and freed its iterator. */
	if (ret != -EIOCBQUEUED)
		iov_iter_reexpand(to, iov_iter_count(to) + beyond);
	return ret;
}

/**
 * bpio_direct_read() - read direct if possible, else through the file system
 * @of: the open file
 * @iocb: the caller's
 * @to: the caller's
 * @present: the reader's memory has just been faulted in
 *
 * Context: as read_iter; rw_verify_area() was called for the user's file.
 * Return: as read_iter; -EFAULT also when a page is not present, in which case nothing
 * was done. If the device fails a read, the file system repeats it.
 */
ssize_t bpio_direct_read(struct bpio_open_file *of, struct kiocb *iocb,
			 struct iov_iter *to, bool present)
{
	struct bpio_direct direct __uninitialized;
	enum bpio_reason reason;
	ssize_t ret;

	reason = bpio_direct_begin(&direct, of, iocb, to);
	if (unlikely(reason))
		return bpio_fallback_read(of, iocb, to, reason);

	ret = likely(direct.count == iov_iter_count(to)) ?
	      bpio_direct_submit(&direct, iocb, to, present) :
	      bpio_direct_submit_end(&direct, iocb, to, present);
	if (unlikely(direct.map))
		bpio_extent_map_put(direct.map);
	bpio_direct_accessed(of);
	return ret;
}
