/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Test files with the content of content.h.
 *
 * Functions that return int return 0, a descriptor, or a negative errno, after
 * printing what went wrong.
 */
#ifndef SELFTESTS_FILES_H
#define SELFTESTS_FILES_H

#include <stdint.h>
#include <sys/ioctl.h>

/* An ioctl of ext4 that no exported header defines. */
struct move_extent {
	uint32_t	reserved;
	uint32_t	donor_fd;
	uint64_t	orig_start;
	uint64_t	donor_start;
	uint64_t	len;
	uint64_t	moved_len;
};

#define EXT4_IOC_MOVE_EXT	_IOWR('f', 15, struct move_extent)

/* Likewise of XFS: checks, or repairs, metadata of a file that is in use. */
struct xfs_scrub {
	uint32_t	type;
	uint32_t	flags;
	uint64_t	ino;
	uint32_t	gen;
	uint32_t	agno;
	uint64_t	reserved[5];
};

#define XFS_SCRUB_DATA_FORK	12
#define XFS_IOC_SCRUB_METADATA	_IOWR('X', 60, struct xfs_scrub)

/* Open a file as BypassIO needs it: O_RDONLY | O_DIRECT. */
int file_open_direct(const char *path);

/*
 * Write @bytes of the content of file @file at @offset, a multiple of 512, as generation
 * @generation. With O_DIRECT @bytes must be a multiple of 512, too.
 */
int file_write(int fd, uint64_t offset, uint64_t bytes, uint32_t file,
	       uint32_t generation);

/* Create or replace a file of @bytes, generation 1, and sync it. */
int file_create(const char *path, uint64_t bytes, uint32_t file);

/*
 * Create a file of @blocks blocks of @block_size bytes such that no two consecutive blocks
 * of the file are consecutive on the device. Needs extents (not ext2).
 */
int file_create_fragmented(const char *path, unsigned int blocks,
			   unsigned int block_size, uint32_t file);

/*
 * The same without extents: appends blocks alternately to the file and to another one,
 * which is left as "<path>.other". How many pieces that makes depends on the file
 * system.
 */
int file_create_interleaved(const char *path, unsigned int blocks,
			    unsigned int block_size, uint32_t file);

/* Let @to, which is created if missing, share all blocks of @from (FICLONE). */
int file_clone(const char *from, const char *to);

/*
 * Let the first @bytes of @to, which may be open read-only, share the blocks of the same
 * bytes of @from (FIDEDUPERANGE). Returns 0 if all bytes are shared, or a negative errno.
 * Prints nothing.
 */
int file_dedupe(int from, int to, uint64_t bytes);

/* The number of extents with written data, by FIEMAP, or a negative errno. */
int file_extents(const char *path);

#endif /* SELFTESTS_FILES_H */
