// SPDX-License-Identifier: GPL-2.0-only
/*
 * See place.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <libdevmapper.h>
#include <libmount/libmount.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "bpio.h"
#include "cli.h"
#include "place.h"
#include "stack.h"

static struct libmnt_table *read_mounts(void)
{
	return mnt_new_table_from_file("/proc/self/mountinfo");
}

/* The block device of a mount; file systems like btrfs hide it in st_dev. */
static dev_t device_of_mount(struct libmnt_fs *fs)
{
	const char *source = mnt_fs_get_srcpath(fs);
	struct stat st;

	if (major(mnt_fs_get_devno(fs)))
		return mnt_fs_get_devno(fs);
	if (source && !stat(source, &st) && S_ISBLK(st.st_mode))
		return st.st_rdev;
	return 0;
}

static char *copy(const char *text)
{
	return text ? strdup(text) : NULL;
}

static void find_mount(struct place *place, int id)
{
	struct libmnt_iter *iter = mnt_new_iter(MNT_ITER_FORWARD);
	struct libmnt_table *table = read_mounts();
	struct libmnt_fs *fs;

	while (iter && table && !mnt_table_next_fs(table, iter, &fs)) {
		if (mnt_fs_get_id(fs) != id)
			continue;
		place->mount_point = copy(mnt_fs_get_target(fs));
		place->fstype = copy(mnt_fs_get_fstype(fs));
		place->source = copy(mnt_fs_get_source(fs));
		if (!place->dev)
			place->dev = device_of_mount(fs);
		/* A directory that is mounted elsewhere is no whole volume. */
		if (!mnt_fs_get_root(fs) || strcmp(mnt_fs_get_root(fs), "/"))
			place->is_root = false;
		break;
	}
	mnt_unref_table(table);
	mnt_free_iter(iter);
}

static bool find_node(const char *name, char *node, size_t size,
		      struct statx *stx)
{
	if (strchr(name, '/'))
		return false;
	snprintf(node, size, "%s/%s", dm_dir(), name);
	return !statx(AT_FDCWD, node, 0, STATX_BASIC_STATS, stx) &&
	       S_ISBLK(stx->stx_mode);
}

int place_find(const struct command_line *line, const char *path,
	       struct place *place)
{
	char node[PATH_MAX];
	struct statx stx;

	*place = (struct place) { 0 };
	if (statx(AT_FDCWD, path, 0, STATX_BASIC_STATS | STATX_MNT_ID, &stx)) {
		int error = -errno;

		if (error != -ENOENT ||
		    !find_node(path, node, sizeof(node), &stx))
			return fail(line, status_of_error(error),
				    "expected a file, directory, mount point or mapped device, but \"%s\" cannot be looked up: %s",
				    path, strerror(-error));
		path = node;
	}
	place->path = strdup(path);
	if (S_ISBLK(stx.stx_mode)) {
		place->is_device = true;
		place->dev = makedev(stx.stx_rdev_major, stx.stx_rdev_minor);
		return 0;
	}
	place->is_regular = S_ISREG(stx.stx_mode);
	place->is_root = S_ISDIR(stx.stx_mode) &&
			 (stx.stx_attributes & STATX_ATTR_MOUNT_ROOT);
	if (stx.stx_dev_major)
		place->dev = makedev(stx.stx_dev_major, stx.stx_dev_minor);
	if (stx.stx_mask & STATX_MNT_ID)
		find_mount(place, stx.stx_mnt_id);
	return 0;
}

void place_free(struct place *place)
{
	free(place->path);
	free(place->mount_point);
	free(place->fstype);
	free(place->source);
}

