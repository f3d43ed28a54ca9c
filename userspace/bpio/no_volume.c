// SPDX-License-Identifier: GPL-2.0-only
/*
 * The message for a place that is on no volume, with a hint whether it could be.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli.h"
#include "place.h"
#include "plan.h"
#include "stack.h"

#define HINT_SIZE	1024

/* Without permission to read the tables there is no hint about "bpio adopt". */
static void make_hint(const struct place *place, char *hint, size_t size)
{
	struct plan plan = { .direction = TO_BPIO, .own_lock = -1 };
	char why[HINT_SIZE];

	switch (plan_make(place, &plan, why, sizeof(why))) {
	case 0:
		snprintf(hint, size, "\"bpio adopt %s\" makes it one",
			 place->path);
		break;
	case -EMEDIUMTYPE:
		snprintf(hint, size, "it cannot be adopted: %s", why);
		break;
	default:
		snprintf(hint, size, "\"bpio list\" shows the volumes");
	}
	plan_free(&plan);
}

int place_is_no_volume(const struct command_line *line,
		       const struct place *place)
{
	char hint[2 * HINT_SIZE];
	struct stack stack;
	int status;

	make_hint(place, hint, sizeof(hint));
	if (!place->is_device)
		return fail(line, STATUS_NOT_A_VOLUME,
			    "\"%s\" is not on a bpio volume: it is on %s on %s; %s",
			    place->path, place->fstype ? place->fstype :
			    "a file system",
			    place->source ? place->source : "an unknown device",
			    hint);
	if (stack_walk(place->dev, &stack))
		return fail(line, STATUS_NOT_A_VOLUME,
			    "\"%s\" is not a bpio volume; %s", place->path,
			    hint);
	status = fail(line, STATUS_NOT_A_VOLUME,
		      "\"%s\" is not a bpio volume: expected a mapped device with a bpio target, but it is a %s %s; %s",
		      place->path, stack.layers[0].type,
		      stack.layers[0].mapped ? "target" : "device", hint);
	stack_free(&stack);
	return status;
}
