// SPDX-License-Identifier: GPL-2.0-only
/*
 * Events that end the bypass of a file for a while, step by step: what a read returns
 * at each step, why it did not go direct, and that bypass resumes by itself.
 */
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <linux/fsverity.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#include "program.h"

#define KIB	1024
#define BYTES	(512 * KIB)
/* More than a lease break may take that does not wait; leases wait 45 s. */
#define WRITER_MS	10000

static struct volume volume;
static char path[192], other[192];

static int program_setup(void)
{
	int ret = volume_fs(&volume, "revoke", devices.nvme, 2048,
			    MIB_SECTORS(XFS_MIB), " -O verity", "");

	snprintf(path, sizeof(path), "%s", volume_path(&volume, "file"));
	snprintf(other, sizeof(other), "%s", volume_path(&volume, "other"));
	return ret;
}

static int program_cleanup(void)
{
	return volume_remove(&volume);
}

#define FIXTURE_FIELDS		\
	int	fd;		\
	char	*buffer

#define SET_UP() do {							\
	ASSERT_EQ(0, file_create(path, BYTES, 1));			\
	self->buffer = dio_alloc(BYTES);				\
	self->fd = file_open_direct(path);				\
	ASSERT_LE(0, self->fd);						\
	ASSERT_EQ(0, fs_enable(volume.fd, self->fd));			\
	ASSERT_EQ(0, file_armed(self->fd));				\
	EXPECT_GENERATION(1);						\
	EXPECT_EQ(1u, file_direct(self->fd));				\
} while (0)

#define TEAR_DOWN() do {						\
	close(self->fd);						\
	unlink(path);							\
	unlink(other);							\
	EXPECT_EQ(0, active_count(volume.fd));				\
} while (0)

/* The whole file, whichever way it goes. */
#define EXPECT_GENERATION(generation) do {				\
	memset(self->buffer, 0xa5, BYTES);				\
	EXPECT_EQ(BYTES, pread(self->fd, self->buffer, BYTES, 0));	\
	EXPECT_EQ(0, content_is(self->buffer, BYTES, 0, 1, generation)); \
} while (0)

/* Bypass comes back without any call, and reads what is there now. */
#define EXPECT_BACK(generation) do {					\
	EXPECT_EQ(0, file_wait_direct(self->fd, self->buffer, 4096, 0)); \
	EXPECT_GENERATION(generation);					\
} while (0)

static uint64_t revokes(int fd)
{
	struct bpio_file_info info;

	return file_info(fd, &info) ? UINT64_MAX : info.revokes;
}

FIXTURE(file) {
	FIXTURE_FIELDS;
};

FIXTURE_SETUP(file)
{
	SET_UP();
}

FIXTURE_TEARDOWN(file)
{
	TEAR_DOWN();
}

/* Changes that leave the content alone. Each breaks the lease. */
static int change_mode(void)
{
	return chmod(path, 0600);
}

static int change_owner(void)
{
	return chown(path, 1, 1);
}

static int change_times(void)
{
	return utimensat(AT_FDCWD, path, NULL, 0);
}

static int set_attribute(void)
{
	return setxattr(path, "user.test", "value", 5, 0);
}

static int add_link(void)
{
	return link(path, other);
}

static int rename_it(void)
{
	return rename(path, other) ?: rename(other, path);
}

static int rename_over_it(void)
{
	/* the inode that is read loses its name, its content stays */
	return file_create(other, 4096, 2) ?: rename(other, path);
}

static int unlink_it(void)
{
	return unlink(path);
}

static int remove_attribute(void)
{
	return setxattr(path, "user.test", "value", 5, 0) ?:
	       removexattr(path, "user.test");
}

static int truncate_to_its_size(void)
{
	return truncate(path, BYTES);
}

static int open_and_close_for_writing(void)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd < 0 ? -1 : close(fd);
}

/* As an opener that must not wait for a lease: it is not turned away. */
static int open_for_writing_nonblocking(void)
{
	int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);

	return fd < 0 ? -1 : close(fd);
}

