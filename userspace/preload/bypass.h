/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The decision about one open file of the program.
 */
#ifndef BPIO_BYPASS_H
#define BPIO_BYPASS_H

/* @fd was opened as @path with @flags. Leaves errno alone, as the next does */
void bypass_opened(int fd, const char *path, int flags);

/* O_DIRECT was set for @fd by fcntl(2) */
void bypass_set_direct(int fd);

#endif /* BPIO_BYPASS_H */
