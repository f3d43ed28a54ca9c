/* SPDX-License-Identifier: GPL-2.0-only */
/* The operations of <linux/dm-bpio.h>, one function for each. */
#ifndef SELFTESTS_CONTROL_H
#define SELFTESTS_CONTROL_H

#include <stddef.h>
#include <stdint.h>
#include <linux/dm-bpio.h>

/* Send one operation about @fd. Returns 0 or a negative errno. */
int fs_op(int volume, uint32_t operation, int fd, struct fs_bpio_output *out);
/* With FS_BPIO_INFL_*, except ALL_LAYERS, whose answer is larger. */
int fs_op_flags(int volume, uint32_t operation, int fd, uint32_t flags,
		struct fs_bpio_output *out);

/*
 * ENABLE the open file @fd. Returns 0, or a negative errno: of the ioctl, or else of
 * the verdict. @volume is the mapped device or the control node.
 */
int fs_enable(int volume, int fd);
/* DISABLE the open file @fd. */
int fs_disable(int volume, int fd);
/* GET_INFO. Returns 0 or a negative errno. */
int fs_info(int volume, struct fs_bpio_info *info);
/* The number of open files with BypassIO enabled, or a negative errno. */
int active_count(int volume);

/*
 * Wait until that number is @count: some closes are asynchronous (registered files of a
 * ring). Returns 0 or -ETIMEDOUT.
 */
int active_count_wait(int volume, int count);

/* The storage level. @fd is 0, or for the control node a mapped device. */
int storage_op_fd(int volume, uint32_t operation, int fd,
		  struct bpio_output *out);
int storage_op(int volume, uint32_t operation, struct bpio_output *out);

/* Open the control node, which creates a tally. Returns it or a negative errno. */
int node_open(void);
/* Like fs_enable() through the control node, but arms before it returns. */
int node_enable(int node, int fd);
/* The sums over the files enabled through @node. Returns 0 or a negative errno. */
int tally_read(int node, struct bpio_tally *tally);

/* The two ioctls of an enabled file. Return 0 or a negative errno. */
int file_arm(int fd, struct bpio_file_arm *arm);
int file_info(int fd, struct bpio_file_info *info);

/*
 * Arm the file. Returns 0 only if reads go direct now; else prints why they do not. Waits
 * for a new route of the volume, since ENABLE waits 2 s only.
 */
int file_armed(int fd);
/* fs_enable() and file_armed(). */
int fs_enable_armed(int volume, int fd);

/*
 * Read @bytes at @offset repeatedly until a read went direct, to check that bypass
 * resumes without a call. Returns 0, or -ETIMEDOUT after DEADLINE_MS and prints the
 * obstacle.
 */
int file_wait_direct(int fd, void *buffer, size_t bytes, uint64_t offset);

/*
 * Read @bytes at 0 through a plain and an enabled open file. Returns 0 when both return
 * the same bytes; the errno if both fail with it; else -EPROTO, and prints the
 * difference.
 */
int reads_alike(int plain_fd, int enabled_fd, size_t bytes);

/* How many reads of the open file the file system served for @reason. */
uint64_t file_fallbacks(int fd, enum bpio_reason reason);
/* How many reads of the open file went direct. */
uint64_t file_direct(int fd);

/* The token and the sentence of reasons.h; "?" for unknown numbers. */
const char *reason_token(uint32_t reason);
const char *reason_sentence(uint32_t reason);

#endif /* SELFTESTS_CONTROL_H */
