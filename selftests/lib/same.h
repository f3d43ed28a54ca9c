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
	int			plain;		/* another open file of it, never enabled */
	int			dir;		/* its directory */
	char			path[192];
	char			other[192];	/* a file that does not exist */
	char			*buffer;	/* of SAME_BYTES and a page more */
	bool			spoiled;	/* cannot be direct afterwards */
	/* the account */
	uint64_t		direct;		/* direct reads by the calls */
	bool			failed;		/* a call did what none may do */
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
 * Make the calls on a new file. An enabled file must still be enabled afterwards, and
 * read direct if it has O_DIRECT and is not spoiled. Returns 0, or -1 after printing what
 * was wrong.
 */
int same_run(struct same_file *f, same_calls calls);

/* Returns 0 if both accounts are equal, or -1 after printing where they differ. */
int same_compare(const struct same_file *expected, const struct same_file *f);

/* For calls: add a line to the account. */
void same_note(struct same_file *f, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* For calls: note the result of a system call; for -1, note errno. */
void same_result(struct same_file *f, const char *call, long result);

/* Note a call by its source text. */
#define NOTE(call)	do {					\
	errno = 0;						\
	same_result(f, #call, (long)(call));			\
} while (0)

/* For calls: note a call that returns a descriptor, but not the descriptor's number. */
int same_opened(struct same_file *f, const char *call, int fd);

#define NOTE_FD(call)	same_opened(f, #call, (call))

/* Note whether @bytes are the file's content at @offset. */
void same_content(struct same_file *f, const void *bytes, size_t count,
		  uint64_t offset);

/* Note whether the enabled and the plain open file returned the same bytes. */
void same_bytes(struct same_file *f, const char *what, const void *mine,
		const void *plain, size_t size);

/* Bring @fd, an open file of any file on the volume, into the state of @f. */
void same_state(struct same_file *f, int fd);

/* Arm the file again after calls have revoked it. Does nothing if it is not enabled. */
void same_arm(struct same_file *f);

/* Write @bytes at @offset, as generation 1, by another open file, and close that. */
void same_write(struct same_file *f, uint64_t offset, size_t bytes);

#endif /* SELFTESTS_SAME_H */
