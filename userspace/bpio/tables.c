// SPDX-License-Identifier: GPL-2.0-only
/*
 * The verbs, options and exit statuses of bpio. Parser, dispatcher, help and the tests
 * of man page and completions all use these tables.
 */
#include <string.h>

#include "cli.h"
#include "tables.h"

const struct verb verbs[VERB_COUNT] = {
	[VERB_STATE] = {
		"state", 1, 1, "PATH",
		"Show whether reads of a file, directory, mount point or device are bypassed.",
	},
	[VERB_INFO] = {
		"info", 1, 1, "DEVICE",
		"Show the storage, mounts and counters of one bpio volume.",
	},
	[VERB_LIST] = {
		"list", 0, 1, "[--files [PATH]]",
		"List every bpio volume of this machine, or the files with BypassIO enabled.",
	},
	[VERB_STACK] = {
		"stack", 1, 1, "PATH",
		"Query every layer below a path, and show its answer and its reads.",
	},
	[VERB_PAUSE] = {
		"pause", 1, 1, "PATH",
		"Stop the bypass of a file, or of a volume (mapped device, mount point).",
	},
	[VERB_RESUME] = {
		"resume", 1, 1, "PATH",
		"End a pause of a file or volume.",
	},
	[VERB_ENABLE] = {
		"enable", 1, 1, "DEVICE",
		"Let all reads of a volume, from any program, skip the layers below.",
	},
	[VERB_DISABLE] = {
		"disable", 1, 1, "DEVICE",
		"Undo what \"enable\" did.",
	},
	[VERB_ADOPT] = {
		"adopt", 1, 1, "PATH",
		"Make a bpio volume of the linear or striped device below a path, while it is in use.",
	},
	[VERB_RELEASE] = {
		"release", 1, 1, "PATH",
		"Undo what \"adopt\" did.",
	},
	[VERB_TAB] = {
		"tab", 0, 1, "[FILE]",
		"Show the volumes of /etc/bpiotab, or of another table, and whether they are up.",
	},
	[VERB_UP] = {
		"up", 0, -1, "[NAME...]",
		"Make the named volumes of /etc/bpiotab, or all except those with noauto.",
	},
	[VERB_DOWN] = {
		"down", 0, -1, "[NAME...]",
		"Undo what \"up\" did.",
	},
	[VERB_UPGRADE] = {
		"upgrade", 0, 0, "",
		"Replace the loaded module by the installed one, while volumes are in use.",
	},
	[VERB_WATCH] = {
		"watch", 0, 0, "",
		"Show vetoes, pauses and other events as they happen.",
	},
	[VERB_RUN] = {
		"run", 1, -1, "[--] COMMAND [ARG...]",
		"Run a command whose direct reads are bypassed.",
	},
	[VERB_ATTACH] = {
		"attach", 1, 1, "PID",
		"Enable BypassIO for files that a running process has open.",
	},
	[VERB_DETACH] = {
		"detach", 1, 1, "PID",
		"Disable BypassIO for files that a running process has open.",
	},
	[VERB_EXPLAIN] = {
		"explain", 0, 1, "[REASON]",
		"Explain why something is not bypassed, and what can be done.",
	},
	[VERB_HELP] = {
		"help", 0, 1, "[VERB]",
		"Show this help, or the help of a verb.",
	},
	[VERB_VERSION] = {
		"version", 0, 0, "",
		"Show the version of the command and of its interface to the kernel.",
	},
};

#define BIT(verb)	(1U << (verb))
#define ALL_VERBS	(BIT(VERB_COUNT) - 1)

