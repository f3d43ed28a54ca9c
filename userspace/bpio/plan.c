// SPDX-License-Identifier: GPL-2.0-only
/*
 * See plan.h.
 */
#include <dirent.h>
#include <errno.h>
#include <libdevmapper.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "adopted.h"
#include "cli.h"
#include "place.h"
#include "plan.h"
#include "stack.h"

static atomic_int interrupted;

static bool has(const struct plan *plan, dev_t dev)
{
	size_t i;

	for (i = 0; i < plan->count; i++)
		if (plan->swaps[i].before.dev == dev)
			return true;
	return false;
}

static void add_group(struct plan *plan, const struct mapped *mapped)
{
	char *group = lvm_group(mapped->name, mapped->uuid);
	size_t at, i;

	if (!group)
		return;
	for (at = 0; at < plan->group_count; at++)
		if (strcmp(plan->groups[at], group) >= 0)
			break;
	if (at < plan->group_count && !strcmp(plan->groups[at], group)) {
		free(group);
		return;
	}
	plan->groups = reallocarray(plan->groups, plan->group_count + 1,
				    sizeof(*plan->groups));
	if (!plan->groups)
		abort();
	for (i = plan->group_count++; i > at; i--)
		plan->groups[i] = plan->groups[i - 1];
	plan->groups[at] = group;
}

static void add_swap(struct plan *plan, struct mapped *mapped,
		     struct table *after)
{
	plan->swaps = reallocarray(plan->swaps, plan->count + 1,
				   sizeof(*plan->swaps));
	if (!plan->swaps)
		abort();
	plan->swaps[plan->count++] = (struct swap) {
		.before = *mapped, .after = *after,
	};
	add_group(plan, mapped);
}

static void drop_swap(struct plan *plan, size_t at)
{
	mapped_free(&plan->swaps[at].before);
	table_free(&plan->swaps[at].after);
	plan->count--;
	memmove(&plan->swaps[at], &plan->swaps[at + 1],
		(plan->count - at) * sizeof(*plan->swaps));
}

static int add_device(struct plan *plan, dev_t dev, struct mapped *mapped);

/* Adds the devices below first. The descent ends at a device without a counterpart. */
static void add_below(struct plan *plan, dev_t dev)
{
	struct dm_task *task = mapped_task(DM_DEVICE_DEPS, dev);
	struct dm_deps *deps;
	struct mapped below;
	uint32_t i;

	if (!task)
		return;
	deps = dm_task_get_deps(task);
	for (i = 0; deps && i < deps->count; i++) {
		if (!dm_is_dm_major(major(deps->device[i])) ||
		    has(plan, deps->device[i]))
			continue;
		if (add_device(plan, deps->device[i], &below))
			mapped_free(&below);
	}
	dm_task_destroy(task);
}

/* 0, or a negative errno; -EMEDIUMTYPE with the device in @mapped */
static int add_device(struct plan *plan, dev_t dev, struct mapped *mapped)
{
	struct table after;
	int ret;

	ret = mapped_read(dev, false, mapped);
	if (ret)
		return ret;
	if (!counterpart(&mapped->table, plan->direction, plan->any_storage,
			 &after))
		return -EMEDIUMTYPE;
	add_below(plan, dev);
	add_swap(plan, mapped, &after);
	return 0;
}

/* Whether the device is below a volume that is not released */
static bool is_used_by_other(const struct plan *plan, dev_t dev)
{
	char path[64], file[sizeof(path) + NAME_MAX + 8];
	struct dirent *entry;
	unsigned int maj, min;
	bool used = false;
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/holders", major(dev),
		 minor(dev));
	dir = opendir(path);
	while (dir && !used && (entry = readdir(dir))) {
		struct mapped holder;
		FILE *number;

		snprintf(file, sizeof(file), "%s/%s/dev", path, entry->d_name);
		number = entry->d_name[0] == '.' ? NULL : fopen(file, "re");
		if (!number)
			continue;
		if (fscanf(number, "%u:%u", &maj, &min) == 2 &&
		    !has(plan, makedev(maj, min)) &&
		    !mapped_read(makedev(maj, min), false, &holder)) {
			used = counterpart_is_volume(&holder.table);
			mapped_free(&holder);
		}
		fclose(number);
	}
	if (dir)
		closedir(dir);
	return used;
}

/* Below the named device, only adopted volumes are released. */
static void keep_others(struct plan *plan)
{
	size_t at;

	for (at = plan->count; at-- > 0;) {
		const struct mapped *mapped = &plan->swaps[at].before;

		if (at + 1 < plan->count &&
		    (!adopted_is(mapped) || is_used_by_other(plan, mapped->dev)))
			drop_swap(plan, at);
	}
}

