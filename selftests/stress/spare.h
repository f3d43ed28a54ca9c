/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The number of blocks that are free.
 */
#ifndef STRESS_SPARE_H
#define STRESS_SPARE_H

/* These blocks have become free. */
void spare_give(unsigned int blocks);
/* Take spare blocks into use, at most @blocks. Returns how many. */
unsigned int spare_take(unsigned int blocks);

#endif /* STRESS_SPARE_H */
