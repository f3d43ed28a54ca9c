// SPDX-License-Identifier: GPL-2.0-only
/*
 * See bypass.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "bpio.h"
#include "bypass.h"
#include "share.h"
#include "track.h"

/* Whether @path matches one of the lines of @globs */
static bool matches(const char *globs, const char *path)
{
	char glob[PATH_MAX];

	while (*globs) {
		size_t length = strcspn(globs, "\n");

		if (length < sizeof(glob)) {
			memcpy(glob, globs, length);
			glob[length] = '\0';
			if (!fnmatch(glob, path, 0))
				return true;
		}
		globs += length;
		if (*globs)
			globs++;
	}
	return false;
}

/* Matches the path as the program wrote it, and where it led to. */
static bool wanted(int fd, const char *path)
{
	const char *globs = track_globs();
	char link[40], target[PATH_MAX];
	ssize_t length;

	if (!globs)
		return true;
	if (path[0] == '/' && matches(globs, path))
		return true;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	length = readlink(link, target, sizeof(target) - 1);
	if (length < 0)
		return false;
	target[length] = '\0';
	return matches(globs, target);
}

static void count_failure(int error)
{
	struct share *share = track_share();

	if (!share)
		return;
	if (error == -ENOTTY) {
		share->not_on_volume++;
	} else if (error == -EACCES || error == -EPERM) {
		share->no_permission++;
	} else {
		share->last_error = -error;
		share->failed++;
	}
}

static int enable(int fd, const struct stat *st)
{
	struct bpio_verdict verdict = BPIO_VERDICT_INIT;
	struct share *share = track_share();
	int volume, handle;

	volume = bpio_volume_open_dev(major(st->st_dev), minor(st->st_dev));
	if (volume < 0) {
		count_failure(volume);
		return -1;
	}
	handle = bpio_enable_on(volume, fd, BPIO_ARM, &verdict);
	syscall(SYS_close, volume);
	if (handle >= 0)
		return handle;
	if (verdict.reason == BPIO_REASON_NONE ||
	    verdict.reason >= BPIO_REASON_SLOTS)
		count_failure(handle);
	else if (share)
		share->refused[verdict.reason]++;
	return -1;
}

static bool candidate(int flags)
{
	return (flags & O_ACCMODE) == O_RDONLY && (flags & O_DIRECT) &&
	       !(flags & (O_PATH | O_DIRECTORY | O_TRUNC));
}

int bypass_handle(int fd, const char *path, int flags)
{
	int error = errno, handle = -1;
	struct stat st;

	if (!candidate(flags))
		return -1;
	if (!fstat(fd, &st) && S_ISREG(st.st_mode) && wanted(fd, path))
		handle = enable(fd, &st);
	errno = error;
	return handle;
}
