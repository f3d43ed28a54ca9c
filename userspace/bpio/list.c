// SPDX-License-Identifier: GPL-2.0-only
/*
 * bpio list
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "adopted.h"
#include "bpio.h"
#include "cli.h"
#include "files.h"
#include "handlers.h"
#include "layers.h"
#include "mapped.h"
#include "mounted.h"
#include "place.h"
#include "report.h"
#include "stack.h"
#include "verdict.h"

#define COLUMNS	10

static const char * const heading[COLUMNS] = {
	"MOUNTPOINT", "FSTYPE", "DEVICE", "BOTTOM", "STATE", "ACTIVE",
	"DIRECT", "FALLBACK", "SEGMENTS", "MADE",
};

/**
 * struct listing - all volumes
 *
 * @volumes: An object for each.
 * @unreadable: An object for each mounted device that may be one.
 * @rows: The heading and a row for each volume.
 * @count: Number of rows.
 * @complete: Volumes that are not mounted are among them.
 */
struct listing {
	struct json_object *volumes;
	struct json_object *unreadable;
	char ***rows;
	size_t count;
	bool complete;
};

static const char *text_of(struct json_object *json, const char *key)
{
	return json_object_get_string(json_object_object_get(json, key));
}

/* The devices at the bottom of the stack, joined by "," */
static char *bottoms_of(dev_t dev)
{
	char *joined = NULL;
	struct stack stack;
	size_t i, size;
	FILE *out;

	if (stack_walk(dev, &stack))
		return strdup("-");
	out = open_memstream(&joined, &size);
	if (!out)
		abort();
	for (i = 0; i < stack.count; i++) {
		char *node;

		if (!stack_is_bottom(&stack, i))
			continue;
		node = device_node(stack.layers[i].dev);
		fprintf(out, "%s%s", ftell(out) ? "," : "", node);
		free(node);
	}
	fclose(out);
	stack_free(&stack);
	return joined;
}

static char **add_row(struct listing *listing)
{
	char ***rows = reallocarray(listing->rows, listing->count + 1,
				    sizeof(*rows));

	if (!rows)
		abort();
	listing->rows = rows;
	rows[listing->count] = calloc(COLUMNS, sizeof(**rows));
	if (!rows[listing->count])
		abort();
	return rows[listing->count++];
}

/* Opens a descriptor to query a volume with, or returns a negative errno */
static int open_volume(const struct bpio_volume *volume)
{
	int fd = bpio_volume_open_dev(volume->major, volume->minor);

	if (status_of_error(fd) != STATUS_PERMISSION)
		return fd;
	return mounted_open(makedev(volume->major, volume->minor));
}

/* Counters and support; a suspended volume does not return them. */
static const char *volume_state(const struct bpio_volume *volume,
				struct bpio_volume_info *info,
				struct bpio_verdict *verdict, bool *told)
{
	const char *state = "unknown";
	int fd;

	*told = false;
	if (volume->suspended)
		return "suspended";
	fd = open_volume(volume);
	if (fd < 0)
		return state;
	if (!bpio_volume_info(fd, info) && !bpio_query_fd(fd, 0, verdict)) {
		*told = true;
		if (verdict->reason == BPIO_REASON_SWITCHED_OFF)
			state = bpio_reason_token(verdict->reason);
		else if (verdict_status(verdict) == STATUS_PAUSED)
			state = "paused";
		else
			state = bpio_support_token(verdict->support);
	}
	close(fd);
	return state;
}

/**
 * struct making - how a volume is made
 *
 * @segments: Number of its segments, 0 when the table may not be read.
 * @stripes: Largest number of stripes of a segment.
 * @adopted: By "bpio adopt".
 */
struct making {
	size_t segments;
	unsigned long stripes;
	bool adopted;
};

static void read_making(dev_t dev, struct making *making)
{
	struct mapped mapped;
	size_t i;

	*making = (struct making) { 0 };
	if (mapped_read(dev, false, &mapped))
		return;
	making->segments = mapped.table.count;
	making->stripes = 1;
	for (i = 0; i < mapped.table.count; i++) {
		const struct target *target = &mapped.table.targets[i];
		unsigned long stripes = 1;

		if (!strcmp(target->type, "bpio-striped"))
			stripes = strtoul(target->params, NULL, 10);
		if (stripes > making->stripes)
			making->stripes = stripes;
	}
	making->adopted = adopted_is(&mapped);
	mapped_free(&mapped);
}

/* "3", or "3 (2 stripes)" */
static char *segments_text(const struct making *making)
{
	char *text;

	if (making->stripes < 2)
		return report_cell(making->segments, making->segments);
	if (asprintf(&text, "%zu (%lu stripes)", making->segments,
		     making->stripes) < 0)
		abort();
	return text;
}

static void making_to_json(struct json_object *json,
			   const struct making *making)
{
	if (!making->segments)
		return;
	json_object_object_add(json, "segments",
			       json_object_new_int64(making->segments));
	json_object_object_add(json, "stripes",
			       json_object_new_int64(making->stripes));
	json_object_object_add(json, "adopted",
			       json_object_new_boolean(making->adopted));
}

