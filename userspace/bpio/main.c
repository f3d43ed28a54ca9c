// SPDX-License-Identifier: GPL-2.0-only
/*
 * The command line: parser and dispatcher.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "handlers.h"
#include "stack.h"
#include "tables.h"

/* Letters of options are below, ids of options from here. */
#define OPTION_BASE	256

static int (*const handlers[VERB_COUNT])(const struct command_line *line) = {
	[VERB_STATE] = verb_state,
	[VERB_INFO] = verb_info,
	[VERB_LIST] = verb_list,
	[VERB_STACK] = verb_stack,
	[VERB_PAUSE] = verb_pause,
	[VERB_RESUME] = verb_resume,
	[VERB_ENABLE] = verb_enable,
	[VERB_DISABLE] = verb_disable,
	[VERB_ADOPT] = verb_adopt,
	[VERB_RELEASE] = verb_release,
	[VERB_TAB] = verb_tab,
	[VERB_UP] = verb_up,
	[VERB_DOWN] = verb_down,
	[VERB_UPGRADE] = verb_upgrade,
	[VERB_WATCH] = verb_watch,
	[VERB_RUN] = verb_run,
	[VERB_ATTACH] = verb_attach,
	[VERB_DETACH] = verb_detach,
	[VERB_EXPLAIN] = verb_explain,
	[VERB_HELP] = verb_help,
	[VERB_VERSION] = verb_version,
};

static void build_getopt(struct option *longs, char *shorts)
{
	size_t i;

	for (i = 0; i < OPTION_COUNT; i++) {
		const struct verb_option *option = &verb_options[i];

		longs[i] = (struct option) {
			.name = option->name,
			.has_arg = option->argument ? required_argument :
						      no_argument,
			.val = OPTION_BASE + option->id,
		};
		*shorts++ = option->letter;
		if (option->argument)
			*shorts++ = ':';
	}
	longs[i] = (struct option) { 0 };
	*shorts = '\0';
}

static const struct verb_option *option_of(int got)
{
	size_t i;

	if (got >= OPTION_BASE)
		return &verb_options[got - OPTION_BASE];
	for (i = 0; i < OPTION_COUNT; i++)
		if (verb_options[i].letter == got)
			return &verb_options[i];
	return NULL;
}

static void apply(struct command_line *line, const struct verb_option *option)
{
	switch (option->id) {
	case OPTION_JSON:
		line->json = true;
		break;
	case OPTION_QUIET:
		line->quiet = true;
		break;
	case OPTION_VERBOSE:
		line->verbose = true;
		break;
	case OPTION_ALL:
		line->all = true;
		break;
	case OPTION_COUNT_EVENTS:
		line->count_word = optarg;
		break;
	case OPTION_HELP:
		line->help = true;
		break;
	case OPTION_VERSION:
		line->version = true;
		break;
	case OPTION_SUMMARY:
		line->summary = optarg;
		break;
	case OPTION_FOLLOW:
		line->follow = true;
		break;
	case OPTION_FILES:
		line->files = true;
		break;
	case OPTION_DRY_RUN:
		line->dry_run = true;
		break;
	case OPTION_KEEP:
		line->keep = true;
		break;
	case OPTION_KEPT:
		line->kept = true;
		break;
	case OPTION_ANY_STORAGE:
		line->any_storage = true;
		break;
	case OPTION_CHECK:
		line->check = true;
		break;
	case OPTION_CLAIMS:
		line->claims = true;
		break;
	case OPTION_INITRD:
		line->initrd = true;
		break;
	case OPTION_FILE:
		line->globs[line->glob_count++] = optarg;
		break;
	}
}

static const char *help_hint(const struct command_line *line)
{
	static char hint[64];

	snprintf(hint, sizeof(hint), "bpio help%s%s", line->verb ? " " : "",
		 line->verb ? line->verb->name : "");
	return hint;
}

/* The word of the command line that getopt_long rejected */
static int bad_option(const struct command_line *line, int got, char **argv)
{
	const struct verb_option *option;
	char letter[3] = { '-', optopt, '\0' };
	const char *word = optopt && optopt < OPTION_BASE ? letter :
							    argv[optind - 1];

	if (got == ':') {
		option = option_of(optopt);
		return fail(line, STATUS_USAGE,
			    "option --%s needs an argument, %s; see \"%s\"",
			    option->name, option->argument, help_hint(line));
	}
	if (optopt >= OPTION_BASE)
		return fail(line, STATUS_USAGE,
			    "option --%s takes no argument, but got \"%s\"",
			    option_of(optopt)->name, word);
	return fail(line, STATUS_USAGE,
		    "unknown or ambiguous option \"%s\"; \"%s\" lists the options",
		    word, help_hint(line));
}

