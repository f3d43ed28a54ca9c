// SPDX-License-Identifier: GPL-2.0-only
/*
 * Drain the route of a volume, and wait for the reads on it. The top of bypass.c
 * explains why no task hangs.
 *
 * Level: bypass.
 */
#include <linux/sched.h>
#include <linux/sched/signal.h>

#include "bypass.h"
#include "drain.h"
#include "layer.h"
#include "route.h"
#include "volume.h"

/* Maximum number of draining routes of a volume, besides the current one. */
#define BPIO_BYPASS_ROUTES_MAX	8

/* How long a drain may take before it is reported in the kernel log. */
#define BPIO_BYPASS_PATIENCE	(5 * HZ)

/**
 * bpio_bypass_drain_locked() - begin to drain the direct reads that are in flight
 * @volume: the volume
 *
 * An equal route replaces the current one, so that new reads still go direct; if there
 * is no memory for it, they fall back. If many routes are draining, because a device
 * below is suspended, the current one stays until one of them has drained. The limit
 * is needed because unprivileged programs can send DISABLE in a loop.
 *
 * Context: may sleep; volume->drain_lock held.
 * Return: the ticket for bpio_bypass_wait().
 */
unsigned long bpio_bypass_drain_locked(struct bpio_volume *volume)
{
	struct bpio_route *old, *new;

	lockdep_assert_held(&volume->drain_lock);

	old = rcu_dereference_protected(volume->route,
					lockdep_is_held(&volume->drain_lock));
	if (!old)
		return volume->drain.begun;

	if (volume->drain.nr >= BPIO_BYPASS_ROUTES_MAX) {
		volume->drain_again = true;
		/* The number that the current route will get when it is retired. */
		return volume->drain.begun + 1;
	}

	new = bpio_route_clone(old);
	if (!new) {
		bpio_bypass_withdraw(volume, BPIO_REASON_NO_MEMORY);
		volume->update_drained = true;
		return volume->drain.begun;
	}

	old->replaced = true;
	bpio_drain_add(&volume->drain, old);
	mutex_lock(&volume->lock);
	rcu_assign_pointer(volume->route, new);
	mutex_unlock(&volume->lock);
	bpio_drain_start(old);
	return volume->drain.begun;
}

/**
 * struct bpio_bypass_devices - the devices that may hold the reads of a route
 * @first: one of them
 * @more: there are others
 */
struct bpio_bypass_devices {
	struct block_device	*first;
	bool			more;
};

static void bpio_bypass_note_bdev(struct block_device *bdev, void *data)
{
	struct bpio_bypass_devices *devices = data;

	devices->more |= devices->first && devices->first != bdev;
	devices->first = devices->first ?: bdev;
}

/**
 * bpio_bypass_complain() - log that a task waits for reads, and for which device
 * @volume: the volume whose reads it waits for
 * @layer: only reads that skipped this layer, or NULL for all
 *
 * Context: may sleep.
 */
void bpio_bypass_complain(struct bpio_volume *volume,
			  const struct bpio_layer *layer)
{
	struct bpio_bypass_devices devices = {};
	const struct bpio_route *route;
	unsigned int noio;

	noio = bpio_bypass_lock(volume);
	list_for_each_entry(route, &volume->drain.retired, node) {
		if (layer && !bpio_route_has_layer(route, layer))
			continue;
		bpio_segments_visit(route->segments, route->nr,
				    bpio_bypass_note_bdev, &devices);
		pr_warn("bpio: %s: %s[%d] is still waiting for direct reads in flight below, on %pg%s\n",
			volume->name, current->comm, task_tgid_nr(current),
			devices.first, devices.more ? " and others" : "");
		break;
	}
	bpio_bypass_unlock(volume, noio);
}

static int bpio_bypass_wait_state(struct bpio_volume *volume,
				  unsigned long ticket, unsigned int state)
{
	unsigned long patience = BPIO_BYPASS_PATIENCE;
	long left;

	while (!(left = bpio_drain_wait(&volume->drain, ticket, state,
					patience))) {
		bpio_bypass_complain(volume, NULL);
		patience *= 2;
	}
	return left < 0 ? -EINTR : 0;
}

/**
 * bpio_bypass_wait() - wait for the end of reads that were in flight
 * @volume: the volume
 * @ticket: from bpio_bypass_drain_locked()
 *
 * Context: sleeps, for as long as a device below is suspended; no lock held.
 * Return: 0, or -EINTR when the task was killed; reads may then still be in flight.
 */
int bpio_bypass_wait(struct bpio_volume *volume, unsigned long ticket)
{
	return bpio_bypass_wait_state(volume, ticket, TASK_KILLABLE);
}

/**
 * bpio_bypass_wait_always() - bpio_bypass_wait() that cannot be killed
 * @volume: the volume
 * @ticket: as there
 *
 * Context: sleeps; no lock held.
 */
void bpio_bypass_wait_always(struct bpio_volume *volume, unsigned long ticket)
{
	bpio_bypass_wait_state(volume, ticket, TASK_UNINTERRUPTIBLE);
}

/**
 * bpio_bypass_settle() - wait for a change of the route to take effect
 * @volume: the volume
 * @timeout: the longest wait, in jiffies
 *
 * Lets the answer to an operation describe the new route. The operation takes effect
 * even if the new route is late.
 *
 * Context: sleeps; no lock held.
 */
void bpio_bypass_settle(struct bpio_volume *volume, unsigned long timeout)
{
	bpio_drain_wait(&volume->drain, READ_ONCE(volume->drain.begun),
			TASK_KILLABLE, timeout);
}
