// SPDX-License-Identifier: GPL-2.0-only
/*
 * How much of a file is mapped, and when. The map covers one contiguous part, which
 * grows in steps of bounded work as reads arrive behind it. A read in an unknown part
 * is served by the file system, leaves its offset in file->want and kicks the worker,
 * whose next step begins
 *
 * - at the end of the map, if the read is close behind it: reads are sequential, or
 *   random in a file that is not yet mapped to its end;
 * - at the read, if it is far away;
 * - at the start of the file, after so many such jumps that reads seem to be random.
 *   From then on the map only grows, until it covers all that is read.
 *
 * The first step maps most files completely.
 *
 * Level: file.
 */
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/fileattr.h>	/* needs fs.h */
#include <linux/sizes.h>

#include "compat.h"
#include "extent.h"
#include "file.h"
#include "file_map.h"
#include "probe.h"
#include "volume.h"

/* Limits of a step: extents, and bytes (of extents and holes). */
#define BPIO_FILE_MAP_EXTENTS	8192
#define BPIO_FILE_MAP_BYTES	(64ULL << 30)
/* Limit with bmap(), which takes as long per block as a probe per 20 MiB. */
#define BPIO_FILE_MAP_BY_BLOCK	SZ_256M

/* A read farther than this behind the map is not taken for sequential. */
#define BPIO_FILE_MAP_NEAR	BPIO_FILE_MAP_BYTES
/* How often the map starts over before reads are taken for random. */
#define BPIO_FILE_MAP_JUMPS	4

static struct bpio_extent_map *bpio_file_map_now(const struct bpio_file *file)
{
	return rcu_dereference_protected(file->map,
					 lockdep_is_held(&file->arm_lock));
}

/**
 * bpio_file_map_may_grow() - whether a read fell back behind a map that can grow
 * @file: the file
 *
 * Context: file->arm_lock held.
 */
bool bpio_file_map_may_grow(const struct bpio_file *file)
{
	const struct bpio_extent_map *map = bpio_file_map_now(file);
	u64 want = READ_ONCE(file->want);

	return map && !READ_ONCE(map->full) && want < i_size_read(file->inode) &&
	       !bpio_extent_map_knows(map, want);
}

/* Return: the map to continue, or NULL to begin a new one at @start. */
static const struct bpio_extent_map *
bpio_file_map_begin(struct bpio_file *file, u64 *start)
{
	const struct bpio_extent_map *map = bpio_file_map_now(file);
	u64 want = READ_ONCE(file->want);

	if (!map) {
		/* The file may have been truncated since. */
		if (file->map_start >= i_size_read(file->inode))
			file->map_start = 0;
		*start = file->map_start;
		return NULL;
	}
	if (want >= map->end && (want - map->end < BPIO_FILE_MAP_NEAR ||
				 file->map_jumps > BPIO_FILE_MAP_JUMPS))
		return map;
	*start = file->map_jumps++ < BPIO_FILE_MAP_JUMPS ?
		 round_down(want, i_blocksize(file->inode)) : 0;
	file->map_start = *start;
	return NULL;
}

static int bpio_file_map_by_bmap(struct bpio_file *file,
				 struct bpio_extent_builder *builder, u64 end)
{
	int ret = 0;

	end = min(end, builder->end + BPIO_FILE_MAP_BY_BLOCK);
	atomic64_inc(&file->volume->bmap_steps);
	while (!ret && bpio_extent_goes_on(builder, end) &&
	       bpio_file_wants_map(file))
		ret = bpio_extent_walk(builder, file->inode,
				       min(end, builder->end + SZ_4M));
	return ret;
}

static int bpio_file_map_walk(struct bpio_file *file,
			      struct bpio_extent_builder *builder)
{
	u64 end = min_t(u64, i_size_read(file->inode),
			builder->end + BPIO_FILE_MAP_BYTES);
	u64 begun = builder->end;
	int ret = -EOPNOTSUPP;

	if (!file->no_probe)
		ret = bpio_probe_walk(file, builder, end);
	if (ret != -EOPNOTSUPP)
		return ret;
	/* Discard what this walk found, and do not probe the file again. */
	file->no_probe = true;
	bpio_extent_truncate(builder, begun);
	return bpio_file_map_by_bmap(file, builder, end);
}

static enum bpio_reason bpio_file_map_publish(struct bpio_file *file,
					      struct bpio_extent_builder *builder,
					      bool full)
{
	struct bpio_extent_map *map = bpio_extent_map_create(builder);
	struct bpio_extent_map *now = bpio_file_map_now(file);

	if (IS_ERR(map)) {
		if (!now)
			return PTR_ERR(map) == -E2BIG ? BPIO_REASON_MAP_LIMIT :
							BPIO_REASON_NO_MEMORY;
		WRITE_ONCE(now->full, true);
		return BPIO_REASON_NONE;
	}
	map->full = full;
	map = rcu_replace_pointer(file->map, map,
				  lockdep_is_held(&file->arm_lock));
	bpio_extent_map_put(map);
	return BPIO_REASON_NONE;
}

/**
 * bpio_file_map_step() - map the part that a read has asked for, or the first part
 * @file: the file, with its leases; has no map, or bpio_file_map_may_grow() is true
 *
 * The map may be wrong if a lease was broken meanwhile. That has set
 * BPIO_FILE_REVOKED, which keeps reads from using it.
 *
 * Context: a worker, file->arm_lock held; does file-system I/O.
 * Return: BPIO_REASON_NONE when the file now has a map, else why not.
 */
enum bpio_reason bpio_file_map_step(struct bpio_file *file)
{
	struct bpio_extent_builder builder;
	const struct bpio_extent_map *map;
	enum bpio_reason reason;
	u64 start;
	int ret;

	lockdep_assert_held(&file->arm_lock);

	map = bpio_file_map_begin(file, &start);
	ret = bpio_extent_builder_init(&builder, map, start,
				       BPIO_FILE_MAP_EXTENTS);
	if (!ret)
		ret = bpio_file_map_walk(file, &builder);
	if (test_bit(BPIO_FILE_REVOKED, &file->state))
		reason = BPIO_REASON_REVOKED;
	else if (!READ_ONCE(file->enabled))
		reason = BPIO_REASON_DISABLED;
	else if (!ret || ret == -E2BIG)
		reason = bpio_file_map_publish(file, &builder, ret == -E2BIG);
	else
		reason = ret == -ENOMEM ? BPIO_REASON_NO_MEMORY :
					  BPIO_REASON_NOT_ARMED;
	bpio_extent_builder_exit(&builder);
	return reason;
}

/**
 * bpio_file_map_is_realtime() - whether the data is on the realtime device of XFS
 * @file: the file, with its lease file
 *
 * That device may be a part of the volume itself. If it is zoned, garbage collection
 * breaks the lease, drops the inode lock, and only then moves the blocks. So a file whose
 * attributes cannot be read counts as a realtime file, too.
 *
 * Context: may sleep.
 */
bool bpio_file_map_is_realtime(const struct bpio_file *file)
{
	struct file_kattr attr = {};

	return bpio_file_is_xfs(file) &&
	       (vfs_fileattr_get(file->lease_file->f_path.dentry, &attr) ||
		attr.fsx_xflags & FS_XFLAG_REALTIME);
}
