// SPDX-License-Identifier: GPL-2.0-only
/*
 * Updates the volumes when a layer comes, goes, or changes its answer, and when the
 * module parameter switches all bypass off or on.
 *
 * Level: bypass.
 */
#include <linux/init.h>
#include <linux/moduleparam.h>
#include <linux/sched.h>

#include "bypass.h"
#include "change.h"
#include "event.h"
#include "layer.h"
#include "route.h"
#include "standing.h"
#include "table.h"
#include "volume.h"

/* Queue updates of all volumes: resume hooks do not query layers themselves. */
static void bpio_change_tell_all(void)
{
	struct bpio_volume *volume = NULL;

	while ((volume = bpio_volume_next(volume)))
		bpio_bypass_update_now(volume, false);
}

/* Whether the route depends on one of @layers, also one that is being built. */
static bool bpio_change_concerns(const struct bpio_volume *volume,
				 struct bpio_layer *const *layers,
				 unsigned int nr)
{
	const struct bpio_route *route;
	bool met = false;
	unsigned int i;

	/* Read before the route. Pairs with bpio_bypass_establish(). */
	if (smp_load_acquire(&volume->asking))
		return true;

	rcu_read_lock();
	route = rcu_dereference(volume->route);
	for (i = 0; route && !met && i < nr; i++)
		met = bpio_route_met_layer(route, layers[i]);
	rcu_read_unlock();
	return met;
}

/* Find the tickets for reads that skipped the layer, and for all if it was queried. */
static void bpio_change_find(struct bpio_volume *volume,
			     const struct bpio_layer *layer,
			     unsigned long *past, unsigned long *met)
{
	const struct bpio_route *route;
	unsigned int noio;

	noio = bpio_bypass_lock(volume);
	list_for_each_entry(route, &volume->drain.retired, node) {
		if (bpio_route_has_layer(route, layer))
			*past = max(*past, route->number);
		if (bpio_route_met_layer(route, layer))
			*met = volume->drain.begun;
	}
	/* The current route is retired next, as soon as another one has drained. */
	if (volume->drain_again && bpio_bypass_skips(volume, layer))
		*past = volume->drain.begun + 1;
	bpio_bypass_unlock(volume, noio);
}

static int bpio_change_await(struct bpio_volume *volume,
			     struct bpio_layer *const *layers, unsigned int nr,
			     bool objects, unsigned long deadline)
{
	unsigned long past, met, now;
	unsigned int i;
	int ret = 0;

	if (bpio_drain_is_idle(&volume->drain))
		return 0;

	past = READ_ONCE(volume->drain.ended);
	met = past;
	for (i = 0; i < nr; i++)
		bpio_change_find(volume, layers[i], &past, &met);
	if (objects)
		ret = bpio_bypass_wait(volume, past);
	now = jiffies;
	if (!ret && !bpio_drain_reached(&volume->drain, met) &&
	    time_before(now, deadline))
		bpio_bypass_settle(volume, deadline - now);
	return ret;
}

/*
 * The answers of layers have changed. The layers may already have been freed: only
 * their addresses are used. If one @objects, wait for the reads that skipped it. @own
 * is the volume whose targets they are, or NULL.
 *
 * The volumes whose stack contains one of the layers are updated here, others by
 * workers.
 *
 * A route that is being built from an old answer is not missed: the answers change
 * before this is called, and the builder of a route sets volume->asking before it
 * queries the layers. So either this function sees the flag, or the layer was queried
 * after the change, or the route is published and found here.
 *
 * Sleeps until the reads have ended, with no lock held. Return: 0, or -EINTR when the
 * task was killed while it waited.
 */
static int bpio_change_tell(struct bpio_layer *const *layers, unsigned int nr,
			    bool objects, const struct bpio_volume *own)
{
	unsigned long deadline = jiffies + BPIO_BYPASS_ANSWER;
	struct bpio_volume *volume = NULL;
	int ret;

	/* Between the change of the answers and the check of the volumes; see above. */
	smp_mb();
	while ((volume = bpio_volume_next(volume))) {
		if (volume == own || bpio_change_concerns(volume, layers, nr))
			bpio_bypass_update(volume, true);
		else
			bpio_bypass_update_now(volume, true);
	}

	/* A second pass, so that a wait for one volume does not delay the others. */
	while ((volume = bpio_volume_next(volume))) {
		ret = bpio_change_await(volume, layers, nr, objects, deadline);
		if (ret) {
			bpio_volume_put(volume);
			return ret;
		}
	}
	return 0;
}

