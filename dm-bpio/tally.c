// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tallies: sums over all files that were enabled through one open of /dev/bpio,
 * including those that were closed or whose process was killed.
 *
 * Level: open file.
 */
#include <linux/slab.h>

#include "open_file.h"
#include "tally.h"

/**
 * bpio_tally_create() - allocate a tally
 *
 * Context: may sleep; charged to the memory cgroup of the caller.
 * Return: the tally with a reference, or NULL without memory.
 */
struct bpio_tally_ctx *bpio_tally_create(void)
{
	struct bpio_tally_ctx *tally = kzalloc(sizeof(*tally), GFP_KERNEL_ACCOUNT);

	if (!tally)
		return NULL;
	kref_init(&tally->ref);
	mutex_init(&tally->lock);
	INIT_LIST_HEAD(&tally->opens);
	return tally;
}

static void bpio_tally_release(struct kref *ref)
{
	struct bpio_tally_ctx *tally = container_of(ref, struct bpio_tally_ctx, ref);

	/* Each open file in the list holds a reference. */
	WARN_ON(!list_empty(&tally->opens));
	mutex_destroy(&tally->lock);
	kfree(tally);
}

/**
 * bpio_tally_put() - drop a reference
 * @tally: the tally
 */
void bpio_tally_put(struct bpio_tally_ctx *tally)
{
	kref_put(&tally->ref, bpio_tally_release);
}

/**
 * bpio_tally_add() - add an open file to a tally
 * @tally: the tally, or NULL for none
 * @of: the open file, enabled for the first time
 *
 * Context: may sleep.
 */
void bpio_tally_add(struct bpio_tally_ctx *tally, struct bpio_open_file *of)
{
	if (!tally)
		return;

	kref_get(&tally->ref);
	of->tally = tally;
	mutex_lock(&tally->lock);
	list_add_tail(&of->tally_node, &tally->opens);
	tally->sum.files++;
	mutex_unlock(&tally->lock);
}

static void bpio_tally_sum(const struct bpio_open_file *of, struct bpio_tally *sum)
{
	struct bpio_counters counters = {};

	bpio_open_file_count(of, &counters, sum->fallback_reason);
	sum->direct_reads += counters.direct_reads;
	sum->direct_bytes += counters.direct_bytes;
	sum->fallback_reads += counters.fallback_reads;
	sum->fallback_bytes += counters.fallback_bytes;
}

/**
 * bpio_tally_remove() - remove an open file, keeping its counts in the sum
 * @of: the open file; all its reads have ended
 *
 * Context: may sleep.
 */
void bpio_tally_remove(struct bpio_open_file *of)
{
	struct bpio_tally_ctx *tally = of->tally;

	if (!tally)
		return;

	mutex_lock(&tally->lock);
	bpio_tally_sum(of, &tally->sum);
	list_del(&of->tally_node);
	mutex_unlock(&tally->lock);
	bpio_tally_put(tally);
}

/**
 * bpio_tally_refuse() - count a file that was not enabled
 * @tally: the tally, or NULL for none
 * @reason: enum bpio_reason
 *
 * Context: may sleep.
 */
void bpio_tally_refuse(struct bpio_tally_ctx *tally, unsigned int reason)
{
	if (!tally)
		return;

	mutex_lock(&tally->lock);
	tally->sum.refused++;
	if (reason < BPIO_REASON_SLOTS)
		tally->sum.refused_reason[reason]++;
	mutex_unlock(&tally->lock);
}

/**
 * bpio_tally_read() - sum up
 * @tally: the tally
 * @sum: out: the sum; all fields except size
 *
 * Context: may sleep.
 */
void bpio_tally_read(struct bpio_tally_ctx *tally, struct bpio_tally *sum)
{
	struct bpio_open_file *of;

	mutex_lock(&tally->lock);
	*sum = tally->sum;
	list_for_each_entry(of, &tally->opens, tally_node) {
		sum->open_files += !READ_ONCE(of->disabled);
		bpio_tally_sum(of, sum);
	}
	mutex_unlock(&tally->lock);
}
