/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_STANDING_H
#define BPIO_STANDING_H

#include <linux/types.h>
#include <linux/dm-bpio.h>

struct bpio_volume;

/**
 * struct bpio_standing - how far reads of a volume go direct, and why not farther
 * @support: how much of the stack they skip
 * @objector: the device whose layer limits @support, or 0
 * @results: the verdict of that layer
 */
struct bpio_standing {
	enum bpio_support	support;
	dev_t			objector;
	struct bpio_results	results;
};

/* The module parameter "bypass". */
extern bool bpio_standing_on;

bool bpio_standing_switched_off(struct bpio_results *results);
void bpio_standing_tell(struct bpio_volume *volume);

#endif /* BPIO_STANDING_H */
