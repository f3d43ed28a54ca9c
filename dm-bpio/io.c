// SPDX-License-Identifier: GPL-2.0-only
/*
 * Direct reads that are asynchronous, or need more than one bio.
 */
#include <linux/bio.h>
#include <linux/llist.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "compat.h"
#include "direct.h"
#include "extent.h"
#include "fallback.h"
#include "handle.h"
#include "io.h"
#include "route.h"
#include "trace.h"

/* Bios kept in reserve, so that reads make progress when memory is short. */
#define BPIO_IO_POOL_SIZE	BIO_POOL_SIZE

enum {
	BPIO_IO_SYNC	= 1 << 0,
	BPIO_IO_DIRTY	= 1 << 1,
	BPIO_IO_AGAIN	= 1 << 2,
	BPIO_IO_NOWAIT	= 1 << 3,
};

/**
 * struct bpio_io - a direct read of one or several bios
 * @iocb: the caller's, when asynchronous
 * @waiter: the caller, when synchronous; NULL when all bios have completed
 * @handle: what is read; kept alive by the caller's reference to its struct file
 * @route: reference until all bios have completed
 * @pos: offset in the file of the first byte
 * @size: bytes submitted
 * @ref: bios not yet completed, and one for the submitter
 * @flags: BPIO_IO_*; AGAIN may be set by any completion, the others before the
 *	first submission
 * @failed: bios that failed, for the file system to repeat
 * @work: repeats them
 * @submitter: who submitted the read
 */
struct bpio_io {
	union {
		struct kiocb		*iocb;
		struct task_struct	*waiter;
	};
	struct bpio_handle	*handle;
	struct bpio_route	*route;
	loff_t			pos;
	size_t			size;
	atomic_t		ref;
	unsigned long		flags;
	struct llist_head	failed;
	struct work_struct	work;
	struct task_struct	*submitter;
};

/**
 * struct bpio_io_bio - a bio of a direct read
 * @io: the read; lies in the first bio, which is kept until the read is over
 * @own: used in the first bio only
 * @node: in io->failed, or in the list of those whose pages were cleaned
 * @pos: offset in the file
 * @bytes: length
 * @skip: bytes of the first bio_vec that are not part of the read
 * @bio: the bio
 */
struct bpio_io_bio {
	struct bpio_io		*io;
	struct bpio_io		own;
	struct llist_node	node;
	loff_t			pos;
	unsigned int		bytes;
	unsigned int		skip;
	struct bio		bio;
};

static struct bio_set bpio_io_bios;
static struct workqueue_struct *bpio_io_wq;
/* Bios whose pages have to be marked dirty again, which may sleep. */
static LLIST_HEAD(bpio_io_cleaned);

/* Pages of a read must be dirty before it begins: it changes them by DMA. */
static void bpio_io_set_dirty(struct bio *bio)
{
	struct folio_iter fi;

	bio_for_each_folio_all(fi, bio) {
		/* Whoever has the lock may wait for I/O; the end will see to it. */
		if (folio_test_dirty(fi.folio) || !folio_trylock(fi.folio))
			continue;
		folio_mark_dirty(fi.folio);
		folio_unlock(fi.folio);
	}
}

/**
 * bpio_io_is_dirty() - whether all pages of a bio are dirty
 * @bio: a read that has ended
 *
 * Then nothing is left to do about what it has changed: a page that writeback
 * cleans from now on is written as it is now.
 *
 * Context: any.
 */
bool bpio_io_is_dirty(struct bio *bio)
{
	struct folio_iter fi;

	bio_for_each_folio_all(fi, bio)
		if (!folio_test_dirty(fi.folio))
			return false;
	return true;
}

static void bpio_io_dirty_work(struct work_struct *work)
{
	struct bpio_io_bio *ibio, *next;

	llist_for_each_entry_safe(ibio, next, llist_del_all(&bpio_io_cleaned),
				  node) {
		bio_release_pages(&ibio->bio, true);
		bio_put(&ibio->bio);
	}
}

static DECLARE_WORK(bpio_io_dirty, bpio_io_dirty_work);

