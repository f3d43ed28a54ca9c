// SPDX-License-Identifier: GPL-2.0-only
/*
 * bpio attach PID and bpio detach PID: enable or disable BypassIO for the open files of a
 * process.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "attach.h"
#include "cli.h"
#include "follow.h"
#include "globs.h"
#include "handlers.h"
#include "mapped.h"
#include "report.h"
#include "tables.h"

/* Its number is the same on all architectures. */
#ifndef SYS_pidfd_open
#define SYS_pidfd_open	434
#endif

static void failed(struct outcome *outcome, int error)
{
	outcome->kind = OUTCOME_FAILED;
	outcome->error = error;
}

/* Whether a volume that does not answer is no longer one, since its table was replaced */
static bool is_gone(int copy)
{
	struct stat st;

	return !fstat(copy, &st) && !mapped_is_suspended(st.st_dev);
}

static void enable(struct attachment *at, int copy, struct outcome *outcome)
{
	int ret = bpio_enable_on(at->node, copy, BPIO_ARM, &outcome->verdict);

	if (!ret)
		outcome->kind = OUTCOME_ENABLED;
	else if (outcome->verdict.reason == BPIO_REASON_OTHER_VOLUME ||
		 (outcome->verdict.reason == BPIO_REASON_VOLUME_SUSPENDED &&
		  is_gone(copy)))
		outcome->kind = OUTCOME_ELSEWHERE;
	else if (outcome->verdict.reason == BPIO_REASON_VOLUME_SUSPENDED)
		failed(outcome, -EAGAIN);
	else if (outcome->verdict.reason != BPIO_REASON_NONE)
		outcome->kind = OUTCOME_REFUSED;
	else
		failed(outcome, ret);
}

/*
 * Disables BypassIO for a file that has it enabled. Others get no ioctl, because an
 * unknown ioctl may have side effects in some drivers.
 */
static void disable(struct attachment *at, int copy, struct outcome *outcome)
{
	struct fdinfo own;
	int ret;

	(void)at;
	outcome->kind = OUTCOME_ELSEWHERE;
	if (fdinfo_read(getpid(), copy, &own) || !own.enabled ||
	    bpio_file_info(copy, &outcome->info) || !outcome->info.enabled)
		return;
	ret = bpio_disable(copy);
	if (!ret)
		ret = bpio_file_info(copy, &outcome->info);
	if (ret)
		failed(outcome, ret);
	else
		outcome->kind = OUTCOME_DISABLED;
}

static int take_one(struct attachment *at, int fd)
{
	struct fdinfo seen;

	return attach_take(at, fd, &seen);
}

static int report_all(const struct attachment *at)
{
	struct json_object *files = json_object_new_array();
	unsigned long done = at->totals[OUTCOME_ENABLED] +
			     at->totals[OUTCOME_DISABLED];
	int status = attach_status(at);
	struct report *report;
	size_t i;

	report = report_new(at->line);
	report_heading(report, "bpio %s: process %d (%s), %lu file%s %sd.",
		       at->line->verb->name, (int)at->pid, at->command, done,
		       done == 1 ? "" : "s",
		       attach_is_detach(at) ? "disable" : "enable");
	attach_report_process(report, at);
	for (i = 0; i < at->count; i++)
		if (at->outcomes[i].kind != OUTCOME_ELSEWHERE)
			json_object_array_add(files,
					      attach_report(report,
							    &at->outcomes[i]));
	report_json(report, "files", files);
	if (!attach_is_detach(at))
		report_number(report, "not_on_volume", NULL,
			      at->totals[OUTCOME_ELSEWHERE], NULL);
	report_number(report, "exit_status", NULL, status, NULL);
	return report_finish(report, status);
}

/* 0, or the exit status */
static int attach_once(struct attachment *at)
{
	int ret = attach_take_all(at, take_one);

	if (ret)
		return -ret;
	if (at->count == at->totals[OUTCOME_ELSEWHERE])
		return attach_status(at);
	return report_all(at);
}

static int no_process(const struct attachment *at)
{
	return fail(at->line, STATUS_FAILURE, "there is no process %d",
		    (int)at->pid);
}

static int parse_pid(const struct command_line *line, pid_t *pid)
{
	const char *word = line->argv[0];
	unsigned long number;
	char *end;

	errno = 0;
	number = strtoul(word, &end, 10);
	if (errno || *end || *word < '0' || *word > '9' || !number ||
	    number > INT_MAX)
		return fail(line, STATUS_USAGE,
			    "expected the number of a process, but got \"%s\"",
			    word);
	*pid = number;
	return 0;
}

static int check_kind(const struct attachment *at)
{
	switch (process_kind(at->pid)) {
	case PROCESS_GONE:
		return no_process(at);
	case PROCESS_ENDED:
		return fail(at->line, STATUS_FAILURE,
			    "process %d (%s) has ended, or its first thread has",
			    (int)at->pid, at->command);
	case PROCESS_KERNEL_THREAD:
		return fail(at->line, STATUS_FAILURE,
			    "process %d (%s) is a thread of the kernel, which has no files",
			    (int)at->pid, at->command);
	case PROCESS_IS_THREAD:
		return fail(at->line, STATUS_FAILURE,
			    "%d (%s) is a thread of process %d; name the process",
			    (int)at->pid, at->command,
			    (int)process_of_thread(at->pid));
	case PROCESS_RUNS:
		break;
	}
	return 0;
}

static int open_process(struct attachment *at)
{
	int error, status;

	/* From now on, a reused PID cannot be mistaken for this process. */
	at->pidfd = syscall(SYS_pidfd_open, at->pid, 0);
	error = errno;
	process_command(at->pid, at->command, sizeof(at->command));
	if (at->pidfd < 0 && error == ESRCH)
		return no_process(at);
	status = check_kind(at);
	if (status || at->pidfd >= 0)
		return status;
	return fail(at->line, status_of_error(-error),
		    "cannot open process %d (%s): %s", (int)at->pid,
		    at->command, strerror(error));
}

static int open_node(struct attachment *at)
{
	at->node = bpio_node_open();
	if (at->node >= 0)
		return 0;
	return fail(at->line, status_of_error(at->node),
		    "cannot open %s: %s; is the module dm-bpio loaded?",
		    BPIO_NODE, strerror(-at->node));
}

static int with_process(const struct command_line *line,
			void (*judge)(struct attachment *at, int copy,
				      struct outcome *outcome),
			int (*act)(struct attachment *at))
{
	struct attachment at = {
		.line = line, .pidfd = -1, .node = -1, .judge = judge,
	};
	int status;

	status = parse_pid(line, &at.pid);
	if (!status)
		status = globs_check(line);
	if (!status)
		status = open_process(&at);
	if (!status)
		status = open_node(&at);
	if (!status)
		status = act(&at);
	attach_forget(&at);
	if (at.node >= 0)
		close(at.node);
	if (at.pidfd >= 0)
		close(at.pidfd);
	return status;
}

int verb_attach(const struct command_line *line)
{
	return with_process(line, enable,
			    line->follow ? attach_follow : attach_once);
}

int verb_detach(const struct command_line *line)
{
	return with_process(line, disable, attach_once);
}
