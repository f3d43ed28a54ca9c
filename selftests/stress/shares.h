/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Blocks that two files of XFS share. The caller holds the change locks of both.
 */
#ifndef STRESS_SHARES_H
#define STRESS_SHARES_H

#include "stress.h"

/* Whether the file system can share blocks. */
bool shares_blocks(void);

/*
 * Let @other consist of the first blocks of @file, shared with it. Returns whether
 * that succeeded.
 */
bool share_by_clone(struct file *file, struct file *other);

/*
 * Fill @other with the bytes of @file, let @file give up its blocks and share those of
 * @other, and empty @other. Returns how many blocks were freed.
 */
unsigned int share_by_dedupe(struct file *file, struct file *other,
			     struct dice *dice);

#endif /* STRESS_SHARES_H */
