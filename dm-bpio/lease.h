/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_LEASE_H
#define BPIO_LEASE_H

#include <linux/types.h>

struct bpio_file;

bool bpio_lease_take(struct bpio_file *file);
void bpio_lease_await(const struct bpio_file *file);
void bpio_lease_drop(struct bpio_file *file);

void bpio_lease_init_file(struct bpio_file *file);
void bpio_lease_exit_file(struct bpio_file *file);
int bpio_lease_init(void (*on_break)(struct bpio_file *file));
void bpio_lease_exit(void);

#endif /* BPIO_LEASE_H */
