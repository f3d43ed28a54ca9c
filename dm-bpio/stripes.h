/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_STRIPES_H
#define BPIO_STRIPES_H

#include <linux/math64.h>
#include <linux/types.h>

/*
 * The arithmetic of stripes: chunk number c of a striped set lies on leg c modulo the
 * number of legs, as chunk number c divided by that.
 */

/**
 * bpio_stripes_find() - where a sector of a striped set lies
 * @nr: number of legs
 * @chunk: sectors of a chunk
 * @sector: on the set; replaced by the sector on the leg
 * @room: sectors from there to the end of the chunk, out
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
 * The part of a leg that belongs to a range of the set lies between that of the first
 * sector and that of the one behind the last.
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
	/* The row begins at a chunk of each leg. */
	sector -= chunk - room;
	return leg < at ? sector + chunk : sector;
}

#endif /* BPIO_STRIPES_H */
