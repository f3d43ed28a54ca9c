/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_STACK_H
#define BPIO_STACK_H

#include <linux/blkdev.h>
#include <linux/dm-bpio.h>

struct bpio_route;
struct bpio_view;
struct bpio_volume;

int bpio_stack_query(struct bpio_volume *volume, struct inode *inode,
		     struct bpio_view *view);
bool bpio_stack_view_file(struct bpio_volume *volume, struct inode *inode,
			  unsigned int operation, struct bpio_view *view);
bool bpio_stack_query_file(struct bpio_volume *volume, struct inode *inode,
			   unsigned int operation, struct bpio_results *results);
struct bpio_route *bpio_stack_resolve(struct bpio_volume *volume,
				      unsigned int operation);
void bpio_stack_disable(struct bpio_volume *volume, struct bpio_route *route);

#endif /* BPIO_STACK_H */
