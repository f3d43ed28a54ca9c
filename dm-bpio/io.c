// SPDX-License-Identifier: GPL-2.0-only
/*
 * Direct reads that are asynchronous, or need more than one bio.
 */
#include <linux/bio.h>
#include <linux/llist.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "compat.h"
#include "direct.h"
#include "extent.h"
#include "fallback.h"
#include "file.h"
#include "open_file.h"
#include "io.h"
#include "pages.h"
#include "route.h"
#include "trace.h"

/* Bios kept in reserve; reads that get none are the file system's. */
#define BPIO_IO_POOL_SIZE	BIO_POOL_SIZE

enum {
	BPIO_IO_SYNC	= 1 << 0,
	BPIO_IO_DIRTY	= 1 << 1,
	BPIO_IO_AGAIN	= 1 << 2,
};

/**
 * struct bpio_io - a direct read of one or several bios
 * @iocb: the caller's, when asynchronous
 * @waiter: the caller, when synchronous; NULL when all bios have completed
 * @of: what is read; kept alive by the caller's reference to its struct file
 * @route: reference until all bios have completed
 * @pos: offset in the file of the first byte
 * @size: bytes submitted
 * @limit: the most that is to be returned of them, for the end of the file
 * @ref: bios not yet completed, and one for the submitter
 * @flags: BPIO_IO_*; AGAIN may be set by any completion, SYNC by the submitter
 *	while it holds @ref, the others before the first submission
 * @failed: bios that failed, for the file system to repeat
 * @work: repeats them
 */
struct bpio_io {
	union {
		struct kiocb		*iocb;
		struct task_struct	*waiter;
	};
	struct bpio_open_file	*of;
	struct bpio_route	*route;
	loff_t			pos;
	size_t			size;
	size_t			limit;
	atomic_t		ref;
	unsigned long		flags;
	struct llist_head	failed;
	struct work_struct	work;
};

/**
 * struct bpio_io_bio - a bio of a direct read
 * @io: the read; lies in the first bio, which is kept until the read is over
 * @own: used in the first bio only
 * @node: in io->failed
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

static size_t bpio_io_result(const struct bpio_io *io)
{
	return min(io->size, io->limit);
}

/* Return: bytes that the file system read in the place of a failed bio. */
static ssize_t bpio_io_repeat_bio(struct bpio_io_bio *ibio)
{
	struct iov_iter iter;

	/* What the file answers; as vectors it would not recognize this memory. */
	if (bpio_pages_are_peer(&ibio->bio))
		return -EREMOTEIO;
	iov_iter_bvec(&iter, ITER_DEST, ibio->bio.bi_io_vec,
		      ibio->bio.bi_vcnt, ibio->bytes + ibio->skip);
	iov_iter_advance(&iter, ibio->skip);
	return bpio_fallback_read_sync(ibio->io->of, ibio->pos, &iter);
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
	loff_t end = io->pos + bpio_io_result(io);
	ssize_t ret, error = 0;

	bpio_fallback_count(io->of, io->pos, io->size,
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
		bpio_pages_release(&ibio->bio, io->flags & BPIO_IO_DIRTY);
	}
	return error ? error : end - io->pos;
}

static void bpio_io_put_first(struct bpio_io *io)
{
	bio_put(&container_of(io, struct bpio_io_bio, own)->bio);
}

/*
 * The end of an asynchronous read. It may drop the last reference to the open file
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
		bpio_direct_count(io->of, bpio_io_result(io));
		bpio_io_complete(io, bpio_io_result(io));
	} else {
		INIT_WORK(&io->work, bpio_io_repeat_work);
		queue_work(bpio_io_wq, &io->work);
	}
}

/* The last bio has completed, in any context. */
static void bpio_io_done(struct bpio_io *io)
{
	bpio_direct_end(io->of, io->route);

	if (io->flags & BPIO_IO_SYNC)
		bpio_direct_wake(&io->waiter);
	else
		bpio_io_done_async(io);
}

/*
 * A failed bio is kept longer than the route pins its device, and a poller may
 * look at it still: it asks nothing of a bio without a device.
 */
static void bpio_io_unpoll(struct bio *bio)
{
	WRITE_ONCE(bio->bi_bdev, NULL);
}

