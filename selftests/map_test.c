// SPDX-License-Identifier: GPL-2.0-only
/*
 * Extent maps of all kinds of files, compared with their file system: reads of exactly
 * the blocks that hold data go direct, and return what the file system reads there.
 */
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>

#include "program.h"

#define KIB	1024
#define MIB	(1024 * KIB)

enum {
	LAYOUT_4K, LAYOUT_1K, LAYOUT_BIGALLOC, LAYOUT_EXT2, LAYOUT_XFS,
	LAYOUT_XFS_1K, LAYOUTS
};

static const struct layout layouts[LAYOUTS] = {
	[LAYOUT_4K] = { "map-4k", MKFS_EXT4, "ext4", 4096, 4096, true },
	[LAYOUT_1K] = { "map-1k", MKFS_EXT " -b 1024", "ext4", 1024, 1024, true },
	[LAYOUT_BIGALLOC] = {
		"map-big", MKFS_EXT4 " -O bigalloc -C 65536", "ext4", 4096,
		65536, true,
	},
	[LAYOUT_EXT2] = { "map-ext2", MKFS_EXT2, "ext2", 4096, 4096, false },
	[LAYOUT_XFS] = { "map-xfs", MKFS_XFS, "xfs", 4096, 4096, true },
	[LAYOUT_XFS_1K] = {
		"map-xfs-1k", MKFS_XFS " -b size=1024", "xfs", 1024, 1024, true,
	},
};

static struct volume volumes[LAYOUTS];

static int program_setup(void)
{
	return volumes_make(volumes, layouts, LAYOUTS, devices.nvme);
}

static int program_cleanup(void)
{
	return volumes_remove(volumes, LAYOUTS);
}

FIXTURE(map) {
	struct volume	*volume;
	unsigned int	block;
	bool		extents;
	char		path[192];
	int		fd;		/* enabled, by OPEN_FILES() */
	int		plain;		/* by the page cache */
	char		*ours;
	char		*theirs;
	uint64_t	bmap_steps;
};

FIXTURE_VARIANT(map) {
	int	layout;
};

FIXTURE_VARIANT_ADD(map, ext4_4k) {
	.layout = LAYOUT_4K,
};

FIXTURE_VARIANT_ADD(map, ext4_1k) {
	.layout = LAYOUT_1K,
};

FIXTURE_VARIANT_ADD(map, ext4_bigalloc) {
	.layout = LAYOUT_BIGALLOC,
};

FIXTURE_VARIANT_ADD(map, ext2) {
	.layout = LAYOUT_EXT2,
};

FIXTURE_VARIANT_ADD(map, xfs_4k) {
	.layout = LAYOUT_XFS,
};

FIXTURE_VARIANT_ADD(map, xfs_1k) {
	.layout = LAYOUT_XFS_1K,
};

static uint64_t bmap_steps(const struct volume *volume)
{
	struct fs_bpio_info info;

	return fs_info(volume->fd, &info) ? UINT64_MAX : info.bmap_steps;
}

FIXTURE_SETUP(map)
{
	self->volume = &volumes[variant->layout];
	self->block = layouts[variant->layout].block;
	self->extents = layouts[variant->layout].extents;
	snprintf(self->path, sizeof(self->path), "%s",
		 volume_path(self->volume, "file"));
	self->fd = -1;
	self->plain = -1;
	self->ours = dio_alloc(MIB);
	self->theirs = dio_alloc(MIB);
	self->bmap_steps = bmap_steps(self->volume);
}

FIXTURE_TEARDOWN(map)
{
	close(self->plain);
	close(self->fd);
	/* also the partners of interleaved and cloned files */
	EXPECT_EQ(0, shell("rm -f '%s' '%s'.*", self->path, self->path));
	EXPECT_EQ(0, active_count(self->volume->fd));
}

