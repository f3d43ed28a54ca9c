// SPDX-License-Identifier: GPL-2.0-only
/*
 * The gate that control operations pass, so that a suspend can wait for them.
 *
 * Level: foundation.
 */
#include <linux/sched.h>

#include "gate.h"

/**
 * bpio_gate_init() - initialise a closed gate
 * @gate: the gate
 */
void bpio_gate_init(struct bpio_gate *gate)
{
	spin_lock_init(&gate->lock);
	init_waitqueue_head(&gate->empty);
}

/**
 * bpio_gate_open() - let control operations in
 * @gate: the gate
 *
 * Context: any.
 */
void bpio_gate_open(struct bpio_gate *gate)
{
	spin_lock(&gate->lock);
	gate->open = true;
	spin_unlock(&gate->lock);
}

/**
 * bpio_gate_close() - stop operations from entering, and wait for those inside
 * @gate: the gate; may already be closed
 *
 * Context: sleeps, uninterruptibly.
 */
void bpio_gate_close(struct bpio_gate *gate)
{
	spin_lock(&gate->lock);
	gate->open = false;
	spin_unlock(&gate->lock);

	wait_event(gate->empty, !READ_ONCE(gate->inside));
}

/**
 * bpio_gate_enter() - begin a control operation
 * @gate: the gate
 *
 * Context: process context.
 * Return: false while the table is not live.
 */
bool bpio_gate_enter(struct bpio_gate *gate)
{
	bool open;

	spin_lock(&gate->lock);
	open = gate->open;
	if (open)
		WRITE_ONCE(gate->inside, gate->inside + 1);
	spin_unlock(&gate->lock);
	return open;
}

/**
 * bpio_gate_leave() - end a control operation
 * @gate: the gate
 */
void bpio_gate_leave(struct bpio_gate *gate)
{
	spin_lock(&gate->lock);
	WRITE_ONCE(gate->inside, gate->inside - 1);
	if (!gate->inside)
		wake_up_all(&gate->empty);
	spin_unlock(&gate->lock);
}
