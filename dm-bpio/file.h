/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_FILE_H
#define BPIO_FILE_H

#include <linux/atomic.h>
#include <linux/fs.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/path.h>
#include <linux/string.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/dm-bpio.h>

struct bpio_extent_map;
struct bpio_volume;

/* The longest time between a revoke and the next attempt to arm, in jiffies. */
#define BPIO_FILE_BACKOFF_MAX	HZ

/**
 * enum bpio_file_state - bits of bpio_file.state; direct reads need all clear
 * @BPIO_FILE_UNARMED: no map may be used; bpio_file.why has the reason. Changed
 *	under arm_lock only.
 * @BPIO_FILE_REVOKED: the lease was broken. Set in the task that breaks it, cleared
 *	under arm_lock while UNARMED is set and before the next lease is taken.
 * @BPIO_FILE_PAUSED: STREAM_PAUSE is in force. Changed under volume->drain_lock.
 * @BPIO_FILE_KERNEL_PAUSED: bpio_pause_file() is in force, see kernel_pause.c.
 *	Changed under volume->drain_lock.
 * @BPIO_FILE_VETOED: a layer vetoed the file when last queried. Changed under
 *	volume->drain_lock.
 */
enum bpio_file_state {
	BPIO_FILE_UNARMED,
	BPIO_FILE_REVOKED,
	BPIO_FILE_PAUSED,
	BPIO_FILE_KERNEL_PAUSED,
	BPIO_FILE_VETOED,
};

/**
 * struct bpio_file - an inode with enabled open files
 *
 * @state: enum bpio_file_state bits
 * @map: extents of a part of the file; RCU, replaced under @arm_lock
 * @inode: the inode; pinned by each open file of @opens
 * @volume: the volume; holds a reference
 * @memcg: memory cgroup of the task that enabled the file first, or NULL; holds a
 *	reference. Allocations of the worker are charged to it
 * @armed_at: jiffies when a map was last published; written under @arm_lock,
 *	read by direct reads without
 * @why: enum bpio_reason why UNARMED is set; written under @arm_lock, read without
 * @arm_lock: serialises arming and disarming. Taken with no other lock of this
 *	module held; the inode lock, volume->lock and the lease locks nest inside.
 * @arming_wait: woken when @runs_ended has changed
 * @lease_file: private open file that carries the lease; NULL until the first
 *	arming, and again when its mount must not stay busy; protected by @arm_lock
 * @layout_lease: the lease (FL_LAYOUT) for the layout of the file, see lease.c;
 *	protected by the VFS's spinlock for the leases of the inode
 * @leased: leases may be on @lease_file; protected by bpio_lease_lock
 * @lease_node: in lease.c's table of files; likewise
 * @yielded: jiffies when bpio_lease_hold_off() was last called, see lease.c;
 *	written and read without a lock
 * @arm_work: arms, enlarges the map, or disarms when no open file is enabled
 * @runs_begun: number of started runs of @arm_work; written under @arm_lock, read
 *	without
 * @runs_ended: number of finished runs; likewise
 * @want: offset in bytes of the last read that fell back because the map lacks its
 *	range; written and read without a lock
 * @map_start: where a new map begins; protected by @arm_lock
 * @map_jumps: how often @map_start was changed; protected by @arm_lock
 * @no_probe: probes do not work for the file; protected by @arm_lock
 * @backoff: jiffies until the next attempt; written under @arm_lock, and without it by
 *	bpio_lease_hold_off(), which raises it; read without
 * @revokes: how often the lease was broken
 * @opens: struct bpio_open_file.node, open files that were enabled; protected by
 *	volume->lock
 * @enabled: number of @opens that are not disabled; written under volume->lock
 * @destroy_work: calls bpio_file_destroy()
 * @destroy_path: pins inode and mount until @destroy_work has run
 */
struct bpio_file {
	unsigned long		state;
	struct bpio_extent_map __rcu *map;
	struct inode		*inode;
	struct bpio_volume	*volume;
	struct mem_cgroup	*memcg;
	unsigned long		armed_at;
	enum bpio_reason	why;

