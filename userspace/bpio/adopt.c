// SPDX-License-Identifier: GPL-2.0-only
/*
 * bpio adopt PATH, bpio release PATH
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "adopted.h"
#include "bpio.h"
#include "cli.h"
#include "handlers.h"
#include "kept.h"
#include "layers.h"
#include "place.h"
#include "plan.h"
#include "tables.h"
#include "verdict.h"

#define WHY_SIZE	1024
/* Set where "adopt --kept" runs in the background already */
#define IN_SERVICE	"BPIO_KEPT_SERVICE"

/* The exit status for an error of a plan */
static int exit_status(int error)
{
	if (error == -EMEDIUMTYPE)
		return STATUS_REFUSED;
	return status_of_error(error);
}

static struct json_object *lines_to_json(const struct table *table)
{
	struct json_object *list = json_object_new_array();
	char *text = table_text(table), *rest = text, *line;

	while ((line = strsep(&rest, "\n")))
		if (*line)
			json_object_array_add(list,
					      json_object_new_string(line));
	free(text);
	return list;
}

static struct json_object *swap_to_json(const struct swap *swap)
{
	struct json_object *json = device_to_json(swap->before.dev);

	json_object_object_add(json, "name",
			       json_object_new_string(swap->before.name));
	json_object_object_add(json, "uuid",
			       json_object_new_string(swap->before.uuid));
	json_object_object_add(json, "before",
			       lines_to_json(&swap->before.table));
	json_object_object_add(json, "after", lines_to_json(&swap->after));
	json_object_object_add(json, "changed",
			       json_object_new_boolean(swap->done));
	if (swap->done)
		json_object_object_add(json, "pause_us",
				       json_object_new_uint64(swap->pause_us));
	return json;
}

static struct report *begin(const struct command_line *line,
			    const struct place *place, const struct plan *plan)
{
	struct json_object *list = json_object_new_array();
	struct report *report = report_new(line);
	size_t i;

	report_text(report, "path", NULL, "%s", place->path);
	report_json(report, "volume", device_to_json(place->dev));
	report_flag(report, "dry_run", NULL, line->dry_run);
	for (i = 0; i < plan->count; i++)
		json_object_array_add(list, swap_to_json(&plan->swaps[i]));
	report_json(report, "devices", list);
	return report;
}

/* The lines that would be loaded, in the format of "dmsetup table" */
static int finish_dry_run(const struct command_line *line,
			  const struct place *place, const struct plan *plan)
{
	struct report *report = begin(line, place, plan);
	size_t i;

	if (!plan_needed(plan))
		report_heading(report, "Nothing would be changed.");
	for (i = 0; i < plan->count; i++) {
		const struct swap *swap = &plan->swaps[i];
		char *text = table_text(&swap->after), *rest = text, *part;

		while (swap_needed(swap) && (part = strsep(&rest, "\n")))
			if (*part)
				report_heading(report, "%s: %s",
					       swap->before.name, part);
		free(text);
	}
	return report_finish(report, STATUS_OK);
}

static void report_swaps(struct report *report, const struct plan *plan,
			 const char *label)
{
	size_t i;

	for (i = plan->count; i-- > 0;) {
		const struct swap *swap = &plan->swaps[i];
		char *node, *before, *after;

		if (!swap->done)
			continue;
		node = device_node(swap->before.dev);
		before = table_types(&swap->before.table);
		after = table_types(&swap->after);
		report_text(report, NULL, label,
			    "%s, %zu %s from %s to %s, in %llu.%03llu ms",
			    node, swap->after.count,
			    swap->after.count == 1 ? "segment" : "segments",
			    before, after, swap->pause_us / 1000,
			    swap->pause_us % 1000);
		free(after);
		free(before);
		free(node);
	}
}

