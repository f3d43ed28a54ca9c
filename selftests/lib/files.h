/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Test files with the content of content.h.
 *
 * Functions that return int return 0, a descriptor, or a negative errno, and
 * have said what went wrong.
 */
#ifndef SELFTESTS_FILES_H
#define SELFTESTS_FILES_H

#include <stdint.h>

/* Open for BypassIO: O_RDONLY | O_DIRECT. */
int file_open_direct(const char *path);

/*
 * Write @bytes (any number) of file @file from @offset (a multiple of 512), as
 * generation @generation, through @fd, which is open with O_DIRECT or without.
 * With O_DIRECT @bytes must be a multiple of 512.
 */
int file_write(int fd, uint64_t offset, uint64_t bytes, uint32_t file,
	       uint32_t generation);

/* Create or replace a file of @bytes, generation 1, and sync it. */
int file_create(const char *path, uint64_t bytes, uint32_t file);

/*
 * Create a file of @blocks blocks of @block_size bytes, of which no two
 * neighbours are neighbours on the device. Needs extents (not ext2).
 */
int file_create_fragmented(const char *path, unsigned int blocks,
			   unsigned int block_size, uint32_t file);

/*
 * The same without extents: appended block by block in turn with another file,
 * which stays as "<path>.other". How many pieces that makes is up to the file
 * system.
 */
int file_create_interleaved(const char *path, unsigned int blocks,
			    unsigned int block_size, uint32_t file);

/* Extents by FIEMAP that hold written data; a negative errno on failure. */
int file_extents(const char *path);

#endif /* SELFTESTS_FILES_H */
