// SPDX-License-Identifier: GPL-2.0-only
/*
 * Errors of all verbs.
 */
#include <errno.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli.h"
#include "tables.h"

static void fail_json(const struct command_line *line, int status,
		      const char *message)
{
	struct json_object *root = json_object_new_object();
	struct json_object *error = json_object_new_object();

	json_object_object_add(root, "schema", json_object_new_int(JSON_SCHEMA));
	if (line->verb)
		json_object_object_add(root, "command",
				       json_object_new_string(line->verb->name));
	json_object_object_add(error, "exit_status",
			       json_object_new_int(status));
	json_object_object_add(error, "message",
			       json_object_new_string(message));
	json_object_object_add(root, "error", error);
	puts(json_object_to_json_string_ext(root, JSON_C_TO_STRING_PRETTY |
					    JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(root);
}

int fail(const struct command_line *line, int status, const char *format, ...)
{
	char *message = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&message, format, args) < 0)
		message = NULL;
	va_end(args);
	fprintf(stderr, "bpio: %s\n", message ? message : "out of memory");
	/* The standard output of "run" belongs to the command. */
	if (line->json && !line->quiet && message &&
	    line->verb != &verbs[VERB_RUN])
		fail_json(line, status, message);
	free(message);
	return status;
}

int status_of_error(int error)
{
	if (error == -EACCES || error == -EPERM)
		return STATUS_PERMISSION;
	return STATUS_FAILURE;
}
