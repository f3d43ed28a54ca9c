/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Blocks of files, by their numbers in the file. Whoever calls holds the file's
 * change lock. Functions that return unsigned int return how many blocks were
 * freed, by which refill() is to be called, unless their comment says otherwise.
 */
#ifndef STRESS_BLOCKS_H
#define STRESS_BLOCKS_H

#include "stress.h"

/* Returns how many of @blocks may be put into use, at most all. */
unsigned int spare_take(unsigned int blocks);
/* @freed blocks that were @victim's: another file gets them now. */
void refill(struct file *victim, struct dice *dice, unsigned int freed);

/* Blocks of a range are not the file's any more. */
unsigned int unmap(struct file *file, unsigned int first, unsigned int count);
/* Returns the length of the file. */
unsigned int blocks_of(const struct file *file);
/* Some of the file's blocks; false when it is empty. */
bool some_blocks(struct file *file, struct dice *dice, unsigned int *first,
		 unsigned int *count);
/*
 * Blocks at the beginning of a file without a gap, at most that many. What the
 * kernel reads page by page, with the file locked and the file system kept from
 * being frozen, takes long on a slow device: no more than a second's worth.
 */
unsigned int first_blocks(const struct file *file, unsigned int most);
int open_for_change(struct file *file, int flags);

/* The way back when nobody knows what the file holds. */
unsigned int reset(struct file *file);
/*
 * Write what the model says, of a change that has begun: O_DIRECT, MAP_SHARED,
 * or other flags of open().
 */
unsigned int store_blocks(struct file *file, unsigned int first,
			  unsigned int count, int how);
/* Write a new generation of blocks that are the file's, or that were spare. */
unsigned int write_blocks(struct file *file, unsigned int first,
			  unsigned int count, int how);
/*
 * Into the first gap that @file has: at most @count blocks, that are spare.
 * Returns how many.
 */
unsigned int fill_gap(struct file *file, unsigned int count, int how);
/*
 * The file ends at block @blocks from now on: by O_TRUNC, by a descriptor (0) or
 * by its name.
 */
unsigned int shorten(struct file *file, unsigned int blocks, int how);

#endif /* STRESS_BLOCKS_H */
