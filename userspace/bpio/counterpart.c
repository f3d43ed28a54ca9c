// SPDX-License-Identifier: GPL-2.0-only
/*
 * See counterpart.h. A dm-bpio target has the arguments of the stock target that maps
 * in the same way, followed by features.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "counterpart.h"
#include "mapped.h"

#define ANY_STORAGE	" 1 any_storage"

static const struct pair {
	const char *stock;
	const char *bpio;
} pairs[] = {
	{ "linear",	"bpio" },
	{ "striped",	"bpio-striped" },
};

static const struct pair *find_pair(const char *type)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(pairs); i++)
		if (!strcmp(type, pairs[i].stock) ||
		    !strcmp(type, pairs[i].bpio))
			return &pairs[i];
	return NULL;
}

/* Length of the arguments that both targets of a pair accept */
static size_t common_length(const struct pair *pair, const char *params)
{
	unsigned long words = 2;
	const char *at = params;

	/* <number of stripes> <chunk size> [<device> <offset>]... */
	if (pair == &pairs[1])
		words += 2 * strtoul(params, NULL, 10);
	while (words--) {
		at += strspn(at, " ");
		at += strcspn(at, " ");
		if (!*at)
			break;
	}
	return at - params;
}

static void add_counterpart(struct table *to, const struct pair *pair,
			    const struct target *target,
			    enum direction direction, bool any_storage)
{
	size_t length = common_length(pair, target->params);
	const char *features = target->params + length;
	char *params;

	if (direction != TO_BPIO)
		features = "";
	else if (any_storage && !*features)
		features = ANY_STORAGE;
	if (asprintf(&params, "%.*s%s", (int)length, target->params,
		     features) < 0)
		abort();
	table_add(to, target->start, target->length,
		  direction == TO_BPIO ? pair->bpio : pair->stock, params);
	free(params);
}

bool counterpart(const struct table *from, enum direction direction,
		 bool any_storage, struct table *to)
{
	size_t i;

	*to = (struct table) { 0 };
	if (!from->count || counterpart_unknown(from))
		return false;
	for (i = 0; i < from->count; i++) {
		const struct target *target = &from->targets[i];

		add_counterpart(to, find_pair(target->type), target, direction,
				any_storage);
	}
	return true;
}

bool counterpart_is_volume(const struct table *table)
{
	size_t i;

	for (i = 0; i < table->count; i++) {
		const struct target *target = &table->targets[i];
		const struct pair *pair = find_pair(target->type);

		if (!pair || strcmp(target->type, pair->bpio))
			return false;
	}
	return table->count;
}

const char *counterpart_unknown(const struct table *table)
{
	size_t i;

	for (i = 0; i < table->count; i++)
		if (!find_pair(table->targets[i].type))
			return table->targets[i].type;
	return NULL;
}

const char *counterpart_obstacle(const char *type)
{
	static const struct {
		const char *type;
		const char *clause;
	} obstacles[] = {
		{ "raid",
		  "a RAID (target raid), whose legs may differ while it "
		  "synchronizes, so reads never skip it; convert it to a "
		  "linear volume (lvconvert -m 0), or make a volume above "
		  "it for a partial bypass" },
		{ "mirror",
		  "a mirror, whose legs may differ while it synchronizes, "
		  "so reads never skip it; wait until it is removed "
		  "(pvmove) or convert it (lvconvert -m 0)" },
		{ "thin",
		  "a thin volume, whose blocks its pool allocates and "
		  "moves; copy the data to a linear or striped volume" },
		{ "thin-pool",
		  "a thin pool, which moves its blocks; use a linear or "
		  "striped volume instead" },
		{ "snapshot-origin",
		  "the origin of a snapshot, whose writes the snapshot "
		  "must see first; adopt it when the snapshot is removed "
		  "(lvremove) or merged (lvconvert --merge)" },
		{ "snapshot",
		  "a snapshot, whose blocks are spread over its origin and "
		  "its own store; copy the data to a linear volume" },
		{ "snapshot-merge",
		  "merging a snapshot; adopt it when that is done" },
		{ "cache",
		  "a cached volume, whose newest blocks may be in the "
		  "cache only; detach the cache (lvconvert --uncache)" },
		{ "writecache",
		  "a volume with a write cache, whose newest blocks may be "
		  "in the cache only; detach it (lvconvert --splitcache)" },
		{ "crypt",
		  "encrypted (target crypt), and encryption is never skipped" },
		{ "verity",
		  "verified (target verity), and verification is never skipped" },
		{ "integrity",
		  "verified (target integrity), and verification is never "
		  "skipped" },
		{ "multipath",
		  "a multipath map, which chooses a path for each request; "
		  "for NVMe use the driver's own multipath "
		  "(nvme_core.multipath=Y)" },
		{ "vdo",
		  "a VDO volume, whose blocks are compressed and shared; "
		  "copy the data to a linear volume" },
		{ "error",
		  "a table of target error, which has no blocks; find out "
		  "what replaced its table (vgs, dmsetup table)" },
		{ "md",
		  "an md array, which is not a mapped device; make a volume "
		  "above it for a partial bypass, see dm-bpio(4)" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(obstacles); i++)
		if (!strcmp(type, obstacles[i].type))
			return obstacles[i].clause;
	return NULL;
}
