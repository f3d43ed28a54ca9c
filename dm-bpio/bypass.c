// SPDX-License-Identifier: GPL-2.0-only
/*
 * When and where reads of a volume go direct: asking the stack, publishing the
 * route, and taking it back before anything on it changes.
 */
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "bypass.h"
#include "event.h"
#include "layer.h"
#include "reason.h"
#include "route.h"
#include "stack.h"
#include "stream.h"
#include "target.h"
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
 * bpio_bypass_lock() - take a volume's drain_lock
 * @volume: the volume
 *
 * The hooks that let a suspended device go on need the lock, and memory may wait
 * for such a device: whoever holds it allocates without I/O.
 *
 * Context: sleeps as long as reads of the volume drain.
 * Return: what bpio_bypass_unlock() needs.
 */
unsigned int bpio_bypass_lock(struct bpio_volume *volume)
{
	unsigned int noio = memalloc_noio_save();

	mutex_lock(&volume->drain_lock);
	return noio;
}

/**
 * bpio_bypass_unlock() - undo bpio_bypass_lock()
 * @volume: the volume
 * @noio: what it returned
 */
void bpio_bypass_unlock(struct bpio_volume *volume, unsigned int noio)
{
	mutex_unlock(&volume->drain_lock);
	memalloc_noio_restore(noio);
}

/**
 * bpio_bypass_route_reads() - reads that took the present route
 * @volume: the volume
 *
 * Context: any.
 */
u64 bpio_bypass_route_reads(const struct bpio_volume *volume)
{
	struct bpio_counters ignored;

	return bpio_volume_sum(volume, &ignored) -
	       READ_ONCE(volume->route_base);
}

/**
 * bpio_bypass_skips() - whether the present route goes past a layer
 * @volume: the volume
 * @layer: the layer
 *
 * Context: volume->drain_lock held.
 */
bool bpio_bypass_skips(struct bpio_volume *volume,
		       const struct bpio_layer *layer)
{
	const struct bpio_route *route;

	route = rcu_dereference_protected(volume->route,
					  lockdep_is_held(&volume->drain_lock));
	return route && bpio_route_has_layer(route, layer);
}

/**
 * bpio_bypass_support() - how much of the stack direct reads skip now
 * @volume: the volume
 * @compatible: whether the storage device takes part, out; may be NULL
 *
 * Context: any.
 * Return: support of the present route, NONE while there is none.
 */
enum bpio_support bpio_bypass_support(struct bpio_volume *volume,
				      bool *compatible)
{
	enum bpio_support support = BPIO_SUPPORT_NONE;
	struct bpio_route *route;

	rcu_read_lock();
	route = rcu_dereference(volume->route);
	if (route)
		support = route->support;
	if (compatible)
		*compatible = route && route->compatible;
	rcu_read_unlock();
	return support;
}

static void bpio_bypass_publish(struct bpio_volume *volume,
				struct bpio_route *route,
				enum bpio_reason reason)
{
	struct bpio_counters ignored;

	lockdep_assert_held(&volume->drain_lock);

	WRITE_ONCE(volume->route_base, bpio_volume_sum(volume, &ignored));
	mutex_lock(&volume->lock);
	WRITE_ONCE(volume->no_route, reason);
	if (route)
		clear_bit(BPIO_MAP_AWAITS, &volume->map_watch);
	rcu_assign_pointer(volume->route, route);
	mutex_unlock(&volume->lock);
}

/* Give up the present route, if any: wait for its reads, tell its layers. */
static void bpio_bypass_withdraw(struct bpio_volume *volume,
				 enum bpio_reason reason)
{
	struct bpio_route *route;
	unsigned int i;
	u64 reads;

	lockdep_assert_held(&volume->drain_lock);

	route = rcu_dereference_protected(volume->route,
					  lockdep_is_held(&volume->drain_lock));
	if (!route) {
		WRITE_ONCE(volume->no_route, reason);
		return;
	}

	reads = bpio_bypass_route_reads(volume);
	bpio_bypass_publish(volume, NULL, reason);
	volume->withdrawn_at = jiffies;
	bpio_route_drain(route, volume->name);

	mutex_lock(&bpio_layers_lock);
	for (i = 0; i < route->nr_layers; i++)
		route->layers[i]->bypassed += reads;
	mutex_unlock(&bpio_layers_lock);

	bpio_stack_disable(volume, route);
	trace_bpio_storage(volume, BPIO_OP_DISABLE);
	bpio_route_discard(route);
}

