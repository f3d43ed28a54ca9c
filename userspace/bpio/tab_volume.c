// SPDX-License-Identifier: GPL-2.0-only
/*
 * See tab_volume.h.
 */
#include <dirent.h>
#include <errno.h>
#include <json-c/json.h>
#include <libdevmapper.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "adopted.h"
#include "bpio.h"
#include "counterpart.h"
#include "kept.h"
#include "mapped.h"
#include "module.h"
#include "place.h"
#include "plan.h"
#include "stack.h"
#include "swap.h"
#include "tab_device.h"
#include "tab_volume.h"

#define SECTOR	512

static uint64_t sectors_of(dev_t dev)
{
	unsigned long long sectors = 0;
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/size", major(dev),
		 minor(dev));
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (fscanf(file, "%llu", &sectors) != 1)
		sectors = 0;
	fclose(file);
	return sectors;
}

/* Makes the table of a volume: 0, or -EINVAL when the device is too small */
static int make_table(const struct tab_line *line, dev_t device,
		      struct table *table, char *why, size_t size)
{
	uint64_t sectors = sectors_of(device);
	char params[64];

	if (line->size / SECTOR > sectors)
		return wrong(why, size, -EINVAL,
			     "expected \"%s\" to have at least size=%llu bytes, but it has %llu",
			     line->device, (unsigned long long)line->size,
			     (unsigned long long)sectors * SECTOR);
	if (line->size)
		sectors = line->size / SECTOR;
	snprintf(params, sizeof(params), "%u:%u 0%s", major(device),
		 minor(device), line->any_storage ? " 1 any_storage" : "");
	table_add(table, 0, sectors, "bpio", params);
	return 0;
}

static void make_uuid(const struct tab_line *line, char *uuid, size_t size)
{
	snprintf(uuid, size, TAB_UUID_PREFIX "%s", line->name);
}

/* The size may differ: the device may have grown since. */
static bool is_volume_of(const struct tab_line *line,
			 const struct mapped *mapped, const struct table *table)
{
	const char *params = table->targets[0].params;
	char uuid[sizeof(TAB_UUID_PREFIX) + TAB_NAME_MAX];
	size_t length = strcspn(params, " ");

	if (table_equal(&mapped->table, table))
		return true;
	make_uuid(line, uuid, sizeof(uuid));
	return !strcmp(mapped->uuid, uuid) && mapped->table.count == 1 &&
	       !strcmp(mapped->table.targets[0].type, "bpio") &&
	       !strncmp(mapped->table.targets[0].params, params, length + 1);
}

/* Whether "bpio upgrade" has left it so, because it found no module to load */
static bool is_stock(const struct tab_line *line, const struct mapped *mapped,
		     const struct table *table)
{
	char uuid[sizeof(TAB_UUID_PREFIX) + TAB_NAME_MAX];
	struct table other;
	bool stock;

	make_uuid(line, uuid, sizeof(uuid));
	if (strcmp(mapped->uuid, uuid) ||
	    !counterpart(&mapped->table, TO_BPIO, line->any_storage, &other))
		return false;
	stock = table_equal(&other, table);
	table_free(&other);
	return stock;
}

static int name_in_use(const struct tab_line *line, const struct mapped *mapped,
		       const struct table *table, char *why, size_t size)
{
	char *found = table_text(&mapped->table);
	char *expected = table_text(table);
	int ret;

	found[strcspn(found, "\n")] = '\0';
	expected[strcspn(expected, "\n")] = '\0';
	ret = wrong(why, size, -EEXIST,
		    "the name \"%s\" is in use: expected a mapped device with the table \"%s\", but found \"%s\"; choose another name, or remove that device",
		    line->name, expected, found);
	free(expected);
	free(found);
	return ret;
}

static int read_table(const struct tab_line *line,
		      const struct tab_volume *volume, struct mapped *mapped,
		      char *why, size_t size)
{
	int ret = mapped_read(volume->volume, false, mapped);

	return ret ? wrong(why, size, ret,
			   "cannot read the table of \"%s\": %s", line->name,
			   strerror(-ret)) : 0;
}

/* The mapped device with the name of the line, if there is one */
static int look_at_volume(const struct tab_line *line, const struct table *table,
			  struct tab_volume *volume, char *why, size_t size)
{
	struct mapped mapped;
	int ret;

	if (!tab_mapped(line->name, NULL, &volume->volume))
		return 0;
	ret = read_table(line, volume, &mapped, why, size);
	if (ret)
		return ret;
	if (is_volume_of(line, &mapped, table))
		volume->is_up = true;
	else if (is_stock(line, &mapped, table))
		volume->is_stock = true;
	else
		ret = name_in_use(line, &mapped, table, why, size);
	mapped_free(&mapped);
	return ret;
}

static int is_mounted(const struct tab_line *line, dev_t device, char *why,
		      size_t size)
{
	struct json_object *mounts = mounts_of(device);
	char *places, *node;
	int ret = 0;

	if (json_object_array_length(mounts)) {
		places = mounts_join(mounts, "mount_point");
		node = device_node(device);
		ret = wrong(why, size, -EBUSY,
			    "%s is mounted on \"%s\" and would be used at the same time as the volume \"%s\"; unmount it, and mount the volume instead",
			    node, places, line->name);
		free(node);
		free(places);
	}
	json_object_put(mounts);
	return ret;
}

