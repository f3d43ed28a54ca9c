/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_SIMPLE_H
#define BPIO_SIMPLE_H

#include <linux/fs.h>
#include <linux/uio.h>

struct bpio_direct;

ssize_t bpio_simple_read(struct bpio_direct *direct, struct kiocb *iocb,
			 struct iov_iter *to, unsigned int nr_vecs);

#endif /* BPIO_SIMPLE_H */