static bool bpio_bypass_wants_route(struct bpio_volume *volume)
{
	bool wants;

	lockdep_assert_held(&volume->drain_lock);

	mutex_lock(&volume->lock);
	wants = volume->target && (volume->active || volume->storage_enabled);
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

	if (!volume->target || volume->attach_blocked ||
	    !rcu_access_pointer(volume->route) ||
	    volume->generation != atomic_read(&bpio_layers_generation))
		return false;
	if (!volume->idle)
		volume->idle_since = now;
	volume->idle = true;
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

static void bpio_bypass_establish(struct bpio_volume *volume)
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

/**
 * bpio_bypass_update_locked() - bpio_bypass_update() with drain_lock held
 * @volume: the volume
 *
 * Context: as bpio_bypass_update(), but volume->drain_lock held.
 */
void bpio_bypass_update_locked(struct bpio_volume *volume)
{
	lockdep_assert_held(&volume->drain_lock);

	if (!bpio_bypass_wants_route(volume)) {
		if (bpio_bypass_lingers(volume))
			return;
		bpio_bypass_withdraw(volume, BPIO_REASON_VOLUME_SUSPENDED);
		clear_bit(BPIO_MAP_AWAITS, &volume->map_watch);
		/* Keep this state across a reload; reset it only when bypass ends. */
		if (volume->target) {
			volume->support = BPIO_SUPPORT_NONE;
			WRITE_ONCE(volume->attach_blocked, false);
		}
		return;
	}
	volume->idle = false;
	if (bpio_bypass_route_is_current(volume))
		return;
	bpio_bypass_withdraw(volume, BPIO_REASON_VOLUME_SUSPENDED);
	bpio_bypass_establish(volume);
}

/**
 * bpio_bypass_update() - bring the route in line with what is wanted and allowed
 * @volume: the volume
 *
 * Sends the storage ENABLE down when the first file was enabled, the DISABLE
 * when the last one has been gone for a moment, and asks again after a change in
 * the stack. A route that would stay the same is left alone, with its reads.
 *
 * Context: sleeps until the reads of the old route have ended, if it changes;
 * bpio_layers_lock and volume->lock not held.
 */
void bpio_bypass_update(struct bpio_volume *volume)
{
	unsigned int noio;

	noio = bpio_bypass_lock(volume);
	bpio_bypass_update_locked(volume);
	bpio_bypass_unlock(volume, noio);
}

/**
 * bpio_bypass_update_work() - bpio_bypass_update() by a worker
 * @work: update_work of a volume
 */
void bpio_bypass_update_work(struct work_struct *work)
{
	bpio_bypass_update(container_of(to_delayed_work(work),
					struct bpio_volume, update_work));
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
 * bpio_bypass_requery_all() - ask all stacks again, about volumes and files
 *
 * Context: as bpio_bypass_update().
 */
void bpio_bypass_requery_all(void)
{
	struct bpio_volume *volume = NULL;
	unsigned int noio;

	while ((volume = bpio_volume_next(volume))) {
		noio = bpio_bypass_lock(volume);
		bpio_bypass_update_locked(volume);
		if (bpio_bypass_wants_route(volume) &&
		    bpio_stream_query_all(volume))
			bpio_bypass_drain_locked(volume);
		bpio_bypass_unlock(volume, noio);
	}
}

/**
 * bpio_bypass_update_all_later() - let workers update all volumes now
 *
 * For resume hooks: a volume may be waiting, with its drain_lock held, for reads
 * that only the end of that very resume lets go on.
 *
 * Context: may sleep.
 */
void bpio_bypass_update_all_later(void)
{
	struct bpio_volume *volume = NULL;

	while ((volume = bpio_volume_next(volume)))
		mod_delayed_work(bpio_bypass_wq, &volume->update_work, 0);
}

static bool bpio_bypass_has_layer(struct bpio_volume *volume,
				  const struct bpio_layer *layer)
{
	const struct bpio_route *route;
	bool has;

	rcu_read_lock();
	route = rcu_dereference(volume->route);
	has = route && bpio_route_has_layer(route, layer);
	rcu_read_unlock();
	return has;
}

/**
 * bpio_bypass_drop_layer() - let no published route go past a layer any more
 * @layer: a layer that is off the list, so no walk finds it
 *
 * Context: sleeps until the reads on routes that had it have ended; takes no
 * lock of volumes that do not have it.
 */
void bpio_bypass_drop_layer(struct bpio_layer *layer)
{
	struct bpio_volume *volume = NULL;
	unsigned int noio;

	while ((volume = bpio_volume_next(volume))) {
		if (!bpio_bypass_has_layer(volume, layer))
			continue;
		noio = bpio_bypass_lock(volume);
		if (bpio_bypass_skips(volume, layer)) {
			bpio_bypass_withdraw(volume,
					     BPIO_REASON_VOLUME_SUSPENDED);
			set_bit(BPIO_MAP_AWAITS, &volume->map_watch);
		}
		bpio_bypass_unlock(volume, noio);
	}
}

/**
 * bpio_bypass_attach() - a target became live: direct reads may use its route
 * @volume: the volume
 * @target: its new live target
 *
 * Context: may sleep; from the target's resume hook. Does not wait for reads:
 * while there is no live target there is no route.
 */
void bpio_bypass_attach(struct bpio_volume *volume, struct bpio_target *target)
{
	unsigned int noio;

	noio = bpio_bypass_lock(volume);
	mutex_lock(&volume->lock);
	volume->target = target;
	mutex_unlock(&volume->lock);
	bpio_bypass_update_locked(volume);
	bpio_bypass_unlock(volume, noio);
}

/**
 * bpio_bypass_detach() - a target is about to be suspended, replaced or removed
 * @volume: the volume
 * @target: the target that stops being live; ignored when it is not
 *
 * When this returns no direct read is in flight that was routed through
 * @target, and none will be until the next bpio_bypass_attach().
 *
 * Context: sleeps until direct reads have drained; from the presuspend hook,
 * while I/O of the file system still flows.
 */
void bpio_bypass_detach(struct bpio_volume *volume, struct bpio_target *target)
{
	unsigned int noio;

	noio = bpio_bypass_lock(volume);
	mutex_lock(&volume->lock);
	if (volume->target == target)
		volume->target = NULL;
	mutex_unlock(&volume->lock);
	bpio_bypass_update_locked(volume);
	bpio_bypass_unlock(volume, noio);
}

/**
 * bpio_bypass_drain_locked() - wait for the direct reads that are in flight now
 * @volume: the volume
 *
 * An equal route takes the place of the present one, so reads that start
 * meanwhile are not held up; without memory for it they fall back.
 *
 * Context: sleeps until the direct reads in flight have ended;
 * volume->drain_lock held.
 */
void bpio_bypass_drain_locked(struct bpio_volume *volume)
{
	struct bpio_route *old, *new;

	lockdep_assert_held(&volume->drain_lock);

	old = rcu_dereference_protected(volume->route,
					lockdep_is_held(&volume->drain_lock));
	if (!old)
		return;

	new = bpio_route_clone(old);
	if (new) {
		mutex_lock(&volume->lock);
		rcu_assign_pointer(volume->route, new);
		mutex_unlock(&volume->lock);
		bpio_route_drain(old, volume->name);
		bpio_route_discard(old);
	} else {
		bpio_route_drain(old, volume->name);
		bpio_route_revive(old);
	}
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
 * Context: sleeps until reads on the old route have ended.
 */
void bpio_bypass_set_storage(struct bpio_volume *volume, bool enabled)
{
	struct bpio_route *route;
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
	if (!enabled)
		bpio_bypass_drain_locked(volume);
	bpio_bypass_unlock(volume, noio);
}

/**
 * bpio_bypass_set_pause() - pause the volume's stack, or end that
 * @volume: the volume
 * @paused: which
 *
 * Follows FS_BPIO_OP_VOLUME_STACK_PAUSE and RESUME; not counted. Meanwhile reads
 * enter the stack at the volume itself.
 *
 * Context: sleeps until reads on the old route have ended.
 */
void bpio_bypass_set_pause(struct bpio_volume *volume, bool paused)
{
	char who[BPIO_DRIVER_NAME_MAX + 1];

	snprintf(who, sizeof(who), "%s[%d]", current->comm,
		 task_tgid_vnr(current));
	mutex_lock(&bpio_layers_lock);
	if (paused)
		bpio_pause_set(&volume->pause, who, "Paused by a command.");
	else
		bpio_pause_clear(&volume->pause);
	mutex_unlock(&bpio_layers_lock);

	bpio_event_layer(paused ? "pause" : "resume", volume->dev, who, "");
	/* Also volumes above, whose reads come past this one. */
	bpio_bypass_requery_all();
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
 * bpio_bypass_init() - make the workqueue
 *
 * Return: 0 or -ENOMEM.
 */
int bpio_bypass_init(void)
{
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
