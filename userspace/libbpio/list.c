// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The list of all volumes, from device-mapper's tables, because a suspended volume does
 * not answer ioctls.
 */
#include <errno.h>
#include <libdevmapper.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

static pthread_mutex_t devmapper_lock = PTHREAD_MUTEX_INITIALIZER;

static struct dm_task *run_task(int type, const char *name)
{
	struct dm_task *task = dm_task_create(type);

	if (!task)
		return NULL;
	if ((!name || dm_task_set_name(task, name)) && dm_task_run(task))
		return task;
	dm_task_destroy(task);
	return NULL;
}

/* Whether a target of a table is one of dm-bpio's */
static bool has_bpio(struct dm_task *task)
{
	uint64_t start, length;
	char *type, *params;
	void *next = NULL;

	do {
		type = NULL;
		next = dm_get_next_target(task, next, &start, &length, &type,
					  &params);
		if (type && (!strcmp(type, "bpio") ||
			     !strcmp(type, "bpio-striped")))
			return true;
	} while (next);
	return false;
}

/* Judged by the live table; false for a device that has been removed. */
static bool is_volume(const char *name, struct dm_info *info)
{
	struct dm_task *task = run_task(DM_DEVICE_TABLE, name);
	bool ret;

	if (!task)
		return false;
	ret = dm_task_get_info(task, info) && info->exists &&
	      has_bpio(task);
	dm_task_destroy(task);
	return ret;
}

static int visit_all(struct dm_names *names,
		     int (*visit)(const struct bpio_volume *volume, void *arg),
		     void *arg)
{
	struct bpio_volume volume;
	struct dm_info info;
	int ret;

	if (!names->dev)
		return 0;
	for (;;) {
		if (is_volume(names->name, &info)) {
			volume.name = names->name;
			volume.major = info.major;
			volume.minor = info.minor;
			volume.suspended = info.suspended;
			ret = visit(&volume, arg);
			if (ret)
				return ret;
		}
		if (!names->next)
			return 0;
		names = (struct dm_names *)((char *)names + names->next);
	}
}

static int list_volumes(int (*visit)(const struct bpio_volume *volume,
				     void *arg), void *arg)
{
	struct dm_task *task;
	struct dm_names *names;
	int ret;

	/* Without access, libdevmapper would print an error on stderr. */
	if (access("/dev/mapper/control", R_OK | W_OK))
		return errno == ENOENT ? 0 : -errno;
	task = run_task(DM_DEVICE_LIST, NULL);
	if (!task)
		return -EIO;
	names = dm_task_get_names(task);
	ret = names ? visit_all(names, visit, arg) : -EIO;
	dm_task_destroy(task);
	return ret;
}

int bpio_volume_foreach(int (*visit)(const struct bpio_volume *volume,
				     void *arg), void *arg)
{
	int ret;

	pthread_mutex_lock(&devmapper_lock);
	ret = list_volumes(visit, arg);
	pthread_mutex_unlock(&devmapper_lock);
	return ret;
}
