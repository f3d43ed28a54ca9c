// SPDX-License-Identifier: GPL-2.0-only
/*
 * See run.h.
 */
#include <string.h>

#include "bpio.h"
#include "cli.h"
#include "report.h"
#include "run.h"
#include "share.h"

struct sums {
	unsigned long long counters[SHARE_COUNTERS];
	unsigned long long lost;
};

static void add_up(struct share *share, struct sums *sums)
{
	size_t i, slot;

	for (i = 0; i < SHARE_COUNTERS; i++)
		sums->counters[i] = share->totals[i];
	for (slot = 0; slot < SHARE_SLOTS; slot++) {
		struct share_slot *at = &share->slots[slot];

		if (!at->used)
			continue;
		if (!at->reported)
			sums->lost++;
		for (i = 0; i < SHARE_COUNTERS; i++)
			sums->counters[i] += at->counters[i];
	}
}

static struct json_object *by_reason(const unsigned long long *counts)
{
	struct json_object *json = json_object_new_object();
	unsigned int i;

	for (i = 0; i < BPIO_REASON_COUNT; i++)
		if (counts[i])
			json_object_object_add(json, bpio_reason_token(i),
					       json_object_new_uint64(counts[i]));
	return json;
}

static void report_reasons(struct report *report, const char *label,
			   const unsigned long long *counts)
{
	unsigned int i;

	for (i = 0; i < BPIO_REASON_SLOTS; i++)
		if (counts[i])
			report_text(report, NULL, label, "%llu %s (%s)",
				    counts[i], bpio_reason_token(i),
				    bpio_reason_text(i));
}

static void report_opens(struct report *report, struct share *share)
{
	unsigned long long refused[BPIO_REASON_SLOTS];
	int i;

	for (i = 0; i < BPIO_REASON_SLOTS; i++)
		refused[i] = share->refused[i];
	report_number(report, "processes", NULL, share->processes, NULL);
	report_number(report, "handles", "Files opened with bypass",
		      share->handles, NULL);
	report_json(report, "refused_by_reason", by_reason(refused));
	report_reasons(report, "Refused", refused);
	report_number(report, "not_on_volume",
		      share->not_on_volume ? "Not on a bpio volume" : NULL,
		      share->not_on_volume, NULL);
	report_number(report, "no_permission",
		      share->no_permission ?
		      "No permission to open the mapped device" : NULL,
		      share->no_permission, NULL);
	report_number(report, "failed",
		      share->failed ? "Failed otherwise" : NULL,
		      share->failed, NULL);
	if (share->failed)
		report_text(report, "last_error", "Last error", "%s",
			    strerror(share->last_error));
}

static void report_reads(struct report *report, struct share *share,
			 const struct sums *sums)
{
	const unsigned long long *counters = sums->counters;

	report_number(report, "direct_reads", "Direct reads",
		      counters[SHARE_DIRECT_READS], NULL);
	report_bytes(report, "direct_bytes", "Direct data",
		     counters[SHARE_DIRECT_BYTES]);
	report_number(report, "fallback_reads", "Fall-back reads",
		      counters[SHARE_FALLBACK_READS], NULL);
	report_bytes(report, "fallback_bytes", "Fall-back data",
		     counters[SHARE_FALLBACK_BYTES]);
	report_json(report, "fallback_by_reason",
		    by_reason(counters + SHARE_BY_REASON));
	report_reasons(report, "Fell back", counters + SHARE_BY_REASON);
	report_number(report, "uncounted_handles",
		      sums->lost + share->untracked ?
		      "Handles not counted (killed or still running)" : NULL,
		      sums->lost + share->untracked, NULL);
}

void run_summary(const struct command_line *line, struct share *share,
		 int status, FILE *stream)
{
	struct report *report = report_new(line);
	struct sums sums = { 0 };

	add_up(share, &sums);
	report_to(report, stream);
	report_heading(report, "bpio run: \"%s\" ended with status %d.",
		       line->argv[0], status);
	report_text(report, "program", NULL, "%s", line->argv[0]);
	report_number(report, "exit_status", NULL, status, NULL);
	report_opens(report, share);
	report_reads(report, share, &sums);
	if (!share->processes)
		report_text(report, NULL, "Note", "%s",
			    "no process could be counted; did the command change its user?");
	else if (!share->handles && !share->not_on_volume &&
		 !share->no_permission && !share->failed)
		report_text(report, NULL, "Note", "%s",
			    "only files opened with O_RDONLY | O_DIRECT can be bypassed");
	report_finish(report, status);
}