/* Writeback may have cleaned them meanwhile. Any context. */
static void bpio_io_release(struct bpio_io_bio *ibio, bool dirty)
{
	if (unlikely(dirty && !bpio_io_is_dirty(&ibio->bio))) {
		if (llist_add(&ibio->node, &bpio_io_cleaned))
			queue_work(bpio_io_wq, &bpio_io_dirty);
		return;
	}
	bio_release_pages(&ibio->bio, false);
	bio_put(&ibio->bio);
}

/* Return: bytes that the file system read in the place of a failed bio. */
static ssize_t bpio_io_repeat_bio(struct bpio_io_bio *ibio)
{
	struct iov_iter iter;

	iov_iter_bvec(&iter, ITER_DEST, ibio->bio.bi_io_vec,
		      ibio->bio.bi_vcnt, ibio->bytes + ibio->skip);
	iov_iter_advance(&iter, ibio->skip);
	return bpio_fallback_read_sync(ibio->io->handle, ibio->pos, &iter);
}

/*
 * Let the file system repeat what the device failed to read, so that bypass
 * never makes a readable file unreadable. Blocks and route were given back
 * before, since the file system may wait for them.
 *
 * Return: the result of the whole read.
 */
static ssize_t bpio_io_repeat(struct bpio_io *io)
{
	struct llist_node *node = llist_del_all(&io->failed);
	struct bpio_io_bio *ibio, *next;
	loff_t end = io->pos + io->size;
	ssize_t ret, error = 0;

	bpio_fallback_count(io->handle, io->pos, io->size,
			    io->flags & BPIO_IO_AGAIN ?
			    BPIO_REASON_NO_WAIT : BPIO_REASON_DEVICE_ERROR);
	llist_for_each_entry_safe(ibio, next, node, node) {
		if (!error) {
			ret = bpio_io_repeat_bio(ibio);
			if (ret < 0)
				error = ret;
			else if (ret < ibio->bytes)
				end = min(end, ibio->pos + ret);
		}
		bpio_io_release(ibio, io->flags & BPIO_IO_DIRTY);
	}
	return error ? error : end - io->pos;
}

/* The caller did not want to wait, and it would have had to. */
static void bpio_io_release_failed(struct bpio_io *io)
{
	struct llist_node *node = llist_del_all(&io->failed);
	struct bpio_io_bio *ibio, *next;

	llist_for_each_entry_safe(ibio, next, node, node)
		bpio_io_release(ibio, false);
}

static void bpio_io_put_first(struct bpio_io *io)
{
	bio_put(&container_of(io, struct bpio_io_bio, own)->bio);
}

/*
 * The end of an asynchronous read. It may drop the last reference to the handle
 * and to the module, so nothing of either is touched afterwards.
 */
static void bpio_io_complete(struct bpio_io *io, ssize_t ret)
{
	struct kiocb *iocb = io->iocb;

	if (ret > 0)
		iocb->ki_pos += ret;
	WRITE_ONCE(iocb->private, NULL);
	bpio_io_put_first(io);
	iocb->ki_complete(iocb, ret);
}

static void bpio_io_repeat_work(struct work_struct *work)
{
	struct bpio_io *io = container_of(work, struct bpio_io, work);

	bpio_io_complete(io, bpio_io_repeat(io));
}

static void bpio_io_done_async(struct bpio_io *io)
{
	if (likely(llist_empty(&io->failed))) {
		bpio_direct_count(io->handle, io->size);
		bpio_io_complete(io, io->size);
	} else if (io->flags & BPIO_IO_NOWAIT && io->flags & BPIO_IO_AGAIN &&
		   in_task() && current == io->submitter) {
		/* io_uring asks again only if it hears in its own context. */
		bpio_io_release_failed(io);
		bpio_io_complete(io, -EAGAIN);
	} else {
		INIT_WORK(&io->work, bpio_io_repeat_work);
		queue_work(bpio_io_wq, &io->work);
	}
}

/* The last bio has completed, in any context. */
static void bpio_io_done(struct bpio_io *io)
{
	bpio_direct_end(io->handle, io->route);

	if (io->flags & BPIO_IO_SYNC)
		bpio_direct_wake(&io->waiter);
	else
		bpio_io_done_async(io);
}

