/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_FALLBACK_H
#define BPIO_FALLBACK_H

#include <linux/fs.h>
#include <linux/uio.h>
#include <linux/dm-bpio.h>

struct bpio_open_file;

ssize_t bpio_fallback_read(struct bpio_open_file *of, struct kiocb *iocb,
			   struct iov_iter *to, enum bpio_reason reason);
ssize_t bpio_fallback_read_sync(struct bpio_open_file *of, loff_t pos,
				struct iov_iter *to);
void bpio_fallback_count(struct bpio_open_file *of, loff_t pos, size_t count,
			 enum bpio_reason reason);

#endif /* BPIO_FALLBACK_H */
