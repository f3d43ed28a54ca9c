// SPDX-License-Identifier: GPL-2.0-only
/*
 * When and where reads of a volume go direct: asking the stack, making the route, and
 * taking it back before anything on it changes. bypass_route.c publishes and withdraws
 * routes, bypass_drain.c waits for the reads on them.
 *
 * Why nobody hangs on a device that somebody else keeps suspended. A direct read in
 * flight ends when the device that it was sent to completes it, and a suspended
 * mapped device does so after its resume. Who takes a route back has to wait for
 * that, for however long it takes. So:
 *
 * - No lock is held across such a wait. The route is unpublished and retired
 *   (drain.c) under the volume's drain_lock, which is dropped then. A worker tells
 *   the layers when the reads have ended, and makes the new route where one was
 *   wanted. What is done under drain_lock and bpio_layers_lock is finite: walks
 *   through the stack, callbacks that must not wait for I/O, allocation without I/O.
 * - Each task waits only for reads of volumes whose route went past the layer, or led
 *   from the volume, that it acts upon. Those of other volumes are not its concern.
 * - Only those wait who promise that no read is in flight, and as follows.
 *
 * Who waits for reads:
 *
 *	presuspend hook of a volume	uninterruptible		the volume's
 *	bpio_layer_unregister()		uninterruptible		past the layer
 *	bpio_layer_changed(), _pause	killable		past the layer
 *	VOLUME_STACK_PAUSE		killable		past the volume
 *	STREAM_PAUSE, DISABLE,		killable		the volume's
 *	bpio_pause_file(), storage DISABLE
 *	ENABLE, RESUME, _allows		BPIO_BYPASS_ANSWER	the same
 *	QUERY, GET_INFO, ARM, close	not at all
 *
 * Device-mapper calls the first two with the lock that serialises suspends and
 * resumes of that one device held, and cannot be refused. They wait for reads that
 * went past, or came from, the device that is being suspended, as a suspend waits for
 * all other I/O of the device. The resume of the device that keeps the reads takes
 * none of their locks.
 *
 * Besides the lock, a task may be inside the gate of the volume that it was sent to,
 * and device-mapper's SRCU. The presuspend hook of that very volume waits for the
 * gate, and then for the reads that the task waits for; other devices have other
 * gates. So the gate never makes a suspend wait for more than it has to.
 *
 * Lock order: drain_lock of one volume, bpio_layers_lock, volume->lock; never two
 * drain_locks.
 *
 * Level: bypass.
 */
#include <linux/sched.h>

#include "bypass.h"
#include "drain.h"
#include "layer.h"
#include "reason.h"
#include "route.h"
#include "stack.h"
#include "standing.h"
#include "stream.h"
#include "table.h"
#include "trace.h"
#include "volume.h"

/* How soon a volume whose stack was suspended asks again, when it is read. */
#define BPIO_BYPASS_RETRY	(HZ / 10)

/* How long a suspend may take from its first hook until it holds back I/O. */
#define BPIO_BYPASS_SETTLE	(HZ / 5)

/* How long a route stays that nobody wants any more. */
#define BPIO_BYPASS_LINGER	HZ

static struct workqueue_struct *bpio_bypass_wq;

/**
 * bpio_bypass_wants_route() - whether anybody wants to read direct
 * @volume: the volume
 *
 * Context: may sleep; volume->drain_lock held.
 */
bool bpio_bypass_wants_route(struct bpio_volume *volume)
{
	bool wants;

	lockdep_assert_held(&volume->drain_lock);

	mutex_lock(&volume->lock);
	wants = volume->table && (volume->active || volume->storage_enabled);
	mutex_unlock(&volume->lock);
	return wants;
}

/*
 * Whether the route in use is what the stack would be found to allow. Nothing is
 * asked as long as no layer came, went, or changed its mind.
 */
static bool bpio_bypass_route_is_current(struct bpio_volume *volume)
{
	int generation = atomic_read(&bpio_layers_generation);
	struct bpio_route *now, *then;
	bool equal;

	lockdep_assert_held(&volume->drain_lock);

	then = rcu_dereference_protected(volume->route,
					 lockdep_is_held(&volume->drain_lock));
	if (!then)
		return false;
	if (volume->generation == generation)
		return true;

	now = bpio_stack_resolve(volume, BPIO_OP_QUERY);
	if (IS_ERR(now))
		return false;
	equal = bpio_route_equal(now, then);
	bpio_route_discard(now);
	if (equal)
		volume->generation = generation;
	return equal;
}

