/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_STRIPES_H
#define BPIO_STRIPES_H

#include <linux/math64.h>
#include <linux/types.h>

/*
 * The arithmetic of stripes: chunk number c of a striped set is chunk number c / nr of
 * leg number c % nr.
 */

/**
 * bpio_stripes_find() - find the leg of a sector of a striped set
 * @nr: number of legs
 * @chunk: sectors of a chunk
 * @sector: in: sector on the set; out: sector on the leg
 * @room: out: sectors from there to the end of the chunk
 *
 * Context: any.
 * Return: number of the leg.
 */
static inline u32 bpio_stripes_find(u32 nr, u32 chunk, sector_t *sector,
				    u32 *room)
{
	u32 leg, skip;
	u64 row;

	row = div_u64_rem(div_u64_rem(*sector, chunk, &skip), nr, &leg);
	*sector = row * chunk + skip;
	*room = chunk - skip;
	return leg;
}

/**
 * bpio_stripes_from() - the first sector of a leg that is not before one of the set
 * @nr: number of legs
 * @chunk: sectors of a chunk
 * @leg: number of the leg
 * @sector: on the set
 *
 * The part of a leg that belongs to a range of the set extends from the result for the
 * first sector to the result for the sector behind the last.
 *
 * Context: any.
 * Return: sector on the leg.
 */
static inline sector_t bpio_stripes_from(u32 nr, u32 chunk, u32 leg,
					 sector_t sector)
{
	u32 at, room;

	at = bpio_stripes_find(nr, chunk, &sector, &room);
	if (leg == at)
		return sector;
	/* The start of the row, where each leg has the start of a chunk. */
	sector -= chunk - room;
	return leg < at ? sector + chunk : sector;
}

#endif /* BPIO_STRIPES_H */
