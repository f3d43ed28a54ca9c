// SPDX-License-Identifier: GPL-2.0-only
/*
 * bpio attach --follow PID: the kernel has no event for an open by another process, so
 * its descriptors are scanned a few times a second.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attach.h"
#include "cli.h"
#include "follow.h"
#include "report.h"
#include "run.h"
#include "signals.h"

#define INTERVAL_MS	250

/**
 * struct known - a descriptor whose file was handled and cannot be enabled
 *
 * @pass: Number of the scan in which it was last seen, 0 for never.
 * @failed: The error may be temporary: try again.
 * @mount: The file it refers to; see struct fdinfo.
 * @inode: See @mount.
 * @mode: See @mount.
 */
struct known {
	unsigned long pass;
	bool failed;
	int mount;
	uint64_t inode;
	int mode;
};

/**
 * struct follower - the descriptors of a process
 *
 * @at: The process; must come first.
 * @known: By number of descriptor.
 * @count: Number of @known.
 * @pass: Number of scans.
 */
struct follower {
	struct attachment at;
	struct known *known;
	size_t count;
	unsigned long pass;
};

static struct known *known_of(struct follower *follower, int fd)
{
	size_t count = follower->count;

	if ((size_t)fd >= count) {
		follower->count = 2 * (size_t)fd + 64;
		follower->known = reallocarray(follower->known, follower->count,
					       sizeof(*follower->known));
		if (!follower->known)
			abort();
		memset(follower->known + count, 0,
		       (follower->count - count) * sizeof(*follower->known));
	}
	return &follower->known[fd];
}

/* A number that was free in between may refer to the same file, opened again. */
static bool still_known(const struct follower *follower,
			const struct known *known, const struct fdinfo *info)
{
	return known->pass && known->pass + 1 >= follower->pass &&
	       known->mount == info->mount && known->inode == info->inode &&
	       known->mode == (info->flags & O_ACCMODE);
}

static void remember(struct follower *follower, struct known *known,
		     const struct fdinfo *info, bool failed)
{
	*known = (struct known) {
		.pass = follower->pass,
		.failed = failed,
		.mount = info->mount,
		.inode = info->inode,
		.mode = info->flags & O_ACCMODE,
	};
}

static void print_outcome(struct attachment *at, const struct outcome *outcome)
{
	struct report *report = report_new(at->line);

	report_compact(report);
	attach_report_process(report, at);
	report_json(report, "file", attach_report(report, outcome));
	report_finish(report, STATUS_OK);
	fflush(stdout);
}

/* Handles a descriptor, and prints the result unless it was already printed */
static int take_new(struct follower *follower, int fd, struct known *known,
		    bool again)
{
	struct attachment *at = &follower->at;
	size_t before = at->count;
	enum outcome_kind kind;
	struct fdinfo seen;
	int take;

	take = attach_take(at, fd, &seen);
	/* Or it shares an open file that was already handled. */
	if (take == TAKE_NOT_WANTED ||
	    (take == TAKE_JUDGED && at->count == before))
		remember(follower, known, &seen, false);
	if (take != TAKE_JUDGED || at->count == before)
		return take;
	kind = at->outcomes[before].kind;
	if (kind != OUTCOME_ENABLED)
		remember(follower, known, &seen, kind == OUTCOME_FAILED);
	if (kind != OUTCOME_ELSEWHERE && !(again && kind == OUTCOME_FAILED))
		print_outcome(at, &at->outcomes[before]);
	return take;
}

static int look_at(struct attachment *at, int fd)
{
	struct follower *follower = (struct follower *)at;
	struct known *known = known_of(follower, fd);
	bool again = false;
	struct fdinfo info;

	if (follower->pass > 1) {
		/* Skip it even if it was disabled since, because that was on purpose. */
		if (fdinfo_read(at->pid, fd, &info) || info.enabled)
			return TAKE_CLOSED;
		again = still_known(follower, known, &info) && known->failed;
		if (still_known(follower, known, &info) && !known->failed) {
			known->pass = follower->pass;
			return TAKE_NOT_WANTED;
		}
	}
	return take_new(follower, fd, known, again);
}

/* Until the process ends or a signal comes: 0, or minus the exit status */
static int follow(struct follower *follower)
{
	struct pollfd pollers[] = {
		{ .fd = signals_open(), .events = POLLIN },
		{ .fd = follower->at.pidfd, .events = POLLIN },
	};
	int ret;

	do {
		follower->pass++;
		ret = attach_take_all(&follower->at, look_at);
		attach_forget(&follower->at);
	} while (!ret && !follower->at.ended &&
		 poll(pollers, ARRAY_SIZE(pollers), INTERVAL_MS) == 0);
	if (pollers[1].revents)
		follower->at.ended = true;
	close(pollers[0].fd);
	return ret;
}

static int print_summary(struct attachment *at, int status)
{
	struct report *report = report_new(at->line);
	struct bpio_tally tally;

	report_compact(report);
	report_heading(report, "bpio attach: process %d (%s) %s.", (int)at->pid,
		       at->command, at->ended ? "ended" : "goes on");
	attach_report_process(report, at);
	report_flag(report, "ended", NULL, at->ended);
	if (!bpio_node_tally(at->node, &tally))
		tally_report(report, &tally);
	report_number(report, "exit_status", NULL, status, NULL);
	return report_finish(report, status);
}

int attach_follow(struct attachment *at)
{
	struct follower follower = { .at = *at };
	int ret = follow(&follower);

	*at = follower.at;
	free(follower.known);
	return print_summary(at, ret ? -ret : attach_status(at));
}