FIXTURE(change) {
	FIXTURE_FIELDS;
};

FIXTURE_VARIANT(change) {
	int	(*make)(void);
};

#define CHANGE(name) \
	FIXTURE_VARIANT_ADD(change, name) { .make = name }

CHANGE(change_mode);
CHANGE(change_owner);
CHANGE(change_times);
CHANGE(set_attribute);
CHANGE(remove_attribute);
CHANGE(add_link);
CHANGE(rename_it);
CHANGE(rename_over_it);
CHANGE(unlink_it);
CHANGE(truncate_to_its_size);
CHANGE(open_and_close_for_writing);
CHANGE(open_for_writing_nonblocking);

FIXTURE_SETUP(change)
{
	SET_UP();
}

FIXTURE_TEARDOWN(change)
{
	TEAR_DOWN();
}

TEST_F(change, it_revokes_does_not_wait_and_bypass_comes_back)
{
	uint64_t before = revokes(self->fd), start = now_ms();

	ASSERT_EQ(0, variant->make()) TH_LOG("%s", strerror(errno));
	EXPECT_GT(WRITER_MS, now_ms() - start);
	EXPECT_LT(before, revokes(self->fd));
	EXPECT_GENERATION(1);
	EXPECT_BACK(1);
}

/* Ways to write generation 2 into an open file. */
static int write_buffered(int fd)
{
	return file_write(fd, 0, BYTES, 1, 2);
}

static int write_direct(int fd)
{
	return fcntl(fd, F_SETFL, O_DIRECT) ?: file_write(fd, 0, BYTES, 1, 2);
}

static int write_mapped(int fd)
{
	char *map = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (map == MAP_FAILED)
		return -1;
	content_fill(map, BYTES, 1, 0, 2);
	return munmap(map, BYTES);
}