static int has_holder(const struct tab_line *line, dev_t device, char *why,
		      size_t size)
{
	struct dirent *entry = NULL;
	char path[64], *node;
	int ret = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/holders",
		 major(device), minor(device));
	dir = opendir(path);
	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			break;
	if (entry) {
		node = device_node(device);
		ret = wrong(why, size, -EBUSY,
			    "%s is used by %s, so the volume \"%s\" cannot use it",
			    node, entry->d_name, line->name);
		free(node);
	}
	if (dir)
		closedir(dir);
	return ret;
}

static int adopted_check(const struct tab_line *line,
			 struct tab_volume *volume, char *why, size_t size)
{
	struct mapped mapped;
	int ret;

	ret = mapped_read(volume->device, false, &mapped);
	if (ret)
		return wrong(why, size, -EMEDIUMTYPE,
			     "expected a mapped device to adopt, but \"%s\" is not one",
			     line->device);
	volume->volume = volume->device;
	volume->is_up = counterpart_is_volume(&mapped.table);
	mapped_free(&mapped);
	return 0;
}

/* Unless the line adopts, also makes @table, to be freed even after an error */
static int check(const struct tab_line *line, struct tab_volume *volume,
		 struct table *table, char *why, size_t size)
{
	int ret;

	*volume = (struct tab_volume) { 0 };
	ret = tab_resolve(line, &volume->device, why, size);
	if (ret)
		return ret;
	if (line->adopt)
		return adopted_check(line, volume, why, size);
	ret = make_table(line, volume->device, table, why, size);
	if (!ret)
		ret = look_at_volume(line, table, volume, why, size);
	if (ret || volume->is_up || volume->is_stock)
		return ret;
	ret = is_mounted(line, volume->device, why, size);
	return ret ? ret : has_holder(line, volume->device, why, size);
}

int tab_volume_check(const struct tab_line *line, struct tab_volume *volume,
		     char *why, size_t size)
{
	struct table table = { 0 };
	int ret = check(line, volume, &table, why, size);

	table_free(&table);
	return ret;
}

static int swap_tables(const struct tab_line *line, struct tab_volume *volume,
		       enum direction direction, char *why, size_t size)
{
	struct plan plan = {
		.direction = direction, .any_storage = line->any_storage,
		.own_lock = -1,
	};
	struct place place = {
		.path = device_node(volume->device), .dev = volume->device,
		.is_device = true,
	};
	int ret;

	ret = plan_make_locked(&place, &plan, why, size);
	if (!ret) {
		volume->changed = plan_needed(&plan);
		ret = plan_run(&plan, why, size);
	}
	plan_free(&plan);
	place_free(&place);
	return ret;
}

/*
 * Run a task and wait until udev has made or removed the links of the volume. The task
 * may be NULL, and is destroyed. 0, or an errno: ENOMEM unless it was set up.
 */
static int run_with_udev(struct dm_task *task, bool set_up)
{
	uint32_t cookie = 0;
	int error = 0;

	if (!set_up || !dm_task_set_cookie(task, &cookie, 0))
		error = ENOMEM;
	else if (!dm_task_run(task))
		error = dm_task_get_errno(task) ? dm_task_get_errno(task) : EIO;
	if (task)
		dm_task_destroy(task);
	if (cookie)
		dm_udev_wait(cookie);
	return error;
}

static int create(const struct tab_line *line, const struct table *table,
		  char *why, size_t size)
{
	const struct target *target = &table->targets[0];
	struct dm_task *task = dm_task_create(DM_DEVICE_CREATE);
	char uuid[sizeof(TAB_UUID_PREFIX) + TAB_NAME_MAX];
	int error;

	make_uuid(line, uuid, sizeof(uuid));
	error = run_with_udev(task, task &&
			      dm_task_set_name(task, line->name) &&
			      dm_task_set_uuid(task, uuid) &&
			      dm_task_add_target(task, target->start,
						 target->length, target->type,
						 target->params) &&
			      (!line->readonly || dm_task_set_ro(task)));
	if (error == EBUSY)
		return wrong(why, size, -EBUSY,
			     "\"%s\" is in use by another program, or one of its partitions is",
			     line->device);
	if (error)
		return wrong(why, size, -error,
			     "the kernel rejected the volume: %s; dmesg shows why",
			     strerror(error));
	return 0;
}

static int enable(const struct tab_volume *volume, char *why, size_t size)
{
	struct bpio_verdict verdict = BPIO_VERDICT_INIT;
	int fd, ret;

	fd = bpio_volume_open_dev(major(volume->volume), minor(volume->volume));
	ret = fd < 0 ? fd : bpio_volume_enable(fd, &verdict);
	if (fd >= 0)
		close(fd);
	if (ret)
		wrong(why, size, ret,
		      "the volume is up, but bypass of all its reads cannot be enabled: %s",
		      strerror(-ret));
	return ret;
}

