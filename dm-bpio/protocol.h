/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_PROTOCOL_H
#define BPIO_PROTOCOL_H

#include <linux/fs.h>
#include <linux/dm-bpio.h>

struct bpio_target;
struct bpio_volume;

/**
 * struct bpio_protocol_request - one FSCTL_MANAGE_BYPASS_IO
 * @target: the live target it was sent to; the sender is inside its gate
 * @privileged: whether the sender may pause and resume the volume
 * @in: what was asked
 * @out: the answer
 * @rows: for QUERY of all layers: one row per layer, top to bottom, or NULL
 * @room: rows that fit
 * @nr_rows: rows there are, out
 * @handle: new handle that out.handle will stand for, or NULL
 */
struct bpio_protocol_request {
	struct bpio_target	*target;
	bool			privileged;
	struct fs_bpio_input	in;
	struct fs_bpio_output	out;
	struct bpio_layer_info	*rows;
	unsigned int		room;
	unsigned int		nr_rows;
	struct file		*handle;
};

int bpio_protocol_check(const struct bpio_protocol_request *request);
int bpio_protocol_fs(struct bpio_protocol_request *request);
void bpio_protocol_finish(struct bpio_protocol_request *request, bool delivered);
int bpio_protocol_storage(struct bpio_volume *volume,
			  const struct bpio_input *in, struct bpio_output *out,
			  bool privileged);
void bpio_protocol_version(struct bpio_version *version);

#endif /* BPIO_PROTOCOL_H */
