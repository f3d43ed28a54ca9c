// SPDX-License-Identifier: GPL-2.0-only
/*
 * Blocks of a file are freed while it is read by file bypass, and reused by another
 * file at once. No read may return the other file's bytes.
 *
 * ext4 has no journal here, because with a journal freed blocks are not reused before
 * the next commit; XFS commits when it needs them. The file system is almost full, so
 * that the freed blocks are the only ones available.
 */
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/ioctl.h>

#include "mapper.h"
#include "program.h"
#include "readers.h"

#define KIB	1024
#define MIB	(1024 * KIB)
#define BYTES	(4 * MIB)
#define VICTIM	1
#define THIEF	2
#define FS	MIB_SECTORS(XFS_MIB)
/* Where the two file systems begin on the device, in sectors. */
#define FAST	2048
#define SLOW	MIB_SECTORS(512)
/* How long a read takes on the slow one. */
#define DELAY_MS 1500

/* A file system with the three files of the story. */
struct scene {
	struct volume	volume;
	uint64_t	start;		/* on the device, in sectors */
	char		victim[96];
	char		thief[96];
};

static struct scene fast = { .start = FAST }, slow = { .start = SLOW };

static int scene_create(struct scene *scene, const char *name,
			const char *device, uint64_t start)
{
	int ret = volume_fs(&scene->volume, name, device, start, FS,
			    " -O ^has_journal",
			    " -m finobt=0,rmapbt=0,reflink=0");

	snprintf(scene->victim, sizeof(scene->victim), "%s",
		 volume_path(&scene->volume, "victim"));
	snprintf(scene->thief, sizeof(scene->thief), "%s",
		 volume_path(&scene->volume, "thief"));
	return ret;
}

/* Reads of the layer under the slow scene take @delay_ms. */
static int slow_layer(bool create, unsigned int delay_ms)
{
	return dm_slow_reads("theft-below", devices.nvme, SLOW, FS, delay_ms,
			     create);
}

static int program_setup(void)
{
	return scene_create(&fast, "theft", devices.nvme, FAST) ?:
	       slow_layer(true, 0) ?:
	       scene_create(&slow, "theft-slow",
			    "/dev/mapper/" DM_PREFIX "theft-below", 0);
}

static int program_cleanup(void)
{
	return volume_remove(&fast.volume) | volume_remove(&slow.volume) |
	       dm_remove("theft-below");
}

/* Where a file's first block is on the device, in bytes. */
static int first_block(struct scene *scene, uint64_t *where)
{
	struct {
		struct fiemap map;
		struct fiemap_extent extent;
	} query = {
		.map.fm_length = FIEMAP_MAX_OFFSET,
		.map.fm_flags = FIEMAP_FLAG_SYNC,
		.map.fm_extent_count = 1,
	};
	int fd = open(scene->victim, O_RDONLY | O_CLOEXEC);
	int ret = ioctl(fd, FS_IOC_FIEMAP, &query) ? -errno : 0;

	close(fd);
	*where = scene->start * 512 + query.extent.fe_physical;
	return ret ?: query.map.fm_mapped_extents == 1 ? 0 : -ENODATA;
}

/* Whether the thief's bytes stand at @where on the device. */
static bool stolen(uint64_t where)
{
	uint32_t *sector = dio_alloc(512);
	int fd = open(devices.nvme, O_RDONLY | O_DIRECT | O_CLOEXEC);
	bool thief = pread(fd, sector, 512, where) == 512 &&
		     sector[1] == THIEF;

	close(fd);
	free(sector);
	return thief;
}

/*
 * Take the blocks that the victim just gave up, with direct writes, so that the
 * thief's bytes are on the device when this returns.
 */
static int steal(struct scene *scene)
{
	int fd = open(scene->thief, O_WRONLY | O_CREAT | O_TRUNC | O_DIRECT |
		      O_CLOEXEC, 0600);
	int ret;

	if (fd < 0)
		return -errno;
	ret = file_write(fd, 0, BYTES, THIEF, 1);
	close(fd);
	return ret;
}

/* Ways to take blocks from the victim. */
static int by_open_with_o_trunc(struct scene *scene)
{
	int fd = open(scene->victim, O_RDONLY | O_TRUNC | O_CLOEXEC);

	return fd < 0 ? -errno : close(fd);
}

static int by_truncate(struct scene *scene)
{
	return truncate(scene->victim, 0) ? -errno : 0;
}

