// SPDX-License-Identifier: GPL-2.0-only
/*
 * bpio upgrade: replace the loaded module by the installed one.
 *
 * A module that is in use cannot be unloaded. So all volumes get equivalent stock tables
 * while they stay in use; then the module is replaced; then they get their own tables
 * again. Meanwhile the file system serves all reads.
 *
 * A file with BypassIO enabled also keeps the module loaded, and cannot be moved to
 * another module. So nothing is changed while a process has such a file.
 */
#include <errno.h>
#include <json-c/json.h>
#include <linux/dm-bpio.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "bpio.h"
#include "cli.h"
#include "handlers.h"
#include "module.h"
#include "plan.h"
#include "process.h"
#include "report.h"
#include "stack.h"

#define WHY_SIZE	1024

/* Whether a process keeps the module loaded, by an enabled file or the control node */
static bool keeps_module(pid_t pid, const struct stat *node)
{
	bool keeps = false;
	size_t i, count;
	int *fds;

	if (process_list_fds(pid, &fds, &count))
		count = 0;
	for (i = 0; i < count && !keeps; i++) {
		struct fdinfo info;
		struct stat st;
		char path[64];

		if (!fdinfo_read(pid, fds[i], &info) && info.enabled)
			keeps = true;
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, fds[i]);
		if (node->st_rdev && !stat(path, &st) && S_ISCHR(st.st_mode) &&
		    st.st_rdev == node->st_rdev)
			keeps = true;
	}
	free(fds);
	return keeps;
}

/* "COMMAND[PID], ..." of all such processes; to be freed, NULL for none */
static char *find_keepers(void)
{
	struct stat node = { 0 };
	int *pids = NULL;
	char *text = NULL;
	size_t i, count, size;
	FILE *out;

	out = open_memstream(&text, &size);
	if (!out)
		abort();
	if (stat("/dev/bpio", &node))
		node.st_rdev = 0;
	if (process_list(&pids, &count))
		count = 0;
	for (i = 0; i < count; i++) {
		char command[COMMAND_MAX];

		if (pids[i] == getpid() || !keeps_module(pids[i], &node))
			continue;
		process_command(pids[i], command, sizeof(command));
		fprintf(out, "%s%s[%d]", ftell(out) ? ", " : "", command,
			pids[i]);
	}
	free(pids);
	fclose(out);
	if (*text)
		return text;
	free(text);
	return NULL;
}

/* State of a volume that is in the module but not in its table: FS_BPIO_OUTFL_* */
static unsigned int flags_of(dev_t dev)
{
	struct bpio_volume_info info = BPIO_VOLUME_INFO_INIT;
	int fd = bpio_volume_open_dev(major(dev), minor(dev));

	if (fd < 0)
		return 0;
	if (bpio_volume_info(fd, &info))
		info.out_flags = 0;
	close(fd);
	return info.out_flags;
}

static void enable_again(const struct swap *swap)
{
	struct bpio_verdict verdict = BPIO_VERDICT_INIT;
	dev_t dev = swap->before.dev;
	int fd = bpio_volume_open_dev(major(dev), minor(dev));
	int ret = fd < 0 ? fd : bpio_volume_enable(fd, &verdict);

	if (fd >= 0)
		close(fd);
	if (ret)
		fprintf(stderr,
			"bpio: bypass of all reads of %s cannot be enabled again: %s\n",
			swap->before.name, strerror(-ret));
}

/* Look for processes again: one may have enabled a file since the first time. */
static int cannot_unload(const struct command_line *line, int error)
{
	char *keepers = find_keepers(), *users = module_users();
	int ret;

	if (error != -EBUSY)
		ret = fail(line, STATUS_FAILURE, "cannot run modprobe: %s",
			   strerror(-error));
	else
		ret = fail(line, STATUS_FAILURE,
			   "the module dm-bpio that is loaded is kept by %s; all volumes are as before",
			   keepers ? keepers : users ? users :
			   "files that are mapped, or enabled in another mount or container");
	free(keepers);
	free(users);
	return ret;
}

/* While all volumes have stock tables: 0 or the exit status */
static int replace(const struct command_line *line)
{
	struct parameters parameters;
	char why[WHY_SIZE];
	int ret;

	parameters_read(&parameters);
	ret = module_unload();
	if (ret) {
		parameters_restore(&parameters);
		return cannot_unload(line, ret);
	}
	ret = module_load(why, sizeof(why));
	parameters_restore(&parameters);
	if (ret)
		return fail(line, STATUS_FAILURE,
			    "%s; the volumes have stock tables now, and reads do not go direct before \"bpio up\" and \"bpio adopt\" have changed that",
			    why);
	return 0;
}

