/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Blocks that two files of XFS share. The caller holds the change locks of both.
 */
#ifndef STRESS_SHARES_H
#define STRESS_SHARES_H

#include "stress.h"

/* Whether the file system can have any. */
bool shares_blocks(void);

/*
 * Let another file have the first blocks of @file as well, and nothing else.
 * Returns whether it does.
 */
bool share_by_clone(struct file *file, struct file *other);

/*
 * Fill another file with the same bytes, then let @file give up its blocks in favour
 * of these; they are its own in the end. Returns how many were freed.
 */
unsigned int share_by_dedupe(struct file *file, struct file *other,
			     struct dice *dice);

#endif /* STRESS_SHARES_H */
