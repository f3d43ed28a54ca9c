/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A process, privileged or not, that performs random operations: on descriptors, ioctls
 * and reads. A seed determines everything it does, apart from interference by other
 * processes.
 */
#ifndef SELFTESTS_FUZZ_H
#define SELFTESTS_FUZZ_H

#include <stdbool.h>
#include <stdint.h>

#define FUZZ_FILES	2
#define FUZZ_BYTES	(256 * 1024)
#define FUZZ_SLOTS	32
#define FUZZ_KINDS	20

/* In memory that all processes share. */
struct fuzz_shared {
	_Atomic uint64_t	calls[FUZZ_KINDS];
	_Atomic uint64_t	good[FUZZ_KINDS];
	_Atomic uint64_t	direct[2];	/* direct reads of root, of nobody */
	_Atomic bool		failed;
	char			why[512];	/* valid when failed */
};

struct fuzz_place {
	const char	*volume;	/* the mapped device */
	const char	*other;		/* another one */
	const char	*device;	/* below both */
	const char	*directory;
	/* their content has file numbers from 1 on, and generation 1 */
	char		files[FUZZ_FILES][192];
};

/* The name of a kind of call. */
const char *fuzz_kind(unsigned int kind);

/* Run until @deadline (of now_ms()), as root or as nobody, then exit. */
void fuzz_process(const struct fuzz_place *place, struct fuzz_shared *shared,
		  uint64_t seed, uint64_t deadline, bool nobody)
	__attribute__((noreturn));

/* The next random number. The initial @state, the seed, determines all numbers. */
uint64_t fuzz_random(uint64_t *state);

#endif /* SELFTESTS_FUZZ_H */
