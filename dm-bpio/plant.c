// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mistakes on purpose, see plant.h.
 *
 * Level: foundation.
 */
#include <linux/moduleparam.h>

#include "plant.h"

unsigned long bpio_planted;
/* To be changed while no file is enabled: a read must end as it has begun. */
module_param_named(plant, bpio_planted, ulong, 0644);
MODULE_PARM_DESC(plant, "Mistakes to make (bit mask); reads are wrong then");
