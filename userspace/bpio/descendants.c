// SPDX-License-Identifier: GPL-2.0-only
/*
 * See descendants.h. A process may end, or execute another program, between any two
 * steps; what can no longer be read is skipped.
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "descendants.h"
#include "program.h"

/* Milliseconds between two scans; short at first, because many programs end soon. */
#define INTERVAL_FIRST	5
#define INTERVAL	100
#define LOOKS_FIRST	200

/* Limit of recursion, because the tree of processes may change during a scan. */
#define DEPTH_MAX	64

static void remember(struct descendants *seen, const struct stat *st,
		     const char *path)
{
	struct executable *grown = reallocarray(seen->programs,
						seen->count + 1,
						sizeof(*grown));

	if (!grown)
		abort();
	seen->programs = grown;
	grown += seen->count++;
	*grown = (struct executable) {
		.dev = st->st_dev, .inode = st->st_ino,
		.path = path ? strdup(path) : NULL,
	};
}

static bool is_known(const struct descendants *seen, const struct stat *st)
{
	size_t i;

	for (i = 0; i < seen->count; i++)
		if (seen->programs[i].inode == st->st_ino &&
		    seen->programs[i].dev == st->st_dev)
			return true;
	return false;
}

/* The loader itself has no PT_INTERP, but "ld.so PROGRAM" loads libraries. */
static bool is_loader(const char *path)
{
	const char *name = strrchr(path, '/');

	name = name ? name + 1 : path;
	return !strncmp(name, "ld-", 3) || !strncmp(name, "ld.so", 5);
}

static void look_at_program(struct descendants *seen, pid_t pid)
{
	char link[64], path[PATH_MAX];
	struct stat st;
	ssize_t length;
	bool is_static;
	int fd;

	snprintf(link, sizeof(link), "/proc/%d/exe", (int)pid);
	if (stat(link, &st) || is_known(seen, &st))
		return;
	fd = open(link, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	is_static = !fstat(fd, &st) && program_is_static(fd);
	close(fd);
	length = readlink(link, path, sizeof(path) - 1);
	if (length < 0)
		return;
	path[length] = '\0';
	remember(seen, &st, is_static && !is_loader(path) ? path : NULL);
}

static void look(struct descendants *seen, pid_t pid, unsigned int depth);

/* Scan the children that one thread has started */
static void look_at_children(struct descendants *seen, pid_t pid,
			     const char *thread, unsigned int depth)
{
	char path[64 + NAME_MAX];
	FILE *children;
	int child;

	snprintf(path, sizeof(path), "/proc/%d/task/%s/children", (int)pid,
		 thread);
	children = fopen(path, "re");
	if (!children)
		return;
	while (fscanf(children, "%d", &child) == 1)
		look(seen, child, depth + 1);
	fclose(children);
}

static void look(struct descendants *seen, pid_t pid, unsigned int depth)
{
	struct dirent *entry;
	char path[64];
	DIR *threads;

	look_at_program(seen, pid);
	if (depth == DEPTH_MAX)
		return;
	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	threads = opendir(path);
	if (!threads)
		return;
	while ((entry = readdir(threads)))
		if (entry->d_name[0] != '.')
			look_at_children(seen, pid, entry->d_name, depth);
	closedir(threads);
}

int descendants_look(struct descendants *seen, pid_t pid)
{
	look(seen, pid, 0);
	return seen->looks++ < LOOKS_FIRST ? INTERVAL_FIRST : INTERVAL;
}

void descendants_free(struct descendants *seen)
{
	size_t i;

	for (i = 0; i < seen->count; i++)
		free(seen->programs[i].path);
	free(seen->programs);
}
