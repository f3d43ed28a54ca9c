/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_LEASE_H
#define BPIO_LEASE_H

#include <linux/types.h>

struct bpio_file;

bool bpio_lease_take(struct bpio_file *file);
void bpio_lease_await_breaker(const struct bpio_file *file);
void bpio_lease_drop(struct bpio_file *file);

#endif /* BPIO_LEASE_H */
