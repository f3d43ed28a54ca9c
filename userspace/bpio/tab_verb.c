// SPDX-License-Identifier: GPL-2.0-only
/*
 * bpio tab [FILE], bpio up [NAME...], bpio down [NAME...]
 */
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "handlers.h"
#include "report.h"
#include "stack.h"
#include "tab.h"
#include "tab_device.h"
#include "tab_volume.h"

#define WHY_SIZE	1024

typedef int volume_action(const struct tab_line *line,
			  struct tab_volume *volume, char *why, size_t size);

/**
 * struct run - state common to the three verbs
 *
 * @line: The command line.
 * @tab: The table.
 * @report: The output.
 * @list: Its member for each volume.
 * @rows: Rows of the text of "tab".
 * @row_count: Number of @rows.
 * @status: The exit status.
 */
struct run {
	const struct command_line *line;
	struct tab tab;
	struct report *report;
	struct json_object *list;
	char ***rows;
	size_t row_count;
	int status;
};

static int begin(const struct command_line *line, const char *path,
		 struct run *run)
{
	int ret;

	*run = (struct run) { .line = line };
	ret = tab_read(path, &run->tab);
	if (ret)
		return fail(line, status_of_error(ret),
			    "cannot read \"%s\": %s; bpiotab(5) describes its contents",
			    path, strerror(-ret));
	run->report = report_new(line);
	run->list = json_object_new_array();
	return 0;
}

static int finish(struct run *run)
{
	struct json_object *errors = json_object_new_array();
	size_t i;
	int ret;

	tab_print_errors(&run->tab);
	for (i = 0; i < run->tab.error_count; i++)
		json_object_array_add(errors,
				      json_object_new_string(run->tab.errors[i].sentence));
	if (run->tab.error_count && !run->status)
		run->status = STATUS_FAILURE;
	report_json(run->report, "volumes", run->list);
	report_json(run->report, "errors", errors);
	ret = report_finish(run->report, run->status);
	tab_free(&run->tab);
	return ret;
}

static void complain(struct run *run, const struct tab_line *line, int error,
		     const char *why)
{
	tab_complain(&run->tab, line->number, "%s", why);
	if (!run->status)
		run->status = status_of_error(error);
}

static void add_to_json(struct run *run, const struct tab_line *line,
			const struct tab_volume *volume)
{
	struct json_object *json = json_object_new_object();

	json_object_object_add(json, "name",
			       json_object_new_string(line->name));
	json_object_object_add(json, "line",
			       json_object_new_uint64(line->number));
	json_object_object_add(json, "device",
			       json_object_new_string(line->device));
	json_object_object_add(json, "adopt",
			       json_object_new_boolean(line->adopt));
	json_object_object_add(json, "up",
			       json_object_new_boolean(volume->is_up));
	json_object_object_add(json, "changed",
			       json_object_new_boolean(volume->changed));
	if (volume->device)
		json_object_object_add(json, "below",
				       device_to_json(volume->device));
	if (volume->volume)
		json_object_object_add(json, "volume",
				       device_to_json(volume->volume));
	json_object_array_add(run->list, json);
}

static void say_result(struct run *run, const struct tab_line *line,
		       const struct tab_volume *volume)
{
	const char *done = volume->changed ? "now" : "already";
	char *node;

	if (!volume->is_up) {
		report_heading(run->report, "\"%s\" is down%s.", line->name,
			       volume->changed ? "" : " already");
		return;
	}
	node = device_node(volume->volume);
	report_heading(run->report, "\"%s\" is up %s: %s.", line->name, done,
		       node);
	free(node);
}

static void act(struct run *run, const struct tab_line *line,
		volume_action *action, bool all)
{
	struct tab_volume volume = { 0 };
	char why[WHY_SIZE];
	int ret;

	ret = action(line, &volume, why, sizeof(why));
	/* As mount(8) does with "-a" */
	if (ret == -ENODEV && line->nofail && all) {
		report_heading(run->report,
			       "\"%s\" is left out, because its device is not there.",
			       line->name);
		ret = 0;
	} else if (ret) {
		complain(run, line, ret, why);
	} else {
		say_result(run, line, &volume);
	}
	add_to_json(run, line, &volume);
}

static bool is_wanted(const struct run *run, const struct tab_line *line)
{
	if (run->line->initrd && !line->initrd)
		return false;
	return !line->noauto;
}

