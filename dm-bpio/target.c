// SPDX-License-Identifier: GPL-2.0-only
/*
 * Common parts of the targets "bpio" (linear.c) and "bpio-striped" (striped.c).
 *
 * They map ordinary I/O like dm-linear and dm-stripe. In addition they handle ioctls,
 * and stop direct reads before a suspend, see table.c.
 *
 * Level: door.
 */
#include <linux/blkdev.h>
#include <linux/slab.h>

#include "bypass.h"
#include "dm-bpio.h"
#include "ioctl.h"
#include "map.h"
#include "reason.h"
#include "stripes.h"
#include "target.h"
#include "volume.h"

#define DM_MSG_PREFIX "bpio"

/**
 * bpio_target_create() - begin to construct a target
 * @ti: the target
 * @nr: number of legs
 *
 * Context: may sleep.
 * Return: the target, without legs, or NULL with ti->error set.
 */
struct bpio_target *bpio_target_create(struct dm_target *ti, unsigned int nr)
{
	struct bpio_target *target;

	target = kvzalloc(struct_size(target, legs, nr), GFP_KERNEL);
	if (!target) {
		ti->error = "Cannot allocate target";
		return NULL;
	}
	target->nr = nr;
	target->ti = ti;
	return target;
}

/**
 * bpio_target_free() - undo bpio_target_create() and bpio_target_open_leg()
 * @target: the target
 *
 * Context: may sleep.
 */
void bpio_target_free(struct bpio_target *target)
{
	unsigned int i;

	for (i = 0; i < target->nr && target->legs[i].dev; i++)
		dm_put_device(target->ti, target->legs[i].dev);
	kvfree(target);
}

/**
 * bpio_target_open_leg() - open a device that the target maps to
 * @target: the target
 * @leg: number of the leg; those before it are open
 * @path: path or number of the device
 * @start: first sector, as text
 *
 * Context: may sleep.
 * Return: 0 or a negative errno with ti->error set.
 */
int bpio_target_open_leg(struct bpio_target *target, unsigned int leg,
			 const char *path, const char *start)
{
	struct dm_target *ti = target->ti;
	unsigned long long sector;
	struct dm_dev *dev;
	int ret;

	/* Not sscanf(), in which a number that is too large wraps around. */
	if (kstrtoull(start, 10, &sector) || sector != (sector_t)sector) {
		ti->error = "Invalid offset, expected sectors";
		return -EINVAL;
	}
	ret = dm_get_device(ti, path, dm_table_get_mode(ti->table), &dev);
	if (ret) {
		ti->error = "Device lookup failed";
		return ret;
	}
	target->legs[leg].dev = dev;
	target->legs[leg].start = sector;

	if (bdev_is_zoned(dev->bdev)) {
		ti->error = "Zoned devices are not supported";
		return -EINVAL;
	}
	if (dev->dax_dev) {
		ti->error = "DAX devices are not supported";
		return -EINVAL;
	}
	return 0;
}

/**
 * bpio_target_parse_features() - read "[<#features> any_storage]" at the end of a line
 * @target: the target
 * @as: the remaining arguments
 *
 * Return: 0 or a negative errno with ti->error set.
 */
int bpio_target_parse_features(struct bpio_target *target,
			       struct dm_arg_set *as)
{
	static const struct dm_arg args[] = {
		{ 0, 1, "Invalid number of features" },
	};
	struct dm_target *ti = target->ti;
	unsigned int nr;
	int ret;

	if (!as->argc)
		return 0;

	ret = dm_read_arg_group(args, as, &nr, &ti->error);
	if (ret)
		return ret;

	while (nr--) {
		if (strcasecmp(dm_shift_arg(as), "any_storage")) {
			ti->error = "Unknown feature, expected any_storage";
			return -EINVAL;
		}
		target->any_storage = true;
	}

	if (as->argc) {
		ti->error = "Too many arguments";
		return -EINVAL;
	}
	return 0;
}

/**
 * bpio_target_make() - complete a parsed target and add it to its table
 * @target: the target
 *
 * Context: from the constructor; may sleep.
 * Return: 0 or a negative errno with ti->error set.
 */
int bpio_target_make(struct bpio_target *target)
{
	struct dm_target *ti = target->ti;
	int ret = bpio_table_join(&target->seat, ti);

	if (ret)
		return ret;
	ret = bpio_ioctl_disk_create(target);
	if (ret) {
		ti->error = "Cannot allocate ioctl disk";
		bpio_table_leave(&target->seat, ti);
		return ret;
	}

	ti->private = target;
	ti->num_flush_bios = target->nr;
	ti->num_discard_bios = target->nr;
	ti->num_secure_erase_bios = target->nr;
	ti->num_write_zeroes_bios = target->nr;
	ti->per_io_data_size = bpio_map_data_size();
	return 0;
}

/**
 * bpio_target_dtr() - the destructor
 * @ti: the target
 *
 * Nothing refers to the target any more. The presuspend hook ran, so no route and no
 * control operation does. Device-mapper has waited for ioctls that the gate turned
 * away, and for bios. Open files refer only to the volume.
 */
void bpio_target_dtr(struct dm_target *ti)
{
	struct bpio_target *target = ti->private;

	bpio_ioctl_disk_destroy(target);
	bpio_table_leave(&target->seat, ti);
	bpio_target_free(target);
}