static int by_fallocate(struct scene *scene, int mode, off_t offset,
			off_t length)
{
	int fd = open(scene->victim, O_RDWR | O_CLOEXEC);
	int ret = fallocate(fd, mode, offset, length) ? -errno : 0;

	close(fd);
	return ret;
}

static int by_punching_a_hole(struct scene *scene)
{
	return by_fallocate(scene, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			    0, BYTES);
}

static int by_collapsing_a_range(struct scene *scene)
{
	return by_fallocate(scene, FALLOC_FL_COLLAPSE_RANGE, 0, BYTES - 4096);
}

/* So that what a collapsed range brings to the front is zeroes. */
static int punch_tail(struct scene *scene)
{
	return by_fallocate(scene, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			    BYTES - 4096, 4096);
}

/* Defragmentation: the blocks go to a donor, which is deleted. */
static int by_moving_extents(struct scene *scene)
{
	struct move_extent move = { .len = BYTES / 4096 };
	int fd = open(scene->victim, O_RDWR | O_CLOEXEC), donor, ret;

	donor = open(scene->thief, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	move.donor_fd = donor;
	ret = fallocate(donor, 0, 0, BYTES) ? -errno : 0;
	ret = ret ?: ioctl(fd, EXT4_IOC_MOVE_EXT, &move) ? -errno : 0;
	if (!ret && move.moved_len != move.len)
		ret = -EIO;
	close(fd);
	close(donor);
	return ret ?: unlink(scene->thief);
}

/* A thread that maps the victim again all the time. */
struct mapper {
	_Atomic bool	stop;
	_Atomic unsigned int maps;
	int		fd;
	pthread_t	thread;
};

static void *map_again_and_again(void *argument)
{
	struct mapper *mapper = argument;
	struct bpio_file_arm arm;

	while (!mapper->stop) {
		close(open(fast.victim, O_WRONLY | O_CLOEXEC));
		if (!file_arm(mapper->fd, &arm) && arm.armed)
			mapper->maps++;
	}
	return NULL;
}

FIXTURE(theft) {
	struct scene	*scene;		/* set by begin() */
	int		fd;
	/* these outlive a test that is given up */
	struct readers	readers;
	struct mapper	mapper;
};

FIXTURE_VARIANT(theft) {
	int	(*take)(struct scene *scene);
	bool	keeps;		/* the victim keeps its content, elsewhere */
};

/* What EXT4_IOC_MOVE_EXT does is another ioctl elsewhere: see xfs_test.c. */
#define SKIP_UNLESS_KNOWN() do {					\
	if (variant->take == by_moving_extents &&			\
	    strcmp(volume_fs_type(), "ext4"))				\
		SKIP(return, "only ext4 moves extents like this");	\
} while (0)

#define THEFT(name, keeps_content) \
	FIXTURE_VARIANT_ADD(theft, name) { .take = name, .keeps = keeps_content }

THEFT(by_open_with_o_trunc, false);
THEFT(by_truncate, false);
THEFT(by_punching_a_hole, false);
THEFT(by_collapsing_a_range, false);
THEFT(by_moving_extents, true);

FIXTURE_SETUP(theft)
{
	self->fd = -1;
}

FIXTURE_TEARDOWN(theft)
{
	close(self->fd);
	EXPECT_EQ(0, slow_layer(false, 0));
	if (self->scene) {
		unlink(self->scene->victim);
		unlink(self->scene->thief);
		unlink(volume_path(&self->scene->volume, VOLUME_FILLER));
		EXPECT_EQ(0, active_count(self->scene->volume.fd));
	}
}

static void begin(struct __test_metadata *_metadata, FIXTURE_DATA(theft) *self,
		  const FIXTURE_VARIANT(theft) *variant, struct scene *scene)
{
	self->scene = scene;
	ASSERT_EQ(0, file_create(scene->victim, BYTES, VICTIM));
	if (variant->take == by_collapsing_a_range)
		ASSERT_EQ(0, punch_tail(scene));
	/* a few blocks are for what ext4 keeps beside the data */
	ASSERT_EQ(0, volume_fill_up(&scene->volume,
				    64 * KIB + (variant->keeps ? BYTES : 0)));
	self->fd = file_open_direct(scene->victim);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, fs_enable_armed(scene->volume.fd, self->fd));
}