/* Volumes may be stacked, so they are removed in the reverse order. */
static void act_on_all(struct run *run, volume_action *action, bool down)
{
	size_t i;

	for (i = 0; i < run->tab.count; i++) {
		const struct tab_line *line =
			&run->tab.lines[down ? run->tab.count - 1 - i : i];

		if (is_wanted(run, line))
			act(run, line, action, true);
	}
}

static int act_on_named(struct run *run, volume_action *action)
{
	const struct command_line *line = run->line;
	int i;

	for (i = 0; i < line->argc; i++)
		if (!tab_find(&run->tab, line->argv[i]))
			break;
	if (i < line->argc) {
		fprintf(stderr,
			"bpio: expected the name of a volume in " TAB_PATH ", but found \"%s\"\n",
			line->argv[i]);
		run->status = STATUS_USAGE;
		return finish(run);
	}
	/* Faults of other lines do not matter to the volumes that were named. */
	tab_forget_errors(&run->tab);
	for (i = 0; i < line->argc; i++)
		act(run, tab_find(&run->tab, line->argv[i]), action, false);
	return finish(run);
}

static int up_or_down(const struct command_line *line, volume_action *action,
		      bool down)
{
	struct run run;
	int ret = begin(line, TAB_PATH, &run);

	if (ret)
		return ret;
	if (line->argc)
		return act_on_named(&run, action);
	/* The initramfs retries after a failure, and would not boot because of other lines. */
	if (line->initrd) {
		tab_print_errors(&run.tab);
		tab_forget_errors(&run.tab);
	}
	act_on_all(&run, action, down);
	return finish(&run);
}

int verb_up(const struct command_line *line)
{
	return up_or_down(line, tab_volume_up, false);
}

int verb_down(const struct command_line *line)
{
	return up_or_down(line, tab_volume_down, true);
}

static char *cell(const char *text)
{
	char *copied = strdup(text);

	if (!copied)
		abort();
	return copied;
}

static void add_row(struct run *run, const char *name, const char *device,
		    const char *kind, const char *state)
{
	char **row = malloc(4 * sizeof(*row));

	run->rows = reallocarray(run->rows, run->row_count + 1,
				 sizeof(*run->rows));
	if (!row || !run->rows)
		abort();
	row[0] = cell(name);
	row[1] = cell(device);
	row[2] = cell(kind);
	row[3] = cell(state);
	run->rows[run->row_count++] = row;
}

static void show_line(struct run *run, const struct tab_line *line)
{
	struct tab_volume volume = { 0 };
	char why[WHY_SIZE];
	int ret;

	ret = tab_volume_check(line, &volume, why, sizeof(why));
	/* A missing device is no error with nofail. */
	if (ret && run->line->check && !(ret == -ENODEV && line->nofail))
		complain(run, line, ret, why);
	add_row(run, line->name, line->device,
		line->adopt ? "adopted" : "made",
		volume.is_up ? "up" : ret == -ENODEV ? "no-device" : "down");
	add_to_json(run, line, &volume);
}

/* For udev's rule: properties of the device below a volume */
static int print_claim(const struct command_line *line, const char *path)
{
	const struct tab_line *claim;
	struct tab tab;
	char *links;
	int ret;

	ret = tab_read(path, &tab);
	if (ret)
		return fail(line, status_of_error(ret),
			    "cannot read \"%s\": %s", path, strerror(-ret));
	claim = tab_claim(&tab);
	if (claim) {
		links = tab_claim_links(claim);
		printf("BPIO_BELOW=%s\nBPIO_LINKS=%s\n", claim->name, links);
		free(links);
	}
	tab_free(&tab);
	return STATUS_OK;
}

int verb_tab(const struct command_line *line)
{
	const char *path = line->argc ? line->argv[0] : TAB_PATH;
	struct run run;
	size_t i, j;
	int ret;

	if (line->claims)
		return print_claim(line, path);
	ret = begin(line, path, &run);
	if (ret)
		return ret;
	add_row(&run, "NAME", "DEVICE", "MADE", "STATE");
	for (i = 0; i < run.tab.count; i++)
		show_line(&run, &run.tab.lines[i]);
	report_table(run.report, run.rows, run.row_count, 4);
	for (i = 0; i < run.row_count; i++) {
		for (j = 0; j < 4; j++)
			free(run.rows[i][j]);
		free(run.rows[i]);
	}
	free(run.rows);
	return finish(&run);
}