static int write_by_sendfile(int fd)
{
	loff_t left = BYTES;
	int from = open(other, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (file_write(from, 0, BYTES, 1, 2) || lseek(from, 0, SEEK_SET))
		return -1;
	while (left > 0) {
		ssize_t n = sendfile(fd, from, NULL, left);

		if (n <= 0)
			return -1;
		left -= n;
	}
	return close(from);
}

static int write_by_aio(int fd)
{
	char *buffer = dio_alloc(BYTES);
	struct iocb iocb = {
		.aio_lio_opcode = IOCB_CMD_PWRITE, .aio_fildes = fd,
		.aio_buf = (uintptr_t)buffer, .aio_nbytes = BYTES,
	}, *pointer = &iocb;
	aio_context_t context = 0;
	struct io_event event;

	content_fill(buffer, BYTES, 1, 0, 2);
	if (fcntl(fd, F_SETFL, O_DIRECT) ||
	    syscall(SYS_io_setup, 1, &context) ||
	    syscall(SYS_io_submit, context, 1, &pointer) != 1 ||
	    syscall(SYS_io_getevents, context, 1, 1, &event, NULL) != 1)
		return -1;
	syscall(SYS_io_destroy, context);
	return event.res == BYTES ? 0 : -1;
}

static int write_after_truncating(int fd)
{
	return ftruncate(fd, 0) ?: file_write(fd, 0, BYTES, 1, 2);
}

static int write_after(int fd, int mode, off_t offset, off_t length)
{
	return fallocate(fd, mode, offset, length) ?: ftruncate(fd, BYTES) ?:
	       file_write(fd, 0, BYTES, 1, 2);
}

static int write_after_punching(int fd)
{
	return write_after(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			   BYTES);
}

static int write_after_zeroing(int fd)
{
	return write_after(fd, FALLOC_FL_ZERO_RANGE, 0, BYTES);
}

static int write_after_collapsing(int fd)
{
	return write_after(fd, FALLOC_FL_COLLAPSE_RANGE, 0, BYTES / 2);
}

static int write_after_inserting(int fd)
{
	return write_after(fd, FALLOC_FL_INSERT_RANGE, BYTES / 4, BYTES);
}

static int write_after_preallocating(int fd)
{
	return write_after(fd, FALLOC_FL_KEEP_SIZE, BYTES, BYTES);
}

FIXTURE(writer) {
	FIXTURE_FIELDS;
};

FIXTURE_VARIANT(writer) {
	int	(*write)(int fd);
};

#define WRITER(name) \
	FIXTURE_VARIANT_ADD(writer, name) { .write = name }

WRITER(write_buffered);
WRITER(write_direct);
WRITER(write_mapped);
WRITER(write_by_sendfile);
WRITER(write_by_aio);
WRITER(write_after_truncating);
WRITER(write_after_punching);
WRITER(write_after_zeroing);
WRITER(write_after_collapsing);
WRITER(write_after_inserting);
WRITER(write_after_preallocating);

FIXTURE_SETUP(writer)
{
	SET_UP();
}

FIXTURE_TEARDOWN(writer)
{
	TEAR_DOWN();
}

TEST_F(writer, what_it_writes_is_read_at_once_and_bypass_comes_back_after_it)
{
	uint64_t start = now_ms(), direct;
	struct bpio_file_arm arm;
	int fd = open(path, O_RDWR | O_CLOEXEC);

	ASSERT_LE(0, fd);
	EXPECT_GT(WRITER_MS, now_ms() - start);
	direct = file_direct(self->fd);
	EXPECT_GENERATION(1);
	ASSERT_EQ(0, variant->write(fd));
	EXPECT_GENERATION(2);
	ASSERT_EQ(0, file_arm(self->fd, &arm));
	EXPECT_EQ(0u, arm.armed);
	EXPECT_STREQ("writer", reason_token(arm.reason));
	EXPECT_GENERATION(2);
	EXPECT_LT(0u, file_fallbacks(self->fd, BPIO_REASON_WRITER));
	EXPECT_EQ(direct, file_direct(self->fd));
	/* nothing has been synced: arming has to */
	close(fd);
	EXPECT_GENERATION(2);
	EXPECT_BACK(2);
}

TEST_F(file, a_file_that_is_open_for_writing_is_not_armed)
{
	int writer = open(path, O_RDWR | O_CLOEXEC), fd;
	struct bpio_file_arm arm;

	ASSERT_LE(0, writer);
	fd = file_open_direct(path);
	ASSERT_EQ(0, fs_enable(volume.fd, fd));
	ASSERT_EQ(0, file_arm(fd, &arm));
	EXPECT_EQ(0u, arm.armed);
	EXPECT_STREQ("writer", reason_token(arm.reason));
	ASSERT_EQ(0, file_write(writer, 0, BYTES, 1, 2));
	ASSERT_EQ(BYTES, pread(fd, self->buffer, BYTES, 0));
	EXPECT_EQ(0, content_is(self->buffer, BYTES, 0, 1, 2));
	EXPECT_EQ(0u, file_direct(fd));
	close(writer);
	EXPECT_EQ(0, file_armed(fd));
	EXPECT_BACK(2);
	close(fd);
}

TEST_F(file, a_shared_writable_mapping_is_a_writer_until_it_is_unmapped)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	struct bpio_file_arm arm;
	char *map;

	map = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, (void *)map);
	close(fd);
	ASSERT_EQ(0, file_arm(self->fd, &arm));
	EXPECT_EQ(0u, arm.armed);
	EXPECT_STREQ("writer", reason_token(arm.reason));
	content_fill(map, BYTES, 1, 0, 2);
	EXPECT_GENERATION(2);
	content_fill(map, BYTES, 1, 0, 3);
	EXPECT_GENERATION(3);
	ASSERT_EQ(0, munmap(map, BYTES));
	EXPECT_BACK(3);
}

