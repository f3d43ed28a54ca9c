// SPDX-License-Identifier: GPL-2.0-only
/*
 * Routes: the path of direct reads through the stack.
 *
 * Level: layer.
 */
#include <linux/slab.h>

#include "drain.h"
#include "layer.h"
#include "plant.h"
#include "route.h"

/**
 * bpio_route_alloc() - allocate an empty route
 * @nr: number of segments
 * @nr_met: number of layers that were queried
 *
 * Context: may sleep.
 * Return: a route with one reference, or NULL without memory.
 */
struct bpio_route *bpio_route_alloc(unsigned int nr, unsigned int nr_met)
{
	struct bpio_route *route;

	route = kvzalloc(struct_size(route, segments, nr), GFP_KERNEL);
	if (!route)
		return NULL;

	route->nr = nr;
	route->nr_met = nr_met;
	route->layers = kcalloc(nr_met, sizeof(*route->layers), GFP_KERNEL);
	if (!route->layers)
		goto free_route;
	if (percpu_ref_init(&route->ref, bpio_drain_release, 0, GFP_KERNEL))
		goto free_layers;
	return route;

free_layers:
	kfree(route->layers);
free_route:
	kvfree(route);
	return NULL;
}

/**
 * bpio_route_clone() - copy a route; the copy has its own reference count
 * @route: the route to copy; the caller keeps its layers from going away
 *
 * Context: may sleep.
 * Return: a route with one reference, or NULL without memory.
 */
struct bpio_route *bpio_route_clone(const struct bpio_route *route)
{
	struct bpio_route *clone = bpio_route_alloc(route->nr, route->nr_met);
	unsigned int i;

	if (!clone)
		return NULL;

	clone->support = route->support;
	clone->compatible = route->compatible;
	clone->length_mask = route->length_mask;
	clone->memory_mask = route->memory_mask;
	clone->peer_memory = route->peer_memory;
	clone->results = route->results;
	clone->objector = route->objector;
	memcpy(clone->segments, route->segments,
	       array_size(route->nr, sizeof(*route->segments)));
	bpio_segments_get(clone->segments, clone->nr);
	memcpy(clone->layers, route->layers,
	       array_size(route->nr_met, sizeof(*route->layers)));
	clone->nr_layers = route->nr_layers;
	for (i = 0; i < clone->nr_layers; i++)
		bpio_layer_join_route(clone->layers[i]);
	return clone;
}

static void bpio_route_free(struct rcu_head *rcu)
{
	struct bpio_route *route = container_of(rcu, struct bpio_route, rcu);

	percpu_ref_exit(&route->ref);
	bpio_segments_put(route->segments, route->nr);
	kfree(route->layers);
	kvfree(route);
}

/**
 * bpio_route_discard() - free a route that no read uses
 * @route: a route that was never published, or that bpio_drain_collect() returned
 *
 * Readers that found the pointer under RCU may look at the route for another grace
 * period, but get no reference.
 *
 * Context: any.
 */
void bpio_route_discard(struct bpio_route *route)
{
	unsigned int i;

	for (i = 0; i < route->nr_layers; i++)
		bpio_layer_leave_route(route->layers[i]);
	/* Leak it: reads that were not waited for will still access it. */
	if (bpio_plant(BPIO_PLANT_DRAIN))
		return;
	call_rcu(&route->rcu, bpio_route_free);
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
	       a->nr_met == b->nr_met &&
	       a->length_mask == b->length_mask &&
	       a->memory_mask == b->memory_mask &&
	       a->peer_memory == b->peer_memory &&
	       !memcmp(&a->results, &b->results, sizeof(a->results)) &&
	       !memcmp(a->layers, b->layers,
		       array_size(a->nr_met, sizeof(*a->layers))) &&
	       bpio_segments_equal(a->segments, b->segments, a->nr);
}

/**
 * bpio_route_has_layer() - whether reads on a route skip a layer
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

/**
 * bpio_route_met_layer() - whether a layer was queried when a route was built
 * @route: the route
 * @layer: the layer, which reads do not necessarily skip
 *
 * Context: any.
 */
bool bpio_route_met_layer(const struct bpio_route *route,
			  const struct bpio_layer *layer)
{
	unsigned int i;

	for (i = 0; i < route->nr_met; i++)
		if (route->layers[i] == layer)
			return true;
	return false;
}
