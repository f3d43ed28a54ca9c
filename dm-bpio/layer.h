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
 * struct bpio_pause - who holds up the bypass at a place, since when, and why
 * @active: whether anybody does
 * @since: seconds since the epoch
 * @who: a driver, or a command and its process number
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
 * @begin: first 512-byte sector of @dev that is its
 * @length: sectors
 * @ops: what it has to say
 * @context: for @ops
 * @pause: its own pause
 * @volume_pause: the pause of the volume it is a target of, or NULL
 * @any_storage: it is a target of a volume, for whose full bypass storage other than
 *	NVMe will do below it
 * @bypassed: reads that went past it on routes that are retired
 * @routes: routes that have it; the layer stays until there is none
 * @ref: for being registered, and bpio_layer_get()
 *
 * Everything is protected by bpio_layers_lock, and constant but for @pause,
 * @bypassed, @routes and @ref. On a route the pointer is valid without the lock, because
 * bpio_layer_unregister() waits until no route has it.
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
 * @changed: layers would answer otherwise now; see bpio_change_tell()
 * @drop: let no published route go past a layer that is off the list
 * @complain: tell the kernel log whose reads past the layer last long
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
