/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The list of devices that are adopted again whenever their table is replaced.
 */
#ifndef BPIO_KEPT_H
#define BPIO_KEPT_H

#include <stdbool.h>

#include "mapped.h"

#define KEPT_LIST	"/etc/bpio/adopted"

/*
 * A line is "NAME UUID": the volume, VG/LV for one of LVM's, and its DM UUID or
 * "-". A device is found by its UUID, so that it may be renamed; by its name if
 * it has none. "#" begins a comment.
 */

/* Whether the list names the device */
bool kept_has(const struct mapped *mapped);

/* Adds or removes a line: 0, or a negative errno. Other lines stay as they are */
int kept_set(const struct mapped *mapped, bool kept);

#endif /* BPIO_KEPT_H */
