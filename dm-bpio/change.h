/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_CHANGE_H
#define BPIO_CHANGE_H

#include <linux/types.h>

struct bpio_volume;

int bpio_change_set_pause(struct bpio_volume *volume, bool paused);
void bpio_change_init(void);

#endif /* BPIO_CHANGE_H */