static void bpio_io_end_io(struct bio *bio)
{
	struct bpio_io_bio *ibio = container_of(bio, struct bpio_io_bio, bio);
	struct bpio_io *io = ibio->io;

	if (likely(!bio->bi_status)) {
		bpio_io_release(ibio, io->flags & BPIO_IO_DIRTY);
	} else {
		/* Kept for whoever repeats it. */
		if (bio->bi_status == BLK_STS_AGAIN)
			set_bit(ilog2(BPIO_IO_AGAIN), &io->flags);
		llist_add(&ibio->node, &io->failed);
	}
	if (atomic_dec_and_test(&io->ref))
		bpio_io_done(io);
}

static struct bpio_io_bio *bpio_io_bio_alloc(struct kiocb *iocb,
					     struct iov_iter *to,
						 const struct bpio_piece *piece)
{
	size_t left = iov_iter_count(to);
	unsigned int nr_vecs;
	struct bio *bio;

	iov_iter_truncate(to, piece->bytes);
	nr_vecs = bio_iov_vecs_to_alloc(to, BIO_MAX_VECS);
	iov_iter_reexpand(to, left);

	bio = bio_alloc_bioset(piece->bdev, nr_vecs, bpio_compat_opf(iocb),
			       GFP_NOIO, &bpio_io_bios);
	bio->bi_iter.bi_sector = piece->sector;
	bio->bi_ioprio = iocb->ki_ioprio;
	bio->bi_end_io = bpio_io_end_io;
	if (iocb->ki_flags & IOCB_NOWAIT)
		bio->bi_opf |= REQ_NOWAIT;
	return container_of(bio, struct bpio_io_bio, bio);
}

/* Fill a bio with the start of a piece and add it to the read. */
static int bpio_io_bio_add(struct bpio_io *io, struct bpio_io_bio *ibio,
			   struct iov_iter *to, struct bpio_piece *piece)
{
	size_t left = iov_iter_count(to);
	struct bio *bio = &ibio->bio;
	int ret;

	iov_iter_truncate(to, piece->bytes);
	ret = bpio_direct_fill(bio, to, piece->bdev);
	iov_iter_reexpand(to, left - (ret ? 0 : bio->bi_iter.bi_size));
	if (unlikely(ret))
		return ret;

	ibio->io = io;
	ibio->pos = io->pos + io->size;
	ibio->bytes = bio->bi_iter.bi_size;
	ibio->skip = bio->bi_iter.bi_bvec_done;
	if (io->flags & BPIO_IO_DIRTY)
		bpio_io_set_dirty(bio);

	io->size += ibio->bytes;
	piece->sector += ibio->bytes >> SECTOR_SHIFT;
	piece->bytes -= ibio->bytes;
	trace_bpio_direct_read(io->handle, ibio->pos, bio);
	return 0;
}

static struct bpio_io *bpio_io_begin(struct bpio_io_bio *first,
				     struct bpio_direct *direct,
					   struct kiocb *iocb,
					   struct iov_iter *to)
{
	struct bpio_io *io = &first->own;

	/* Keeps the bio that holds the read until the read is over. */
	bio_get(&first->bio);

	io->handle = direct->handle;
	io->route = direct->route;
	io->pos = iocb->ki_pos;
	io->size = 0;
	io->flags = user_backed_iter(to) ? BPIO_IO_DIRTY : 0;
	if (iocb->ki_flags & IOCB_NOWAIT)
		io->flags |= BPIO_IO_NOWAIT;
	io->submitter = current;
	atomic_set(&io->ref, 1);
	init_llist_head(&io->failed);
	if (is_sync_kiocb(iocb)) {
		io->flags |= BPIO_IO_SYNC;
		io->waiter = current;
	} else {
		io->iocb = iocb;
	}
	return io;
}

/*
 * Submit the second and later bios. The caller's count of io->ref stands for the
 * last of them. A fault in the caller's memory ends the read where it happened.
 */
static void bpio_io_submit_rest(struct bpio_direct *direct,
				struct bpio_io *io, struct kiocb *iocb,
				    struct iov_iter *to)
{
	struct bpio_piece *piece = &direct->first;
	struct bpio_io_bio *ibio;

	for (;;) {
		if (!piece->bytes &&
		    bpio_direct_find(direct->map, io->route, io->pos + io->size,
				     iov_iter_count(to), piece))
			break;
		ibio = bpio_io_bio_alloc(iocb, to, piece);
		if (bpio_io_bio_add(io, ibio, to, piece)) {
			bio_put(&ibio->bio);
			break;
		}
		if (iov_iter_count(to)) {
			atomic_inc(&io->ref);
			submit_bio(&ibio->bio);
			continue;
		}
		submit_bio(&ibio->bio);
		return;
	}

