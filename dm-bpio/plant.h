/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_PLANT_H
#define BPIO_PLANT_H

#include <linux/bits.h>
#include <linux/compiler.h>
#include <linux/types.h>

/*
 * Deliberate bugs, to check that the project's own tests find them. The values are
 * bit numbers of the module parameter "plant". Without CONFIG_DM_BPIO_PLANT the
 * compiler removes all of it.
 *
 * @BPIO_PLANT_DIO_COUNT: reads are not counted in i_dio_count
 * @BPIO_PLANT_REVOKE: the break of a lease revokes nothing
 * @BPIO_PLANT_LEASE: an ordinary lease instead of a delegation
 * @BPIO_PLANT_DRAIN: no wait for the reads on a retired route
 * @BPIO_PLANT_WRITERS: files are armed while they are open for writing
 * @BPIO_PLANT_LAYOUT: no layout lease on files of XFS
 * @BPIO_PLANT_DIRTY: reads ignore dirty pages
 * @BPIO_PLANT_STRIPE: a chunk is looked up on the leg next to the right one
 * @BPIO_PLANT_PROBE: a probe takes the bios of other reads
 */
enum bpio_plant {
	BPIO_PLANT_DIO_COUNT,
	BPIO_PLANT_REVOKE,
	BPIO_PLANT_LEASE,
	BPIO_PLANT_DRAIN,
	BPIO_PLANT_WRITERS,
	BPIO_PLANT_LAYOUT,
	BPIO_PLANT_DIRTY,
	BPIO_PLANT_STRIPE,
	BPIO_PLANT_PROBE,
};

#ifdef CONFIG_DM_BPIO_PLANT
extern unsigned long bpio_planted;

static inline bool bpio_plant(enum bpio_plant plant)
{
	return READ_ONCE(bpio_planted) & BIT(plant);
}
#else
static inline bool bpio_plant(enum bpio_plant plant)
{
	return false;
}
#endif

#endif /* BPIO_PLANT_H */
