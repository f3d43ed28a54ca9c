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
 * @BPIO_MAP_AWAITS: a layer that was suspended has cost the volume its route; the
 *	next read that the layers serve shows that they are back. Changed under
 *	volume->drain_lock.
 * @BPIO_MAP_PROBES: some reads are probes, which only find where a file lies. Changed
 *	under volume->probes_lock.
 */
enum bpio_map_watch {
	BPIO_MAP_BYPASS,
	BPIO_MAP_AWAITS,
	BPIO_MAP_PROBES,
};

/**
 * struct bpio_volume - a mapped device that has, or had, a bpio target
 *
 * Found by device number, so that open files survive a change of the table: they
 * refer to the volume, never to a target. Exists while a target or a file refers to
 * it.
 *
 * @route: the path of direct reads; NULL while there are no users or bypass is not
 *	allowed. Read under RCU, changed under @drain_lock and @lock.
 * @no_route: enum bpio_reason, why @route is NULL. Written under @lock, read
 *	without.
 * @map_watch: enum bpio_map_watch bits
 * @probes_lock: protects @probes; taken by the map method
 * @probes: list of struct bpio_probe.node: reads that find where a file lies
 * @drain_lock: held while the route changes, from the query of the stack until the
 *	new route is published. Never held during a wait for reads, see the top of
 *	bypass.c. Protects @table for reading, @storage_enabled, @attach_blocked.
 *	Taken before bpio_layers_lock and @lock.
 * @lock: protects @files, all their open files, and @active, which is also read
 *	without it; together with @drain_lock, @table and @route. Only
 *	bpio_lease_lock and the spinlock of a gate are taken inside. Never held
 *	across file-system I/O, a wait for bios, or a loop over all open files.
 * @tables: list of struct bpio_table.node: tables not yet destroyed; @lock
 * @table: the live table, or NULL
 * @files: struct bpio_file by inode number; a file is in it from its first
 *	open file to its last. A volume has one file system, so numbers are unique.
 * @active: number of enabled open files of all @files
 * @stats: reads of all open files, past and present, one per CPU
 * @route_base: direct reads of the volume when @route was published; written
 *	under @drain_lock, read without
 * @mapped_reads: reads of the device that its map method sent along a route
 * @bmap_steps: steps of mapping a file that had to be done block by block
 * @storage_enabled: BPIO_OP_ENABLE is in force
 * @support: support of the last route; @drain_lock
 * @told: the state that the last event reported; @drain_lock
 * @attach_blocked: a layer that appeared under an enabled volume objects
 * @pause: pause of the whole volume, by user space; bpio_layers_lock. Kept here and
 *	not in the layer of the target, which does not survive a reload
 * @generation: bpio_layers_generation when @route was built; @drain_lock
 * @kernel_pauses: files that kernel code has paused, by inode number; see
 *	kernel_pause.c. @drain_lock
 * @nr_kernel_pauses: number of @kernel_pauses; @drain_lock
 * @asking: a route is being built from the answers of the layers. Written under
 *	@drain_lock, read without, see bpio_change_tell().
 * @update_drained: build a new route as soon as the old ones have drained;
 *	@drain_lock
 * @drain_again: retire the route as soon as one of the draining routes is gone;
 *	@drain_lock
 * @requery: query about all enabled files again in the next run of @update_work.
 *	Written and read without a lock.
 * @drain: retired routes that have reads in flight
 * @withdrawn_at: jiffies when the last route was withdrawn
 * @idle: @route has no users any more; written under @drain_lock, read without
 * @idle_since: jiffies when @idle was set; @drain_lock
 * @update_work: queries the stack again, because some hooks must not wait for that
 * @node: in the list of all volumes, protected by bpio_volumes_lock
 * @ref: one for each target and file
 * @rcu: for freeing: the last put of a route may still hold the spinlock of @drain
 * @dev: device number of the mapped device
 * @name: the same as text, for messages
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
