// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include "bench.h"

void die(const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "%s: ", program_invocation_short_name);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

struct measurement measure(double *costs, unsigned int batches)
{
	unsigned int middle = batches / 2;

	qsort(costs, batches, sizeof(*costs), compare);
	return (struct measurement) {
		.batches = batches,
		.median = batches % 2 ? costs[middle] :
			  (costs[middle - 1] + costs[middle]) / 2,
		.min = costs[0],
		.max = costs[batches - 1],
	};
}

void *scattered_memory(size_t bytes)
{
	const size_t page = 4096;
	char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t at;

	if (memory == MAP_FAILED)
		die("no memory for %zu bytes", bytes);
	/* Fails on a kernel without huge pages, which does not matter. */
	madvise(memory, bytes, MADV_NOHUGEPAGE);
	/* Pages are allocated in the order in which they are touched. */
	for (at = 0; at < bytes; at += 2 * page)
		memory[at] = 0;
	for (at = page; at < bytes; at += 2 * page)
		memory[at] = 0;
	return memory;
}

uint64_t parse_bytes(const char *option, const char *text)
{
	unsigned int shift = 0;
	uint64_t bytes;
	char *end;

	errno = 0;
	bytes = strtoull(text, &end, 0);
	switch (*end) {
	case 'G':
		shift += 10;
		/* fall through */
	case 'M':
		shift += 10;
		/* fall through */
	case 'K':
		shift += 10;
		end++;
	}
	if (errno || end == text || *end || bytes > UINT64_MAX >> shift)
		die("%s wants a number of bytes like 4096, 64K or 1G, not '%s'",
		    option, text);
	return bytes << shift;
}

void print_bytes(uint64_t bytes, char *text)
{
	if (bytes && !(bytes % (1 << 20)))
		snprintf(text, 24, "%lluM", (unsigned long long)bytes >> 20);
	else if (bytes && !(bytes % (1 << 10)))
		snprintf(text, 24, "%lluK", (unsigned long long)bytes >> 10);
	else
		snprintf(text, 24, "%llu", (unsigned long long)bytes);
}
