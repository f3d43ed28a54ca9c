/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which descriptors of this process are bypass handles, and their counters.
 */
#ifndef BPIO_TRACK_H
#define BPIO_TRACK_H

#include <stdbool.h>

struct share;

/* NULL when the process was not started by "bpio run" or cannot reach it */
struct share *track_share(void);

/* The globs of --file, separated by newlines, or NULL */
const char *track_globs(void);

/* @fd is a new bypass handle */
void track_open(int fd);

/* @fd, or every descriptor from @first to @last, is about to be closed */
void track_close(int fd);
void track_close_range(unsigned int first, unsigned int last);

/* The counters of @fd are about to be out of reach */
void track_read(int fd);

/* @copy refers to the same open file as @fd now, and to no other */
void track_dup(int fd, int copy);

/* The process is about to end (@ending) or to become another program */
void track_read_all(bool ending);

#endif /* BPIO_TRACK_H */
