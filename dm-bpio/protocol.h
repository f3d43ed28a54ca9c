/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_PROTOCOL_H
#define BPIO_PROTOCOL_H

#include <linux/fs.h>
#include <linux/dm-bpio.h>

struct bpio_tally_ctx;
struct bpio_volume;

/**
 * struct bpio_protocol_request - one FSCTL_MANAGE_BYPASS_IO
 * @volume: the volume; the sender is inside the gate of its table
 * @file: the file of in.fd, a reference, or NULL for the volume itself
 * @tally: the tally to which the file is added, or NULL
 * @privileged: whether the sender may pause and resume
 * @enabled: out: a file was enabled that was not before
 * @in: the input
 * @out: the answer
 * @rows: for QUERY of all layers: one row per layer, top to bottom, or NULL
 * @room: number of rows allocated
 * @nr_rows: out: number of layers, which may be more than @room
 */
struct bpio_protocol_request {
	struct bpio_volume	*volume;
	struct file		*file;
	struct bpio_tally_ctx	*tally;
	bool			privileged;
	bool			enabled;
	struct fs_bpio_input	in;
	struct fs_bpio_output	out;
	struct bpio_layer_info	*rows;
	unsigned int		room;
	unsigned int		nr_rows;
};

int bpio_protocol_check(const struct bpio_protocol_request *request);
bool bpio_protocol_permitted(const struct bpio_protocol_request *request);
bool bpio_protocol_takes_volume(unsigned int operation);
int bpio_protocol_fs(struct bpio_protocol_request *request);
void bpio_protocol_arm(struct bpio_protocol_request *request);
void bpio_protocol_undo(struct bpio_protocol_request *request);
int bpio_protocol_storage(struct bpio_volume *volume,
			  const struct bpio_input *in, struct bpio_output *out,
			  bool privileged);
void bpio_protocol_version(struct bpio_version *version);

#endif /* BPIO_PROTOCOL_H */
