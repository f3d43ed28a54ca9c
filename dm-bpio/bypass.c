// SPDX-License-Identifier: GPL-2.0-only
/*
 * When and where reads of a volume go direct: query the stack, build the route, and
 * withdraw it before anything on it changes. bypass_route.c publishes and withdraws
 * routes, bypass_drain.c waits for the reads on them.
 *
 * Why no task hangs because of an unrelated suspended device. A direct read in flight
 * ends when the device that it was sent to completes it, and a suspended mapped device
 * does so only after its resume. Withdrawing a route may have to wait that long. So:
 *
 * - No lock is held across such a wait. The route is unpublished and retired (drain.c)
 *   under the volume's drain_lock, which is then dropped. When the reads have ended, a
 *   worker notifies the layers, and builds the new route if one is wanted. The work
 *   done under drain_lock and bpio_layers_lock is bounded: walks through the stack,
 *   callbacks that must not wait for I/O, allocation without I/O.
 * - Each task waits only for reads of volumes whose route skipped the layer, or came
 *   from the volume, that it acts upon.
 * - Only operations that promise that no read is in flight wait without a time limit.
 *
 * For which reads each operation waits, and how:
 *
 *	presuspend hook of a volume	the volume's		uninterruptible
 *	bpio_layer_unregister()		that skip the layer	uninterruptible
 *	bpio_layer_changed(),		that skip the layer	killable
 *	bpio_pause_layer()
 *	VOLUME_STACK_PAUSE		that skip the volume	killable
 *	STREAM_PAUSE, DISABLE,		the volume's		killable
 *	bpio_pause_file(), storage DISABLE
 *	ENABLE, RESUME,			the volume's		BPIO_BYPASS_ANSWER
 *	bpio_layer_allows()					at most
 *	QUERY, GET_INFO, ARM, close	none
 *
 * Device-mapper calls the first two under the lock that serialises suspends and
 * resumes of one device, and they cannot fail. They wait for reads that skipped, or
 * came from, the device being suspended, as a suspend waits for all other I/O of the
 * device. The resume of the device that holds these reads does not need that lock.
 *
 * A task that waits may also be inside the gate of the volume it was called for, and
 * inside device-mapper's SRCU. Only the presuspend hook of the same volume waits for
 * that gate, and it then waits for the same reads anyway. So the gate does not prolong
 * a suspend.
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

/* Delay until a volume whose stack was suspended queries it again, after a read. */
#define BPIO_BYPASS_RETRY	(HZ / 10)

/* Maximum time of a suspend from its first hook until it holds back I/O. */
#define BPIO_BYPASS_SETTLE	(HZ / 5)

/* How long a route without users is kept. */
#define BPIO_BYPASS_LINGER	HZ

static struct workqueue_struct *bpio_bypass_wq;

/**
 * bpio_bypass_wants_route() - whether a route would have users
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
 * Whether the current route is still what the stack allows. That needs no query as
 * long as no layer came, went, or changed its answer.
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
 * Whether to keep a route without users for now. Programs open one file after the
 * other; withdrawing the route costs a grace period, finding it again a walk. No
 * operation is delayed by this: a change below the volume withdraws the route as it
 * does while files are enabled.
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
 * A layer that appeared after bypass was enabled, and objects to it, blocks it on the
 * whole volume until it agrees or is gone.
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
	/* The value from before the walk: a change during it causes another walk. */
	volume->generation = generation;

	trace_bpio_storage(volume, BPIO_OP_ENABLE);
	/* A new layer may object to files: query it before any is read direct. */
	bpio_stream_query_all(volume);
	bpio_bypass_note_attach(volume, volume->support, route);
	volume->support = route->support;
	/* Not if reads enter at the volume itself: the map method would recurse. */
	assign_bit(BPIO_MAP_BYPASS, &volume->map_watch,
		   volume->storage_enabled && route->nr_layers);
	bpio_bypass_publish(volume, route, BPIO_REASON_NONE);
}

static void bpio_bypass_establish(struct bpio_volume *volume)
{
	lockdep_assert_held(&volume->drain_lock);

	WRITE_ONCE(volume->asking, true);
	/* Set before any layer is queried. Pairs with bpio_change_tell(). */
	smp_mb();
	bpio_bypass_ask(volume);
	/* Cleared after the route is published. */
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
		/* Layers get DISABLE for one bypass before ENABLE for the next. */
		if (list_empty(&volume->drain.retired))
			bpio_bypass_establish(volume);
		else
			volume->update_drained = true;
	}
	/* No event while a route only waits for the reads of the previous one. */
	if (!volume->update_drained)
		bpio_standing_tell(volume);
}

/**
 * bpio_bypass_update() - build, keep or withdraw the route as needed
 * @volume: the volume
 * @requery: also query about all enabled files again
 *
 * Sends the storage ENABLE down when the first file was enabled, the DISABLE some time
 * after the last one is gone, and queries again after a change in the stack. A route
 * that would stay the same is kept, with its reads. If it changes, there is none until
 * the reads of the old one have ended; this function does not wait for that.
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

/* Runs when the reads of a retired route have ended. Waits only for drain_lock. */
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
 * bpio_bypass_update_now() - queue bpio_bypass_update() without delay
 * @volume: a volume the caller has a reference to
 * @requery: also query about all enabled files again
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
 * bpio_bypass_update_later() - queue bpio_bypass_update() with a short delay
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
 * bpio_bypass_note_read() - notice that the layers serve reads again
 * @volume: a volume with BPIO_MAP_AWAITS
 * @started: jiffies when the completed read began
 *
 * If a suspended device below is resumed with a table that registers no layer, nothing
 * reports that. But a read that began well after the route was withdrawn, and has
 * completed, proves that the stack accepts I/O again, so that a new route cannot end
 * in the suspended device.
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
 * bpio_bypass_attach() - allow direct reads after a table became live
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
 * bpio_bypass_detach() - stop direct reads before a table is suspended or removed
 * @volume: the volume
 * @table: the table that stops being live; ignored when it is not live
 *
 * When this returns, no direct read that was routed through @table is in flight, and
 * none will start until the next bpio_bypass_attach().
 *
 * Context: sleeps until direct reads have drained, uninterruptibly, because a target
 * cannot refuse a suspend; from the presuspend hook, while I/O of the file system
 * still flows.
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
 * bpio_bypass_verdict() - the verdict of the stack on the current route
 * @volume: an enabled volume
 * @results: out: the first objection, or none
 *
 * Context: volume->drain_lock held.
 * Return: how much of the stack is skipped. If there is no route at the moment,
 * @results has the reason, and reads fall back.
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
 * bpio_bypass_set_storage() - enable or disable bypass for all reads of the device
 * @volume: the volume
 * @enabled: true to enable
 *
 * Implements BPIO_OP_ENABLE and BPIO_OP_DISABLE; they do not nest.
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
	/* Forces a new query: layers may answer differently for all reads. */
	volume->generation = atomic_inc_return(&bpio_layers_generation) - 1;
	mutex_unlock(&volume->lock);
	bpio_bypass_update_locked(volume);
	/* The route may already exist, for files. */
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
 * bpio_bypass_flags() - FS_BPIO_OUTFL_* that describe the volume
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
 * bpio_bypass_init() - create the workqueue, and set the work functions of volumes
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
