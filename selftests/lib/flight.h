/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reads in flight: a slow layer holds them while a test starts an operation that waits
 * for them.
 */
#ifndef SELFTESTS_FLIGHT_H
#define SELFTESTS_FLIGHT_H

#include <liburing.h>
#include <stdint.h>

#define FLIGHT_READS	4
/* How long the slow layer, a "delay", holds each read, in milliseconds. */
#define FLIGHT_MS	"700"

struct flight {
	struct io_uring	ring;
	char		*buffer;
	const char	*slow;		/* the slow layer */
};

/*
 * Start reads of the first FLIGHT_READS blocks of @fd and wait until the mapped device
 * @slow holds all of them. Returns 0 or a negative errno and prints what went wrong.
 */
int flight_start(struct flight *flight, int fd, const char *slow);

/* How many reads the slow layer holds now, or a negative errno. */
int flight_left(const struct flight *flight);

/*
 * Wait for the reads and verify them; they are of file @file, generation 1.
 * Returns 0 or -1 and prints what was wrong.
 */
int flight_end(struct flight *flight, uint32_t file);

#endif /* SELFTESTS_FLIGHT_H */
