/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Distinguishes volumes made by "bpio adopt" from those made by hand.
 */
#ifndef BPIO_ADOPTED_H
#define BPIO_ADOPTED_H

#include <stdbool.h>
#include <sys/types.h>

#include "mapped.h"

/*
 * Whether the device is a volume that was adopted. LVM itself makes no bpio volumes, so
 * every one with an LVM name was; any other adopted volume is recorded in /run until it
 * is released or removed.
 */
bool adopted_is(const struct mapped *mapped);

/* Records that @mapped is adopted: 0 or a negative errno. Not needed for LVM's */
int adopted_record(const struct mapped *mapped);
void adopted_forget(const struct mapped *mapped);

/* One adoption or release at a time: a descriptor to close, or a negative errno */
int adopted_lock(void);

#endif /* BPIO_ADOPTED_H */