static void add_json(struct listing *listing, const struct bpio_volume *volume,
		     const char *bottom, const char *state,
		     const struct bpio_volume_info *info,
		     const struct bpio_verdict *verdict,
		     const struct making *making, struct json_object *mounts)
{
	struct json_object *json = json_object_new_object();

	json_object_object_add(json, "name",
			       json_object_new_string(volume->name));
	json_object_object_add(json, "device",
			       device_to_json(makedev(volume->major,
						      volume->minor)));
	json_object_object_add(json, "mounts", json_object_get(mounts));
	json_object_object_add(json, "bottom", json_object_new_string(bottom));
	json_object_object_add(json, "state", json_object_new_string(state));
	making_to_json(json, making);
	if (verdict->reason != BPIO_REASON_NONE)
		json_object_object_add(json, "reason",
				       reason_to_json(verdict->reason,
						      verdict->reason_text));
	if (info) {
		json_object_object_add(json, "storage",
				       device_to_json(makedev(info->storage_major,
							      info->storage_minor)));
		json_object_object_add(json, "active_files",
				       json_object_new_int64(info->active_files));
		reads_to_json(json, READS_OF(info));
	}
	json_object_array_add(listing->volumes, json);
}

static int visit(const struct bpio_volume *volume, void *arg)
{
	struct bpio_volume_info info = BPIO_VOLUME_INFO_INIT;
	struct bpio_verdict verdict = BPIO_VERDICT_INIT;
	dev_t dev = makedev(volume->major, volume->minor);
	struct json_object *mounts = mounts_of(dev);
	struct listing *listing = arg;
	char **row = add_row(listing);
	struct making making;
	const char *state;
	bool told;

	state = volume_state(volume, &info, &verdict, &told);
	row[0] = mounts_join(mounts, "mount_point");
	row[1] = mounts_join(mounts, "filesystem");
	row[2] = device_node(dev);
	row[3] = bottoms_of(dev);
	row[4] = strdup(state);
	row[5] = report_cell(told, info.active_files);
	row[6] = report_cell(told, info.direct_reads);
	row[7] = report_cell(told, info.fallback_reads);
	read_making(dev, &making);
	row[8] = segments_text(&making);
	row[9] = strdup(!making.segments ? "-" :
			making.adopted ? "adopted" : "by-hand");
	add_json(listing, volume, row[3], state, told ? &info : NULL, &verdict,
		 &making, mounts);
	json_object_put(mounts);
	return 0;
}

static void free_rows(struct listing *listing)
{
	size_t i, column;

	for (i = 0; i < listing->count; i++) {
		for (column = 0; column < COLUMNS; column++)
			free(listing->rows[i][column]);
		free(listing->rows[i]);
	}
	free(listing->rows);
}

/* Only the mounted file system could be queried, and it cannot be opened. */
static void unreadable(dev_t dev, const char *mount_point, int error, void *arg)
{
	struct json_object *json = json_object_new_object();
	struct listing *listing = arg;

	json_object_object_add(json, "mount_point",
			       json_object_new_string(mount_point));
	json_object_object_add(json, "device", device_to_json(dev));
	json_object_object_add(json, "error",
			       json_object_new_string(strerror(-error)));
	json_object_array_add(listing->unreadable, json);
}

static void report_unreadable(struct report *report, struct json_object *list)
{
	size_t i;

	for (i = 0; i < json_object_array_length(list); i++) {
		struct json_object *json = json_object_array_get_idx(list, i);

		report_heading(report,
			       "%s cannot be opened, so it is not known whether it is on a bpio volume: %s",
			       text_of(json, "mount_point"),
			       text_of(json, "error"));
	}
	report_json(report, "unreadable", list);
}

static int finish(const struct command_line *line, struct listing *listing)
{
	struct report *report = report_new(line);

	report_json(report, "volumes", listing->volumes);
	report_flag(report, "complete", NULL, listing->complete);
	if (listing->count > 1)
		report_table(report, listing->rows, listing->count, COLUMNS);
	else if (listing->complete)
		report_heading(report,
			       "There is no bpio volume; dm-bpio(4) shows how to make one.");
	else
		report_heading(report,
			       "No file system that can be read is on a bpio volume.");
	report_unreadable(report, listing->unreadable);
	if (!listing->complete)
		report_heading(report,
			       "Only volumes with a mounted file system are listed; root sees all.");
	return report_finish(report, 0);
}

int verb_list(const struct command_line *line)
{
	struct listing listing = { 0 };
	char **row;
	size_t i;
	int ret;

	if (line->files)
		return list_files(line);
	if (line->argc)
		return fail(line, STATUS_USAGE,
			    "\"list\" expects no argument, but got \"%s\" too; \"list --files\" takes a path",
			    line->argv[0]);
	listing.volumes = json_object_new_array();
	listing.unreadable = json_object_new_array();
	row = add_row(&listing);
	for (i = 0; i < COLUMNS; i++)
		row[i] = strdup(heading[i]);
	ret = bpio_volume_foreach(visit, &listing);
	listing.complete = status_of_error(ret) != STATUS_PERMISSION;
	if (!listing.complete) {
		mounted_foreach(visit, unreadable, &listing);
		ret = 0;
	}
	if (ret) {
		json_object_put(listing.volumes);
		json_object_put(listing.unreadable);
		ret = fail(line, STATUS_FAILURE,
			   "cannot ask device-mapper for its tables: %s",
			   strerror(-ret));
	} else {
		ret = finish(line, &listing);
	}
	free_rows(&listing);
	return ret;
}
