// SPDX-License-Identifier: GPL-2.0-only
/*
 * See layers.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <time.h>

#include "cli.h"
#include "layers.h"

static struct row *add_row(struct layers *layers)
{
	struct row *grown = reallocarray(layers->rows, layers->count + 1,
					 sizeof(*grown));

	if (!grown)
		abort();
	layers->rows = grown;
	grown += layers->count++;
	*grown = (struct row) { 0 };
	return grown;
}

static bool has_dev(const struct layers *layers, dev_t dev)
{
	size_t i;

	for (i = 0; i < layers->count; i++)
		if (row_dev(&layers->rows[i]) == dev)
			return true;
	return false;
}

/*
 * The kernel does not query layers below one that does not take part, but the tables
 * list them. Their rows follow the row of that layer.
 */
static void add_below(struct layers *to, const struct layers *said,
		      const struct row *above)
{
	const struct stack *stack = &to->stack;
	const struct layer *top = stack_find(stack, row_dev(above));
	const struct layer *end, *at;

	if (!top)
		return;
	end = stack->layers + stack->count;
	for (at = top + 1; at < end && at->depth > top->depth; at++) {
		struct row *row;

		if (has_dev(said, at->dev) || has_dev(to, at->dev))
			continue;
		row = add_row(to);
		row->device = at;
		row->said.major = major(at->dev);
		row->said.minor = minor(at->dev);
		row->said.depth = above->said.depth + at->depth - top->depth;
	}
}

static int visit(const struct bpio_layer *layer, void *arg)
{
	struct row *row = add_row(arg);

	row->said = *layer;
	row->asked = true;
	return 0;
}

/* A special file is not opened, so it is refused here. */
static void refuse_special(struct bpio_verdict *verdict)
{
	verdict->support = BPIO_SUPPORT_NONE;
	verdict->op_status = -EOPNOTSUPP;
	verdict->driver[0] = '\0';
	verdict->reason = BPIO_REASON_NOT_REGULAR_FILE;
	snprintf(verdict->reason_text, sizeof(verdict->reason_text), "%s",
		 bpio_reason_text(verdict->reason));
}

static int ask(const struct place *place, int fd, struct layers *said)
{
	int ret;

	said->verdict.size = sizeof(said->verdict);
	ret = bpio_layer_foreach_fd(fd, &said->verdict, visit, said);
	if (!ret && place_is_special(place))
		refuse_special(&said->verdict);
	return ret;
}

int layers_ask(const struct place *place, int fd, struct layers *layers)
{
	struct layers said = { 0 };
	size_t i;
	int ret;

	*layers = (struct layers) { 0 };
	ret = ask(place, fd, &said);
	if (ret) {
		free(said.rows);
		return ret;
	}
	layers->verdict = said.verdict;
	/* Only the flags show a pause of the file. */
	if (!layers->verdict.reason &&
	    (layers->verdict.out_flags & FS_BPIO_OUTFL_STREAM_BYPASS_PAUSED)) {
		layers->verdict.reason = layers->verdict.out_flags &
			FS_BPIO_OUTFL_STREAM_KERNEL_PAUSED ?
			BPIO_REASON_KERNEL_PAUSED : BPIO_REASON_STREAM_PAUSED;
		snprintf(layers->verdict.reason_text,
			 sizeof(layers->verdict.reason_text), "%s",
			 bpio_reason_text(layers->verdict.reason));
	}
	/* Without permission there are only the kernel's names. */
	if (stack_walk(place->dev, &layers->stack))
		layers->stack = (struct stack) { 0 };
	for (i = 0; i < said.count; i++) {
		struct row row = said.rows[i];

		row.device = stack_find(&layers->stack, row_dev(&row));
		*add_row(layers) = row;
		if (i + 1 == said.count ||
		    said.rows[i + 1].said.depth <= row.said.depth)
			add_below(layers, &said, &row);
	}
	free(said.rows);
	return 0;
}

void layers_free(struct layers *layers)
{
	free(layers->rows);
	stack_free(&layers->stack);
}

dev_t row_dev(const struct row *row)
{
	return makedev(row->said.major, row->said.minor);
}

const char *row_type(const struct row *row)
{
	if (row->device)
		return row->device->type;
	return row->said.name[0] ? row->said.name : "unknown";
}

const char *row_verdict(const struct row *row)
{
	if (!row->asked)
		return "not-asked";
	return row->said.op_status ? bpio_reason_token(row->said.reason) :
				     "agrees";
}

bool row_objects(const struct row *row)
{
	if (row->asked)
		return row->said.op_status;
	/* The kernel did not query it, so judge it by its type. */
	return strcmp(row_type(row), "nvme");
}

char *row_name(const struct row *row)
{
	char *node = device_node(row_dev(row)), *name;

	if (asprintf(&name, "%s (%s)", row_type(row), node) < 0)
		abort();
	free(node);
	return name;
}

const struct row *layers_objector(const struct layers *layers)
{
	const struct bpio_verdict *verdict = &layers->verdict;
	size_t i;

	for (i = 0; i < layers->count; i++) {
		const struct bpio_layer *said = &layers->rows[i].said;

		if (said->op_status && said->op_status == verdict->op_status &&
		    said->reason == verdict->reason)
			return &layers->rows[i];
	}
	return NULL;
}

struct json_object *reason_to_json(unsigned int reason, const char *text)
{
	struct json_object *json = json_object_new_object();

	json_object_object_add(json, "code", json_object_new_int(reason));
	json_object_object_add(json, "token",
			       json_object_new_string(bpio_reason_token(reason)));
	json_object_object_add(json, "text", json_object_new_string(text));
	return json;
}

