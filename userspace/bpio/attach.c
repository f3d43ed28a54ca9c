// SPDX-License-Identifier: GPL-2.0-only
/*
 * Common parts of "bpio attach" and "bpio detach": pidfd_getfd(2) copies a descriptor of
 * the process. The copy shares its open file, for which BypassIO is then enabled.
 *
 * The process may reuse a descriptor number for another file at any time. So decisions
 * are based on the copy, never on the number.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/kcmp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "attach.h"
#include "cli.h"
#include "globs.h"
#include "layers.h"
#include "report.h"
#include "tables.h"

/* Its number is the same on all architectures. */
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd	438
#endif

/* Longer than a process takes from freeing its memory to its end */
#define ENDING_MS	200

bool attach_is_detach(const struct attachment *at)
{
	return at->line->verb == &verbs[VERB_DETACH];
}

static int forbidden(const struct attachment *at)
{
	char scope[8] = "0";
	FILE *in = fopen("/proc/sys/kernel/yama/ptrace_scope", "re");

	if (in && !fgets(scope, sizeof(scope), in))
		scope[0] = '\0';
	if (in)
		fclose(in);
	scope[strcspn(scope, "\n")] = '\0';
	return fail(at->line, STATUS_PERMISSION,
		    "not permitted to take descriptors of process %d (%s): it requires the permission for ptrace(2), CAP_SYS_PTRACE or the same user%s%s",
		    (int)at->pid, at->command,
		    strcmp(scope, "0") ?
		    ", whom kernel.yama.ptrace_scope restricts: it is " : "",
		    strcmp(scope, "0") ? scope : "");
}

/* Whether the process has ended, or does so within @wait milliseconds */
static bool has_ended(const struct attachment *at, int wait)
{
	struct pollfd poller = { .fd = at->pidfd, .events = POLLIN };

	return poll(&poller, 1, wait) > 0;
}

/*
 * A process that is ending frees its memory first, and only root may inspect a process
 * without memory.
 */
static bool ends_now(struct attachment *at)
{
	if (has_ended(at, ENDING_MS))
		at->ended = true;
	return at->ended;
}

static int cannot_take(struct attachment *at, int error)
{
	switch (error) {
	case ESRCH:
		at->ended = true;
		return TAKE_CLOSED;
	case EBADF:
		return TAKE_CLOSED;
	case EPERM:
	case EACCES:
		return ends_now(at) ? TAKE_CLOSED : -forbidden(at);
	case ENOSYS:
		return -fail(at->line, STATUS_FAILURE,
			     "this kernel lacks pidfd_getfd(2), which Linux has since 5.6");
	default:
		return -fail(at->line, STATUS_FAILURE,
			     "cannot take a descriptor of process %d (%s): %s",
			     (int)at->pid, at->command, strerror(error));
	}
}

/* The outcome of the open file that @copy shares, if it was handled already */
static struct outcome *find_shared(struct attachment *at, int copy,
				   const struct stat *st)
{
	size_t i;

	for (i = 0; i < at->count; i++) {
		struct outcome *outcome = &at->outcomes[i];

		if (outcome->dev == st->st_dev && outcome->inode == st->st_ino &&
		    !syscall(SYS_kcmp, getpid(), at->pid, KCMP_FILE, copy,
			     outcome->fds[0]))
			return outcome;
	}
	return NULL;
}

static void *grow(void *array, size_t count, size_t size)
{
	array = reallocarray(array, count + 1, size);
	if (!array)
		abort();
	return array;
}

static void add_fd(struct outcome *outcome, int fd)
{
	outcome->fds = grow(outcome->fds, outcome->fd_count,
			    sizeof(*outcome->fds));
	outcome->fds[outcome->fd_count++] = fd;
}

static struct outcome *add_outcome(struct attachment *at, const char *path,
				   const struct stat *st)
{
	struct outcome *outcome;

	at->outcomes = grow(at->outcomes, at->count, sizeof(*at->outcomes));
	outcome = &at->outcomes[at->count++];
	*outcome = (struct outcome) {
		.path = strdup(path),
		.dev = st->st_dev,
		.inode = st->st_ino,
		.verdict = BPIO_VERDICT_INIT,
		.info.size = sizeof(outcome->info),
	};
	return outcome;
}

void attach_forget(struct attachment *at)
{
	size_t i;

	for (i = 0; i < at->count; i++) {
		free(at->outcomes[i].path);
		free(at->outcomes[i].fds);
	}
	free(at->outcomes);
	at->outcomes = NULL;
	at->count = 0;
}

