/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_DIRECT_H
#define BPIO_DIRECT_H

#include <linux/fs.h>
#include <linux/uio.h>
#include <linux/dm-bpio.h>

struct bio;
struct block_device;
struct bpio_extent_map;
struct bpio_handle;
struct bpio_route;

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
};

enum bpio_reason bpio_direct_obstacle(const struct bpio_handle *handle);
enum bpio_reason bpio_direct_begin(struct bpio_direct *direct,
				   struct bpio_handle *handle,
				   const struct kiocb *iocb,
				   const struct iov_iter *to);
ssize_t bpio_direct_read(struct bpio_direct *direct, struct kiocb *iocb,
			 struct iov_iter *to, bool present);

enum bpio_reason bpio_direct_find(const struct bpio_extent_map *map,
				  const struct bpio_route *route,
				  loff_t pos, size_t count,
				  struct bpio_piece *piece);
int bpio_direct_fill(struct bio *bio, struct iov_iter *to,
		     struct block_device *bdev);
void bpio_direct_end(struct bpio_handle *handle, struct bpio_route *route);
void bpio_direct_count(struct bpio_handle *handle, size_t bytes);
void bpio_direct_wake(struct task_struct **waiter);
void bpio_direct_sleep(struct task_struct **waiter);

#endif /* BPIO_DIRECT_H */
