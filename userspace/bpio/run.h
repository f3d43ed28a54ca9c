/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The summary of "bpio run".
 */
#ifndef BPIO_RUN_H
#define BPIO_RUN_H

#include <stdio.h>

struct command_line;
struct share;

/* Adds up what the processes of the command left in @share, and prints it */
void run_summary(const struct command_line *line, struct share *share,
		 int status, FILE *stream);

#endif /* BPIO_RUN_H */
