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
		/* A bind mount of a directory does not stand for the whole volume. */
		if (!mnt_fs_get_root(fs) || strcmp(mnt_fs_get_root(fs), "/"))
			place->is_root = false;
		break;
	}
	mnt_unref_table(table);
	mnt_free_iter(iter);
}

/* The name of a mapped device, or VG/LV of a logical volume */
static bool find_node(const char *name, char *node, size_t size,
		      struct statx *stx)
{
	const char *slash = strchr(name, '/');

	if (slash && (slash == name || strchr(slash + 1, '/')))
		return false;
	snprintf(node, size, "%s/%s", slash ? "/dev" : dm_dir(), name);
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

		/* EACCES: the directory may not be searched, so try it as a name. */
		if ((error != -ENOENT && error != -EACCES) ||
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
	place->is_directory = S_ISDIR(stx.stx_mode);
	place->is_hidden = !stx.stx_dev_major;
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

bool place_is_special(const struct place *place)
{
	return !place->is_device && !place->is_regular && !place->is_directory;
}

size_t mounted_devices(dev_t **devices)
{
	struct libmnt_iter *iter = mnt_new_iter(MNT_ITER_FORWARD);
	struct libmnt_table *table = read_mounts();
	struct libmnt_fs *fs;
	size_t count = 0, i;

	*devices = NULL;
	while (iter && table && !mnt_table_next_fs(table, iter, &fs)) {
		dev_t dev = device_of_mount(fs);

		for (i = 0; i < count && (*devices)[i] != dev; i++)
			;
		if (!dev || i < count)
			continue;
		*devices = reallocarray(*devices, count + 1, sizeof(**devices));
		if (!*devices)
			abort();
		(*devices)[count++] = dev;
	}
	mnt_unref_table(table);
	mnt_free_iter(iter);
	return count;
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
