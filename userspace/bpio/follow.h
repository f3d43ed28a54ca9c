/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * bpio attach --follow
 */
#ifndef BPIO_FOLLOW_H
#define BPIO_FOLLOW_H

struct attachment;

/*
 * Enables the open files of a process, those that it opens later too, until the process
 * ends or a signal comes. Prints the results and returns the exit status.
 */
int attach_follow(struct attachment *at);

#endif /* BPIO_FOLLOW_H */
