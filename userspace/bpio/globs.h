/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The patterns of --file.
 */
#ifndef BPIO_GLOBS_H
#define BPIO_GLOBS_H

#include <stdbool.h>

struct command_line;

/* 0, or the exit status for a pattern that can match no path */
int globs_check(const struct command_line *line);

/* Whether an absolute path matches one of the patterns, or there are none */
bool globs_match(const struct command_line *line, const char *path);

#endif /* BPIO_GLOBS_H */
