/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_EVENT_H
#define BPIO_EVENT_H

#include <linux/types.h>
#include <linux/dm-bpio.h>

void bpio_event_veto(dev_t volume, dev_t dev, const struct bpio_results *verdict);
void bpio_event_layer(const char *event, dev_t dev, const char *who,
		      const char *why);
void bpio_event_file(const char *event, dev_t volume, unsigned long ino,
		     enum bpio_reason reason);

int bpio_event_init(void);
void bpio_event_exit(void);

#endif /* BPIO_EVENT_H */
