// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cgroup.h"
#include "util.h"

#define ROOT	"/sys/fs/cgroup"

/* Path of file @file of group @name, or of the group itself. */
static void group_path(char *path, size_t size, const char *name, const char *file)
{
	snprintf(path, size, ROOT "/%s%s%s", name, *file ? "/" : "", file);
}

static int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), ret = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		ret = -errno;
	close(fd);
	return ret;
}

/* Whether a file, a line of words separated by blanks, contains a word. */
static bool has_word(const char *path, const char *word)
{
	char line[512], *rest = line, *found;

	if (read_line(path, line, sizeof(line)))
		return false;
	while ((found = strsep(&rest, " ")))
		if (!strcmp(found, word))
			return true;
	return false;
}

const char *cgroup_unavailable(void)
{
	if (access(ROOT "/cgroup.controllers", R_OK))
		return "cgroup v2 is not mounted";
	if (!has_word(ROOT "/cgroup.controllers", "memory"))
		return "the kernel has no memory controller for cgroup v2";
	return NULL;
}

bool cgroup_has_cpu(void)
{
	return has_word(ROOT "/cgroup.controllers", "cpu");
}

int cgroup_create(const char *name)
{
	char path[256];
	int ret;

	/* never switched off again, because others may use them */
	ret = write_text(ROOT "/cgroup.subtree_control", "+memory");
	if (!ret && cgroup_has_cpu())
		ret = write_text(ROOT "/cgroup.subtree_control", "+cpu");
	group_path(path, sizeof(path), name, "");
	if (!ret && !access(path, F_OK))
		ret = cgroup_kill(name) ?: cgroup_remove(name);
	if (!ret && mkdir(path, 0755))
		ret = -errno;
	if (ret)
		diag("cannot make the group %s: %s", path, strerror(-ret));
	return ret;
}

int cgroup_remove(const char *name)
{
	uint64_t deadline = now_ms() + DEADLINE_MS;
	char path[256];

	group_path(path, sizeof(path), name, "");
	do {
		if (!rmdir(path))
			return 0;
	} while (errno == EBUSY && poll_again(deadline));
	diag("cannot remove the group %s: %s", path, strerror(errno));
	return -errno;
}

int cgroup_set(const char *name, const char *file, const char *value)
{
	char path[256];
	int ret;

	group_path(path, sizeof(path), name, file);
	ret = write_text(path, value);
	if (ret)
		diag("cannot write '%s' to %s: %s", value, path, strerror(-ret));
	return ret;
}

int cgroup_join(const char *name)
{
	char path[256];

	group_path(path, sizeof(path), name, "cgroup.procs");
	return write_text(path, "0");
}

/* The number in the line "<key> <number>" of a file, or 0. */
static uint64_t number_of(const char *path, const char *key)
{
	FILE *file = fopen(path, "re");
	size_t length = strlen(key);
	uint64_t number = 0;
	char line[256];

	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, key, length) && strchr(" :", line[length])) {
			number = strtoull(line + length + 1, NULL, 10);
			break;
		}
	if (file)
		fclose(file);
	return number;
}

/*
 * Wait until @key has that value in "cgroup.events". Thousands of processes need long to
 * end if their group has a small share of a slow CPU.
 */
#define EVENT_MS	(10 * DEADLINE_MS)
static int await_event(const char *name, const char *key, uint64_t value)
{
	uint64_t deadline = now_ms() + EVENT_MS;
	char path[256];

	group_path(path, sizeof(path), name, "cgroup.events");
	do {
		if (number_of(path, key) == value)
			return 0;
	} while (poll_again(deadline));
	diag("%s of group %s is not %llu after %d ms", key, name,
	     (unsigned long long)value, EVENT_MS);
	return -ETIMEDOUT;
}

int cgroup_freeze(const char *name, bool freeze)
{
	return cgroup_set(name, "cgroup.freeze", freeze ? "1" : "0") ?:
	       await_event(name, "frozen", freeze);
}

int cgroup_kill(const char *name)
{
	return cgroup_set(name, "cgroup.kill", "1") ?:
	       await_event(name, "populated", 0);
}

uint64_t kernel_memory(void)
{
	static const char *const keys[] = {
		"SUnreclaim", "Percpu", "PageTables", "VmallocUsed",
	};
	uint64_t kib = 0;
	unsigned int i;

	for (i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		kib += number_of("/proc/meminfo", keys[i]);
	return kib;
}

uint64_t cgroup_kernel_memory(const char *name)
{
	/* kernel_stack too: the group's "vmalloc" does not include stacks */
	static const char *const keys[] = {
		"slab_unreclaimable", "percpu", "pagetables", "vmalloc",
		"kernel_stack",
	};
	uint64_t bytes = 0;
	char path[256];
	unsigned int i;

	group_path(path, sizeof(path), name, "memory.stat");
	for (i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		bytes += number_of(path, keys[i]);
	return bytes / 1024;
}
