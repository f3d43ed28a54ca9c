// SPDX-License-Identifier: GPL-2.0-only
/*
 * See verdict.h. The text has the shape of "fsutil bypassio state".
 */
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "cli.h"
#include "verdict.h"

#define PAUSED_FLAGS	(FS_BPIO_OUTFL_VOLUME_STACK_BYPASS_PAUSED | \
			 FS_BPIO_OUTFL_STREAM_BYPASS_PAUSED)

int verdict_status(const struct bpio_verdict *verdict)
{
	/* A refused file would not be bypassed after the pause either. */
	if (verdict->support == BPIO_SUPPORT_NONE)
		return STATUS_REFUSED;
	if (verdict->out_flags & PAUSED_FLAGS ||
	    verdict->reason == BPIO_REASON_VOLUME_PAUSED ||
	    verdict->reason == BPIO_REASON_SWITCHED_OFF)
		return STATUS_PAUSED;
	return verdict->support == BPIO_SUPPORT_FULL ? STATUS_OK :
						       STATUS_PARTIAL;
}

const char *verdict_phrase(const struct bpio_verdict *verdict)
{
	switch (verdict_status(verdict)) {
	case STATUS_OK:
		return "currently supported";
	case STATUS_PARTIAL:
		return "partially supported";
	case STATUS_PAUSED:
		return verdict->reason == BPIO_REASON_SWITCHED_OFF ?
		       "currently switched off" : "currently paused";
	default:
		return "not currently supported";
	}
}

static void report_driver(struct report *report, const struct layers *layers,
			  bool text)
{
	const struct bpio_verdict *verdict = &layers->verdict;
	const struct row *row = layers_objector(layers);
	char *name;

	if (verdict->driver[0])
		report_text(report, "driver",
			    text && !row ? "Driver" : NULL, "%s",
			    verdict->driver);
	if (!row)
		return;
	report_text(report, "layer_type", NULL, "%s", row_type(row));
	report_json(report, "layer", device_to_json(row_dev(row)));
	name = row_name(row);
	report_text(report, NULL, text ? "Driver" : NULL, "%s", name);
	free(name);
}

static void report_status(struct report *report,
			  const struct bpio_verdict *verdict, bool text)
{
	int error = -verdict->op_status;
	const char *name = strerrorname_np(error);

	report_number(report, "status", NULL, error, NULL);
	if (!error)
		return;
	report_text(report, "status_name", NULL, "%s", name ? name : "unknown");
	report_text(report, "status_text", NULL, "%s", strerror(error));
	report_text(report, NULL, text ? "Status" : NULL, "%d (%s)", error,
		    strerror(error));
}

/* The temporary reason why reads cannot go direct, although no layer objects */
static void report_obstacle(struct report *report,
			    const struct bpio_verdict *verdict, bool text)
{
	const char *sentence = bpio_reason_text(verdict->obstacle);

	/* Only this command's own descriptor lacks O_DIRECT. */
	if (verdict->obstacle == BPIO_REASON_NONE ||
	    verdict->obstacle == BPIO_REASON_NOT_DIRECT ||
	    verdict->obstacle == verdict->reason)
		return;
	report_json(report, "obstacle",
		    reason_to_json(verdict->obstacle, sentence));
	report_text(report, NULL, text ? "At the moment" : NULL, "%s",
		    sentence);
}

