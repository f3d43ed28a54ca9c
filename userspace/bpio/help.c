// SPDX-License-Identifier: GPL-2.0-only
/*
 * help and version, from the tables.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "bpio.h"
#include "cli.h"
#include "handlers.h"
#include "report.h"
#include "tables.h"

static void print_option(const struct verb_option *option)
{
	char left[40];

	snprintf(left, sizeof(left), "-%c, --%s%s%s", option->letter,
		 option->name, option->argument ? " " : "",
		 option->argument ? option->argument : "");
	printf("  %-20s  %s\n", left, option->sentence);
}

static void print_exits(void)
{
	size_t i;

	printf("\nExit status:\n");
	for (i = 0; i < exit_meaning_count; i++)
		printf("  %3d  %s\n", exit_meanings[i].number,
		       exit_meanings[i].meaning);
}

int help_for_verb(const struct verb *verb)
{
	size_t i;

	printf("usage: bpio %s [options]%s%s\n\n%s\n\nOptions:\n", verb->name,
	       verb->arguments[0] ? " " : "", verb->arguments, verb->sentence);
	for (i = 0; i < OPTION_COUNT; i++)
		if (verb_options[i].verbs & (1U << (verb - verbs)))
			print_option(&verb_options[i]);
	if (verb == &verbs[VERB_RUN])
		printf("\n%s\n",
		       "The exit status is the command's, or 128 plus the number of its signal.");
	print_exits();
	return 0;
}

static int help_all(void)
{
	size_t i;

	printf("usage: bpio VERB [options] [arguments]\n\n"
	       "Reads of files that skip the file system and the layers below it.\n\n"
	       "Verbs:\n");
	for (i = 0; i < VERB_COUNT; i++) {
		printf("  %s %s\n      %s\n", verbs[i].name, verbs[i].arguments,
		       verbs[i].sentence);
	}
	printf("\nOptions (\"bpio help VERB\" shows which belong to a verb):\n");
	for (i = 0; i < OPTION_COUNT; i++)
		print_option(&verb_options[i]);
	print_exits();
	printf("\nMore in bpio(1), dm-bpio(4) and libbpio(3).\n");
	return 0;
}

static struct json_object *json_option(const struct verb_option *option)
{
	struct json_object *json = json_object_new_object();
	char letter[2] = { option->letter, '\0' };

	json_object_object_add(json, "name",
			       json_object_new_string(option->name));
	json_object_object_add(json, "letter", json_object_new_string(letter));
	if (option->argument)
		json_object_object_add(json, "argument",
				       json_object_new_string(option->argument));
	json_object_object_add(json, "help",
			       json_object_new_string(option->sentence));
	return json;
}

static struct json_object *json_verb(size_t id)
{
	struct json_object *json = json_object_new_object();
	struct json_object *options = json_object_new_array();
	size_t i;

	json_object_object_add(json, "name",
			       json_object_new_string(verbs[id].name));
	json_object_object_add(json, "arguments",
			       json_object_new_string(verbs[id].arguments));
	json_object_object_add(json, "help",
			       json_object_new_string(verbs[id].sentence));
	for (i = 0; i < OPTION_COUNT; i++)
		if (verb_options[i].verbs & (1U << id))
			json_object_array_add(options,
					      json_option(&verb_options[i]));
	json_object_object_add(json, "options", options);
	return json;
}

static int help_json(const struct command_line *line)
{
	struct report *report = report_new(line);
	struct json_object *list = json_object_new_array();
	struct json_object *exits = json_object_new_array();
	size_t i;

	for (i = 0; i < VERB_COUNT; i++)
		json_object_array_add(list, json_verb(i));
	report_json(report, "verbs", list);
	for (i = 0; i < exit_meaning_count; i++) {
		const struct exit_meaning *exit = &exit_meanings[i];
		struct json_object *entry = json_object_new_object();

		json_object_object_add(entry, "status",
				       json_object_new_int(exit->number));
		json_object_object_add(entry, "meaning",
				       json_object_new_string(exit->meaning));
		json_object_array_add(exits, entry);
	}
	report_json(report, "exit_statuses", exits);
	return report_finish(report, 0);
}

int verb_help(const struct command_line *line)
{
	const struct verb *verb;

	if (line->argc) {
		verb = find_verb(line->argv[0]);
		if (!verb)
			return fail(line, STATUS_USAGE,
				    "expected a verb, but got \"%s\"; \"bpio help\" lists the verbs",
				    line->argv[0]);
		if (!line->json)
			return line->quiet ? 0 : help_for_verb(verb);
	}
	if (line->json)
		return help_json(line);
	return line->quiet ? 0 : help_all();
}

int verb_version(const struct command_line *line)
{
	struct report *report = report_new(line);

	report_heading(report, "bpio %s", bpio_library_version());
	report_text(report, "version", NULL, "%s", bpio_library_version());
	report_number(report, "abi_version", "ABI version", BPIO_ABI_VERSION,
		      NULL);
	return report_finish(report, 0);
}
