// SPDX-License-Identifier: GPL-2.0-only
/*
 * bpio watch: the uevents of subsystem "bpio", straight from the kernel, so that
 * it works where no udevd runs.
 */
#include <errno.h>
#include <libudev.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <time.h>

#include "bpio.h"
#include "cli.h"
#include "handlers.h"
#include "layers.h"
#include "report.h"
#include "signals.h"
#include "stack.h"

/* Room for bursts; events that do not fit are lost, and the loss is reported. */
#define RECEIVE_BUFFER	(8 << 20)

static bool parse_dev(const char *text, dev_t *dev)
{
	unsigned int maj, min;

	if (!text || sscanf(text, "%u:%u", &maj, &min) != 2)
		return false;
	*dev = makedev(maj, min);
	return true;
}

static const char *value(struct udev_device *event, const char *name)
{
	const char *text = udev_device_get_property_value(event, name);

	return text && *text ? text : NULL;
}

static void report_time(struct report *report, char *text, size_t size)
{
	char seconds[32], zone[8];
	struct timespec now;
	struct tm local;

	clock_gettime(CLOCK_REALTIME, &now);
	localtime_r(&now.tv_sec, &local);
	strftime(seconds, sizeof(seconds), "%Y-%m-%d %H:%M:%S", &local);
	strftime(zone, sizeof(zone), "%z", &local);
	snprintf(text, size, "%s.%03ld", seconds, now.tv_nsec / 1000000);
	report_text(report, "time", NULL, "%s %s", text, zone);
	report_json(report, "time_seconds",
		    json_object_new_double(now.tv_sec + now.tv_nsec / 1e9));
}

/* The module's own sentences have a number; the text of a layer has none. */
static void report_reason(struct report *report, const char *text)
{
	struct json_object *json;
	unsigned int i;

	for (i = 0; i < BPIO_REASON_COUNT; i++)
		if (!strcmp(text, bpio_reason_text(i)))
			break;
	if (i < BPIO_REASON_COUNT) {
		json = reason_to_json(i, text);
	} else {
		json = json_object_new_object();
		json_object_object_add(json, "text",
				       json_object_new_string(text));
	}
	report_json(report, "reason", json);
}

/* "SUPPORT INODE DRIVER (LAYER): REASON", as far as the event has them; to be freed */
static char *describe(struct report *report, struct udev_device *event)
{
	const char *driver = value(event, "BPIO_DRIVER");
	const char *inode = value(event, "BPIO_INODE");
	const char *reason = value(event, "BPIO_REASON");
	const char *support = value(event, "BPIO_SUPPORT");
	const char *blank = "";
	char *text = NULL, *node;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	dev_t layer;

	if (!out)
		abort();
	if (support) {
		fputs(support, out);
		report_text(report, "support", NULL, "%s", support);
		blank = " ";
	}
	if (inode) {
		fprintf(out, "%sinode %s", blank, inode);
		blank = " ";
		report_json(report, "inode",
			    json_object_new_uint64(strtoull(inode, NULL, 10)));
	}
	if (driver) {
		fprintf(out, "%s%s", blank, driver);
		report_text(report, "driver", NULL, "%s", driver);
	}
	if (parse_dev(value(event, "BPIO_LAYER"), &layer)) {
		node = device_node(layer);
		fprintf(out, " (%s)", node);
		free(node);
		report_json(report, "layer", device_to_json(layer));
	}
	if (reason) {
		fprintf(out, ": %s", reason);
		report_reason(report, reason);
	}
	fclose(out);
	return text;
}

static void report_status(struct report *report, const char *text, char *out,
			  size_t size)
{
	int status = text ? atoi(text) : 0;
	const char *name;

	*out = '\0';
	/* A negative errno; 4095 is the largest in the kernel */
	if (status >= 0 || status < -4095)
		return;
	name = strerrorname_np(-status);
	report_number(report, "status", NULL, -status, NULL);
	report_text(report, "status_name", NULL, "%s", name ? name : "unknown");
	report_text(report, "status_text", NULL, "%s", strerror(-status));
	snprintf(out, size, " [%d %s]", -status, name ? name : "unknown");
}

