/* SPDX-License-Identifier: GPL-2.0-only */
/* Measures an operation part of which is done by kernel workers. */
#ifndef STOPWATCH_H
#define STOPWATCH_H

#include <stdint.h>

/**
 * struct stopwatch - the clocks when an operation began
 * @time: the guest's clock
 * @process: CPU time of this process
 * @workers: CPU time of the kernel's workers
 */
struct stopwatch {
	uint64_t	time;
	uint64_t	process;
	uint64_t	workers;
};

/**
 * struct span - the cost of an operation
 * @work: CPU time of this process and of the workers
 * @waited: how long neither ran: idle time, and CPU time of other tasks
 */
struct span {
	uint64_t	work;
	uint64_t	waited;
};

void stopwatch_start(struct stopwatch *watch);
struct span stopwatch_stop(const struct stopwatch *watch);

#endif /* STOPWATCH_H */
