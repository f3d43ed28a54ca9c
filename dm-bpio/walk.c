// SPDX-License-Identifier: GPL-2.0-only
/*
 * The walk through the stack below a volume: it queries the layers from top to bottom
 * and builds the route of direct reads from their answers.
 *
 * It starts at the volume's own mapped device, of which each bpio target of the table
 * is a layer. If a layer takes part and agrees, its callback returns where it maps to,
 * and the walk continues there. It ends at the storage device, or at the first device
 * whose layer does not take part, vetoes, or is paused: reads enter the stack there.
 * The mapping of a layer that does not take part is never guessed.
 *
 * Level: stack.
 */
#include <linux/device-mapper.h>
#include <linux/slab.h>

#include "event.h"
#include "layer.h"
#include "reason.h"
#include "request.h"
#include "segment.h"
#include "storage.h"
#include "stripes.h"
#include "table.h"
#include "trace.h"
#include "view.h"
#include "volume.h"
#include "walk.h"

/**
 * struct bpio_range - current position of a walk
 * @bdev: device
 * @sector: first 512-byte sector on it
 * @length: sectors
 * @start: sector on the volume, or on the leg of stripes, that maps to @sector
 * @depth: number of devices above @bdev
 * @on_route: no layer above objected
 * @any_storage: that of the layer of the volume's target above
 */
struct bpio_range {
	struct block_device	*bdev;
	sector_t		sector;
	sector_t		length;
	sector_t		start;
	unsigned int		depth;
	bool			on_route;
	bool			any_storage;
};

/* Reads of this range enter the stack here. */
static void bpio_walk_end_route(struct bpio_walk *walk,
				const struct bpio_range *range)
{
	const struct bpio_segment segment = {
		.start	= range->start,
		.length	= range->length,
		.bdev	= range->bdev,
		.target	= range->sector,
	};

	if (range->on_route && !walk->error)
		walk->error = bpio_segments_append(walk->into, &segment);
}

/* A device without a layer: the storage, or a target that does not take part. */
static void bpio_walk_end_device(struct bpio_walk *walk,
				 const struct bpio_range *range)
{
	enum bpio_reason reason = bpio_storage_judge(range->bdev,
						     range->any_storage);
	char name[BPIO_DRIVER_NAME_MAX + 1];
	struct bpio_results verdict = {};
	struct bpio_layer_info *row;

	bpio_storage_driver_name(range->bdev, name, sizeof(name));
	if (reason) {
		bpio_reason_fill(&verdict, -EOPNOTSUPP, name, reason, NULL);
		walk->view->compatible = false;
	}
	/* Unsuitable storage is no veto of a file. */
	if (reason && !walk->inode)
		bpio_view_object(walk->view, range->bdev->bd_dev, &verdict);
	bpio_walk_end_route(walk, range);

	if (!walk->everything || bpio_view_has_row(walk->view, range->bdev->bd_dev))
		return;
	row = bpio_view_add_row(walk->view, range->bdev->bd_dev, range->depth,
				name, &verdict);
	if (!row)
		return;
	if (reason != BPIO_REASON_LAYER_UNAWARE)
		row->flags = BPIO_LAYER_STORAGE;
	if (!reason)
		row->flags |= BPIO_LAYER_TAKES_PART;
}

/*
 * Report the veto of a file that was to be enabled; no state is kept for it. Vetoes of
 * enabled files and of the volume are reported where their previous state is kept, when
 * that changes. A query reports nothing.
 */
static void bpio_walk_tell_veto(struct bpio_walk *walk,
				const struct bpio_layer *layer,
				const struct bpio_results *verdict)
{
	if (walk->view->quiet)
		return;
	trace_bpio_refuse(walk->volume, walk->request.operation, verdict);
	if (walk->inode && walk->request.operation == FS_BPIO_OP_ENABLE)
		bpio_event_veto(BPIO_EVENT_REFUSE, walk->volume->dev,
				walk->inode->i_ino, layer->dev, verdict);
}

/*
 * A layer that fails to map a range does not take part there. If it has mapped another
 * range, reads of that one skip it. Then the route still contains the layer, so that
 * bpio_layer_unregister() waits for these reads.
 */
static void bpio_walk_unmapped(struct bpio_walk *walk,
			       const struct bpio_layer *layer,
			       struct bpio_asked *asked)
{
	struct bpio_results verdict = {};

	/* A failed mapping is no veto of a file. */
	if (walk->inode)
		return;
	bpio_reason_fill(&verdict, -EOPNOTSUPP, layer->ops->name,
			 BPIO_REASON_LAYER_UNAWARE, NULL);
	bpio_view_object(walk->view, layer->dev, &verdict);
	if (asked && !asked->passed)
		asked->agreed = false;
}