static void bpio_io_end_io(struct bio *bio)
{
	struct bpio_io_bio *ibio = container_of(bio, struct bpio_io_bio, bio);
	struct bpio_io *io = ibio->io;

	if (likely(!bio->bi_status)) {
		bpio_pages_release(&ibio->bio, io->flags & BPIO_IO_DIRTY);
	} else {
		/* Kept for whoever repeats it. */
		bpio_io_unpoll(bio);
		if (bio->bi_status == BLK_STS_AGAIN)
			set_bit(ilog2(BPIO_IO_AGAIN), &io->flags);
		llist_add(&ibio->node, &io->failed);
	}
	if (atomic_dec_and_test(&io->ref))
		bpio_io_done(io);
}

/* Return: NULL without memory; see BPIO_DIRECT_GFP. */
static noinline struct bpio_io_bio *
bpio_io_bio_alloc(struct kiocb *iocb, struct iov_iter *to,
		  const struct bpio_piece *piece)
{
	size_t left = iov_iter_count(to);
	unsigned int nr_vecs;
	struct bio *bio;

	iov_iter_truncate(to, piece->bytes);
	nr_vecs = bio_iov_vecs_to_alloc(to, BIO_MAX_VECS);
	iov_iter_reexpand(to, left);

	bio = bio_alloc_bioset(piece->bdev, nr_vecs, bpio_compat_opf(iocb),
			       BPIO_DIRECT_GFP, &bpio_io_bios);
	if (unlikely(!bio))
		return NULL;
	bio->bi_iter.bi_sector = piece->sector;
	bio->bi_ioprio = iocb->ki_ioprio;
	bio->bi_end_io = bpio_io_end_io;
	return container_of(bio, struct bpio_io_bio, bio);
}

/* Fill a bio with the start of a piece and add it to the read. */
static int bpio_io_bio_add(struct bpio_direct *direct, struct bpio_io *io,
			   struct bpio_io_bio *ibio, struct iov_iter *to)
{
	struct bpio_piece *piece = &direct->first;
	size_t left = iov_iter_count(to);
	struct bio *bio = &ibio->bio;
	int ret;

	/* Only vectors of the caller are not taken from their start. */
	ibio->skip = iov_iter_is_bvec(to) ? to->iov_offset : 0;
	iov_iter_truncate(to, piece->bytes);
	ret = bpio_direct_fill(direct, bio, to);
	iov_iter_reexpand(to, left - (ret ? 0 : bio->bi_iter.bi_size));
	if (unlikely(ret))
		return ret;

	ibio->io = io;
	ibio->pos = io->pos + io->size;
	ibio->bytes = bio->bi_iter.bi_size;
	if (io->flags & BPIO_IO_DIRTY)
		bpio_pages_set_dirty(bio);

	io->size += ibio->bytes;
	piece->sector += ibio->bytes >> SECTOR_SHIFT;
	piece->bytes -= ibio->bytes;
	trace_bpio_direct_read(io->of, ibio->pos, bio);
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

	io->of = direct->of;
	io->route = direct->route;
	io->pos = iocb->ki_pos;
	io->size = 0;
	io->limit = direct->limit;
	io->flags = user_backed_iter(to) ? BPIO_IO_DIRTY : 0;
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
 * last of them. A fault in the caller's memory, and a bio that cannot be had, end
 * the read where that happened: then the caller has to wait for it, so as to bring
 * the rest.
 *
 * Return: whether all was submitted.
 */
static bool bpio_io_submit_rest(struct bpio_direct *direct,
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
		if (unlikely(!ibio))
			break;
		if (bpio_io_bio_add(direct, io, ibio, to)) {
			bio_put(&ibio->bio);
			break;
		}
		if (iov_iter_count(to)) {
			atomic_inc(&io->ref);
			submit_bio(&ibio->bio);
			continue;
		}
		submit_bio(&ibio->bio);
		return true;
	}

	/* Completions look at that only when the count is given back. */
	io->waiter = current;
	set_bit(ilog2(BPIO_IO_SYNC), &io->flags);
	if (atomic_dec_and_test(&io->ref))
		bpio_io_done(io);
	return false;
}

static ssize_t bpio_io_wait(struct bpio_io *io, struct kiocb *iocb,
			    struct iov_iter *to)
{
	ssize_t ret;

	bpio_direct_sleep(&io->waiter);

	if (unlikely(!llist_empty(&io->failed))) {
		ret = bpio_io_repeat(io);
	} else {
		ret = bpio_io_result(io);
		iov_iter_revert(to, io->size - ret);
		bpio_direct_count(io->of, ret);
	}
	if (ret > 0)
		iocb->ki_pos += ret;
	bpio_io_put_first(io);
	return ret;
}

