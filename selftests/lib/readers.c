// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "content.h"
#include "readers.h"
#include "util.h"

static void reader_fails(struct readers *readers, const char *why)
{
	bool expected = false;

	if (atomic_compare_exchange_strong(&readers->failed, &expected, true))
		snprintf(readers->why, sizeof(readers->why), "%s", why);
}

static void read_once(struct readers *readers, char *buffer, unsigned int random)
{
	size_t length = (random % (readers->largest / CONTENT_SECTOR) + 1) *
			CONTENT_SECTOR;
	uint64_t room = (readers->bytes - readers->start - length) /
			CONTENT_SECTOR + 1;
	uint64_t offset = readers->start + (random >> 4) % room * CONTENT_SECTOR;
	struct content_rule rule = {
		.file = readers->file, .oldest = readers->oldest,
		.zeroes = readers->zeroes, .mixed = readers->mixed,
		.moved[0] = readers->moved_from,
	};
	char why[256], line[512];
	ssize_t n;

	n = pread(readers->fd, buffer, length, offset);
	rule.newest = readers->newest;
	rule.moved[1] = readers->moved_to;
	if (n < 0 && readers->may_fail && errno == readers->may_fail)
		return;
	if (n < 0 || ((size_t)n != length && !readers->shrinks)) {
		snprintf(line, sizeof(line), "pread of %zu bytes at %llu: %zd, %s",
			 length, (unsigned long long)offset, n,
			 n < 0 ? strerror(errno) : "a short read");
		reader_fails(readers, line);
	} else if (content_check(buffer, n, offset, &rule, why, sizeof(why))) {
		snprintf(line, sizeof(line), "pread of %zu bytes at %llu: %s",
			 length, (unsigned long long)offset, why);
		reader_fails(readers, line);
	}
}

static void *read_all_the_time(void *argument)
{
	struct readers *readers = argument;
	char *buffer = dio_alloc(readers->largest);
	unsigned int random = (uintptr_t)pthread_self() >> 12;

	while (!readers->stop && !readers->failed) {
		random = random * 1103515245 + 12345;
		read_once(readers, buffer, random >> 3);
		readers->reads++;
	}
	free(buffer);
	return NULL;
}

int readers_start(struct readers *readers)
{
	int i, ret;

	for (i = 0; i < READERS; i++) {
		ret = pthread_create(&readers->threads[i], NULL,
				     read_all_the_time, readers);
		if (ret)
			return -ret;
	}
	return 0;
}

int readers_progress(struct readers *readers, uint64_t count)
{
	uint64_t deadline = now_ms() + DEADLINE_MS, target;

	target = readers->reads + count;
	while (readers->reads < target && !readers->failed)
		if (!poll_again(deadline)) {
			reader_fails(readers, "the readers stand still");
			break;
		}
	return readers->failed ? -1 : 0;
}

int readers_stop(struct readers *readers)
{
	int i;

	readers->stop = true;
	for (i = 0; i < READERS; i++)
		pthread_join(readers->threads[i], NULL);
	if (!readers->failed)
		return 0;
	diag("%s", readers->why);
	return -1;
}
