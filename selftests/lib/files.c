// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "content.h"
#include "files.h"
#include "util.h"

#define CHUNK		(256 * 1024)
#define MAX_EXTENTS	4096

int file_open_direct(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);

	if (fd < 0) {
		diag("cannot open %s: %s", path, strerror(errno));
		return -errno;
	}
	return fd;
}

int file_write(int fd, uint64_t offset, uint64_t bytes, uint32_t file,
	       uint32_t generation)
{
	char *buffer = dio_alloc(CHUNK);
	int ret = 0;

	while (bytes && !ret) {
		size_t part = bytes < CHUNK ? bytes : CHUNK;
		ssize_t n;

		content_fill(buffer, part, file, offset, generation);
		n = pwrite(fd, buffer, part, offset);
		if (n != (ssize_t)part) {
			ret = n < 0 ? -errno : -EIO;
			diag("pwrite of %zu bytes at %llu: %zd, %s", part,
			     (unsigned long long)offset, n, strerror(-ret));
		}
		offset += part;
		bytes -= part;
	}
	free(buffer);
	return ret;
}

int file_create(const char *path, uint64_t bytes, uint32_t file)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	int ret;

	if (fd < 0) {
		diag("cannot create %s: %s", path, strerror(errno));
		return -errno;
	}
	ret = file_write(fd, 0, bytes, file, 1);
	if (!ret && fsync(fd)) {
		diag("fsync of %s: %s", path, strerror(errno));
		ret = -errno;
	}
	close(fd);
	return ret;
}

/* Write twice as many blocks, then remove every second one. */
int file_create_fragmented(const char *path, unsigned int blocks,
			   unsigned int block_size, uint32_t file)
{
	int ret = file_create(path, 2ull * blocks * block_size, file);
	int fd, block;

	if (ret)
		return ret;
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	for (block = 2 * blocks - 3; block > 0 && !ret; block -= 2)
		if (fallocate(fd, FALLOC_FL_COLLAPSE_RANGE,
			      (off_t)block * block_size, block_size)) {
			ret = -errno;
			diag("collapse range of %s: %s", path, strerror(-ret));
		}
	if (!ret && ftruncate(fd, (off_t)blocks * block_size))
		ret = -errno;
	if (!ret)
		ret = file_write(fd, 0, (uint64_t)blocks * block_size, file, 1);
	if (!ret && fsync(fd))
		ret = -errno;
	close(fd);
	return ret;
}

int file_create_interleaved(const char *path, unsigned int blocks,
			    unsigned int block_size, uint32_t file)
{
	int flags = O_WRONLY | O_CREAT | O_TRUNC | O_DIRECT | O_CLOEXEC;
	unsigned int block;
	char other[256];
	int fds[2], ret;

	snprintf(other, sizeof(other), "%s.other", path);
	fds[0] = open(path, flags, 0644);
	fds[1] = open(other, flags, 0644);
	ret = fds[0] < 0 || fds[1] < 0 ? -errno : 0;
	for (block = 0; !ret && block < blocks; block++)
		ret = file_write(fds[0], (uint64_t)block * block_size,
				 block_size, file, 1) ?:
		      file_write(fds[1], (uint64_t)block * block_size,
				 block_size, UINT32_MAX, 1);
	if (!ret && fsync(fds[0]))
		ret = -errno;
	if (ret)
		diag("cannot create %s: %s", path, strerror(-ret));
	close(fds[0]);
	close(fds[1]);
	return ret;
}

int file_extents(const char *path)
{
	struct fiemap *map;
	unsigned int i;
	int fd, ret;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	map = calloc(1, sizeof(*map) +
			MAX_EXTENTS * sizeof(struct fiemap_extent));
	if (!map)
		abort();
	map->fm_length = FIEMAP_MAX_OFFSET;
	map->fm_flags = FIEMAP_FLAG_SYNC;
	map->fm_extent_count = MAX_EXTENTS;
	ret = ioctl(fd, FS_IOC_FIEMAP, map) ? -errno : 0;
	if (ret)
		diag("FIEMAP of %s: %s", path, strerror(-ret));
	for (i = 0; ret >= 0 && i < map->fm_mapped_extents; i++)
		if (!(map->fm_extents[i].fe_flags &
		      (FIEMAP_EXTENT_UNWRITTEN | FIEMAP_EXTENT_DATA_INLINE)))
			ret++;
	free(map);
	close(fd);
	return ret;
}

int file_clone(const char *from, const char *to)
{
	int source = open(from, O_RDONLY | O_CLOEXEC);
	int target = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	int ret = ioctl(target, FICLONE, source) ? -errno : 0;

	if (ret)
		diag("cannot clone %s to %s: %s", from, to, strerror(-ret));
	close(source);
	close(target);
	return ret;
}

int file_dedupe(int from, int to, uint64_t bytes)
{
	struct {
		struct file_dedupe_range range;
		struct file_dedupe_range_info info;
	} same = {
		.range = { .src_length = bytes, .dest_count = 1 },
		.info = { .dest_fd = to },
	};

	if (ioctl(from, FIDEDUPERANGE, &same))
		return -errno;
	return same.info.status == FILE_DEDUPE_RANGE_SAME &&
	       same.info.bytes_deduped == bytes ? 0 : -EIO;
}
