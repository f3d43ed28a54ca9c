/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_REQUEST_H
#define BPIO_REQUEST_H

#include <linux/types.h>
#include <linux/dm-bpio.h>

struct bpio_layer;

/**
 * struct bpio_request - an operation on its way through the stack
 * @operation: ENABLE, DISABLE or QUERY, which have the same numbers in both
 *	enumerations
 * @file: whether it is about a file, else about the volume
 * @all_reads: covers all reads of the mapped device, not only those of enabled files
 * @may_veto: inside a pre-operation callback
 * @in_length: bytes of the sender's input buffer
 * @out_length: bytes of the sender's output buffer
 * @layer: the layer that is being queried
 * @verdict: its answer
 */
struct bpio_request {
	unsigned int		operation;
	bool			file;
	bool			all_reads;
	bool			may_veto;
	size_t			in_length;
	size_t			out_length;
	struct bpio_layer	*layer;
	struct bpio_results	verdict;
};

bool bpio_request_ask(struct bpio_request *request, struct bpio_layer *layer,
		      struct inode *inode);
void bpio_request_tell(struct bpio_request *request, struct bpio_layer *layer,
		       struct inode *inode, int status);

#endif /* BPIO_REQUEST_H */
