/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The blocks of files, named by their number in the file. The caller holds the
 * file's change lock. Unless their comment says otherwise, functions that return
 * unsigned int return how many blocks they freed, to be passed to refill().
 */
#ifndef STRESS_BLOCKS_H
#define STRESS_BLOCKS_H

#include "stress.h"

/* Let another file use the @freed blocks that @victim gave up. */
void refill(struct file *victim, struct dice *dice, unsigned int freed);

/* Mark the blocks of a range as no longer the file's. */
unsigned int unmap(struct file *file, unsigned int first, unsigned int count);
/* Returns the length of the file. */
unsigned int blocks_of(const struct file *file);
/* Choose a random range of the file. Returns false if it is empty. */
bool some_blocks(struct file *file, struct dice *dice, unsigned int *first,
		 unsigned int *count);
/*
 * Returns the number of mapped blocks before the first gap, at most @most. The
 * callers' operations read them page by page, with the file locked and the file
 * system kept from being frozen, so on a slow device it returns no more than can
 * be read in a second.
 */
unsigned int first_blocks(const struct file *file, unsigned int most);
int open_for_change(struct file *file, int flags);

/* Empty a file whose contents are unknown because a change of it failed. */
unsigned int reset(struct file *file);
/*
 * Carry out a change that has begun: write the bytes that the model says. @how is
 * MAP_SHARED, or flags for open() such as O_DIRECT.
 */
unsigned int store_blocks(struct file *file, unsigned int first,
			  unsigned int count, int how);
/* Write a new generation into blocks that the file has, or that were spare. */
unsigned int write_blocks(struct file *file, unsigned int first,
			  unsigned int count, int how);
/*
 * Write at most @count spare blocks into the first gap of @file. Returns how many.
 */
unsigned int fill_gap(struct file *file, unsigned int count, int how);
/*
 * Shorten the file to @blocks blocks. @how is O_TRUNC (by open(), only to 0), 0 (by
 * ftruncate()) or 1 (by truncate()).
 */
unsigned int shorten(struct file *file, unsigned int blocks, int how);

#endif /* STRESS_BLOCKS_H */
