// SPDX-License-Identifier: GPL-2.0-only
/*
 * See swap.h.
 *
 * The new table is loaded into the inactive slot, and one call makes it live: the
 * kernel suspends the device, swaps the tables and resumes it within the resume
 * ioctl. A process that is killed before that call leaves an inactive table behind,
 * which is harmless: it maps exactly as the live one does, and a program that changes
 * the live one first loads another table in its place. The next swap removes it. Within
 * the call a signal ends the wait for I/O in flight, and the old table stays live.
 *
 * The file system is not frozen (nor does LVM freeze it for a new mapping): no block
 * moves, so the data on the device need not be consistent at that moment. The kernel
 * waits for the I/O in flight and holds back new I/O.
 */
#include <errno.h>
#include <libdevmapper.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <time.h>

#include "counterpart.h"
#include "swap.h"

int wrong(char *why, size_t size, int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, size, format, args);
	va_end(args);
	return error;
}

static int run(struct dm_task *task)
{
	int error = 0;

	if (!task)
		return -ENOMEM;
	if (!dm_task_run(task))
		error = dm_task_get_errno(task) ? -dm_task_get_errno(task) :
						  -EIO;
	dm_task_destroy(task);
	return error;
}

static struct dm_task *new_task(int type, const struct mapped *mapped)
{
	struct dm_task *task = dm_task_create(type);

	if (task && dm_task_set_name(task, mapped->name))
		return task;
	if (task)
		dm_task_destroy(task);
	return NULL;
}

static int load(const struct mapped *mapped, const struct table *table)
{
	struct dm_task *task = new_task(DM_DEVICE_RELOAD, mapped);
	size_t i;

	for (i = 0; task && i < table->count; i++) {
		const struct target *target = &table->targets[i];

		if (!dm_task_add_target(task, target->start, target->length,
					target->type, target->params)) {
			dm_task_destroy(task);
			return -ENOMEM;
		}
	}
	if (task && mapped->read_only)
		dm_task_set_ro(task);
	return run(task);
}

static int clear(const struct mapped *mapped)
{
	return run(new_task(DM_DEVICE_CLEAR, mapped));
}

/*
 * Without a cookie for udev, so that its rules keep the properties and links of the
 * device, also those of hidden volumes.
 */
static int resume(const struct mapped *mapped)
{
	struct dm_task *task = new_task(DM_DEVICE_RESUME, mapped);

	if (task)
		dm_udev_set_sync_support(0);
	if (task)
		dm_task_skip_lockfs(task);
	return run(task);
}

static unsigned long long now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000ULL + now.tv_nsec / 1000;
}

static int read_mapped(const struct swap *swap, bool inactive,
		       struct mapped *mapped, char *why, size_t size)
{
	int ret = mapped_read(swap->before.dev, inactive, mapped);

	if (!ret)
		return 0;
	return wrong(why, size, ret,
		     inactive ? "cannot read the table that is loaded for %s: %s" :
				"cannot read the table of %s: %s",
		     swap->before.name, strerror(-ret));
}

/* Whether @mapped is still the device that @before was; the name may be reused */
static bool is_same_device(const struct mapped *mapped,
			   const struct mapped *before)
{
	return !strcmp(mapped->name, before->name) &&
	       !strcmp(mapped->uuid, before->uuid) &&
	       mapped->read_only == before->read_only;
}

/* Whether @table may be what a killed swap of a device with @live has loaded */
static bool is_ours(const struct table *table, const struct table *live)
{
	enum direction directions[] = { TO_BPIO, TO_STOCK };
	struct table other;
	bool equal = false;
	size_t i;

	for (i = 0; i < 2 * 2 && !equal; i++) {
		if (!counterpart(live, directions[i / 2], i % 2, &other))
			return false;
		equal = table_equal(table, &other);
		table_free(&other);
	}
	return equal;
}

/*
 * Removes an inactive table that a killed swap has left: 0, a negative errno, or -EBUSY
 * if another program has loaded it.
 */
static int clean(struct swap *swap, char *why, size_t size)
{
	const struct mapped *before = &swap->before;
	struct mapped loaded;
	bool ours;
	int ret;

	if (!before->has_inactive)
		return 0;
	ret = read_mapped(swap, true, &loaded, why, size);
	if (ret)
		return ret;
	ours = !loaded.has_inactive || is_ours(&loaded.table, &before->table);
	mapped_free(&loaded);
	if (!ours)
		return wrong(why, size, -EBUSY,
			     "another program has loaded a table for %s and not made it live yet; try again when it has (\"dmsetup resume\"), or remove that table by \"dmsetup clear %s\"",
			     before->name, before->name);
	ret = clear(before);
	if (ret)
		return wrong(why, size, ret, "cannot clear the table that is loaded for %s: %s",
			     before->name, strerror(-ret));
	swap->before.has_inactive = false;
	return 0;
}

