/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_WALK_H
#define BPIO_WALK_H

#include <linux/types.h>

#include "request.h"
#include "segment.h"

struct bpio_layer;
struct bpio_view;
struct bpio_volume;
struct inode;

/* A route ends at this depth; the walk recurses for each layer. */
#define BPIO_WALK_DEPTH_MAX	16
/* Limits of one walk: layers, and legs of stripes. */
#define BPIO_WALK_LAYERS_MAX	256
#define BPIO_WALK_LEGS_MAX	65536

/**
 * struct bpio_asked - a layer that was queried
 * @layer: the layer
 * @agreed: reads may skip it
 * @passed: it mapped at least one range, so some reads skip it
 */
struct bpio_asked {
	struct bpio_layer	*layer;
	bool			agreed;
	bool			passed;
};

/**
 * struct bpio_walk - state of one walk
 * @volume: the volume at the top
 * @inode: the file that is queried, or NULL
 * @request: the operation
 * @view: the report of the walk
 * @everything: also query the layers below one that objects
 * @error: -ENOMEM ends the walk without a result
 * @layers: layers that were queried, top to bottom
 * @nr_layers: number of @layers
 * @segments: the route so far
 * @into: the list to which segments are added: @segments, or that of a leg of stripes
 * @legs: number of legs of stripes walked so far
 */
struct bpio_walk {
	struct bpio_volume	*volume;
	struct inode		*inode;
	struct bpio_request	request;
	struct bpio_view	*view;
	bool			everything;
	int			error;
	struct bpio_asked	layers[BPIO_WALK_LAYERS_MAX];
	unsigned int		nr_layers;
	struct bpio_segments	segments;
	struct bpio_segments	*into;
	unsigned int		legs;
};

struct bpio_walk *bpio_walk_stack(struct bpio_volume *volume,
				  unsigned int operation, struct inode *inode,
				  struct bpio_view *view);
void bpio_walk_untell(struct bpio_walk *walk);
void bpio_walk_end(struct bpio_walk *walk);

#endif /* BPIO_WALK_H */
