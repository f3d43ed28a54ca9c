/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Making and removing the volume of a line of /etc/bpiotab.
 */
#ifndef BPIO_TAB_VOLUME_H
#define BPIO_TAB_VOLUME_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "tab.h"

/**
 * struct tab_volume - the state of the volume of a line
 *
 * @device: The device that the line names, 0 when it is not there.
 * @volume: The mapped device, 0 when there is none of that name.
 * @is_up: The mapped device is the volume.
 * @is_stock: It has the stock table that maps as its own, see "bpio upgrade".
 * @changed: Something was done.
 */
struct tab_volume {
	dev_t device;
	dev_t volume;
	bool is_up;
	bool is_stock;
	bool changed;
};

/*
 * Each returns 0, or a negative errno and a sentence in @why; -ENODEV when the
 * device is missing. It is no error if there is nothing to do.
 */
int tab_volume_check(const struct tab_line *line, struct tab_volume *volume,
		     char *why, size_t size);
int tab_volume_up(const struct tab_line *line, struct tab_volume *volume,
		  char *why, size_t size);
int tab_volume_down(const struct tab_line *line, struct tab_volume *volume,
		    char *why, size_t size);

#endif /* BPIO_TAB_VOLUME_H */
