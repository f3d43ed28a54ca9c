// SPDX-License-Identifier: GPL-2.0-only
/*
 * bpio state PATH
 */
#include "bpio.h"
#include "catalogue.h"
#include "cli.h"
#include "handlers.h"
#include "layers.h"
#include "place.h"
#include "verdict.h"

static void report_place(struct report *report, const struct place *place,
			 const struct bpio_verdict *verdict)
{
	report_heading(report, "BypassIo on \"%s\" is %s.", place->path,
		       verdict_phrase(verdict));
	report_text(report, "path", NULL, "%s", place->path);
	report_json(report, "volume", device_to_json(place->dev));
	if (place->mount_point)
		report_text(report, "mount_point", NULL, "%s",
			    place->mount_point);
	if (place->fstype)
		report_text(report, "filesystem", NULL, "%s", place->fstype);
}

static void report_stack(struct report *report, const struct stack *stack,
			 bool verbose)
{
	size_t i;

	report_json(report, "stack", stack_to_json(stack));
	for (i = 0; verbose && i < stack->count; i++)
		report_text(report, NULL, i ? "below it" : "Stack", "%s (%s)",
			    stack->layers[i].name, stack->layers[i].type);
}

static void report_all(const struct command_line *line, struct report *report,
		       const struct place *place, const struct layers *layers,
		       const struct bpio_volume_info *info)
{
	const struct bpio_verdict *verdict = &layers->verdict;
	const struct stack *stack = &layers->stack;

	report_place(report, place, verdict);
	verdict_report(report, layers);
	layers_report_objections(report, layers, line->all);
	layers_report_pauses(report, layers);
	storage_report(report, info, verdict, stack->count ? stack : NULL);
	if (line->verbose)
		report_text(report, NULL, "Peer memory", "%s",
			    info->flags & BPIO_INFO_PEER_MEMORY ?
			    "direct reads can go into memory of PCI devices" :
			    "no reads can go into memory of PCI devices");
	if (stack->count)
		report_stack(report, stack, line->verbose);
	if (verdict->reason)
		report_text(report, "hint", line->verbose ? "Hint" : NULL, "%s",
			    catalogue_advice(verdict->reason));
	report_number(report, "exit_status", NULL, verdict_status(verdict),
		      NULL);
}

static int act(const struct command_line *line, const struct place *place,
	       int fd)
{
	struct bpio_volume_info info = BPIO_VOLUME_INFO_INIT;
	struct report *report;
	struct layers layers;
	int ret, status;

	ret = layers_ask(place, fd, &layers);
	if (ret)
		return ask_failed(line, place, ret);
	ret = bpio_volume_info(fd, &info);
	if (ret) {
		layers_free(&layers);
		return ask_failed(line, place, ret);
	}
	report = report_new(line);
	report_all(line, report, place, &layers, &info);
	status = verdict_status(&layers.verdict);
	layers_free(&layers);
	return report_finish(report, status);
}

int verb_state(const struct command_line *line)
{
	return with_subject(line, act);
}
