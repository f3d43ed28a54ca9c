// SPDX-License-Identifier: GPL-2.0-only
/*
 * The layers that take part, and what they may ask of the module.
 *
 * Level: layer.
 */
#include <linux/err.h>
#include <linux/export.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <linux/wait.h>

#include "event.h"
#include "layer.h"

/* Protects the list, every struct bpio_layer, and each walk through the stack. */
DEFINE_MUTEX(bpio_layers_lock);
static LIST_HEAD(bpio_layers);
/* Raised when a walk through some stack might find something else than before. */
atomic_t bpio_layers_generation = ATOMIC_INIT(0);
/* How long a layer may wait before the kernel log hears of it. */
#define BPIO_LAYER_PATIENCE	(5 * HZ)

/* Woken when a layer leaves its last route. */
static DECLARE_WAIT_QUEUE_HEAD(bpio_layers_wait);

static const struct bpio_layer_watcher *bpio_layers_watcher __ro_after_init;

/**
 * bpio_layer_watch() - register the callbacks for changes of layers
 * @watcher: the functions; for as long as the module is loaded
 *
 * Context: once, before there are layers.
 */
void __init bpio_layer_watch(const struct bpio_layer_watcher *watcher)
{
	bpio_layers_watcher = watcher;
}

/**
 * bpio_layer_join_route() - a route is made that has the layer
 * @layer: the layer; on the list, or on another route
 *
 * Context: any.
 */
void bpio_layer_join_route(struct bpio_layer *layer)
{
	atomic_inc(&layer->routes);
}

/**
 * bpio_layer_leave_route() - a route that had the layer is no more
 * @layer: the layer; may be freed from now on
 *
 * Context: may sleep.
 */
void bpio_layer_leave_route(struct bpio_layer *layer)
{
	if (atomic_dec_and_test(&layer->routes))
		wake_up_all(&bpio_layers_wait);
}

/**
 * bpio_layer_find() - the layer that holds a sector of a device
 * @dev: device number
 * @sector: 512-byte sector on it
 *
 * Context: bpio_layers_lock held.
 * Return: the layer, or NULL when no target there takes part.
 */
struct bpio_layer *bpio_layer_find(dev_t dev, sector_t sector)
{
	struct bpio_layer *layer;

	lockdep_assert_held(&bpio_layers_lock);

	list_for_each_entry(layer, &bpio_layers, node)
		if (layer->dev == dev && sector >= layer->begin &&
		    sector - layer->begin < layer->length)
			return layer;
	return NULL;
}

/**
 * bpio_layer_any_asks_files() - whether some layer has a say about files
 *
 * Context: bpio_layers_lock held.
 */
bool bpio_layer_any_asks_files(void)
{
	struct bpio_layer *layer;

	lockdep_assert_held(&bpio_layers_lock);

	list_for_each_entry(layer, &bpio_layers, node)
		if (layer->ops->file_pre || layer->ops->file_post)
			return true;
	return false;
}

static bool bpio_layer_ops_valid(const struct bpio_layer_ops *ops)
{
	return ops && ops->map && ops->name && *ops->name &&
	       strlen(ops->name) <= BPIO_DRIVER_NAME_MAX;
}

/**
 * bpio_layer_register_top() - a target of a volume begins to take part
 * @ti: as bpio_layer_register()
 * @ops: likewise
 * @context: likewise
 * @pause: the pause of the volume, which outlives the layer
 * @any_storage: below it, storage other than NVMe will do for full bypass of the
 *	volume
 *
 * Context: as bpio_layer_register().
 * Return: as bpio_layer_register().
 */
struct bpio_layer *bpio_layer_register_top(struct dm_target *ti,
					   const struct bpio_layer_ops *ops,
					   void *context,
					   const struct bpio_pause *pause,
					   bool any_storage)
{
	struct bpio_layer *layer;

	if (!bpio_layer_ops_valid(ops))
		return ERR_PTR(-EINVAL);

	/* The device that is being resumed may hold what memory waits for. */
	layer = kzalloc(sizeof(*layer), GFP_NOIO);
	if (!layer)
		return ERR_PTR(-ENOMEM);

	layer->dev = disk_devt(dm_disk(dm_table_get_md(ti->table)));
	layer->begin = ti->begin;
	layer->length = ti->len;
	layer->ops = ops;
	layer->context = context;
	layer->volume_pause = pause;
	layer->any_storage = any_storage;
	kref_init(&layer->ref);

	mutex_lock(&bpio_layers_lock);
	list_add_tail(&layer->node, &bpio_layers);
	atomic_inc(&bpio_layers_generation);
	mutex_unlock(&bpio_layers_lock);

	bpio_layers_watcher->appeared();
	return layer;
}

