// SPDX-License-Identifier: GPL-2.0-only
/*
 * The device-mapper target "bpio-striped": a segment of a volume that is striped over
 * several devices, as dm-stripe maps it, with the same arguments.
 *
 * Level: door.
 */
#include <linux/math64.h>
#include <linux/module.h>
#include <linux/overflow.h>

#include "compat.h"
#include "ioctl.h"
#include "map.h"
#include "stripes.h"
#include "target.h"

#define DM_MSG_PREFIX "bpio-striped"

static int bpio_striped_parse_set(struct bpio_target *target, u32 chunk)
{
	struct dm_target *ti = target->ti;
	u32 rest;
	int ret;

	target->chunk = chunk;
	target->width = div_u64_rem(ti->len, target->nr, &rest);
	if (rest) {
		ti->error = "Target length not divisible by number of stripes";
		return -EINVAL;
	}
	div_u64_rem(target->width, chunk, &rest);
	if (rest) {
		ti->error = "Target length not divisible by chunk size";
		return -EINVAL;
	}
	ret = dm_set_target_max_io_len(ti, chunk);
	if (ret)
		ti->error = "Invalid chunk_size";
	return ret;
}

static int bpio_striped_parse(struct bpio_target *target, unsigned int argc,
			      char **argv)
{
	struct dm_arg_set as = {
		.argc = argc - 2 * target->nr, .argv = argv + 2 * target->nr,
	};
	unsigned int i;
	int ret;

	ret = bpio_target_parse_features(target, &as);
	for (i = 0; i < target->nr && !ret; i++)
		ret = bpio_target_open_leg(target, i, argv[2 * i],
					   argv[2 * i + 1]);
	return ret;
}

/* <#stripes> <chunk sectors> [<device> <offset>]... [<#features> any_storage] */
static int bpio_striped_ctr(struct dm_target *ti, unsigned int argc, char **argv)
{
	struct bpio_target *target;
	u32 stripes, chunk;
	int ret;

	if (argc < 2) {
		ti->error = "Not enough arguments";
		return -EINVAL;
	}
	if (kstrtouint(argv[0], 10, &stripes) || !stripes) {
		ti->error = "Invalid stripe count";
		return -EINVAL;
	}
	if (kstrtouint(argv[1], 10, &chunk) || !chunk) {
		ti->error = "Invalid chunk_size";
		return -EINVAL;
	}
	if (stripes > (argc - 2) / 2) {
		ti->error = "Not enough destinations specified";
		return -EINVAL;
	}

	target = bpio_target_create(ti, stripes);
	if (!target)
		return -ENOMEM;
	ret = bpio_striped_parse_set(target, chunk);
	if (!ret)
		ret = bpio_striped_parse(target, argc - 2, argv + 2);
	if (!ret)
		ret = bpio_target_make(target);
	if (ret)
		bpio_target_free(target);
	return ret;
}

/* Map a bio that device-mapper sends to all legs to the part of one leg, maybe empty. */
static int bpio_striped_map_range(struct bpio_target *target, struct bio *bio)
{
	unsigned int nr = dm_bio_get_target_bio_nr(bio);
	const struct bpio_target_leg *leg = &target->legs[nr];
	sector_t from = dm_target_offset(target->ti, bio->bi_iter.bi_sector);
	sector_t end = from + bio_sectors(bio);

	from = bpio_stripes_from(target->nr, target->chunk, nr, from);
	end = bpio_stripes_from(target->nr, target->chunk, nr, end);
	if (from == end) {
		bio_endio(bio);
		return DM_MAPIO_SUBMITTED;
	}
	bio_set_dev(bio, leg->dev->bdev);
	bio->bi_iter.bi_sector = leg->start + from;
	bio->bi_iter.bi_size = to_bytes(end - from);
	return DM_MAPIO_REMAPPED;
}

static int bpio_striped_map(struct dm_target *ti, struct bio *bio)
{
	struct bpio_target *target = ti->private;
	const struct bpio_target_leg *leg;
	int ret = bpio_map_read(target, bio);

	if (ret != DM_MAPIO_KILL)
		return ret;

	if (bio->bi_opf & REQ_PREFLUSH) {
		leg = &target->legs[dm_bio_get_target_bio_nr(bio)];
		bio_set_dev(bio, leg->dev->bdev);
		return DM_MAPIO_REMAPPED;
	}
	switch (bio_op(bio)) {
	case REQ_OP_DISCARD:
	case REQ_OP_SECURE_ERASE:
	case REQ_OP_WRITE_ZEROES:
		return bpio_striped_map_range(target, bio);
	default:
		bpio_target_remap(target, bio);
		return DM_MAPIO_REMAPPED;
	}
}

static void bpio_striped_io_hints(struct dm_target *ti,
				  struct queue_limits *limits)
{
	const struct bpio_target *target = ti->private;
	unsigned int io_min, io_opt;

	limits->chunk_sectors = target->chunk;
	/* A hint that overflows is worse than none. */
	if (check_mul_overflow(target->chunk, (u32)SECTOR_SIZE, &io_min) ||
	    check_mul_overflow(io_min, target->nr, &io_opt))
		return;
	limits->io_min = io_min;
	limits->io_opt = io_opt;
}

static struct target_type bpio_striped_type = {
	.name		 = "bpio-striped",
	.version	 = { 0, 2, 0 },
	.features	 = DM_TARGET_NOWAIT | DM_TARGET_PASSES_INTEGRITY |
			   BPIO_COMPAT_ATOMIC_WRITES,
	.module		 = THIS_MODULE,
	.ctr		 = bpio_striped_ctr,
	.dtr		 = bpio_target_dtr,
	.map		 = bpio_striped_map,
	.end_io		 = bpio_target_end_io,
	.resume		 = bpio_target_resume,
	.presuspend	 = bpio_target_presuspend,
	.presuspend_undo = bpio_target_resume,
	.status		 = bpio_target_status,
	.prepare_ioctl	 = bpio_ioctl_prepare,
	.iterate_devices = bpio_target_iterate_devices,
	.io_hints	 = bpio_striped_io_hints,
};

/**
 * bpio_striped_init() - register the target
 *
 * Return: 0 or a negative errno.
 */
int bpio_striped_init(void)
{
	return dm_register_target(&bpio_striped_type);
}

/**
 * bpio_striped_exit() - undo bpio_striped_init()
 */
void bpio_striped_exit(void)
{
	dm_unregister_target(&bpio_striped_type);
}

MODULE_ALIAS("dm-bpio-striped");