/*
 * Whether a route that nobody wants is kept for now. Programs open one file after
 * the other, and to give up a route takes a grace period, to find it again a walk.
 * Nothing waits for the end of this: whatever changes below the volume takes the
 * route away, as it does when files are enabled.
 */
static bool bpio_bypass_lingers(struct bpio_volume *volume)
{
	unsigned long now = jiffies;

	lockdep_assert_held(&volume->drain_lock);

	if (!volume->table || volume->attach_blocked ||
	    !rcu_access_pointer(volume->route) ||
	    volume->generation != atomic_read(&bpio_layers_generation))
		return false;
	if (!volume->idle)
		volume->idle_since = now;
	WRITE_ONCE(volume->idle, true);
	if (time_after_eq(now, volume->idle_since + BPIO_BYPASS_LINGER))
		return false;
	queue_delayed_work(bpio_bypass_wq, &volume->update_work,
			   volume->idle_since + BPIO_BYPASS_LINGER - now);
	return true;
}

/*
 * A layer that was not there when bypass was enabled, and does not let it pass,
 * blocks it on the whole volume until it agrees or is gone.
 */
static void bpio_bypass_note_attach(struct bpio_volume *volume,
				    enum bpio_support before,
				    const struct bpio_route *route)
{
	lockdep_assert_held(&volume->drain_lock);

	if (route->support == BPIO_SUPPORT_FULL)
		WRITE_ONCE(volume->attach_blocked, false);
	else if (before == BPIO_SUPPORT_FULL &&
		 route->results.reason != BPIO_REASON_VOLUME_PAUSED)
		WRITE_ONCE(volume->attach_blocked, true);
}

static void bpio_bypass_ask(struct bpio_volume *volume)
{
	int generation = atomic_read(&bpio_layers_generation);
	struct bpio_route *route;

	lockdep_assert_held(&volume->drain_lock);

	route = bpio_stack_resolve(volume, BPIO_OP_ENABLE);
	if (IS_ERR(route)) {
		bpio_bypass_publish(volume, NULL, BPIO_REASON_NO_MEMORY);
		return;
	}
	/* From before the walk: what changes during it makes a new one. */
	volume->generation = generation;

	trace_bpio_storage(volume, BPIO_OP_ENABLE);
	/* A layer that is new here may object to files; before they are read. */
	bpio_stream_query_all(volume);
	bpio_bypass_note_attach(volume, volume->support, route);
	volume->support = route->support;
	/* A route that enters at the volume itself would lead map to itself. */
	assign_bit(BPIO_MAP_BYPASS, &volume->map_watch,
		   volume->storage_enabled && route->nr_layers);
	bpio_bypass_publish(volume, route, BPIO_REASON_NONE);
}

static void bpio_bypass_establish(struct bpio_volume *volume)
{
	lockdep_assert_held(&volume->drain_lock);

	WRITE_ONCE(volume->asking, true);
	/* Before any layer is asked. Pairs with bpio_change_tell(). */
	smp_mb();
	bpio_bypass_ask(volume);
	/* After the route is published. */
	smp_store_release(&volume->asking, false);
}

/**
 * bpio_bypass_update_locked() - bpio_bypass_update() with drain_lock held
 * @volume: the volume
 *
 * Context: as bpio_bypass_update(), but volume->drain_lock held.
 */
void bpio_bypass_update_locked(struct bpio_volume *volume)
{
	lockdep_assert_held(&volume->drain_lock);

	volume->update_drained = false;
	if (!bpio_bypass_wants_route(volume)) {
		if (bpio_bypass_lingers(volume))
			return;
		bpio_bypass_withdraw(volume, BPIO_REASON_VOLUME_SUSPENDED);
		bpio_standing_tell(volume);
		clear_bit(BPIO_MAP_AWAITS, &volume->map_watch);
		/* Keep this state across a reload; reset it only when bypass ends. */
		if (volume->table) {
			volume->support = BPIO_SUPPORT_NONE;
			WRITE_ONCE(volume->attach_blocked, false);
		}
		return;
	}
	WRITE_ONCE(volume->idle, false);
	if (!bpio_bypass_route_is_current(volume)) {
		bpio_bypass_withdraw(volume, BPIO_REASON_VOLUME_SUSPENDED);
		/* A layer is told the end of one bypass before the next begins. */
		if (list_empty(&volume->drain.retired))
			bpio_bypass_establish(volume);
		else
			volume->update_drained = true;
	}
	/* A route that only waits for the former one's reads is no news. */
	if (!volume->update_drained)
		bpio_standing_tell(volume);
}

