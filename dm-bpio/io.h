/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_IO_H
#define BPIO_IO_H

#include <linux/fs.h>
#include <linux/uio.h>

struct bio;
struct bpio_direct;

bool bpio_io_is_dirty(struct bio *bio);
ssize_t bpio_io_read(struct bpio_direct *direct, struct kiocb *iocb,
		     struct iov_iter *to);

int bpio_io_init(void);
void bpio_io_exit(void);

#endif /* BPIO_IO_H */
