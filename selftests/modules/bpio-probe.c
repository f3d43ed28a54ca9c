// SPDX-License-Identifier: GPL-2.0-only
/*
 * The device-mapper target "bpio-probe": a third-party layer, for tests.
 *
 * It passes I/O through like dm-linear, and uses the kernel interface of BypassIO in
 * every way, correct and incorrect. Messages control it and return the results.
 *
 * Constructor:
 *	<device> <offset> [<#opt> [name <name>] [silent] [map_length <sectors>]
 *				  [map_end <sectors>] [map_error <errno>]
 *				  [map_legs <number>] [map_chunk <sectors>]
 *				  [leg_error <errno>]]
 *
 * silent: only the mandatory callback. map_length: return the mapping in pieces of that
 * many sectors, which is wrong for 0. map_end: fail behind that sector. map_error: fail
 * always. map_legs, map_chunk: return the mapping as stripes, which is right for one
 * leg. leg_error: fail to return the legs.
 *
 * Messages:
 *	file_veto <errno> <reason>	veto all files, or the volume, in these
 *	storage_veto <errno> <reason>	words (underscores stand for blanks)
 *	file_return <number>		let the callbacks return that number
 *	storage_return <number>
 *	twice				veto a second time after each veto
 *	allow				undo all of the above
 *	check				call bpio_veto() wrongly in all callbacks
 *	checks				return the results of that
 *	counts				return the number of calls of each callback
 *	order				return the order of the last calls
 *	fail <number>			fail that many of the next reads
 *	register			try to register with wrong arguments
 *	pause <why>, pause, resume	pause or resume the layer; "pause" alone is wrong
 *	pause_file <path>, resume_file <path>, open_count <path>
 *	hide_block_ops <path>		make an XFS look as if it broke no layout leases
 *	show_block_ops <path>		undo that
 *	lease <path>, unlease		hold a read lease that was not announced
 *	storage <operation> <major:minor>
 *	storage_short <major:minor>	with buffers that are too short
 */
#include <linux/blkdev.h>
#include <linux/device-mapper.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kdev_t.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>

#include "compat.h"
#include "dm-bpio.h"

#define DM_MSG_PREFIX "bpio-probe"

/* The callbacks by level, by pre or post, and by operation. */
enum { PROBE_FILE, PROBE_STORAGE, PROBE_LEVELS };
enum { PROBE_PRE, PROBE_POST, PROBE_SIDES };
#define PROBE_OPERATIONS 4	/* by number: ENABLE, DISABLE, QUERY */

#define PROBE_CHECKS 6

struct probe_calls {
	unsigned int	count[PROBE_OPERATIONS];
	/* number of the last call, counting the calls of all layers */
	int		last;
	int		status;
	int		checks[PROBE_CHECKS];
};

struct probe_answer {
	int	veto;
	char	reason[BPIO_REASON_TEXT_MAX + 2];
	int	ret;
};

struct probe {
	struct dm_target	*ti;
	struct dm_dev		*dev;
	sector_t		start;
	atomic64_t		reads;
	atomic64_t		writes;
	atomic_t		failures;
	struct bpio_layer_ops	ops;
	char			name[64];
	bool			silent;
	sector_t		map_length;
	sector_t		map_end;
	int			map_error;
	unsigned int		map_legs;
	unsigned int		map_chunk;
	int			leg_error;
	/* protects the pointer; not held across a call that waits for reads */
	struct mutex		lock;
	struct bpio_layer	*layer;
	/* changed by messages, which device-mapper sends one at a time */
	struct probe_answer	answer[PROBE_LEVELS];
	bool			twice;
	bool			check;
	struct probe_calls	calls[PROBE_LEVELS][PROBE_SIDES];
};

static atomic_t probe_calls;

