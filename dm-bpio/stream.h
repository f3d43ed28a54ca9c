/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_STREAM_H
#define BPIO_STREAM_H

#include <linux/types.h>
#include <linux/dm-bpio.h>

struct bpio_results;
struct bpio_volume;
struct inode;

int bpio_stream_pause(struct bpio_volume *volume, struct inode *inode);
int bpio_stream_pause_by_kernel(struct bpio_volume *volume, struct inode *inode);
bool bpio_stream_resume(struct bpio_volume *volume, struct inode *inode,
			struct bpio_results *results);
bool bpio_stream_resume_by_kernel(struct bpio_volume *volume,
				  struct inode *inode,
				  struct bpio_results *results);
bool bpio_stream_query_all(struct bpio_volume *volume);
enum bpio_reason bpio_stream_obstacle(struct bpio_volume *volume,
				      struct inode *inode);
unsigned int bpio_stream_open_count(struct bpio_volume *volume,
				    struct inode *inode);
u32 bpio_stream_flags(struct bpio_volume *volume, struct inode *inode);

#endif /* BPIO_STREAM_H */
