/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whether a program can be run with a preload library.
 */
#ifndef BPIO_PROGRAM_H
#define BPIO_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>

/* Finds @command as execvp(3) does. 0 or a negative errno */
int program_find(const char *command, char *path, size_t size);

/* Whether the executable @fd is statically linked, so that it loads no library */
bool program_is_static(int fd);

/* NULL, or why a preload library would have no effect; to be freed */
char *program_obstacle(const char *path);

#endif /* BPIO_PROGRAM_H */
