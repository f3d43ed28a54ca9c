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
/* Reads that are in flight at most. */
#define LOAD_DEPTH	4
#define LOAD_IN_FLIGHT	(2 + 2 * LOAD_DEPTH)

struct load;

struct load_thread {
	struct load		*load;
	unsigned int		number;
	pthread_t		thread;
	/* finished */
	_Atomic uint64_t	reads;
};

struct load {
	/* set by the test before load_start() */
	int			fd;
	uint32_t		file;		/* generation 1 */
	uint64_t		bytes;		/* of the file, read from 0 */
	size_t			length;		/* of the longest read */
	size_t			unit;		/* reads are multiples of it */
	_Atomic bool		may_fail;	/* EIO is an answer too */
	/* of the threads */
	_Atomic bool		stop;
	_Atomic uint64_t	begun;		/* reads */
	_Atomic uint64_t	errors;		/* reads that failed with EIO */
	_Atomic bool		failed;
	char			why[512];	/* valid when failed */
	struct load_thread	threads[LOAD_THREADS];
};

/* Returns 0 or a negative errno. */
int load_start(struct load *load);

/*
 * Wait until every thread has read @count times more. Returns 0, or -1 when one
 * found something wrong or stands still, and says what.
 */
int load_progress(struct load *load, uint64_t count);

/*
 * Wait until reads of the enabled file that the load reads go direct again, by
 * themselves. Returns 0 or a negative errno and prints the obstacle.
 */
int load_direct(struct load *load);

/* Which reads of a load a bpio-filter sees. */
struct load_watch {
	const char	*filter;
	uint64_t	seen;
	uint64_t	begun[2];	/* before and after that was looked at */
};

/* From now on the filter is to see every read of the load. */
void load_watch(const struct load *load, struct load_watch *watch,
		const char *filter);

/*
 * Let the load run for a while and stop it. Returns 0 if the filter has seen
 * exactly the reads begun since load_watch(), or -1 and says what was wrong.
 */
int load_was_seen(struct load *load, const struct load_watch *watch);

/* Stop the threads. Returns 0, or -1 after a wrong read, and says what it was. */
int load_stop(struct load *load);

#endif /* SELFTESTS_LOAD_H */
