// SPDX-License-Identifier: GPL-2.0-only
/*
 * Volumes: the state of a mapped device that survives a replacement of its table.
 *
 * Level: volume.
 */
#include <linux/fs.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

#include "file.h"
#include "kernel_pause.h"
#include "table.h"
#include "volume.h"

static LIST_HEAD(bpio_volumes);
static DEFINE_MUTEX(bpio_volumes_lock);

static work_func_t bpio_volume_update_fn;
static work_func_t bpio_volume_drain_fn;

/**
 * bpio_volume_set_workers() - set the work functions of all volumes
 * @update: of volume->update_work
 * @drain: of volume->drain.work
 *
 * Context: once, before the first volume is created.
 */
void bpio_volume_set_workers(work_func_t update, work_func_t drain)
{
	bpio_volume_update_fn = update;
	bpio_volume_drain_fn = drain;
}

static void bpio_volume_free(struct bpio_volume *volume)
{
	mutex_destroy(&volume->lock);
	mutex_destroy(&volume->drain_lock);
	free_percpu(volume->stats);
	kfree_rcu(volume, rcu);
}

static struct bpio_volume *bpio_volume_create(dev_t dev)
{
	struct bpio_volume *volume = kzalloc(sizeof(*volume), GFP_KERNEL);

	if (!volume)
		return NULL;
	volume->stats = alloc_percpu(struct bpio_counters);
	if (!volume->stats) {
		kfree(volume);
		return NULL;
	}

	kref_init(&volume->ref);
	mutex_init(&volume->lock);
	mutex_init(&volume->drain_lock);
	xa_init_flags(&volume->files, XA_FLAGS_ACCOUNT);
	xa_init(&volume->kernel_pauses);
	spin_lock_init(&volume->probes_lock);
	INIT_LIST_HEAD(&volume->probes);
	INIT_LIST_HEAD(&volume->tables);
	INIT_DELAYED_WORK(&volume->update_work, bpio_volume_update_fn);
	bpio_drain_setup(&volume->drain, bpio_volume_drain_fn);
	volume->no_route = BPIO_REASON_VOLUME_SUSPENDED;
	/* Full bypass is the expected state; the first event reports a deviation. */
	volume->told.support = BPIO_SUPPORT_FULL;
	volume->dev = dev;
	format_dev_t(volume->name, dev);
	return volume;
}

/**
 * bpio_volume_next() - walk through all volumes
 * @prev: the previous volume, whose reference is dropped, or NULL to start
 *
 * Context: may sleep.
 * Return: the next volume, with a reference, or NULL.
 */
struct bpio_volume *bpio_volume_next(struct bpio_volume *prev)
{
	struct bpio_volume *next;

	mutex_lock(&bpio_volumes_lock);
	next = prev ? list_next_entry(prev, node) :
		      list_first_entry(&bpio_volumes, struct bpio_volume, node);
	if (list_entry_is_head(next, &bpio_volumes, node))
		next = NULL;
	else
		kref_get(&next->ref);
	mutex_unlock(&bpio_volumes_lock);

	if (prev)
		bpio_volume_put(prev);
	return next;
}

/**
 * bpio_volume_get() - find or create the volume of a mapped device
 * @dev: device number of the mapped device
 *
 * A device number can be reused only after its device is gone. A file keeps its
 * file system mounted, and thereby the device open, and a target belongs to its
 * device. So a volume never outlives the device it was created for.
 *
 * Context: may sleep.
 * Return: the volume with a reference, or NULL without memory.
 */
struct bpio_volume *bpio_volume_get(dev_t dev)
{
	/* Allocate before taking the lock: reclaim may wait for hooks that need it. */
	struct bpio_volume *fresh = bpio_volume_create(dev);
	struct bpio_volume *volume;

	if (!fresh)
		return NULL;

	mutex_lock(&bpio_volumes_lock);
	list_for_each_entry(volume, &bpio_volumes, node) {
		if (volume->dev == dev) {
			kref_get(&volume->ref);
			mutex_unlock(&bpio_volumes_lock);
			bpio_volume_free(fresh);
			return volume;
		}
	}
	list_add_tail(&fresh->node, &bpio_volumes);
	mutex_unlock(&bpio_volumes_lock);
	return fresh;
}

/**
 * bpio_volume_find() - find the volume of a mapped device
 * @dev: device number of the mapped device
 *
 * Context: may sleep.
 * Return: the volume with a reference, or NULL.
 */
