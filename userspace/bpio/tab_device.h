/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The devices that a line of /etc/bpiotab names.
 */
#ifndef BPIO_TAB_DEVICE_H
#define BPIO_TAB_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "tab.h"

/*
 * Finds the device of a line: 0; -ENODEV when there is none, or another negative
 * errno, and a sentence in @why. Volumes made from a table are skipped, because they
 * have the same UUID and label as the device below.
 */
int tab_resolve(const struct tab_line *line, dev_t *dev, char *why,
		size_t size);

/* Finds the mapped device of that name or DM UUID, one of which is NULL */
bool tab_mapped(const char *name, const char *uuid, dev_t *dev);

/*
 * The line whose volume is above the device of a udev event, or NULL. The environment
 * has the properties of the device.
 */
const struct tab_line *tab_claim(const struct tab *tab);

/* The links of that device that do not name its contents; to be freed */
char *tab_claim_links(const struct tab_line *line);

#endif /* BPIO_TAB_DEVICE_H */