static int judge_copy(struct attachment *at, int fd, int copy)
{
	struct outcome *outcome;
	char path[PATH_MAX];
	struct stat st;

	if (fstat(copy, &st) || !S_ISREG(st.st_mode) ||
	    (fcntl(copy, F_GETFL) & O_PATH) ||
	    !process_file_path(getpid(), copy, path, sizeof(path)) ||
	    !globs_match(at->line, path))
		return TAKE_NOT_WANTED;
	outcome = find_shared(at, copy, &st);
	if (!outcome) {
		outcome = add_outcome(at, path, &st);
		at->judge(at, copy, outcome);
		at->totals[outcome->kind]++;
	}
	add_fd(outcome, fd);
	return TAKE_JUDGED;
}

int attach_take(struct attachment *at, int fd, struct fdinfo *seen)
{
	int copy = syscall(SYS_pidfd_getfd, at->pidfd, fd, 0);
	int take;

	if (copy < 0)
		return cannot_take(at, errno);
	if (fdinfo_read(getpid(), copy, seen))
		*seen = (struct fdinfo) { .flags = -1 };
	take = judge_copy(at, fd, copy);
	close(copy);
	return take;
}

int attach_take_all(struct attachment *at,
		    int (*take)(struct attachment *at, int fd))
{
	int *fds, ret, listed;
	size_t i, count;

	ret = 0;
	listed = process_list_fds(at->pid, &fds, &count);
	for (i = 0; ret >= 0 && !at->ended && i < count; i++)
		ret = take(at, fds[i]);
	free(fds);
	at->ended = at->ended || has_ended(at, 0);
	if (ret < 0)
		return ret;
	if (!listed || at->ended)
		return 0;
	if (listed == -EACCES || listed == -EPERM)
		return ends_now(at) ? 0 : -forbidden(at);
	return -fail(at->line, STATUS_FAILURE,
		     "cannot list the descriptors of process %d (%s): %s",
		     (int)at->pid, at->command, strerror(-listed));
}

/* "Descriptor 3", "Descriptors 3, 5"; to be freed */
static char *label_of(const struct outcome *outcome)
{
	char *text = NULL;
	size_t i, size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		abort();
	fprintf(out, "Descriptor%s", outcome->fd_count > 1 ? "s" : "");
	for (i = 0; i < outcome->fd_count; i++)
		fprintf(out, "%s %d", i ? "," : "", outcome->fds[i]);
	fclose(out);
	return text;
}

static void report_enabled(struct report *report, const char *label,
			   const struct outcome *outcome)
{
	const struct bpio_verdict *verdict = &outcome->verdict;
	bool partial = verdict->support != BPIO_SUPPORT_FULL;
	char rest[256] = "";

	if (partial)
		snprintf(rest, sizeof(rest), " (%s: %s: %s)",
			 bpio_support_token(verdict->support), verdict->driver,
			 verdict->reason_text);
	if (verdict->obstacle == BPIO_REASON_NONE)
		report_text(report, NULL, label, "%s: direct from now on%s",
			    outcome->path, rest);
	else if (verdict->obstacle == BPIO_REASON_NOT_DIRECT)
		report_text(report, NULL, label,
			    "%s: enabled, but only reads with O_DIRECT go direct, and it is not set%s",
			    outcome->path, rest);
	else
		report_text(report, NULL, label,
			    "%s: enabled, but not direct yet: %s%s",
			    outcome->path, bpio_reason_text(verdict->obstacle),
			    rest);
}

static void report_failure(struct report *report, const char *label,
			   const struct outcome *outcome)
{
	const char *why = outcome->error == -EAGAIN ?
			  "its volume is suspended" : strerror(-outcome->error);

	report_text(report, NULL, label, "%s: %s", outcome->path, why);
	fprintf(stderr, "bpio: \"%s\": %s\n", outcome->path, why);
}

static void report_outcome(struct report *report, const char *label,
			   const struct outcome *outcome)
{
	const struct bpio_verdict *verdict = &outcome->verdict;

	switch (outcome->kind) {
	case OUTCOME_ENABLED:
		report_enabled(report, label, outcome);
		break;
	case OUTCOME_DISABLED:
		report_text(report, NULL, label,
			    "%s: disabled; it had %llu direct reads and %llu fall-back reads",
			    outcome->path,
			    (unsigned long long)outcome->info.direct_reads,
			    (unsigned long long)outcome->info.fallback_reads);
		break;
	case OUTCOME_REFUSED:
		report_text(report, NULL, label, "%s: refused: %s%s%s",
			    outcome->path, verdict->driver,
			    verdict->driver[0] ? ": " : "",
			    verdict->reason_text);
		break;
	case OUTCOME_FAILED:
		report_failure(report, label, outcome);
		break;
	case OUTCOME_ELSEWHERE:
		break;
	}
}

