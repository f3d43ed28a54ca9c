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
 *	(2) a callback returns where its sectors are below
 *	(3) callbacks answer queries, for a file or for the volume, and may veto
 *	(4) it reports when its answers change, and pauses while it works, without
 *	    a lock held, because both wait for reads
 *
 * Constructor:
 *	<device> <offset> [<#opt> [veto <errno> <reason>]
 *				  [file_veto <pattern> <errno> <reason>]...]
 * Messages:
 *	veto <errno> <reason>
 *	allow
 *	file_veto <pattern> <errno> <reason>
 *	file_allow <pattern>
 *	pause <why>
 *	resume
 *
 * A pattern is an inode number or a glob for the name of the file. In a table, put a
 * reason of several words in double quotes; #opt counts each word. In a message the
 * quotes may be omitted.
 */
#include <linux/blkdev.h>
#include <linux/device-mapper.h>
#include <linux/err.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>

#include "dm-bpio.h"
#include "filter_rule.h"

#define DM_MSG_PREFIX "bpio-filter"

/**
 * struct filter - one instance of the target
 * @ti: the target
 * @dev: device below
 * @start: first 512-byte sector of @dev
 * @reads: reads that passed through the layer
 * @writes: writes that passed through the layer
 * @rules: its objections
 * @layer_lock: protects @layer. Not held across a call that waits for reads, or
 *	other tasks that need it would wait too: see filter_get_layer().
 * @layer: the registered layer, NULL while the target is suspended
 */
struct filter {
	struct dm_target	*ti;
	struct dm_dev		*dev;
	sector_t		start;
	atomic64_t		reads;
	atomic64_t		writes;
	struct filter_rules	rules;

	struct mutex		layer_lock;	/* see above */
	struct bpio_layer	*layer;
};

/* (2) Return the mapping that the map method applies to reads. */
static int filter_layer_map(void *context, sector_t sector,
			    struct bpio_mapping *mapping)
{
	const struct filter *filter = context;

	mapping->bdev = filter->dev->bdev;
	mapping->sector = filter->start + sector;
	mapping->length = filter->ti->len - sector;
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

static int filter_parse_option(struct filter *filter, struct dm_arg_set *as,
			       unsigned int *left)
{
	const char *name = dm_shift_arg(as);
	const char *pattern = NULL;
	unsigned int need;

	if (!strcasecmp(name, "veto")) {
		need = 3;
	} else if (!strcasecmp(name, "file_veto")) {
		need = 4;
	} else {
		filter->ti->error = "Unknown option, expected veto or file_veto";
		return -EINVAL;
	}
	if (*left < need) {
		filter->ti->error = "Option is incomplete";
		return -EINVAL;
	}
	/* Count all words except the reason, which is counted when it is parsed. */
	*left -= need - 1;
	if (need == 4)
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
	filter_rules_free(&filter->rules);
	if (filter->dev)
		dm_put_device(filter->ti, filter->dev);
	kfree(filter);
}

static int filter_parse(struct filter *filter, unsigned int argc, char **argv)
{
	struct dm_arg_set as = { .argc = argc - 2, .argv = argv + 2 };
	struct dm_target *ti = filter->ti;
	unsigned long long start;
	int ret;

	/* Not sscanf(), in which a number that is too large wraps around. */
	if (kstrtoull(argv[1], 10, &start) || start != (sector_t)start) {
		ti->error = "Invalid offset, expected sectors";
		return -EINVAL;
	}
	filter->start = start;

	ret = dm_get_device(ti, argv[0], dm_table_get_mode(ti->table),
			    &filter->dev);
	if (ret) {
		ti->error = "Device lookup failed";
		return ret;
	}
	return filter_parse_options(filter, &as);
}

static int filter_ctr(struct dm_target *ti, unsigned int argc, char **argv)
{
	struct filter *filter;
	int ret;

	if (argc < 2) {
		ti->error = "Invalid argument count, expected <device> <offset>";
		return -EINVAL;
	}

	filter = kzalloc(sizeof(*filter), GFP_KERNEL);
	if (!filter) {
		ti->error = "Cannot allocate filter";
		return -ENOMEM;
	}
	filter->ti = ti;
	filter_rules_init(&filter->rules);
	mutex_init(&filter->layer_lock);

	ret = filter_parse(filter, argc, argv);
	if (ret) {
		filter_free(filter);
		return ret;
	}

	ti->private = filter;
	ti->num_flush_bios = 1;
	ti->num_discard_bios = 1;
	ti->num_secure_erase_bios = 1;
	ti->num_write_zeroes_bios = 1;
	return 0;
}

static void filter_dtr(struct dm_target *ti)
{
	filter_free(ti->private);
}

static int filter_map(struct dm_target *ti, struct bio *bio)
{
	struct filter *filter = ti->private;

	if (bio_op(bio) == REQ_OP_READ)
		atomic64_inc(&filter->reads);
	else if (bio_op(bio) == REQ_OP_WRITE && bio_sectors(bio))
		atomic64_inc(&filter->writes);

	bio_set_dev(bio, filter->dev->bdev);
	bio->bi_iter.bi_sector = filter->start +
				 dm_target_offset(ti, bio->bi_iter.bi_sector);
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
	unsigned int sz = 0, words;

	DMEMIT("%s %llu", filter->dev->name, (unsigned long long)filter->start);

	mutex_lock(&filter->rules.lock);
	words = filter_rules_words(&filter->rules);
	if (words)
		DMEMIT(" %u", words);
	filter_rules_emit(&filter->rules, result, maxlen, sz);
	mutex_unlock(&filter->rules.lock);
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
		DMEMIT_TARGET_NAME_VERSION(ti->type);
		DMEMIT(",device_name=%s,start=%llu;", filter->dev->name,
		       (unsigned long long)filter->start);
		break;
	}
}

static int filter_iterate_devices(struct dm_target *ti,
				  iterate_devices_callout_fn fn, void *data)
{
	struct filter *filter = ti->private;

	return fn(ti, filter->dev, filter->start, ti->len, data);
}

static struct target_type filter_target = {
	.name			= "bpio-filter",
	.version		= { 0, 1, 0 },
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
