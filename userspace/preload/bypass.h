/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The decision about one file that the program opened.
 */
#ifndef BPIO_BYPASS_H
#define BPIO_BYPASS_H

/*
 * A new bypass handle for @fd, which was opened as @path with @flags, or -1
 * when there is none, after counting why. Leaves errno alone.
 */
int bypass_handle(int fd, const char *path, int flags);

#endif /* BPIO_BYPASS_H */
