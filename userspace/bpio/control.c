// SPDX-License-Identifier: GPL-2.0-only
/*
 * bpio pause PATH, resume PATH, enable DEVICE, disable DEVICE
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bpio.h"
#include "cli.h"
#include "handlers.h"
#include "layers.h"
#include "mapped.h"
#include "place.h"
#include "tables.h"
#include "verdict.h"

typedef int (*volume_operation)(int volume, struct bpio_verdict *verdict);

/*
 * Write permission on the device is enough, without root. The device is opened for
 * writing only if necessary, because udev probes it again when it is closed.
 */
static int do_privileged(int volume, volume_operation operation,
			 struct bpio_verdict *verdict)
{
	char path[64];
	int writable, ret;

	ret = operation(volume, verdict);
	if (ret != -EPERM)
		return ret;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", volume);
	writable = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (writable < 0)
		return -EPERM;
	ret = operation(writable, verdict);
	close(writable);
	return ret;
}

static int failed(const struct command_line *line, const struct place *place,
		  int error)
{
	char *node;
	int status;

	error = mapped_error(place->dev, error);
	if (error == -ENOTTY)
		return place_is_no_volume(line, place);
	node = device_node(place->dev);
	if (error == -EPERM)
		status = fail(line, STATUS_PERMISSION,
			      "cannot %s \"%s\": %s; it requires write permission on %s: use root or the group that owns it",
			      line->verb->name, place->path, strerror(-error),
			      node);
	else if (error == -EAGAIN)
		status = fail(line, STATUS_FAILURE,
			      "cannot %s \"%s\": %s is suspended; try again after \"dmsetup resume\"",
			      line->verb->name, place->path, node);
	else
		status = fail(line, status_of_error(error),
			      "cannot %s \"%s\": %s", line->verb->name,
			      place->path, strerror(-error));
	free(node);
	return status;
}

/* Whether the path unambiguously stands for a whole volume */
static bool is_volume(const struct place *place)
{
	return place->is_device || place->is_root;
}

/* A directory could stand for the files in it or for the volume. */
static int ambiguous(const struct command_line *line,
		     const struct place *place, const char *expected)
{
	char *node = device_node(place->dev);
	int status;

	status = fail(line, STATUS_USAGE,
		      "expected %s, but \"%s\" is %s; the volume it is on is %s%s%s",
		      expected, place->path,
		      place->is_regular ? "a regular file" :
		      "a directory or a special file",
		      node, place->mount_point ? ", mounted on " : "",
		      place->mount_point ? place->mount_point : "");
	free(node);
	return status;
}

static struct report *begin(const struct command_line *line,
			    const struct place *place)
{
	struct report *report = report_new(line);

	report_text(report, "path", NULL, "%s", place->path);
	report_json(report, "volume", device_to_json(place->dev));
	report_text(report, "scope", NULL, "%s",
		    is_volume(place) ? "volume" : "file");
	return report;
}

static int finish_paused(const struct command_line *line,
			 const struct place *place)
{
	struct report *report = begin(line, place);

	report_heading(report, "BypassIo on %s \"%s\" is paused.",
		       is_volume(place) ? "the volume of" : "the file",
		       place->path);
	return report_finish(report, STATUS_OK);
}

static int finish_verdict(const struct command_line *line,
			  const struct place *place, const char *what,
			  const struct bpio_verdict *verdict)
{
	struct layers layers = { .verdict = *verdict };
	struct report *report = begin(line, place);

	report_heading(report, "BypassIo on %s \"%s\" is %s and %s.",
		       is_volume(place) ? "the volume of" : "the file",
		       place->path, what, verdict_phrase(verdict));
	verdict_report(report, &layers);
	return report_finish(report, STATUS_OK);
}

static int control_file(const struct place *place, bool resume,
			struct bpio_verdict *verdict)
{
	int fd, ret;

	fd = open(place->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return -errno;
	ret = resume ? bpio_resume(fd, verdict) : bpio_pause(fd, verdict);
	close(fd);
	return ret;
}

/* Of a volume or a file: 0, or the exit status after an error was printed */
static int pause_or_resume(const struct command_line *line,
			   const struct place *place, int volume, bool resume,
			   struct bpio_verdict *verdict)
{
	int ret;

	if (is_volume(place))
		ret = do_privileged(volume, resume ? bpio_volume_resume :
				    bpio_volume_pause, verdict);
	else if (place->is_regular)
		ret = control_file(place, resume, verdict);
	else
		return ambiguous(line, place,
				 "a regular file, a mapped device or a mount point");
	return ret ? failed(line, place, ret) : 0;
}

static int act_pause(const struct command_line *line,
		     const struct place *place, int volume)
{
	struct bpio_verdict verdict = BPIO_VERDICT_INIT;
	int ret = pause_or_resume(line, place, volume, false, &verdict);

	if (ret)
		return ret;
	if (!is_volume(place) &&
	    !(verdict.out_flags & FS_BPIO_OUTFL_STREAM_BYPASS_PAUSED))
		return fail(line, STATUS_FAILURE,
			    "nothing was paused: no program has BypassIO enabled for \"%s\"; to keep it from being enabled pause the volume, mounted on %s",
			    place->path,
			    place->mount_point ? place->mount_point : "?");
	return finish_paused(line, place);
}

static int act_resume(const struct command_line *line,
		      const struct place *place, int volume)
{
	struct bpio_verdict verdict = BPIO_VERDICT_INIT;
	int ret = pause_or_resume(line, place, volume, true, &verdict);

	return ret ? ret : finish_verdict(line, place, "resumed", &verdict);
}

static int act_enable(const struct command_line *line,
		      const struct place *place, int volume)
{
	struct bpio_verdict verdict = BPIO_VERDICT_INIT;
	int ret;

	if (!is_volume(place))
		return ambiguous(line, place,
				 "a mapped device or a mount point");
	ret = do_privileged(volume, bpio_volume_enable, &verdict);
	if (ret)
		return failed(line, place, ret);
	return finish_verdict(line, place, "enabled for all reads", &verdict);
}

static int disable(int volume, struct bpio_verdict *verdict)
{
	(void)verdict;
	return bpio_volume_disable(volume);
}

static int act_disable(const struct command_line *line,
		       const struct place *place, int volume)
{
	struct report *report;
	int ret;

	if (!is_volume(place))
		return ambiguous(line, place,
				 "a mapped device or a mount point");
	ret = do_privileged(volume, disable, NULL);
	if (ret)
		return failed(line, place, ret);
	report = begin(line, place);
	report_heading(report,
		       "BypassIo on the volume of \"%s\" is for files only.",
		       place->path);
	return report_finish(report, STATUS_OK);
}

int verb_pause(const struct command_line *line)
{
	return with_volume(line, act_pause);
}

int verb_resume(const struct command_line *line)
{
	return with_volume(line, act_resume);
}

int verb_enable(const struct command_line *line)
{
	return with_volume(line, act_enable);
}

int verb_disable(const struct command_line *line)
{
	return with_volume(line, act_disable);
}
