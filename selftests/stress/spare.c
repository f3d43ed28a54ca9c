// SPDX-License-Identifier: GPL-2.0-only
/*
 * Counts the free blocks, of those that the files may use together.
 */
#include <stdatomic.h>

#include "spare.h"

static atomic_int spare;

void spare_give(unsigned int blocks)
{
	spare += blocks;
}

unsigned int spare_take(unsigned int blocks)
{
	int left = spare, take;

	do {
		take = left < (int)blocks ? left : (int)blocks;
		if (take <= 0)
			return 0;
	} while (!atomic_compare_exchange_weak(&spare, &left, left - take));
	return take;
}
