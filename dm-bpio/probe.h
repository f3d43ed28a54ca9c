/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_PROBE_H
#define BPIO_PROBE_H

#include <linux/types.h>

struct bio;
struct bpio_extent_builder;
struct bpio_file;
struct bpio_volume;

bool bpio_probe_suits(const struct bpio_file *file);
int bpio_probe_walk(struct bpio_file *file, struct bpio_extent_builder *builder,
		    u64 end);
bool bpio_probe_take(struct bpio_volume *volume, struct bio *bio);
void bpio_probe_exit(void);

#endif /* BPIO_PROBE_H */