/* @count is NULL when the number is unknown. */
static void print_lost(const struct command_line *line, const char *count)
{
	struct report *report = report_new(line);
	char time[48];

	report_compact(report);
	report_time(report, time, sizeof(time));
	report_text(report, "event", NULL, "lost");
	if (count)
		report_json(report, "count",
			    json_object_new_uint64(strtoull(count, NULL, 10)));
	report_heading(report,
		       "%s  lost     -  %s events were lost: they came faster than they were %s; \"bpio stack\" and \"bpio list --files\" show the current state",
		       time, count ? count : "some",
		       count ? "sent" : "read");
	report_finish(report, 0);
}

static int print_event(const struct command_line *line,
		       struct udev_device *event)
{
	const char *name = value(event, "BPIO_EVENT");
	struct report *report;
	char time[48], status[48], *text, *node;
	dev_t dev;

	if (!name)
		return 0;
	if (!strcmp(name, "lost")) {
		print_lost(line, value(event, "BPIO_COUNT"));
		return 0;
	}
	if (!parse_dev(value(event, "BPIO_DEVICE"), &dev))
		return 0;
	report = report_new(line);
	report_compact(report);
	report_time(report, time, sizeof(time));
	report_text(report, "event", NULL, "%s", name);
	report_json(report, "device", device_to_json(dev));
	text = describe(report, event);
	report_status(report, value(event, "BPIO_STATUS"), status,
		      sizeof(status));
	node = device_node(dev);
	report_heading(report, "%s  %-7s  %s  %s%s", time, name, node, text,
		       status);
	free(node);
	free(text);
	report_finish(report, 0);
	return 1;
}

/* Flush the output: false when its reader is gone */
static bool flushed(void)
{
	if (!fflush(stdout) || errno != EPIPE)
		return !ferror(stdout);
	/* This is a normal end, so main() must not report an error. */
	__fpurge(stdout);
	clearerr(stdout);
	return false;
}

/* Prints and counts an event. Returns whether something was printed */
static bool receive_one(const struct command_line *line,
			struct udev_monitor *monitor, unsigned long *count)
{
	struct udev_device *event;

	errno = 0;
	event = udev_monitor_receive_device(monitor);
	if (event) {
		*count += print_event(line, event);
		udev_device_unref(event);
		return true;
	}
	if (errno != ENOBUFS)
		return false;
	print_lost(line, NULL);
	return true;
}

/* Prints the events that have arrived. Returns whether to continue */
static bool receive(const struct command_line *line,
		    struct udev_monitor *monitor, unsigned long *count)
{
	while (receive_one(line, monitor, count)) {
		if (!flushed())
			return false;
		if (line->count && *count >= line->count)
			return false;
	}
	return true;
}

static int watch(const struct command_line *line, struct udev_monitor *monitor)
{
	struct pollfd polled[] = {
		{ .fd = udev_monitor_get_fd(monitor), .events = POLLIN },
		{ .fd = signals_open(), .events = POLLIN },
		/* To notice when the reader of the output is gone */
		{ .fd = fileno(stdout) },
	};
	unsigned long count = 0;

	/* Reported as EPIPE instead. */
	signal(SIGPIPE, SIG_IGN);
	if (polled[1].fd < 0)
		return fail(line, STATUS_FAILURE, "cannot wait for signals: %s",
			    strerror(errno));
	for (;;) {
		if (poll(polled, ARRAY_SIZE(polled), -1) < 0 && errno != EINTR)
			return fail(line, STATUS_FAILURE,
				    "cannot wait for events: %s",
				    strerror(errno));
		if (polled[1].revents || polled[2].revents)
			return STATUS_OK;
		if (!receive(line, monitor, &count))
			return STATUS_OK;
	}
}

int verb_watch(const struct command_line *line)
{
	struct udev *udev = udev_new();
	struct udev_monitor *monitor = NULL;
	int ret;

	if (udev)
		monitor = udev_monitor_new_from_netlink(udev, "kernel");
	if (!monitor) {
		ret = fail(line, STATUS_FAILURE,
			   "cannot listen to the kernel's events: %s",
			   strerror(errno));
	} else {
		/* Requires CAP_NET_ADMIN; without it, smaller bursts are lost. */
		udev_monitor_set_receive_buffer_size(monitor, RECEIVE_BUFFER);
		udev_monitor_filter_add_match_subsystem_devtype(monitor, "bpio",
								NULL);
		ret = udev_monitor_enable_receiving(monitor);
		if (ret < 0)
			ret = fail(line, status_of_error(ret),
				   "cannot listen to the kernel's events: %s",
				   strerror(-ret));
		else
			ret = watch(line, monitor);
	}
	udev_monitor_unref(monitor);
	udev_unref(udev);
	return ret;
}