/* Calls that bpio_veto() must refuse. */
static void probe_check_pre(struct bpio_request *request, int *checks)
{
	char *reason = kmalloc(BPIO_REASON_TEXT_MAX + 2, GFP_KERNEL);

	if (!reason)
		return;
	memset(reason, 'x', BPIO_REASON_TEXT_MAX + 1);
	reason[BPIO_REASON_TEXT_MAX + 1] = 0;

	checks[0] = bpio_veto(request, 0, "Zero is not an error.");
	checks[1] = bpio_veto(request, 5, "Nor is a positive number.");
	checks[2] = bpio_veto(request, -MAX_ERRNO - 1, "Nor is this.");
	checks[3] = bpio_veto(request, -EIO, NULL);
	checks[4] = bpio_veto(request, -EIO, "");
	checks[5] = bpio_veto(request, -EIO, reason);
	kfree(reason);
}

static struct probe_calls *probe_note(struct probe *probe, int level, int side,
				      struct bpio_request *request)
{
	struct probe_calls *calls = &probe->calls[level][side];
	unsigned int operation = bpio_request_operation(request);

	if (operation < PROBE_OPERATIONS)
		calls->count[operation]++;
	calls->last = atomic_inc_return(&probe_calls);
	return calls;
}

static int probe_pre(struct probe *probe, int level,
		     struct bpio_request *request)
{
	struct probe_calls *calls = probe_note(probe, level, PROBE_PRE, request);
	struct probe_answer *answer = &probe->answer[level];

	if (probe->check)
		probe_check_pre(request, calls->checks);
	if (answer->veto) {
		calls->status = bpio_veto(request, answer->veto, answer->reason);
		if (probe->twice)
			bpio_veto(request, -EXFULL, "The second one.");
	}
	return answer->ret;
}

static void probe_post(struct probe *probe, int level,
		       struct bpio_request *request, int status)
{
	struct probe_calls *calls = probe_note(probe, level, PROBE_POST, request);

	calls->status = status;
	if (probe->check)
		calls->checks[0] = bpio_veto(request, -EIO, "Too late.");
}

static int probe_file_pre(void *context, struct bpio_request *request,
			  struct inode *inode)
{
	return probe_pre(context, PROBE_FILE, request);
}

static void probe_file_post(void *context, struct bpio_request *request,
			    struct inode *inode, int status)
{
	probe_post(context, PROBE_FILE, request, status);
}

static int probe_storage_pre(void *context, struct bpio_request *request)
{
	return probe_pre(context, PROBE_STORAGE, request);
}

static void probe_storage_post(void *context, struct bpio_request *request,
			       int status)
{
	probe_post(context, PROBE_STORAGE, request, status);
}

static int probe_layer_map(void *context, sector_t sector,
			   struct bpio_mapping *mapping)
{
	const struct probe *probe = context;
	sector_t left = probe->ti->len - sector;

	mapping->bdev = probe->dev->bdev;
	mapping->sector = probe->start + sector;
	mapping->length = min(left, probe->map_length);
	if (probe->map_legs) {
		mapping->bdev = NULL;
		mapping->sector = sector;
		mapping->stripes = probe->map_legs;
		mapping->chunk = probe->map_chunk;
	}
	return sector < probe->map_end ? probe->map_error : -EIO;
}

static int probe_layer_leg(void *context, unsigned int leg,
			   struct bpio_mapping *mapping)
{
	const struct probe *probe = context;

	mapping->bdev = probe->dev->bdev;
	mapping->sector = probe->start;
	return probe->leg_error;
}

static void probe_resume(struct dm_target *ti)
{
	struct probe *probe = ti->private;
	struct bpio_layer *layer;

	probe->ops.name = probe->name;
	probe->ops.map = probe_layer_map;
	probe->ops.leg = probe_layer_leg;
	if (!probe->silent) {
		probe->ops.file_pre = probe_file_pre;
		probe->ops.file_post = probe_file_post;
		probe->ops.storage_pre = probe_storage_pre;
		probe->ops.storage_post = probe_storage_post;
	}
	layer = bpio_layer_register(ti, &probe->ops, probe);
	if (IS_ERR(layer))
		DMERR("not registered: %ld", PTR_ERR(layer));
	mutex_lock(&probe->lock);
	probe->layer = IS_ERR(layer) ? NULL : layer;
	mutex_unlock(&probe->lock);
}

static void probe_presuspend(struct dm_target *ti)
{
	struct probe *probe = ti->private;
	struct bpio_layer *layer;

	mutex_lock(&probe->lock);
	layer = probe->layer;
	probe->layer = NULL;
	mutex_unlock(&probe->lock);
	bpio_layer_unregister(layer);
}