static int finish(const struct command_line *line, const struct plan *plan,
		  const char *before)
{
	struct report *report = report_new(line);
	struct json_object *list = json_object_new_array();
	char *after = module_attribute("version");
	size_t i;

	report_heading(report, "The module dm-bpio %s is loaded in place of %s.",
		       after ? after : "?", before ? before : "?");
	report_flag(report, "changed", NULL, true);
	report_text(report, "before", NULL, "%s", before ? before : "");
	report_text(report, "after", NULL, "%s", after ? after : "");
	for (i = 0; i < plan->count; i++) {
		dev_t dev = plan->swaps[i].before.dev;
		char *node = device_node(dev);

		json_object_array_add(list, device_to_json(dev));
		report_text(report, NULL, "Volume", "%s", node);
		free(node);
	}
	report_json(report, "volumes", list);
	free(after);
	return report_finish(report, STATUS_OK);
}

/* Signals are blocked, so that no volume is left with its stock table. */
static int swap_and_replace(const struct command_line *line, struct plan *plan)
{
	unsigned int *flags = calloc(plan->count + 1, sizeof(*flags));
	char *before = module_attribute("version"), why[WHY_SIZE];
	sigset_t signals;
	int status;
	size_t i;

	if (!flags)
		abort();
	for (i = 0; i < plan->count; i++)
		flags[i] = flags_of(plan->swaps[i].before.dev);
	sigfillset(&signals);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	if (plan_run(plan, why, sizeof(why)))
		status = fail(line, STATUS_FAILURE,
			      "cannot replace the module: %s", why);
	else
		status = replace(line);
	if (module_loaded() && plan_undo(plan))
		status = status ? status : STATUS_FAILURE;
	for (i = 0; module_loaded() && i < plan->count; i++)
		if (flags[i] & FS_BPIO_OUTFL_ALL_READS_ENABLED)
			enable_again(&plan->swaps[i]);
	if (!status)
		status = finish(line, plan, before);
	free(before);
	free(flags);
	return status;
}

static int check_paused(const struct command_line *line,
			const struct plan *plan)
{
	size_t i;

	for (i = 0; i < plan->count; i++)
		if (flags_of(plan->swaps[i].before.dev) &
		    FS_BPIO_OUTFL_VOLUME_STACK_BYPASS_PAUSED)
			return fail(line, STATUS_PAUSED,
				    "the bypass of %s is paused, which a new module would not know; try again after \"bpio resume\"",
				    plan->swaps[i].before.name);
	return 0;
}

static int upgrade(const struct command_line *line)
{
	struct plan plan = { .direction = TO_STOCK, .all = true, .own_lock = -1 };
	char *keepers = find_keepers(), why[WHY_SIZE] = "";
	int ret;

	if (keepers) {
		ret = fail(line, STATUS_FAILURE,
			   "the module dm-bpio that is loaded is kept by processes with files that have BypassIO enabled: %s; end them, or take it from them with \"bpio detach\" and close those files",
			   keepers);
		free(keepers);
		return ret;
	}
	ret = plan_make_locked(NULL, &plan, why, sizeof(why));
	if (ret)
		ret = fail(line, ret == -EMEDIUMTYPE ? STATUS_REFUSED :
			   status_of_error(ret),
			   "cannot replace the module: %s", why);
	else
		ret = check_paused(line, &plan);
	if (!ret)
		ret = swap_and_replace(line, &plan);
	plan_free(&plan);
	return ret;
}

static int nothing_to_do(const struct command_line *line, const char *why)
{
	struct report *report = report_new(line);

	report_heading(report, "%s", why);
	report_flag(report, "changed", NULL, false);
	return report_finish(report, STATUS_OK);
}

int verb_upgrade(const struct command_line *line)
{
	char *loaded, *installed;
	int ret;

	if (!module_loaded())
		return nothing_to_do(line,
				     "The module dm-bpio is not loaded, so there is none to replace.");
	if (geteuid())
		return fail(line, STATUS_PERMISSION,
			    "only root may replace a module");
	loaded = module_attribute("srcversion");
	installed = module_installed("srcversion");
	if (!installed)
		ret = fail(line, STATUS_FAILURE,
			   "the module dm-bpio is not installed for the running kernel");
	else if (loaded && !strcmp(loaded, installed))
		ret = nothing_to_do(line,
				    "The module dm-bpio that is loaded is the installed one.");
	else
		ret = upgrade(line);
	free(loaded);
	free(installed);
	return ret;
}
