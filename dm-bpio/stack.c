// SPDX-License-Identifier: GPL-2.0-only
/*
 * Queries of the stack below a volume, by walks through it (walk.c): whether its layers
 * agree to bypass, whether they agree for a file, and the route of direct reads.
 *
 * Level: stack.
 */
#include <linux/slab.h>

#include "compat.h"
#include "layer.h"
#include "reason.h"
#include "request.h"
#include "route.h"
#include "stack.h"
#include "table.h"
#include "view.h"
#include "volume.h"
#include "walk.h"

/* Return: whether all layers agree; @view gets the first veto. */
static bool bpio_stack_walk_file(struct bpio_volume *volume, struct inode *inode,
				 unsigned int operation, struct bpio_view *view)
{
	struct bpio_walk *walk = bpio_walk_stack(volume, operation, inode, view);
	bool agreed = true;
	unsigned int i;

	if (!walk) {
		bpio_reason_fill(&view->results, -ENOMEM, "bpio",
				 BPIO_REASON_NO_MEMORY, NULL);
		return false;
	}
	for (i = 0; i < walk->nr_layers; i++)
		agreed &= walk->layers[i].agreed;
	bpio_walk_end(walk);
	return agreed;
}

/**
 * bpio_stack_query() - query the stack below a volume
 * @volume: a volume with a live table
 * @inode: a file to query as well, or NULL
 * @view: the answer; the caller sets quiet, rows and room, the rest is written
 *
 * Follows BPIO_OP_QUERY. With rows, layers below an objection are queried too.
 *
 * Context: sleeps; volume->drain_lock held.
 * Return: 0 or -ENOMEM.
 */
int bpio_stack_query(struct bpio_volume *volume, struct inode *inode,
		     struct bpio_view *view)
{
	struct bpio_view file = *view;
	struct bpio_walk *walk;
	int ret;

	/* Both walks under one lock, so that they see the same layers. */
	mutex_lock(&bpio_layers_lock);
	if (inode && !bpio_stack_walk_file(volume, inode, FS_BPIO_OP_QUERY,
					   &file))
		view->file = file.results;
	walk = bpio_walk_stack(volume, BPIO_OP_QUERY, NULL, view);
	mutex_unlock(&bpio_layers_lock);
	if (!walk)
		return -ENOMEM;

	ret = walk->error;
	bpio_walk_end(walk);
	return ret;
}

/**
 * bpio_stack_view_file() - bpio_stack_query_file() that also names the vetoing device
 * @volume: as there
 * @inode: as there
 * @operation: as there
 * @view: out: the first veto and the device of its layer
 *
 * Context: sleeps; volume->drain_lock held.
 * Return: whether all agree.
 */
bool bpio_stack_view_file(struct bpio_volume *volume, struct inode *inode,
			  unsigned int operation, struct bpio_view *view)
{
	bool agreed;

	mutex_lock(&bpio_layers_lock);
	/* Most stacks have no layer with callbacks for files; there may be many files. */
	agreed = !bpio_layer_any_asks_files() ||
		 bpio_stack_walk_file(volume, inode, operation, view);
	mutex_unlock(&bpio_layers_lock);
	return agreed;
}

/**
 * bpio_stack_query_file() - query all layers about a file, or notify them
 * @volume: a volume with a live table
 * @inode: the file
 * @operation: FS_BPIO_OP_ENABLE or FS_BPIO_OP_QUERY, which may be vetoed, or
 *	FS_BPIO_OP_DISABLE, which may not
 * @results: out: the first veto
 *
 * Follows the file level of the protocol. Objections to bypass of the volume do
 * not matter here.
 *
 * Context: sleeps; volume->drain_lock held.
 * Return: whether all agree; false if memory is short, because no layer was queried.
 */
bool bpio_stack_query_file(struct bpio_volume *volume, struct inode *inode,
			   unsigned int operation, struct bpio_results *results)
{
	struct bpio_view view = {};
	bool agreed;

	agreed = bpio_stack_view_file(volume, inode, operation, &view);
	if (!agreed)
		*results = view.results;
	return agreed;
}

