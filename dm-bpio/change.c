// SPDX-License-Identifier: GPL-2.0-only
/*
 * A layer comes, goes, or changes its mind, or bypass is switched off or on for all:
 * what that means for the volumes.
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

/* Let workers update all volumes now: resume hooks ask nobody themselves. */
static void bpio_change_tell_all(void)
{
	struct bpio_volume *volume = NULL;

	while ((volume = bpio_volume_next(volume)))
		bpio_bypass_update_now(volume, false);
}

/* Whether the route was made of what one of @layers said, or may just be. */
static bool bpio_change_concerns(const struct bpio_volume *volume,
				 struct bpio_layer *const *layers,
				 unsigned int nr)
{
	const struct bpio_route *route;
	bool met = false;
	unsigned int i;

	/* Before the route is looked at. Pairs with bpio_bypass_establish(). */
	if (smp_load_acquire(&volume->asking))
		return true;

	rcu_read_lock();
	route = rcu_dereference(volume->route);
	for (i = 0; route && !met && i < nr; i++)
		met = bpio_route_met_layer(route, layers[i]);
	rcu_read_unlock();
	return met;
}

/* Tickets: of reads that went past the layer, and of all if it was asked. */
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
	/* The next one to be retired, as soon as there is room for it. */
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
 * Layers would answer otherwise now. They may have gone since: only their addresses
 * are used. When one @objects, wait for the reads that went past them. @own is the
 * volume whose targets they are, or NULL.
 *
 * The volumes whose stack has a layer are asked again here, others by workers.
 *
 * A route that is made meanwhile of what the layer said before is not missed: the
 * layers have changed their mind before this is called, and who makes a route raises
 * volume->asking before it asks. So either that is seen here, or the layer was asked
 * after the change, or the route is published and found.
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

	/* Between the change and looking at the volumes; see above. */
	smp_mb();
	while ((volume = bpio_volume_next(volume))) {
		if (volume == own || bpio_change_concerns(volume, layers, nr))
			bpio_bypass_update(volume, true);
		else
			bpio_bypass_update_now(volume, true);
	}

	/* Only now, so that a volume that takes long keeps no other one waiting. */
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
 * Let no published route go past a layer that is off the list, so that no walk finds
 * it. Reads on these routes may still be in flight. Takes no lock of volumes that do
 * not have the layer.
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

/* Tell the kernel log whose reads past a layer last long. */
static void bpio_change_complain(const struct bpio_layer *layer)
{
	struct bpio_volume *volume = NULL;

	while ((volume = bpio_volume_next(volume)))
		bpio_bypass_complain(volume, layer);
}

/**
 * bpio_change_set_pause() - pause the volume's stack, or end that
 * @volume: the volume; its gate was entered
 * @paused: which
 *
 * Follows FS_BPIO_OP_VOLUME_STACK_PAUSE and RESUME; not counted. Meanwhile reads
 * enter the stack at the volume itself.
 *
 * Context: sleeps until reads past the volume have ended, its own and those of
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
	/* Both stay: the gate was entered. */
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
 * Context: before there are any.
 */
void __init bpio_change_init(void)
{
	bpio_layer_watch(&bpio_change_watcher);
}