/**
 * bpio_layer_register() - a target begins to take part
 * @ti: the target; its table is about to be live
 * @ops: what it has to say; lives as long as the layer
 * @context: handed to @ops
 *
 * Volumes above are asked again soon afterwards, so their bypass comes back by
 * itself.
 *
 * Context: from the target's resume hook; may sleep.
 * Return: the layer, ERR_PTR(-EINVAL) without a map callback or with a name that
 * is empty or longer than BPIO_DRIVER_NAME_MAX, ERR_PTR(-ENOMEM). The layer then
 * counts as one that does not take part, which is safe.
 */
struct bpio_layer *bpio_layer_register(struct dm_target *ti,
				       const struct bpio_layer_ops *ops,
				       void *context)
{
	return bpio_layer_register_top(ti, ops, context, NULL, false);
}
EXPORT_SYMBOL_GPL(bpio_layer_register);

static void bpio_layer_free(struct kref *ref)
{
	kfree(container_of(ref, struct bpio_layer, ref));
}

/**
 * bpio_layer_get() - keep a layer usable across a call
 * @layer: a layer that is registered
 *
 * A lock of the target keeps its presuspend hook from unregistering the layer, but
 * must not be held across a call that waits for reads: others who need the lock would
 * wait as well. So take a reference under the lock, drop it, and make the call. It
 * does nothing once the layer is not registered any more.
 *
 * Context: any.
 */
void bpio_layer_get(struct bpio_layer *layer)
{
	kref_get(&layer->ref);
}
EXPORT_SYMBOL_GPL(bpio_layer_get);

/**
 * bpio_layer_put() - undo bpio_layer_get()
 * @layer: the layer
 *
 * Context: any.
 */
void bpio_layer_put(struct bpio_layer *layer)
{
	kref_put(&layer->ref, bpio_layer_free);
}
EXPORT_SYMBOL_GPL(bpio_layer_put);

/* A route that was being made just now is published, or not, soon. */
static void bpio_layer_await_routes(struct bpio_layer *layer)
{
	unsigned long patience = BPIO_LAYER_PATIENCE;
	unsigned long since = jiffies;

	bpio_layers_watcher->drop(layer);
	while (!wait_event_timeout(bpio_layers_wait,
				   !atomic_read(&layer->routes), HZ / 10)) {
		bpio_layers_watcher->drop(layer);
		if (time_before(jiffies, since + patience))
			continue;
		bpio_layers_watcher->complain(layer);
		patience *= 2;
	}
}

/**
 * bpio_layer_unregister() - a target stops to take part
 * @layer: from bpio_layer_register(), or NULL or an ERR_PTR, which is ignored
 *
 * When this returns, no read is in flight that went past the layer, and none
 * will be: it was taken off the list first, so no walk finds it, and then every
 * route that had it was unpublished, has drained, and is gone. Volumes that did
 * not have it on their routes are not looked at, whatever they wait for.
 *
 * Context: from the target's presuspend hook, while I/O still flows; sleeps
 * until direct reads have drained.
 */
void bpio_layer_unregister(struct bpio_layer *layer)
{
	if (IS_ERR_OR_NULL(layer))
		return;

	mutex_lock(&bpio_layers_lock);
	list_del(&layer->node);
	atomic_inc(&bpio_layers_generation);
	mutex_unlock(&bpio_layers_lock);

	bpio_layer_await_routes(layer);
	bpio_layer_put(layer);
}
EXPORT_SYMBOL_GPL(bpio_layer_unregister);

/**
 * bpio_layer_changed() - the layer objects to more than it did
 * @layer: the layer
 *
 * The volumes above are asked again, and so are their enabled files. Reads that
 * went past what is vetoed now have drained when this returns, so a layer that
 * begins to veto can rely on seeing every read that starts later.
 *
 * Context: sleeps until direct reads have drained, which they do not while a device
 * below is suspended; not from a callback, and with no lock held that others need,
 * see bpio_layer_get().
 * Return: 0, or -EINTR when the task was killed while it waited: no more reads go
 * past, but some may still be in flight.
 */
int bpio_layer_changed(struct bpio_layer *layer)
{
	atomic_inc(&bpio_layers_generation);
	return bpio_layers_watcher->changed(&layer, 1, true, NULL);
}
EXPORT_SYMBOL_GPL(bpio_layer_changed);

