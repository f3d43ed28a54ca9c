/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The verbs, options and exit statuses of bpio.
 */
#ifndef BPIO_TABLES_H
#define BPIO_TABLES_H

#include <stddef.h>

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

/**
 * struct verb - a verb and its arguments
 *
 * @name: The word.
 * @least: Minimum number of arguments.
 * @most: Maximum number of arguments, negative for any number.
 * @arguments: The arguments, for the usage line.
 * @sentence: Description of the verb.
 */
struct verb {
	const char *name;
	int least;
	int most;
	const char *arguments;
	const char *sentence;
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

/* NULL if there is no such verb */
const struct verb *find_verb(const char *name);

#endif /* BPIO_TABLES_H */