	struct mutex		arm_lock;	/* arming and disarming */
	wait_queue_head_t	arming_wait;
	struct file		*lease_file;
	struct file_lease	*layout_lease;
	bool			leased;
	struct hlist_node	lease_node;
	unsigned long		yielded;
	struct delayed_work	arm_work;
	unsigned int		runs_begun;
	unsigned int		runs_ended;
	unsigned long		backoff;
	atomic64_t		revokes;

	u64			want;
	u64			map_start;
	unsigned int		map_jumps;
	bool			no_probe;

	struct list_head	opens;
	unsigned int		enabled;

	struct work_struct	destroy_work;
	struct path		destroy_path;
};

static inline bool bpio_file_is_xfs(const struct bpio_file *file)
{
	return !strcmp(file->inode->i_sb->s_type->name, "xfs");
}

enum bpio_reason bpio_file_refuse(const struct inode *inode);
enum bpio_reason bpio_file_ask(struct file *filp);
struct bpio_file *bpio_file_create(struct bpio_volume *volume,
				   struct inode *inode);
void bpio_file_free(struct bpio_file *file);
void bpio_file_destroy(struct bpio_file *file);
void bpio_file_destroy_later(struct bpio_file *file, const struct path *path);
int bpio_file_arm(struct bpio_file *file);
void bpio_file_queue(struct bpio_file *file);
void bpio_file_want(struct bpio_file *file, loff_t pos, size_t count);
void bpio_file_open_closed(struct bpio_file *file);
void bpio_file_describe(struct bpio_file *file, u64 *extents, u64 *mapped);

/**
 * bpio_file_wants_arming() - whether arming could change anything
 * @file: the file
 *
 * Context: any.
 */
static inline bool bpio_file_wants_arming(const struct bpio_file *file)
{
	return READ_ONCE(file->state) &
	       (BIT(BPIO_FILE_UNARMED) | BIT(BPIO_FILE_REVOKED));
}

/**
 * bpio_file_wants_map() - whether mapping the file is still useful
 * @file: the file, with its leases
 *
 * Context: any.
 */
static inline bool bpio_file_wants_map(const struct bpio_file *file)
{
	return !test_bit(BPIO_FILE_REVOKED, &file->state) &&
	       READ_ONCE(file->enabled);
}

/**
 * bpio_file_kick() - queue the worker if arming could change anything
 * @file: the file
 *
 * Context: any.
 */
static inline void bpio_file_kick(struct bpio_file *file)
{
	if (!delayed_work_pending(&file->arm_work))
		bpio_file_queue(file);
}

/**
 * bpio_file_reason() - why a file is not armed
 * @file: the file
 * @state: a value of @file->state
 *
 * Context: any.
 * Return: the reason, or BPIO_REASON_NONE when no bit is set.
 */
static inline enum bpio_reason
bpio_file_reason(const struct bpio_file *file, unsigned long state)
{
	enum bpio_reason why;

	if (!state)
		return BPIO_REASON_NONE;
	if (unlikely(state & (BIT(BPIO_FILE_KERNEL_PAUSED) |
			      BIT(BPIO_FILE_PAUSED) | BIT(BPIO_FILE_VETOED))))
		return state & BIT(BPIO_FILE_KERNEL_PAUSED) ?
		       BPIO_REASON_KERNEL_PAUSED :
		       state & BIT(BPIO_FILE_PAUSED) ?
		       BPIO_REASON_STREAM_PAUSED : BPIO_REASON_FILE_VETO;
	if (!(state & BIT(BPIO_FILE_UNARMED)))
		return BPIO_REASON_REVOKED;

	/* Armed again since @state was read. */
	why = READ_ONCE(file->why);
	return why ? why : BPIO_REASON_NOT_ARMED;
}

int bpio_file_init(void);
void bpio_file_exit(void);

#endif /* BPIO_FILE_H */
