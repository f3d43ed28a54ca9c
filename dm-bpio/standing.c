// SPDX-License-Identifier: GPL-2.0-only
/*
 * How far reads of a volume go direct now, as users see it: from its route or the
 * reason why it has none, and from the module parameter that switches all bypass off.
 *
 * Level: volume.
 */
#include <linux/string.h>

#include "event.h"
#include "reason.h"
#include "route.h"
#include "standing.h"
#include "volume.h"

/* Each read checks it. */
bool bpio_standing_on = true;

/**
 * bpio_standing_switched_off() - whether the module parameter keeps all reads from
 * going direct
 * @results: out: written if it does
 *
 * Context: any.
 */
bool bpio_standing_switched_off(struct bpio_results *results)
{
	if (READ_ONCE(bpio_standing_on))
		return false;
	bpio_reason_fill(results, -EAGAIN, "bpio", BPIO_REASON_SWITCHED_OFF,
			 NULL);
	return true;
}

static void bpio_standing_get(struct bpio_volume *volume,
			      const struct bpio_route *route,
			      struct bpio_standing *standing)
{
	lockdep_assert_held(&volume->drain_lock);

	memset(standing, 0, sizeof(*standing));
	standing->support = BPIO_SUPPORT_NONE;
	if (bpio_standing_switched_off(&standing->results))
		return;

	if (!route) {
		bpio_reason_fill(&standing->results, -EAGAIN, "bpio",
				 READ_ONCE(volume->no_route), NULL);
		return;
	}
	standing->support = route->support;
	standing->objector = route->objector;
	standing->results = route->results;
}

/**
 * bpio_standing_tell() - send an event if the state has changed since the last one
 * @volume: the volume
 *
 * While nothing is enabled there is no route and no event, so a process that enables
 * and closes files in a loop causes no events.
 *
 * Context: may sleep; volume->drain_lock held.
 */
void bpio_standing_tell(struct bpio_volume *volume)
{
	struct bpio_standing now;
	struct bpio_route *route;
	bool wanted;

	lockdep_assert_held(&volume->drain_lock);

	route = rcu_dereference_protected(volume->route,
					  lockdep_is_held(&volume->drain_lock));
	/* Fast path, because each ENABLE calls this: the event was already sent. */
	if (route && route->told && READ_ONCE(bpio_standing_on))
		return;

	mutex_lock(&volume->lock);
	wanted = volume->active || volume->storage_enabled;
	mutex_unlock(&volume->lock);
	if (!wanted)
		return;

	bpio_standing_get(volume, route, &now);
	if (route)
		route->told = now.results.reason != BPIO_REASON_SWITCHED_OFF;
	if (!memcmp(&now, &volume->told, sizeof(now)))
		return;
	volume->told = now;
	bpio_event_support(volume->dev, &now);
}
