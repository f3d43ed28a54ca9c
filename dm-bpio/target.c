// SPDX-License-Identifier: GPL-2.0-only
/*
 * The device-mapper target "bpio": a segment of a volume.
 *
 * To ordinary I/O it is a linear mapping. What it adds are the ioctls, and the
 * moments at which direct reads have to be out of the way, see table.c.
 */
#include <linux/blkdev.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "bypass.h"
#include "compat.h"
#include "dm-bpio.h"
#include "ioctl.h"
#include "map.h"
#include "reason.h"
#include "target.h"
#include "volume.h"

#define DM_MSG_PREFIX "bpio"

static int bpio_target_parse_features(struct bpio_target *target,
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

static int bpio_target_parse_offset(struct bpio_target *target, const char *arg)
{
	unsigned long long start;

	/* Not by sscanf(), which lets a number that is too large wrap around. */
	if (kstrtoull(arg, 10, &start) || start != (sector_t)start) {
		target->ti->error = "Invalid offset, expected sectors";
		return -EINVAL;
	}
	target->start = start;
	return 0;
}

static int bpio_target_open_device(struct bpio_target *target, const char *path)
{
	struct dm_target *ti = target->ti;
	int ret;

	ret = dm_get_device(ti, path, dm_table_get_mode(ti->table), &target->dev);
	if (ret) {
		ti->error = "Device lookup failed";
		return ret;
	}
	if (bdev_is_zoned(target->dev->bdev)) {
		ti->error = "Zoned devices are not supported";
		ret = -EINVAL;
	} else if (target->dev->dax_dev) {
		ti->error = "DAX devices are not supported";
		ret = -EINVAL;
	}
	if (ret)
		dm_put_device(ti, target->dev);
	return ret;
}

static int bpio_target_parse(struct bpio_target *target, unsigned int argc,
			     char **argv)
{
	struct dm_arg_set as = { .argc = argc - 2, .argv = argv + 2 };
	int ret;

	ret = bpio_target_parse_offset(target, argv[1]);
	if (ret)
		return ret;
	ret = bpio_target_parse_features(target, &as);
	if (ret)
		return ret;
	return bpio_target_open_device(target, argv[0]);
}

/* Acquire what a target must own before it goes live. */
static int bpio_target_acquire(struct bpio_target *target)
{
	int ret = bpio_table_join(&target->seat, target->ti);

	if (ret)
		return ret;
	ret = bpio_ioctl_disk_create(target);
	if (ret) {
		target->ti->error = "Cannot allocate ioctl disk";
		bpio_table_leave(&target->seat, target->ti);
	}
	return ret;
}

/* <device> <offset> [<#features> any_storage] */
static int bpio_target_ctr(struct dm_target *ti, unsigned int argc, char **argv)
{
	struct bpio_target *target;
	int ret;

	if (argc < 2) {
		ti->error = "Invalid argument count, expected <device> <offset>";
		return -EINVAL;
	}

	target = kzalloc(sizeof(*target), GFP_KERNEL);
	if (!target) {
		ti->error = "Cannot allocate target";
		return -ENOMEM;
	}
	target->ti = ti;

	ret = bpio_target_parse(target, argc, argv);
	if (ret)
		goto free_target;
	ret = bpio_target_acquire(target);
	if (ret)
		goto put_device;

	ti->private = target;
	ti->num_flush_bios = 1;
	ti->num_discard_bios = 1;
	ti->num_secure_erase_bios = 1;
	ti->num_write_zeroes_bios = 1;
	ti->per_io_data_size = bpio_map_data_size();
	return 0;

put_device:
	dm_put_device(ti, target->dev);
free_target:
	kfree(target);
	return ret;
}

/*
 * Nothing refers to the target any more: the presuspend hook ran, so no route
 * and no control operation does; device-mapper has waited for the ioctls that
 * were turned away and for the bios; open files refer to the volume only.
 */
static void bpio_target_dtr(struct dm_target *ti)
{
	struct bpio_target *target = ti->private;

	bpio_ioctl_disk_destroy(target);
	bpio_table_leave(&target->seat, ti);
	dm_put_device(ti, target->dev);
	kfree(target);
}

static int bpio_target_map(struct dm_target *ti, struct bio *bio)
{
	struct bpio_target *target = ti->private;
	int ret = bpio_map_read(target, bio);

	if (ret != DM_MAPIO_KILL)
		return ret;

	bio_set_dev(bio, target->dev->bdev);
	bio->bi_iter.bi_sector = target->start +
				 dm_target_offset(ti, bio->bi_iter.bi_sector);
	return DM_MAPIO_REMAPPED;
}

static int bpio_target_end_io(struct dm_target *ti, struct bio *bio,
			      blk_status_t *error)
{
	return bpio_map_end_io(bio, *error);
}

static int bpio_target_layer_map(void *context, sector_t sector,
				 struct bpio_mapping *mapping)
{
	const struct bpio_target *target = context;

	mapping->bdev = target->dev->bdev;
	mapping->sector = target->start + sector;
	mapping->length = target->ti->len - sector;
	return 0;
}

static const struct bpio_layer_ops bpio_target_layer_ops = {
	.name	= "bpio",
	.map	= bpio_target_layer_map,
};

static void bpio_target_resume(struct dm_target *ti)
{
	struct bpio_target *target = ti->private;

	bpio_table_resume(&target->seat, ti, &bpio_target_layer_ops, target,
			  target->any_storage);
}

static void bpio_target_presuspend(struct dm_target *ti)
{
	struct bpio_target *target = ti->private;

	bpio_table_presuspend(&target->seat);
}

/* The numbers of the volume, whichever of its targets is asked. */
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

static void bpio_target_status(struct dm_target *ti, status_type_t type,
			       unsigned int flags, char *result,
			       unsigned int maxlen)
{
	struct bpio_target *target = ti->private;
	unsigned int sz = 0;

	switch (type) {
	case STATUSTYPE_INFO:
		bpio_target_status_info(target, result, maxlen);
		break;
	case STATUSTYPE_TABLE:
		DMEMIT("%s %llu", target->dev->name,
		       (unsigned long long)target->start);
		if (target->any_storage)
			DMEMIT(" 1 any_storage");
		break;
	case STATUSTYPE_IMA:
		DMEMIT_TARGET_NAME_VERSION(ti->type);
		DMEMIT(",device_name=%s,start=%llu,any_storage=%c;",
		       target->dev->name, (unsigned long long)target->start,
		       target->any_storage ? 'y' : 'n');
		break;
	}
}

static int bpio_target_iterate_devices(struct dm_target *ti,
				       iterate_devices_callout_fn fn, void *data)
{
	struct bpio_target *target = ti->private;

	return fn(ti, target->dev, target->start, ti->len, data);
}

static struct target_type bpio_target_type = {
	.name		 = "bpio",
	.version	 = { 0, 1, 0 },
	.features	 = DM_TARGET_NOWAIT | DM_TARGET_PASSES_INTEGRITY |
			   DM_TARGET_PASSES_CRYPTO |
			   BPIO_COMPAT_ATOMIC_WRITES,
	.module		 = THIS_MODULE,
	.ctr		 = bpio_target_ctr,
	.dtr		 = bpio_target_dtr,
	.map		 = bpio_target_map,
	.end_io		 = bpio_target_end_io,
	.resume		 = bpio_target_resume,
	.presuspend	 = bpio_target_presuspend,
	.presuspend_undo = bpio_target_resume,
	.status		 = bpio_target_status,
	.prepare_ioctl	 = bpio_ioctl_prepare,
	.iterate_devices = bpio_target_iterate_devices,
};

/**
 * bpio_target_init() - let tables use the target
 *
 * Return: 0 or a negative errno.
 */
int bpio_target_init(void)
{
	return dm_register_target(&bpio_target_type);
}

/**
 * bpio_target_exit() - undo bpio_target_init()
 */
void bpio_target_exit(void)
{
	dm_unregister_target(&bpio_target_type);
}