/*
 * Withdraw all published routes that skip a layer. The layer is already off the list,
 * so no walk finds it again. Reads on these routes may still be in flight. Takes no
 * lock of volumes whose routes do not contain the layer.
 */
static void bpio_change_drop_layer(struct bpio_layer *layer)
{
	struct bpio_volume *volume = NULL;
	unsigned int noio;

	while ((volume = bpio_volume_next(volume))) {
		if (!bpio_change_concerns(volume, &layer, 1))
			continue;
		noio = bpio_bypass_lock(volume);
		if (bpio_bypass_skips(volume, layer)) {
			bpio_bypass_withdraw(volume,
					     BPIO_REASON_VOLUME_SUSPENDED);
			set_bit(BPIO_MAP_AWAITS, &volume->map_watch);
			bpio_standing_tell(volume);
		}
		bpio_bypass_unlock(volume, noio);
	}
}

/* Log the volumes whose reads that skipped a layer take long. */
static void bpio_change_complain(const struct bpio_layer *layer)
{
	struct bpio_volume *volume = NULL;

	while ((volume = bpio_volume_next(volume)))
		bpio_bypass_complain(volume, layer);
}

/**
 * bpio_change_set_pause() - pause or resume the volume's stack
 * @volume: the volume; the caller is inside its gate
 * @paused: true to pause, false to resume
 *
 * Implements FS_BPIO_OP_VOLUME_STACK_PAUSE and RESUME; pauses do not nest. While
 * paused, reads enter the stack at the volume itself.
 *
 * Context: sleeps until reads that skipped the volume have ended, its own and those of
 * volumes above; no lock held.
 * Return: 0, or -EINTR when the task was killed meanwhile.
 */
int bpio_change_set_pause(struct bpio_volume *volume, bool paused)
{
	const struct bpio_table *table = volume->table;
	char who[BPIO_DRIVER_NAME_MAX + 1];
	bool changed;

	snprintf(who, sizeof(who), "%s[%d]", current->comm,
		 task_tgid_vnr(current));
	mutex_lock(&bpio_layers_lock);
	if (paused)
		changed = bpio_pause_set(&volume->pause, who,
					 "Paused by a command.");
	else
		changed = bpio_pause_clear(&volume->pause);
	mutex_unlock(&bpio_layers_lock);

	if (changed)
		bpio_event_layer(paused ? BPIO_EVENT_PAUSE : BPIO_EVENT_RESUME,
				 volume->dev, who, "");
	/* Inside the gate, so the table and its layers stay valid. */
	return bpio_change_tell(table->layers, table->nr, paused, volume);
}

/* The worker sends the events. */
static int bpio_change_set_switch(const char *val, const struct kernel_param *kp)
{
	int ret = param_set_bool(val, kp);

	if (!ret)
		bpio_change_tell_all();
	return ret;
}

static const struct kernel_param_ops bpio_change_switch_ops = {
	.flags	= KERNEL_PARAM_OPS_FL_NOARG,
	.set	= bpio_change_set_switch,
	.get	= param_get_bool,
};

module_param_cb(bypass, &bpio_change_switch_ops, &bpio_standing_on, 0644);
__MODULE_PARM_TYPE(bypass, "bool");
MODULE_PARM_DESC(bypass, "Let reads go direct; N makes the file system serve all");

static const struct bpio_layer_watcher bpio_change_watcher = {
	.appeared	= bpio_change_tell_all,
	.changed	= bpio_change_tell,
	.drop		= bpio_change_drop_layer,
	.complain	= bpio_change_complain,
};

/**
 * bpio_change_init() - register for changes of layers
 *
 * Context: before the first layer is registered.
 */
void __init bpio_change_init(void)
{
	bpio_layer_watch(&bpio_change_watcher);
}