TEST_F(file, a_shared_mapping_that_cannot_be_written_is_no_writer)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *map = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, fd, 0);
	uint64_t direct;

	ASSERT_NE(MAP_FAILED, (void *)map);
	EXPECT_EQ(0, content_is(map, BYTES, 0, 1, 1));
	direct = file_direct(self->fd);
	EXPECT_GENERATION(1);
	EXPECT_EQ(direct + 1, file_direct(self->fd));
	EXPECT_EQ(0u, revokes(self->fd));
	munmap(map, BYTES);
	close(fd);
}

TEST_F(file, readers_of_every_kind_do_not_revoke)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char byte;
	struct stat st;

	ASSERT_EQ(1, read(fd, &byte, 1));
	ASSERT_EQ(0, stat(path, &st));
	ASSERT_EQ(0, access(path, R_OK | W_OK));
	ASSERT_EQ(0, fsync(fd));
	sync();
	ASSERT_EQ(0, posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
	ASSERT_LE(1, file_extents(path));
	close(fd);
	EXPECT_GENERATION(1);
	EXPECT_EQ(0u, revokes(self->fd));
	EXPECT_EQ(2u, file_direct(self->fd));
}

TEST_F(file, opening_read_only_with_o_trunc_empties_it_at_once)
{
	uint64_t before = revokes(self->fd), start = now_ms();
	int fd = open(path, O_RDONLY | O_TRUNC | O_CLOEXEC);

	ASSERT_LE(0, fd);
	close(fd);
	EXPECT_GT(WRITER_MS, now_ms() - start);
	EXPECT_LT(before, revokes(self->fd));
	EXPECT_EQ(0, pread(self->fd, self->buffer, BYTES, 0));
	ASSERT_EQ(0, file_create(path, BYTES, 1));
	EXPECT_BACK(1);
}

TEST_F(file, an_appended_part_is_read_at_once_and_direct_soon)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	ASSERT_EQ(0, file_write(fd, BYTES, BYTES, 1, 1));
	ASSERT_EQ(BYTES, pread(self->fd, self->buffer, BYTES, BYTES));
	EXPECT_EQ(0, content_is(self->buffer, BYTES, BYTES, 1, 1));
	close(fd);
	ASSERT_EQ(0, file_wait_direct(self->fd, self->buffer, BYTES, BYTES));
	EXPECT_EQ(0, content_is(self->buffer, BYTES, BYTES, 1, 1));
}

TEST_F(file, a_punched_hole_reads_as_zeroes_and_its_surroundings_as_before)
{
	struct content_rule zero = { .file = 1, .oldest = 1, .zeroes = true };
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	char why[256];

	ASSERT_EQ(0, fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			       64 * KIB, 64 * KIB));
	close(fd);
	ASSERT_EQ(0, file_wait_direct(self->fd, self->buffer, 64 * KIB, 0));
	EXPECT_EQ(0, content_is(self->buffer, 64 * KIB, 0, 1, 1));
	ASSERT_EQ(BYTES, pread(self->fd, self->buffer, BYTES, 0));
	EXPECT_EQ(0, content_check(self->buffer + 64 * KIB, 64 * KIB, 64 * KIB,
				   &zero, why, sizeof(why)))
		TH_LOG("%s", why);
	EXPECT_EQ(0, content_is(self->buffer + 128 * KIB, BYTES - 128 * KIB,
				128 * KIB, 1, 1));
}

/* Its blocks are not reused until it is closed. */
TEST_F(file, an_unlinked_file_is_read_direct_until_it_is_closed)
{
	struct stat st;

	ASSERT_EQ(0, unlink(path));
	ASSERT_EQ(0, file_create(other, 4 * BYTES, 2));
	EXPECT_GENERATION(1);
	EXPECT_BACK(1);
	ASSERT_EQ(0, fstat(self->fd, &st));
	EXPECT_EQ(0u, st.st_nlink);
}

/* Flags say nothing of where blocks lie. */
TEST_F(file, flags_that_are_changed_do_not_end_the_bypass)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), flags;
	uint64_t direct = file_direct(self->fd);

	ASSERT_EQ(0, ioctl(fd, FS_IOC_GETFLAGS, &flags));
	flags ^= FS_NOATIME_FL;
	ASSERT_EQ(0, ioctl(fd, FS_IOC_SETFLAGS, &flags));
	close(fd);
	EXPECT_GENERATION(1);
	EXPECT_EQ(direct + 1, file_direct(self->fd));
}

