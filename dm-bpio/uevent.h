/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_UEVENT_H
#define BPIO_UEVENT_H

#include <linux/types.h>
#include <linux/dm-bpio.h>

#include "event.h"

/**
 * struct bpio_event - an event that waits to be sent, or was sent
 * @type: what happened
 * @dev: the volume, or the device of the layer
 * @ino: the inode number of the file concerned, or 0
 * @support: enum bpio_support, for SUPPORT
 * @objector: the device of the layer that objects, or 0
 * @status: a negative errno, or 0
 * @reason: enum bpio_reason
 * @number: sequence number over both rings
 * @posted: time in jiffies, plus 1; 0 when the slot was never used
 * @lost: number of lost events, for LOST
 * @driver: a driver or a command
 * @text: a sentence
 */
struct bpio_event {
	enum bpio_event_type	type;
	dev_t			dev;
	unsigned long		ino;
	enum bpio_support	support;
	dev_t			objector;
	int			status;
	enum bpio_reason	reason;
	u64			number;
	u64			posted;
	u64			lost;
	char			driver[BPIO_DRIVER_NAME_MAX + 1];
	char			text[BPIO_REASON_TEXT_MAX + 1];
};

void bpio_uevent_send(const struct bpio_event *event);

int bpio_uevent_init(void);
void bpio_uevent_exit(void);

#endif /* BPIO_UEVENT_H */
