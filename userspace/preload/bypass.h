/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The decision about one open file of the program.
 */
#ifndef BPIO_BYPASS_H
#define BPIO_BYPASS_H

/*
 * @fd has @flags since it was opened as @path, or since fcntl(2) set O_DIRECT; @path is
 * then empty. Leaves errno alone
 */
void bypass_opened(int fd, const char *path, int flags);

#endif /* BPIO_BYPASS_H */
