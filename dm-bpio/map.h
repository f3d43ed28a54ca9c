/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_MAP_H
#define BPIO_MAP_H

#include <linux/bio.h>

struct bpio_target;

size_t bpio_map_data_size(void);
bool bpio_map_bypass(struct bpio_target *target, struct bio *bio);
int bpio_map_end_io(struct bpio_target *target, struct bio *bio,
		    blk_status_t *error);

int bpio_map_init(void);
void bpio_map_exit(void);

#endif /* BPIO_MAP_H */
