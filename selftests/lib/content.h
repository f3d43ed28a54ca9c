/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * File content that identifies its place.
 *
 * Every 512-byte sector of a test file contains the number of the file, its offset
 * there and a generation (how often it was written); the other bytes are computed from
 * these three. So a wrong byte in a read is not only detected but classified: from
 * another file, from another offset, of an old generation, or torn.
 */
#ifndef SELFTESTS_CONTENT_H
#define SELFTESTS_CONTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define CONTENT_SECTOR	512

/* What a read may legally return. */
struct content_rule {
	uint32_t	file;
	uint32_t	oldest;		/* generations from this one ... */
	uint32_t	newest;		/* ... to this one */
	bool		zeroes;		/* or zeroes (holes) */
	bool		mixed;		/* or several of these in one sector */
	/* or what belongs this far behind: zero unless a range was shifted */
	int64_t		moved[2];
};

/* Fill @buffer with the content of file @file at @offset, a multiple of 512. */
void content_fill(void *buffer, size_t bytes, uint32_t file, uint64_t offset,
		  uint32_t generation);

/*
 * Verify @bytes read at @offset, with any alignment; parts of a sector at the ends are
 * compared with the generations that the rule allows. Returns 0, or -1 with the finding
 * in @why.
 */
int content_check(const void *buffer, size_t bytes, uint64_t offset,
		  const struct content_rule *rule, char *why, size_t why_size);

/* The same for content that exists in one generation only; prints the finding. */
int content_is(const void *buffer, size_t bytes, uint64_t offset, uint32_t file,
	       uint32_t generation);

/* The same for the whole of @nr vectors, which were read one after the other. */
int content_vectors_are(const struct iovec *vectors, unsigned int nr,
			uint64_t offset, uint32_t file, uint32_t generation);

/* What one sector may hold; file 0 stands for zeroes. */
struct content_sector {
	uint32_t	file;
	uint32_t	generation;
	uint64_t	offset;
};

/*
 * Verify one whole sector: it must be one of @legal. With @mixed each of its words may
 * come from a different one. Returns 0, or -1 with the finding in @why.
 */
int content_check_sector(const void *buffer, const struct content_sector *legal,
			 unsigned int count, bool mixed, char *why,
			 size_t why_size);

#endif /* SELFTESTS_CONTENT_H */
