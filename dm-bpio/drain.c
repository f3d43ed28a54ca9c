// SPDX-License-Identifier: GPL-2.0-only
/*
 * Retired routes, which are no longer published: how the module learns that the last
 * read on them has ended, and how tasks wait for that without a lock.
 *
 * Reads that may still use a route when it is retired, and why they end:
 *
 * - A read that found the pointer under RCU but has no reference yet: its
 *   percpu_ref_tryget_live() either fails, because percpu_ref_kill() came first,
 *   or has succeeded, which makes it the next case.
 * - A read with a reference: its bios are in flight below. Each bio ends by itself and
 *   the last one puts the reference. Between taking and putting the reference a read
 *   faults in no user memory, allocates without I/O, and takes no lock that is held
 *   across I/O, with one exception: if its pages have moved since they were last looked
 *   up, it takes the reader's mmap lock. Another thread of the same process may hold
 *   that while it maps a file of a suspended device.
 *
 * The count reaches zero only after a grace period that begins with the kill. So
 * the drain also waits for a reader that tested a flag (whether to go direct) in the
 * same RCU section, before the flag was changed and the route retired.
 *
 * The device at the end of a partial route may itself be suspended. Bios sent to it
 * then wait for its resume, as any bio does, and so does the drain of the route,
 * without a time limit. So no task waits for a drain with a lock held; see the top of
 * bypass.c.
 *
 * The last put queues the work that collects the route. The volume still exists
 * then: a route is published only while the volume has a live table, and the
 * presuspend hook of the table waits until all routes are gone.
 *
 * Level: foundation.
 */
#include <linux/sched.h>
#include <linux/workqueue.h>

#include "drain.h"
#include "plant.h"
#include "route.h"

/*
 * A suspend waits for this work, so it must make progress when memory is short. It
 * takes only the drain_lock of a volume.
 */
static struct workqueue_struct *bpio_drain_wq;

/**
 * bpio_drain_setup() - initialise
 * @drain: the drain
 * @work: calls bpio_drain_collect() until it returns NULL, then
 *	bpio_drain_announce()
 */
void bpio_drain_setup(struct bpio_drain *drain, work_func_t work)
{
	INIT_LIST_HEAD(&drain->retired);
	spin_lock_init(&drain->lock);
	init_waitqueue_head(&drain->wait);
	INIT_WORK(&drain->work, work);
}

/* The work may run, and free the volume, as soon as the lock is dropped. */
static void bpio_drain_ended(struct bpio_route *route)
{
	struct bpio_drain *drain = route->drain;
	unsigned long flags;

	spin_lock_irqsave(&drain->lock, flags);
	route->drained = true;
	queue_work(bpio_drain_wq, &drain->work);
	spin_unlock_irqrestore(&drain->lock, flags);
}

/**
 * bpio_drain_add() - retire a route
 * @drain: the drain of the route's volume
 * @route: the published route, which is about to be replaced or withdrawn
 *
 * Context: volume->drain_lock held. The caller unpublishes the route and calls
 * bpio_drain_start() before it drops the lock.
 */
void bpio_drain_add(struct bpio_drain *drain, struct bpio_route *route)
{
	route->drain = drain;
	route->number = drain->begun + 1;
	list_add_tail(&route->node, &drain->retired);
	drain->nr++;
	WRITE_ONCE(drain->begun, route->number);
}

/**
 * bpio_drain_start() - stop reads from taking a reference to a retired route
 * @route: the route; bpio_drain_collect() returns it when all references are gone
 *
 * Context: may sleep; volume->drain_lock held.
 */
void bpio_drain_start(struct bpio_route *route)
{
	if (bpio_plant(BPIO_PLANT_DRAIN)) {
		bpio_drain_ended(route);
		return;
	}
	percpu_ref_kill(&route->ref);
}

/**
 * bpio_drain_release() - the last reference to a route is gone
 * @ref: the route's reference count
 *
 * Context: any; under RCU, so that the volume is not freed before this returns.
 */
void bpio_drain_release(struct percpu_ref *ref)
{
	bpio_drain_ended(container_of(ref, struct bpio_route, ref));
}

/**
 * bpio_drain_collect() - take a route that has drained
 * @drain: the drain
 *
 * Context: volume->drain_lock held.
 * Return: the route, which the caller now owns, or NULL.
 */
struct bpio_route *bpio_drain_collect(struct bpio_drain *drain)
{
	struct bpio_route *route;
	bool drained;

	list_for_each_entry(route, &drain->retired, node) {
		spin_lock_irq(&drain->lock);
		drained = route->drained;
		spin_unlock_irq(&drain->lock);
		if (!drained)
			continue;
		list_del(&route->node);
		drain->nr--;
		return route;
	}
	return NULL;
}

/**
 * bpio_drain_announce() - wake the tasks that wait for the collected routes
 * @drain: the drain
 *
 * Context: may sleep; volume->drain_lock held.
 */
void bpio_drain_announce(struct bpio_drain *drain)
{
	const struct bpio_route *oldest =
		list_first_entry_or_null(&drain->retired, struct bpio_route,
					 node);

	/* Pairs with bpio_drain_reached(), which reads without the lock. */
	smp_store_release(&drain->ended,
			  oldest ? oldest->number - 1 : drain->begun);
	wake_up_all(&drain->wait);
}

/**
 * bpio_drain_wait() - wait until all routes up to a ticket are gone
 * @drain: the drain
 * @ticket: the ticket
 * @state: TASK_UNINTERRUPTIBLE or TASK_KILLABLE
 * @timeout: jiffies
 *
 * Context: sleeps. The caller holds no lock.
 * Return: positive when they are gone, 0 after the timeout, -ERESTARTSYS when the
 * task was killed.
 */
long bpio_drain_wait(struct bpio_drain *drain, unsigned long ticket,
		     unsigned int state, unsigned long timeout)
{
	if (state == TASK_KILLABLE)
		return wait_event_killable_timeout(drain->wait,
				bpio_drain_reached(drain, ticket), timeout);
	return wait_event_timeout(drain->wait,
				  bpio_drain_reached(drain, ticket), timeout);
}

/**
 * bpio_drain_init() - create the workqueue
 *
 * Return: 0 or -ENOMEM.
 */
int bpio_drain_init(void)
{
	bpio_drain_wq = alloc_workqueue("bpio_drain",
					WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	return bpio_drain_wq ? 0 : -ENOMEM;
}

/**
 * bpio_drain_exit() - undo bpio_drain_init()
 */
void bpio_drain_exit(void)
{
	destroy_workqueue(bpio_drain_wq);
}
