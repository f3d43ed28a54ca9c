/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_OPEN_FILE_H
#define BPIO_OPEN_FILE_H

#include <linux/atomic.h>
#include <linux/container_of.h>
#include <linux/fs.h>
#include <linux/list.h>
#include <linux/percpu.h>
#include <linux/dm-bpio.h>

#include "volume.h"

struct bpio_file;
struct bpio_tally_ctx;

/**
 * struct bpio_open_file_stats - direct reads of an open file, one per CPU
 * @direct_reads: number of reads
 * @direct_bytes: bytes these returned
 *
 * Small, because there may be many open files and many CPUs.
 */
struct bpio_open_file_stats {
	u64	direct_reads;
	u64	direct_bytes;
};

/**
 * struct bpio_open_file - an open file for which BypassIO was enabled
 *
 * Exists from the first ENABLE until the release of the struct file, even while it is
 * disabled, because reads in flight may use it.
 *
 * @fops: the file operations of the struct file: a copy of @orig with our own
 *	read_iter, ioctls, show_fdinfo and release; immutable
 * @orig: the file operations that the file system gave it
 * @filp: the struct file. Not a reference: @filp owns this object, and its
 *	release hook removes it from file->opens before @filp is freed.
 * @file: state of the inode
 * @stats: direct reads
 * @next: offset in the file where the last direct read ended; written and read
 *	without a lock
 * @accessed_at: jiffies when a direct read last updated the access time; written and
 *	read without a lock
 * @asked_at: jiffies of the last check that the file system serves reads; written
 *	and read without a lock
 * @disabled: DISABLE was sent; written under volume->lock, read without
 * @untold: the layers have not been notified of the DISABLE; volume->drain_lock
 * @node: in file->opens; volume->lock
 * @tally: the tally through which it was enabled, a reference, or NULL; immutable
 * @tally_node: in tally->opens; tally->lock
 * @fallback_bytes: bytes of reads that the file system served
 * @fallbacks: number of such reads, by enum bpio_reason
 */
struct bpio_open_file {
	struct file_operations	fops;
	const struct file_operations *orig;
	struct file		*filp;
	struct bpio_file	*file;
	struct bpio_open_file_stats __percpu *stats;
	loff_t			next;
	unsigned long		accessed_at;
	unsigned long		asked_at;
	bool			disabled;
	bool			untold;

	struct list_head	node;
	struct bpio_tally_ctx	*tally;
	struct list_head	tally_node;

	atomic64_t		fallback_bytes;
	atomic64_t		fallbacks[BPIO_REASON_COUNT];
};

/**
 * bpio_open_file_of() - the object of an enabled file
 * @filp: a struct file whose read_iter is known to be ours
 *
 * The file operations are part of the object, so a read needs no lookup. f_op is
 * replaced only twice: by ENABLE, before any call reaches ours, and by the release
 * hook, when no call can be running.
 *
 * Context: any; the caller has a reference to @filp.
 */
static inline struct bpio_open_file *bpio_open_file_of(const struct file *filp)
{
	return container_of(READ_ONCE(filp->f_op), struct bpio_open_file, fops);
}

void bpio_open_file_count(const struct bpio_open_file *of,
			  struct bpio_counters *sum, u64 *reasons);

long bpio_open_file_control(struct bpio_open_file *of, unsigned int cmd,
			    void __user *argp);
void bpio_open_file_show(struct bpio_open_file *of, struct seq_file *m);
enum bpio_reason bpio_open_file_obstacle(const struct bpio_open_file *of);

struct bpio_open_file *bpio_open_file_find(struct file *filp);
int bpio_open_file_enable(struct bpio_volume *volume, struct file *filp,
			  struct bpio_tally_ctx *tally,
			  struct fs_bpio_output *out);
int bpio_open_file_disable(struct bpio_volume *volume, struct file *filp);

#endif /* BPIO_OPEN_FILE_H */
