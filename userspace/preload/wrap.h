/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Functions of the C library that its headers do not declare: with _FORTIFY_SOURCE,
 * open() and its variants call these when they have no mode.
 */
#ifndef BPIO_WRAP_H
#define BPIO_WRAP_H

int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int dir, const char *path, int flags);
int __openat64_2(int dir, const char *path, int flags);

#endif /* BPIO_WRAP_H */
