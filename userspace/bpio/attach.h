/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What "bpio attach" and "bpio detach" do with the descriptors of a process.
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

/* What came of an open file */
enum outcome_kind {
	OUTCOME_ENABLED,
	OUTCOME_DISABLED,
	OUTCOME_REFUSED,
	OUTCOME_ELSEWHERE,
	OUTCOME_FAILED,
};

/**
 * struct outcome - what came of an open file
 *
 * @kind: What came of it.
 * @path: Its path when it was taken.
 * @dev: Device number of its file system.
 * @inode: Number of its inode.
 * @fds: Descriptors of the process that share it.
 * @fd_count: Number of these.
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
 * struct attachment - a process and what was done to its open files
 *
 * @line: The command line.
 * @pid: The process.
 * @pidfd: The same as a descriptor, which never stands for another process.
 * @node: The control node, whose tally counts what was enabled.
 * @command: Name of the process's command.
 * @judge: What to do with an open file.
 * @outcomes: What came of each.
 * @count: Number of these.
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

enum take {
	/* what came of it is the last outcome, unless it shares one's open file */
	TAKE_JUDGED,
	/* no regular file, or its path matches no pattern */
	TAKE_NOT_WANTED,
	/* it was closed meanwhile, or the process has ended */
	TAKE_CLOSED,
};

/*
 * Takes a copy of a descriptor and judges the file that it leads to, which @seen
 * describes, unless the descriptor is closed. Returns enum take, or minus the exit
 * status after an error was printed.
 */
int attach_take(struct attachment *at, int fd, struct fdinfo *seen);

/*
 * Lets @take deal with every descriptor of the process. 0, or minus the exit
 * status after an error was printed.
 */
int attach_take_all(struct attachment *at,
		    int (*take)(struct attachment *at, int fd));

/* Forgets the outcomes that were reported */
void attach_forget(struct attachment *at);

/* What came of an open file: a line of text, and the object for JSON */
struct json_object *attach_report(struct report *report,
				  const struct outcome *outcome);
void attach_report_process(struct report *report, const struct attachment *at);

/* The exit status that says what came of all open files, printing why */
int attach_status(const struct attachment *at);

/* The same, and goes on with files that the process opens later */
int attach_follow(struct attachment *at);

#endif /* BPIO_ATTACH_H */
