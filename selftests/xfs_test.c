// SPDX-License-Identifier: GPL-2.0-only
/*
 * Operations of XFS on the blocks of a file: share them with another file, replace those
 * of a file that is open read-only, defragment it.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>

#include "mapper.h"
#include "program.h"

#define KIB	1024
#define MIB	(1024 * KIB)
#define BYTES	MIB

static struct volume volume;
static char path[192], other[192];

/* Tells the module how XFS is to look. */
#define MODULE	"xfs-module"

static int program_setup(void)
{
	int ret;

	setenv("BPIO_TEST_FS", "xfs", 1);
	ret = module_load("bpio-probe") ?:
	      dm_create_one(MODULE, "bpio-probe", devices.nvme, 0, 8, "") ?:
	      volume_fs(&volume, "xfs", devices.nvme, 2048,
			MIB_SECTORS(XFS_MIB), "", "");
	snprintf(path, sizeof(path), "%s", volume_path(&volume, "file"));
	snprintf(other, sizeof(other), "%s", volume_path(&volume, "other"));
	return ret;
}

static int program_cleanup(void)
{
	return volume_remove(&volume) ?: dm_remove(MODULE);
}

FIXTURE(file) {
	int	fd;
	char	*buffer;
};

FIXTURE_SETUP(file)
{
	self->buffer = dio_alloc(BYTES);
	ASSERT_EQ(0, file_create(path, BYTES, 1));
	self->fd = file_open_direct(path);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, fs_enable_armed(volume.fd, self->fd));
	ASSERT_EQ(BYTES, pread(self->fd, self->buffer, BYTES, 0));
	ASSERT_EQ(0, content_is(self->buffer, BYTES, 0, 1, 1));
	ASSERT_EQ(1u, file_direct(self->fd));
}

FIXTURE_TEARDOWN(file)
{
	close(self->fd);
	unlink(path);
	unlink(other);
	EXPECT_EQ(0, active_count(volume.fd));
}

/* What is read is of @file, by whichever way. */
#define EXPECT_FILE(file) do {						\
	memset(self->buffer, 0xa5, BYTES);				\
	EXPECT_EQ(BYTES, pread(self->fd, self->buffer, BYTES, 0));	\
	EXPECT_EQ(0, content_is(self->buffer, BYTES, 0, file, 1));	\
} while (0)

/* And goes direct, also while its blocks are another file's too. */
#define EXPECT_FILE_DIRECT(file) do {					\
	uint64_t direct;						\
	ASSERT_EQ(0, file_armed(self->fd));				\
	direct = file_direct(self->fd);					\
	EXPECT_FILE(file);						\
	EXPECT_EQ(direct + 1, file_direct(self->fd));			\
} while (0)

/* Write @bytes of @name as file @file, to blocks that it shares with none. */
static int overwrite(const char *name, uint64_t offset, uint64_t bytes,
		     uint32_t file)
{
	int fd = open(name, O_WRONLY | O_DIRECT | O_CLOEXEC);
	int ret = file_write(fd, offset, bytes, file, 1);

	ret = ret ?: fsync(fd);
	close(fd);
	return ret;
}

TEST_F(file, a_file_that_is_cloned_is_read_direct_as_before)
{
	ASSERT_EQ(0, file_clone(path, other));
	EXPECT_FILE(1);
	EXPECT_FILE_DIRECT(1);
	/* what is written to either goes to other blocks */
	ASSERT_EQ(0, overwrite(other, 0, BYTES, 3));
	EXPECT_FILE_DIRECT(1);
	ASSERT_EQ(0, file_clone(path, other));
	ASSERT_EQ(0, overwrite(path, 0, BYTES, 2));
	EXPECT_FILE_DIRECT(2);
}

/* The blocks are free only when the last of them gives them up. */
TEST_F(file, a_file_whose_clones_are_deleted_keeps_its_blocks)
{
	int i;

	for (i = 0; i < 5; i++) {
		ASSERT_EQ(0, file_clone(path, other));
		EXPECT_FILE_DIRECT(1);
		ASSERT_EQ(0, unlink(other));
		sync();
		ASSERT_EQ(0, file_create(other, 4 * BYTES, 2));
		EXPECT_FILE_DIRECT(1);
		ASSERT_EQ(0, unlink(other));
	}
}

TEST_F(file, a_clone_is_read_direct_after_its_original_is_deleted)
{
	char original[200];

	snprintf(original, sizeof(original), "%s.original", path);
	close(self->fd);
	ASSERT_EQ(0, rename(path, original));
	ASSERT_EQ(0, file_clone(original, path));
	self->fd = file_open_direct(path);
	ASSERT_EQ(0, fs_enable(volume.fd, self->fd));
	EXPECT_FILE_DIRECT(1);
	ASSERT_EQ(0, unlink(original));
	sync();
	ASSERT_EQ(0, file_create(other, 4 * BYTES, 2));
	EXPECT_FILE_DIRECT(1);
}

TEST_F(file, a_file_that_another_is_cloned_over_has_the_bytes_of_that)
{
	ASSERT_EQ(0, file_create(other, BYTES, 2));
	ASSERT_EQ(0, file_clone(other, path));
	EXPECT_FILE(2);
	EXPECT_FILE_DIRECT(2);
}