static void clear_ours(const struct swap *swap)
{
	struct mapped loaded;

	if (mapped_read(swap->before.dev, true, &loaded))
		return;
	if (table_equal(&loaded.table, &swap->after))
		clear(&swap->before);
	mapped_free(&loaded);
}

/*
 * Undo everything after an error: an inactive table, a table that became live, and a
 * device that the kernel left suspended between the two.
 */
static void restore(const struct swap *swap, bool resumed)
{
	struct mapped live;

	if (mapped_read(swap->before.dev, false, &live))
		return;
	if (is_same_device(&live, &swap->before)) {
		bool taken = table_equal(&live.table, &swap->after);

		if (live.has_inactive)
			clear_ours(swap);
		if (resumed && taken)
			load(&live, &swap->before.table);
		if (resumed && (taken || live.suspended))
			resume(&live);
	}
	mapped_free(&live);
}

static int check_loaded(const struct swap *swap, char *why, size_t size)
{
	struct mapped live, loaded;
	bool same;
	int ret;

	ret = read_mapped(swap, false, &live, why, size);
	if (ret)
		return ret;
	same = is_same_device(&live, &swap->before) && !live.suspended &&
	       table_equal(&live.table, &swap->before.table);
	mapped_free(&live);
	if (!same)
		return wrong(why, size, -EBUSY,
			     "another program changes %s at the moment; try again",
			     swap->before.name);
	ret = read_mapped(swap, true, &loaded, why, size);
	if (ret)
		return ret;
	same = table_equal(&loaded.table, &swap->after);
	mapped_free(&loaded);
	if (!same)
		return wrong(why, size, -EBUSY,
			     "another program loads a table for %s at the moment; try again",
			     swap->before.name);
	return 0;
}

static int check_live(const struct swap *swap, char *why, size_t size)
{
	struct mapped live;
	bool same;
	int ret;

	ret = read_mapped(swap, false, &live, why, size);
	if (ret)
		return ret;
	same = table_equal(&live.table, &swap->after) && !live.suspended;
	mapped_free(&live);
	if (!same)
		return wrong(why, size, -EBUSY,
			     "another program has replaced the table of %s meanwhile",
			     swap->before.name);
	return 0;
}

/* A new table resets the read-ahead; keep a value that was set for the device. */
static unsigned long long read_ahead(const struct mapped *mapped,
				     unsigned long long set)
{
	unsigned long long value = 0;
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path),
		 "/sys/dev/block/%u:%u/queue/read_ahead_kb",
		 major(mapped->dev), minor(mapped->dev));
	file = fopen(path, set ? "we" : "re");
	if (!file)
		return 0;
	if (set)
		fprintf(file, "%llu\n", set);
	else if (fscanf(file, "%llu", &value) != 1)
		value = 0;
	fclose(file);
	return value;
}

static int make_live(struct swap *swap, char *why, size_t size)
{
	unsigned long long ahead = read_ahead(&swap->before, 0);
	unsigned long long begin = now_us();
	int ret = resume(&swap->before);

	swap->pause_us = now_us() - begin;
	if (ret)
		return wrong(why, size, ret, "cannot swap the tables of %s: %s",
			     swap->before.name, strerror(-ret));
	if (ahead && read_ahead(&swap->before, 0) != ahead)
		read_ahead(&swap->before, ahead);
	return check_live(swap, why, size);
}

bool swap_needed(const struct swap *swap)
{
	return !table_equal(&swap->before.table, &swap->after);
}

int swap_run(struct swap *swap, char *why, size_t size)
{
	bool resumed = false;
	int ret;

	if (swap->before.suspended)
		return wrong(why, size, -EBUSY,
			     "%s is suspended; try again after \"dmsetup resume %s\"",
			     swap->before.name, swap->before.name);
	ret = clean(swap, why, size);
	if (ret || !swap_needed(swap))
		return ret;
	ret = load(&swap->before, &swap->after);
	if (ret)
		ret = wrong(why, size, ret,
			    "the kernel rejects the new table of %s: %s; dmesg shows why",
			    swap->before.name, strerror(-ret));
	if (!ret)
		ret = check_loaded(swap, why, size);
	if (!ret) {
		resumed = true;
		ret = make_live(swap, why, size);
	}
	if (ret)
		restore(swap, resumed);
	else
		swap->done = true;
	return ret;
}

int swap_undo(struct swap *swap, char *why, size_t size)
{
	struct table after = swap->after;
	int ret;

	swap->after = swap->before.table;
	swap->before.table = after;
	ret = swap_run(swap, why, size);
	swap->before.table = swap->after;
	swap->after = after;
	swap->done = ret;
	return ret;
}
