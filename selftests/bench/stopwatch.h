/* SPDX-License-Identifier: GPL-2.0-only */
/* The work of an operation of which workers of the kernel do a part. */
#ifndef STOPWATCH_H
#define STOPWATCH_H

#include <stdint.h>

/**
 * struct stopwatch - the clocks when an operation began
 * @time: of the guest
 * @process: what this process had worked
 * @workers: what the workers of the kernel had worked
 */
struct stopwatch {
	uint64_t	time;
	uint64_t	process;
	uint64_t	workers;
};

/**
 * struct span - what an operation took
 * @work: of this process and the workers
 * @waited: how long neither worked: idle time, and what others did
 */
struct span {
	uint64_t	work;
	uint64_t	waited;
};

void stopwatch_start(struct stopwatch *watch);
struct span stopwatch_stop(const struct stopwatch *watch);

#endif /* STOPWATCH_H */
