// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads a file with O_DIRECT like programs that do not use the C library, such as those
 * written in Go: by system calls, and from several threads. "raw_reader FILE BYTES"
 * reads BYTES at a time and prints a checksum; programs_test.sh also uses it statically
 * linked.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define THREADS	2
#define MOST	(1024 * 1024)

static int fd;
static size_t length;

struct part {
	pthread_t	thread;
	unsigned int	number;
	uint64_t	sum;
	uint64_t	bytes;
	int		failed;
};

/* It does not matter in which order the threads add up. */
static uint64_t sum_of(const unsigned char *bytes, size_t count, uint64_t at)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < count; i++)
		sum += (at + i + 1) * (bytes[i] + 1);
	return sum;
}

/* Every second chunk. */
static void *read_part(void *argument)
{
	struct part *part = argument;
	uint64_t at = part->number * length;
	unsigned char *buffer;
	long n;

	if (posix_memalign((void **)&buffer, 4096, length)) {
		part->failed = 1;
		return NULL;
	}
	while ((n = syscall(SYS_pread64, fd, buffer, length, at)) > 0) {
		part->sum += sum_of(buffer, n, at);
		part->bytes += n;
		at += THREADS * length;
	}
	part->failed = n < 0;
	free(buffer);
	return NULL;
}

int main(int argc, char **argv)
{
	struct part parts[THREADS] = { 0 };
	uint64_t sum = 0, bytes = 0;
	int failed = 0;
	unsigned int i;

	if (argc != 3)
		return 2;
	length = strtoul(argv[2], NULL, 0);
	if (!length || length > MOST)
		return 2;
	fd = syscall(SYS_openat, AT_FDCWD, argv[1], O_RDONLY | O_DIRECT);
	if (fd < 0)
		return 1;
	for (i = 0; i < THREADS; i++) {
		parts[i].number = i;
		if (pthread_create(&parts[i].thread, NULL, read_part, &parts[i]))
			return 1;
	}
	for (i = 0; i < THREADS; i++) {
		pthread_join(parts[i].thread, NULL);
		sum += parts[i].sum;
		bytes += parts[i].bytes;
		failed |= parts[i].failed;
	}
	printf("%llu bytes, sum %llu\n", (unsigned long long)bytes,
	       (unsigned long long)sum);
	return failed;
}
