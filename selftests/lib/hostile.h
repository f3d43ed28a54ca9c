/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Processes of an unprivileged user that abuse /dev/bpio and enabled files as fast as they
 * can.
 */
#ifndef SELFTESTS_HOSTILE_H
#define SELFTESTS_HOSTILE_H

#include <stdatomic.h>
#include <stdint.h>

/* The user's files: small ones, one of many pieces, and a sparse one of 1 TiB. */
#define HOSTILE_FILES	8
#define HOSTILE_BYTES	(64 * 1024)
#define HOSTILE_PIECES	1024
#define HOSTILE_HUGE	(1ull << 40)

/* What one process does. */
enum hostile_kind {
	HOSTILE_HOARD,
	HOSTILE_MAPS,
	HOSTILE_CALLS,
	HOSTILE_CROWD,
	HOSTILE_KINDS,
};

struct hostile {
	const char		*directory;	/* of the user's files */
	/* calls that succeeded, in memory that all processes share */
	_Atomic uint64_t	done[HOSTILE_KINDS];
};

/* The name of a kind. */
const char *hostile_name(enum hostile_kind kind);

/*
 * Create the files, as root, and change their owner to nobody. Returns 0 or a negative
 * errno, after printing what went wrong.
 */
int hostile_files(const char *directory);

/* Run such a process, as nobody, until it is killed. */
void hostile_process(struct hostile *hostile, enum hostile_kind kind)
	__attribute__((noreturn));

#endif /* SELFTESTS_HOSTILE_H */