/**
 * bpio_bypass_update() - bring the route in line with what is wanted and allowed
 * @volume: the volume
 * @requery: ask about all enabled files again, too
 *
 * Sends the storage ENABLE down when the first file was enabled, the DISABLE
 * when the last one has been gone for a moment, and asks again after a change in
 * the stack. A route that would stay the same is left alone, with its reads. If it
 * changes, there is none until the reads of the old one have ended, which is not
 * waited for.
 *
 * Context: may sleep; bpio_layers_lock and volume->lock not held.
 */
void bpio_bypass_update(struct bpio_volume *volume, bool requery)
{
	unsigned int noio;

	noio = bpio_bypass_lock(volume);
	bpio_bypass_update_locked(volume);
	if (requery && bpio_bypass_wants_route(volume) &&
	    bpio_stream_query_all(volume))
		bpio_bypass_drain_locked(volume);
	bpio_bypass_unlock(volume, noio);
}

static void bpio_bypass_update_work(struct work_struct *work)
{
	struct bpio_volume *volume = container_of(to_delayed_work(work),
						  struct bpio_volume,
						  update_work);

	bpio_bypass_update(volume, xchg(&volume->requery, false));
}

/* The reads of a retired route have ended. Waits for nothing but drain_lock. */
static void bpio_bypass_drain_work(struct work_struct *work)
{
	struct bpio_volume *volume = container_of(work, struct bpio_volume,
						  drain.work);
	struct bpio_route *route;
	unsigned int noio;

	noio = bpio_bypass_lock(volume);
	while ((route = bpio_drain_collect(&volume->drain))) {
		if (!route->replaced) {
			bpio_stack_disable(volume, route);
			trace_bpio_storage(volume, BPIO_OP_DISABLE);
		}
		bpio_route_discard(route);
	}
	if (volume->update_drained && list_empty(&volume->drain.retired))
		bpio_bypass_update_locked(volume);
	if (volume->drain_again) {
		volume->drain_again = false;
		bpio_bypass_drain_locked(volume);
	}
	bpio_drain_announce(&volume->drain);
	bpio_bypass_unlock(volume, noio);
}

/**
 * bpio_bypass_update_now() - let a worker do bpio_bypass_update() at once
 * @volume: a volume the caller has a reference to
 * @requery: ask about all enabled files again, too
 *
 * Context: any.
 */
void bpio_bypass_update_now(struct bpio_volume *volume, bool requery)
{
	if (requery)
		WRITE_ONCE(volume->requery, true);
	mod_delayed_work(bpio_bypass_wq, &volume->update_work, 0);
}

/**
 * bpio_bypass_update_later() - let a worker do bpio_bypass_update() soon
 * @volume: a volume the caller has a reference to
 *
 * Context: any.
 */
void bpio_bypass_update_later(struct bpio_volume *volume)
{
	if (!delayed_work_pending(&volume->update_work))
		queue_delayed_work(bpio_bypass_wq, &volume->update_work,
				   BPIO_BYPASS_RETRY);
}

/**
 * bpio_bypass_note_read() - the layers have served a read of the mapped device
 * @volume: a volume that awaits its stack
 * @started: jiffies when it began
 *
 * A suspended device below that is resumed without a layer that registers sends
 * no news. But a read that began well after the route was withdrawn, and was
 * served, proves that the stack takes I/O again, so that a new route cannot end
 * in a device that keeps it waiting.
 *
 * Context: any.
 */
void bpio_bypass_note_read(struct bpio_volume *volume, unsigned long started)
{
	if (time_after(started, READ_ONCE(volume->withdrawn_at) +
				BPIO_BYPASS_SETTLE))
		bpio_bypass_update_later(volume);
}

/**
 * bpio_bypass_attach() - a table became live: direct reads may use its route
 * @volume: the volume
 * @table: its new live table
 *
 * Context: may sleep; from the resume hook of a target. Does not wait for reads:
 * while there is no live table there is no route.
 */
void bpio_bypass_attach(struct bpio_volume *volume, struct bpio_table *table)
{
	unsigned int noio;

	noio = bpio_bypass_lock(volume);
	mutex_lock(&volume->lock);
	volume->table = table;
	mutex_unlock(&volume->lock);
	bpio_bypass_update_locked(volume);
	bpio_bypass_unlock(volume, noio);
}

/**
 * bpio_bypass_detach() - a table is about to be suspended, replaced or removed
 * @volume: the volume
 * @table: the table that stops being live; ignored when it is not
 *
 * When this returns no direct read is in flight that was routed through
 * @table, and none will be until the next bpio_bypass_attach().
 *
 * Context: sleeps until direct reads have drained, uninterruptibly, because
 * device-mapper lets nobody refuse a suspend; from the presuspend hook, while I/O of
 * the file system still flows.
 */