/* Parses options up to the first other word, or all of @argv */
static int parse_options(struct command_line *line, int argc, char **argv,
			 bool stop_at_word, unsigned int *seen)
{
	struct option longs[OPTION_COUNT + 1];
	char letters[2 * OPTION_COUNT + 1], shorts[2 * OPTION_COUNT + 3];
	int got;

	build_getopt(longs, letters);
	snprintf(shorts, sizeof(shorts), "%s:%s", stop_at_word ? "+" : "",
		 letters);
	opterr = 0;
	optind = 0;
	while ((got = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		const struct verb_option *option;

		if (got == '?' || got == ':')
			return bad_option(line, got, argv);
		option = option_of(got);
		*seen |= 1U << option->id;
		apply(line, option);
	}
	return 0;
}

static int misplaced(const struct command_line *line,
		     const struct verb_option *option)
{
	char list[256] = "";
	size_t i, used = 0;

	for (i = 0; i < VERB_COUNT; i++)
		if (option->verbs & (1U << i))
			used += snprintf(list + used, sizeof(list) - used,
					 "%s%s", used ? ", " : "",
					 verbs[i].name);
	return fail(line, STATUS_USAGE,
		    "option --%s does not belong to \"%s\"; it is an option of %s",
		    option->name, line->verb->name, list);
}

static int check_options(const struct command_line *line, unsigned int seen)
{
	size_t i;

	for (i = 0; i < OPTION_COUNT; i++)
		if ((seen & (1U << i)) &&
		    !(verb_options[i].verbs & (1U << (line->verb - verbs))))
			return misplaced(line, &verb_options[i]);
	return 0;
}

static int parse_count(struct command_line *line)
{
	const char *word = line->count_word;
	char *end;

	if (!word)
		return 0;
	errno = 0;
	line->count = strtoul(word, &end, 10);
	if (errno || *end || *word < '0' || *word > '9' || !line->count)
		return fail(line, STATUS_USAGE,
			    "option --count needs a number above 0, but got \"%s\"",
			    word);
	return 0;
}

static int check_arguments(const struct command_line *line)
{
	const struct verb *verb = line->verb;

	if (line->argc < verb->least)
		return fail(line, STATUS_USAGE,
			    "\"%s\" expects %s, but got %s; see \"%s\"",
			    verb->name, verb->arguments,
			    line->argc ? "less" : "nothing", help_hint(line));
	if (verb->most >= 0 && line->argc > verb->most)
		return fail(line, STATUS_USAGE,
			    "\"%s\" expects %s, but got \"%s\" too; see \"%s\"",
			    verb->name,
			    verb->most ? verb->arguments : "no argument",
			    line->argv[verb->most], help_hint(line));
	return 0;
}

/* "bpio --help" and "bpio --version" stand for verbs. */
static int parse_no_verb(struct command_line *line, char **end,
			 unsigned int seen)
{
	if (!line->help && !line->version)
		return fail(line, STATUS_USAGE,
			    "expected a verb, but got nothing; \"bpio help\" lists the verbs");
	line->verb = &verbs[line->help ? VERB_HELP : VERB_VERSION];
	line->argv = end;
	line->help = false;
	return line->verb == &verbs[VERB_VERSION] ? check_options(line, seen) :
						    0;
}

static int parse(struct command_line *line, int argc, char **argv)
{
	unsigned int seen = 0;
	int ret, first;

	ret = parse_options(line, argc, argv, true, &seen);
	if (ret)
		return ret;
	first = optind;
	if (first == argc)
		return parse_no_verb(line, argv + argc, seen);
	line->verb = find_verb(argv[first]);
	if (!line->verb)
		return fail(line, STATUS_USAGE,
			    "expected a verb, but got \"%s\"; \"bpio help\" lists the verbs",
			    argv[first]);
	ret = parse_options(line, argc - first, argv + first,
			    line->verb == &verbs[VERB_RUN], &seen);
	if (ret)
		return ret;
	line->argc = argc - first - optind;
	line->argv = argv + first + optind;
	ret = check_options(line, seen);
	if (ret || line->help)
		return ret;
	ret = parse_count(line);
	return ret ? ret : check_arguments(line);
}

int main(int argc, char **argv)
{
	struct command_line line = { 0 };
	int ret;

	/* No more --file options than words. */
	line.globs = calloc(argc, sizeof(*line.globs));
	if (!line.globs)
		return fail(&line, STATUS_FAILURE, "out of memory");
	stack_quiet();
	ret = parse(&line, argc, argv);
	if (!ret && line.help)
		ret = help_for_verb(line.verb);
	else if (!ret)
		ret = handlers[line.verb - verbs](&line);
	free(line.globs);
	if (fflush(stdout) || ferror(stdout)) {
		fprintf(stderr, "bpio: cannot write the output: %s\n",
			strerror(errno));
		if (!ret)
			ret = STATUS_FAILURE;
	}
	return ret;
}
