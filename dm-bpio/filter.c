// SPDX-License-Identifier: GPL-2.0-only
/*
 * The device-mapper target "bpio-filter": a layer that takes part in BypassIO.
 *
 * It passes all I/O through, counts what it sees, and objects to bypass on request. So
 * a test can use it in place of an encryption filter, a snapshot driver or a scanner.
 * It is also the example to copy for a target that is to take part: it uses nothing of
 * BypassIO except dm-bpio.h. The objections themselves are in filter_rule.c. Four things
 * make it a layer; each is marked below:
 *
 *	(1) it registers when its table becomes live, and unregisters before it
 *	    is suspended
 *	(2) a callback returns where its sectors are below, and, if they are striped,
 *	    another one where each leg begins
 *	(3) callbacks answer queries, for a file or for the volume, and may veto
 *	(4) it reports when its answers change, and pauses while it works, without
 *	    a lock held, because both wait for reads
 *
 * Constructor:
 *	<device> <offset> [<#opt> [striped <#stripes> <chunk> [<device> <offset>]...]
 *				  [veto <errno> <reason>]
 *				  [file_veto <pattern> <errno> <reason>]...]
 * Messages:
 *	veto <errno> <reason>
 *	allow
 *	file_veto <pattern> <errno> <reason>
 *	file_allow <pattern>
 *	pause <why>
 *	resume
 *
 * With "striped", consecutive chunks of so many sectors lie on consecutive legs, as
 * dm-stripe maps them. The first leg is the device that the line begins with; the option
 * names the others.
 *
 * A pattern is an inode number or a glob for the name of the file. In a table, put a
 * reason of several words in double quotes; #opt counts each word. In a message the
 * quotes may be omitted.
 */
#include <linux/blkdev.h>
#include <linux/device-mapper.h>
#include <linux/err.h>
#include <linux/math64.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/overflow.h>
#include <linux/slab.h>

#include "dm-bpio.h"
#include "filter_rule.h"

#define DM_MSG_PREFIX "bpio-filter"

/**
 * struct filter_leg - a device below
 * @dev: the device
 * @start: first 512-byte sector of @dev
 */
struct filter_leg {
	struct dm_dev		*dev;
	sector_t		start;
};

/**
 * struct filter - one instance of the target
 * @ti: the target
 * @chunk: 512-byte sectors of a chunk; 0 if it is not striped
 * @width: sectors that it uses of each leg
 * @reads: reads that passed through the layer
 * @writes: writes that passed through the layer
 * @rules: its objections
 * @layer_lock: protects @layer. Not held across a call that waits for reads, or
 *	other tasks that need it would wait too: see filter_get_layer().
 * @layer: the registered layer, NULL while the target is suspended
 * @nr: number of open @legs
 * @legs: the devices below; one if it is not striped
 */
struct filter {
	struct dm_target	*ti;
	u32			chunk;
	sector_t		width;
	atomic64_t		reads;
	atomic64_t		writes;
	struct filter_rules	rules;

	struct mutex		layer_lock;	/* see above */
	struct bpio_layer	*layer;

	unsigned int		nr;
	struct filter_leg	legs[];
};

/* (2) Return the mapping that the map method applies to reads. */
static int filter_layer_map(void *context, sector_t sector,
			    struct bpio_mapping *mapping)
{
	const struct filter *filter = context;

	mapping->length = filter->ti->len - sector;
	if (filter->chunk) {
		mapping->sector = sector;
		mapping->stripes = filter->nr;
		mapping->chunk = filter->chunk;
		return 0;
	}
	mapping->bdev = filter->legs[0].dev->bdev;
	mapping->sector = filter->legs[0].start + sector;
	return 0;
}

/* (2) Return where a leg begins. Only called if the mapping is striped. */
static int filter_layer_leg(void *context, unsigned int leg,
			    struct bpio_mapping *mapping)
{
	const struct filter *filter = context;

	mapping->bdev = filter->legs[leg].dev->bdev;
	mapping->sector = filter->legs[leg].start;
	return 0;
}

/* (3) May this file be bypassed? */
static int filter_file_pre(void *context, struct bpio_request *request,
			   struct inode *inode)
{
	struct filter *filter = context;
	const struct filter_rule *rule;
	int ret = 0;

	mutex_lock(&filter->rules.lock);
	rule = filter_rules_find(&filter->rules, inode);
	if (rule)
		ret = bpio_veto(request, rule->status, rule->reason);
	mutex_unlock(&filter->rules.lock);
	return ret;
}

