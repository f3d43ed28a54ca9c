// SPDX-License-Identifier: GPL-2.0-only
/*
 * See adopted.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "adopted.h"
#include "counterpart.h"

#define RUN_DIR	"/run/bpio"
#define RECORDS	RUN_DIR "/adopted"

static bool is_lvm(const struct mapped *mapped)
{
	return !strncmp(mapped->uuid, "LVM-", 4);
}

/* Named by diskseq, which is unique until the next boot; false without one */
static bool record_path(const struct mapped *mapped, char *path, size_t size)
{
	unsigned long long sequence;
	char attribute[64];
	FILE *file;
	bool got;

	snprintf(attribute, sizeof(attribute), "/sys/dev/block/%u:%u/diskseq",
		 major(mapped->dev), minor(mapped->dev));
	file = fopen(attribute, "re");
	if (!file)
		return false;
	got = fscanf(file, "%llu", &sequence) == 1;
	fclose(file);
	snprintf(path, size, RECORDS "/%llu", sequence);
	return got;
}

bool adopted_is(const struct mapped *mapped)
{
	char path[64];

	if (!counterpart_is_volume(&mapped->table))
		return false;
	return is_lvm(mapped) || (record_path(mapped, path, sizeof(path)) &&
				  !access(path, F_OK));
}

static int make_dir(const char *path)
{
	return mkdir(path, 0755) && errno != EEXIST ? -errno : 0;
}

int adopted_record(const struct mapped *mapped)
{
	char path[64];
	int fd, ret;

	if (is_lvm(mapped))
		return 0;
	if (!record_path(mapped, path, sizeof(path)))
		return -ENXIO;
	ret = make_dir(RUN_DIR);
	if (!ret)
		ret = make_dir(RECORDS);
	if (ret)
		return ret;
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

void adopted_forget(const struct mapped *mapped)
{
	char path[64];

	if (!is_lvm(mapped) && record_path(mapped, path, sizeof(path)))
		unlink(path);
}

int adopted_lock(void)
{
	int fd, ret = make_dir(RUN_DIR);

	if (ret)
		return ret;
	fd = open(RUN_DIR "/lock", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (!flock(fd, LOCK_EX))
		return fd;
	ret = -errno;
	close(fd);
	return ret;
}
