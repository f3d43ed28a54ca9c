/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_READ_H
#define BPIO_READ_H

#include <linux/fs.h>

ssize_t bpio_read_iter(struct kiocb *iocb, struct iov_iter *to);

#endif /* BPIO_READ_H */