static struct bpio_layer *probe_get_layer(struct probe *probe)
{
	struct bpio_layer *layer;

	mutex_lock(&probe->lock);
	layer = probe->layer;
	if (layer)
		bpio_layer_get(layer);
	mutex_unlock(&probe->lock);
	return layer;
}

static int probe_parse_option(struct probe *probe, struct dm_arg_set *as)
{
	const char *name = dm_shift_arg(as);
	const char *value;
	unsigned int number;

	if (!strcmp(name, "silent")) {
		probe->silent = true;
		return 0;
	}
	value = dm_shift_arg(as);
	if (!value)
		return -EINVAL;
	if (!strcmp(name, "name"))
		return strscpy(probe->name, value, sizeof(probe->name)) < 0 ?
		       -EINVAL : 0;
	if (kstrtouint(value, 10, &number))
		return -EINVAL;
	if (!strcmp(name, "map_length"))
		probe->map_length = number;
	else if (!strcmp(name, "map_end"))
		probe->map_end = number;
	else if (!strcmp(name, "map_error"))
		probe->map_error = -(int)number;
	else if (!strcmp(name, "map_legs"))
		probe->map_legs = number;
	else if (!strcmp(name, "map_chunk"))
		probe->map_chunk = number;
	else if (!strcmp(name, "leg_error"))
		probe->leg_error = -(int)number;
	else
		return -EINVAL;
	return 0;
}

static int probe_ctr(struct dm_target *ti, unsigned int argc, char **argv)
{
	struct dm_arg_set as = { .argc = argc - 3, .argv = argv + 3 };
	unsigned long long start;
	struct probe *probe;
	int ret = 0;

	ti->error = "Invalid arguments";
	if (argc < 2 || kstrtoull(argv[1], 10, &start))
		return -EINVAL;
	probe = kzalloc(sizeof(*probe), GFP_KERNEL);
	if (!probe)
		return -ENOMEM;

	mutex_init(&probe->lock);
	probe->ti = ti;
	probe->start = start;
	probe->map_length = ti->len;
	probe->map_end = ti->len;
	strscpy(probe->name, "probe", sizeof(probe->name));
	while (argc > 3 && as.argc && !ret)
		ret = probe_parse_option(probe, &as);
	if (!ret)
		ret = dm_get_device(ti, argv[0], dm_table_get_mode(ti->table),
				    &probe->dev);
	if (ret) {
		kfree(probe);
		return ret;
	}
	ti->private = probe;
	ti->num_flush_bios = 1;
	return 0;
}

static void probe_dtr(struct dm_target *ti)
{
	struct probe *probe = ti->private;

	dm_put_device(ti, probe->dev);
	kfree(probe);
}

static int probe_map(struct dm_target *ti, struct bio *bio)
{
	struct probe *probe = ti->private;

	if (bio_op(bio) == REQ_OP_READ) {
		atomic64_inc(&probe->reads);
		if (atomic_dec_if_positive(&probe->failures) >= 0)
			return DM_MAPIO_KILL;
	} else if (bio_op(bio) == REQ_OP_WRITE && bio_sectors(bio)) {
		atomic64_inc(&probe->writes);
	}
	bio_set_dev(bio, probe->dev->bdev);
	bio->bi_iter.bi_sector = probe->start +
				 dm_target_offset(ti, bio->bi_iter.bi_sector);
	return DM_MAPIO_REMAPPED;
}

static const char *const probe_levels[] = { "file", "storage" };
static const char *const probe_sides[] = { "pre", "post" };

/*
 * Messages that only query something. They answer with a line of text, which
 * device-mapper writes over the message.
 */
