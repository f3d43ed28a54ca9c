/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The processes of a command, as /proc shows them while it runs: which programs
 * among them load no library, so that "bpio run" cannot serve them.
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
 * struct descendants - what was seen so far
 *
 * @programs: The programs, each once.
 * @count: Number of these.
 * @looks: How often was looked.
 */
struct descendants {
	struct executable *programs;
	size_t count;
	unsigned int looks;
};

/*
 * Looks at @pid and its descendants. Returns the milliseconds after which to look
 * again: what has ended by then is not seen.
 */
int descendants_look(struct descendants *seen, pid_t pid);

void descendants_free(struct descendants *seen);

#endif /* BPIO_DESCENDANTS_H */
