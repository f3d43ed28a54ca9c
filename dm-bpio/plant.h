/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_PLANT_H
#define BPIO_PLANT_H

#include <linux/bits.h>
#include <linux/compiler.h>
#include <linux/types.h>

/*
 * Mistakes that can be planted, to see whether the project's own tests find
 * them; numbers of bits of the module parameter "plant". Without
 * CONFIG_DM_BPIO_PLANT there are none and the compiler leaves nothing of them.
 *
 * @BPIO_PLANT_DIO_COUNT: reads are not counted in i_dio_count
 * @BPIO_PLANT_REVOKE: a lease that is broken revokes nothing
 * @BPIO_PLANT_LEASE: an ordinary lease instead of a delegation
 * @BPIO_PLANT_DRAIN: nobody waits for reads on a route that is given up
 * @BPIO_PLANT_WRITERS: files are armed while somebody has them open for writing
 * @BPIO_PLANT_LAYOUT: no lease on the layout of files of XFS
 * @BPIO_PLANT_DIRTY: reads do not mind dirty pages
 * @BPIO_PLANT_STRIPE: a chunk is looked for on the leg beside the right one
 * @BPIO_PLANT_PROBE: a probe takes the bios of other reads for its own
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
