/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Threads that read an open file all the time and verify every byte, while a test
 * changes the file.
 *
 * The test states what a read may return: it raises "newest" before it begins to write
 * a generation, and "oldest" when that has been written. A reader takes "oldest" before
 * its read and "newest" after it. So it detects a read that returns data which had been
 * overwritten before the read began.
 */
#ifndef SELFTESTS_READERS_H
#define SELFTESTS_READERS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define READERS	3

struct readers {
	/* set by the test before readers_start() */
	int			fd;
	uint32_t		file;
	uint64_t		start;		/* of the range to read */
	uint64_t		bytes;		/* of the file, which is read to its end */
	size_t			largest;	/* longest read */
	bool			shrinks;	/* reads may be short or empty */
	bool			zeroes;		/* holes may appear */
	bool			mixed;		/* see struct content_rule */
	/* errno that reads may fail with, or 0; the test may change this and the next */
	_Atomic int		may_fail;
	_Atomic uint32_t	oldest;
	_Atomic uint32_t	newest;
	/* the same for the place of the content, see struct content_rule */
	_Atomic int64_t		moved_from;
	_Atomic int64_t		moved_to;
	/* of the readers */
	_Atomic bool		stop;
	_Atomic uint64_t	reads;
	_Atomic bool		failed;
	char			why[512];	/* valid when failed */
	pthread_t		threads[READERS];
};

/* Returns 0 or a negative errno. */
int readers_start(struct readers *readers);

/* Wait for @count more reads. Returns 0, or -1 if one has failed. */
int readers_progress(struct readers *readers, uint64_t count);

/* Stop the readers. Returns 0, or -1 after printing which read was wrong. */
int readers_stop(struct readers *readers);

#endif /* SELFTESTS_READERS_H */
