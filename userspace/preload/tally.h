/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The tally of "bpio run", and the other settings inherited from it.
 */
#ifndef BPIO_TALLY_H
#define BPIO_TALLY_H

#include <stdbool.h>

/* Reads the environment; must be called first */
void tally_begin(void);

/* Whether the process was started by "bpio run" */
bool tally_exists(void);

/* The globs of --file, separated by newlines, or NULL */
const char *tally_globs(void);

/**
 * struct tally - a descriptor of the control node
 *
 * @node: The descriptor.
 * @borrowed: It is closed by tally_close().
 * @outside: It is not the tally of "bpio run".
 */
struct tally {
	int node;
	bool borrowed;
	bool outside;
};

/* 0, or a negative errno when the control node cannot be opened */
int tally_open(struct tally *tally);
void tally_close(const struct tally *tally);

/* A file was enabled outside of the tally; an ENABLE failed with @error */
void tally_count_outside(void);
void tally_count_failure(int error);

#endif /* BPIO_TALLY_H */
