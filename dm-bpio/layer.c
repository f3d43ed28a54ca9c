// SPDX-License-Identifier: GPL-2.0-only
/*
 * The registered layers, and the functions of dm-bpio.h for them.
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
/* Raised when the result of a walk through some stack may have changed. */
atomic_t bpio_layers_generation = ATOMIC_INIT(0);
/* How long unregistering may wait before it is reported in the kernel log. */
#define BPIO_LAYER_PATIENCE	(5 * HZ)

/* Woken when a layer leaves its last route. */
static DECLARE_WAIT_QUEUE_HEAD(bpio_layers_wait);

static const struct bpio_layer_watcher *bpio_layers_watcher __ro_after_init;

/**
 * bpio_layer_watch() - register the callbacks for changes of layers
 * @watcher: the callbacks; stay valid as long as the module is loaded
 *
 * Context: once, before the first layer is registered.
 */
void __init bpio_layer_watch(const struct bpio_layer_watcher *watcher)
{
	bpio_layers_watcher = watcher;
}

/**
 * bpio_layer_join_route() - note that a new route contains the layer
 * @layer: the layer; on the list, or on another route
 *
 * Context: any.
 */
void bpio_layer_join_route(struct bpio_layer *layer)
{
	atomic_inc(&layer->routes);
}

/**
 * bpio_layer_leave_route() - note that a route with the layer was discarded
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
 * bpio_layer_find() - find the layer that maps a sector of a device
 * @dev: device number
 * @sector: 512-byte sector on it
 *
 * Context: bpio_layers_lock held.
 * Return: the layer, or NULL when no layer is registered for the sector.
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
 * bpio_layer_any_asks_files() - whether some layer has a callback for files
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
 * bpio_layer_register_top() - register a target of a volume as a layer
 * @ti: as bpio_layer_register()
 * @ops: likewise
 * @context: likewise
 * @pause: the pause of the volume, which outlives the layer
 * @any_storage: storage other than NVMe below it permits full bypass of the volume
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

	/* Reclaim may wait for the device that is being resumed. */
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
 * bpio_layer_register() - register a target as a layer
 * @ti: the target; its table is about to be live
 * @ops: its callbacks; must stay valid as long as the layer
 * @context: passed to the callbacks
 *
 * Volumes above query their stacks again soon afterwards, so their bypass comes back
 * by itself.
 *
 * Context: from the target's resume hook; may sleep.
 * Return: the layer, ERR_PTR(-EINVAL) without a map callback or with a name that
 * is empty or longer than BPIO_DRIVER_NAME_MAX, ERR_PTR(-ENOMEM). On error the target
 * counts as one that has not opted in, which is safe.
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
 * A target needs a lock against its own presuspend hook, which unregisters the layer.
 * That lock must not be held across a call that waits for reads, or other tasks that
 * need it would wait as well. So take a reference under the lock, drop the lock, and
 * make the call. The call does nothing once the layer is unregistered.
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

/* Routes under construction count too: they are soon published or discarded. */
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
 * bpio_layer_unregister() - unregister a layer
 * @layer: from bpio_layer_register(), or NULL or an ERR_PTR, which is ignored
 *
 * When this returns, no read that skipped the layer is in flight, and none will
 * start: the layer leaves the list first, so no walk finds it; then every route that
 * contains it is unpublished, drains, and is freed. This does not wait for volumes
 * whose routes do not contain the layer.
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
 * bpio_layer_changed() - apply new objections of a layer
 * @layer: the layer, which now objects to more than before
 *
 * The layer is queried again for the volumes above and for their enabled files. When
 * this returns, reads that skipped the layer and that it now vetoes have drained. So
 * the layer sees every read that starts later.
 *
 * Context: sleeps until direct reads have drained, which does not happen while a
 * device below is suspended. Not from a callback, nor with a lock held that other
 * tasks need, see bpio_layer_get().
 * Return: 0, or -EINTR when the task was killed while it waited: no new reads skip
 * the layer, but some may still be in flight.
 */
int bpio_layer_changed(struct bpio_layer *layer)
{
	atomic_inc(&bpio_layers_generation);
	return bpio_layers_watcher->changed(&layer, 1, true, NULL);
}
EXPORT_SYMBOL_GPL(bpio_layer_changed);

/**
 * bpio_layer_allows() - withdraw objections of a layer
 * @layer: the layer, which now objects to less than before
 *
 * The layer is queried again for the volumes above and their enabled files, so their
 * bypass comes back, usually before this returns. Reads in flight are not affected.
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
 * bpio_layer_pause() - the pause in force at a layer
 * @layer: the layer
 *
 * Context: bpio_layers_lock held.
 * Return: the layer's pause, or that of the volume whose target it is, or NULL.
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
 * bpio_pause_set() - start a pause
 * @pause: the pause
 * @who: driver or command
 * @why: a sentence
 *
 * Context: bpio_layers_lock held.
 * Return: whether it was not active before.
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
 * bpio_pause_clear() - end a pause
 * @pause: the pause
 *
 * Context: bpio_layers_lock held.
 * Return: whether it was active.
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
 * bpio_pause_layer() - make reads enter the stack at this layer for a while
 * @layer: the layer
 * @why: one sentence, shown to users; at most BPIO_PAUSE_TEXT_MAX bytes
 *
 * Corresponds to FS_BPIO_OP_VOLUME_STACK_PAUSE sent by a driver for its own volume:
 * pauses do not nest, reads that skipped the layer have drained when it returns, and
 * the layers above are still bypassed.
 *
 * Context: as bpio_layer_changed().
 * Return: 0; -ENODATA without a sentence, -E2BIG when it is too long; -EINTR when the
 * task was killed while it waited; the layer is paused all the same.
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
 * Ends the pause however often it was set. The stack is queried again, so bypass
 * comes back only if no layer objects.
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
 * bpio_layer_is_paused() - whether bpio_pause_layer() is in force
 * @layer: the layer
 *
 * Context: any.
 */
bool bpio_layer_is_paused(const struct bpio_layer *layer)
{
	return READ_ONCE(layer->pause.active);
}
EXPORT_SYMBOL_GPL(bpio_layer_is_paused);