/**
 * bpio_target_end_io() - the end_io method
 * @ti: the target
 * @bio: a bio that has completed
 * @error: its status
 *
 * Return: DM_ENDIO_*.
 */
int bpio_target_end_io(struct dm_target *ti, struct bio *bio,
		       blk_status_t *error)
{
	return bpio_map_end_io(bio, *error);
}

static int bpio_target_layer_map(void *context, sector_t sector,
				 struct bpio_mapping *mapping)
{
	const struct bpio_target *target = context;

	mapping->length = target->ti->len - sector;
	mapping->sector = sector;
	if (target->chunk) {
		mapping->stripes = target->nr;
		mapping->chunk = target->chunk;
		return 0;
	}
	mapping->bdev = target->legs[0].dev->bdev;
	mapping->sector += target->legs[0].start;
	return 0;
}

static int bpio_target_layer_leg(void *context, unsigned int leg,
				 struct bpio_mapping *mapping)
{
	const struct bpio_target *target = context;

	mapping->bdev = target->legs[leg].dev->bdev;
	mapping->sector = target->legs[leg].start;
	return 0;
}

static const struct bpio_layer_ops bpio_target_layer_ops = {
	.name	= "bpio",
	.map	= bpio_target_layer_map,
	.leg	= bpio_target_layer_leg,
};

/**
 * bpio_target_resume() - the resume hook
 * @ti: the target
 *
 * Also undoes bpio_target_presuspend().
 */
void bpio_target_resume(struct dm_target *ti)
{
	struct bpio_target *target = ti->private;

	bpio_table_resume(&target->seat, ti, &bpio_target_layer_ops, target,
			  target->any_storage);
}

/**
 * bpio_target_presuspend() - the presuspend hook
 * @ti: the target
 */
void bpio_target_presuspend(struct dm_target *ti)
{
	struct bpio_target *target = ti->private;

	bpio_table_presuspend(&target->seat);
}

/* The counters of the whole volume, the same for all of its targets. */
static void bpio_target_status_info(struct bpio_target *target, char *result,
				    unsigned int maxlen)
{
	struct bpio_volume *volume = target->seat.table->volume;
	enum bpio_support support = bpio_bypass_support(volume, NULL);
	struct fs_bpio_info info;
	unsigned int sz = 0;

	bpio_volume_count(volume, &info);
	DMEMIT("%u %llu %llu %llu %llu %s", info.active_count,
	       info.direct_reads, info.direct_bytes,
	       info.fallback_reads, info.fallback_bytes,
	       bpio_support_text(support));
}

static void bpio_target_status_table(struct bpio_target *target, char *result,
				     unsigned int maxlen)
{
	const struct bpio_target_leg *leg = target->legs;
	unsigned int sz = 0, i;

	if (target->chunk)
		DMEMIT("%u %u ", target->nr, target->chunk);
	for (i = 0; i < target->nr; i++, leg++)
		DMEMIT("%s%s %llu", i ? " " : "", leg->dev->name,
		       (unsigned long long)leg->start);
	if (target->any_storage)
		DMEMIT(" 1 any_storage");
}

static void bpio_target_status_ima(struct bpio_target *target, char *result,
				   unsigned int maxlen)
{
	const struct bpio_target_leg *leg = target->legs;
	unsigned int sz = 0, i;

	DMEMIT_TARGET_NAME_VERSION(target->ti->type);
	if (!target->chunk) {
		DMEMIT(",device_name=%s,start=%llu", leg->dev->name,
		       (unsigned long long)leg->start);
	} else {
		DMEMIT(",stripes=%u,chunk_size=%u", target->nr, target->chunk);
		for (i = 0; i < target->nr; i++, leg++)
			DMEMIT(",stripe_%u_device_name=%s,stripe_%u_physical_start=%llu",
			       i, leg->dev->name, i,
			       (unsigned long long)leg->start);
	}
	DMEMIT(",any_storage=%c;", target->any_storage ? 'y' : 'n');
}

/**
 * bpio_target_status() - the status method
 * @ti: the target
 * @type: the kind of status
 * @flags: not used
 * @result: the answer
 * @maxlen: size of @result
 */
void bpio_target_status(struct dm_target *ti, status_type_t type,
			unsigned int flags, char *result, unsigned int maxlen)
{
	struct bpio_target *target = ti->private;

	switch (type) {
	case STATUSTYPE_INFO:
		bpio_target_status_info(target, result, maxlen);
		break;
	case STATUSTYPE_TABLE:
		bpio_target_status_table(target, result, maxlen);
		break;
	case STATUSTYPE_IMA:
		bpio_target_status_ima(target, result, maxlen);
		break;
	}
}

/**
 * bpio_target_iterate_devices() - the iterate_devices method
 * @ti: the target
 * @fn: called for each leg until it returns non-zero
 * @data: for @fn
 *
 * Return: the last return value of @fn.
 */
int bpio_target_iterate_devices(struct dm_target *ti,
				iterate_devices_callout_fn fn, void *data)
{
	struct bpio_target *target = ti->private;
	unsigned int i;
	int ret = 0;

	for (i = 0; i < target->nr && !ret; i++)
		ret = fn(ti, target->legs[i].dev, target->legs[i].start,
			 target->width, data);
	return ret;
}
