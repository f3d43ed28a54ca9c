// SPDX-License-Identifier: GPL-2.0-only
/*
 * See tally.h and share.h.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bpio.h"
#include "share.h"
#include "tally.h"

static struct share *share;
static const char *globs;
/* The process "bpio run" and the number of the tally there and here */
static int owner = -1, number = -1;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* NULL when the program has closed the memfd and opened something else */
static struct share *map_share(int fd)
{
	struct share *map;
	struct stat st;

	if (fstat(fd, &st) || st.st_size != sizeof(*map))
		return NULL;
	map = mmap(NULL, sizeof(*map), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		   0);
	if (map == MAP_FAILED)
		return NULL;
	if (map->magic == SHARE_MAGIC && map->version == SHARE_VERSION)
		return map;
	munmap(map, sizeof(*map));
	return NULL;
}

/* Copies a descriptor, which the program has closed, from "bpio run" again */
static int borrow(int fd)
{
	int process = syscall(SYS_pidfd_open, owner, 0), copy;

	if (process < 0)
		return -1;
	copy = syscall(SYS_pidfd_getfd, process, fd, 0);
	close(process);
	return copy;
}

static void find_share(int fd)
{
	int copy;

	share = map_share(fd);
	if (!share) {
		copy = borrow(fd);
		share = map_share(copy);
		if (copy >= 0)
			close(copy);
	}
	if (share)
		share->programs++;
}

/* The strings of the environment may change later. */
static void read_environment(void)
{
	const char *value = getenv(TALLY_ENV);
	int error = errno, memory;

	if (!value ||
	    sscanf(value, "%d:%d:%d", &owner, &number, &memory) != 3) {
		number = -1;
		return;
	}
	globs = getenv(SHARE_GLOBS_ENV);
	if (globs)
		globs = strdup(globs);
	find_share(memory);
	errno = error;
}

void tally_begin(void)
{
	pthread_once(&once, read_environment);
}

bool tally_exists(void)
{
	tally_begin();
	return number >= 0;
}

const char *tally_globs(void)
{
	return globs;
}

/*
 * The program may have closed the descriptor and opened something else under its
 * number, and another process may have the number of "bpio run" by now.
 */
static bool is_tally(int fd)
{
	struct bpio_tally tally;
	struct stat st;

	return fd >= 0 && !fstat(fd, &st) && S_ISCHR(st.st_mode) &&
	       !bpio_node_tally(fd, &tally);
}

int tally_open(struct tally *tally)
{
	*tally = (struct tally) { .node = number };
	if (is_tally(number))
		return 0;
	tally->borrowed = true;
	tally->node = borrow(number);
	if (is_tally(tally->node))
		return 0;
	if (tally->node >= 0)
		close(tally->node);
	tally->outside = true;
	tally->node = bpio_node_open();
	return tally->node < 0 ? tally->node : 0;
}

void tally_close(const struct tally *tally)
{
	if (tally->borrowed)
		close(tally->node);
}

void tally_count_outside(void)
{
	if (share)
		share->outside++;
}

void tally_count_failure(int error)
{
	if (!share)
		return;
	share->last_error = -error;
	share->failed++;
}
