// SPDX-License-Identifier: GPL-2.0-only
/*
 * See mapped.h.
 */
#include <errno.h>
#include <libdevmapper.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "mapped.h"

static char *copy(const char *text)
{
	char *copied = strdup(text ? text : "");

	if (!copied)
		abort();
	return copied;
}

static struct dm_task *run_task(int type, dev_t dev, bool inactive)
{
	struct dm_task *task = dm_task_create(type);

	if (!task)
		return NULL;
	if (dm_task_set_major_minor(task, major(dev), minor(dev), 1) &&
	    (!inactive || dm_task_query_inactive_table(task)) &&
	    dm_task_run(task))
		return task;
	dm_task_destroy(task);
	return NULL;
}

struct dm_task *mapped_task(int type, dev_t dev)
{
	return run_task(type, dev, false);
}

static void read_table(struct dm_task *task, struct table *table)
{
	uint64_t start, length;
	char *type, *params;
	void *next = NULL;

	do {
		next = dm_get_next_target(task, next, &start, &length, &type,
					  &params);
		if (!type)
			break;
		table_add(table, start, length, type, params);
	} while (next);
}

int mapped_read(dev_t dev, bool inactive, struct mapped *mapped)
{
	struct dm_task *task;
	struct dm_info info;

	*mapped = (struct mapped) { .dev = dev };
	task = run_task(DM_DEVICE_TABLE, dev, inactive);
	if (!task)
		return access("/dev/mapper/control", R_OK | W_OK) ? -errno :
								    -ENXIO;
	if (!dm_task_get_info(task, &info) || !info.exists) {
		dm_task_destroy(task);
		return -ENXIO;
	}
	mapped->name = copy(dm_task_get_name(task));
	mapped->uuid = copy(dm_task_get_uuid(task));
	mapped->suspended = info.suspended;
	mapped->read_only = info.read_only;
	mapped->has_inactive = info.inactive_table;
	read_table(task, &mapped->table);
	dm_task_destroy(task);
	return 0;
}

void mapped_free(struct mapped *mapped)
{
	free(mapped->name);
	free(mapped->uuid);
	table_free(&mapped->table);
	*mapped = (struct mapped) { 0 };
}

bool mapped_attribute(dev_t dev, const char *name, char *value, size_t size)
{
	char path[64];
	FILE *file;
	bool got;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/dm/%s", major(dev),
		 minor(dev), name);
	file = fopen(path, "re");
	if (!file)
		return false;
	got = fgets(value, size, file);
	fclose(file);
	if (got)
		value[strcspn(value, "\n")] = '\0';
	return got;
}

bool mapped_is_suspended(dev_t dev)
{
	char suspended[8];

	return mapped_attribute(dev, "suspended", suspended,
				sizeof(suspended)) && atoi(suspended);
}

int mapped_error(dev_t dev, int error)
{
	return error == -EAGAIN && !mapped_is_suspended(dev) ? -ENOTTY : error;
}

void table_add(struct table *table, uint64_t start, uint64_t length,
	       const char *type, const char *params)
{
	struct target *grown = reallocarray(table->targets, table->count + 1,
					    sizeof(*grown));

	if (!grown)
		abort();
	table->targets = grown;
	grown[table->count++] = (struct target) {
		.start = start, .length = length,
		.type = copy(type), .params = copy(params),
	};
}

void table_free(struct table *table)
{
	size_t i;

	for (i = 0; i < table->count; i++) {
		free(table->targets[i].type);
		free(table->targets[i].params);
	}
	free(table->targets);
	*table = (struct table) { 0 };
}

bool table_equal(const struct table *table, const struct table *other)
{
	size_t i;

	if (table->count != other->count)
		return false;
	for (i = 0; i < table->count; i++) {
		const struct target *a = &table->targets[i];
		const struct target *b = &other->targets[i];

		if (a->start != b->start || a->length != b->length ||
		    strcmp(a->type, b->type) || strcmp(a->params, b->params))
			return false;
	}
	return true;
}

char *table_text(const struct table *table)
{
	char *text = NULL;
	size_t i, size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		abort();
	for (i = 0; i < table->count; i++) {
		const struct target *target = &table->targets[i];

		fprintf(out, "%llu %llu %s%s%s\n",
			(unsigned long long)target->start,
			(unsigned long long)target->length, target->type,
			*target->params ? " " : "", target->params);
	}
	fclose(out);
	return text;
}

static bool has_type(const struct table *table, size_t end, const char *type)
{
	size_t i;

	for (i = 0; i < end; i++)
		if (!strcmp(table->targets[i].type, type))
			return true;
	return false;
}

char *table_types(const struct table *table)
{
	char *types = NULL;
	size_t i, size;
	FILE *out = open_memstream(&types, &size);

	if (!out)
		abort();
	for (i = 0; i < table->count; i++)
		if (!has_type(table, i, table->targets[i].type))
			fprintf(out, "%s%s", i ? "+" : "",
				table->targets[i].type);
	fclose(out);
	return types;
}
