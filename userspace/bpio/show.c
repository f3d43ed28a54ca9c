// SPDX-License-Identifier: GPL-2.0-only
/*
 * bpio stack PATH
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "bpio.h"
#include "cli.h"
#include "handlers.h"
#include "layers.h"
#include "place.h"
#include "verdict.h"

/* The sentence is last because it has spaces. */
static const char * const heading[] = {
	"LAYER", "TARGET", "PART", "VERDICT", "READS", "BYPASSED", "REASON",
};

#define COLUMNS	ARRAY_SIZE(heading)

/* Reads that a block device has completed; false when sysfs does not have them */
static bool reads_seen(dev_t dev, unsigned long long *reads)
{
	char path[64];
	FILE *stat;
	bool told;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/stat", major(dev),
		 minor(dev));
	stat = fopen(path, "re");
	if (!stat)
		return false;
	told = fscanf(stat, "%llu", reads) == 1;
	fclose(stat);
	return told;
}

static bool takes_part(const struct row *row)
{
	return row->said.flags & BPIO_LAYER_TAKES_PART;
}

/* Only a layer with another one below it can be skipped. */
static bool can_be_bypassed(const struct row *row)
{
	return row->asked && takes_part(row) &&
	       !(row->said.flags & BPIO_LAYER_STORAGE);
}

static const char *reason_of(const struct row *row)
{
	if (!row->asked)
		return "A layer above does not take part, so it cannot be queried.";
	return row->said.reason_text[0] ? row->said.reason_text : "-";
}

static char **make_cells(const struct row *row)
{
	char **cells = calloc(COLUMNS, sizeof(*cells));
	char *node = device_node(row_dev(row));
	unsigned long long reads = 0;
	bool told = reads_seen(row_dev(row), &reads);

	if (!cells ||
	    asprintf(&cells[0], "%*s%s", 2 * (int)row->said.depth, "",
		     node) < 0)
		abort();
	cells[1] = strdup(row_type(row));
	cells[2] = strdup(!row->asked ? "-" : takes_part(row) ? "yes" : "no");
	cells[3] = strdup(row_verdict(row));
	cells[4] = report_cell(told, reads);
	cells[5] = report_cell(can_be_bypassed(row), row->said.bypassed_reads);
	cells[6] = strdup(reason_of(row));
	free(node);
	return cells;
}

static void report_rows(struct report *report, const struct layers *layers)
{
	char ***cells = calloc(layers->count + 1, sizeof(*cells));
	size_t row, column;

	if (!cells)
		abort();
	cells[0] = calloc(COLUMNS, sizeof(**cells));
	if (!cells[0])
		abort();
	for (column = 0; column < COLUMNS; column++)
		cells[0][column] = strdup(heading[column]);
	for (row = 0; row < layers->count; row++)
		cells[row + 1] = make_cells(&layers->rows[row]);
	report_table(report, cells, layers->count + 1, COLUMNS);
	for (row = 0; row <= layers->count; row++) {
		for (column = 0; column < COLUMNS; column++)
			free(cells[row][column]);
		free(cells[row]);
	}
	free(cells);
}

static void add_answer(struct json_object *json, const struct row *row)
{
	const struct bpio_layer *said = &row->said;

	json_object_object_add(json, "name",
			       json_object_new_string(said->name));
	json_object_object_add(json, "takes_part",
			       json_object_new_boolean(takes_part(row)));
	json_object_object_add(json, "storage",
			       json_object_new_boolean(said->flags &
						       BPIO_LAYER_STORAGE));
	json_object_object_add(json, "bypassed_now",
			       json_object_new_boolean(said->flags &
						       BPIO_LAYER_BYPASSED));
	status_to_json(json, said->op_status);
	if (said->op_status)
		json_object_object_add(json, "reason",
				       reason_to_json(said->reason,
						      said->reason_text));
	if (can_be_bypassed(row))
		json_object_object_add(json, "reads_bypassed",
				       json_object_new_uint64(said->bypassed_reads));
	if (said->flags & BPIO_LAYER_PAUSED)
		json_object_object_add(json, "pause", pause_to_json(said));
}

static struct json_object *row_to_json(const struct row *row)
{
	struct json_object *json = device_to_json(row_dev(row));
	unsigned long long reads;

	json_object_object_add(json, "depth",
			       json_object_new_int(row->said.depth));
	json_object_object_add(json, "type",
			       json_object_new_string(row_type(row)));
	json_object_object_add(json, "asked",
			       json_object_new_boolean(row->asked));
	json_object_object_add(json, "verdict",
			       json_object_new_string(row_verdict(row)));
	if (reads_seen(row_dev(row), &reads))
		json_object_object_add(json, "reads_seen",
				       json_object_new_uint64(reads));
	if (row->asked)
		add_answer(json, row);
	return json;
}

