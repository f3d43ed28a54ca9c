// SPDX-License-Identifier: GPL-2.0-only
/*
 * Completion of direct reads whose bios are not on the caller's stack, including the
 * repetition of failed bios by the file system.
 *
 * Level: read.
 */
#include "direct.h"
#include "fallback.h"
#include "io_end.h"
#include "pages.h"

static struct workqueue_struct *bpio_io_wq;

/* Return: bytes that the file system read in place of a failed bio. */
static ssize_t bpio_io_repeat_bio(struct bpio_io_bio *ibio)
{
	struct iov_iter iter;

	/* The error of an O_DIRECT read of the file, which cannot see that in vectors. */
	if (bpio_pages_are_peer(&ibio->bio))
		return ibio->bio.bi_status == BLK_STS_RESOURCE ? -ENOMEM :
								 -EREMOTEIO;
	iov_iter_bvec(&iter, ITER_DEST, ibio->bio.bi_io_vec,
		      ibio->bio.bi_vcnt, ibio->bytes + ibio->skip);
	iov_iter_advance(&iter, ibio->skip);
	return bpio_fallback_read_sync(ibio->io->of, ibio->pos, &iter);
}

static enum bpio_reason bpio_io_reason(blk_status_t status)
{
	switch (status) {
	case BLK_STS_AGAIN:
		return BPIO_REASON_NO_WAIT;
	case BLK_STS_RESOURCE:
		return BPIO_REASON_NO_MEMORY;
	default:
		return BPIO_REASON_DEVICE_ERROR;
	}
}

/**
 * bpio_io_repeat() - have the file system repeat the bios that failed
 * @io: the read; all its bios have completed
 *
 * So bypass never makes a readable file unreadable. i_dio_count and the route were
 * released before, since the file system may wait for them.
 *
 * Context: process context; waits for the file system.
 * Return: the result of the whole read, as read_iter.
 */
ssize_t bpio_io_repeat(struct bpio_io *io)
{
	struct llist_node *node = llist_del_all(&io->failed);
	struct bpio_io_bio *ibio, *next;
	loff_t end = io->pos + bpio_io_result(io);
	ssize_t ret, error = 0;

	bpio_fallback_count(io->of, io->pos, io->size,
			    bpio_io_reason(io->status));
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

/*
 * End an asynchronous read. This may drop the last reference to the open file and to
 * the module, so do not touch either afterwards.
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

/**
 * bpio_io_done() - end a read whose last bio has completed
 * @io: the read; gone when this returns, unless it is synchronous
 *
 * Context: any.
 */
void bpio_io_done(struct bpio_io *io)
{
	bpio_direct_end(io->of, io->route);

	if (io->flags & BPIO_IO_SYNC)
		bpio_direct_wake(&io->waiter);
	else
		bpio_io_done_async(io);
}

/*
 * A failed bio is kept longer than the route pins its device, and a poller may still
 * look at it. Pollers ignore a bio without a device.
 */
static void bpio_io_unpoll(struct bio *bio)
{
	WRITE_ONCE(bio->bi_bdev, NULL);
}

/**
 * bpio_io_end_part() - bi_end_io of a part that was split off a bio of a read
 * @part: the part
 *
 * Not bio_chain(): some drivers write the status of a bio that has not failed, and
 * would overwrite the error of a part.
 *
 * Context: any.
 */
void bpio_io_end_part(struct bio *part)
{
	struct bpio_io_bio *ibio = part->bi_private;

	if (unlikely(part->bi_status))
		WRITE_ONCE(ibio->part_status, part->bi_status);
	bio_put(part);
	bio_endio(&ibio->bio);
}

/**
 * bpio_io_end_io() - bi_end_io of a bio of a read
 * @bio: in a struct bpio_io_bio
 *
 * Context: any.
 */
void bpio_io_end_io(struct bio *bio)
{
	struct bpio_io_bio *ibio = container_of(bio, struct bpio_io_bio, bio);
	struct bpio_io *io = ibio->io;

	if (likely(!bio->bi_status && !ibio->part_status)) {
		bpio_pages_release(&ibio->bio,
				   READ_ONCE(io->flags) & BPIO_IO_DIRTY);
	} else {
		/* Keep it for bpio_io_repeat(). */
		bpio_io_unpoll(bio);
		WRITE_ONCE(io->status, bio->bi_status ?: ibio->part_status);
		llist_add(&ibio->node, &io->failed);
	}
	if (atomic_dec_and_test(&io->ref))
		bpio_io_done(io);
}

/* Once it has failed, a read of a single bio is handled like one of several. */
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
	io->status = ibio->bio.bi_status;
	bpio_io_done(io);
}

/**
 * bpio_io_single_end_io() - bi_end_io of the only bio of an asynchronous read
 * @bio: in a struct bpio_io_bio
 *
 * Context: any.
 */
void bpio_io_single_end_io(struct bio *bio)
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

	/* As in bpio_io_complete(), do not touch the read afterwards. */
	iocb->ki_pos += limit;
	iocb->ki_complete(iocb, limit);
}

/**
 * bpio_io_end_init() - create the workqueue on which reads are repeated
 *
 * Return: 0 or a negative errno.
 */
int bpio_io_end_init(void)
{
	bpio_io_wq = alloc_workqueue("bpio_io", WQ_UNBOUND, 0);
	return bpio_io_wq ? 0 : -ENOMEM;
}

/**
 * bpio_io_end_exit() - undo bpio_io_end_init(), and wait for the last reads
 */
void bpio_io_end_exit(void)
{
	destroy_workqueue(bpio_io_wq);
	bpio_pages_flush();
}