static int probe_answer_calls(struct probe *probe, const char *what,
			      char *result, unsigned int maxlen)
{
	unsigned int sz = 0, level, side, i;
	bool counts = !strcmp(what, "counts");
	bool order = !strcmp(what, "order");
	unsigned int checks;

	for (level = 0; level < PROBE_LEVELS; level++) {
		for (side = 0; side < PROBE_SIDES; side++) {
			struct probe_calls *calls = &probe->calls[level][side];

			DMEMIT("%s%s_%s", level || side ? " " : "",
			       probe_levels[level], probe_sides[side]);
			checks = counts || order ? 0 :
				 side == PROBE_PRE ? PROBE_CHECKS : 1;
			if (counts)
				DMEMIT(" %u %u %u", calls->count[1],
				       calls->count[2], calls->count[3]);
			if (order)
				DMEMIT(" %d %d", calls->last, calls->status);
			for (i = 0; i < checks; i++)
				DMEMIT(" %d", calls->checks[i]);
		}
	}
	return 1;
}

static int probe_answer_register(struct probe *probe, char *result,
				 unsigned int maxlen)
{
	static const struct bpio_layer_ops wrong[] = {
		{ .name = "nomap" },
		{ .map = probe_layer_map },
		{ .map = probe_layer_map, .name = "" },
		{ .map = probe_layer_map,
		  .name = "a-name-that-has-33-bytes-is-long." },
	};
	struct bpio_layer *layer;
	unsigned int sz = 0, i;

	layer = bpio_layer_register(probe->ti, NULL, probe);
	DMEMIT("%d", PTR_ERR_OR_ZERO(layer));
	bpio_layer_unregister(layer);
	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		layer = bpio_layer_register(probe->ti, &wrong[i], probe);
		DMEMIT(" %d", PTR_ERR_OR_ZERO(layer));
		/* must accept the ERR_PTR that was returned instead of a layer */
		bpio_layer_unregister(layer);
	}
	bpio_layer_unregister(NULL);
	return 1;
}

static int probe_answer_file(const char *what, const char *path, char *result,
			     unsigned int maxlen)
{
	struct file *file = filp_open(path, O_RDONLY, 0);
	unsigned int sz = 0;

	if (IS_ERR(file))
		return PTR_ERR(file);
	if (!strcmp(what, "pause_file"))
		DMEMIT("%d", bpio_pause_file(file));
	else if (!strcmp(what, "resume_file"))
		DMEMIT("%d", bpio_resume_file(file));
	else
		DMEMIT("%u", bpio_open_count(file));
	fput(file);
	return 1;
}

/* The open file with the lease. No lock, because messages come one at a time. */
static struct file *probe_lease_file;

static bool probe_lease_break(struct file_lease *lease)
{
	return false;
}

static void probe_lease_setup(struct file_lease *lease, void **priv)
{
	bpio_compat_lease_set_kind(lease, FL_LEASE);
}

static const struct lease_manager_operations probe_lease_ops = {
	.lm_setup	= probe_lease_setup,
	.lm_break	= probe_lease_break,
	.lm_change	= lease_modify,
	BPIO_COMPAT_LEASE_OPEN_CONFLICT
};

static int probe_message_unlease(void)
{
	if (!probe_lease_file)
		return -ENOENT;
	bpio_compat_unlease(probe_lease_file, &probe_lease_file);
	fput(probe_lease_file);
	probe_lease_file = NULL;
	return 0;
}

static int probe_message_lease(const char *path)
{
	struct file_lease *lease;
	int ret;

	if (probe_lease_file)
		return -EBUSY;
	probe_lease_file = filp_open(path, O_RDONLY, 0);
	if (IS_ERR(probe_lease_file)) {
		ret = PTR_ERR(probe_lease_file);
		probe_lease_file = NULL;
		return ret;
	}
	lease = bpio_compat_lease_alloc(probe_lease_file, &probe_lease_file,
					&probe_lease_ops);
	ret = lease ? bpio_compat_setlease(probe_lease_file, &lease) : -ENOMEM;
	if (lease)
		bpio_compat_lease_free(lease);
	if (ret)
		probe_message_unlease();
	return ret;
}

/* The original value of the super block. No lock, as messages come one at a time. */
static const struct export_operations *probe_export_op;
static struct export_operations probe_no_block_ops;