static int no_mapped_device(const struct place *place, char *why, size_t size)
{
	struct stack stack;
	const char *clause;
	char *node;
	int ret;

	if (!place->dev)
		return wrong(why, size, -EMEDIUMTYPE,
			     "\"%s\" is on %s, which is on no block device",
			     place->path, place->fstype ? place->fstype :
			     "a file system");
	if (stack_walk(place->dev, &stack))
		return wrong(why, size, -EMEDIUMTYPE,
			     "\"%s\" is on a device that is not a mapped device",
			     place->path);
	node = device_node(place->dev);
	clause = counterpart_obstacle(stack.layers[0].type);
	ret = wrong(why, size, -EMEDIUMTYPE, "%s is %s%s", node,
		    clause ? clause : stack.layers[0].type,
		    clause ? "" :
		    ", a plain disk or partition without a table that could be swapped; "
		    "unmount it and mount it through a bpio volume, see bpiotab(5)");
	free(node);
	stack_free(&stack);
	return ret;
}

static int no_counterpart(const struct place *place,
			  const struct mapped *mapped, char *why, size_t size)
{
	const char *type = counterpart_unknown(&mapped->table);
	const char *clause = type ? counterpart_obstacle(type) : NULL;
	char *node = device_node(place->dev);
	int ret;

	if (!type)
		ret = wrong(why, size, -EMEDIUMTYPE, "%s has no table", node);
	else if (clause)
		ret = wrong(why, size, -EMEDIUMTYPE, "%s is %s", node, clause);
	else
		ret = wrong(why, size, -EMEDIUMTYPE,
			    "%s has a target %s, for which dm-bpio has no counterpart; only linear and striped ones can be adopted",
			    node, type);
	free(node);
	return ret;
}

static bool uses_module(const struct table *table)
{
	size_t i;

	for (i = 0; i < table->count; i++)
		if (!strncmp(table->targets[i].type, "bpio", 4))
			return true;
	return false;
}

/* A device that is gone by now, or that others below brought along, is left out. */
static int add_volume(struct plan *plan, dev_t dev, char *why, size_t size)
{
	struct mapped mapped;
	int ret;

	if (has(plan, dev) || mapped_read(dev, false, &mapped))
		return 0;
	ret = uses_module(&mapped.table) ? 0 : -ENOTTY;
	mapped_free(&mapped);
	if (ret)
		return 0;
	ret = add_device(plan, dev, &mapped);
	if (!ret)
		return 0;
	if (ret == -EMEDIUMTYPE)
		wrong(why, size, ret,
		      "%s has a target %s, for which there is no stock target; remove it first",
		      mapped.name, counterpart_unknown(&mapped.table));
	else
		wrong(why, size, ret, "cannot ask device-mapper for a table: %s",
		      strerror(-ret));
	mapped_free(&mapped);
	return ret;
}

static int make_for_all(struct plan *plan, char *why, size_t size)
{
	struct dm_task *task = dm_task_create(DM_DEVICE_LIST);
	struct dm_names *names;
	size_t at;
	int ret = 0;

	if (!task || !dm_task_run(task)) {
		if (task)
			dm_task_destroy(task);
		return wrong(why, size, -EIO,
			     "cannot ask device-mapper for its devices");
	}
	names = dm_task_get_names(task);
	while (!ret && names && names->dev) {
		ret = add_volume(plan, names->dev, why, size);
		names = names->next ? (void *)((char *)names + names->next) :
				      NULL;
	}
	dm_task_destroy(task);
	for (at = plan->count; at-- > 0;)
		if (!swap_needed(&plan->swaps[at]))
			drop_swap(plan, at);
	return ret;
}

int plan_make(const struct place *place, struct plan *plan, char *why,
	      size_t size)
{
	struct mapped mapped;
	int ret;

	if (!place)
		return make_for_all(plan, why, size);
	if (!place->dev || !dm_is_dm_major(major(place->dev)))
		return no_mapped_device(place, why, size);
	ret = add_device(plan, place->dev, &mapped);
	if (!ret) {
		if (plan->direction == TO_STOCK)
			keep_others(plan);
		return 0;
	}
	if (ret == -EMEDIUMTYPE)
		no_counterpart(place, &mapped, why, size);
	else
		wrong(why, size, ret, "cannot ask device-mapper for the table of \"%s\": %s",
		      place->path, strerror(-ret));
	mapped_free(&mapped);
	return ret;
}

static void free_swaps(struct plan *plan)
{
	while (plan->count)
		drop_swap(plan, plan->count - 1);
	free(plan->swaps);
	plan->swaps = NULL;
}

static void free_groups(char **groups, size_t count)
{
	while (count)
		free(groups[--count]);
	free(groups);
}

