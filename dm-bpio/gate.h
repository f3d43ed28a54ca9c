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
 * @inside: number of operations that have entered and not left
 * @empty: woken when the last operation leaves a closed gate
 *
 * Device-mapper waits for running ioctls only after it has begun to hold back
 * I/O. An ioctl that touches user memory may need that I/O for a page fault, which
 * would be a deadlock. With the gate, the presuspend hook waits for running ioctls
 * while I/O still flows, and later ones are turned away.
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
