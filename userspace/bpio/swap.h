/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Replacing the live table of a mapped device by one that maps in the same way.
 */
#ifndef BPIO_SWAP_H
#define BPIO_SWAP_H

#include <stdbool.h>
#include <stddef.h>

#include "mapped.h"

/**
 * struct swap - one device whose table is replaced
 *
 * @before: The device, with the table that is live before.
 * @after: The table to make live.
 * @done: It is live.
 * @pause_us: Time for which the device held back I/O, in microseconds, at most.
 */
struct swap {
	struct mapped before;
	struct table after;
	bool done;
	unsigned long long pause_us;
};

/* Whether there is anything to do */
bool swap_needed(const struct swap *swap);

/*
 * Makes the table live: 0, or a negative errno and a sentence in @why. After an
 * error the old table is live, and there is no inactive table.
 */
int swap_run(struct swap *swap, char *why, size_t size);

/* Undoes what swap_run() has done (swap->done), with the same result */
int swap_undo(struct swap *swap, char *why, size_t size);

/* Writes a sentence to @why; returns @error */
__attribute__((__format__(printf, 4, 5)))
int wrong(char *why, size_t size, int error, const char *format, ...);

#endif /* BPIO_SWAP_H */
