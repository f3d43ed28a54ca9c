/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Converts a table to an equivalent one, with dm-bpio targets in place of stock ones or
 * the reverse.
 */
#ifndef BPIO_COUNTERPART_H
#define BPIO_COUNTERPART_H

#include <stdbool.h>

struct table;

enum direction { TO_BPIO, TO_STOCK };

/*
 * Makes the counterpart of @from in @to, to be freed. It equals @from if there is
 * nothing to convert. With @any_storage, dm-bpio targets get that feature. False, with
 * nothing to free, if @from has a target without a counterpart.
 */
bool counterpart(const struct table *from, enum direction direction,
		 bool any_storage, struct table *to);

/* Whether all targets are of dm-bpio */
bool counterpart_is_volume(const struct table *table);

/*
 * Why a table or a device with that target type or driver is not adopted, and
 * what can be done: a clause that follows "it is ...".
 */
const char *counterpart_obstacle(const char *type);

/* The first target type without a counterpart, or NULL */
const char *counterpart_unknown(const struct table *table);

#endif /* BPIO_COUNTERPART_H */