/* The enabled file is not opened for writing here, so the VFS breaks no lease. */
TEST_F(file, deduplication_takes_blocks_of_a_file_that_is_open_read_only)
{
	int source, target = open(path, O_RDONLY | O_CLOEXEC);
	struct bpio_file_info info;

	/* the same content in another file */
	ASSERT_EQ(0, file_create(other, BYTES, 1));
	source = open(other, O_RDONLY | O_CLOEXEC);
	ASSERT_EQ(0, file_dedupe(source, target, BYTES));
	close(source);
	close(target);
	ASSERT_EQ(0, file_info(self->fd, &info));
	EXPECT_LT(0u, info.revokes);
	/* its old blocks are free now, and are reused */
	ASSERT_EQ(0, file_create(other, 4 * BYTES, 2));
	EXPECT_FILE(1);
	EXPECT_FILE_DIRECT(1);
}

struct eager {
	int		fd;
	atomic_ullong	since;		/* when the dedupe that goes on began */
	atomic_bool	stop;
	bool		stuck;
};

/* Ends a dedupe that does not by itself: a writer breaks all leases for good. */
static void *arm_all_the_time(void *arg)
{
	struct eager *eager = arg;
	struct bpio_file_arm arm;

	while (!eager->stop && !eager->stuck) {
		file_arm(eager->fd, &arm);
		eager->stuck = now_ms() > eager->since + 10000;
	}
	if (eager->stuck)
		close(open(path, O_WRONLY | O_CLOEXEC));
	return NULL;
}

TEST_F(file, deduplication_does_not_wait_for_who_arms_the_file_all_the_time)
{
	struct eager eager = { .fd = self->fd };
	int source, target = open(path, O_RDONLY | O_CLOEXEC), i, ret = 0;
	pthread_t thread;

	ASSERT_EQ(0, file_create(other, BYTES, 1));
	source = open(other, O_RDONLY | O_CLOEXEC);
	eager.since = now_ms();
	ASSERT_EQ(0, pthread_create(&thread, NULL, arm_all_the_time, &eager));
	for (i = 0; i < 10 && !ret; i++) {
		usleep(100000);
		eager.since = now_ms();
		ret = file_dedupe(source, target, BYTES);
	}
	eager.stop = true;
	pthread_join(thread, NULL);
	close(source);
	close(target);
	EXPECT_EQ(0, ret);
	EXPECT_FALSE(eager.stuck);
	EXPECT_FILE(1);
}

/* The defragmenter of XFS; it refuses what lies in one piece already. */
TEST_F(file, defragmentation_changes_no_byte)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), i;

	if (shell("command -v xfs_fsr >/dev/null"))
		SKIP(return, "xfs_fsr is not installed");
	/* pieces: every other block was a hole when its neighbour was written */
	ASSERT_EQ(0, ftruncate(fd, 0));
	for (i = 0; i < BYTES; i += 8192) {
		ASSERT_EQ(0, file_write(fd, i, 4096, 1, 1));
		ASSERT_EQ(0, fsync(fd));
	}
	for (i = 4096; i < BYTES; i += 8192)
		ASSERT_EQ(0, file_write(fd, i, 4096, 1, 1));
	ASSERT_EQ(0, fsync(fd));
	close(fd);
	ASSERT_EQ(0, file_armed(self->fd));
	EXPECT_FILE(1);
	EXPECT_LT(1, file_extents(path));
	ASSERT_EQ(0, shell("timeout 60 xfs_fsr -v %s", path));
	EXPECT_EQ(1, file_extents(path));
	EXPECT_FILE(1);
	EXPECT_EQ(0, file_wait_direct(self->fd, self->buffer, 4096, 0));
	EXPECT_FILE(1);
}

TEST_F(file, blocks_that_were_never_written_are_read_as_zeroes)
{
	struct content_rule zero = { .file = 1, .zeroes = true };
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	char why[256];

	ASSERT_EQ(0, ftruncate(fd, 0));
	ASSERT_EQ(0, fallocate(fd, 0, 0, BYTES));
	close(fd);
	ASSERT_EQ(0, file_armed(self->fd));
	ASSERT_EQ(BYTES, pread(self->fd, self->buffer, BYTES, 0));
	EXPECT_EQ(0, content_check(self->buffer, BYTES, 0, &zero, why,
				   sizeof(why)))
		TH_LOG("%s", why);
}

/* The kind of opener that some kernels turn away when two leases are broken. */
TEST_F(file, openers_that_do_not_wait_are_not_turned_away)
{
	int i, fd;

	for (i = 0; i < 20; i++) {
		ASSERT_EQ(0, file_armed(self->fd));
		fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
		ASSERT_LE(0, fd) TH_LOG("%s", strerror(errno));
		close(fd);
		ASSERT_EQ(0, file_armed(self->fd));
		fd = open(path, O_RDONLY | O_TRUNC | O_CLOEXEC);
		ASSERT_LE(0, fd) TH_LOG("%s", strerror(errno));
		close(fd);
		EXPECT_EQ(0, pread(self->fd, self->buffer, BYTES, 0));
		ASSERT_EQ(0, file_create(path, BYTES, 1));
		EXPECT_FILE(1);
	}
}

/* As of a kernel without CONFIG_EXPORTFS_BLOCK_OPS: its repair breaks no lease. */
TEST_F(file, an_xfs_that_does_not_break_leases_on_layouts_is_refused)
{
	int fd = file_open_direct(path);
	struct fs_bpio_output out;

	ASSERT_EQ(0, dm_message(MODULE, NULL, 0, "hide_block_ops %s", path));
	EXPECT_EQ(0, fs_op(volume.fd, FS_BPIO_OP_ENABLE, fd, &out));
	EXPECT_STREQ("file-system", reason_token(out.enable.reason));
	ASSERT_EQ(0, dm_message(MODULE, NULL, 0, "show_block_ops %s", path));
	EXPECT_EQ(0, fs_enable(volume.fd, fd));
	close(fd);
}

PROGRAM_MAIN
