// SPDX-License-Identifier: GPL-2.0-only
/*
 * The lines of /proc/self/mountinfo, read by libmount, as bpio and libbpio use
 * them.
 */
#include <fcntl.h>
#include <json-c/json.h>
#include <libmount/libmount.h>
#include <stdio.h>
#include <sys/stat.h>

#include "fuzz.h"

/* The mount that is looked for. */
#define MOUNT_ID	22

static struct libmnt_table *fake_table(const char *path);

/* libjson-c would be the one to crash. */
static struct json_object *checked_string(const char *text)
{
	touch(text);
	return NULL;
}

static int fake_statx(int fd, const char *path, int flags, unsigned int mask,
		      struct statx *out)
{
	out->stx_mask = STATX_MNT_ID;
	out->stx_mnt_id = MOUNT_ID;
	return 0;
}

#define json_object_new_string checked_string
#define mnt_new_table_from_file fake_table
#define statx(...)		fake_statx(__VA_ARGS__)
#define find_mount library_find_mount
#include "../libbpio/mount.c"
#undef find_mount
#undef statx
#include "../bpio/place.c"

static struct libmnt_table *fake_table(const char *path)
{
	struct libmnt_table *table = mnt_new_table();
	FILE *file = input.left ? fmemopen((void *)input.at, input.left, "r") :
				  NULL;

	if (!table)
		abort();
	if (!file)
		return table;
	mnt_table_parse_stream(table, file, path);
	fclose(file);
	return table;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct place place = { .is_root = true };
	char fstype[40];
	dev_t dev;

	input_begin(data, size);
	find_mount(&place, MOUNT_ID);
	place_free(&place);
	json_object_put(mounts_of(makedev(254, 0)));
	if (!bpio__mount_source(0, &dev, fstype, sizeof(fstype)))
		touch(fstype);
	return 0;
}