int place_is_no_volume(const struct command_line *line,
		       const struct place *place)
{
	struct stack stack;
	int status;

	if (!place->is_device)
		return fail(line, STATUS_NOT_A_VOLUME,
			    "\"%s\" is not on a bpio volume: it is on %s on %s; \"bpio list\" shows the volumes",
			    place->path, place->fstype ? place->fstype :
			    "a file system",
			    place->source ? place->source : "an unknown device");
	if (stack_walk(place->dev, &stack))
		return fail(line, STATUS_NOT_A_VOLUME,
			    "\"%s\" is not a bpio volume; \"bpio list\" shows the volumes",
			    place->path);
	status = fail(line, STATUS_NOT_A_VOLUME,
		      "\"%s\" is not a bpio volume: expected a mapped device with one bpio target, but it is a %s %s; \"bpio list\" shows the volumes",
		      place->path, stack.layers[0].type,
		      stack.layers[0].mapped ? "target" : "device");
	stack_free(&stack);
	return status;
}

int place_open_volume(const struct command_line *line,
		      const struct place *place)
{
	struct stack stack;
	bool other = false;
	char *node;
	int fd;

	/*
	 * A stock target passes foreign ioctls down, so that the device above a
	 * volume answers as if it were one. Its table tells.
	 */
	if (!stack_walk(place->dev, &stack)) {
		other = strcmp(stack.layers[0].type, "bpio");
		stack_free(&stack);
	}
	if (other || !place->dev)
		return -place_is_no_volume(line, place);
	fd = bpio_volume_open_dev(major(place->dev), minor(place->dev));
	if (fd >= 0)
		return fd;
	if (fd == -ENOTTY)
		return -place_is_no_volume(line, place);
	node = device_node(place->dev);
	if (status_of_error(fd) == STATUS_PERMISSION)
		fd = -fail(line, STATUS_PERMISSION,
			   "cannot open %s: %s; BypassIO takes read permission on the mapped device: use root or the group that owns it",
			   node, strerror(-fd));
	else if (fd == -EAGAIN)
		fd = -fail(line, STATUS_FAILURE,
			   "%s is suspended and answers no question; try again after \"dmsetup resume\"",
			   node);
	else
		fd = -fail(line, STATUS_FAILURE, "cannot open %s: %s", node,
			   strerror(-fd));
	free(node);
	return fd;
}

int ask_failed(const struct command_line *line, const struct place *place,
	       int error)
{
	if (error == -ENOTTY)
		return place_is_no_volume(line, place);
	return fail(line, status_of_error(error),
		    "cannot query BypassIO on \"%s\": %s", place->path,
		    strerror(-error));
}

int with_volume(const struct command_line *line,
		int (*act)(const struct command_line *line,
			   const struct place *place, int volume))
{
	struct place place;
	int status, volume;

	status = place_find(line, line->argv[0], &place);
	if (status)
		return status;
	volume = place_open_volume(line, &place);
	if (volume >= 0) {
		status = act(line, &place, volume);
		close(volume);
	} else {
		status = -volume;
	}
	place_free(&place);
	return status;
}

struct json_object *mounts_of(dev_t dev)
{
	struct json_object *list = json_object_new_array();
	struct libmnt_iter *iter = mnt_new_iter(MNT_ITER_FORWARD);
	struct libmnt_table *table = read_mounts();
	struct libmnt_fs *fs;

	while (iter && table && !mnt_table_next_fs(table, iter, &fs)) {
		struct json_object *mount;

		if (device_of_mount(fs) != dev)
			continue;
		mount = json_object_new_object();
		json_object_object_add(mount, "mount_point",
				       json_object_new_string(mnt_fs_get_target(fs)));
		json_object_object_add(mount, "filesystem",
				       json_object_new_string(mnt_fs_get_fstype(fs)));
		json_object_array_add(list, mount);
	}
	mnt_unref_table(table);
	mnt_free_iter(iter);
	return list;
}

char *mounts_join(struct json_object *mounts, const char *key)
{
	size_t i, size, count = json_object_array_length(mounts);
	char *joined = NULL;
	FILE *out = open_memstream(&joined, &size);

	if (!out)
		abort();
	for (i = 0; i < count; i++) {
		struct json_object *value;

		value = json_object_object_get(json_object_array_get_idx(mounts,
									 i),
					       key);
		fprintf(out, "%s%s", i ? "," : "",
			json_object_get_string(value));
	}
	if (!count)
		fputc('-', out);
	fclose(out);
	return joined;
}