static void report_verdict(struct report *report, const struct layers *layers,
			   bool text)
{
	const struct bpio_verdict *verdict = &layers->verdict;

	report_text(report, "support", NULL, "%s",
		    bpio_support_token(verdict->support));
	report_flag(report, "volume_paused", NULL,
		    verdict->out_flags &
		    FS_BPIO_OUTFL_VOLUME_STACK_BYPASS_PAUSED);
	report_flag(report, "file_paused", NULL,
		    verdict->out_flags & FS_BPIO_OUTFL_STREAM_BYPASS_PAUSED);
	report_flag(report, "file_paused_by_kernel", NULL,
		    verdict->out_flags & FS_BPIO_OUTFL_STREAM_KERNEL_PAUSED);
	report_flag(report, "filter_attach_blocked", NULL,
		    verdict->out_flags & FS_BPIO_OUTFL_FILTER_ATTACH_BLOCKED);
	report_status(report, verdict, text);
	report_driver(report, layers, text);
	report_obstacle(report, verdict, text);
	if (verdict->reason == BPIO_REASON_NONE && !verdict->reason_text[0])
		return;
	report_json(report, "reason", reason_to_json(verdict->reason,
						     verdict->reason_text));
	report_text(report, NULL, text ? "Reason" : NULL, "%s",
		    verdict->reason_text);
}

void verdict_report(struct report *report, const struct layers *layers)
{
	report_verdict(report, layers, true);
	if (layers->verdict.out_flags & FS_BPIO_OUTFL_FILTER_ATTACH_BLOCKED)
		report_text(report, NULL, "Blocked", "%s",
			    "a layer that appeared after BypassIO was enabled objects to it");
}

void verdict_report_json(struct report *report, const struct layers *layers)
{
	report_verdict(report, layers, false);
}

/* Where reads enter the stack, from the kernel */
static void report_entry(struct report *report,
			 const struct bpio_volume_info *info, bool compatible)
{
	struct json_object *json;

	json = info->storage_major ?
	       device_to_json(makedev(info->storage_major,
				      info->storage_minor)) :
	       json_object_new_object();
	json_object_object_add(json, "driver",
			       json_object_new_string(info->storage_driver));
	json_object_object_add(json, "compatible",
			       json_object_new_boolean(compatible));
	json_object_object_add(json, "peer_memory",
			       json_object_new_boolean(info->flags &
						       BPIO_INFO_PEER_MEMORY));
	report_json(report, "storage", json);
}

static void report_device_lines(struct report *report, const char *label,
				dev_t dev, const char *driver,
				const char *remark)
{
	char *node = device_node(dev);

	report_text(report, NULL, label, "%s (%u:%u)", node, major(dev),
		    minor(dev));
	report_text(report, NULL, "Storage driver", "%s%s", driver, remark);
	free(node);
}

/*
 * The devices at the bottom, with a remark at those that reads enter directly (@all of
 * them, or one), and otherwise the layer above them where reads enter
 */
static void report_bottom(struct report *report, dev_t entry, bool all,
			  const struct stack *stack, const char *remark)
{
	struct json_object *list = json_object_new_array();
	size_t i;

	for (i = 0; i < stack->count; i++) {
		const struct layer *layer = &stack->layers[i];
		struct json_object *json;

		if (stack_is_bottom(stack, i)) {
			json = device_to_json(layer->dev);
			json_object_object_add(json, "type",
					       json_object_new_string(layer->type));
			json_object_array_add(list, json);
			report_device_lines(report, "Storage device",
					    layer->dev, layer->type,
					    all || layer->dev == entry ?
					    remark : "");
		} else if (layer->dev == entry) {
			char *node = device_node(entry);

			report_text(report, NULL, "Reads enter at", "%s (%s)",
				    node, layer->type);
			free(node);
		}
	}
	report_json(report, "bottom", list);
}

void storage_report(struct report *report,
		    const struct bpio_volume_info *info,
		    const struct bpio_verdict *verdict,
		    const struct stack *stack)
{
	bool compatible = (verdict->out_flags | info->out_flags) &
			  FS_BPIO_OUTFL_COMPATIBLE_STORAGE_DRIVER;
	const char *remark = compatible ? " (BypassIO compatible)" :
					  " (not BypassIO compatible)";
	dev_t entry = makedev(info->storage_major, info->storage_minor);

	report_entry(report, info, compatible);
	if (stack)
		report_bottom(report, entry,
			      verdict->support == BPIO_SUPPORT_FULL, stack,
			      remark);
	else if (info->storage_major)
		report_device_lines(report, "Storage device", entry,
				    info->storage_driver, remark);
}
