/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_LAYER_H
#define BPIO_LAYER_H

#include <linux/atomic.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/types.h>

#include "dm-bpio.h"

struct bpio_volume;

/**
 * struct bpio_pause - a pause of the bypass, of a layer or a volume
 * @active: whether the pause is in force
 * @since: seconds since the epoch
 * @who: a driver, or a command and its process ID
 * @why: a sentence
 */
struct bpio_pause {
	bool			active;
	time64_t		since;
	char			who[BPIO_DRIVER_NAME_MAX + 1];
	char			why[BPIO_PAUSE_TEXT_MAX + 1];
};

/**
 * struct bpio_layer - a live target that takes part
 * @node: in the list of all layers
 * @dev: mapped device it is part of
 * @begin: first 512-byte sector of @dev that belongs to it
 * @length: sectors
 * @ops: its callbacks
 * @context: for @ops
 * @pause: its own pause
 * @volume_pause: the pause of the volume it is a target of, or NULL
 * @any_storage: a target of a volume that accepts storage other than NVMe below it
 *	for full bypass
 * @bypassed: reads that skipped it, on routes that are retired
 * @routes: number of routes that contain it; the layer exists until that is 0
 * @ref: one while registered, and those of bpio_layer_get()
 *
 * bpio_layers_lock protects everything; only @pause, @bypassed, @routes and @ref
 * change. A route may use its pointer to the layer without the lock, because
 * bpio_layer_unregister() waits until no route contains the layer.
 */
struct bpio_layer {
	struct list_head		node;
	dev_t				dev;
	sector_t			begin;
	sector_t			length;
	const struct bpio_layer_ops	*ops;
	void				*context;
	struct bpio_pause		pause;
	const struct bpio_pause		*volume_pause;
	bool				any_storage;
	u64				bypassed;
	atomic_t			routes;
	struct kref			ref;
};

/**
 * struct bpio_layer_watcher - callbacks for changes of layers
 * @appeared: a layer was registered; may sleep, waits for no read
 * @changed: layers would give a different answer now; see bpio_change_tell()
 * @drop: withdraw all published routes that skip a layer which is off the list
 * @complain: log the volumes whose reads that skipped the layer take long
 */
struct bpio_layer_watcher {
	void	(*appeared)(void);
	int	(*changed)(struct bpio_layer *const *layers, unsigned int nr,
			   bool objects, const struct bpio_volume *own);
	void	(*drop)(struct bpio_layer *layer);
	void	(*complain)(const struct bpio_layer *layer);
};

extern struct mutex bpio_layers_lock;
extern atomic_t bpio_layers_generation;

void bpio_layer_watch(const struct bpio_layer_watcher *watcher);
struct bpio_layer *bpio_layer_register_top(struct dm_target *ti,
					   const struct bpio_layer_ops *ops,
					   void *context,
					   const struct bpio_pause *pause,
					   bool any_storage);
struct bpio_layer *bpio_layer_find(dev_t dev, sector_t sector);
bool bpio_layer_any_asks_files(void);
const struct bpio_pause *bpio_layer_pause(const struct bpio_layer *layer);
void bpio_layer_join_route(struct bpio_layer *layer);
void bpio_layer_leave_route(struct bpio_layer *layer);
bool bpio_pause_set(struct bpio_pause *pause, const char *who, const char *why);
bool bpio_pause_clear(struct bpio_pause *pause);

#endif /* BPIO_LAYER_H */
