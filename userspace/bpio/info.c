// SPDX-License-Identifier: GPL-2.0-only
/*
 * bpio info DEVICE
 */
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "bpio.h"
#include "cli.h"
#include "handlers.h"
#include "layers.h"
#include "place.h"
#include "verdict.h"

static void report_version(struct report *report, int fd)
{
	struct bpio_version version;
	int node = bpio_node_open(), ret;

	ret = bpio_kernel_version(node < 0 ? fd : node, &version);
	if (node >= 0)
		close(node);
	if (ret)
		return;
	report_number(report, "abi_version", "ABI version",
		      version.abi_version, NULL);
	report_text(report, NULL, "File systems", "%s%s",
		    version.features & BPIO_FEATURE_EXT4 ? "ext4" : "",
		    version.features & BPIO_FEATURE_XFS ? " xfs" : "");
	report_flag(report, "feature_ext4", NULL,
		    version.features & BPIO_FEATURE_EXT4);
	report_flag(report, "feature_xfs", NULL,
		    version.features & BPIO_FEATURE_XFS);
}

static void report_device(struct report *report, dev_t dev,
			  const struct stack *stack)
{
	struct json_object *mounts = mounts_of(dev);
	char *node = device_node(dev);
	size_t i;

	report_heading(report, "%s is a bpio volume.", node);
	report_json(report, "device", device_to_json(dev));
	report_text(report, NULL, "Device number", "%u:%u", major(dev),
		    minor(dev));
	if (stack) {
		const struct layer *top = &stack->layers[0];

		report_text(report, "name", "Name", "%s", top->name);
		report_text(report, "table", "Table", "%.*s",
			    (int)strcspn(top->table, "\n"), top->table);
		report_json(report, "stack", stack_to_json(stack));
	}
	for (i = 0; i < json_object_array_length(mounts); i++) {
		struct json_object *mount = json_object_array_get_idx(mounts,
								      i);

		report_text(report, NULL, "Mounted on", "%s (%s)",
			    json_object_get_string(json_object_object_get(mount,
									  "mount_point")),
			    json_object_get_string(json_object_object_get(mount,
									  "filesystem")));
	}
	report_json(report, "mounts", mounts);
	free(node);
}

static void report_counters(struct report *report,
			    const struct bpio_volume_info *info)
{
	report_number(report, "active_files", "Active files",
		      info->active_files, NULL);
	report_reads(report, READS_OF(info));
	report_number(report, "mapped_reads",
		      "Reads of the device that skipped layers",
		      info->mapped_reads, NULL);
	report_number(report, "bmap_steps", "Files mapped block by block",
		      info->bmap_steps, NULL);
}

static void report_all(struct report *report, dev_t dev, int fd,
		       const struct bpio_volume_info *info,
		       const struct layers *layers)
{
	const struct stack *stack = layers->stack.count ? &layers->stack : NULL;
	const struct bpio_verdict *verdict = &layers->verdict;

	report_device(report, dev, stack);
	report_version(report, fd);
	report_text(report, NULL, "BypassIO", "%s", verdict_phrase(verdict));
	verdict_report(report, layers);
	layers_report_objections(report, layers, false);
	layers_report_pauses(report, layers);
	storage_report(report, info, verdict, stack);
	report_counters(report, info);
	report_number(report, "exit_status", NULL, verdict_status(verdict),
		      NULL);
}

static int act(const struct command_line *line, const struct place *place,
	       int fd)
{
	struct bpio_volume_info info = BPIO_VOLUME_INFO_INIT;
	struct place whole = *place;
	struct report *report;
	struct layers layers;
	int ret, status;

	/* Whatever the path is, query the volume. */
	whole.is_device = true;
	ret = bpio_volume_info(fd, &info);
	if (!ret)
		ret = layers_ask(&whole, fd, &layers);
	if (ret)
		return ask_failed(line, place, ret);
	report = report_new(line);
	report_all(report, place->dev, fd, &info, &layers);
	status = verdict_status(&layers.verdict);
	layers_free(&layers);
	return report_finish(report, status);
}

int verb_info(const struct command_line *line)
{
	return with_whole(line, act);
}
