/* SPDX-License-Identifier: GPL-2.0-only */
/* The calls of <linux/dm-bpio.h>, one function for each. */
#ifndef SELFTESTS_CONTROL_H
#define SELFTESTS_CONTROL_H

#include <stddef.h>
#include <stdint.h>
#include <linux/dm-bpio.h>

/* Send one operation about @fd. Returns 0 or a negative errno. */
int fs_op(int volume, uint32_t operation, int fd, struct fs_bpio_output *out);
/* With FS_BPIO_INFL_*; not ALL_LAYERS, whose answer takes more room. */
int fs_op_flags(int volume, uint32_t operation, int fd, uint32_t flags,
		struct fs_bpio_output *out);

/* ENABLE. Returns the handle, or the negative errno of the ioctl or verdict. */
int fs_enable(int volume, int fd);
/* DISABLE by the file or by a handle. */
int fs_disable(int volume, int fd);
/* GET_INFO. Returns 0 or a negative errno. */
int fs_info(int volume, struct fs_bpio_info *info);
/* The number of open files with BypassIO enabled, or a negative errno. */
int active_count(int volume);

/*
 * Wait until that number is @count: some closes happen behind the back of the
 * process (a ring's registered files). Returns 0 or -ETIMEDOUT.
 */
int active_count_wait(int volume, int count);

/* QUERY of the storage level. */
int storage_op(int volume, uint32_t operation, struct bpio_output *out);

/* The two ioctls of a handle. Return 0 or a negative errno. */
int handle_arm(int handle, struct bpio_handle_arm *arm);
int handle_info(int handle, struct bpio_handle_info *info);

/* Arm and insist: 0 only when reads go direct now. Says why they do not. */
int handle_armed(int handle);
/*
 * The same while others read, again until DEADLINE_MS: a read that the file system
 * has keeps the lease from being had, and on a busy machine may take longer than
 * one call tries.
 */
int handle_armed_among_reads(int handle);

/*
 * Read @bytes at @offset again and again until a read went direct: the way
 * back to bypass that needs no call. Returns 0, or -ETIMEDOUT after DEADLINE_MS
 * and says what stood in the way.
 */
int handle_wait_direct(int handle, void *buffer, size_t bytes, uint64_t offset);

/*
 * Read @bytes at 0 by the file's descriptor and by its handle: 0 when both
 * return the same bytes, or fail with the same errno, which is then returned;
 * else -EPROTO, and says what the difference is.
 */
int reads_alike(int fd, int handle, size_t bytes);

/* How many reads of the handle the file system served for @reason. */
uint64_t handle_fallbacks(int handle, enum bpio_reason reason);
/* How many reads of the handle went direct. */
uint64_t handle_direct(int handle);

/* The token and the sentence of reasons.h; "?" for unknown numbers. */
const char *reason_token(uint32_t reason);
const char *reason_sentence(uint32_t reason);

#endif /* SELFTESTS_CONTROL_H */