/* Query a layer once per walk. Return: its answer, or NULL above the limit of layers. */
static struct bpio_asked *bpio_walk_ask(struct bpio_walk *walk,
					struct bpio_layer *layer,
					unsigned int depth)
{
	const struct bpio_pause *pause = bpio_layer_pause(layer);
	struct bpio_results verdict = {};
	unsigned int i;
	bool agreed;

	memset(&walk->request.verdict, 0, sizeof(walk->request.verdict));
	for (i = 0; i < walk->nr_layers; i++)
		if (walk->layers[i].layer == layer)
			return &walk->layers[i];
	if (walk->nr_layers == BPIO_WALK_LAYERS_MAX) {
		bpio_walk_unmapped(walk, layer, NULL);
		return NULL;
	}

	/* A pause applies to the bypass of the volume, not of a file. */
	agreed = !pause || walk->inode;
	if (!agreed)
		bpio_reason_fill(&verdict, -EBUSY, layer->ops->name,
				 BPIO_REASON_VOLUME_PAUSED, pause->why);
	if (agreed || walk->everything)
		agreed &= bpio_request_ask(&walk->request, layer, walk->inode);
	if (walk->request.verdict.op_status) {
		verdict = walk->request.verdict;
		bpio_walk_tell_veto(walk, layer, &verdict);
	}
	if (!agreed)
		bpio_view_object(walk->view, layer->dev, &verdict);

	bpio_view_add_layer(walk->view, walk->volume, layer, pause, depth,
			    &verdict);
	walk->layers[walk->nr_layers].layer = layer;
	walk->layers[walk->nr_layers].agreed = agreed;
	return &walk->layers[walk->nr_layers++];
}

static void bpio_walk_descend(struct bpio_walk *walk,
			      const struct bpio_range *range);

/*
 * Continue below one leg of stripes, with the part of it that belongs to a range of
 * the set.
 */
static void bpio_walk_descend_leg(struct bpio_walk *walk,
				  struct bpio_layer *layer, unsigned int leg,
				  const struct bpio_mapping *set,
				  const struct bpio_range *range)
{
	struct bpio_mapping mapping = {};
	struct bpio_range below = *range;
	sector_t end;

	below.start = bpio_stripes_from(set->stripes, set->chunk, leg,
					set->sector);
	end = bpio_stripes_from(set->stripes, set->chunk, leg,
				set->sector + range->length);
	below.length = end - below.start;
	if (!below.length)
		return;

	/* bpio_walk_has_legs() has checked all legs already. */
	if (++walk->legs > BPIO_WALK_LEGS_MAX ||
	    layer->ops->leg(layer->context, leg, &mapping)) {
		walk->error = -ENOMEM;
		return;
	}
	below.bdev = mapping.bdev;
	below.sector = mapping.sector + below.start;
	bpio_walk_descend(walk, &below);
}

/*
 * @range describes what lies below @set, except device and sector. Not inline, to save
 * kernel stack in walks without stripes.
 */
static noinline void bpio_walk_descend_stripes(struct bpio_walk *walk,
					       struct bpio_layer *layer,
					       const struct bpio_mapping *set,
					       const struct bpio_range *range)
{
	struct bpio_segments *into = walk->into;
	struct bpio_segment segment = {
		.start	= range->start,
		.length	= range->length,
	};
	unsigned int i;

	segment.stripes = bpio_stripes_alloc(set->stripes, set->chunk,
					     set->sector);
	if (!segment.stripes) {
		walk->error = -ENOMEM;
		return;
	}
	for (i = 0; i < set->stripes && !walk->error; i++) {
		walk->into = &segment.stripes->legs[i];
		bpio_walk_descend_leg(walk, layer, i, set, range);
	}
	walk->into = into;
	if (!walk->error && range->on_route)
		walk->error = bpio_segments_append(into, &segment);
	if (walk->error || !range->on_route)
		bpio_segments_put(&segment, 1);
}

static bool bpio_walk_has_legs(struct bpio_layer *layer,
			       const struct bpio_mapping *set)
{
	struct bpio_mapping mapping;
	unsigned int i;

	if (!set->chunk || !layer->ops->leg || set->stripes > BPIO_WALK_LEGS_MAX)
		return false;
	for (i = 0; i < set->stripes; i++) {
		memset(&mapping, 0, sizeof(mapping));
		if (layer->ops->leg(layer->context, i, &mapping) ||
		    !mapping.bdev)
			return false;
	}
	return true;
}

/* Whether a layer maps a sector, with a valid answer. */
static bool bpio_walk_maps(struct bpio_layer *layer, sector_t sector,
			   struct bpio_mapping *mapping)
{
	memset(mapping, 0, sizeof(*mapping));
	if (layer->ops->map(layer->context, sector, mapping) || !mapping->length)
		return false;
	return mapping->stripes ? bpio_walk_has_legs(layer, mapping) :
				  !!mapping->bdev;
}

/* Continue below a layer, once for each piece to which it maps the range. */
static void bpio_walk_descend_layer(struct bpio_walk *walk,
				    struct bpio_layer *layer,
				    struct bpio_asked *asked,
				    struct bpio_range range)
{
	struct bpio_mapping mapping;
	struct bpio_range below;

