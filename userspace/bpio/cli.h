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

/* An interface: numbers never change their meaning. See exit_meanings. */
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

enum verb_id {
	VERB_STATE,
	VERB_INFO,
	VERB_LIST,
	VERB_STACK,
	VERB_PAUSE,
	VERB_RESUME,
	VERB_ENABLE,
	VERB_DISABLE,
	VERB_ADOPT,
	VERB_RELEASE,
	VERB_TAB,
	VERB_UP,
	VERB_DOWN,
	VERB_UPGRADE,
	VERB_WATCH,
	VERB_RUN,
	VERB_ATTACH,
	VERB_DETACH,
	VERB_EXPLAIN,
	VERB_HELP,
	VERB_VERSION,
	VERB_COUNT
};

struct command_line;

/**
 * struct verb - one line of the dispatcher's table
 *
 * @name: The word.
 * @least: Minimum number of arguments.
 * @most: Maximum number of arguments, negative for any number.
 * @arguments: The arguments, for the usage line.
 * @sentence: Description of the verb.
 * @handler: Executes the verb; returns the exit status.
 */
struct verb {
	const char *name;
	int least;
	int most;
	const char *arguments;
	const char *sentence;
	int (*handler)(const struct command_line *line);
};

/**
 * struct verb_option - an option and the verbs it belongs to
 *
 * @id: enum option_id.
 * @letter: Its short form.
 * @name: Its long form.
 * @argument: Name of its argument, or NULL.
 * @verbs: The verbs that accept it, a bit mask by enum verb_id.
 * @sentence: Description of the option.
 */
struct verb_option {
	int id;
	char letter;
	const char *name;
	const char *argument;
	unsigned int verbs;
	const char *sentence;
};

/**
 * struct exit_meaning - description of an exit status
 *
 * @number: enum exit_status.
 * @meaning: One sentence.
 */
struct exit_meaning {
	int number;
	const char *meaning;
};

enum option_id {
	OPTION_JSON,
	OPTION_QUIET,
	OPTION_VERBOSE,
	OPTION_ALL,
	OPTION_COUNT_EVENTS,
	OPTION_FILE,
	OPTION_SUMMARY,
	OPTION_FOLLOW,
	OPTION_FILES,
	OPTION_DRY_RUN,
	OPTION_KEEP,
	OPTION_KEPT,
	OPTION_ANY_STORAGE,
	OPTION_CHECK,
	OPTION_CLAIMS,
	OPTION_INITRD,
	OPTION_HELP,
	OPTION_VERSION,
	OPTION_COUNT
};

extern const struct verb verbs[VERB_COUNT];
extern const struct verb_option verb_options[OPTION_COUNT];
extern const struct exit_meaning exit_meanings[];
extern const size_t exit_meaning_count;

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

const struct verb *find_verb(const char *name);

/* Print "bpio: ..." on stderr, with --json also an object, and return @status */
int fail(const struct command_line *line, int status, const char *format, ...)
	__attribute__((__format__(printf, 3, 4)));

/* STATUS_PERMISSION for errors of permission, else STATUS_FAILURE */
int status_of_error(int error);

int verb_state(const struct command_line *line);
int verb_info(const struct command_line *line);
int verb_list(const struct command_line *line);
int verb_stack(const struct command_line *line);
int verb_pause(const struct command_line *line);
int verb_resume(const struct command_line *line);
int verb_enable(const struct command_line *line);
int verb_disable(const struct command_line *line);
int verb_adopt(const struct command_line *line);
int verb_release(const struct command_line *line);
int verb_tab(const struct command_line *line);
int verb_up(const struct command_line *line);
int verb_down(const struct command_line *line);
int verb_upgrade(const struct command_line *line);
int verb_watch(const struct command_line *line);
int verb_run(const struct command_line *line);
int verb_attach(const struct command_line *line);
int verb_detach(const struct command_line *line);
int verb_explain(const struct command_line *line);
int verb_help(const struct command_line *line);
int verb_version(const struct command_line *line);

int help_for_verb(const struct verb *verb);

#endif /* BPIO_CLI_H */
