/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_TARGET_H
#define BPIO_TARGET_H

#include <linux/blkdev.h>
#include <linux/device-mapper.h>

#include "stripes.h"
#include "table.h"

/**
 * struct bpio_target_leg - a device that a target maps to
 * @dev: the device
 * @start: first 512-byte sector of @dev that the target uses
 */
struct bpio_target_leg {
	struct dm_dev		*dev;
	sector_t		start;
};

/**
 * struct bpio_target - one instance of the "bpio" or "bpio-striped" target
 * @ti: the target
 * @any_storage: full bypass even if the storage below is not NVMe
 * @seat: its place in the table of the volume
 * @disk: receives the ioctls, on kernels that do not pass them to targets
 * @chunk: 512-byte sectors of a chunk; 0 for a linear target
 * @width: sectors that it uses of each leg
 * @nr: length of @legs; 1 for a linear target
 * @legs: the legs; @dev is NULL in those not yet open
 */
struct bpio_target {
	struct dm_target	*ti;
	bool			any_storage;
	struct bpio_seat	seat;
	struct gendisk		*disk;
	u32			chunk;
	sector_t		width;
	unsigned int		nr;
	struct bpio_target_leg	legs[] __counted_by(nr);
};

struct bpio_target *bpio_target_create(struct dm_target *ti, unsigned int nr);
void bpio_target_free(struct bpio_target *target);
int bpio_target_open_leg(struct bpio_target *target, unsigned int leg,
			 const char *path, const char *start);
int bpio_target_parse_features(struct bpio_target *target,
			       struct dm_arg_set *as);
int bpio_target_make(struct bpio_target *target);
void bpio_target_dtr(struct dm_target *ti);
int bpio_target_end_io(struct dm_target *ti, struct bio *bio,
		       blk_status_t *error);
void bpio_target_resume(struct dm_target *ti);
void bpio_target_presuspend(struct dm_target *ti);
void bpio_target_status(struct dm_target *ti, status_type_t type,
			unsigned int flags, char *result, unsigned int maxlen);
int bpio_target_iterate_devices(struct dm_target *ti,
				iterate_devices_callout_fn fn, void *data);

int bpio_linear_init(void);
void bpio_linear_exit(void);
int bpio_striped_init(void);
void bpio_striped_exit(void);

/**
 * bpio_target_remap() - map a bio to the device below
 * @target: the target
 * @bio: a bio of the volume, of one chunk at most
 *
 * Context: any.
 */
static inline void bpio_target_remap(const struct bpio_target *target,
				     struct bio *bio)
{
	sector_t sector = dm_target_offset(target->ti, bio->bi_iter.bi_sector);
	const struct bpio_target_leg *leg = target->legs;
	u32 room;

	if (target->chunk)
		leg += bpio_stripes_find(target->nr, target->chunk, &sector,
					 &room);
	bio_set_dev(bio, leg->dev->bdev);
	bio->bi_iter.bi_sector = leg->start + sector;
}

#endif /* BPIO_TARGET_H */