	while (range.length && !walk->error) {
		if (!bpio_walk_maps(layer, range.sector - layer->begin,
				    &mapping)) {
			bpio_walk_unmapped(walk, layer, asked);
			bpio_walk_end_route(walk, &range);
			return;
		}
		if (asked)
			asked->passed = true;
		below = (struct bpio_range) {
			.bdev		= mapping.bdev,
			.sector		= mapping.sector,
			.length		= min(mapping.length, range.length),
			.start		= range.start,
			.depth		= range.depth + 1,
			.on_route	= range.on_route,
			.any_storage	= range.depth ? range.any_storage :
							layer->any_storage,
		};
		if (mapping.stripes)
			bpio_walk_descend_stripes(walk, layer, &mapping,
						  &below);
		else
			bpio_walk_descend(walk, &below);
		range.sector += below.length;
		range.start += below.length;
		range.length -= below.length;
	}
}

static void bpio_walk_descend(struct bpio_walk *walk,
			      const struct bpio_range *range)
{
	struct bpio_range rest = *range, part;
	struct bpio_layer *layer;
	struct bpio_asked *asked;

	while (rest.length && !walk->error) {
		layer = bpio_layer_find(rest.bdev->bd_dev, rest.sector);
		if (!layer || rest.depth == BPIO_WALK_DEPTH_MAX) {
			bpio_walk_end_device(walk, &rest);
			return;
		}

		part = rest;
		part.length = min(rest.length,
				  layer->begin + layer->length - rest.sector);
		asked = NULL;
		/* Below an objection, walk on only to find the storage. */
		if (part.on_route || walk->everything) {
			asked = bpio_walk_ask(walk, layer, part.depth);
			if (!asked || !asked->agreed) {
				bpio_walk_end_route(walk, &part);
				part.on_route = false;
			}
		}
		bpio_walk_descend_layer(walk, layer, asked, part);

		rest.sector += part.length;
		rest.start += part.length;
		rest.length -= part.length;
	}
}

/* Call the post-operation callbacks, bottom to top, of the layers that agreed. */
static void bpio_walk_tell(struct bpio_walk *walk)
{
	unsigned int i;

	for (i = walk->nr_layers; i--; )
		if (walk->layers[i].agreed)
			bpio_request_tell(&walk->request, walk->layers[i].layer,
					  walk->inode,
					  walk->view->results.op_status);
}

/**
 * bpio_walk_untell() - send DISABLE to the layers after an ENABLE that failed later
 * @walk: a walk of any operation
 *
 * Context: as bpio_walk_stack().
 */
void bpio_walk_untell(struct bpio_walk *walk)
{
	if (walk->request.operation != BPIO_OP_ENABLE)
		return;
	walk->request.operation = BPIO_OP_DISABLE;
	bpio_walk_tell(walk);
}

/**
 * bpio_walk_stack() - query or notify all layers below a volume
 * @volume: a volume with a live table
 * @operation: of the file level if @inode is not NULL, else of the storage level
 * @inode: the file it is about, or NULL
 * @view: the answer; quiet, rows and room are the caller's, the rest is written
 *
 * Context: sleeps; volume->drain_lock and bpio_layers_lock held.
 * Return: the walk, to be freed by bpio_walk_end(), or NULL without memory.
 */
struct bpio_walk *bpio_walk_stack(struct bpio_volume *volume,
				  unsigned int operation,
				  struct inode *inode,
				  struct bpio_view *view)
{
	struct bpio_walk *walk = kvzalloc(sizeof(*walk), GFP_KERNEL);
	struct bpio_range range;

	lockdep_assert_held(&volume->drain_lock);
	lockdep_assert_held(&bpio_layers_lock);

	if (!walk)
		return NULL;

	walk->volume = volume;
	walk->into = &walk->segments;
	walk->inode = inode;
	walk->view = view;
	walk->everything = inode || view->rows;
	walk->view->compatible = true;
	walk->request.operation = operation;
	walk->request.file = inode;
	walk->request.all_reads = !inode && volume->storage_enabled;
	walk->request.in_length = sizeof(struct fs_bpio_input);
	walk->request.out_length = sizeof(struct bpio_output);

	range = (struct bpio_range) {
		.bdev		= bpio_table_bdev(volume->table),
		.length		= dm_table_get_size(volume->table->dm),
		.on_route	= true,
	};
	bpio_walk_descend(walk, &range);
	bpio_walk_tell(walk);

	view->support = view->results.op_status ? BPIO_SUPPORT_PARTIAL :
						  BPIO_SUPPORT_FULL;
	return walk;
}

/**
 * bpio_walk_end() - free what a walk has found
 * @walk: the walk
 *
 * Context: any that may sleep.
 */
void bpio_walk_end(struct bpio_walk *walk)
{
	bpio_segments_free(&walk->segments);
	kvfree(walk);
}
