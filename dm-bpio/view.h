/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_VIEW_H
#define BPIO_VIEW_H

#include <linux/types.h>
#include <linux/dm-bpio.h>

struct bpio_layer;
struct bpio_pause;
struct bpio_volume;

/**
 * struct bpio_view - what a walk through the stack is to report
 * @results: the first objection from top to bottom, or none; out
 * @objector: the device whose layer made it, or that is it; out
 * @file: the first objection to the file that was asked about, or none; out
 * @support: how much of the stack may be skipped; out
 * @compatible: the storage device takes part, whatever stands above it; out
 * @quiet: nobody outside has asked, so nobody is told of vetoes
 * @rows: one row per device and place, top to bottom, zeroed; may be NULL
 * @room: rows that fit
 * @nr: rows there are, which may be more than fit; out
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
