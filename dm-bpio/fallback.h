/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_FALLBACK_H
#define BPIO_FALLBACK_H

#include <linux/fs.h>
#include <linux/uio.h>
#include <linux/dm-bpio.h>

struct bpio_handle;

ssize_t bpio_fallback_read(struct bpio_handle *handle, struct kiocb *iocb,
			   struct iov_iter *to, enum bpio_reason reason);
ssize_t bpio_fallback_read_sync(struct bpio_handle *handle, loff_t pos,
				struct iov_iter *to);
void bpio_fallback_count(struct bpio_handle *handle, loff_t pos, size_t count,
			 enum bpio_reason reason);
void bpio_fallback_count_bytes(struct bpio_handle *handle, ssize_t bytes);

#endif /* BPIO_FALLBACK_H */
