// SPDX-License-Identifier: GPL-2.0-only
/*
 * The device-mapper target "bpio": a segment of a volume that is contiguous below,
 * as dm-linear maps it.
 *
 * Level: door.
 */
#include <linux/module.h>

#include "compat.h"
#include "ioctl.h"
#include "map.h"
#include "target.h"

#define DM_MSG_PREFIX "bpio"

/* <device> <offset> [<#features> any_storage] */
static int bpio_linear_ctr(struct dm_target *ti, unsigned int argc, char **argv)
{
	struct dm_arg_set as = { .argc = argc - 2, .argv = argv + 2 };
	struct bpio_target *target;
	int ret;

	if (argc < 2) {
		ti->error = "Invalid argument count, expected <device> <offset>";
		return -EINVAL;
	}
	target = bpio_target_create(ti, 1);
	if (!target)
		return -ENOMEM;
	target->width = ti->len;

	ret = bpio_target_parse_features(target, &as);
	if (!ret)
		ret = bpio_target_open_leg(target, 0, argv[0], argv[1]);
	if (!ret)
		ret = bpio_target_make(target);
	if (ret)
		bpio_target_free(target);
	return ret;
}

static int bpio_linear_map(struct dm_target *ti, struct bio *bio)
{
	struct bpio_target *target = ti->private;
	int ret = bpio_map_read(target, bio);

	if (ret != DM_MAPIO_KILL)
		return ret;

	bpio_target_remap(target, bio);
	return DM_MAPIO_REMAPPED;
}

static struct target_type bpio_linear_type = {
	.name		 = "bpio",
	.version	 = { 0, 2, 0 },
	.features	 = DM_TARGET_NOWAIT | DM_TARGET_PASSES_INTEGRITY |
			   DM_TARGET_PASSES_CRYPTO | BPIO_COMPAT_ATOMIC_WRITES,
	.module		 = THIS_MODULE,
	.ctr		 = bpio_linear_ctr,
	.dtr		 = bpio_target_dtr,
	.map		 = bpio_linear_map,
	.end_io		 = bpio_target_end_io,
	.resume		 = bpio_target_resume,
	.presuspend	 = bpio_target_presuspend,
	.presuspend_undo = bpio_target_resume,
	.status		 = bpio_target_status,
	.prepare_ioctl	 = bpio_ioctl_prepare,
	.iterate_devices = bpio_target_iterate_devices,
};

/**
 * bpio_linear_init() - register the target
 *
 * Return: 0 or a negative errno.
 */
int bpio_linear_init(void)
{
	return dm_register_target(&bpio_linear_type);
}

/**
 * bpio_linear_exit() - undo bpio_linear_init()
 */
void bpio_linear_exit(void)
{
	dm_unregister_target(&bpio_linear_type);
}
