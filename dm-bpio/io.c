// SPDX-License-Identifier: GPL-2.0-only
/*
 * Direct reads that are asynchronous, have several pieces, or have more pages than fit
 * one bio.
 *
 * Level: read.
 */
#include <linux/bio.h>

#include "compat.h"
#include "direct.h"
#include "extent.h"
#include "fallback.h"
#include "file.h"
#include "open_file.h"
#include "io.h"
#include "io_end.h"
#include "pages.h"
#include "route.h"
#include "trace.h"

/* Bios kept in reserve; reads that get no bio fall back. */
#define BPIO_IO_POOL_SIZE	BIO_POOL_SIZE

static struct bio_set bpio_io_bios;
static struct bio_set bpio_io_parts;

/* Whether the read needs more vectors than fit one bio. */
static bool bpio_io_is_large(struct iov_iter *to)
{
	return bpio_direct_vecs(to, BIO_MAX_VECS + 1) > BIO_MAX_VECS;
}

/*
 * How much of the read the next bio may take. A bio that has no room for all of it is
 * cut to whole blocks of the device that it was allocated for. So it may extend beyond
 * the first piece only if no other device of the route has larger blocks.
 */
static size_t bpio_io_room(const struct bpio_direct *direct, struct iov_iter *to)
{
	const struct bpio_piece *piece = &direct->first;

	if (piece->bytes < iov_iter_count(to) && bpio_io_is_large(to) &&
	    bdev_logical_block_size(piece->bdev) - 1 <
	    direct->route->length_mask)
		return piece->bytes;
	return iov_iter_count(to);
}

/* Return: a bio, or NULL without memory; see BPIO_DIRECT_GFP. */
static noinline struct bpio_io_bio *
bpio_io_bio_alloc(const struct bpio_direct *direct, struct kiocb *iocb,
		  struct iov_iter *to)
{
	const struct bpio_piece *piece = &direct->first;
	size_t left = iov_iter_count(to);
	unsigned int nr_vecs;
	struct bio *bio;

	iov_iter_truncate(to, bpio_io_room(direct, to));
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

/* Fill a bio with the next bytes and add it to the read. */
static int bpio_io_bio_add(const struct bpio_direct *direct, struct bpio_io *io,
			   struct bpio_io_bio *ibio, struct iov_iter *to)
{
	size_t left = iov_iter_count(to);
	struct bio *bio = &ibio->bio;
	int ret;

	/* Only an ITER_BVEC can start inside its first vector. */
	ibio->skip = iov_iter_is_bvec(to) ? to->iov_offset : 0;
	iov_iter_truncate(to, bpio_io_room(direct, to));
	ret = bpio_direct_fill(direct, bio, to, bpio_io_is_large(to));
	iov_iter_reexpand(to, left - (ret ? 0 : bio->bi_iter.bi_size));
	if (unlikely(ret))
		return ret;

	ibio->io = io;
	ibio->pos = io->pos + io->size;
	ibio->bytes = bio->bi_iter.bi_size;
	ibio->part_status = BLK_STS_OK;
	if (io->flags & BPIO_IO_DIRTY)
		bpio_pages_set_dirty(bio);

	io->size += ibio->bytes;
	return 0;
}

/*
 * Split the first piece off a longer bio and submit it. The next piece becomes the
 * first; it exists, because bpio_direct_find_rest() has checked the whole range.
 *
 * Return: false if the rest of the bio cannot be submitted.
 */
static noinline bool bpio_io_submit_part(struct bpio_direct *direct,
					 struct bpio_io *io,
					 struct bpio_io_bio *ibio, loff_t pos)
{
	struct bpio_piece *piece = &direct->first;
	struct bio *bio = &ibio->bio, *part;

	part = bio_split(bio, piece->bytes >> SECTOR_SHIFT, BPIO_DIRECT_GFP,
			 &bpio_io_parts);
	/* bio_split() returns NULL before 6.13. */
	if (IS_ERR_OR_NULL(part))
		return false;
	part->bi_private = ibio;
	part->bi_end_io = bpio_io_end_part;
	bio_inc_remaining(bio);
	trace_bpio_direct_read(io->of, pos, part);
	pos += piece->bytes;
	submit_bio(part);

	if (WARN_ON_ONCE(bpio_direct_find(direct->map, io->route, pos,
					  io->pos + direct->count - pos, piece)))
		return false;
	bio_set_dev(bio, piece->bdev);
	bio->bi_iter.bi_sector = piece->sector;
	return true;
}

/*
 * Submit a bio, each piece to its device. If there is no memory for a part, the bio
 * fails, and the file system repeats all of it.
 */
static void bpio_io_bio_submit(struct bpio_direct *direct, struct bpio_io *io,
			       struct bpio_io_bio *ibio)
{
	struct bpio_piece *piece = &direct->first;
	struct bio *bio = &ibio->bio;
	loff_t end = ibio->pos + ibio->bytes;

	while (piece->bytes < bio->bi_iter.bi_size) {
		if (bpio_io_submit_part(direct, io, ibio,
					end - bio->bi_iter.bi_size))
			continue;
		bio->bi_status = BLK_STS_RESOURCE;
		piece->bytes = 0;
		bio_endio(bio);
		return;
	}
	piece->sector += bio_sectors(bio);
	piece->bytes -= bio->bi_iter.bi_size;
	trace_bpio_direct_read(io->of, end - bio->bi_iter.bi_size, bio);
	submit_bio(bio);
}

static struct bpio_io *bpio_io_begin(struct bpio_io_bio *first,
				     struct bpio_direct *direct,
				     struct kiocb *iocb,
				     struct iov_iter *to)
{
	struct bpio_io *io = &first->own;

