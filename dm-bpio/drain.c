// SPDX-License-Identifier: GPL-2.0-only
/*
 * Routes that are published no longer: when nobody is on them, and how to wait for
 * that without a lock.
 *
 * Who may still be on a route when it is retired, and why it ends:
 *
 * - A read that found the pointer under RCU but has no reference yet: its
 *   percpu_ref_tryget_live() fails from percpu_ref_kill() on, or succeeded
 *   before, which makes it the next case.
 * - A read with a reference: its bios are on their way below. Each bio ends by
 *   itself and the last one puts the reference. Nothing that a read does
 *   between taking and putting it waits for much: it faults in no memory of the
 *   user, allocates without I/O, and takes no lock that others hold while they
 *   wait for I/O, but for the lock of the reader's own address space when its
 *   memory is not where it was a moment ago. Another thread of the same process
 *   that maps a file of a suspended device may keep that one.
 *
 * A reference gets zero only after a grace period that begins with the kill. So
 * whoever looked, in the same RCU section, at a flag that says whether to go
 * direct, and did so before the flag was changed and the route retired, is waited
 * for as well.
 *
 * The device at the end of a partial route may itself be suspended. Then its bios
 * wait there for its resume, as any bio does, and the route drains when somebody
 * resumes the device: no bound can be given. So nobody waits for a drain with a
 * lock held; see the top of bypass.c.
 *
 * The last put queues the work that collects the route, which always finds a
 * volume: a route is published only while the volume has a live table, whose
 * presuspend hook waits until all routes are gone.
 *
 * Level: foundation.
 */
#include <linux/sched.h>
#include <linux/workqueue.h>

#include "drain.h"
#include "plant.h"
#include "route.h"

/*
 * A suspend waits for it: it must go on when memory is short, and needs nothing
 * but the drain_lock of a volume.
 */
static struct workqueue_struct *bpio_drain_wq;

/**
 * bpio_drain_setup() - initialise
 * @drain: the drain
 * @work: takes what bpio_drain_collect() returns until it returns NULL, then
 *	calls bpio_drain_announce()
 */
void bpio_drain_setup(struct bpio_drain *drain, work_func_t work)
{
	INIT_LIST_HEAD(&drain->retired);
	spin_lock_init(&drain->lock);
	init_waitqueue_head(&drain->wait);
	INIT_WORK(&drain->work, work);
}

/* The work may run, and the volume go, as soon as the lock is dropped. */
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
 * @drain: that of its volume
 * @route: the route that is published; about to be replaced or withdrawn
 *
 * Context: volume->drain_lock held. bpio_drain_start() follows before that is
 * dropped, when the route is no longer published.
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
 * bpio_drain_start() - let nobody get onto a retired route any more
 * @route: the route; bpio_drain_collect() returns it when nobody is on it
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
 * @ref: of the route
 *
 * Context: any; under RCU, which keeps the volume's memory until the return.
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
 * Return: the route, which is the caller's now, or NULL.
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
 * bpio_drain_announce() - let those go on who waited for what was collected
 * @drain: the drain
 *
 * Context: may sleep; volume->drain_lock held.
 */
void bpio_drain_announce(struct bpio_drain *drain)
{
	const struct bpio_route *oldest =
		list_first_entry_or_null(&drain->retired, struct bpio_route,
					 node);

	/* What was done before, for those who see the number without the lock. */
	smp_store_release(&drain->ended,
			  oldest ? oldest->number - 1 : drain->begun);
	wake_up_all(&drain->wait);
}

/**
 * bpio_drain_wait() - wait until all routes up to a number are gone
 * @drain: the drain
 * @ticket: the number
 * @state: TASK_UNINTERRUPTIBLE or TASK_KILLABLE
 * @timeout: jiffies
 *
 * Context: sleeps. The caller holds no lock.
 * Return: positive when they are, 0 after the timeout, -ERESTARTSYS when the task
 * was killed.
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
 * bpio_drain_init() - make the workqueue
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
