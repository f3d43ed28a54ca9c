/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Common parts of "bpio attach" and "bpio detach".
 */
#ifndef BPIO_ATTACH_H
#define BPIO_ATTACH_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "bpio.h"
#include "process.h"

struct command_line;
struct json_object;
struct report;

/* The result for an open file */
enum outcome_kind {
	OUTCOME_ENABLED,
	OUTCOME_DISABLED,
	OUTCOME_REFUSED,
	OUTCOME_ELSEWHERE,
	OUTCOME_FAILED,
};

/**
 * struct outcome - the result for an open file
 *
 * @kind: The result.
 * @path: Its path when it was taken.
 * @dev: Device number of its file system.
 * @inode: Number of its inode.
 * @fds: Descriptors of the process that share it.
 * @fd_count: Number of @fds.
 * @verdict: Of ENABLE.
 * @error: The negative errno of OUTCOME_FAILED.
 * @info: Its counters, of OUTCOME_DISABLED.
 */
struct outcome {
	enum outcome_kind kind;
	char *path;
	dev_t dev;
	ino_t inode;
	int *fds;
	size_t fd_count;
	struct bpio_verdict verdict;
	int error;
	struct bpio_file_info info;
};

/**
 * struct attachment - a process and the results for its open files
 *
 * @line: The command line.
 * @pid: The process.
 * @pidfd: A descriptor of the process; safe against reuse of @pid.
 * @node: The control node, whose tally counts the enabled files.
 * @command: Name of the process's command.
 * @judge: The action for an open file.
 * @outcomes: The result for each open file.
 * @count: Number of @outcomes.
 * @ended: The process ended meanwhile.
 * @totals: Number of open files by enum outcome_kind, since the beginning.
 */
struct attachment {
	const struct command_line *line;
	pid_t pid;
	int pidfd;
	int node;
	char command[COMMAND_MAX];
	void (*judge)(struct attachment *at, int copy, struct outcome *outcome);
	struct outcome *outcomes;
	size_t count;
	bool ended;
	unsigned long totals[OUTCOME_FAILED + 1];
};

/* Whether the verb is detach, not attach */
bool attach_is_detach(const struct attachment *at);

enum take {
	/* its result is the last outcome, or that of a descriptor with the same open file */
	TAKE_JUDGED,
	/* no regular file, or its path matches no pattern */
	TAKE_NOT_WANTED,
	/* it was closed meanwhile, or the process has ended */
	TAKE_CLOSED,
};

/*
 * Copies a descriptor, describes its file in @seen, and calls @judge for it, unless the
 * descriptor is closed. Returns enum take, or minus the exit status after an error was
 * printed.
 */
int attach_take(struct attachment *at, int fd, struct fdinfo *seen);

/*
 * Calls @take for every descriptor of the process. 0, or minus the exit status after an
 * error was printed.
 */
int attach_take_all(struct attachment *at,
		    int (*take)(struct attachment *at, int fd));

/* Frees the outcomes that were reported */
void attach_forget(struct attachment *at);

/* Reports an outcome: a line of text; returns the object for JSON */
struct json_object *attach_report(struct report *report,
				  const struct outcome *outcome);
void attach_report_process(struct report *report, const struct attachment *at);

/* Prints the overall result and returns the exit status */
int attach_status(const struct attachment *at);

#endif /* BPIO_ATTACH_H */