static struct json_object *fds_to_json(const struct outcome *outcome)
{
	struct json_object *list = json_object_new_array();
	size_t i;

	for (i = 0; i < outcome->fd_count; i++)
		json_object_array_add(list,
				      json_object_new_int(outcome->fds[i]));
	return list;
}

static void verdict_to_json(struct json_object *json,
			    const struct outcome *outcome)
{
	const struct bpio_verdict *verdict = &outcome->verdict;
	unsigned int obstacle = verdict->obstacle;

	json_object_object_add(json, "support",
			       json_object_new_string(bpio_support_token(verdict->support)));
	if (verdict->driver[0])
		json_object_object_add(json, "driver",
				       json_object_new_string(verdict->driver));
	if (verdict->reason != BPIO_REASON_NONE)
		json_object_object_add(json, "reason",
				       reason_to_json(verdict->reason,
						      verdict->reason_text));
	if (outcome->kind != OUTCOME_ENABLED)
		return;
	json_object_object_add(json, "direct",
			       json_object_new_boolean(obstacle == BPIO_REASON_NONE));
	if (obstacle != BPIO_REASON_NONE)
		json_object_object_add(json, "obstacle",
				       reason_to_json(obstacle,
						      bpio_reason_text(obstacle)));
}

static struct json_object *outcome_to_json(const struct outcome *outcome)
{
	static const char * const words[] = {
		[OUTCOME_ENABLED] = "enabled",
		[OUTCOME_DISABLED] = "disabled",
		[OUTCOME_REFUSED] = "refused",
		[OUTCOME_ELSEWHERE] = "elsewhere",
		[OUTCOME_FAILED] = "failed",
	};
	struct json_object *json = json_object_new_object();

	json_object_object_add(json, "path",
			       json_object_new_string(outcome->path));
	json_object_object_add(json, "descriptors", fds_to_json(outcome));
	json_object_object_add(json, "result",
			       json_object_new_string(words[outcome->kind]));
	if (outcome->kind == OUTCOME_ENABLED ||
	    outcome->kind == OUTCOME_REFUSED)
		verdict_to_json(json, outcome);
	else if (outcome->kind == OUTCOME_DISABLED)
		reads_to_json(json, READS_OF(&outcome->info));
	else if (outcome->kind == OUTCOME_FAILED)
		status_to_json(json, outcome->error);
	return json;
}

struct json_object *attach_report(struct report *report,
				  const struct outcome *outcome)
{
	char *label = label_of(outcome);

	report_outcome(report, label, outcome);
	free(label);
	return outcome_to_json(outcome);
}

void attach_report_process(struct report *report, const struct attachment *at)
{
	report_number(report, "pid", NULL, at->pid, NULL);
	report_text(report, "program", NULL, "%s", at->command);
}

static int nothing_done(const struct attachment *at)
{
	const char *matching = at->line->glob_count ? " that matches" : "";

	if (at->ended && !at->totals[OUTCOME_ELSEWHERE])
		return fail(at->line, STATUS_FAILURE,
			    "process %d (%s) has ended", (int)at->pid,
			    at->command);
	if (attach_is_detach(at))
		return fail(at->line, STATUS_FAILURE,
			    "nothing was disabled: process %d (%s) has no file open%s for which BypassIO is enabled",
			    (int)at->pid, at->command, matching);
	if (at->totals[OUTCOME_ELSEWHERE])
		return fail(at->line, STATUS_NOT_A_VOLUME,
			    "nothing was enabled: process %d (%s) has no file open%s on a bpio volume; \"bpio list\" shows the volumes",
			    (int)at->pid, at->command, matching);
	return fail(at->line, STATUS_FAILURE,
		    "nothing was enabled: process %d (%s) has no regular file open%s",
		    (int)at->pid, at->command, matching);
}

int attach_status(const struct attachment *at)
{
	if (at->totals[OUTCOME_ENABLED] || at->totals[OUTCOME_DISABLED])
		return STATUS_OK;
	if (at->totals[OUTCOME_REFUSED])
		return STATUS_REFUSED;
	if (at->totals[OUTCOME_FAILED])
		return STATUS_FAILURE;
	return nothing_done(at);
}