void bpio_bypass_detach(struct bpio_volume *volume, struct bpio_table *table)
{
	unsigned long ticket;
	unsigned int noio;

	noio = bpio_bypass_lock(volume);
	mutex_lock(&volume->lock);
	if (volume->table == table)
		volume->table = NULL;
	mutex_unlock(&volume->lock);
	bpio_bypass_update_locked(volume);
	ticket = volume->drain.begun;
	bpio_bypass_unlock(volume, noio);

	bpio_bypass_wait_always(volume, ticket);
}

/**
 * bpio_bypass_verdict() - what the stack has said of the route in use
 * @volume: an enabled volume
 * @results: the first objection, or none; out
 *
 * Context: volume->drain_lock held.
 * Return: how much of the stack is skipped. Without a route for the moment, what
 * stands in the way is in @results and reads fall back until it is over.
 */
enum bpio_support bpio_bypass_verdict(struct bpio_volume *volume,
				      struct bpio_results *results)
{
	struct bpio_route *route;

	lockdep_assert_held(&volume->drain_lock);

	if (bpio_standing_switched_off(results))
		return BPIO_SUPPORT_PARTIAL;

	route = rcu_dereference_protected(volume->route,
					  lockdep_is_held(&volume->drain_lock));
	if (route) {
		*results = route->results;
		return route->support;
	}
	bpio_reason_fill(results, -EAGAIN, "bpio", volume->no_route, NULL);
	return BPIO_SUPPORT_PARTIAL;
}

/**
 * bpio_bypass_set_storage() - bypass for all reads of the device, or its end
 * @volume: the volume
 * @enabled: which
 *
 * Follows BPIO_OP_ENABLE and BPIO_OP_DISABLE; not counted.
 *
 * Context: sleeps until reads on the old route have ended, or for ENABLE
 * BPIO_BYPASS_ANSWER at most; no lock held.
 * Return: 0, or -EINTR when the task was killed meanwhile.
 */
int bpio_bypass_set_storage(struct bpio_volume *volume, bool enabled)
{
	struct bpio_route *route;
	unsigned long ticket;
	unsigned int noio;

	noio = bpio_bypass_lock(volume);
	mutex_lock(&volume->lock);
	WRITE_ONCE(volume->storage_enabled, enabled);
	/* Layers may answer otherwise when it is about all reads. */
	volume->generation = atomic_inc_return(&bpio_layers_generation) - 1;
	mutex_unlock(&volume->lock);
	bpio_bypass_update_locked(volume);
	/* The route may be there already, for files. */
	route = rcu_dereference_protected(volume->route,
					  lockdep_is_held(&volume->drain_lock));
	assign_bit(BPIO_MAP_BYPASS, &volume->map_watch,
		   enabled && route && route->nr_layers);
	ticket = enabled ? 0 : bpio_bypass_drain_locked(volume);
	bpio_bypass_unlock(volume, noio);

	if (!enabled)
		return bpio_bypass_wait(volume, ticket);
	bpio_bypass_settle(volume, BPIO_BYPASS_ANSWER);
	return 0;
}

/**
 * bpio_bypass_flags() - FS_BPIO_OUTFL_* that speak of the volume
 * @volume: the volume
 *
 * Context: may sleep.
 */
u32 bpio_bypass_flags(struct bpio_volume *volume)
{
	bool compatible;
	u32 flags = 0;

	bpio_bypass_support(volume, &compatible);
	if (compatible)
		flags |= FS_BPIO_OUTFL_COMPATIBLE_STORAGE_DRIVER;
	if (READ_ONCE(volume->storage_enabled))
		flags |= FS_BPIO_OUTFL_ALL_READS_ENABLED;
	if (READ_ONCE(volume->pause.active))
		flags |= FS_BPIO_OUTFL_VOLUME_STACK_BYPASS_PAUSED;
	if (READ_ONCE(volume->attach_blocked))
		flags |= FS_BPIO_OUTFL_FILTER_ATTACH_BLOCKED;
	return flags;
}

/**
 * bpio_bypass_init() - make the workqueue, and say what the workers of volumes do
 *
 * Return: 0 or -ENOMEM.
 */
int bpio_bypass_init(void)
{
	bpio_volume_set_workers(bpio_bypass_update_work, bpio_bypass_drain_work);
	bpio_bypass_wq = alloc_workqueue("bpio_update", WQ_UNBOUND, 0);
	return bpio_bypass_wq ? 0 : -ENOMEM;
}

/**
 * bpio_bypass_exit() - undo bpio_bypass_init()
 */
void bpio_bypass_exit(void)
{
	destroy_workqueue(bpio_bypass_wq);
}
