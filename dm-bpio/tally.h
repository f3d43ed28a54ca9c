/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_TALLY_H
#define BPIO_TALLY_H

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/dm-bpio.h>

struct bpio_open_file;

/**
 * struct bpio_tally_ctx - one open of /dev/bpio
 * @ref: held by the struct file of /dev/bpio, and by each open file in @opens
 * @lock: protects @opens and @sum. Innermost; also taken with volume->drain_lock
 *	held.
 * @opens: list of struct bpio_open_file.tally_node: enabled through it, not closed
 * @sum: reads of closed files, all refusals, number of files
 */
struct bpio_tally_ctx {
	struct kref		ref;
	struct mutex		lock;	/* everything below */
	struct list_head	opens;
	struct bpio_tally	sum;
};

struct bpio_tally_ctx *bpio_tally_create(void);
void bpio_tally_put(struct bpio_tally_ctx *tally);
void bpio_tally_add(struct bpio_tally_ctx *tally, struct bpio_open_file *of);
void bpio_tally_remove(struct bpio_open_file *of);
void bpio_tally_refuse(struct bpio_tally_ctx *tally, unsigned int reason);
void bpio_tally_read(struct bpio_tally_ctx *tally, struct bpio_tally *sum);

#endif /* BPIO_TALLY_H */
