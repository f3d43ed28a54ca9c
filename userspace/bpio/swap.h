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
 * @before: The device with the table that is live before.
 * @after: The table that shall be live.
 * @done: It is.
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
 * error the table of before is live, and no other one is loaded.
 */
int swap_run(struct swap *swap, char *why, size_t size);

/* Undoes what swap_run() did, with the same result */
int swap_undo(struct swap *swap, char *why, size_t size);

/*
 * Removes a table that a swap was killed before making live: 0, a negative errno,
 * or -EBUSY if the loaded table is another program's.
 */
int swap_clean(struct swap *swap, char *why, size_t size);

#endif /* BPIO_SWAP_H */
