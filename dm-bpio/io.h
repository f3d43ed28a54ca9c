/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_IO_H
#define BPIO_IO_H

#include <linux/fs.h>
#include <linux/uio.h>

struct bpio_direct;

ssize_t bpio_io_read(struct bpio_direct *direct, struct kiocb *iocb,
		     struct iov_iter *to);
ssize_t bpio_io_read_single(struct bpio_direct *direct, struct kiocb *iocb,
			    struct iov_iter *to, unsigned int nr_vecs);

int bpio_io_init(void);
void bpio_io_exit(void);

#endif /* BPIO_IO_H */
