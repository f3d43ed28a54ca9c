/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The lines of /etc/bpiotab with "adopt": devices that are adopted again whenever
 * their table is replaced.
 */
#ifndef BPIO_KEPT_H
#define BPIO_KEPT_H

#include <stdbool.h>

#include "mapped.h"
#include "tab.h"

/*
 * A device is found by the DM UUID of the line, so that it may be renamed, or by its
 * name if the line has no DM UUID. After "bpio down" the line is ignored until "bpio up"
 * or the next boot.
 */

/* Whether a line names the device, and is not down; and its any_storage, if asked */
bool kept_has(const struct mapped *mapped, bool *any_storage);

/*
 * Adds or removes a line: 0, or a negative errno; -EEXIST when another line has the
 * name. The rest of the file is not changed.
 */
int kept_set(const struct mapped *mapped, bool kept, bool any_storage);

/* Whether the line is down, until the next boot at most */
bool kept_is_down(const struct tab_line *line);
int kept_set_down(const struct tab_line *line, bool down);

#endif /* BPIO_KEPT_H */