static int open_place(const struct place *place)
{
	int fd;

	if (place->is_device || place_is_special(place))
		return bpio_volume_open_dev(major(place->dev),
					    minor(place->dev));
	fd = open(place->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	return fd < 0 ? -errno : fd;
}

/* Whether the module sees the device as a volume; and the answers of its layers */
static int ask(const struct place *place, struct layers *layers,
	       struct bpio_volume_info *info)
{
	int fd = open_place(place), ret;

	if (fd < 0)
		return fd;
	ret = bpio_volume_info(fd, info);
	if (!ret)
		ret = layers_ask(place, fd, layers);
	close(fd);
	return ret;
}

static int set_kept(const struct plan *plan, bool kept, char *why, size_t size)
{
	const struct mapped *mapped = NULL;
	int ret = 0;
	size_t i;

	for (i = 0; i < plan->count && !ret; i++) {
		mapped = &plan->swaps[i].before;
		ret = kept_set(mapped, kept, plan->any_storage);
	}
	if (ret == -EEXIST)
		return wrong(why, size, ret,
			     "cannot change " TAB_PATH ": the name \"%s\" is that of another line",
			     mapped->name);
	if (ret)
		return wrong(why, size, ret, "cannot change " TAB_PATH ": %s",
			     strerror(-ret));
	return 0;
}

static bool is_kept(const struct plan *plan)
{
	return kept_has(&plan_top(plan)->before, NULL);
}

static int finish_adopted(const struct command_line *line,
			  const struct place *place, const struct plan *plan,
			  const struct layers *layers,
			  const struct bpio_volume_info *info)
{
	const struct bpio_verdict *verdict = &layers->verdict;
	struct report *report = begin(line, place, plan);

	report_heading(report, "\"%s\" is adopted%s: BypassIo on it is %s.",
		       place->path, plan_needed(plan) ? "" : " already",
		       verdict_phrase(verdict));
	report_swaps(report, plan, "Adopted");
	report_flag(report, "kept", NULL, is_kept(plan));
	if (is_kept(plan))
		report_text(report, NULL, "Kept",
			    "adopted again when its table is replaced, by " TAB_PATH);
	verdict_report(report, layers);
	storage_report(report, info, verdict,
		       layers->stack.count ? &layers->stack : NULL);
	return report_finish(report, STATUS_OK);
}

static int act_adopt(const struct command_line *line,
		     const struct place *place, struct plan *plan)
{
	struct bpio_volume_info info = BPIO_VOLUME_INFO_INIT;
	struct layers layers;
	char why[WHY_SIZE];
	int ret;

	ret = plan_run(plan, why, sizeof(why));
	if (!ret && line->keep)
		ret = set_kept(plan, true, why, sizeof(why));
	if (ret) {
		plan_undo(plan);
		return fail(line, exit_status(ret), "cannot adopt \"%s\": %s",
			    place->path, why);
	}
	ret = ask(place, &layers, &info);
	if (ret == -ENOTTY) {
		plan_undo(plan);
		return fail(line, STATUS_FAILURE,
			    "cannot adopt \"%s\": the module dm-bpio does not see a volume there afterwards",
			    place->path);
	}
	if (ret)
		return fail(line, exit_status(ret),
			    "\"%s\" is adopted, but its bypass cannot be queried: %s",
			    place->path, strerror(-ret));
	ret = finish_adopted(line, place, plan, &layers, &info);
	layers_free(&layers);
	return ret;
}

/* Programs with enabled files only notice that their reads take longer. */
static void report_files(struct report *report, bool known,
			 const struct bpio_volume_info *info)
{
	if (!known)
		return;
	report_number(report, "active_files", NULL, info->active_files, NULL);
	if (info->active_files)
		report_text(report, NULL, "Enabled files",
			    "%u, whose reads the file system serves from now on",
			    (unsigned int)info->active_files);
}

static int act_release(const struct command_line *line,
		       const struct place *place, struct plan *plan)
{
	struct bpio_volume_info info = BPIO_VOLUME_INFO_INIT;
	int fd = open_place(place), ret;
	struct report *report;
	char why[WHY_SIZE], kept_why[WHY_SIZE];
	bool known, kept = is_kept(plan);

	known = fd >= 0 && !bpio_volume_info(fd, &info);
	if (fd >= 0)
		close(fd);
	/* First, or the udev rule would adopt it again after the change. */
	ret = set_kept(plan, false, why, sizeof(why));
	if (!ret)
		ret = plan_run(plan, why, sizeof(why));
	if (ret && kept)
		set_kept(plan, true, kept_why, sizeof(kept_why));
	if (ret)
		return fail(line, exit_status(ret), "cannot release \"%s\": %s",
			    place->path, why);
	report = begin(line, place, plan);
	report_heading(report, plan_needed(plan) ?
		       "\"%s\" is released: its reads go through every layer." :
		       "\"%s\" is not adopted, so there is nothing to release.",
		       place->path);
	report_swaps(report, plan, "Released");
	report_files(report, known, &info);
	return report_finish(report, STATUS_OK);
}

static int run(const struct command_line *line, const struct place *place,
	       struct plan *plan)
{
	char why[WHY_SIZE] = "";
	int ret;

	ret = line->dry_run ? plan_make(place, plan, why, sizeof(why)) :
			      plan_make_locked(place, plan, why, sizeof(why));
	if (ret)
		return fail(line, exit_status(ret), "cannot %s \"%s\": %s",
			    line->verb->name, place->path, why);
	/* It may have been released while this waited for the locks. */
	if (line->kept && !is_kept(plan))
		return STATUS_OK;
	if (line->dry_run)
		return finish_dry_run(line, place, plan);
	return plan->direction == TO_BPIO ? act_adopt(line, place, plan) :
					    act_release(line, place, plan);
}

static int find_and_run(const struct command_line *line,
			enum direction direction)
{
	struct plan plan = {
		.direction = direction, .any_storage = line->any_storage,
		.own_lock = -1,
	};
	struct place place;
	int ret;

	ret = place_find(line, line->argv[0], &place);
	if (ret)
		return ret;
	ret = run(line, &place, &plan);
	plan_free(&plan);
	place_free(&place);
	return ret;
}

/* Whether the device was adopted with --keep, and its table replaced since */
static bool is_lost(const char *path, bool *any_storage)
{
	struct mapped mapped;
	struct stat st;
	bool lost;

	if (stat(path, &st) || !S_ISBLK(st.st_mode) ||
	    mapped_read(st.st_rdev, false, &mapped))
		return false;
	lost = !counterpart_is_volume(&mapped.table) &&
	       kept_has(&mapped, any_storage);
	mapped_free(&mapped);
	return lost;
}

/* A separate service, because udevd kills processes that its rules leave behind */
static int run_as_service(const char *path)
{
	char self[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (length < 0)
		return STATUS_FAILURE;
	self[length] = '\0';
	execlp("systemd-run", "systemd-run", "--quiet", "--no-block",
	       "--collect", "--property=DefaultDependencies=no",
	       "--setenv=" IN_SERVICE "=1", self, "adopt", "--kept", "--quiet",
	       path, NULL);
	return STATUS_FAILURE;
}

/*
 * LVM holds the lock of the volume group, which an adoption also needs, until udev has
 * handled the event. So udev must not wait for the adoption.
 */
static int adopt_kept(const struct command_line *line)
{
	struct command_line again = *line;
	int fd;

	if (!is_lost(line->argv[0], &again.any_storage))
		return STATUS_OK;
	if (getenv(IN_SERVICE))
		return find_and_run(&again, TO_BPIO);
	if (!access("/run/systemd/system", F_OK))
		return run_as_service(line->argv[0]);
	switch (fork()) {
	case -1:
		return fail(line, STATUS_FAILURE, "cannot start a process: %s",
			    strerror(errno));
	case 0:
		break;
	default:
		return STATUS_OK;
	}
	setsid();
	fd = open("/dev/null", O_RDWR);
	dup2(fd, STDIN_FILENO);
	dup2(fd, STDOUT_FILENO);
	/* The log of a host without systemd's journal */
	fd = open("/dev/kmsg", O_WRONLY);
	dup2(fd, STDERR_FILENO);
	return find_and_run(&again, TO_BPIO);
}

int verb_adopt(const struct command_line *line)
{
	return line->kept ? adopt_kept(line) : find_and_run(line, TO_BPIO);
}

int verb_release(const struct command_line *line)
{
	return find_and_run(line, TO_STOCK);
}