#define OPEN_FILES() do {						\
	self->plain = open(self->path, O_RDONLY | O_CLOEXEC);		\
	ASSERT_LE(0, self->plain);					\
	self->fd = file_open_direct(self->path);			\
	ASSERT_EQ(0, fs_enable(self->volume->fd, self->fd));		\
	ASSERT_EQ(0, file_armed(self->fd));				\
} while (0)

/* What FIEMAP says, asked in the middle of a walk from start to end. */
struct truth {
	struct {
		struct fiemap		head;
		struct fiemap_extent	extents[256];
	}		answer;
	unsigned int	next;
};

/* Return: whether the block at @pos, of walks in ascending order, holds data. */
static int holds_data(struct truth *truth, int fd, uint64_t pos)
{
	struct fiemap *head = &truth->answer.head;
	struct fiemap_extent *extent;

	for (;; truth->next++) {
		if (truth->next == head->fm_mapped_extents) {
			*head = (struct fiemap) {
				.fm_start = pos, .fm_length = FIEMAP_MAX_OFFSET - pos,
				.fm_flags = FIEMAP_FLAG_SYNC,
				.fm_extent_count = ARRAY_SIZE(truth->answer.extents),
			};
			if (ioctl(fd, FS_IOC_FIEMAP, head))
				return -errno;
			truth->next = 0;
			if (!head->fm_mapped_extents)
				return 0;
		}
		extent = &truth->answer.extents[truth->next];
		if (pos < extent->fe_logical + extent->fe_length)
			break;
	}
	return pos >= extent->fe_logical &&
	       !(extent->fe_flags & (FIEMAP_EXTENT_UNWRITTEN |
				     FIEMAP_EXTENT_DATA_INLINE));
}

/* Return: extents of data that do not continue one another; a negative errno. */
static int count_pieces(int fd)
{
	struct truth truth = {};
	uint64_t offset = 0, end = 0, physical = 0;
	struct fiemap_extent *extent;
	int ret = 0, holds;

	for (;;) {
		holds = holds_data(&truth, fd, offset);
		if (holds < 0)
			return holds;
		if (!truth.answer.head.fm_mapped_extents)
			return ret;
		extent = &truth.answer.extents[truth.next];
		offset = extent->fe_logical + extent->fe_length;
		if (extent->fe_flags & (FIEMAP_EXTENT_UNWRITTEN |
					FIEMAP_EXTENT_DATA_INLINE))
			continue;
		if (!ret || extent->fe_logical != end ||
		    extent->fe_physical != physical)
			ret++;
		end = offset;
		physical = extent->fe_physical + extent->fe_length;
	}
}

/*
 * Read the file block by block, by both descriptors: the bytes are the same, and
 * those reads went direct that FIEMAP names as data, and no others.
 */
static void compare(struct __test_metadata *_metadata, FIXTURE_DATA(map) *self)
{
	uint64_t size = lseek(self->plain, 0, SEEK_END), pos, data = 0;
	uint64_t direct = file_direct(self->fd);
	struct truth truth = {};
	int holds, wrong = 0;

	for (pos = 0; pos < size && wrong < 3; pos += self->block) {
		memset(self->ours, 0xa5, self->block);
		ASSERT_EQ(self->block, pread(self->fd, self->ours, self->block,
					     pos));
		ASSERT_EQ(self->block, pread(self->plain, self->theirs,
					     self->block, pos));
		holds = holds_data(&truth, self->plain, pos);
		ASSERT_LE(0, holds);
		data += holds;
		if (memcmp(self->ours, self->theirs, self->block) ||
		    file_direct(self->fd) != direct + data) {
			TH_LOG("block at %llu: %s, %s", (unsigned long long)pos,
			       holds ? "data" : "none",
			       memcmp(self->ours, self->theirs, self->block) ?
			       "other bytes" : "the other way");
			data = file_direct(self->fd) - direct;
			wrong++;
		}
	}
	EXPECT_EQ(0, wrong);
	EXPECT_EQ(self->bmap_steps, bmap_steps(self->volume));
}

