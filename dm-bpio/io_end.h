/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_IO_END_H
#define BPIO_IO_END_H

#include <linux/atomic.h>
#include <linux/bio.h>
#include <linux/fs.h>
#include <linux/llist.h>
#include <linux/minmax.h>
#include <linux/workqueue.h>

struct bpio_open_file;
struct bpio_route;

enum {
	BPIO_IO_SYNC	= 1 << 0,
	BPIO_IO_DIRTY	= 1 << 1,
};

/**
 * struct bpio_io - a direct read of one or several bios
 * @iocb: the caller's, when asynchronous
 * @waiter: the caller, when synchronous; NULL when all bios have completed
 * @of: the open file; kept alive by the caller's reference to its struct file
 * @route: the route; holds a reference until all bios have completed
 * @pos: offset in the file of the first byte
 * @size: bytes submitted
 * @limit: maximum number of bytes to return, because of the end of the file
 * @ref: bios not yet completed, and one for the submitter
 * @flags: BPIO_IO_*; SYNC may be set by the submitter while it holds @ref, the
 *	others before the first submission
 * @status: status of the bio that failed last
 * @failed: bios that failed, for the file system to repeat
 * @work: repeats the failed bios
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
	unsigned int		flags;
	blk_status_t		status;
	struct llist_head	failed;
	struct work_struct	work;
};

/**
 * struct bpio_io_bio - a bio of a direct read
 * @io: the read, which is @own of the first bio
 * @own: the read; used only in the first bio, which is kept until the read is over
 * @node: in io->failed
 * @pos: offset in the file
 * @bytes: length
 * @skip: bytes of the first bio_vec that are not part of the read
 * @part_status: status of the part that failed last
 * @bio: the bio; ends when all parts that were split off have ended
 */
struct bpio_io_bio {
	struct bpio_io		*io;
	struct bpio_io		own;
	struct llist_node	node;
	loff_t			pos;
	unsigned int		bytes;
	unsigned int		skip;
	blk_status_t		part_status;
	struct bio		bio;
};

void bpio_io_end_io(struct bio *bio);
void bpio_io_end_part(struct bio *part);
void bpio_io_single_end_io(struct bio *bio);
void bpio_io_done(struct bpio_io *io);
ssize_t bpio_io_repeat(struct bpio_io *io);

int bpio_io_end_init(void);
void bpio_io_end_exit(void);

/**
 * bpio_io_result() - the return value of a read of which no bio has failed
 * @io: the read
 *
 * Context: any.
 * Return: bytes.
 */
static inline size_t bpio_io_result(const struct bpio_io *io)
{
	return min(io->size, io->limit);
}

/**
 * bpio_io_put_first() - free a read together with the bio that contains it
 * @io: the read, which is over
 *
 * Context: any.
 */
static inline void bpio_io_put_first(struct bpio_io *io)
{
	bio_put(&container_of(io, struct bpio_io_bio, own)->bio);
}

#endif /* BPIO_IO_END_H */
