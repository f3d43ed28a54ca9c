/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Processes of an unprivileged user that abuse /dev/bpio and enabled files, as fast as
 * possible.
 */
#ifndef SELFTESTS_HOSTILE_H
#define SELFTESTS_HOSTILE_H

#include <stdatomic.h>
#include <stdint.h>

/* Files of the user's: of a few blocks, of many pieces, and of a TiB with holes. */
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
	/* calls that did what they can do, in memory that all processes share */
	_Atomic uint64_t	done[HOSTILE_KINDS];
};

/* The name of a kind. */
const char *hostile_name(enum hostile_kind kind);

/*
 * Make the files, as root, and give them to nobody. Returns 0 or a negative errno
 * and says what went wrong.
 */
int hostile_files(const char *directory);

/* Be that process, as nobody, until it is killed. */
void hostile_process(struct hostile *hostile, enum hostile_kind kind)
	__attribute__((noreturn));

#endif /* SELFTESTS_HOSTILE_H */