#define COMPARE() compare(_metadata, self)

TEST_F(map, a_file_in_one_piece)
{
	struct bpio_file_info info;

	ASSERT_EQ(0, file_create(self->path, 2 * MIB, 1));
	OPEN_FILES();
	COMPARE();
	ASSERT_EQ(0, file_info(self->fd, &info));
	EXPECT_EQ(2u * MIB, info.mapped_bytes);
	EXPECT_EQ(0u, info.fallback_reads);
}

TEST_F(map, files_of_one_block_and_of_none)
{
	ASSERT_EQ(0, file_create(self->path, self->block, 1));
	OPEN_FILES();
	COMPARE();
	EXPECT_EQ(1u, file_direct(self->fd));
	close(self->plain);
	close(self->fd);
	ASSERT_EQ(0, file_create(self->path, 0, 1));
	OPEN_FILES();
	EXPECT_EQ(0, pread(self->fd, self->ours, 4096, 0));
	EXPECT_EQ(0u, file_direct(self->fd));
}

TEST_F(map, a_file_in_many_pieces)
{
	unsigned int bytes = layouts[variant->layout].piece;
	struct bpio_file_info info;
	int ret;

	ret = self->extents ?
	      file_create_fragmented(self->path, 300, bytes, 1) :
	      file_create_interleaved(self->path, 300, bytes, 1);
	ASSERT_EQ(0, ret);
	OPEN_FILES();
	COMPARE();
	ASSERT_EQ(0, file_info(self->fd, &info));
	EXPECT_EQ(300u * bytes, info.mapped_bytes);
	EXPECT_EQ(count_pieces(self->plain), (int)info.extents);
	EXPECT_EQ(0u, info.fallback_reads);
}

