/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_EVENT_H
#define BPIO_EVENT_H

#include <linux/types.h>
#include <linux/dm-bpio.h>

struct bpio_standing;

/**
 * enum bpio_event_type - what happened
 * @BPIO_EVENT_ARM: reads of a file go direct from now on
 * @BPIO_EVENT_REVOKE: reads of a file do not go direct any more
 * @BPIO_EVENT_REFUSE: a layer vetoed a file that was to be enabled
 * @BPIO_EVENT_VETO: a layer vetoed an enabled file
 * @BPIO_EVENT_ALLOW: the veto of an enabled file has ended
 * @BPIO_EVENT_PAUSE: a layer, a volume or a file was paused
 * @BPIO_EVENT_RESUME: the pause has ended
 * @BPIO_EVENT_SUPPORT: reads of a volume skip more or less of the stack than before
 * @BPIO_EVENT_LOST: events were dropped because the queue was full
 * @BPIO_EVENT_FORGOTTEN: a slot whose event is not to be sent any more
 *
 * The first five are about files. Any process that may read a file can cause the
 * first three.
 */
enum bpio_event_type {
	BPIO_EVENT_ARM,
	BPIO_EVENT_REVOKE,
	BPIO_EVENT_REFUSE,
	BPIO_EVENT_VETO,
	BPIO_EVENT_ALLOW,
	BPIO_EVENT_PAUSE,
	BPIO_EVENT_RESUME,
	BPIO_EVENT_SUPPORT,
	BPIO_EVENT_LOST,
	BPIO_EVENT_FORGOTTEN,
};

void bpio_event_support(dev_t volume, const struct bpio_standing *standing);
void bpio_event_veto(enum bpio_event_type type, dev_t volume,
		     unsigned long ino, dev_t layer,
		     const struct bpio_results *verdict);
void bpio_event_layer(enum bpio_event_type type, dev_t dev, const char *who,
		      const char *why);
void bpio_event_file(enum bpio_event_type type, dev_t volume,
		     unsigned long ino, enum bpio_reason reason);
void bpio_event_forget_file(dev_t volume, unsigned long ino);

int bpio_event_init(void);
void bpio_event_exit(void);

#endif /* BPIO_EVENT_H */