	if (atomic_dec_and_test(&io->ref))
		bpio_io_done(io);
}

static ssize_t bpio_io_wait(struct bpio_io *io, struct kiocb *iocb)
{
	ssize_t ret;

	bpio_direct_sleep(&io->waiter);

	if (unlikely(!llist_empty(&io->failed))) {
		ret = -EAGAIN;
		if (io->flags & BPIO_IO_NOWAIT && io->flags & BPIO_IO_AGAIN)
			bpio_io_release_failed(io);
		else
			ret = bpio_io_repeat(io);
	} else {
		ret = io->size;
		bpio_direct_count(io->handle, ret);
	}
	if (ret > 0)
		iocb->ki_pos += ret;
	bpio_io_put_first(io);
	return ret;
}

/* Nothing more may be known of an asynchronous read after its last submission. */
static void bpio_io_submit(struct bpio_direct *direct, struct bpio_io *io,
			   struct bio *first, struct kiocb *iocb,
			       struct iov_iter *to)
{
	struct blk_plug plug;

	if (unlikely(iov_iter_count(to))) {
		blk_start_plug(&plug);
		atomic_inc(&io->ref);
		submit_bio(first);
		bpio_io_submit_rest(direct, io, iocb, to);
		blk_finish_plug(&plug);
	} else if (iocb->ki_flags & IOCB_HIPRI && !is_sync_kiocb(iocb)) {
		first->bi_opf |= REQ_POLLED;
		submit_bio(first);
		/* As long as the read is polled, nobody else ends it. */
		WRITE_ONCE(iocb->private, first);
	} else {
		submit_bio(first);
	}
}

/**
 * bpio_io_read() - read direct with bios that are not on the caller's stack
 * @direct: from bpio_direct_begin(); used up, but for its map
 * @iocb: as the handle got it
 * @to: cut to the length of the read
 *
 * Context: as read_iter.
 * Return: as read_iter.
 */
ssize_t bpio_io_read(struct bpio_direct *direct, struct kiocb *iocb,
		     struct iov_iter *to)
{
	struct bpio_io_bio *first = bpio_io_bio_alloc(iocb, to, &direct->first);
	struct bpio_io *io = bpio_io_begin(first, direct, iocb, to);
	bool sync = is_sync_kiocb(iocb);
	ssize_t ret;

	ret = bpio_io_bio_add(io, first, to, &direct->first);
	if (unlikely(ret))
		goto fail;

	/* More pages than one bio takes, which cannot be had without waiting. */
	if (unlikely(iocb->ki_flags & IOCB_NOWAIT && iov_iter_count(to))) {
		bio_release_pages(&first->bio, false);
		ret = -EAGAIN;
		goto fail;
	}

	bpio_io_submit(direct, io, &first->bio, iocb, to);
	return sync ? bpio_io_wait(io, iocb) : -EIOCBQUEUED;

fail:
	bpio_direct_end(direct->handle, direct->route);
	bpio_io_put_first(io);
	bio_put(&first->bio);
	return ret;
}

/**
 * bpio_io_init() - make the pool of bios and the workqueue
 *
 * Return: 0 or a negative errno.
 */
int bpio_io_init(void)
{
	int ret = bioset_init(&bpio_io_bios, BPIO_IO_POOL_SIZE,
			      offsetof(struct bpio_io_bio, bio),
			      BIOSET_NEED_BVECS | BIOSET_PERCPU_CACHE);

	if (ret)
		return ret;

	bpio_io_wq = alloc_workqueue("bpio_io", WQ_UNBOUND, 0);
	if (!bpio_io_wq) {
		bioset_exit(&bpio_io_bios);
		return -ENOMEM;
	}
	return 0;
}

/**
 * bpio_io_exit() - undo bpio_io_init()
 */
void bpio_io_exit(void)
{
	/*
	 * A completion may have dropped the last reference to the module just
	 * now: let it get out of here.
	 */
	synchronize_rcu();
	destroy_workqueue(bpio_io_wq);
	bioset_exit(&bpio_io_bios);
}
