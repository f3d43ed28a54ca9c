/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The number of blocks that no file has.
 */
#ifndef STRESS_SPARE_H
#define STRESS_SPARE_H

/* @blocks are free now. */
void spare_give(unsigned int blocks);
/* Returns how many of @blocks may be put into use, at most all. */
unsigned int spare_take(unsigned int blocks);

#endif /* STRESS_SPARE_H */
