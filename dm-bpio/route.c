// SPDX-License-Identifier: GPL-2.0-only
/*
 * Routes: the way of direct reads through the stack, and when nobody is on it.
 */
#include <linux/slab.h>

#include "layer.h"
#include "plant.h"
#include "route.h"

/* How long a drain may take before the kernel log hears of it. */
#define BPIO_ROUTE_PATIENCE	(5 * HZ)

static void bpio_route_drained(struct percpu_ref *ref)
{
	struct bpio_route *route = container_of(ref, struct bpio_route, ref);

	complete(&route->drained);
}

/**
 * bpio_route_alloc() - make an empty route
 * @nr: number of segments
 * @nr_layers: number of layers that are skipped
 *
 * Context: may sleep.
 * Return: a route with one reference, or NULL without memory.
 */
struct bpio_route *bpio_route_alloc(unsigned int nr, unsigned int nr_layers)
{
	struct bpio_route *route;

	route = kvzalloc(struct_size(route, segments, nr), GFP_KERNEL);
	if (!route)
		return NULL;

	route->nr = nr;
	route->nr_layers = nr_layers;
	route->layers = kcalloc(nr_layers, sizeof(*route->layers), GFP_KERNEL);
	if (!route->layers)
		goto free_route;
	if (percpu_ref_init(&route->ref, bpio_route_drained,
			    PERCPU_REF_ALLOW_REINIT, GFP_KERNEL))
		goto free_layers;
	init_completion(&route->drained);
	return route;

free_layers:
	kfree(route->layers);
free_route:
	kvfree(route);
	return NULL;
}

/**
 * bpio_route_clone() - the same route with a reference count of its own
 * @route: the route to copy; its layers cannot go meanwhile
 *
 * Context: may sleep.
 * Return: a route with one reference, or NULL without memory.
 */
struct bpio_route *bpio_route_clone(const struct bpio_route *route)
{
	struct bpio_route *clone = bpio_route_alloc(route->nr, route->nr_layers);
	unsigned int i;

	if (!clone)
		return NULL;

	clone->support = route->support;
	clone->compatible = route->compatible;
	clone->length_mask = route->length_mask;
	clone->memory_mask = route->memory_mask;
	clone->results = route->results;
	memcpy(clone->segments, route->segments,
	       array_size(route->nr, sizeof(*route->segments)));
	for (i = 0; i < route->nr_layers; i++) {
		clone->layers[i] = route->layers[i];
		bpio_layer_join_route(clone->layers[i]);
	}
	return clone;
}

static void bpio_route_free(struct rcu_head *rcu)
{
	struct bpio_route *route = container_of(rcu, struct bpio_route, rcu);

	percpu_ref_exit(&route->ref);
	kfree(route->layers);
	kvfree(route);
}

/**
 * bpio_route_discard() - free a route that nobody is on
 * @route: a route that was never published, or is no longer and has drained
 *
 * Readers that found the pointer under RCU may look at the route for a grace
 * period more; they get no reference.
 *
 * Context: any.
 */
void bpio_route_discard(struct bpio_route *route)
{
	unsigned int i;

	for (i = 0; i < route->nr_layers; i++)
		bpio_layer_leave_route(route->layers[i]);
	/* Leaked: the reads on it, which nobody waited for, will look at it. */
	if (bpio_plant(BPIO_PLANT_DRAIN))
		return;
	call_rcu(&route->rcu, bpio_route_free);
}

/**
 * bpio_route_drain() - wait for the direct reads on a route
 * @route: a route that is no longer published
 * @name: the volume, for the kernel log
 *
 * Who may still be on the route when this is called, and why it ends:
 *
 * - A read that found the pointer under RCU but has no reference yet: its
 *   percpu_ref_tryget_live() fails from percpu_ref_kill() on, or succeeded
 *   before, which makes it the next case.
 * - A read with a reference: its bios are on their way below. Each bio ends by
 *   itself and the last one puts the reference. Nothing that a read does
 *   between taking and putting it waits for much: it faults in no memory of the
 *   user, allocates without I/O, and takes no lock that others hold while they
 *   wait for I/O, but for the lock of the reader's own address space when its
 *   memory is not where it was a moment ago. Another thread of the same process
 *   that maps a file of a suspended device may keep that one.
 *
 * A reference gets zero only after a grace period that begins with the kill. So
 * whoever looked, in the same RCU section, at a flag that says whether to go
 * direct, and did so before the flag was changed and the route drained, is
 * waited for as well, even if the route is revived afterwards.
 *
 * The device at the end of a partial route may itself be suspended. Then its
 * bios wait there for its resume, as any bio does, and so does this function:
 * no bound can be given, so it says whom it waits for.
 *
 * Context: sleeps, uninterruptibly. No lock that a completing read needs.
 */
void bpio_route_drain(struct bpio_route *route, const char *name)
{
	percpu_ref_kill(&route->ref);
	if (bpio_plant(BPIO_PLANT_DRAIN))
		return;
	while (!wait_for_completion_io_timeout(&route->drained,
					       BPIO_ROUTE_PATIENCE))
		pr_warn("bpio: %s: still waiting for direct reads in flight below\n",
			name);
}

/**
 * bpio_route_revive() - make a drained route usable again
 * @route: a route after bpio_route_drain()
 *
 * Context: may sleep.
 */
void bpio_route_revive(struct bpio_route *route)
{
	reinit_completion(&route->drained);
	percpu_ref_reinit(&route->ref);
}

/**
 * bpio_route_equal() - whether two routes lead the same way for the same reasons
 * @a: a route
 * @b: another one
 *
 * Context: any.
 */
bool bpio_route_equal(const struct bpio_route *a, const struct bpio_route *b)
{
	return a->nr == b->nr && a->nr_layers == b->nr_layers &&
	       a->length_mask == b->length_mask &&
	       a->memory_mask == b->memory_mask &&
	       !memcmp(&a->results, &b->results, sizeof(a->results)) &&
	       !memcmp(a->layers, b->layers,
		       array_size(a->nr_layers, sizeof(*a->layers))) &&
	       !memcmp(a->segments, b->segments,
		       array_size(a->nr, sizeof(*a->segments)));
}

/**
 * bpio_route_has_layer() - whether reads on a route go past a layer
 * @route: the route
 * @layer: the layer
 *
 * Context: any.
 */
bool bpio_route_has_layer(const struct bpio_route *route,
			  const struct bpio_layer *layer)
{
	unsigned int i;

	for (i = 0; i < route->nr_layers; i++)
		if (route->layers[i] == layer)
			return true;
	return false;
}
