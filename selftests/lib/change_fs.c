// SPDX-License-Identifier: GPL-2.0-only
/* Changes that only one file system supports, or that need its tool. */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/fsverity.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <unistd.h>

#include "change.h"
#include "files.h"
#include "util.h"

#define BLOCK	4096

/* Copied from XFS, whose headers the C library does not have. */
struct xfs_time {
	int64_t		seconds;
	int32_t		nanoseconds;
	int32_t		pad;
};

struct xfs_stat {
	uint64_t	ino;
	uint16_t	mode;
	uint16_t	nlink;
	uint32_t	ids[3];
	int32_t		blksize;
	uint32_t	pad;
	int64_t		size;
	struct xfs_time	atime;
	struct xfs_time	mtime;
	struct xfs_time	ctime;
	uint64_t	rest[6];
};

struct xfs_swap {
	int64_t		version;
	int64_t		target;
	int64_t		donor;
	int64_t		offset;
	int64_t		length;
	char		pad[16];
	struct xfs_stat	stat;
};

struct xfs_exchange {
	int32_t		file1_fd;
	uint32_t	pad;
	uint64_t	file1_offset;
	uint64_t	file2_offset;
	uint64_t	length;
	uint64_t	flags;
};

#define XFS_SCRUB_REPAIR	(1 << 0)
#define XFS_SCRUB_FORCE_REBUILD	(1 << 8)

#define XFS_IOC_SWAPEXT		_IOWR('X', 109, struct xfs_swap)
#define XFS_IOC_EXCHANGE_RANGE	_IOW('X', 129, struct xfs_exchange)

/* Create another file with the content of @generation. */
static int make_other(struct change *c, uint32_t generation)
{
	int fd = open(c->other, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int ret = file_write(fd, 0, CHANGE_BYTES, CHANGE_FILE, generation);

	ret = ret ?: fsync(fd) ? -errno : 0;
	close(fd);
	return ret;
}

int change_clone_from(struct change *c)
{
	return file_clone(c->path, c->other);
}

int change_clone_over(struct change *c)
{
	int ret = make_other(c, c->readers.newest + 1);

	c->readers.newest++;
	ret = ret ?: file_clone(c->other, c->path);
	c->readers.oldest++;
	return ret;
}

/* The ioctl needs the file's times, and fails if they have changed meanwhile. */
static int swap_with(int fd, int donor)
{
	struct xfs_swap swap = {
		.target = fd, .donor = donor, .length = CHANGE_BYTES,
	};
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	swap.stat.mtime.seconds = st.st_mtim.tv_sec;
	swap.stat.mtime.nanoseconds = st.st_mtim.tv_nsec;
	swap.stat.ctime.seconds = st.st_ctim.tv_sec;
	swap.stat.ctime.nanoseconds = st.st_ctim.tv_nsec;
	return ioctl(fd, XFS_IOC_SWAPEXT, &swap) ? -errno : 0;
}

static int exchange_with(int fd, int donor)
{
	struct xfs_exchange range = {
		.file1_fd = donor, .length = CHANGE_BYTES,
	};

	return ioctl(fd, XFS_IOC_EXCHANGE_RANGE, &range) ? -errno : 0;
}

/* Write the next generation by moving the blocks of another file here. */
static int get_blocks(struct change *c, int (*get)(int fd, int donor))
{
	int ret = make_other(c, c->readers.newest + 1), fd, donor;

	fd = open(c->path, O_RDWR | O_CLOEXEC);
	donor = open(c->other, O_RDWR | O_CLOEXEC);
	c->readers.newest++;
	ret = ret ?: get(fd, donor);
	c->readers.oldest++;
	close(donor);
	/* overwrite the file's old blocks at once */
	ret = ret ?: file_create(c->other, 4 * CHANGE_BYTES, CHANGE_FILE + 1);
	return change_end_writer(c, fd, ret);
}

int change_swap_extents(struct change *c)
{
	int ret = get_blocks(c, swap_with);

	if (ret == -ENOTTY || ret == -EOPNOTSUPP)
		c->cannot = "this XFS does not swap extents";
	return ret;
}

int change_exchange(struct change *c)
{
	int ret = get_blocks(c, exchange_with);

	if (ret == -ENOTTY || ret == -EOPNOTSUPP)
		c->cannot = "this XFS does not exchange ranges";
	return ret;
}

int change_repair(struct change *c)
{
	struct xfs_scrub scrub = {
		.type = XFS_SCRUB_DATA_FORK,
		.flags = XFS_SCRUB_REPAIR | XFS_SCRUB_FORCE_REBUILD,
	};
	int fd = open(c->path, O_RDONLY | O_CLOEXEC);
	int ret = ioctl(fd, XFS_IOC_SCRUB_METADATA, &scrub) ? -errno : 0;

	close(fd);
	if (ret == -ENOTTY || ret == -EOPNOTSUPP)
		c->cannot = "the kernel repairs no XFS that is mounted";
	return ret;
}

void change_in_pieces(struct change *c)
{
	file_create_fragmented(c->path, CHANGE_BYTES / BLOCK, BLOCK,
			       CHANGE_FILE);
}

int change_defragment(struct change *c)
{
	bool xfs = !strcmp(volume_fs_type(), "xfs");
	const char *tool = xfs ? "xfs_fsr" : "e4defrag";
	int before = file_extents(c->path), after, ret;

	if (shell("command -v %s >/dev/null", tool)) {
		c->cannot = "the defragmenter is not installed";
		return 0;
	}
	ret = shell("timeout 60 %s -v %s", tool, c->path);
	after = file_extents(c->path);
	if (ret || before <= 1 || after >= before) {
		diag("%d pieces before, %d after", before, after);
		return -EIO;
	}
	return file_create(c->other, 4 * CHANGE_BYTES, CHANGE_FILE + 1);
}

int change_verity(struct change *c)
{
	struct fsverity_enable_arg arg = {
		.version = 1, .hash_algorithm = FS_VERITY_HASH_ALG_SHA256,
		.block_size = BLOCK,
	};
	int fd = open(c->path, O_RDONLY | O_CLOEXEC);
	int ret = ioctl(fd, FS_IOC_ENABLE_VERITY, &arg) ? -errno : 0;

	close(fd);
	if (ret == -EOPNOTSUPP || ret == -ENOTTY)
		c->cannot = "the kernel has no fs-verity";
	return ret;
}

/* mkswap overwrites the first page, so readers start behind it. */
void change_swap_header(struct change *c)
{
	c->readers.start = BLOCK;
	if (!chmod(c->path, 0600))
		shell("mkswap -q %s", c->path);
}

int change_swapon(struct change *c)
{
	int ret = swapon(c->path, 0) ? -errno : 0;

	if (ret == -ENOSYS)
		c->cannot = "the kernel cannot swap";
	if (ret)
		return ret;
	ret = change_wait_counted(c, BPIO_REASON_SWAP_FILE);
	return swapoff(c->path) ? -errno : ret;
}
