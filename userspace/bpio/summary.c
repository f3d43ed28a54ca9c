// SPDX-License-Identifier: GPL-2.0-only
/*
 * See run.h.
 */
#include <stdbool.h>
#include <string.h>

#include "bpio.h"
#include "cli.h"
#include "descendants.h"
#include "report.h"
#include "layers.h"
#include "run.h"
#include "share.h"

static void report_reasons(struct report *report, const char *label,
			   const __u64 *counts)
{
	unsigned int i;

	for (i = 0; i < BPIO_REASON_SLOTS; i++)
		if (counts[i])
			report_text(report, NULL, label, "%llu %s (%s)",
				    (unsigned long long)counts[i],
				    bpio_reason_token(i),
				    bpio_reason_text(i));
}

/* Prints a number unless it is 0 */
static void report_if_any(struct report *report, const char *key,
			  const char *label, unsigned long long value)
{
	report_number(report, key, value ? label : NULL, value, NULL);
}

static void report_files(struct report *report, const struct bpio_tally *tally)
{
	__u64 refused[BPIO_REASON_SLOTS];

	memcpy(refused, tally->refused_reason, sizeof(refused));
	report_number(report, "files", "Files opened with bypass", tally->files,
		      NULL);
	report_if_any(report, "open_files", "Files still open",
		      tally->open_files);
	report_json(report, "refused_by_reason", reasons_to_json(refused));
	/* These were not refused; they have a separate line. */
	report_if_any(report, "not_on_volume", "Not on a bpio volume",
		      refused[BPIO_REASON_OTHER_VOLUME]);
	refused[BPIO_REASON_OTHER_VOLUME] = 0;
	report_reasons(report, "Refused", refused);
}

static void report_programs(struct report *report, const struct share *share)
{
	report_number(report, "programs", NULL, share->programs, NULL);
	report_if_any(report, "uncounted_files",
		      "Files opened with bypass but not counted below",
		      share->outside);
	report_if_any(report, "failed", "Failed otherwise", share->failed);
	if (share->failed)
		report_text(report, "last_error", "Last error", "%s",
			    strerror(share->last_error));
}

static void report_tallied_reads(struct report *report,
				 const struct bpio_tally *tally)
{
	report_reads(report, READS_OF(tally));
	report_json(report, "fallback_by_reason",
		    reasons_to_json(tally->fallback_reason));
	report_reasons(report, "Fell back", tally->fallback_reason);
}

void tally_report(struct report *report, const struct bpio_tally *tally)
{
	report_files(report, tally);
	report_tallied_reads(report, tally);
}

/* Reports statically linked programs. Returns whether there were any */
static bool report_static(struct report *report,
			  const struct descendants *seen)
{
	struct json_object *list = json_object_new_array();
	size_t i;

	for (i = 0; i < seen->count; i++) {
		const char *path = seen->programs[i].path;

		if (!path)
			continue;
		json_object_array_add(list, json_object_new_string(path));
		report_text(report, NULL, "Not served",
			    "\"%s\" is statically linked and loads no library; \"bpio attach\" can serve it",
			    path);
	}
	report_json(report, "static_programs", list);
	return json_object_array_length(list);
}

static bool saw_no_file(const struct bpio_tally *tally,
			const struct share *share)
{
	return !tally->files && !tally->refused && !share->outside &&
	       !share->failed;
}

static void report_notes(struct report *report, const struct bpio_tally *tally,
			 const struct share *share, bool any_static)
{
	if (share->outside)
		report_text(report, NULL, "Note", "%s",
			    "a program that closed the tally, and changed its user or cannot reach bpio, is bypassed without being counted");
	if (tally->open_files)
		report_text(report, NULL, "Note", "%s",
			    "processes of the command are still running; their later reads are not in this summary");
	if (!share->programs && saw_no_file(tally, share))
		report_text(report, NULL, "Note", "%s",
			    "no program has loaded the preload library; did the command change its environment or its user?");
	else if (!any_static && saw_no_file(tally, share))
		report_text(report, NULL, "Note", "%s",
			    "only files that a program which is not statically linked opens with O_RDONLY | O_DIRECT can be bypassed");
}

void run_summary(const struct command_line *line, int node,
		 const struct share *share, const struct descendants *seen,
		 int status, FILE *stream)
{
	struct report *report = report_new(line);
	struct bpio_tally tally;
	bool any_static;
	int error;

	report_to(report, stream);
	report_heading(report, "bpio run: \"%s\" ended with status %d.",
		       line->argv[0], status);
	report_text(report, "program", NULL, "%s", line->argv[0]);
	report_number(report, "exit_status", NULL, status, NULL);
	error = bpio_node_tally(node, &tally);
	if (error)
		report_text(report, NULL, "Note",
			    "cannot read the tally from the kernel: %s",
			    strerror(-error));
	report_files(report, &tally);
	report_programs(report, share);
	report_tallied_reads(report, &tally);
	any_static = report_static(report, seen);
	report_notes(report, &tally, share, any_static);
	report_finish(report, status);
}