/* (3) May the volume be bypassed? */
static int filter_storage_pre(void *context, struct bpio_request *request)
{
	struct filter *filter = context;
	const struct filter_rule *rule;
	int ret = 0;

	mutex_lock(&filter->rules.lock);
	rule = filter->rules.veto;
	if (rule)
		ret = bpio_veto(request, rule->status, rule->reason);
	else if (bpio_request_all_reads(request) &&
		 !list_empty(&filter->rules.files))
		ret = bpio_veto(request, -EBUSY,
				"Some files of the volume must not be bypassed.");
	mutex_unlock(&filter->rules.lock);
	return ret;
}

static const struct bpio_layer_ops filter_layer_ops = {
	.name		= "bpio-filter",
	.map		= filter_layer_map,
	.leg		= filter_layer_leg,
	.file_pre	= filter_file_pre,
	.storage_pre	= filter_storage_pre,
};

/* (1) From now on reads may skip the layer. */
static void filter_resume(struct dm_target *ti)
{
	struct filter *filter = ti->private;

	mutex_lock(&filter->layer_lock);
	filter->layer = bpio_layer_register(ti, &filter_layer_ops, filter);
	if (IS_ERR(filter->layer)) {
		DMERR("cannot take part in BypassIO: %ld",
		      PTR_ERR(filter->layer));
		filter->layer = NULL;
	}
	mutex_unlock(&filter->layer_lock);
}

/* (1) After unregistering, no read skips the layer, and none that did is in flight. */
static void filter_presuspend(struct dm_target *ti)
{
	struct filter *filter = ti->private;
	struct bpio_layer *layer;

	mutex_lock(&filter->layer_lock);
	layer = filter->layer;
	filter->layer = NULL;
	mutex_unlock(&filter->layer_lock);
	bpio_layer_unregister(layer);
}

/* Return: the layer, with a reference, or NULL while the target is suspended. */
static struct bpio_layer *filter_get_layer(struct filter *filter)
{
	struct bpio_layer *layer;

	mutex_lock(&filter->layer_lock);
	layer = filter->layer;
	if (layer)
		bpio_layer_get(layer);
	mutex_unlock(&filter->layer_lock);
	return layer;
}

/* (4) Report new objections. On return, bypass has ended where it is now vetoed. */
static int filter_objects(struct filter *filter)
{
	struct bpio_layer *layer = filter_get_layer(filter);
	int ret;

	if (!layer)
		return 0;
	ret = bpio_layer_changed(layer);
	bpio_layer_put(layer);
	return ret;
}

/* (4) Report withdrawn objections. Bypass comes back where it is now allowed. */
static int filter_allows(struct filter *filter)
{
	struct bpio_layer *layer = filter_get_layer(filter);

	if (!layer)
		return 0;
	bpio_layer_allows(layer);
	bpio_layer_put(layer);
	return 0;
}

/* "<device> <offset>" */
static int filter_add_leg(struct filter *filter, struct dm_arg_set *as)
{
	struct filter_leg *leg = &filter->legs[filter->nr];
	const char *path = dm_shift_arg(as);
	struct dm_target *ti = filter->ti;
	unsigned long long start;
	int ret;

	/* Not sscanf(), in which a number that is too large wraps around. */
	if (kstrtoull(dm_shift_arg(as), 10, &start) ||
	    start != (sector_t)start) {
		ti->error = "Invalid offset, expected sectors";
		return -EINVAL;
	}
	leg->start = start;

	ret = dm_get_device(ti, path, dm_table_get_mode(ti->table), &leg->dev);
	if (ret) {
		ti->error = "Device lookup failed";
		return ret;
	}
	filter->nr++;
	return 0;
}

static int filter_set_stripes(struct filter *filter, u32 stripes)
{
	struct dm_target *ti = filter->ti;
	u32 rest;
	int ret;

	filter->width = div_u64_rem(ti->len, stripes, &rest);
	if (rest) {
		ti->error = "Target length not divisible by number of stripes";
		return -EINVAL;
	}
	div_u64_rem(filter->width, filter->chunk, &rest);
	if (rest) {
		ti->error = "Target length not divisible by chunk size";
		return -EINVAL;
	}
	/* Reads and writes are split, so that none crosses the end of a chunk. */
	ret = dm_set_target_max_io_len(ti, filter->chunk);
	if (ret)
		ti->error = "Invalid chunk_size";
	return ret;
}