static void unlock(struct plan *plan)
{
	if (plan->own_lock >= 0)
		close(plan->own_lock);
	plan->own_lock = -1;
	while (plan->lock_count)
		lvm_unlock(&plan->locks[--plan->lock_count]);
	free(plan->locks);
	plan->locks = NULL;
}

static int lock_all(struct plan *plan, char *why, size_t size)
{
	size_t i;
	int ret;

	plan->locks = calloc(plan->group_count + 1, sizeof(*plan->locks));
	if (!plan->locks)
		abort();
	for (i = 0; i < plan->group_count; i++) {
		ret = lvm_lock(plan->groups[i], &plan->locks[i]);
		if (ret)
			return wrong(why, size, ret,
				     "cannot take LVM's lock of volume group %s: %s",
				     plan->groups[i], strerror(-ret));
		plan->lock_count++;
	}
	plan->own_lock = adopted_lock();
	if (plan->own_lock < 0)
		return wrong(why, size, plan->own_lock,
			     "cannot take the lock /run/bpio/lock: %s",
			     strerror(-plan->own_lock));
	return 0;
}

static bool same_groups(const struct plan *plan, char **groups, size_t count)
{
	size_t i;

	if (plan->group_count != count)
		return false;
	for (i = 0; i < count; i++)
		if (strcmp(plan->groups[i], groups[i]))
			return false;
	return true;
}

static void on_signal(int number)
{
	interrupted = number;
}

/* Without SA_RESTART, so that a signal ends the wait for a lock or for I/O */
static void catch_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
}

/*
 * The tables determine which locks are needed, but can only be relied on under these
 * locks. So plan, lock, and plan again.
 */
int plan_make_locked(const struct place *place, struct plan *plan, char *why,
		     size_t size)
{
	int ret;

	catch_signals();
	ret = plan_make(place, plan, why, size);
	while (!ret) {
		size_t count = plan->group_count;
		char **groups = plan->groups;
		bool same;

		ret = lock_all(plan, why, size);
		if (ret)
			break;
		free_swaps(plan);
		plan->groups = NULL;
		plan->group_count = 0;
		ret = plan_make(place, plan, why, size);
		same = same_groups(plan, groups, count);
		free_groups(groups, count);
		if (ret || same)
			break;
		unlock(plan);
	}
	return ret;
}

void plan_free(struct plan *plan)
{
	unlock(plan);
	free_swaps(plan);
	free_groups(plan->groups, plan->group_count);
	*plan = (struct plan) { .own_lock = -1 };
}

static int run_one(struct plan *plan, struct swap *swap, char *why,
		   size_t size)
{
	int ret;

	if (interrupted)
		return wrong(why, size, -EINTR, "interrupted by a signal");
	if (plan->direction == TO_BPIO && swap_needed(swap)) {
		ret = adopted_record(&swap->before);
		if (ret)
			return wrong(why, size, ret, "cannot write to /run/bpio: %s",
				     strerror(-ret));
	}
	ret = swap_run(swap, why, size);
	if (ret && swap_needed(swap) && plan->direction == TO_BPIO)
		adopted_forget(&swap->before);
	if (!ret && plan->direction == TO_STOCK && !plan->all)
		adopted_forget(&swap->before);
	return ret;
}

int plan_undo(struct plan *plan)
{
	char why[256];
	int ret, result = 0;
	size_t i;

	for (i = 0; i < plan->count; i++) {
		/* The last one first: from below when volumes come back */
		struct swap *swap = &plan->swaps[plan->direction == TO_BPIO ?
						 plan->count - 1 - i : i];

		if (!swap->done)
			continue;
		ret = swap_undo(swap, why, sizeof(why));
		if (ret) {
			fprintf(stderr, "bpio: %s\n", why);
			result = ret;
		} else if (plan->direction == TO_BPIO) {
			adopted_forget(&swap->before);
		} else if (!plan->all) {
			adopted_record(&swap->before);
		}
	}
	return result;
}

int plan_run(struct plan *plan, char *why, size_t size)
{
	sigset_t signals;
	int ret = 0;
	size_t i;

	/* Bottom up when volumes are made, top down when they are released. */
	for (i = 0; i < plan->count && !ret; i++)
		ret = run_one(plan, &plan->swaps[plan->direction == TO_BPIO ? i :
						 plan->count - 1 - i],
			      why, size);
	if (!ret)
		return 0;
	/* Signals must not interrupt the undo. */
	sigfillset(&signals);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	plan_undo(plan);
	return ret;
}

bool plan_needed(const struct plan *plan)
{
	size_t i;

	for (i = 0; i < plan->count; i++)
		if (swap_needed(&plan->swaps[i]))
			return true;
	return false;
}

const struct swap *plan_top(const struct plan *plan)
{
	return &plan->swaps[plan->count - 1];
}
