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
#include <sys/ioctl.h>

/* Of ext4, which exports it in no header. */
struct move_extent {
	uint32_t	reserved;
	uint32_t	donor_fd;
	uint64_t	orig_start;
	uint64_t	donor_start;
	uint64_t	len;
	uint64_t	moved_len;
};

#define EXT4_IOC_MOVE_EXT	_IOWR('f', 15, struct move_extent)

/* The same of XFS: what it checks, or repairs, while the file is in use. */
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

/* Let @to, made if need be, share all blocks of @from (FICLONE). */
int file_clone(const char *from, const char *to);

/*
 * Let the first @bytes of @to, which may be open read-only, share the blocks of
 * the same bytes of @from (FIDEDUPERANGE). Returns 0 when all of them do, or a
 * negative errno, and says nothing.
 */
int file_dedupe(int from, int to, uint64_t bytes);

/* Extents by FIEMAP that hold written data; a negative errno on failure. */
int file_extents(const char *path);

#endif /* SELFTESTS_FILES_H */
