// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tables: the bpio targets of one table, and when the table is live.
 *
 * A table may have many bpio targets, each for a segment of the volume, and lines of
 * other targets. There is one route for all of them.
 *
 * Why a route never leads to a stale or wrong sector. Device-mapper resumes and
 * suspends the targets of a table one by one, in their order.
 *
 * - A route exists only while its table is volume->table. The table is set there when
 *   the last of its bpio targets is resumed, and removed before any of them is
 *   suspended. All constructors of a table have run before its first resume hook, so
 *   the number of its bpio targets is final then. So no route is built while only some
 *   lines have a layer.
 * - The first presuspend hook of any bpio target withdraws the route and waits for its
 *   reads, while ordinary I/O still flows. The other hooks find nothing to do. Until
 *   then all targets map as before, so reads in flight reach the right sectors.
 * - A table that replaces another has another struct bpio_table. Its resume hooks run
 *   after all presuspend hooks of the old one. Its targets register new layers, from
 *   which the new route is built. Nothing of the old table is used any more.
 * - In the range of a line of another target, or of a bpio target that got no layer,
 *   the route enters the stack at the volume itself, at the same sector, as I/O of the
 *   file system does. Only the map method must not follow such a segment, because it
 *   would call itself. See bpio_map_onto().
 *
 * Level: door.
 */
#include <linux/slab.h>

#include "bypass.h"
#include "layer.h"
#include "table.h"
#include "volume.h"

#define DM_MSG_PREFIX "bpio"

static struct bpio_table *bpio_table_find(struct bpio_volume *volume,
					  const struct dm_table *dm)
{
	struct bpio_table *table;

	lockdep_assert_held(&volume->lock);

	list_for_each_entry(table, &volume->tables, node)
		if (table->dm == dm)
			return table;
	return NULL;
}

static struct bpio_table *bpio_table_create(struct bpio_volume *volume,
					    struct dm_table *dm)
{
	struct bpio_table *table = kzalloc(sizeof(*table), GFP_KERNEL);

	if (!table)
		return NULL;
	table->volume = volume;
	table->dm = dm;
	bpio_gate_init(&table->gate);
	mutex_lock(&volume->lock);
	list_add_tail(&table->node, &volume->tables);
	mutex_unlock(&volume->lock);
	return table;
}

static void bpio_table_free(struct bpio_table *table)
{
	struct bpio_volume *volume = table->volume;

	mutex_lock(&volume->lock);
	list_del(&table->node);
	mutex_unlock(&volume->lock);
	kfree(table->layers);
	kfree(table);
	bpio_volume_put(volume);
}

/* Nothing uses the layers of a table under construction, so the array may be moved. */
static int bpio_table_add(struct bpio_table *table, struct bpio_seat *seat,
			  const struct dm_target *ti)
{
	struct bpio_layer **layers;

	layers = krealloc_array(table->layers, table->nr + 1, sizeof(*layers),
				GFP_KERNEL);
	if (!layers)
		return -ENOMEM;
	layers[table->nr] = NULL;
	table->layers = layers;
	seat->table = table;

	mutex_lock(&table->volume->lock);
	seat->index = table->nr++;
	table->sectors += ti->len;
	mutex_unlock(&table->volume->lock);
	return 0;
}

/**
 * bpio_table_join() - add a target to the bpio targets of its table
 * @seat: out: the target's place
 * @ti: the target, which is being constructed
 *
 * The constructors of one table are called one after the other.
 *
 * Context: from the constructor; may sleep.
 * Return: 0 or -ENOMEM, with ti->error set.
 */
int bpio_table_join(struct bpio_seat *seat, struct dm_target *ti)
{
	struct mapped_device *md = dm_table_get_md(ti->table);
	struct bpio_volume *volume = bpio_volume_get(disk_devt(dm_disk(md)));
	struct bpio_table *table;

	ti->error = "Cannot allocate volume";
	if (!volume)
		return -ENOMEM;

	mutex_lock(&volume->lock);
	table = bpio_table_find(volume, ti->table);
	mutex_unlock(&volume->lock);
	/* A table holds one reference to the volume, for all of its targets. */
	if (table)
		bpio_volume_put(volume);
	else
		table = bpio_table_create(volume, ti->table);
	if (!table) {
		bpio_volume_put(volume);
		return -ENOMEM;
	}

	if (bpio_table_add(table, seat, ti)) {
		if (!table->nr)
			bpio_table_free(table);
		return -ENOMEM;
	}
	ti->error = NULL;
	return 0;
}

/**
 * bpio_table_leave() - undo bpio_table_join()
 * @seat: the target's place
 * @ti: the target, which is being destroyed
 *
 * Context: from the destructor; may sleep.
 */
void bpio_table_leave(struct bpio_seat *seat, struct dm_target *ti)
{
	struct bpio_table *table = seat->table;
	unsigned int left;

	mutex_lock(&table->volume->lock);
	left = --table->nr;
	table->sectors -= ti->len;
	mutex_unlock(&table->volume->lock);
	if (!left)
		bpio_table_free(table);
}

/* Return: whether this was the last bpio target to become live. */
static bool bpio_table_note_live(struct bpio_table *table)
{
	bool all;

	mutex_lock(&table->volume->lock);
	all = ++table->live == table->nr;
	mutex_unlock(&table->volume->lock);
	return all;
}

/**
 * bpio_table_resume() - make a target live; the last one makes the table live
 * @seat: the target's place
 * @ti: the target
 * @ops: callbacks of its layer
 * @context: for @ops
 * @any_storage: accept storage other than NVMe below it
 *
 * Context: from the resume hook; may sleep.
 */
void bpio_table_resume(struct bpio_seat *seat, struct dm_target *ti,
		       const struct bpio_layer_ops *ops, void *context,
		       bool any_storage)
{
	struct bpio_table *table = seat->table;
	struct bpio_volume *volume = table->volume;
	struct bpio_layer *layer;

	layer = bpio_layer_register_top(ti, ops, context, &volume->pause,
					any_storage);
	if (IS_ERR(layer))
		DMERR("%s: no memory for a layer, its reads enter at the volume",
		      volume->name);
	table->layers[seat->index] = layer;

	if (!bpio_table_note_live(table))
		return;
	bpio_bypass_attach(volume, table);
	bpio_gate_open(&table->gate);
}

/**
 * bpio_table_presuspend() - stop direct reads and operations before a suspend
 * @seat: the target's place
 *
 * It is still safe to wait here, because I/O still flows, including that of direct
 * reads and of page faults in control operations. When this returns, neither is in
 * flight, and none starts until all targets of this table, or of its successor, are
 * resumed.
 *
 * Context: from the presuspend hook; sleeps.
 */
void bpio_table_presuspend(struct bpio_seat *seat)
{
	struct bpio_table *table = seat->table;
	struct bpio_volume *volume = table->volume;

	bpio_gate_close(&table->gate);
	mutex_lock(&volume->lock);
	table->live--;
	mutex_unlock(&volume->lock);
	bpio_bypass_detach(volume, table);
	bpio_layer_unregister(table->layers[seat->index]);
	table->layers[seat->index] = NULL;
}
