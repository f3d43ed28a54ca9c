/* SPDX-License-Identifier: GPL-2.0-only */
/* One figure of readbench: what to read, how, and what became of it. */
#ifndef JOB_H
#define JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "bench.h"
#include "engine.h"

/* How the reads have to be served for the figure to count. */
enum expect {
	EXPECT_ANY,
	EXPECT_FULL,		/* direct, to the storage device */
	EXPECT_PARTIAL,		/* direct, to a layer that did not take part */
	EXPECT_FALLBACK,	/* by the file system */
	EXPECT_UNCOUNTED,	/* the same, without O_DIRECT */
	EXPECT_MAPPED,		/* past the layers below a volume */
};

/**
 * struct job - one figure
 * @name: what to call it
 * @path: file or device
 * @volume: mapped device of the volume, to enable @path
 * @expect: see there
 * @arm: wait for the file to be armed
 * @verify: look at the bytes before measuring
 * @base: where the range starts that is read at random
 * @size: length of that range
 * @batches: see struct measurement
 * @reads: reads of one batch
 * @engine: how to read
 * @reader: its part; it has the descriptor of @path
 * @volume_fd: descriptor of the volume, or -1
 * @offsets: where to read, for one batch
 */
struct job {
	const char		*name;
	const char		*path;
	const char		*volume;
	enum expect		expect;
	bool			arm;
	bool			verify;
	uint64_t		base;
	uint64_t		size;
	unsigned int		batches;
	unsigned int		reads;
	const struct engine	*engine;
	struct reader		reader;
	int			volume_fd;
	uint64_t		*offsets;
};

/**
 * struct tally - how the reads were served
 * @direct: enabled file: direct reads; volume: reads past the layers below
 * @fallback: reads served by the file system
 * @reasons: why, by enum bpio_reason
 * @support: enum bpio_support of the route in use
 * @extents: of the file's map
 */
struct tally {
	uint64_t	direct;
	uint64_t	fallback;
	uint64_t	reasons[64];
	uint32_t	support;
	uint64_t	extents;
};

/* All of these die of errors. */

/* Write its own offset into every word of the range. */
void job_fill(const struct job *job);

void job_open(struct job *job);
void job_close(struct job *job);

/*
 * Read until caches and pools are as they will be; also where the bytes are
 * looked at.
 */
void job_warm_up(struct job *job);

/*
 * Measure. @tally: what the measured reads did; it is an error if that is not
 * what @job expects.
 */
struct measurement job_run(struct job *job, struct tally *tally);

/* Called before each measured batch: where a profile begins and ends. */
__attribute__((noinline)) void job_batch_begins(void);

#endif /* JOB_H */