TEST_F(file, reads_go_on_when_the_file_system_is_made_read_only_and_back)
{
	uint64_t direct = file_direct(self->fd);

	ASSERT_EQ(0, shell("mount -o remount,ro %s", volume.mount));
	EXPECT_GENERATION(1);
	ASSERT_EQ(0, shell("mount -o remount,rw %s", volume.mount));
	EXPECT_GENERATION(1);
	EXPECT_EQ(direct + 2, file_direct(self->fd));
	EXPECT_EQ(0u, revokes(self->fd));
}

TEST_F(file, verity_that_is_switched_on_ends_the_bypass)
{
	struct fsverity_enable_arg arg = {
		.version = 1, .hash_algorithm = FS_VERITY_HASH_ALG_SHA256,
		.block_size = 4096,
	};
	struct bpio_file_info info;
	struct bpio_file_arm arm;
	uint64_t direct;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (ioctl(fd, FS_IOC_ENABLE_VERITY, &arg)) {
		ASSERT_TRUE(errno == EOPNOTSUPP || errno == ENOTTY);
		SKIP(return, "there is no fs-verity");
	}
	close(fd);
	direct = file_direct(self->fd);
	EXPECT_GENERATION(1);
	ASSERT_EQ(0, file_arm(self->fd, &arm));
	EXPECT_EQ(0u, arm.armed);
	EXPECT_STREQ("verity", reason_token(arm.reason));
	ASSERT_EQ(0, file_info(self->fd, &info));
	EXPECT_EQ(0u, info.armed);
	EXPECT_STREQ("verity", reason_token(info.reason));
	EXPECT_GENERATION(1);
	EXPECT_EQ(direct, file_direct(self->fd));
	EXPECT_LT(0u, file_fallbacks(self->fd, BPIO_REASON_VERITY));
}

TEST_F(file, reads_go_on_while_the_file_system_is_frozen)
{
	int fd = open(volume.mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint64_t direct = file_direct(self->fd);

	ASSERT_EQ(0, ioctl(fd, FIFREEZE, 0));
	EXPECT_GENERATION(1);
	EXPECT_EQ(direct + 1, file_direct(self->fd));
	EXPECT_EQ(0, ioctl(fd, FITHAW, 0));
	close(fd);
}

/* Many short-lived writers, and then none: nothing is lost on the way. */
TEST_F(file, bypass_comes_back_after_a_thousand_writers)
{
	uint64_t start = now_ms();
	int i;

	for (i = 0; i < 1000; i++) {
		ASSERT_EQ(0, open_and_close_for_writing());
		if (i % 10 == 0)
			EXPECT_GENERATION(1);
	}
	EXPECT_GT(6 * WRITER_MS, now_ms() - start);
	EXPECT_BACK(1);
}

TEST_F(file, the_extent_map_follows_the_file)
{
	struct bpio_file_arm arm;
	int fd;

	ASSERT_EQ(0, file_arm(self->fd, &arm));
	EXPECT_EQ((uint64_t)BYTES, arm.mapped_bytes);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	ASSERT_EQ(0, file_write(fd, BYTES, BYTES, 1, 1));
	close(fd);
	ASSERT_EQ(0, file_arm(self->fd, &arm));
	EXPECT_EQ(1u, arm.armed);
	EXPECT_EQ((uint64_t)2 * BYTES, arm.mapped_bytes);
	ASSERT_EQ(0, truncate(path, 4096));
	ASSERT_EQ(0, file_arm(self->fd, &arm));
	EXPECT_EQ(1u, arm.armed);
	EXPECT_EQ(4096u, arm.mapped_bytes);
	EXPECT_EQ(1u, arm.extents);
}

PROGRAM_MAIN