/* One round of the story; @count says how often the thief got the blocks. */
static void rob(struct __test_metadata *_metadata, FIXTURE_DATA(theft) *self,
		const FIXTURE_VARIANT(theft) *variant, unsigned int *count)
{
	struct readers *readers = &self->readers;
	uint64_t where;
	int fd;

	ASSERT_EQ(0, readers_progress(readers, 5));
	ASSERT_EQ(0, first_block(&fast, &where));
	ASSERT_EQ(0, variant->take(&fast));
	ASSERT_EQ(0, steal(&fast));
	ASSERT_EQ(0, readers_progress(readers, 5));
	*count += stolen(where);
	ASSERT_EQ(0, unlink(fast.thief));
	readers->newest++;
	fd = open(fast.victim, O_WRONLY | O_CLOEXEC);
	ASSERT_EQ(0, file_write(fd, 0, BYTES, VICTIM, readers->newest));
	readers->oldest++;
	close(fd);
	if (variant->take == by_collapsing_a_range)
		ASSERT_EQ(0, punch_tail(&fast));
}

static void start_readers(struct __test_metadata *_metadata,
			  FIXTURE_DATA(theft) *self,
			  const FIXTURE_VARIANT(theft) *variant)
{
	self->readers = (struct readers) {
		.fd = self->fd,
		.file = VICTIM, .bytes = BYTES, .largest = 64 * KIB,
		.shrinks = !variant->keeps, .zeroes = !variant->keeps,
		.mixed = true, .oldest = 1, .newest = 1,
	};
	ASSERT_EQ(0, readers_start(&self->readers));
}

TEST_F(theft, readers_never_see_the_bytes_of_the_file_that_got_the_blocks)
{
	unsigned int round, count = 0;

	SKIP_UNLESS_KNOWN();
	begin(_metadata, self, variant, &fast);
	start_readers(_metadata, self, variant);
	for (round = 0; round < 10; round++) {
		ASSERT_EQ(0, file_armed(self->fd));
		rob(_metadata, self, variant, &count);
	}
	EXPECT_EQ(0, readers_progress(&self->readers, 100));
	EXPECT_EQ(0, readers_stop(&self->readers));
	/* else this test proves nothing */
	EXPECT_LT(0u, count);
}

TEST_F(theft, readers_never_see_them_when_the_blocks_go_while_the_file_is_mapped)
{
	struct mapper *mapper = &self->mapper;
	unsigned int round, count = 0;

	SKIP_UNLESS_KNOWN();
	begin(_metadata, self, variant, &fast);
	mapper->fd = self->fd;
	ASSERT_EQ(0, pthread_create(&mapper->thread, NULL, map_again_and_again,
				    mapper));
	start_readers(_metadata, self, variant);
	for (round = 0; round < 10; round++)
		rob(_metadata, self, variant, &count);
	mapper->stop = true;
	EXPECT_EQ(0, pthread_join(mapper->thread, NULL));
	EXPECT_EQ(0, readers_progress(&self->readers, 100));
	EXPECT_EQ(0, readers_stop(&self->readers));
	/* else this test proves nothing */
	EXPECT_LT(0u, count);
	EXPECT_LT(10u, mapper->maps);
}

struct slow_read {
	int		fd;
	char		*buffer;
	ssize_t		result;
};

static void *read_slowly(void *argument)
{
	struct slow_read *read = argument;

	read->result = pread(read->fd, read->buffer, 64 * KIB, 0);
	return NULL;
}

/* The read is under way on the device; what it reads must not change owner. */
TEST_F(theft, a_read_in_flight_ends_before_its_blocks_are_given_away)
{
	struct slow_read read = { .buffer = dio_alloc(64 * KIB) };
	uint64_t where, deadline = now_ms() + DEADLINE_MS;
	pthread_t thread;

	SKIP_UNLESS_KNOWN();
	begin(_metadata, self, variant, &slow);
	ASSERT_EQ(0, first_block(&slow, &where));
	ASSERT_EQ(0, slow_layer(false, DELAY_MS));
	read.fd = self->fd;
	ASSERT_EQ(0, pthread_create(&thread, NULL, read_slowly, &read));
	while (!delay_reads("theft-below") && poll_again(deadline))
		;
	ASSERT_EQ(1u, delay_reads("theft-below"));
	EXPECT_EQ(0, variant->take(&slow));
	EXPECT_EQ(0, steal(&slow));
	ASSERT_EQ(0, pthread_join(thread, NULL));
	EXPECT_EQ(64 * KIB, read.result);
	EXPECT_EQ(0, content_is(read.buffer, 64 * KIB, 0, VICTIM, 1));
	EXPECT_EQ(1u, file_direct(self->fd));
	/* else this test proves nothing */
	EXPECT_TRUE(stolen(where));
	ASSERT_EQ(0, slow_layer(false, 0));
}

PROGRAM_MAIN
