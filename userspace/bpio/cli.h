/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Common to all verbs: the parsed command line, exit statuses, errors.
 */
#ifndef BPIO_CLI_H
#define BPIO_CLI_H

#include <stdbool.h>
#include <stddef.h>

#define ARRAY_SIZE(array)	(sizeof(array) / sizeof((array)[0]))

/* Raised when a key of the JSON output changes its meaning or is removed. */
#define JSON_SCHEMA	2

/* An interface: numbers never change their meaning. See exit_meanings in tables.h. */
enum exit_status {
	STATUS_OK		= 0,
	STATUS_FAILURE		= 1,
	STATUS_USAGE		= 2,
	STATUS_PERMISSION	= 3,
	STATUS_NOT_A_VOLUME	= 4,
	STATUS_PARTIAL		= 10,
	STATUS_REFUSED		= 11,
	STATUS_PAUSED		= 12,
	STATUS_RUN_FAILURE	= 125,
	STATUS_RUN_CANNOT	= 126,
	STATUS_RUN_NOT_FOUND	= 127,
};

struct verb;

/**
 * struct command_line - the parsed command line
 *
 * @verb: The verb, NULL until it is known.
 * @json: --json
 * @quiet: --quiet
 * @verbose: --verbose
 * @all: --all
 * @help: --help
 * @version: --version
 * @count_word: Argument of --count or NULL.
 * @count: Its number, 0 without.
 * @globs: Arguments of --file.
 * @glob_count: Number of @globs.
 * @summary: Argument of --summary or NULL.
 * @follow: --follow
 * @files: --files
 * @dry_run: --dry-run
 * @keep: --keep
 * @kept: --kept
 * @any_storage: --any-storage
 * @check: --check
 * @claims: --claims
 * @initrd: --initrd
 * @argc: Number of arguments after the verb and its options.
 * @argv: These arguments, terminated by NULL.
 */
struct command_line {
	const struct verb *verb;
	bool json;
	bool quiet;
	bool verbose;
	bool all;
	bool help;
	bool version;
	const char *count_word;
	unsigned long count;
	const char **globs;
	size_t glob_count;
	const char *summary;
	bool follow;
	bool files;
	bool dry_run;
	bool keep;
	bool kept;
	bool any_storage;
	bool check;
	bool claims;
	bool initrd;
	int argc;
	char **argv;
};

/* Print "bpio: ..." on stderr, with --json also an object, and return @status */
int fail(const struct command_line *line, int status, const char *format, ...)
	__attribute__((__format__(printf, 3, 4)));

/* STATUS_PERMISSION for errors of permission, else STATUS_FAILURE */
int status_of_error(int error);

#endif /* BPIO_CLI_H */
