// SPDX-License-Identifier: GPL-2.0-only
/*
 * See globs.h.
 */
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "globs.h"

int globs_check(const struct command_line *line)
{
	size_t i;

	for (i = 0; i < line->glob_count; i++) {
		const char *glob = line->globs[i];

		if (!*glob || strchr(glob, '\n') || strlen(glob) >= PATH_MAX)
			return fail(line, STATUS_USAGE,
				    "expected a pattern for paths, but got \"%s\"",
				    glob);
	}
	return 0;
}

/* A pattern that begins with neither "/" nor "*" is relative to the working directory. */
static bool matches_here(const char *glob, const char *path)
{
	char *cwd = getcwd(NULL, 0);
	size_t length = cwd ? strlen(cwd) : 0;
	bool match = false;

	if (cwd && !strncmp(path, cwd, length) && path[length] == '/')
		match = !fnmatch(glob, path + length + 1, 0);
	free(cwd);
	return match;
}

bool globs_match(const struct command_line *line, const char *path)
{
	size_t i;

	for (i = 0; i < line->glob_count; i++) {
		const char *glob = line->globs[i];

		if (*glob == '/' || *glob == '*' ?
		    !fnmatch(glob, path, 0) : matches_here(glob, path))
			return true;
	}
	return !line->glob_count;
}
