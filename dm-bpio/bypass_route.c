// SPDX-License-Identifier: GPL-2.0-only
/*
 * The route of a volume: publish it, withdraw it, and query it.
 *
 * Level: volume.
 */
#include <linux/rcupdate.h>
#include <linux/sched/mm.h>

#include "bypass.h"
#include "drain.h"
#include "layer.h"
#include "route.h"
#include "standing.h"
#include "volume.h"

/**
 * bpio_bypass_lock() - take a volume's drain_lock
 * @volume: the volume
 *
 * The resume hook of a device needs the lock, and memory reclaim may wait for a
 * suspended device. So the holder allocates without I/O and does not wait for I/O.
 *
 * Context: may sleep.
 * Return: the allocation flags that bpio_bypass_unlock() restores.
 */
unsigned int bpio_bypass_lock(struct bpio_volume *volume)
{
	unsigned int noio = memalloc_noio_save();

	mutex_lock(&volume->drain_lock);
	return noio;
}

/**
 * bpio_bypass_unlock() - undo bpio_bypass_lock()
 * @volume: the volume
 * @noio: the return value of bpio_bypass_lock()
 */
void bpio_bypass_unlock(struct bpio_volume *volume, unsigned int noio)
{
	mutex_unlock(&volume->drain_lock);
	memalloc_noio_restore(noio);
}

/**
 * bpio_bypass_route_reads() - number of reads that used the current route
 * @volume: the volume
 *
 * Context: any.
 */
u64 bpio_bypass_route_reads(const struct bpio_volume *volume)
{
	struct bpio_counters ignored;

	return bpio_volume_sum(volume, &ignored) -
	       READ_ONCE(volume->route_base);
}

/**
 * bpio_bypass_skips() - whether the current route skips a layer
 * @volume: the volume
 * @layer: the layer
 *
 * Context: volume->drain_lock held.
 */
bool bpio_bypass_skips(struct bpio_volume *volume,
		       const struct bpio_layer *layer)
{
	const struct bpio_route *route;

	route = rcu_dereference_protected(volume->route,
					  lockdep_is_held(&volume->drain_lock));
	return route && bpio_route_has_layer(route, layer);
}

/**
 * bpio_bypass_support() - how much of the stack direct reads skip now
 * @volume: the volume
 * @compatible: out: whether the storage device can be read directly; may be NULL
 *
 * Context: any.
 * Return: support of the current route, NONE while there is none or bypass is
 * switched off.
 */
enum bpio_support bpio_bypass_support(struct bpio_volume *volume,
				      bool *compatible)
{
	enum bpio_support support = BPIO_SUPPORT_NONE;
	struct bpio_route *route;

	rcu_read_lock();
	route = rcu_dereference(volume->route);
	/* An idle route is not used, only not yet withdrawn. */
	if (READ_ONCE(volume->idle))
		route = NULL;
	if (route && READ_ONCE(bpio_standing_on))
		support = route->support;
	if (compatible)
		*compatible = route && route->compatible;
	rcu_read_unlock();
	return support;
}

/**
 * bpio_bypass_publish() - make new reads use a route
 * @volume: the volume; has no route if @route is not NULL
 * @route: the route, or NULL
 * @reason: why there is no route
 *
 * Context: may sleep; volume->drain_lock held.
 */
void bpio_bypass_publish(struct bpio_volume *volume, struct bpio_route *route,
			 enum bpio_reason reason)
{
	struct bpio_counters ignored;

	lockdep_assert_held(&volume->drain_lock);

	WRITE_ONCE(volume->route_base, bpio_volume_sum(volume, &ignored));
	mutex_lock(&volume->lock);
	WRITE_ONCE(volume->no_route, reason);
	if (route)
		clear_bit(BPIO_MAP_AWAITS, &volume->map_watch);
	rcu_assign_pointer(volume->route, route);
	mutex_unlock(&volume->lock);
}

/**
 * bpio_bypass_withdraw() - unpublish and retire the current route, if any
 * @volume: the volume
 * @reason: why reads fall back
 *
 * Its layers get DISABLE when its reads have ended, see bpio_bypass_drain_work().
 *
 * Context: may sleep; volume->drain_lock held.
 */
void bpio_bypass_withdraw(struct bpio_volume *volume, enum bpio_reason reason)
{
	struct bpio_route *route;
	unsigned int i;
	u64 reads;

	lockdep_assert_held(&volume->drain_lock);

	route = rcu_dereference_protected(volume->route,
					  lockdep_is_held(&volume->drain_lock));
	if (!route) {
		WRITE_ONCE(volume->no_route, reason);
		return;
	}

	reads = bpio_bypass_route_reads(volume);
	mutex_lock(&bpio_layers_lock);
	for (i = 0; i < route->nr_layers; i++)
		route->layers[i]->bypassed += reads;
	mutex_unlock(&bpio_layers_lock);

	bpio_drain_add(&volume->drain, route);
	bpio_bypass_publish(volume, NULL, reason);
	volume->withdrawn_at = jiffies;
	bpio_drain_start(route);
}
