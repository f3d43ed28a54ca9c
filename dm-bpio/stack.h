/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_STACK_H
#define BPIO_STACK_H

#include <linux/blkdev.h>
#include <linux/dm-bpio.h>

struct bpio_route;
struct bpio_volume;

/**
 * struct bpio_stack_view - what a walk through the stack is to report
 * @results: the first objection from top to bottom, or none; out
 * @support: how much of the stack may be skipped; out
 * @compatible: the storage device takes part, whatever stands above it; out
 * @quiet: nobody outside has asked, so nobody is told of vetoes
 * @rows: one row per layer and device, top to bottom; may be NULL
 * @room: rows that fit
 * @nr: rows there are, which may be more than fit; out
 */
struct bpio_stack_view {
	struct bpio_results	results;
	enum bpio_support	support;
	bool			compatible;
	bool			quiet;
	struct bpio_layer_info	*rows;
	unsigned int		room;
	unsigned int		nr;
};

int bpio_stack_query(struct bpio_volume *volume, struct bpio_stack_view *view);
bool bpio_stack_query_file(struct bpio_volume *volume, struct inode *inode,
			   unsigned int operation, struct bpio_results *results);
struct bpio_route *bpio_stack_resolve(struct bpio_volume *volume,
				      unsigned int operation);
void bpio_stack_disable(struct bpio_volume *volume, struct bpio_route *route);

#endif /* BPIO_STACK_H */
