// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench.h"
#include "control.h"
#include "crowd.h"

static void make_file(const char *path)
{
	static const char block[4096];
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	if (fd < 0)
		die("%s: %s", path, strerror(errno));
	if (lseek(fd, 0, SEEK_END) == 0 &&
	    write(fd, block, sizeof(block)) != sizeof(block))
		die("%s: write: %s", path, strerror(errno));
	close(fd);
}

static int open_member(const char *directory, unsigned int number)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/crowd-%u", directory, number);
	make_file(path);
	fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (fd < 0)
		die("%s: %s", path, strerror(errno));
	return fd;
}

void crowd_open(struct crowd *crowd, const char *path, unsigned int count)
{
	const struct rlimit limit = { count + 64, count + 64 };
	char *copy = strdup(path);
	const char *directory;
	unsigned int i;

	crowd->count = count;
	crowd->files = calloc(count, sizeof(*crowd->files));
	if (!copy || (count && !crowd->files))
		die("no memory");
	if (setrlimit(RLIMIT_NOFILE, &limit))
		die("room for %u files: %s", count, strerror(errno));
	directory = dirname(copy);
	for (i = 0; i < count; i++)
		crowd->files[i] = open_member(directory, i);
	free(copy);
	/* A later writeback would be measured, too. */
	sync();
}

void crowd_enable(const struct crowd *crowd, int node)
{
	unsigned int i;
	int ret;

	for (i = 0; i < crowd->count; i++) {
		ret = node_enable(node, crowd->files[i]);
		if (ret)
			die("file %u of the crowd: ENABLE with ARM: %s", i,
			    strerror(-ret));
	}
}
