/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Finds, through /proc, statically linked programs among the running processes of a
 * command: these load no library, so "bpio run" cannot serve them.
 */
#ifndef BPIO_DESCENDANTS_H
#define BPIO_DESCENDANTS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/**
 * struct executable - a program that was seen
 *
 * @dev: Device number of its file system.
 * @inode: Number of its inode.
 * @path: Its path, or NULL for one that can load a library.
 */
struct executable {
	dev_t dev;
	ino_t inode;
	char *path;
};

/**
 * struct descendants - the programs seen so far
 *
 * @programs: The programs, each once.
 * @count: Number of @programs.
 * @looks: Number of scans.
 */
struct descendants {
	struct executable *programs;
	size_t count;
	unsigned int looks;
};

/*
 * Scans @pid and its descendants. Returns the milliseconds until the next scan;
 * processes that start and end in between are missed.
 */
int descendants_look(struct descendants *seen, pid_t pid);

void descendants_free(struct descendants *seen);

#endif /* BPIO_DESCENDANTS_H */