struct json_object *reasons_to_json(const __u64 *counts)
{
	struct json_object *json = json_object_new_object();
	unsigned int i;

	for (i = 0; i < BPIO_REASON_COUNT; i++)
		if (counts[i])
			json_object_object_add(json, bpio_reason_token(i),
					       json_object_new_uint64(counts[i]));
	return json;
}

void status_to_json(struct json_object *json, int op_status)
{
	const char *name = strerrorname_np(-op_status);

	json_object_object_add(json, "status", json_object_new_int(-op_status));
	if (!op_status)
		return;
	json_object_object_add(json, "status_name",
			       json_object_new_string(name ? name : "unknown"));
	json_object_object_add(json, "status_text",
			       json_object_new_string(strerror(-op_status)));
}

static void format_time(time_t since, char *text, size_t size)
{
	struct tm local;

	if (!localtime_r(&since, &local) ||
	    !strftime(text, size, "%Y-%m-%d %H:%M:%S %z", &local))
		snprintf(text, size, "%lld", (long long)since);
}

static unsigned long long seconds_since(unsigned long long since)
{
	unsigned long long now = time(NULL);

	return now > since ? now - since : 0;
}

/* In the two largest units, without leading zeroes */
static void format_duration(unsigned long long seconds, char *text,
			    size_t size)
{
	if (seconds < 60)
		snprintf(text, size, "%llu s", seconds);
	else if (seconds < 3600)
		snprintf(text, size, "%llu min %llu s", seconds / 60,
			 seconds % 60);
	else if (seconds < 86400)
		snprintf(text, size, "%llu h %llu min", seconds / 3600,
			 seconds / 60 % 60);
	else
		snprintf(text, size, "%llu d %llu h", seconds / 86400,
			 seconds / 3600 % 24);
}

struct json_object *pause_to_json(const struct bpio_layer *layer)
{
	struct json_object *json = json_object_new_object();
	char since[64];

	format_time(layer->paused_since, since, sizeof(since));
	json_object_object_add(json, "who",
			       json_object_new_string(layer->paused_by));
	json_object_object_add(json, "why",
			       json_object_new_string(layer->paused_why));
	json_object_object_add(json, "since",
			       json_object_new_uint64(layer->paused_since));
	json_object_object_add(json, "since_text",
			       json_object_new_string(since));
	json_object_object_add(json, "seconds",
			       json_object_new_uint64(seconds_since(layer->paused_since)));
	return json;
}

static void report_pause(struct report *report, const struct row *row)
{
	const struct bpio_layer *said = &row->said;
	char since[64], duration[64], *name = row_name(row);

	format_time(said->paused_since, since, sizeof(since));
	format_duration(seconds_since(said->paused_since), duration,
			sizeof(duration));
	report_text(report, NULL, "Paused at", "%s", name);
	report_text(report, NULL, "Paused by", "%s", said->paused_by);
	report_text(report, NULL, "Paused since", "%s (%s)", since, duration);
	report_text(report, NULL, "Paused because", "%s", said->paused_why);
	free(name);
}

void layers_report_pauses(struct report *report, const struct layers *layers)
{
	struct json_object *list = json_object_new_array(), *json;
	size_t i;

	for (i = 0; i < layers->count; i++) {
		const struct row *row = &layers->rows[i];

		if (!(row->said.flags & BPIO_LAYER_PAUSED))
			continue;
		report_pause(report, row);
		json = pause_to_json(&row->said);
		json_object_object_add(json, "layer",
				       device_to_json(row_dev(row)));
		json_object_object_add(json, "layer_type",
				       json_object_new_string(row_type(row)));
		json_object_array_add(list, json);
	}
	report_json(report, "pauses", list);
}

static struct json_object *objection_json(const char *driver, int op_status,
					  unsigned int reason,
					  const char *text)
{
	struct json_object *json = json_object_new_object();

	json_object_object_add(json, "driver", json_object_new_string(driver));
	status_to_json(json, op_status);
	json_object_object_add(json, "reason", reason_to_json(reason, text));
	return json;
}

/* An objection to the file itself that does not come from a layer */
static void report_file(struct report *report, struct json_object *list,
			const struct bpio_verdict *verdict, bool all)
{
	if (all)
		report_text(report, NULL, "Objection", "%s: %s",
			    verdict->driver[0] ? verdict->driver : "the file",
			    verdict->reason_text);
	json_object_array_add(list, objection_json(verdict->driver,
						   verdict->op_status,
						   verdict->reason,
						   verdict->reason_text));
}

static void report_row(struct report *report, struct json_object *list,
		       const struct row *row, bool all)
{
	const struct bpio_layer *said = &row->said;
	char *name = row_name(row);
	struct json_object *json;

	if (all)
		report_text(report, NULL, "Objection", "%s: %s", name,
			    said->reason_text);
	json = objection_json(said->name, said->op_status, said->reason,
			      said->reason_text);
	json_object_object_add(json, "layer", device_to_json(row_dev(row)));
	json_object_object_add(json, "layer_type",
			       json_object_new_string(row_type(row)));
	json_object_array_add(list, json);
	free(name);
}

void layers_report_objections(struct report *report,
			      const struct layers *layers, bool all)
{
	struct json_object *list = json_object_new_array();
	const struct bpio_verdict *verdict = &layers->verdict;
	size_t i;

	if (verdict->op_status && !layers_objector(layers))
		report_file(report, list, verdict, all);
	for (i = 0; i < layers->count; i++)
		if (layers->rows[i].asked && row_objects(&layers->rows[i]))
			report_row(report, list, &layers->rows[i], all);
	report_json(report, "objections", list);
}