/*
 * A page may disappear again after the first bios were submitted (a fork() by
 * another thread write-protects all of them for a moment), and there may be no
 * memory for one more bio. O_DIRECT on the file would not end there, so the file
 * system reads the rest. A read that was repeated and came out short has used up
 * more of @to than it returned.
 */
static ssize_t bpio_io_read_rest(struct bpio_open_file *of, struct kiocb *iocb,
				 struct iov_iter *to, size_t count, ssize_t done)
{
	ssize_t ret;

	if (done <= 0 || iov_iter_count(to) != count - done ||
	    iocb->ki_pos >= i_size_read(of->file->inode))
		return done;

	bpio_fallback_count(of, iocb->ki_pos, iov_iter_count(to),
			    BPIO_REASON_NO_MEMORY);
	/* Its completion would not know about the part that was read. */
	ret = bpio_fallback_read_sync(of, iocb->ki_pos, to);
	if (ret <= 0)
		return done;
	iocb->ki_pos += ret;
	return done + ret;
}

/*
 * A route may end at a mapped device. Device-mapper has a list of its own for
 * polled bios, whose mark is passed on to the clone of the second part when it
 * splits one, and the next mapped device below falls over it. So these are not
 * polled: they complete by themselves, like those of a device without poll queues.
 */
static inline bool bpio_io_may_poll(const struct bio *bio, struct kiocb *iocb)
{
	return iocb->ki_flags & IOCB_HIPRI && !is_sync_kiocb(iocb) &&
	       !bio->bi_bdev->bd_disk->fops->poll_bio;
}

/* Nothing more may be known of an asynchronous read after its last submission. */
static inline void bpio_io_submit_last(struct bio *bio, struct kiocb *iocb)
{
	if (bpio_io_may_poll(bio, iocb)) {
		bio->bi_opf |= BPIO_COMPAT_POLLED;
		submit_bio(bio);
		/* As long as the read is polled, nobody else ends it. */
		WRITE_ONCE(iocb->private, bio);
	} else {
		submit_bio(bio);
	}
}

/* Return: whether all of @to was submitted. */
static bool bpio_io_submit(struct bpio_direct *direct, struct bpio_io *io,
			   struct bio *first, struct kiocb *iocb,
			   struct iov_iter *to)
{
	struct blk_plug plug;
	bool all = true;

	if (unlikely(iov_iter_count(to))) {
		blk_start_plug(&plug);
		atomic_inc(&io->ref);
		submit_bio(first);
		all = bpio_io_submit_rest(direct, io, iocb, to);
		blk_finish_plug(&plug);
	} else {
		bpio_io_submit_last(first, iocb);
	}
	return all;
}

/* A read of a single bio is kept like one of several once it has failed. */
static void bpio_io_single_failed(struct bpio_io_bio *ibio)
{
	struct bpio_io *io = &ibio->own;

	bio_get(&ibio->bio);
	bpio_io_unpoll(&ibio->bio);
	ibio->io = io;
	ibio->pos = io->pos;
	ibio->bytes = io->size;
	init_llist_head(&io->failed);
	llist_add(&ibio->node, &io->failed);
	if (ibio->bio.bi_status == BLK_STS_AGAIN)
		io->flags |= BPIO_IO_AGAIN;
	bpio_io_done(io);
}

static void bpio_io_single_end_io(struct bio *bio)
{
	struct bpio_io_bio *ibio = container_of(bio, struct bpio_io_bio, bio);
	struct bpio_io *io = &ibio->own;
	struct kiocb *iocb = io->iocb;
	size_t limit = io->limit;

	if (unlikely(bio->bi_status)) {
		bpio_io_single_failed(ibio);
		return;
	}
	bpio_direct_end(io->of, io->route);
	bpio_direct_count(io->of, limit);
	WRITE_ONCE(iocb->private, NULL);
	bpio_pages_release(&ibio->bio, io->flags & BPIO_IO_DIRTY);

	/* As in bpio_io_complete(), nothing is touched afterwards. */
	iocb->ki_pos += limit;
	iocb->ki_complete(iocb, limit);
}