/* "<#stripes> <chunk> [<device> <offset>]...", without the first leg */
static int filter_parse_striped(struct filter *filter, struct dm_arg_set *as,
				unsigned int *left)
{
	struct dm_target *ti = filter->ti;
	u32 stripes;
	int ret;

	if (filter->chunk) {
		ti->error = "Option striped given twice";
		return -EINVAL;
	}
	if (kstrtouint(dm_shift_arg(as), 10, &stripes) || !stripes) {
		ti->error = "Invalid stripe count";
		return -EINVAL;
	}
	if (kstrtouint(dm_shift_arg(as), 10, &filter->chunk) ||
	    !filter->chunk) {
		ti->error = "Invalid chunk_size";
		return -EINVAL;
	}
	if (stripes - 1 > *left / 2) {
		ti->error = "Not enough destinations specified";
		return -EINVAL;
	}
	*left -= 2 * (stripes - 1);

	ret = filter_set_stripes(filter, stripes);
	while (!ret && filter->nr < stripes)
		ret = filter_add_leg(filter, as);
	return ret;
}

static int filter_parse_option(struct filter *filter, struct dm_arg_set *as,
			       unsigned int *left)
{
	const char *name = dm_shift_arg(as);
	bool striped = !strcasecmp(name, "striped");
	bool file = !strcasecmp(name, "file_veto");
	const char *pattern = NULL;
	unsigned int need = file ? 4 : 3;

	if (!striped && !file && strcasecmp(name, "veto")) {
		filter->ti->error =
			"Unknown option, expected striped, veto or file_veto";
		return -EINVAL;
	}
	if (*left < need) {
		filter->ti->error = "Option is incomplete";
		return -EINVAL;
	}
	if (striped) {
		*left -= need;
		return filter_parse_striped(filter, as, left);
	}
	/* Count all words except the reason, which is counted when it is parsed. */
	*left -= need - 1;
	if (file)
		pattern = dm_shift_arg(as);
	return filter_rules_parse(&filter->rules, pattern, as, left,
				  &filter->ti->error);
}

static int filter_parse_options(struct filter *filter, struct dm_arg_set *as)
{
	static const struct dm_arg args[] = {
		{ 0, 1024, "Invalid number of option words" },
	};
	unsigned int left;
	int ret;

	if (!as->argc)
		return 0;

	ret = dm_read_arg_group(args, as, &left, &filter->ti->error);
	while (!ret && left)
		ret = filter_parse_option(filter, as, &left);
	if (!ret && as->argc) {
		filter->ti->error = "Too many arguments";
		ret = -EINVAL;
	}
	return ret;
}

static void filter_free(struct filter *filter)
{
	unsigned int i;

	filter_rules_free(&filter->rules);
	for (i = 0; i < filter->nr; i++)
		dm_put_device(filter->ti, filter->legs[i].dev);
	kvfree(filter);
}

static int filter_ctr(struct dm_target *ti, unsigned int argc, char **argv)
{
	struct dm_arg_set as = { .argc = argc, .argv = argv };
	struct filter *filter;
	int ret;

	if (argc < 2) {
		ti->error = "Invalid argument count, expected <device> <offset>";
		return -EINVAL;
	}

	/* Room for one leg per two arguments: there cannot be more. */
	filter = kvzalloc(struct_size(filter, legs, argc / 2), GFP_KERNEL);
	if (!filter) {
		ti->error = "Cannot allocate filter";
		return -ENOMEM;
	}
	filter->ti = ti;
	filter->width = ti->len;
	filter_rules_init(&filter->rules);
	mutex_init(&filter->layer_lock);

	ret = filter_add_leg(filter, &as) ?: filter_parse_options(filter, &as);
	if (ret) {
		filter_free(filter);
		return ret;
	}

	ti->private = filter;
	ti->num_flush_bios = filter->nr;
	/*
	 * A discard may cover several chunks, and device-mapper does not split it. These
	 * operations are not supported on stripes; striped.c of dm-bpio maps them.
	 */
	if (filter->chunk)
		return 0;
	ti->num_discard_bios = 1;
	ti->num_secure_erase_bios = 1;
	ti->num_write_zeroes_bios = 1;
	return 0;
}

static void filter_dtr(struct dm_target *ti)
{
	filter_free(ti->private);
}

/* Find the leg of a sector of the target. @sector becomes the sector on its device. */
static const struct filter_leg *filter_find_leg(const struct filter *filter,
						sector_t *sector)
{
	const struct filter_leg *leg = filter->legs;
	u32 skip, nr;
	u64 row;

	if (filter->chunk) {
		row = div_u64_rem(*sector, filter->chunk, &skip);
		row = div_u64_rem(row, filter->nr, &nr);
		*sector = row * filter->chunk + skip;
		leg += nr;
	}
	*sector += leg->start;
	return leg;
}

