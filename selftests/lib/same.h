/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The same calls on a file that was never enabled and on one that is.
 *
 * A call is made in a separate process on a separate file, which always has the same
 * name, content and descriptor number. The return values and effects of the call are
 * recorded as text, the account. Two accounts must be equal.
 */
#ifndef SELFTESTS_SAME_H
#define SELFTESTS_SAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "volume.h"

/* Bytes of the file: a tail of an odd length behind whole blocks. */
#define SAME_BLOCKS	32
#define SAME_TAIL	1000
#define SAME_BYTES	(SAME_BLOCKS * 4096 + SAME_TAIL)
/* Number of the file's content, see content.h. */
#define SAME_FILE	1

enum same_state {
	SAME_PLAIN,		/* never enabled */
	SAME_ENABLED,		/* enabled and armed */
	SAME_DISABLED,		/* enabled, armed and disabled again */
};

struct same_file {
	/* set by the test */
	const struct volume	*volume;
	enum same_state		state;
	int			flags;		/* of open(), besides O_RDONLY */
	/* for the calls */
	int			fd;		/* the open file; -1 when closed */
	int			plain;		/* another one, never enabled */
	int			dir;		/* the directory it lies in */
	char			path[192];
	char			other[192];	/* a file that does not exist */
	char			*buffer;	/* of SAME_BYTES and a page more */
	bool			spoiled;	/* cannot be direct afterwards */
	/* of the account */
	uint64_t		direct;		/* reads by the calls */
	bool			failed;		/* what a call never may do */
	size_t			used;
	char			account[16 * 1024];
};

typedef void (*same_calls)(struct same_file *f);

/*
 * Memory for @count files, which child processes share. The test fills in what it
 * sets and calls same_run() for each.
 */
struct same_file *same_files(unsigned int count);

/*
 * Make the calls on a new file. An enabled file must still be enabled afterwards,
 * and read direct if it has O_DIRECT and is not spoiled. Returns 0 or -1 and says
 * what was wrong.
 */
int same_run(struct same_file *f, same_calls calls);

/* 0 when both accounts are equal; else -1 and says where they differ. */
int same_compare(const struct same_file *expected, const struct same_file *f);

/* For calls: one line of the account. */
void same_note(struct same_file *f, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* For calls: what a system call has returned; -1 stands for errno. */
void same_result(struct same_file *f, const char *call, long result);

/* Note a call by its source text. */
#define NOTE(call)	do {					\
	errno = 0;						\
	same_result(f, #call, (long)(call));			\
} while (0)

/* For calls: a call that returns a descriptor, whose number is of no interest. */
int same_opened(struct same_file *f, const char *call, int fd);

#define NOTE_FD(call)	same_opened(f, #call, (call))

/* Note whether @bytes are what the file has at @offset. */
void same_content(struct same_file *f, const void *bytes, size_t count,
		  uint64_t offset);

/* Note whether what @fd answers is what the plain open file answers. */
void same_bytes(struct same_file *f, const char *what, const void *mine,
		const void *plain, size_t size);

/* Bring another open file, of any file of the volume, into the state of this. */
void same_state(struct same_file *f, int fd);

/* Arm again what the calls have revoked. Nothing for one that is not enabled. */
void same_arm(struct same_file *f);

/* Have another open file write @bytes at @offset, as generation 1, and close. */
void same_write(struct same_file *f, uint64_t offset, size_t bytes);

#endif /* SELFTESTS_SAME_H */