static void bpio_stack_add_limits(struct block_device *bdev, void *data)
{
	struct bpio_route *route = data;

	route->length_mask |= bdev_logical_block_size(bdev) - 1;
	route->memory_mask |= bdev_dma_alignment(bdev);
}

static void bpio_stack_add_bdev(struct block_device *bdev, void *data)
{
	struct bpio_route *route = data;

	bpio_stack_add_limits(bdev, route);
	route->peer_memory &= bpio_compat_takes_peer_memory(bdev);
}

static struct bpio_route *bpio_stack_make_route(const struct bpio_walk *walk)
{
	struct bpio_route *route;
	unsigned int i, nr = 0, met;

	route = bpio_route_alloc(walk->segments.nr, walk->nr_layers);
	if (!route)
		return ERR_PTR(-ENOMEM);

	/*
	 * Require at least the alignment of O_DIRECT on the volume: a read that goes
	 * direct now may fall back the next time, and must then succeed or fail alike.
	 */
	bpio_stack_add_limits(bpio_table_bdev(walk->volume->table), route);
	route->support = walk->view->support;
	route->compatible = walk->view->compatible;
	route->results = walk->view->results;
	route->objector = walk->view->objector;
	for (i = 0; i < walk->nr_layers; i++)
		if (walk->layers[i].agreed)
			route->layers[nr++] = walk->layers[i].layer;
	route->nr_layers = nr;
	for (i = 0; i < nr; i++)
		bpio_layer_join_route(route->layers[i]);
	for (i = 0, met = nr; i < walk->nr_layers; i++)
		if (!walk->layers[i].agreed)
			route->layers[met++] = walk->layers[i].layer;

	if (route->nr)
		memcpy(route->segments, walk->segments.list,
		       array_size(route->nr, sizeof(*route->segments)));
	bpio_segments_get(route->segments, route->nr);
	route->peer_memory = true;
	bpio_segments_visit(route->segments, route->nr, bpio_stack_add_bdev,
			    route);
	return route;
}

/**
 * bpio_stack_resolve() - find the path of direct reads through the stack
 * @volume: a volume with a live table
 * @operation: BPIO_OP_QUERY; or BPIO_OP_ENABLE if the route will be used: its layers
 *	are then notified, and must be notified of the end by bpio_stack_disable()
 *
 * Context: sleeps; volume->drain_lock held.
 * Return: a route with one reference, or ERR_PTR(-ENOMEM), also for more segments
 * than a list may have, or more than BPIO_WALK_LEGS_MAX legs.
 */
struct bpio_route *bpio_stack_resolve(struct bpio_volume *volume,
				      unsigned int operation)
{
	struct bpio_view view = { .quiet = operation == BPIO_OP_QUERY };
	struct bpio_route *route;
	struct bpio_walk *walk;

	mutex_lock(&bpio_layers_lock);
	walk = bpio_walk_stack(volume, operation, NULL, &view);
	route = ERR_PTR(-ENOMEM);
	if (walk && !walk->error)
		route = bpio_stack_make_route(walk);
	if (walk && IS_ERR(route))
		bpio_walk_untell(walk);
	mutex_unlock(&bpio_layers_lock);

	if (walk)
		bpio_walk_end(walk);
	return route;
}

/**
 * bpio_stack_disable() - notify the layers of a route that it is no longer used
 * @volume: the volume
 * @route: a route that was resolved with BPIO_OP_ENABLE and has drained
 *
 * Context: sleeps; volume->drain_lock held. The layers still exist, because
 * unregistering a layer waits until no route contains it.
 */
void bpio_stack_disable(struct bpio_volume *volume, struct bpio_route *route)
{
	struct bpio_request request = { .operation = BPIO_OP_DISABLE };
	unsigned int i;

	lockdep_assert_held(&volume->drain_lock);

	mutex_lock(&bpio_layers_lock);
	for (i = route->nr_layers; i--; )
		bpio_request_tell(&request, route->layers[i], NULL, 0);
	mutex_unlock(&bpio_layers_lock);
}
