// SPDX-License-Identifier: GPL-2.0-only
/*
 * See lvm_lock.h.
 *
 * LVM's commands load a table, and make it live by a later call. If another table were
 * loaded between the two, that one would become live instead, and the volume would not
 * match LVM's metadata; device-mapper itself cannot prevent that. So this takes the
 * lock that LVM's commands hold during both calls.
 *
 * LVM has no interface for it. This does the same as LVM's lib/misc/lvm-flock.c:
 * flock() on a file in global/locking_dir, which its holder unlinks, preceded by
 * flock() on a second file that gives writers priority.
 */
#include <errno.h>
#include <fcntl.h>
#include <libdevmapper.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lvm_lock.h"

#define DEFAULT_DIR	"/run/lock/lvm"

/* The directory that LVM itself uses, as lvmconfig prints it */
static void find_dir(char *dir, size_t size)
{
	FILE *out = popen("exec lvm lvmconfig --typeconfig full "
			  "--valuesonly global/locking_dir 2>/dev/null", "re");
	char line[PATH_MAX] = "";
	size_t length;

	if (out && !fgets(line, sizeof(line), out))
		line[0] = '\0';
	if (out)
		pclose(out);
	length = strcspn(line, "\n");
	line[length] = '\0';
	/* "/run/lock/lvm" with its quotes */
	if (length > 3 && line[0] == '"' && line[1] == '/') {
		line[length - 1] = '\0';
		snprintf(dir, size, "%s", line + 1);
	} else {
		snprintf(dir, size, "%s", DEFAULT_DIR);
	}
}

static bool is_same(const char *path, int fd)
{
	struct stat named, held;

	return !stat(path, &named) && !fstat(fd, &held) &&
	       named.st_dev == held.st_dev && named.st_ino == held.st_ino;
}

/* The previous holder of the lock may have unlinked the file: then try again. */
static int take(const char *path)
{
	int fd, error;

	for (;;) {
		fd = open(path, O_CREAT | O_APPEND | O_RDWR | O_CLOEXEC, 0777);
		if (fd < 0)
			return -errno;
		if (flock(fd, LOCK_EX)) {
			error = -errno;
			close(fd);
			return error;
		}
		if (is_same(path, fd))
			return fd;
		close(fd);
	}
}

/* Unlink the file only if no other process waits for it. */
static void drop(const char *path, int fd)
{
	if (!flock(fd, LOCK_EX | LOCK_NB) && is_same(path, fd))
		unlink(path);
	close(fd);
}

int lvm_lock(const char *name, struct lvm_lock *lock)
{
	char dir[PATH_MAX], *second;
	int fd;

	find_dir(dir, sizeof(dir));
	if (mkdir(dir, 0700) && errno != EEXIST)
		return -errno;
	if (asprintf(&lock->path, "%s/V_%s", dir, name) < 0 ||
	    asprintf(&second, "%s:aux", lock->path) < 0)
		abort();
	fd = take(second);
	lock->fd = fd < 0 ? fd : take(lock->path);
	if (fd >= 0)
		drop(second, fd);
	free(second);
	if (lock->fd >= 0)
		return 0;
	free(lock->path);
	return lock->fd;
}

void lvm_unlock(struct lvm_lock *lock)
{
	drop(lock->path, lock->fd);
	free(lock->path);
}

/* The parts of a name of LVM's in @copy, which is overwritten */
static bool split(char *copy, char **group, char **volume, char **layer)
{
	*group = copy;
	return dm_split_lvm_name(NULL, NULL, group, volume, layer) &&
	       **group && **volume;
}

char *lvm_group(const char *name, const char *uuid)
{
	char *copy, *group, *volume, *layer, *found = NULL;

	if (strncmp(uuid, "LVM-", 4))
		return NULL;
	copy = strdup(name);
	if (!copy)
		abort();
	if (split(copy, &group, &volume, &layer))
		found = strdup(group);
	free(copy);
	return found;
}

char *lvm_volume(const char *name)
{
	char *copy = strdup(name), *group, *volume, *layer, *found;

	if (!copy)
		abort();
	if (!split(copy, &group, &volume, &layer)) {
		free(copy);
		return strdup(name);
	}
	if (asprintf(&found, "%s/%s%s%s", group, volume, *layer ? "-" : "",
		     layer) < 0)
		abort();
	free(copy);
	return found;
}
