// SPDX-License-Identifier: GPL-2.0-only
/*
 * The report of a walk through the stack: a verdict, and a row for each layer.
 *
 * Level: stack.
 */
#include <linux/fs.h>
#include <linux/minmax.h>
#include <linux/string.h>

#include "bypass.h"
#include "layer.h"
#include "view.h"
#include "volume.h"

/**
 * bpio_view_object() - record an objection
 * @view: the view
 * @dev: the device that does not permit bypass, or whose layer objects
 * @verdict: the objection; only the topmost is reported
 *
 * Context: any.
 */
void bpio_view_object(struct bpio_view *view, dev_t dev,
		      const struct bpio_results *verdict)
{
	if (view->results.op_status)
		return;
	view->results = *verdict;
	view->objector = dev;
}

/**
 * bpio_view_has_row() - whether a device already has a row
 * @view: the view
 * @dev: the device; it may be reached by several segments
 *
 * Context: any.
 */
bool bpio_view_has_row(const struct bpio_view *view, dev_t dev)
{
	unsigned int nr = min(view->nr, view->room);
	unsigned int i;

	for (i = 0; i < nr; i++)
		if (view->rows[i].major == MAJOR(dev) &&
		    view->rows[i].minor == MINOR(dev))
			return true;
	return false;
}

static u16 bpio_view_copy(u8 *to, size_t room, const char *from)
{
	size_t len = min(strlen(from), room);

	memcpy(to, from, len);
	return len;
}

/**
 * bpio_view_add_row() - add a row at the bottom
 * @view: the view
 * @dev: mapped device of the layer, or storage device
 * @depth: number of devices above it
 * @name: its name
 * @verdict: its answer for the volume. If an earlier walk over the same rows was
 *	about a file, an objection to the file stays, because it takes precedence.
 *
 * Context: any.
 * Return: the row, or NULL when there is no room for it.
 */
struct bpio_layer_info *bpio_view_add_row(struct bpio_view *view, dev_t dev,
					  unsigned int depth, const char *name,
					  const struct bpio_results *verdict)
{
	struct bpio_layer_info *row;
	struct bpio_results said;

	if (view->nr++ >= view->room)
		return NULL;

	row = &view->rows[view->nr - 1];
	said = row->verdict.reason == BPIO_REASON_FILE_VETO ? row->verdict :
							      *verdict;
	memset(row, 0, sizeof(*row));
	row->major = MAJOR(dev);
	row->minor = MINOR(dev);
	row->depth = depth;
	row->verdict = said;
	row->name_len = bpio_view_copy(row->name, sizeof(row->name), name);
	return row;
}

/* Find the row of another layer of the same device, at the same depth. */
static struct bpio_layer_info *bpio_view_find_layer(const struct bpio_view *view,
						    const struct bpio_layer *layer,
						    unsigned int depth)
{
	unsigned int nr = min(view->nr, view->room);
	const char *name = layer->ops->name;
	struct bpio_layer_info *row;
	unsigned int i;

	for (i = 0; i < nr; i++) {
		row = &view->rows[i];
		if (row->major == MAJOR(layer->dev) &&
		    row->minor == MINOR(layer->dev) && row->depth == depth &&
		    row->name_len == strlen(name) &&
		    !memcmp(row->name, name, row->name_len))
			return row;
	}
	return NULL;
}

/**
 * bpio_view_add_layer() - add the row of a layer
 * @view: the view
 * @volume: the volume at the top of the walk
 * @layer: the layer
 * @pause: its pause, or NULL
 * @depth: number of devices above it
 * @verdict: its answer
 *
 * The targets of one device share a row. The row has the first objection and the
 * first pause of any of them, and says "bypassed" only if reads skip them all.
 *
 * Context: bpio_layers_lock and volume->drain_lock held.
 */
void bpio_view_add_layer(struct bpio_view *view, struct bpio_volume *volume,
			 struct bpio_layer *layer,
			 const struct bpio_pause *pause, unsigned int depth,
			 const struct bpio_results *verdict)
{
	bool skips = bpio_bypass_skips(volume, layer);
	u64 reads = layer->bypassed;
	struct bpio_layer_info *row;

	lockdep_assert_held(&bpio_layers_lock);

	row = bpio_view_find_layer(view, layer, depth);
	if (row) {
		if (!row->verdict.op_status)
			row->verdict = *verdict;
	} else {
		row = bpio_view_add_row(view, layer->dev, depth,
					layer->ops->name, verdict);
		if (!row)
			return;
		row->flags = BPIO_LAYER_TAKES_PART | BPIO_LAYER_BYPASSED;
	}

	if (!skips || volume->idle)
		row->flags &= ~BPIO_LAYER_BYPASSED;
	if (skips)
		reads += bpio_bypass_route_reads(volume);
	row->bypassed_reads = max(row->bypassed_reads, reads);
	if (pause && !(row->flags & BPIO_LAYER_PAUSED)) {
		row->flags |= BPIO_LAYER_PAUSED;
		row->paused_since = pause->since;
		row->who_len = bpio_view_copy(row->who, sizeof(row->who),
					      pause->who);
		row->why_len = bpio_view_copy(row->why, sizeof(row->why),
					      pause->why);
	}
}
