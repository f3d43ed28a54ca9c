// SPDX-License-Identifier: GPL-2.0-only
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench.h"
#include "stopwatch.h"

/* CPU time of this process in nanoseconds; asking for it is a system call. */
static uint64_t process_worked(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* Read the first word of a file in /proc/PID; empty if the process is gone. */
static void read_word(const char *pid, const char *file, char *word, size_t size)
{
	char path[64];
	FILE *stream;

	*word = '\0';
	snprintf(path, sizeof(path), "/proc/%.16s/%s", pid, file);
	stream = fopen(path, "re");
	if (!stream)
		return;
	if (fgets(word, size, stream))
		strtok(word, "\n ");
	fclose(stream);
}

/* Whether a process is a kernel worker. One that is not is checked only once. */
static bool is_worker(const char *pid)
{
	/* More entries than a guest has processes. */
	static bool is_other[1 << 16];
	unsigned long number = strtoul(pid, NULL, 10);
	bool *other = &is_other[number % ARRAY_SIZE(is_other)];
	char word[64];

	if (!number || *other)
		return false;
	read_word(pid, "comm", word, sizeof(word));
	*other = strncmp(word, "kworker/", 8);
	return !*other;
}

/* CPU time of all kernel workers in nanoseconds. */
static uint64_t workers_worked(void)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	uint64_t sum = 0;
	char word[64];

	if (!proc)
		die("/proc: %s", strerror(errno));
	while ((entry = readdir(proc))) {
		if (!is_worker(entry->d_name))
			continue;
		read_word(entry->d_name, "schedstat", word, sizeof(word));
		sum += strtoull(word, NULL, 10);
	}
	closedir(proc);
	return sum;
}

void stopwatch_start(struct stopwatch *watch)
{
	watch->workers = workers_worked();
	watch->time = now();
	watch->process = process_worked();
}

struct span stopwatch_stop(const struct stopwatch *watch)
{
	struct span span = { .work = process_worked() - watch->process };
	uint64_t time = now() - watch->time;

	span.work += workers_worked() - watch->workers;
	span.waited = time > span.work ? time - span.work : 0;
	return span;
}
