// SPDX-License-Identifier: GPL-2.0-only
/*
 * bpio explain [REASON]
 */
#include <errno.h>
#include <stdlib.h>

#include "bpio.h"
#include "catalogue.h"
#include "cli.h"
#include "handlers.h"
#include "report.h"

static struct json_object *reason_json(unsigned int reason)
{
	struct json_object *json = json_object_new_object();

	json_object_object_add(json, "code", json_object_new_int(reason));
	json_object_object_add(json, "token",
			       json_object_new_string(bpio_reason_token(reason)));
	json_object_object_add(json, "text",
			       json_object_new_string(bpio_reason_text(reason)));
	json_object_object_add(json, "meaning",
			       json_object_new_string(catalogue_meaning(reason)));
	json_object_object_add(json, "advice",
			       json_object_new_string(catalogue_advice(reason)));
	return json;
}

static int explain_all(const struct command_line *line)
{
	struct json_object *list = json_object_new_array();
	struct report *report = report_new(line);
	unsigned int reason;

	for (reason = 0; reason < BPIO_REASON_COUNT; reason++) {
		json_object_array_add(list, reason_json(reason));
		report_heading(report, "%2u  %-16s  %s", reason,
			       bpio_reason_token(reason),
			       bpio_reason_text(reason));
	}
	report_json(report, "reasons", list);
	return report_finish(report, 0);
}

/* A word of the catalogue, or a number */
static int parse_reason(const char *word)
{
	unsigned long number;
	char *end;
	int reason = bpio_reason_from_token(word);

	if (reason >= 0)
		return reason;
	errno = 0;
	number = strtoul(word, &end, 10);
	if (errno || end == word || *end || word[0] < '0' || word[0] > '9' ||
	    number >= BPIO_REASON_COUNT)
		return -EINVAL;
	return number;
}

int verb_explain(const struct command_line *line)
{
	struct json_object *list;
	struct report *report;
	int reason;

	if (!line->argc)
		return explain_all(line);
	reason = parse_reason(line->argv[0]);
	if (reason < 0)
		return fail(line, STATUS_USAGE,
			    "expected a reason, as a word or a number below %d, but got \"%s\"; \"bpio explain\" lists them",
			    BPIO_REASON_COUNT, line->argv[0]);
	report = report_new(line);
	report_heading(report, "%s (%d): %s", bpio_reason_token(reason), reason,
		       bpio_reason_text(reason));
	report_text(report, NULL, "Meaning", "%s", catalogue_meaning(reason));
	report_text(report, NULL, "What to do", "%s", catalogue_advice(reason));
	list = json_object_new_array();
	json_object_array_add(list, reason_json(reason));
	report_json(report, "reasons", list);
	return report_finish(report, 0);
}
