// SPDX-License-Identifier: GPL-2.0-only
/*
 * Deliberate bugs for the project's tests, see plant.h.
 *
 * Level: foundation.
 */
#include <linux/moduleparam.h>

#include "plant.h"

unsigned long bpio_planted;
/* Change it only while no file is enabled: a read must see one value throughout. */
module_param_named(plant, bpio_planted, ulong, 0644);
MODULE_PARM_DESC(plant, "Bugs to enable (bit mask); reads then return wrong data");
