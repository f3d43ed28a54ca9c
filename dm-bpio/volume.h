/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_VOLUME_H
#define BPIO_VOLUME_H

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#include <linux/dm-bpio.h>

#include "drain.h"
#include "layer.h"
#include "standing.h"

struct bpio_file;
struct bpio_route;
struct inode;
struct bpio_table;

/* "major:minor" */
#define BPIO_VOLUME_NAME_MAX	24

/**
 * struct bpio_counters - O_DIRECT reads of enabled files
 * @direct_reads: reads that went direct
 * @direct_bytes: bytes these returned
 * @fallback_reads: reads that the file system served
 * @fallback_bytes: bytes these returned
 */
struct bpio_counters {
	u64	direct_reads;
	u64	direct_bytes;
	u64	fallback_reads;
	u64	fallback_bytes;
};

/**
 * enum bpio_map_watch - why the target's map method looks at reads of the volume
 * @BPIO_MAP_BYPASS: it sends them along the route. Changed under
 *	volume->drain_lock.
 * @BPIO_MAP_AWAITS: the route was lost to a layer that was suspended, so the next
 *	read that the layers serve is news. Changed under volume->drain_lock.
 * @BPIO_MAP_PROBES: some of them only ask where a file lies. Changed under
 *	volume->probes_lock.
 */
enum bpio_map_watch {
	BPIO_MAP_BYPASS,
	BPIO_MAP_AWAITS,
	BPIO_MAP_PROBES,
};

/**
 * struct bpio_volume - a mapped device that has, or had, a bpio target
 *
 * Found through its device number, so that open files outlive a table: they hold
 * the volume, never a target. Lives as long as a target or a file refers to it.
 *
 * @route: where direct reads go; NULL while nobody wants them or they may not.
 *	Read under RCU, changed under @drain_lock and @lock.
 * @no_route: enum bpio_reason, why @route is NULL. Written under @lock, read
 *	without.
 * @map_watch: enum bpio_map_watch bits
 * @probes_lock: protects @probes; taken by the map method
 * @probes: struct bpio_probe.node, reads that tell where a file lies
 * @drain_lock: held while the route is changed, from asking the stack until the
 *	new route is published. Never held while somebody waits for reads, see the
 *	top of bypass.c. Protects @table for reading, @storage_enabled,
 *	@attach_blocked. Taken before bpio_layers_lock and @lock.
 * @lock: protects @files and all their open files, and @active, which is also
 *	read without; with @drain_lock, @table and @route. Only bpio_lease_lock
 *	and the spinlock of a gate are taken inside. Never held across file-system
 *	I/O or a wait for bios, nor while something is done for each open file.
 * @tables: struct bpio_table.node, those that are not destroyed; @lock
 * @table: the live one, NULL while there is none
 * @files: struct bpio_file by inode number; a file is in it from its first
 *	open file to its last. A volume has one file system, so numbers are unique.
 * @active: enabled open files of all @files
 * @stats: reads of all open files there were, one per CPU
 * @route_base: direct reads of the volume when @route was published; written
 *	under @drain_lock, read without
 * @mapped_reads: reads of the device that its map method sent along a route
 * @bmap_steps: steps of mapping a file that had to be done block by block
 * @storage_enabled: BPIO_OP_ENABLE was sent to the volume
 * @support: of the last route there was; @drain_lock
 * @told: what the last event said of it; @drain_lock
 * @attach_blocked: a layer that appeared under an enabled volume objects
 * @pause: of the whole volume, by user space; bpio_layers_lock. The layer of its
 *	target looks here, since it does not outlive a reload
 * @generation: of bpio_layers_generation when @route was found; @drain_lock
 * @kernel_pauses: files that kernel code has paused, by inode number; see
 *	kernel_pause.c. @drain_lock
 * @nr_kernel_pauses: number of these; @drain_lock
 * @asking: a route is being made of what the layers say. Written under
 *	@drain_lock, read without, see bpio_change_tell().
 * @update_drained: a new route is wanted as soon as the old ones have drained;
 *	@drain_lock
 * @drain_again: retire the route as soon as one of those that drain is gone;
 *	@drain_lock
 * @requery: ask about all enabled files again with the next run of @update_work.
 *	Written and read without a lock.
 * @drain: routes that have reads in flight but are not published
 * @withdrawn_at: jiffies when the last route was withdrawn
 * @idle: nobody wants @route any more; written under @drain_lock, read without
 * @idle_since: jiffies since when; @drain_lock
 * @update_work: asks the stack again, away from hooks that must not wait
 * @node: in the list of all volumes, protected by its lock
 * @ref: targets and files
 * @rcu: for freeing: who ends @drain may still hold its spinlock
 * @dev: device number of the mapped device
 * @name: the same in text, for messages
 */
struct bpio_volume {
	struct bpio_route __rcu	*route;
	enum bpio_reason	no_route;
	unsigned long		map_watch;

	spinlock_t		probes_lock;	/* probes */
	struct list_head	probes;

	struct mutex		drain_lock;	/* changing the route */
	struct mutex		lock;		/* tables, files, counts */
	struct list_head	tables;
	struct bpio_table	*table;
	struct xarray		files;
	unsigned int		active;
	struct bpio_counters __percpu *stats;
	u64			route_base;
	atomic64_t		mapped_reads;
	atomic64_t		bmap_steps;

	bool			storage_enabled;
	bool			attach_blocked;
	enum bpio_support	support;
	struct bpio_standing	told;
	struct bpio_pause	pause;
	int			generation;
	struct xarray		kernel_pauses;
	unsigned int		nr_kernel_pauses;
	bool			asking;
	bool			update_drained;
	bool			drain_again;
	bool			requery;
	struct bpio_drain	drain;
	unsigned long		withdrawn_at;
	bool			idle;
	unsigned long		idle_since;
	struct delayed_work	update_work;

	struct list_head	node;
	struct kref		ref;
	struct rcu_head		rcu;
	dev_t			dev;
	char			name[BPIO_VOLUME_NAME_MAX];
};

void bpio_volume_set_workers(work_func_t update, work_func_t drain);

struct bpio_volume *bpio_volume_get(dev_t dev);
struct bpio_volume *bpio_volume_find(dev_t dev);
void bpio_volume_hold(struct bpio_volume *volume);
void bpio_volume_put(struct bpio_volume *volume);

struct bpio_volume *bpio_volume_next(struct bpio_volume *prev);

struct bpio_file *bpio_volume_find_file(struct bpio_volume *volume,
					const struct inode *inode);
void bpio_volume_forget(struct bpio_volume *volume, struct bpio_file *file);

void bpio_volume_count(struct bpio_volume *volume, struct fs_bpio_info *info);
bool bpio_volume_is_mixed(struct bpio_volume *volume);
u64 bpio_volume_sum(const struct bpio_volume *volume, struct bpio_counters *sum);

#endif /* BPIO_VOLUME_H */