static int probe_message_block_ops(const char *what, const char *path)
{
	struct file *file = filp_open(path, O_RDONLY, 0);
	struct super_block *sb;

	if (IS_ERR(file))
		return PTR_ERR(file);
	sb = file_inode(file)->i_sb;
	if (strstarts(what, "show")) {
		sb->s_export_op = probe_export_op;
	} else {
		probe_export_op = sb->s_export_op;
		probe_no_block_ops = *probe_export_op;
#ifdef CONFIG_EXPORTFS_BLOCK_OPS
		probe_no_block_ops.BPIO_COMPAT_BLOCK_OPS = NULL;
#endif
		sb->s_export_op = &probe_no_block_ops;
	}
	fput(file);
	return 0;
}

static int probe_parse_dev(const char *text, dev_t *dev)
{
	unsigned int major, minor;

	if (sscanf(text, "%u:%u", &major, &minor) != 2)
		return -EINVAL;
	*dev = MKDEV(major, minor);
	return 0;
}

static int probe_answer_storage(unsigned int operation, const char *device,
				char *result, unsigned int maxlen)
{
	struct bpio_input in = {
		.version = BPIO_INPUT_VERSION, .size = sizeof(in),
		.operation = operation,
	};
	struct bpio_output out = {};
	unsigned int sz = 0;
	dev_t dev;
	int ret;

	if (probe_parse_dev(device, &dev))
		return -EINVAL;
	ret = bpio_storage_control(dev, &in, sizeof(in), &out, sizeof(out));
	DMEMIT("%d %u %u %d %.*s", ret, out.operation, out.support,
	       out.query.op_status, out.query.failing_driver_name_len,
	       out.query.failing_driver_name);
	return 1;
}

static int probe_answer_short(const char *device, char *result,
			      unsigned int maxlen)
{
	struct bpio_input in = {
		.version = BPIO_INPUT_VERSION, .size = sizeof(in),
		.operation = BPIO_OP_QUERY,
	};
	struct bpio_output out;
	unsigned int sz = 0;
	dev_t dev;

	if (probe_parse_dev(device, &dev))
		return -EINVAL;
	DMEMIT("%d %d", bpio_storage_control(dev, &in, sizeof(in) - 1, &out,
					     sizeof(out)),
	       bpio_storage_control(dev, &in, sizeof(in), &out,
				    sizeof(out) - 1));
	in.version++;
	DMEMIT(" %d", bpio_storage_control(dev, &in, sizeof(in), &out,
					   sizeof(out)));
	return 1;
}

static int probe_set_veto(struct probe_answer *answer, const char *status,
			  const char *reason)
{
	unsigned int err;

	if (kstrtouint(status, 10, &err))
		return -EINVAL;
	if (strscpy(answer->reason, reason, sizeof(answer->reason)) < 0)
		return -E2BIG;
	strreplace(answer->reason, '_', ' ');
	answer->veto = -(int)err;
	return 0;
}

static int probe_message_pause(struct probe *probe, const char *why)
{
	struct bpio_layer *layer = probe_get_layer(probe);
	int ret;

	if (!layer)
		return -EAGAIN;
	ret = bpio_pause_layer(layer, why);
	bpio_layer_put(layer);
	return ret;
}

static int probe_message_resume(struct probe *probe)
{
	struct bpio_layer *layer = probe_get_layer(probe);

	if (!layer)
		return 0;
	bpio_resume_layer(layer);
	bpio_layer_put(layer);
	return 0;
}

static int probe_tell(struct probe *probe, bool allows)
{
	struct bpio_layer *layer = probe_get_layer(probe);
	int ret = 0;

	if (!layer)
		return 0;
	if (allows)
		bpio_layer_allows(layer);
	else
		ret = bpio_layer_changed(layer);
	bpio_layer_put(layer);
	return ret;
}

/* Messages that change how the layer answers. */
static int probe_message_answer(struct probe *probe, unsigned int argc,
				char **argv)
{
	int level = strstarts(argv[0], "storage") ? PROBE_STORAGE : PROBE_FILE;
	struct probe_answer *answer = &probe->answer[level];
	const char *what = strchr(argv[0], '_');
	int ret;

	if (!strcmp(argv[0], "allow")) {
		memset(probe->answer, 0, sizeof(probe->answer));
		probe->twice = false;
		probe->check = false;
		ret = 0;
	} else if (what && !strcmp(what, "_veto") && argc == 3) {
		ret = probe_set_veto(answer, argv[1], argv[2]);
	} else if (what && !strcmp(what, "_return") && argc == 2) {
		ret = kstrtoint(argv[1], 10, &answer->ret);
	} else {
		ret = -EINVAL;
	}
	return ret ?: probe_tell(probe, !strcmp(argv[0], "allow"));
}