const struct verb_option verb_options[OPTION_COUNT] = {
	[OPTION_JSON] = {
		OPTION_JSON, 'j', "json", NULL, ALL_VERBS,
		"Print JSON with a schema number instead of text.",
	},
	[OPTION_QUIET] = {
		OPTION_QUIET, 'q', "quiet", NULL, ALL_VERBS,
		"Print no results, only set the exit status.",
	},
	[OPTION_VERBOSE] = {
		OPTION_VERBOSE, 'v', "verbose", NULL, BIT(VERB_STATE),
		"Also show the layers below the volume and a hint.",
	},
	[OPTION_ALL] = {
		OPTION_ALL, 'a', "all", NULL, BIT(VERB_STATE),
		"Show every objection, not only the first.",
	},
	[OPTION_COUNT_EVENTS] = {
		OPTION_COUNT_EVENTS, 'c', "count", "N", BIT(VERB_WATCH),
		"End after N events.",
	},
	[OPTION_FILE] = {
		OPTION_FILE, 'f', "file", "GLOB",
		BIT(VERB_RUN) | BIT(VERB_ATTACH) | BIT(VERB_DETACH),
		"Only files whose absolute path matches; may be repeated.",
	},
	[OPTION_SUMMARY] = {
		OPTION_SUMMARY, 's', "summary", "FILE", BIT(VERB_RUN),
		"Write the summary to a file instead of standard error.",
	},
	[OPTION_FOLLOW] = {
		OPTION_FOLLOW, 'F', "follow", NULL, BIT(VERB_ATTACH),
		"Continue with files that the process opens later, and count their reads.",
	},
	[OPTION_FILES] = {
		OPTION_FILES, 'o', "files", NULL, BIT(VERB_LIST),
		"List the files with BypassIO enabled, and who has them open.",
	},
	[OPTION_DRY_RUN] = {
		OPTION_DRY_RUN, 'n', "dry-run", NULL,
		BIT(VERB_ADOPT) | BIT(VERB_RELEASE),
		"Print the tables that would be loaded, and change nothing.",
	},
	[OPTION_KEEP] = {
		OPTION_KEEP, 'k', "keep", NULL, BIT(VERB_ADOPT),
		"Adopt again whenever LVM or another program replaces the table.",
	},
	[OPTION_KEPT] = {
		OPTION_KEPT, 'K', "kept", NULL, BIT(VERB_ADOPT),
		"For udev: adopt a device that was adopted with --keep, in the background.",
	},
	[OPTION_ANY_STORAGE] = {
		OPTION_ANY_STORAGE, 'S', "any-storage", NULL, BIT(VERB_ADOPT),
		"Let reads also go direct to storage other than NVMe.",
	},
	[OPTION_CHECK] = {
		OPTION_CHECK, 'C', "check", NULL, BIT(VERB_TAB),
		"Also report volumes that cannot be made, and fail for them.",
	},
	[OPTION_CLAIMS] = {
		OPTION_CLAIMS, 'D', "claims", NULL, BIT(VERB_TAB),
		"For udev: print the volume above the device of the event.",
	},
	[OPTION_INITRD] = {
		OPTION_INITRD, 'i', "initrd", NULL, BIT(VERB_UP),
		"Only volumes with x-initrd.attach.",
	},
	[OPTION_HELP] = {
		OPTION_HELP, 'h', "help", NULL, ALL_VERBS,
		"Show the help of the verb.",
	},
	[OPTION_VERSION] = {
		OPTION_VERSION, 'V', "version", NULL, BIT(VERB_VERSION),
		"Show the version, as the verb does.",
	},
};

const struct exit_meaning exit_meanings[] = {
	{ STATUS_OK,
	  "Done; for state, info and stack: BypassIO is fully supported." },
	{ STATUS_FAILURE,
	  "Another error, described on standard error." },
	{ STATUS_USAGE,
	  "The command line is invalid." },
	{ STATUS_PERMISSION,
	  "Not permitted, usually to open the mapped device." },
	{ STATUS_NOT_A_VOLUME,
	  "The path is not on a bpio volume." },
	{ STATUS_PARTIAL,
	  "BypassIO is partially supported." },
	{ STATUS_REFUSED,
	  "BypassIO is refused or vetoed." },
	{ STATUS_PAUSED,
	  "BypassIO is paused or switched off." },
	{ STATUS_RUN_FAILURE,
	  "run: bpio itself failed before the command started." },
	{ STATUS_RUN_CANNOT,
	  "run: the command cannot be executed, or cannot be run with BypassIO." },
	{ STATUS_RUN_NOT_FOUND,
	  "run: there is no such command." },
};

const size_t exit_meaning_count = ARRAY_SIZE(exit_meanings);

const struct verb *find_verb(const char *name)
{
	size_t i;

	for (i = 0; i < VERB_COUNT; i++)
		if (!strcmp(verbs[i].name, name))
			return &verbs[i];
	return NULL;
}