	/* The first bio contains the read, so keep it until the read is over. */
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
 * Submit the second and later bios. The last of them uses the caller's count in
 * io->ref. A missing page, or lack of memory for a bio, ends the read there: the
 * caller then waits for the read and has the file system read the rest.
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
		ibio = bpio_io_bio_alloc(direct, iocb, to);
		if (unlikely(!ibio))
			break;
		if (bpio_io_bio_add(direct, io, ibio, to)) {
			bio_put(&ibio->bio);
			break;
		}
		if (!iov_iter_count(to)) {
			bpio_io_bio_submit(direct, io, ibio);
			return true;
		}
		atomic_inc(&io->ref);
		bpio_io_bio_submit(direct, io, ibio);
	}

	/* Completions read this only after the submitter has dropped its count. */
	io->waiter = current;
	WRITE_ONCE(io->flags, io->flags | BPIO_IO_SYNC);
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
 * After the first bios were submitted, a page may be missing (a fork() by another
 * thread write-protects all pages for a moment), or there may be no memory for another
 * bio. O_DIRECT on the file would not return a short read for that, so the file system
 * reads the rest. A repeated read that was short has advanced @to by more than it
 * returned.
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
	/* Synchronously: a later completion would not know of the part already read. */
	ret = bpio_fallback_read_sync(of, iocb->ki_pos, to);
	if (ret <= 0)
		return done;
	iocb->ki_pos += ret;
	return done + ret;
}

/*
 * A route may end at a mapped device. Device-mapper keeps polled bios on a private
 * list, marked by a flag. When it splits a polled bio, the clone of the second part
 * inherits the flag, and the next mapped device below crashes on it. So bios to mapped
 * devices are not polled: they complete by interrupt, as on a device without poll
 * queues.
 */
static inline bool bpio_io_may_poll(const struct bio *bio, struct kiocb *iocb)
{
	return iocb->ki_flags & IOCB_HIPRI && !is_sync_kiocb(iocb) &&
	       !bio->bi_bdev->bd_disk->fops->poll_bio;
}

/* Do not touch an asynchronous read after its last submission. */
static inline void bpio_io_submit_last(struct bio *bio, struct kiocb *iocb)
{
	if (bpio_io_may_poll(bio, iocb)) {
		bio->bi_opf |= BPIO_COMPAT_POLLED;
		submit_bio(bio);
		/* A polled read completes only when the caller polls. */
		WRITE_ONCE(iocb->private, bio);
	} else {
		submit_bio(bio);
	}
}

/* Return: whether all of @to was submitted. */
static bool bpio_io_submit(struct bpio_direct *direct, struct bpio_io *io,
			   struct bpio_io_bio *first, struct kiocb *iocb,
			   struct iov_iter *to)
{
	struct blk_plug plug;
	bool all = true;

	if (!direct->map && !iov_iter_count(to)) {
		trace_bpio_direct_read(io->of, io->pos, &first->bio);
		bpio_io_submit_last(&first->bio, iocb);
		return true;
	}
	blk_start_plug(&plug);
	if (iov_iter_count(to)) {
		atomic_inc(&io->ref);
		bpio_io_bio_submit(direct, io, first);
		all = bpio_io_submit_rest(direct, io, iocb, to);
	} else {
		bpio_io_bio_submit(direct, io, first);
	}
	blk_finish_plug(&plug);
	return all;
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

/* No bio of the read was submitted; see bpio_direct_unfilled(). */
static noinline ssize_t bpio_io_give_up(struct bpio_direct *direct,
					struct kiocb *iocb, struct iov_iter *to,
					int error)
{
	bpio_direct_end(direct->of, direct->route);
	return bpio_direct_unfilled(direct, iocb, to, error);
}

/**
 * bpio_io_read_single() - read direct, asynchronously, with one bio
 * @direct: the read, of one piece; consumed
 * @iocb: the caller's
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
		/* Only an ITER_BVEC can start inside its first vector. */
		ibio->skip = to->iov_offset;
		bpio_compat_bio_borrow(bio, to);
	} else {
		ret = bpio_direct_fill(direct, bio, to, false);
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
 * @direct: from bpio_direct_begin(); consumed, except its map
 * @iocb: the caller's
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

	first = bpio_io_bio_alloc(direct, iocb, to);
	if (unlikely(!first))
		return bpio_io_give_up(direct, iocb, to, -ENOMEM);
	io = bpio_io_begin(first, direct, iocb, to);
	ret = bpio_io_bio_add(direct, io, first, to);
	if (unlikely(ret))
		goto fail;

	if (unlikely(!bpio_io_submit(direct, io, first, iocb, to)))
		return bpio_io_read_rest(of, iocb, to, count,
					 bpio_io_wait(io, iocb, to));
	return sync ? bpio_io_wait(io, iocb, to) : -EIOCBQUEUED;

fail:
	bpio_io_put_first(io);
	bio_put(&first->bio);
	return bpio_io_give_up(direct, iocb, to, ret);
}

/**
 * bpio_io_init() - create the bio_sets and the workqueue
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
	ret = bioset_init(&bpio_io_parts, BPIO_IO_POOL_SIZE, 0,
			  BIOSET_PERCPU_CACHE);
	if (ret)
		goto fail_parts;
	ret = bpio_io_end_init();
	if (ret)
		goto fail_end;
	return 0;

fail_end:
	bioset_exit(&bpio_io_parts);
fail_parts:
	bioset_exit(&bpio_io_bios);
	return ret;
}

/**
 * bpio_io_exit() - undo bpio_io_init()
 */
void bpio_io_exit(void)
{
	bpio_io_end_exit();
	bioset_exit(&bpio_io_parts);
	bioset_exit(&bpio_io_bios);
}
