/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_VIEW_H
#define BPIO_VIEW_H

#include <linux/types.h>
#include <linux/dm-bpio.h>

struct bpio_layer;
struct bpio_pause;
struct bpio_volume;

/**
 * struct bpio_view - the report of a walk through the stack
 * @results: out: the topmost objection, or none
 * @objector: out: the device that objects, or whose layer does
 * @file: out: the topmost objection to the queried file, or none
 * @support: out: how much of the stack may be skipped
 * @compatible: out: the storage device can be read directly, even if a layer above
 *	objects
 * @quiet: an internal query; post no events of vetoes
 * @rows: one row per device and depth, top to bottom, zeroed; may be NULL
 * @room: number of rows allocated
 * @nr: out: number of rows, which may be more than @room
 */
struct bpio_view {
	struct bpio_results	results;
	dev_t			objector;
	struct bpio_results	file;
	enum bpio_support	support;
	bool			compatible;
	bool			quiet;
	struct bpio_layer_info	*rows;
	unsigned int		room;
	unsigned int		nr;
};

void bpio_view_object(struct bpio_view *view, dev_t dev,
		      const struct bpio_results *verdict);
bool bpio_view_has_row(const struct bpio_view *view, dev_t dev);
struct bpio_layer_info *bpio_view_add_row(struct bpio_view *view, dev_t dev,
					  unsigned int depth, const char *name,
					  const struct bpio_results *verdict);
void bpio_view_add_layer(struct bpio_view *view, struct bpio_volume *volume,
			 struct bpio_layer *layer,
			 const struct bpio_pause *pause, unsigned int depth,
			 const struct bpio_results *verdict);

#endif /* BPIO_VIEW_H */
