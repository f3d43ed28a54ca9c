/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_GATE_H
#define BPIO_GATE_H

#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>

/**
 * struct bpio_gate - lets control operations in while a table is live
 * @lock: protects @open and @inside
 * @open: operations may enter
 * @inside: operations that have entered and not left
 * @empty: woken when the last one leaves a closed gate
 *
 * Device-mapper waits for running ioctls only after it has begun to hold back
 * I/O. An ioctl that touches user memory may need just that I/O for a page
 * fault, and both would wait for ever. The gate makes the presuspend hook wait
 * for them before, while I/O still flows, and turns later ones away.
 */
struct bpio_gate {
	spinlock_t		lock;	/* @open and @inside */
	bool			open;
	unsigned int		inside;
	wait_queue_head_t	empty;
};

void bpio_gate_init(struct bpio_gate *gate);
void bpio_gate_open(struct bpio_gate *gate);
void bpio_gate_close(struct bpio_gate *gate);
bool bpio_gate_enter(struct bpio_gate *gate);
void bpio_gate_leave(struct bpio_gate *gate);

#endif /* BPIO_GATE_H */
