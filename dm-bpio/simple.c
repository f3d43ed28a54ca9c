// SPDX-License-Identifier: GPL-2.0-only
/*
 * Synchronous direct reads with one bio, the most important case. The bio is on the
 * kernel stack, and so are its vectors unless there are many.
 *
 * Level: read.
 */
#include <linux/bio.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "compat.h"
#include "direct.h"
#include "fallback.h"
#include "pages.h"
#include "simple.h"
#include "trace.h"

/* Number of vectors on the stack. */
#define BPIO_SIMPLE_VECS	4

/**
 * struct bpio_simple - a synchronous read of one bio, on the caller's stack
 * @bio: the bio
 * @waiter: the caller, NULL when the bio has completed
 * @pinned: number of @pages
 * @pages: pages of a small read; not released with the bio
 * @vecs: vectors of a small read
 */
struct bpio_simple {
	struct bio		bio;
	struct task_struct	*waiter;
	int			pinned;
	struct page		*pages[BPIO_SIMPLE_VECS];
	struct bio_vec		vecs[BPIO_SIMPLE_VECS];
};

static void bpio_simple_end_io(struct bio *bio)
{
	bpio_direct_wake(&container_of(bio, struct bpio_simple, bio)->waiter);
}

/*
 * Pin a few pages of one range of user memory, without the overhead of
 * bio_iov_iter_get_pages() for all other kinds of iterators.
 */
static inline bool bpio_simple_pin(struct bpio_simple *simple,
				   struct iov_iter *to, unsigned int nr)
{
	unsigned long start = (unsigned long)to->ubuf + to->iov_offset;
	size_t left = iov_iter_count(to), part;
	unsigned int offset = offset_in_page(start);
	int i;

	/* No page is faulted in; see bpio_direct_fill(). */
	simple->pinned = pin_user_pages_fast(start, nr,
					     FOLL_WRITE | FOLL_NOFAULT,
					     simple->pages);
	if (unlikely(simple->pinned != nr))
		return false;

	for (i = 0; i < nr; i++) {
		part = min_t(size_t, left, PAGE_SIZE - offset);
		if (bio_add_page(&simple->bio, simple->pages[i], part,
				 offset) != part)
			return false;
		left -= part;
		offset = 0;
	}
	iov_iter_advance(to, iov_iter_count(to));
	return true;
}

static void bpio_simple_unpin(struct bpio_simple *simple)
{
	if (simple->pinned > 0)
		unpin_user_pages(simple->pages, simple->pinned);
	simple->pinned = 0;
	simple->bio.bi_vcnt = 0;
	simple->bio.bi_iter.bi_size = 0;
}

/* Return: bytes to read, or a negative errno. */
static inline ssize_t bpio_simple_fill(const struct bpio_direct *direct,
				       struct bpio_simple *simple,
				       struct iov_iter *to, unsigned int nr_vecs)
{
	struct bio *bio = &simple->bio;
	int ret;

	simple->pinned = 0;
	if (likely(iter_is_ubuf(to) && nr_vecs <= BPIO_SIMPLE_VECS)) {
		if (likely(bpio_simple_pin(simple, to, nr_vecs)))
			return bio->bi_iter.bi_size;
		/* Possibly peer memory: the general path handles that. */
		bpio_simple_unpin(simple);
	}
	ret = bpio_direct_fill(direct, bio, to, false);
	return ret ? ret : (ssize_t)bio->bi_iter.bi_size;
}

/* Locks pages, which may wait for I/O, so the caller holds nothing. */
static inline void bpio_simple_release(struct bpio_simple *simple,
				       const struct iov_iter *to)
{
	struct bio *bio = &simple->bio;

	if (likely(simple->pinned))
		unpin_user_pages_dirty_lock(simple->pages, simple->pinned, true);
	else
		bio_release_pages(bio, user_backed_iter(to) &&
				  !bpio_pages_are_dirty(bio));
}

/* Return: bytes requested, or a negative errno if the bio was not submitted. */
static inline ssize_t bpio_simple_submit(struct bpio_direct *direct,
					 struct kiocb *iocb, struct iov_iter *to,
					 struct bpio_simple *simple,
					 struct bio_vec *vecs,
					 unsigned int nr_vecs)
{
	struct bio *bio = &simple->bio;
	ssize_t ret;

	bio_init(bio, direct->first.bdev, vecs, nr_vecs,
		 REQ_OP_READ | REQ_SYNC | direct->flags);
	bio->bi_iter.bi_sector = direct->first.sector;
	bio->bi_ioprio = iocb->ki_ioprio;
	bio->bi_end_io = bpio_simple_end_io;

	ret = bpio_simple_fill(direct, simple, to, nr_vecs);
	if (likely(ret > 0)) {
		trace_bpio_direct_read(direct->of, iocb->ki_pos, bio);
		simple->waiter = current;
		submit_bio(bio);
		bpio_direct_sleep(&simple->waiter);
	}
	bpio_direct_end(direct->of, direct->route);
	if (likely(ret > 0))
		bpio_simple_release(simple, to);
	bio_uninit(bio);
	return ret;
}

/**
 * bpio_simple_read() - read direct with a bio on the stack, and wait for it
 * @direct: the read, of one piece; consumed
 * @iocb: the caller's
 * @to: cut to the length of the read
 * @nr_vecs: bpio_direct_vecs() of @to
 *
 * Context: as read_iter.
 * Return: as read_iter; -EFAULT also when a page is not present, in which case nothing
 * was done.
 */
ssize_t bpio_simple_read(struct bpio_direct *direct, struct kiocb *iocb,
			 struct iov_iter *to, unsigned int nr_vecs)
{
	struct bpio_open_file *of = direct->of;
	struct bpio_simple simple __uninitialized;
	struct bio_vec *vecs = simple.vecs;
	ssize_t ret;

	if (unlikely(nr_vecs > BPIO_SIMPLE_VECS)) {
		vecs = kmalloc_array(nr_vecs, sizeof(*vecs),
				     BPIO_DIRECT_GFP);
		if (!vecs) {
			bpio_direct_end(of, direct->route);
			return bpio_direct_unfilled(direct, iocb, to, -ENOMEM);
		}
	}
	ret = bpio_simple_submit(direct, iocb, to, &simple, vecs, nr_vecs);
	if (unlikely(vecs != simple.vecs))
		kfree(vecs);
	if (unlikely(ret < 0))
		return bpio_direct_unfilled(direct, iocb, to, ret);
	if (unlikely(simple.bio.bi_status)) {
		iov_iter_revert(to, ret);
		return bpio_fallback_read(of, iocb, to,
					  BPIO_REASON_DEVICE_ERROR);
	}

	if (unlikely(ret > direct->limit)) {
		iov_iter_revert(to, ret - direct->limit);
		ret = direct->limit;
	}
	bpio_direct_count(of, ret);
	iocb->ki_pos += ret;
	return ret;
}
