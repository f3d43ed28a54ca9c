/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_PAGES_H
#define BPIO_PAGES_H

#include <linux/types.h>

struct bio;

void bpio_pages_set_dirty(struct bio *bio);
bool bpio_pages_are_dirty(struct bio *bio);
bool bpio_pages_are_peer(const struct bio *bio);
void bpio_pages_release(struct bio *bio, bool dirty);
void bpio_pages_flush(void);

#endif /* BPIO_PAGES_H */
