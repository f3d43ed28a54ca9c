/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_CHANGE_H
#define BPIO_CHANGE_H

#include <linux/types.h>

struct bpio_layer;
struct bpio_volume;

int bpio_change_tell(struct bpio_layer *const *layers, unsigned int nr,
		     bool objects, const struct bpio_volume *own);
void bpio_change_tell_all(void);
void bpio_change_drop_layer(struct bpio_layer *layer);
void bpio_change_complain(const struct bpio_layer *layer);
int bpio_change_set_pause(struct bpio_volume *volume, bool paused);

#endif /* BPIO_CHANGE_H */
