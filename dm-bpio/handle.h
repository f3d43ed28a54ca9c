/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_HANDLE_H
#define BPIO_HANDLE_H

#include <linux/fs.h>
#include <linux/list.h>
#include <linux/percpu.h>
#include <linux/dm-bpio.h>

#include "volume.h"

struct bpio_file;

/**
 * struct bpio_handle_stats - reads of a handle, one per CPU
 * @counters: how many, how much
 * @next: where the last direct read of this CPU ended, offset in the file
 * @reasons: reads that the file system served, by enum bpio_reason
 */
struct bpio_handle_stats {
	struct bpio_counters	counters;
	loff_t			next;
	u64			reasons[BPIO_REASON_COUNT];
};

/**
 * struct bpio_handle - BypassIO of one open file
 *
 * Several descriptors may stand for the same handle, when ENABLE was sent more
 * than once for the same open file.
 *
 * @file: state of the inode
 * @user_file: the open file that bypass was asked for; holds a reference, and
 *	thereby pins the inode, the mount and the mapped device
 * @stats: counters
 * @accessed_at: jiffies when a direct read last had the access time updated;
 *	written and read without a lock
 * @disabled: DISABLE was sent; written under volume->lock, read without
 * @descriptors: struct files that stand for this handle; volume->drain_lock
 * @node: in file->handles; volume->lock
 */
struct bpio_handle {
	struct bpio_file	*file;
	struct file		*user_file;
	struct bpio_handle_stats __percpu *stats;
	unsigned long		accessed_at;
	bool			disabled;

	unsigned int		descriptors;
	struct list_head	node;
};

void bpio_handle_put(struct bpio_handle *handle);
struct file *bpio_handle_enable(struct bpio_volume *volume,
				struct file *user_file,
				struct fs_bpio_output *out);
bool bpio_handle_is_on(const struct bpio_volume *volume, struct file *file);
void bpio_handle_pause_file(struct bpio_volume *volume, struct file *file);
bool bpio_handle_resume_file(struct bpio_volume *volume, struct file *file,
			     struct bpio_results *results);
bool bpio_handle_requery_all(struct bpio_volume *volume);
unsigned int bpio_handle_open_count(struct bpio_volume *volume,
				    struct file *file, bool *paused);
void bpio_handle_disable(struct bpio_volume *volume, struct file *file);
void bpio_handle_count(struct bpio_handle *handle, struct bpio_counters *sum);

#endif /* BPIO_HANDLE_H */
