/* SPDX-License-Identifier: GPL-2.0-only */
/* A layer's objection and its text, and reads that are verified; for use in a test. */
#ifndef SELFTESTS_OBJECTION_H
#define SELFTESTS_OBJECTION_H

#include "verdict.h"

/* @status is negative. If @text is NULL, the text of reasons.h is expected. */
static inline void objection_is(struct __test_metadata *_metadata,
				const struct bpio_results *results,
				enum bpio_reason reason, int status,
				const char *name, const char *text)
{
	char said[BPIO_REASON_TEXT_MAX + 1] = "";

	if (!text)
		text = reason_sentence(reason);
	EXPECT_STREQ(reason_token(reason), reason_token(results->reason));
	EXPECT_EQ(status, results->op_status);
	verdict_strings(_metadata, results, name);
	ASSERT_LE(results->failure_reason_len, BPIO_REASON_TEXT_MAX);
	memcpy(said, results->failure_reason, results->failure_reason_len);
	EXPECT_STREQ(text, said);
}

/* @reason without its prefix. */
#define EXPECT_OBJECTION(results, reason, status, name, text)		\
	objection_is(_metadata, results, BPIO_REASON_##reason, status,	\
		     name, text)

/* Read @count blocks of @fd one by one and verify them; @file is its number. */
static inline void read_blocks(struct __test_metadata *_metadata, int fd,
			       unsigned int count, uint32_t file)
{
	char *buffer = dio_alloc(4096);
	unsigned int i;

	for (i = 0; i < count; i++) {
		memset(buffer, 0xa5, 4096);
		ASSERT_EQ(4096, pread(fd, buffer, 4096, 4096 * i));
		ASSERT_EQ(0, content_is(buffer, 4096, 4096 * i, file, 1));
	}
	free(buffer);
}

#define READ_BLOCKS(fd, count, file) \
	read_blocks(_metadata, fd, count, file)

/* Read @bytes of file 1 at @offset in one go and verify them. */
static inline void reads_right(struct __test_metadata *_metadata, int fd,
			       char *buffer, size_t bytes, uint64_t offset)
{
	memset(buffer, 0xa5, bytes);
	ASSERT_EQ((ssize_t)bytes, pread(fd, buffer, bytes, offset));
	ASSERT_EQ(0, content_is(buffer, bytes, offset, 1, 1));
}

#define READS_RIGHT(fd, buffer, bytes, offset) \
	reads_right(_metadata, fd, buffer, bytes, offset)

#endif /* SELFTESTS_OBJECTION_H */