struct bpio_volume *bpio_volume_find(dev_t dev)
{
	struct bpio_volume *volume = NULL;

	while ((volume = bpio_volume_next(volume)))
		if (volume->dev == dev)
			break;
	return volume;
}

/**
 * bpio_volume_hold() - take another reference
 * @volume: a volume the caller has a reference to
 */
void bpio_volume_hold(struct bpio_volume *volume)
{
	kref_get(&volume->ref);
}

static void bpio_volume_release(struct kref *ref)
{
	struct bpio_volume *volume = container_of(ref, struct bpio_volume, ref);

	lockdep_assert_held(&bpio_volumes_lock);

	WARN_ON(!xa_empty(&volume->files) || volume->table);
	list_del(&volume->node);
	mutex_unlock(&bpio_volumes_lock);

	/* Without references, nothing can queue them again. */
	cancel_delayed_work_sync(&volume->update_work);
	cancel_work_sync(&volume->drain.work);
	WARN_ON(!list_empty(&volume->drain.retired));
	bpio_kernel_pause_forget_all(volume);
	bpio_volume_free(volume);
}

/**
 * bpio_volume_put() - drop a reference
 * @volume: the volume
 *
 * Context: may sleep.
 */
void bpio_volume_put(struct bpio_volume *volume)
{
	kref_put_mutex(&volume->ref, bpio_volume_release, &bpio_volumes_lock);
}

/**
 * bpio_volume_is_mixed() - whether the live table also has lines of other targets
 * @volume: the volume
 *
 * Context: may sleep.
 * Return: false also while no table is live.
 */
bool bpio_volume_is_mixed(struct bpio_volume *volume)
{
	bool mixed;

	mutex_lock(&volume->lock);
	mixed = volume->table && bpio_table_is_mixed(volume->table);
	mutex_unlock(&volume->lock);
	return mixed;
}

/**
 * bpio_volume_sum() - add up the reads of all open files, past and present
 * @volume: the volume
 * @sum: out: the sum
 *
 * Takes no lock; the cost does not depend on the number of open files.
 *
 * Context: any.
 * Return: reads that went direct, including those that the map method sent.
 */
u64 bpio_volume_sum(const struct bpio_volume *volume, struct bpio_counters *sum)
{
	const struct bpio_counters *counters;
	int cpu;

	memset(sum, 0, sizeof(*sum));
	for_each_possible_cpu(cpu) {
		counters = per_cpu_ptr(volume->stats, cpu);
		sum->direct_reads += READ_ONCE(counters->direct_reads);
		sum->direct_bytes += READ_ONCE(counters->direct_bytes);
		sum->fallback_reads += READ_ONCE(counters->fallback_reads);
		sum->fallback_bytes += READ_ONCE(counters->fallback_bytes);
	}
	return sum->direct_reads + atomic64_read(&volume->mapped_reads);
}

/**
 * bpio_volume_find_file() - find the state of an inode
 * @volume: the volume
 * @inode: an inode of the file system on it
 *
 * Context: volume->lock held.
 * Return: the file, or NULL when the inode has no open file with BypassIO.
 */
struct bpio_file *bpio_volume_find_file(struct bpio_volume *volume,
					const struct inode *inode)
{
	struct bpio_file *file;

	lockdep_assert_held(&volume->lock);

	file = xa_load(&volume->files, inode->i_ino);
	return file && file->inode == inode ? file : NULL;
}

/**
 * bpio_volume_forget() - remove a file from the index of its volume
 * @volume: the volume
 * @file: a file without open files
 *
 * Context: volume->lock held.
 */
void bpio_volume_forget(struct bpio_volume *volume, struct bpio_file *file)
{
	lockdep_assert_held(&volume->lock);

	xa_erase(&volume->files, file->inode->i_ino);
}

/**
 * bpio_volume_count() - add up the counters of a volume
 * @volume: the volume
 * @info: active_count and the read counters are written
 *
 * Context: any.
 */
void bpio_volume_count(struct bpio_volume *volume, struct fs_bpio_info *info)
{
	struct bpio_counters sum;

	bpio_volume_sum(volume, &sum);
	info->active_count = READ_ONCE(volume->active);
	info->direct_reads = sum.direct_reads;
	info->direct_bytes = sum.direct_bytes;
	info->fallback_reads = sum.fallback_reads;
	info->fallback_bytes = sum.fallback_bytes;
	info->mapped_reads = atomic64_read(&volume->mapped_reads);
	info->bmap_steps = atomic64_read(&volume->bmap_steps);
}