TEST_F(map, holes_at_the_start_in_the_middle_and_at_the_end)
{
	int fd = open(self->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	ASSERT_EQ(0, file_write(fd, 128 * KIB, 64 * KIB, 1, 1));
	ASSERT_EQ(0, file_write(fd, 512 * KIB, 4 * KIB, 1, 1));
	ASSERT_EQ(0, ftruncate(fd, MIB));
	ASSERT_EQ(0, fsync(fd));
	close(fd);
	OPEN_FILES();
	COMPARE();
	EXPECT_LT(0u, file_direct(self->fd));
	EXPECT_LT(0u, file_fallbacks(self->fd, BPIO_REASON_UNMAPPED));
}

TEST_F(map, blocks_that_were_allocated_and_never_written)
{
	int fd;

	if (!self->extents)
		SKIP(return, "it has none");
	fd = open(self->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ASSERT_EQ(0, fallocate(fd, 0, 0, MIB));
	ASSERT_EQ(0, file_write(fd, 256 * KIB, 64 * KIB, 1, 1));
	ASSERT_EQ(0, fsync(fd));
	close(fd);
	/* pages of zeroes in the cache do not make them data */
	self->plain = open(self->path, O_RDONLY | O_CLOEXEC);
	ASSERT_EQ(MIB, pread(self->plain, self->theirs, MIB, 0));
	close(self->plain);
	OPEN_FILES();
	COMPARE();
	EXPECT_EQ(64 * KIB / self->block, file_direct(self->fd));
}

TEST_F(map, a_file_of_which_nothing_was_written)
{
	int fd;

	if (!self->extents)
		SKIP(return, "it has no such blocks");
	fd = open(self->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ASSERT_EQ(0, fallocate(fd, 0, 0, 256 * KIB));
	ASSERT_EQ(0, fsync(fd));
	close(fd);
	OPEN_FILES();
	COMPARE();
	EXPECT_EQ(0u, file_direct(self->fd));
}

TEST_F(map, holes_that_were_punched)
{
	int fd, i;

	ASSERT_EQ(0, file_create(self->path, MIB, 1));
	fd = open(self->path, O_RDWR | O_CLOEXEC);
	for (i = 0; i < 8; i++)
		ASSERT_EQ(0, fallocate(fd, FALLOC_FL_PUNCH_HOLE |
				       FALLOC_FL_KEEP_SIZE,
				       i * 128 * KIB, 64 * KIB));
	ASSERT_EQ(0, fsync(fd));
	close(fd);
	OPEN_FILES();
	COMPARE();
	EXPECT_EQ(512 * KIB / self->block, file_direct(self->fd));
}

TEST_F(map, a_file_that_shares_its_blocks_with_another)
{
	char other[200];
	int fd;

	if (strcmp(layouts[variant->layout].type, "xfs"))
		SKIP(return, "no two files of it share blocks");
	snprintf(other, sizeof(other), "%s.clone", self->path);
	ASSERT_EQ(0, file_create(self->path, MIB, 1));
	ASSERT_EQ(0, file_clone(self->path, other));
	/* a write to the clone goes to new blocks */
	fd = open(other, O_WRONLY | O_CLOEXEC);
	ASSERT_EQ(0, file_write(fd, 128 * KIB, 256 * KIB, 2, 1));
	ASSERT_EQ(0, fsync(fd));
	close(fd);
	OPEN_FILES();
	COMPARE();
	EXPECT_EQ(MIB / self->block, file_direct(self->fd));
	EXPECT_EQ(0, content_is(self->ours, self->block, MIB - self->block, 1, 1));
}

/* Reads go direct again once the map has been made anew. */
TEST_F(map, a_file_whose_pieces_moved_after_it_was_mapped)
{
	int fd;

	ASSERT_EQ(0, file_create(self->path, MIB, 1));
	OPEN_FILES();
	fd = open(self->path, O_RDWR | O_CLOEXEC);
	ASSERT_EQ(0, fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			       0, 512 * KIB));
	ASSERT_EQ(0, file_create(volume_path(self->volume, "file.filler"),
				 MIB, 3));
	ASSERT_EQ(0, file_write(fd, 64 * KIB, 128 * KIB, 1, 2));
	ASSERT_EQ(0, fsync(fd));
	close(fd);
	ASSERT_EQ(0, file_armed(self->fd));
	COMPARE();
}

/* Somebody who freezes a file system and thaws it, in a thread. */
struct freezer {
	_Atomic bool	stop;
	int		fd;		/* a file of it */
	atomic_uint	freezes;
	atomic_int	result;
};

static void *freeze_and_thaw(void *argument)
{
	struct freezer *freezer = argument;

	while (!freezer->stop && !freezer->result) {
		if (ioctl(freezer->fd, FIFREEZE, 0)) {
			freezer->result = -errno;
			break;
		}
		freezer->freezes++;
		usleep(5000);
		if (ioctl(freezer->fd, FITHAW, 0))
			freezer->result = -errno;
		usleep(1000);
	}
	return NULL;
}

TEST_F(map, a_file_that_is_mapped_while_its_file_system_is_frozen_and_thawed)
{
	uint64_t deadline = now_ms() + DEADLINE_MS;
	struct freezer freezer = {};
	pthread_t thread;

	ASSERT_LE(0, file_create_interleaved(self->path, 40, self->block, 1));
	OPEN_FILES();
	freezer.fd = self->plain;
	ASSERT_EQ(0, pthread_create(&thread, NULL, freeze_and_thaw, &freezer));
	while (freezer.freezes < 10 && !freezer.result && now_ms() < deadline) {
		/* a writer that comes and goes: mapped again */
		int fd = open(self->path, O_RDWR | O_CLOEXEC);

		EXPECT_LE(0, fd);
		close(fd);
		EXPECT_EQ(0, file_armed(self->fd));
	}
	freezer.stop = true;
	pthread_join(thread, NULL);
	EXPECT_EQ(0, freezer.result);
	EXPECT_LE(10, freezer.freezes);
	COMPARE();
}

/*
 * More pieces than are mapped at once, of three blocks each, which is more than the
 * length at which bmap() is cheaper.
 */
enum { PIECES = 9000, STRIDE = 6, LENGTH = 3 };

static int create_huge(FIXTURE_DATA(map) *self)
{
	int fd = open(self->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	uint64_t stride = STRIDE * self->block;
	int ret = 0, i;

	for (i = 0; !ret && i < PIECES; i++)
		ret = file_write(fd, i * stride, LENGTH * self->block, 1, 1);
	ret = ret ?: ftruncate(fd, PIECES * stride) ?: fsync(fd);
	close(fd);
	return ret;
}

/* Return: how many of 200 reads of pieces, all over the file, went direct. */
static unsigned int read_at_random(struct __test_metadata *_metadata,
				   FIXTURE_DATA(map) *self, unsigned int *seed)
{
	uint64_t before = file_direct(self->fd), pos;
	unsigned int i;

	for (i = 0; i < 200; i++) {
		*seed = *seed * 1103515245 + 12345;
		pos = (*seed >> 8) % PIECES * STRIDE * self->block;
		EXPECT_EQ(LENGTH * self->block,
			  pread(self->fd, self->ours, LENGTH * self->block, pos));
		EXPECT_EQ(0, content_is(self->ours, LENGTH * self->block, pos,
					1, 1));
	}
	return file_direct(self->fd) - before;
}

TEST_F(map, a_file_of_more_pieces_than_are_mapped_at_once)
{
	uint64_t deadline = now_ms() + 60000, mapped = 0;
	struct bpio_file_info info;
	unsigned int seed = 1, direct;

	if (self->block > 1024)
		SKIP(return, "once is enough for each file system");
	ASSERT_EQ(0, create_huge(self));
	OPEN_FILES();
	ASSERT_EQ(0, file_info(self->fd, &info));
	EXPECT_GT(count_pieces(self->plain), (int)info.extents);
	/*
	 * What is mapped grows as it is read, until all of it is. How long that takes
	 * is up to the machine, but each minute it grows.
	 */
	do {
		direct = read_at_random(_metadata, self, &seed);
		ASSERT_EQ(0, file_info(self->fd, &info));
		if (info.extents > mapped)
			deadline = now_ms() + 60000;
		mapped = info.extents;
	} while (direct < 200 && poll_again(deadline));
	EXPECT_EQ(200u, direct);
	EXPECT_EQ(count_pieces(self->plain), (int)info.extents);
	EXPECT_EQ(self->bmap_steps, bmap_steps(self->volume));
}

/* Nothing is to be done for what lies between. */
TEST_F(map, a_file_of_many_terabytes_of_which_a_little_was_written)
{
	uint64_t far = strcmp(layouts[variant->layout].type, "xfs") ?
		       3ULL << 40 : INT64_MAX / 2 - MIB + 1;
	uint64_t begun;
	int fd;

	if (!self->extents)
		SKIP(return, "its files are too short");
	fd = open(self->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ASSERT_EQ(0, file_write(fd, 0, 64 * KIB, 1, 1));
	ASSERT_EQ(0, file_write(fd, far, 64 * KIB, 1, 1));
	ASSERT_EQ(0, fsync(fd));
	close(fd);
	begun = now_ms();
	OPEN_FILES();
	EXPECT_EQ(0, file_wait_direct(self->fd, self->ours, 64 * KIB, 0));
	EXPECT_EQ(0, content_is(self->ours, 64 * KIB, 0, 1, 1));
	EXPECT_EQ(0, file_wait_direct(self->fd, self->ours, 64 * KIB, far));
	EXPECT_EQ(0, content_is(self->ours, 64 * KIB, far, 1, 1));
	EXPECT_GT(10000u, now_ms() - begun);
	EXPECT_EQ(self->bmap_steps, bmap_steps(self->volume));
}

PROGRAM_MAIN
