// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The device below a mount, for file systems whose files show an anonymous
 * device number instead of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <libmount/libmount.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "internal.h"

static struct libmnt_fs *find_mount(struct libmnt_table *table, int id)
{
	struct libmnt_iter *iter = mnt_new_iter(MNT_ITER_FORWARD);
	struct libmnt_fs *fs = NULL;

	if (!iter)
		return NULL;
	while (!mnt_table_next_fs(table, iter, &fs) && mnt_fs_get_id(fs) != id)
		fs = NULL;
	mnt_free_iter(iter);
	return fs;
}

int bpio__mount_source(int fd, dev_t *dev, char *fstype, size_t fstype_size)
{
	struct libmnt_table *table;
	struct libmnt_fs *fs;
	struct statx stx;
	struct stat st;
	int ret = -ENOTTY;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &stx))
		return -errno;
	if (!(stx.stx_mask & STATX_MNT_ID))
		return -ENOTTY;
	table = mnt_new_table_from_file("/proc/self/mountinfo");
	if (!table)
		return -ENOMEM;
	fs = find_mount(table, stx.stx_mnt_id);
	if (fs && mnt_fs_get_srcpath(fs) &&
	    !stat(mnt_fs_get_srcpath(fs), &st) && S_ISBLK(st.st_mode)) {
		*dev = st.st_rdev;
		snprintf(fstype, fstype_size, "%s", mnt_fs_get_fstype(fs));
		ret = 0;
	}
	mnt_unref_table(table);
	return ret;
}