static int probe_message_simple(struct probe *probe, unsigned int argc,
				char **argv)
{
	int number;

	if (!strcmp(argv[0], "pause"))
		return probe_message_pause(probe, argc > 1 ? argv[1] : NULL);
	if (!strcmp(argv[0], "resume"))
		return probe_message_resume(probe);
	if (!strcmp(argv[0], "twice")) {
		probe->twice = true;
	} else if (!strcmp(argv[0], "check")) {
		probe->check = true;
	} else if (!strcmp(argv[0], "fail") && argc == 2) {
		if (kstrtoint(argv[1], 10, &number))
			return -EINVAL;
		atomic_set(&probe->failures, number);
	} else if (!strcmp(argv[0], "lease") && argc == 2) {
		return probe_message_lease(argv[1]);
	} else if (strstr(argv[0], "_block_ops") && argc == 2) {
		return probe_message_block_ops(argv[0], argv[1]);
	} else if (!strcmp(argv[0], "unlease")) {
		return probe_message_unlease();
	} else {
		return probe_message_answer(probe, argc, argv);
	}
	return 0;
}

static int probe_message(struct dm_target *ti, unsigned int argc, char **argv,
			 char *result, unsigned int maxlen)
{
	struct probe *probe = ti->private;
	const char *what = argv[0];
	unsigned int operation;

	if (!strcmp(what, "counts") || !strcmp(what, "order") ||
	    !strcmp(what, "checks"))
		return probe_answer_calls(probe, what, result, maxlen);
	if (!strcmp(what, "register"))
		return probe_answer_register(probe, result, maxlen);
	if (argc == 2 && (strstr(what, "e_file") || !strcmp(what, "open_count")))
		return probe_answer_file(what, argv[1], result, maxlen);
	if (argc == 2 && !strcmp(what, "storage_short"))
		return probe_answer_short(argv[1], result, maxlen);
	if (argc == 3 && !strcmp(what, "storage")) {
		if (kstrtouint(argv[1], 10, &operation))
			return -EINVAL;
		return probe_answer_storage(operation, argv[2], result, maxlen);
	}
	return probe_message_simple(probe, argc, argv);
}

static void probe_status(struct dm_target *ti, status_type_t type,
			 unsigned int flags, char *result, unsigned int maxlen)
{
	struct probe *probe = ti->private;
	unsigned int sz = 0;

	if (type == STATUSTYPE_INFO)
		DMEMIT("%lld %lld", atomic64_read(&probe->reads),
		       atomic64_read(&probe->writes));
	else
		DMEMIT("%s %llu", probe->dev->name,
		       (unsigned long long)probe->start);
}

static int probe_iterate_devices(struct dm_target *ti,
				 iterate_devices_callout_fn fn, void *data)
{
	struct probe *probe = ti->private;

	return fn(ti, probe->dev, probe->start, ti->len, data);
}

static struct target_type probe_target = {
	.name			= "bpio-probe",
	.version		= { 0, 1, 0 },
	.features		= DM_TARGET_NOWAIT,
	.module			= THIS_MODULE,
	.ctr			= probe_ctr,
	.dtr			= probe_dtr,
	.map			= probe_map,
	.resume			= probe_resume,
	.presuspend		= probe_presuspend,
	.presuspend_undo	= probe_resume,
	.status			= probe_status,
	.message		= probe_message,
	.iterate_devices	= probe_iterate_devices,
};

static int __init probe_init(void)
{
	return dm_register_target(&probe_target);
}

static void __exit probe_exit(void)
{
	dm_unregister_target(&probe_target);
}

module_init(probe_init);
module_exit(probe_exit);

MODULE_DESCRIPTION("BypassIO: a layer of somebody else, for tests");
MODULE_AUTHOR("The dm-bpio developers");
MODULE_LICENSE("GPL");