static int filter_map(struct dm_target *ti, struct bio *bio)
{
	struct filter *filter = ti->private;
	const struct filter_leg *leg;
	sector_t sector;

	if (bio_op(bio) == REQ_OP_READ)
		atomic64_inc(&filter->reads);
	else if (bio_op(bio) == REQ_OP_WRITE && bio_sectors(bio))
		atomic64_inc(&filter->writes);

	/* Device-mapper sends a flush without data, once for each leg. */
	if (bio->bi_opf & REQ_PREFLUSH) {
		leg = &filter->legs[dm_bio_get_target_bio_nr(bio)];
		bio_set_dev(bio, leg->dev->bdev);
		return DM_MAPIO_REMAPPED;
	}
	sector = dm_target_offset(ti, bio->bi_iter.bi_sector);
	leg = filter_find_leg(filter, &sector);
	bio_set_dev(bio, leg->dev->bdev);
	bio->bi_iter.bi_sector = sector;
	return DM_MAPIO_REMAPPED;
}

static const char *filter_pause_error(int ret)
{
	switch (ret) {
	case -ENODATA:
		return "A pause needs a reason";
	case -E2BIG:
		return "Reason too long, expected at most 64 bytes";
	default:
		return "Cannot pause while suspended";
	}
}

/* (4) While paused, reads pass through this layer. */
static int filter_message_pause(struct filter *filter, const char *why)
{
	struct bpio_layer *layer = filter_get_layer(filter);
	int ret = -EAGAIN;

	if (layer) {
		ret = bpio_pause_layer(layer, why);
		bpio_layer_put(layer);
	}
	if (ret == -EINTR)
		return ret;
	if (ret)
		DMERR("%s", filter_pause_error(ret));
	return ret;
}

static int filter_message_resume(struct filter *filter)
{
	struct bpio_layer *layer = filter_get_layer(filter);

	if (layer) {
		bpio_resume_layer(layer);
		bpio_layer_put(layer);
	}
	return 0;
}

static bool filter_is_paused(struct filter *filter)
{
	struct bpio_layer *layer = filter_get_layer(filter);
	bool paused;

	if (!layer)
		return false;
	paused = bpio_layer_is_paused(layer);
	bpio_layer_put(layer);
	return paused;
}

static int filter_message_rule(struct filter *filter, const char *pattern,
			       const char *status, const char *reason)
{
	int ret = filter_rules_add(&filter->rules, pattern, status, reason);

	if (!ret)
		return filter_objects(filter);
	DMERR("%s", filter_rules_error(ret));
	return ret;
}

/* Messages whose last argument is a sentence. */
static int filter_message_text(struct filter *filter, unsigned int argc,
			       char **argv)
{
	bool file = !strcasecmp(argv[0], "file_veto");
	unsigned int first = file ? 3 : strcasecmp(argv[0], "pause") ? 2 : 1;
	char *text;
	int ret;

	if (argc <= first) {
		DMERR("message '%s' is incomplete", argv[0]);
		return -EINVAL;
	}
	text = filter_text_join(argv, first, argc);
	if (!text)
		return -ENOMEM;

	if (first > 1)
		ret = filter_message_rule(filter, file ? argv[1] : NULL,
					  argv[first - 1],
					  filter_text_unquote(text));
	else
		ret = filter_message_pause(filter, filter_text_unquote(text));
	kfree(text);
	return ret;
}

static int filter_message(struct dm_target *ti, unsigned int argc, char **argv,
			  char *result, unsigned int maxlen)
{
	struct filter *filter = ti->private;

	if (!strcasecmp(argv[0], "veto") || !strcasecmp(argv[0], "file_veto") ||
	    !strcasecmp(argv[0], "pause"))
		return filter_message_text(filter, argc, argv);

	if (!strcasecmp(argv[0], "allow") && argc == 1) {
		filter_rules_remove_veto(&filter->rules);
		return filter_allows(filter);
	}
	if (!strcasecmp(argv[0], "file_allow") && argc == 2) {
		if (!filter_rules_remove_file(&filter->rules, argv[1])) {
			DMERR("there is no file_veto '%s'", argv[1]);
			return -ENOENT;
		}
		return filter_allows(filter);
	}
	if (!strcasecmp(argv[0], "resume") && argc == 1)
		return filter_message_resume(filter);

	DMERR("unknown message '%s'", argv[0]);
	return -EINVAL;
}