static void bpio_io_single_submit(struct bpio_io_bio *ibio,
				  struct bpio_direct *direct,
				  struct kiocb *iocb, bool dirty)
{
	struct bpio_io *io = &ibio->own;
	struct bio *bio = &ibio->bio;

	io->iocb = iocb;
	io->of = direct->of;
	io->route = direct->route;
	io->pos = iocb->ki_pos;
	io->size = bio->bi_iter.bi_size;
	io->limit = direct->limit;
	io->flags = dirty ? BPIO_IO_DIRTY : 0;
	if (dirty)
		bpio_pages_set_dirty(bio);
	trace_bpio_direct_read(direct->of, iocb->ki_pos, bio);
	bpio_io_submit_last(bio, iocb);
}

/* Nothing of the read was submitted; see bpio_direct_unfilled(). */
static noinline ssize_t bpio_io_give_up(struct bpio_direct *direct,
					struct kiocb *iocb, struct iov_iter *to,
					int error)
{
	bpio_direct_end(direct->of, direct->route);
	return bpio_direct_unfilled(direct, iocb, to, error);
}

/**
 * bpio_io_read_single() - read direct, asynchronously, with one bio
 * @direct: what is to be read, one piece; used up
 * @iocb: as the caller gave it
 * @to: cut to the length of the read
 * @nr_vecs: bpio_direct_vecs() of @to
 *
 * Context: as read_iter.
 * Return: -EIOCBQUEUED, or a negative errno when nothing was done.
 */
ssize_t bpio_io_read_single(struct bpio_direct *direct, struct kiocb *iocb,
			    struct iov_iter *to, unsigned int nr_vecs)
{
	struct block_device *bdev = direct->first.bdev;
	struct bpio_io_bio *ibio;
	struct bio *bio;
	int ret = 0;

	bio = bio_alloc_bioset(bdev, nr_vecs,
			       bpio_compat_opf(iocb) | direct->flags,
			       BPIO_DIRECT_GFP, &bpio_io_bios);
	if (unlikely(!bio))
		return bpio_io_give_up(direct, iocb, to, -ENOMEM);
	bio->bi_iter.bi_sector = direct->first.sector;
	bio->bi_ioprio = iocb->ki_ioprio;
	bio->bi_end_io = bpio_io_single_end_io;

	ibio = container_of(bio, struct bpio_io_bio, bio);
	ibio->skip = 0;
	if (iov_iter_is_bvec(to)) {
		/* Only vectors of the caller are not taken from their start. */
		ibio->skip = to->iov_offset;
		bpio_compat_bio_borrow(bio, to);
	} else {
		ret = bpio_direct_fill(direct, bio, to);
	}
	if (unlikely(ret)) {
		bio_put(bio);
		return bpio_io_give_up(direct, iocb, to, ret);
	}
	bpio_io_single_submit(ibio, direct, iocb, user_backed_iter(to));
	return -EIOCBQUEUED;
}

/**
 * bpio_io_read() - read direct with bios that are not on the caller's stack
 * @direct: from bpio_direct_begin(); used up, but for its map
 * @iocb: as the caller gave it
 * @to: cut to the length of the read
 *
 * Context: as read_iter.
 * Return: as read_iter.
 */
ssize_t bpio_io_read(struct bpio_direct *direct, struct kiocb *iocb,
		     struct iov_iter *to)
{
	struct bpio_open_file *of = direct->of;
	size_t count = iov_iter_count(to);
	bool sync = is_sync_kiocb(iocb);
	struct bpio_io_bio *first;
	struct bpio_io *io;
	ssize_t ret;

	first = bpio_io_bio_alloc(iocb, to, &direct->first);
	if (unlikely(!first))
		return bpio_io_give_up(direct, iocb, to, -ENOMEM);
	io = bpio_io_begin(first, direct, iocb, to);
	ret = bpio_io_bio_add(direct, io, first, to);
	if (unlikely(ret))
		goto fail;

	if (unlikely(!bpio_io_submit(direct, io, &first->bio, iocb, to)))
		return bpio_io_read_rest(of, iocb, to, count,
					 bpio_io_wait(io, iocb, to));
	return sync ? bpio_io_wait(io, iocb, to) : -EIOCBQUEUED;

fail:
	bpio_io_put_first(io);
	bio_put(&first->bio);
	return bpio_io_give_up(direct, iocb, to, ret);
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
	destroy_workqueue(bpio_io_wq);
	bpio_pages_flush();
	bioset_exit(&bpio_io_bios);
}
