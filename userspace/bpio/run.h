/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The summary of "bpio run", and the part of it that "bpio attach" also prints.
 */
#ifndef BPIO_RUN_H
#define BPIO_RUN_H

#include <stdio.h>

struct bpio_tally;
struct command_line;
struct descendants;
struct report;
struct share;

/* Prints the sums of the tally @node and of the processes of the command */
void run_summary(const struct command_line *line, int node,
		 const struct share *share, const struct descendants *seen,
		 int status, FILE *stream);

/* Adds the files and reads of a tally to a report */
void tally_report(struct report *report, const struct bpio_tally *tally);

#endif /* BPIO_RUN_H */
