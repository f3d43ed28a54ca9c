/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_LEASE_H
#define BPIO_LEASE_H

#include <linux/jiffies.h>
#include <linux/types.h>

struct bpio_file;

/*
 * How long to try for the leases, in jiffies: by the worker, which comes again,
 * and for a program that waits for the answer.
 */
#define BPIO_LEASE_BY_WORKER	(HZ / 50)
#define BPIO_LEASE_BY_REQUEST	(HZ / 4)

bool bpio_lease_take(struct bpio_file *file, unsigned long patience);
void bpio_lease_await_breaker(const struct bpio_file *file);
void bpio_lease_drop(struct bpio_file *file);
void bpio_lease_hold_off(struct bpio_file *file);

#endif /* BPIO_LEASE_H */