/* Adds a name to an enumeration: "A", "A and B", "A, B and C" */
static void enumerate(FILE *out, const char *name, size_t at, size_t count)
{
	fprintf(out, "%s%s", !at ? "" : at + 1 < count ? ", " : " and ", name);
}

/* What would remove the objection of a row */
enum remedy { REMEDY_GONE, REMEDY_AGREED, REMEDY_RESUMED };

static enum remedy remedy_of(const struct row *row)
{
	if (!row->asked)
		return strncmp(row_type(row), "bpio", 4) ? REMEDY_GONE :
							   REMEDY_AGREED;
	switch (row->said.reason) {
	case BPIO_REASON_VOLUME_PAUSED:
		return REMEDY_RESUMED;
	case BPIO_REASON_LAYER_VETO:
	case BPIO_REASON_FILE_VETO:
		return REMEDY_AGREED;
	default:
		return REMEDY_GONE;
	}
}

static size_t count_objectors(const struct layers *layers, enum remedy remedy)
{
	size_t i, count = 0;

	for (i = 0; i < layers->count; i++)
		count += row_objects(&layers->rows[i]) &&
			 remedy_of(&layers->rows[i]) == remedy;
	return count;
}

static size_t enumerate_objectors(FILE *out, const struct layers *layers,
				  enum remedy remedy, struct json_object *list)
{
	size_t i, at = 0, count = count_objectors(layers, remedy);

	for (i = 0; i < layers->count; i++) {
		const struct row *row = &layers->rows[i];
		char *name;

		if (!row_objects(row) || remedy_of(row) != remedy)
			continue;
		name = row_name(row);
		json_object_array_add(list, json_object_new_string(name));
		enumerate(out, name, at++, count);
		free(name);
	}
	return count;
}

/* "only without A, which does not take part, and if B agreed and C resumed" */
static void write_conditions(FILE *out, const struct layers *layers,
			     struct json_object *list)
{
	size_t gone = count_objectors(layers, REMEDY_GONE);
	size_t agreed = count_objectors(layers, REMEDY_AGREED);
	size_t resumed = count_objectors(layers, REMEDY_RESUMED);

	if (gone) {
		fputs("only without ", out);
		enumerate_objectors(out, layers, REMEDY_GONE, list);
		fprintf(out, ", which %s not take part",
			gone == 1 ? "does" : "do");
	}
	if (agreed || resumed)
		fputs(gone ? ", and if " : "if ", out);
	if (enumerate_objectors(out, layers, REMEDY_AGREED, list))
		fputs(" agreed", out);
	if (agreed && resumed)
		fputs(" and ", out);
	if (enumerate_objectors(out, layers, REMEDY_RESUMED, list))
		fputs(" resumed", out);
}

/* The line "Full if ...": the conditions for full bypass of the volume */
static void report_full_if(struct report *report, const struct layers *layers)
{
	struct json_object *list = json_object_new_array();
	char *conditions;
	size_t size;
	FILE *out;

	out = open_memstream(&conditions, &size);
	if (!out)
		abort();
	write_conditions(out, layers, list);
	fclose(out);
	if (*conditions)
		report_heading(report, "Full %s.", conditions);
	report_json(report, "full_if", list);
	free(conditions);
}

static int act(const struct command_line *line, const struct place *place,
	       int fd)
{
	struct json_object *list = json_object_new_array();
	const struct bpio_verdict *verdict;
	struct report *report;
	struct layers layers;
	size_t i;
	int ret;

	ret = layers_ask(place, fd, &layers);
	if (ret) {
		json_object_put(list);
		return ask_failed(line, place, ret);
	}
	verdict = &layers.verdict;
	report = report_new(line);
	report_heading(report, "BypassIo on \"%s\" is %s.", place->path,
		       verdict_phrase(verdict));
	report_text(report, "path", NULL, "%s", place->path);
	report_json(report, "volume", device_to_json(place->dev));
	if (verdict->support == BPIO_SUPPORT_NONE)
		report_text(report, NULL, "The file itself is refused", "%s%s%s",
			    verdict->driver, verdict->driver[0] ? ": " : "",
			    verdict->reason_text);
	verdict_report_json(report, &layers);
	report_rows(report, &layers);
	for (i = 0; i < layers.count; i++)
		json_object_array_add(list, row_to_json(&layers.rows[i]));
	report_json(report, "layers", list);
	report_full_if(report, &layers);
	ret = verdict_status(verdict);
	report_number(report, "exit_status", NULL, ret, NULL);
	layers_free(&layers);
	return report_finish(report, ret);
}

int verb_stack(const struct command_line *line)
{
	return with_subject(line, act);
}
