// SPDX-License-Identifier: GPL-2.0-only
/*
 * Opens the subject of a verb: the mapped device of a place, or, for queries, a file or
 * directory that the user may read.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "bpio.h"
#include "cli.h"
#include "mapped.h"
#include "mounted.h"
#include "place.h"
#include "stack.h"
#include "tables.h"

/* Prints why a volume could not be opened; returns minus the exit status */
static int open_failed(const struct command_line *line,
		       const struct place *place, int error, const char *takes)
{
	char *node;
	int status;

	error = mapped_error(place->dev, error);
	if (error == -ENOTTY)
		return -place_is_no_volume(line, place);
	node = device_node(place->dev);
	if (status_of_error(error) == STATUS_PERMISSION)
		status = fail(line, STATUS_PERMISSION,
			      "cannot open %s: %s; \"%s\" takes %s", node,
			      strerror(-error), line->verb->name, takes);
	else if (error == -EAGAIN)
		status = fail(line, STATUS_FAILURE,
			      "%s is suspended and cannot be queried; try again after \"dmsetup resume\"",
			      node);
	else if (error == -ENXIO)
		status = fail(line, STATUS_FAILURE,
			      "cannot open the mapped device %u:%u: expected a node for it in /dev, but there is none; \"dmsetup mknodes\" makes it",
			      major(place->dev), minor(place->dev));
	else
		status = fail(line, STATUS_FAILURE, "cannot open %s: %s", node,
			      strerror(-error));
	free(node);
	return -status;
}

int place_open_volume(const struct command_line *line,
		      const struct place *place)
{
	int fd;

	if (!place->dev)
		return -place_is_no_volume(line, place);
	fd = bpio_volume_open_dev(major(place->dev), minor(place->dev));
	if (fd >= 0)
		return fd;
	return open_failed(line, place, fd,
			   "permission on the mapped device: use root or the group that owns it");
}

/* A directory on the volume works as well as the mapped device. */
static int open_whole(const struct command_line *line,
		      const struct place *place)
{
	int fd, directory;

	fd = bpio_volume_open_dev(major(place->dev), minor(place->dev));
	if (fd >= 0)
		return fd;
	if (status_of_error(fd) == STATUS_PERMISSION && !place->is_hidden) {
		directory = mounted_open(place->dev);
		if (directory >= 0)
			return directory;
	}
	return open_failed(line, place, fd,
			   place->is_hidden ?
			   "read permission on it, because the file system hides it" :
			   "read permission on it, or on a directory where it is mounted");
}

static int open_file(const struct command_line *line, const struct place *place)
{
	int fd;

	fd = open(place->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd >= 0)
		return fd;
	return -fail(line, status_of_error(-errno),
		     "cannot open \"%s\": %s; \"%s\" takes permission to read it",
		     place->path, strerror(errno), line->verb->name);
}

/* Opens a descriptor to query @place with, or returns minus the exit status */
static int open_subject(const struct command_line *line,
			const struct place *place, bool whole)
{
	int fd;

	if (!place->dev)
		return -place_is_no_volume(line, place);
	if (whole || place->is_device || place_is_special(place))
		return open_whole(line, place);
	if (place->is_hidden) {
		fd = open_whole(line, place);
		if (fd < 0)
			return fd;
		close(fd);
	}
	return open_file(line, place);
}

int ask_failed(const struct command_line *line, const struct place *place,
	       int error)
{
	error = mapped_error(place->dev, error);
	if (error == -EAGAIN)
		return -open_failed(line, place, error, "");
	if (error == -ENOTTY)
		return place_is_no_volume(line, place);
	if (status_of_error(error) == STATUS_PERMISSION &&
	    access(BPIO_NODE, F_OK))
		return -open_failed(line, place, error,
				    "read permission on it, because there is no "
				    BPIO_NODE);
	return fail(line, status_of_error(error),
		    "cannot query BypassIO on \"%s\": %s", place->path,
		    strerror(-error));
}

static int with_place(const struct command_line *line, place_action *act,
		      int (*open_it)(const struct command_line *line,
				     const struct place *place))
{
	struct place place;
	int status, fd;

	status = place_find(line, line->argv[0], &place);
	if (status)
		return status;
	fd = open_it(line, &place);
	if (fd >= 0) {
		status = act(line, &place, fd);
		close(fd);
	} else {
		status = -fd;
	}
	place_free(&place);
	return status;
}

int with_volume(const struct command_line *line, place_action *act)
{
	return with_place(line, act, place_open_volume);
}

static int open_itself(const struct command_line *line,
		       const struct place *place)
{
	return open_subject(line, place, false);
}

int with_subject(const struct command_line *line, place_action *act)
{
	return with_place(line, act, open_itself);
}

static int open_its_volume(const struct command_line *line,
			   const struct place *place)
{
	return open_subject(line, place, true);
}

int with_whole(const struct command_line *line, place_action *act)
{
	return with_place(line, act, open_its_volume);
}
