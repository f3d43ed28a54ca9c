/* SPDX-License-Identifier: GPL-2.0-only */
/* One figure of readbench: what to read, how, and how the reads were served. */
#ifndef JOB_H
#define JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "bench.h"
#include "engine.h"

/* How the reads must be served for the figure to be valid. */
enum expect {
	EXPECT_ANY,
	EXPECT_FULL,		/* direct, to the storage device */
	EXPECT_PARTIAL,		/* direct, to a layer that did not take part */
	EXPECT_FALLBACK,	/* by the file system */
	EXPECT_UNCOUNTED,	/* the same, without O_DIRECT */
	EXPECT_MAPPED,		/* by a bypassed volume, skipping the layers below */
};

/**
 * struct job - one figure
 * @name: its name in the output
 * @path: file or device
 * @volume: mapped device of the volume, to enable @path
 * @expect: see enum expect
 * @arm: wait for the file to be armed
 * @verify: check the bytes before measuring
 * @base: start of the range in which blocks are read at random
 * @size: length of that range
 * @batches: see struct measurement
 * @reads: reads of one batch
 * @engine: how to read
 * @reader: for the engine; contains the descriptor of @path
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
 * @direct: direct reads of the file, or bypassed reads of the volume
 * @fallback: reads served by the file system
 * @reasons: those, counted by enum bpio_reason
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

/* All of these functions die on errors. */

/* Write its own offset into every word of the range. */
void job_fill(const struct job *job);

void job_open(struct job *job);
void job_close(struct job *job);

/*
 * Read until caches and pools have reached a steady state. This is also where the
 * bytes are checked.
 */
void job_warm_up(struct job *job);

/*
 * Measure. @tally gets how the measured reads were served; it is an error if that is
 * not what @job expects.
 */
struct measurement job_run(struct job *job, struct tally *tally);

/* Called before each measured batch; marks where a profile begins and ends. */
__attribute__((noinline)) void job_batch_begins(void);

#endif /* JOB_H */
