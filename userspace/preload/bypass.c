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
#include <unistd.h>

#include "bpio.h"
#include "bypass.h"
#include "tally.h"

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

/* Matches the path as the program wrote it, and the resolved path. */
static bool wanted(int fd, const char *path)
{
	const char *globs = tally_globs();
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

static void enable(int fd)
{
	struct bpio_verdict verdict = BPIO_VERDICT_INIT;
	struct tally tally;
	int ret;

	ret = tally_open(&tally);
	if (ret) {
		tally_count_failure(ret);
		return;
	}
	ret = bpio_enable_on(tally.node, fd, BPIO_ARM, &verdict);
	tally_close(&tally);
	if (!ret && tally.outside)
		tally_count_outside();
	/*
	 * The kernel counts files that are on no volume (-ENOTTY) and files that it
	 * refuses (the verdict then names the volume). Count other failures here.
	 */
	if (ret && ret != -ENOTTY && !verdict.volume_major)
		tally_count_failure(ret);
}

static void consider(int fd, const char *path)
{
	struct stat st;

	if (tally_exists() && !fstat(fd, &st) && S_ISREG(st.st_mode) &&
	    wanted(fd, path))
		enable(fd);
}

/* Only files opened read-only are bypassed; O_PATH cannot be read. */
static bool candidate(int flags)
{
	return (flags & O_ACCMODE) == O_RDONLY && (flags & O_DIRECT) &&
	       !(flags & (O_PATH | O_DIRECTORY | O_TRUNC));
}

void bypass_opened(int fd, const char *path, int flags)
{
	int error = errno;

	if (candidate(flags))
		consider(fd, path);
	errno = error;
}