static int make(const struct tab_line *line, struct tab_volume *volume,
		const struct table *table, char *why, size_t size)
{
	int ret = create(line, table, why, size);

	if (ret)
		return ret;
	volume->changed = true;
	volume->is_up = tab_mapped(line->name, NULL, &volume->volume);
	return 0;
}

/* Under the lock of "bpio upgrade", whose table may be gone by then */
static int restore(struct tab_volume *volume, const struct table *table,
		   char *why, size_t size)
{
	struct swap swap = { .after = *table };
	int lock = adopted_lock(), ret;

	ret = lock < 0 ? lock : mapped_read(volume->volume, false, &swap.before);
	if (ret)
		wrong(why, size, ret, "cannot read the table of the volume: %s",
		      strerror(-ret));
	else
		ret = swap_run(&swap, why, size);
	volume->is_up = !ret;
	volume->changed = swap.done;
	mapped_free(&swap.before);
	if (lock >= 0)
		close(lock);
	return ret;
}

int tab_volume_up(const struct tab_line *line, struct tab_volume *volume,
		  char *why, size_t size)
{
	struct table table = { 0 };
	int ret;

	/* The kernel loads it for a table too, but returns no error that says so. */
	ret = module_load(why, size);
	if (!ret)
		ret = check(line, volume, &table, why, size);
	if (!ret && line->adopt) {
		kept_set_down(line, false);
		ret = swap_tables(line, volume, TO_BPIO, why, size);
		volume->is_up = !ret;
	} else if (!ret && volume->is_stock) {
		ret = restore(volume, &table, why, size);
	} else if (!ret && !volume->is_up) {
		ret = make(line, volume, &table, why, size);
	}
	table_free(&table);
	if (!ret && line->enable)
		ret = enable(volume, why, size);
	return ret;
}

static int release(const struct tab_line *line, struct tab_volume *volume,
		   char *why, size_t size)
{
	int ret = tab_resolve(line, &volume->device, why, size);

	if (ret == -ENODEV)
		return 0;
	if (!ret)
		ret = adopted_check(line, volume, why, size);
	if (ret)
		return ret;
	/* Do this first, or the udev rule adopts the device again. */
	ret = kept_set_down(line, true);
	if (ret)
		return wrong(why, size, ret, "cannot write to /run/bpio: %s",
			     strerror(-ret));
	ret = swap_tables(line, volume, TO_STOCK, why, size);
	if (ret)
		kept_set_down(line, false);
	volume->is_up = ret;
	return ret;
}

static int is_open(const struct tab_line *line, dev_t volume, char *why,
		   size_t size)
{
	struct dm_task *task = mapped_task(DM_DEVICE_INFO, volume);
	struct dm_info info = { 0 };

	if (task) {
		dm_task_get_info(task, &info);
		dm_task_destroy(task);
	}
	if (!info.open_count)
		return 0;
	return wrong(why, size, -EBUSY,
		     "\"%s\" is in use, with an open count of %d; \"fuser /dev/mapper/%s\" and \"dmsetup ls --tree\" show by whom",
		     line->name, info.open_count, line->name);
}

static int remove_volume(const struct tab_line *line, char *why, size_t size)
{
	struct dm_task *task = dm_task_create(DM_DEVICE_REMOVE);
	int error;

	/* udev may have it open for a moment. */
	error = run_with_udev(task, task &&
			      dm_task_set_name(task, line->name) &&
			      dm_task_retry_remove(task));
	if (error)
		return wrong(why, size, -error, "cannot remove \"%s\": %s",
			     line->name, strerror(error));
	return 0;
}

static int unmade(const struct tab_line *line, struct tab_volume *volume,
		  char *why, size_t size)
{
	struct json_object *mounts;
	char *places;
	int ret = 0;

	mounts = mounts_of(volume->volume);
	if (json_object_array_length(mounts)) {
		places = mounts_join(mounts, "mount_point");
		ret = wrong(why, size, -EBUSY,
			    "\"%s\" is mounted on \"%s\"; unmount it first",
			    line->name, places);
		free(places);
	}
	json_object_put(mounts);
	if (!ret)
		ret = is_open(line, volume->volume, why, size);
	if (!ret)
		ret = remove_volume(line, why, size);
	volume->changed = !ret;
	volume->is_up = ret;
	return ret;
}

int tab_volume_down(const struct tab_line *line, struct tab_volume *volume,
		    char *why, size_t size)
{
	struct mapped mapped;
	bool ours;
	int ret;

	*volume = (struct tab_volume) { 0 };
	if (line->adopt)
		return release(line, volume, why, size);
	if (!tab_mapped(line->name, NULL, &volume->volume))
		return 0;
	ret = read_table(line, volume, &mapped, why, size);
	if (ret)
		return ret;
	ours = mapped.table.count == 1 &&
	       !strcmp(mapped.table.targets[0].type, "bpio");
	mapped_free(&mapped);
	if (!ours)
		return wrong(why, size, -EMEDIUMTYPE,
			     "expected \"%s\" to be a bpio volume, but it has another table; \"dmsetup table %s\" shows it",
			     line->name, line->name);
	return unmade(line, volume, why, size);
}
