/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Threads that read a file of known content, enabled or not, in several ways at
 * once and verify every byte, while a test changes the stack below.
 *
 * The file does not change; for files that do, see readers.h.
 */
#ifndef SELFTESTS_LOAD_H
#define SELFTESTS_LOAD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Two with pread, one with io_uring, one with libaio's system calls. */
#define LOAD_THREADS	4
/* The largest number of reads in flight: of an asynchronous thread, and of all. */
#define LOAD_DEPTH	4
#define LOAD_IN_FLIGHT	(2 + 2 * LOAD_DEPTH)

struct load;

struct load_thread {
	struct load		*load;
	unsigned int		number;
	pthread_t		thread;
	/* completed */
	_Atomic uint64_t	reads;
};

struct load {
	/* set by the test before load_start() */
	int			fd;
	uint32_t		file;		/* generation 1 */
	uint64_t		bytes;		/* size of the range from 0 to read */
	size_t			length;		/* of the longest read */
	size_t			unit;		/* reads are multiples of it */
	_Atomic bool		may_fail;	/* reads may fail with EIO */
	/* set by the threads */
	_Atomic bool		stop;
	_Atomic uint64_t	begun;		/* reads */
	_Atomic uint64_t	errors;		/* reads that failed with EIO */
	_Atomic bool		failed;
	char			why[512];	/* valid when failed */
	struct load_thread	threads[LOAD_THREADS];
};

/* Of file 1: reads of up to @length bytes, which are multiples of @unit. */
struct load load_of(int fd, uint64_t bytes, size_t length, size_t unit);

/* Returns 0 or a negative errno. */
int load_start(struct load *load);

/*
 * Wait until every thread has completed @count more reads. Returns 0, or -1 after
 * printing that a read was wrong or a thread makes no progress.
 */
int load_progress(struct load *load, uint64_t count);

/*
 * Wait until reads of the load's enabled file go direct again without a call. Returns 0,
 * or a negative errno after printing the obstacle.
 */
int load_direct(struct load *load);

/* Checks that a bpio-filter sees all reads of a load. */
struct load_watch {
	const char	*filter;
	uint64_t	seen;
	uint64_t	begun[2];	/* before and after @seen was read */
};

/* From now on the filter must see every read of the load. */
void load_watch(const struct load *load, struct load_watch *watch,
		const char *filter);

/*
 * Let the load run for a while and stop it. Returns 0 if the filter has seen exactly the
 * reads begun since load_watch(), or -1 after printing what was wrong.
 */
int load_was_seen(struct load *load, const struct load_watch *watch);

/*
 * For use in a test: evaluate @act, which returns 0, under a load of @fd, and check that
 * @filter sees every read that begins after that. The effect of @act stays.
 */
#define EXPECT_SEEN_AFTER(act, fd, bytes, filter) do {			\
	struct load __load = load_of(fd, bytes, 4096, 4096);		\
	struct load_watch __watch;					\
									\
	ASSERT_EQ(0, load_start(&__load));				\
	ASSERT_EQ(0, load_progress(&__load, 20));			\
	ASSERT_EQ(0, act);						\
	load_watch(&__load, &__watch, filter);				\
	EXPECT_EQ(0, load_was_seen(&__load, &__watch));			\
} while (0)

/*
 * Start a load, wait until every thread has read @count times, and stop it. Returns 0 if
 * all reads were right and direct and none of @fd ever fell back, or -1 after printing
 * what was wrong.
 */
int load_all_direct(struct load *load, uint64_t count);

/* Stop the threads. Returns 0, or -1 after printing which read was wrong. */
int load_stop(struct load *load);

#endif /* SELFTESTS_LOAD_H */