static void filter_status_table(struct filter *filter, char *result,
				unsigned int maxlen)
{
	const struct filter_leg *legs = filter->legs;
	unsigned int sz = 0, words, i;

	DMEMIT("%s %llu", legs[0].dev->name,
	       (unsigned long long)legs[0].start);

	mutex_lock(&filter->rules.lock);
	words = filter_rules_words(&filter->rules);
	if (filter->chunk)
		words += 3 + 2 * (filter->nr - 1);
	if (words)
		DMEMIT(" %u", words);
	if (filter->chunk)
		DMEMIT(" striped %u %u", filter->nr, filter->chunk);
	for (i = 1; i < filter->nr; i++)
		DMEMIT(" %s %llu", legs[i].dev->name,
		       (unsigned long long)legs[i].start);
	filter_rules_emit(&filter->rules, result, maxlen, sz);
	mutex_unlock(&filter->rules.lock);
}

static void filter_status_ima(struct filter *filter, char *result,
			      unsigned int maxlen)
{
	const struct filter_leg *leg = filter->legs;
	unsigned int sz = 0, i;

	DMEMIT_TARGET_NAME_VERSION(filter->ti->type);
	if (!filter->chunk) {
		DMEMIT(",device_name=%s,start=%llu;", leg->dev->name,
		       (unsigned long long)leg->start);
		return;
	}
	DMEMIT(",stripes=%u,chunk_size=%u", filter->nr, filter->chunk);
	for (i = 0; i < filter->nr; i++, leg++)
		DMEMIT(",stripe_%u_device_name=%s,stripe_%u_physical_start=%llu",
		       i, leg->dev->name, i, (unsigned long long)leg->start);
	DMEMIT(";");
}

/* <reads> <writes> <allow|veto> <running|paused> */
static void filter_status(struct dm_target *ti, status_type_t type,
			  unsigned int flags, char *result, unsigned int maxlen)
{
	struct filter *filter = ti->private;
	unsigned int sz = 0;

	switch (type) {
	case STATUSTYPE_INFO:
		DMEMIT("%lld %lld %s %s", atomic64_read(&filter->reads),
		       atomic64_read(&filter->writes),
		       READ_ONCE(filter->rules.veto) ? "veto" : "allow",
		       filter_is_paused(filter) ? "paused" : "running");
		break;
	case STATUSTYPE_TABLE:
		filter_status_table(filter, result, maxlen);
		break;
	case STATUSTYPE_IMA:
		filter_status_ima(filter, result, maxlen);
		break;
	}
}

static int filter_iterate_devices(struct dm_target *ti,
				  iterate_devices_callout_fn fn, void *data)
{
	struct filter *filter = ti->private;
	const struct filter_leg *leg = filter->legs;
	unsigned int i;
	int ret = 0;

	for (i = 0; i < filter->nr && !ret; i++, leg++)
		ret = fn(ti, leg->dev, leg->start, filter->width, data);
	return ret;
}

static void filter_io_hints(struct dm_target *ti, struct queue_limits *limits)
{
	const struct filter *filter = ti->private;
	unsigned int io_min, io_opt;

	if (!filter->chunk)
		return;
	limits->chunk_sectors = filter->chunk;
	/* A hint that overflows is worse than none. */
	if (!check_mul_overflow(filter->chunk, (u32)SECTOR_SIZE, &io_min) &&
	    !check_mul_overflow(io_min, filter->nr, &io_opt)) {
		limits->io_min = io_min;
		limits->io_opt = io_opt;
	}
}

static struct target_type filter_target = {
	.name			= "bpio-filter",
	.version		= { 0, 2, 0 },
	.features		= DM_TARGET_NOWAIT,
	.module			= THIS_MODULE,
	.ctr			= filter_ctr,
	.dtr			= filter_dtr,
	.map			= filter_map,
	.resume			= filter_resume,
	.presuspend		= filter_presuspend,
	.presuspend_undo	= filter_resume,
	.status			= filter_status,
	.message		= filter_message,
	.iterate_devices	= filter_iterate_devices,
	.io_hints		= filter_io_hints,
};

static int __init filter_init(void)
{
	return dm_register_target(&filter_target);
}

static void __exit filter_exit(void)
{
	dm_unregister_target(&filter_target);
}

module_init(filter_init);
module_exit(filter_exit);

MODULE_DESCRIPTION("BypassIO: a layer to test with and to start from");
MODULE_AUTHOR("The dm-bpio developers");
MODULE_LICENSE("GPL");
MODULE_VERSION(DM_BPIO_VERSION);