/**
 * bpio_layer_allows() - the layer objects to less than it did
 * @layer: the layer
 *
 * The volumes above and their enabled files are asked again, so their bypass comes
 * back, usually before this returns. Reads in flight do not matter.
 *
 * Context: sleeps for BPIO_BYPASS_ANSWER at most; not from a callback.
 */
void bpio_layer_allows(struct bpio_layer *layer)
{
	atomic_inc(&bpio_layers_generation);
	bpio_layers_watcher->changed(&layer, 1, false, NULL);
}
EXPORT_SYMBOL_GPL(bpio_layer_allows);

/**
 * bpio_layer_pause() - whether a layer is paused
 * @layer: the layer
 *
 * Context: bpio_layers_lock held.
 * Return: its pause, or that of the volume whose target it is, or NULL.
 */
const struct bpio_pause *bpio_layer_pause(const struct bpio_layer *layer)
{
	lockdep_assert_held(&bpio_layers_lock);

	if (layer->pause.active)
		return &layer->pause;
	if (layer->volume_pause && layer->volume_pause->active)
		return layer->volume_pause;
	return NULL;
}

/**
 * bpio_pause_set() - note a pause
 * @pause: where
 * @who: driver or command
 * @why: a sentence
 *
 * Context: bpio_layers_lock held.
 * Return: whether there was none before.
 */
bool bpio_pause_set(struct bpio_pause *pause, const char *who, const char *why)
{
	bool begins = !pause->active;

	lockdep_assert_held(&bpio_layers_lock);

	atomic_inc(&bpio_layers_generation);
	WRITE_ONCE(pause->active, true);
	pause->since = ktime_get_real_seconds();
	strscpy(pause->who, who, sizeof(pause->who));
	strscpy(pause->why, why, sizeof(pause->why));
	return begins;
}

/**
 * bpio_pause_clear() - note its end
 * @pause: where
 *
 * Context: bpio_layers_lock held.
 * Return: whether there was one.
 */
bool bpio_pause_clear(struct bpio_pause *pause)
{
	bool ends = pause->active;

	lockdep_assert_held(&bpio_layers_lock);

	atomic_inc(&bpio_layers_generation);
	WRITE_ONCE(pause->active, false);
	return ends;
}

/**
 * bpio_pause_layer() - let reads enter the stack at this layer for a while
 * @layer: the layer
 * @why: one sentence, shown to people; at most BPIO_PAUSE_TEXT_MAX bytes
 *
 * Follows FS_BPIO_OP_VOLUME_STACK_PAUSE, sent by a driver for its own volume:
 * not counted, may be repeated, direct reads past the layer have drained when it
 * returns, and bypass of what lies above the layer goes on.
 *
 * Context: as bpio_layer_changed().
 * Return: 0; -ENODATA without a sentence, -E2BIG when it is too long; -EINTR when the
 * task was killed while it waited, and the layer is paused all the same.
 */
int bpio_pause_layer(struct bpio_layer *layer, const char *why)
{
	bool begins;

	if (!why || !*why)
		return -ENODATA;
	if (strlen(why) > BPIO_PAUSE_TEXT_MAX)
		return -E2BIG;

	mutex_lock(&bpio_layers_lock);
	begins = bpio_pause_set(&layer->pause, layer->ops->name, why);
	mutex_unlock(&bpio_layers_lock);

	if (begins)
		bpio_event_layer(BPIO_EVENT_PAUSE, layer->dev, layer->ops->name,
				 why);
	return bpio_layers_watcher->changed(&layer, 1, true, NULL);
}
EXPORT_SYMBOL_GPL(bpio_pause_layer);

/**
 * bpio_resume_layer() - end bpio_pause_layer()
 * @layer: the layer
 *
 * Not counted. The stack is asked again, so bypass comes back only if nobody
 * else objects.
 *
 * Context: as bpio_layer_allows().
 */
void bpio_resume_layer(struct bpio_layer *layer)
{
	bool ends;

	mutex_lock(&bpio_layers_lock);
	ends = bpio_pause_clear(&layer->pause);
	mutex_unlock(&bpio_layers_lock);

	if (ends)
		bpio_event_layer(BPIO_EVENT_RESUME, layer->dev,
				 layer->ops->name, "");
	bpio_layers_watcher->changed(&layer, 1, false, NULL);
}
EXPORT_SYMBOL_GPL(bpio_resume_layer);

/**
 * bpio_layer_is_paused() - whether bpio_pause_layer() holds
 * @layer: the layer
 *
 * Context: any.
 */
bool bpio_layer_is_paused(const struct bpio_layer *layer)
{
	return READ_ONCE(layer->pause.active);
}
EXPORT_SYMBOL_GPL(bpio_layer_is_paused);
