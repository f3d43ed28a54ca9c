// SPDX-License-Identifier: GPL-2.0-only
/*
 * The descriptors that an operation accepts, the devices that answer, and the ioctls of
 * an enabled file.
 */
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "program.h"

static struct volume volume;
static struct volume other;

static int program_setup(void)
{
	return volume_ext4(&volume, "abi-fd", devices.nvme, 2048,
			   MIB_SECTORS(32)) ?:
	       volume_ext4(&other, "abi-fd-other", devices.nvme,
			   MIB_SECTORS(64), MIB_SECTORS(32)) ?:
	       file_create(volume_path(&volume, "file"), 4096, 1) ?:
	       file_create(volume_path(&other, "file"), 4096, 2);
}

static int program_cleanup(void)
{
	return volume_remove(&other) | volume_remove(&volume);
}

/* EXDEV is the one error that is explained in the output. */
static void expect_other_volume(struct __test_metadata *_metadata,
				const struct fs_bpio_output *out,
				const char *what)
{
	EXPECT_EQ((unsigned int)BPIO_REASON_OTHER_VOLUME, out->enable.reason)
		TH_LOG("%s", what);
	EXPECT_EQ(strlen(reason_sentence(BPIO_REASON_OTHER_VOLUME)),
		  out->enable.failure_reason_len) TH_LOG("%s", what);
	EXPECT_EQ(0, memcmp(reason_sentence(BPIO_REASON_OTHER_VOLUME),
			    out->enable.failure_reason,
			    out->enable.failure_reason_len))
		TH_LOG("%s", what);
}

/*
 * The operations about @fd fail with @error and change nothing. DISABLE never
 * fails where there is a descriptor; it has nothing to do.
 */
static void expect_no_file(struct __test_metadata *_metadata, int error,
			   int fd, const char *what)
{
	int fds = count_fds(), disable = error == EBADF ? -EBADF : 0;
	struct fs_bpio_output out;

	EXPECT_EQ(-error, fs_op(volume.fd, FS_BPIO_OP_ENABLE, fd, &out))
		TH_LOG("%s", what);
	if (error == EXDEV)
		expect_other_volume(_metadata, &out, what);
	EXPECT_EQ(-error, fs_op(volume.fd, FS_BPIO_OP_QUERY, fd, &out))
		TH_LOG("%s", what);
	if (error == EXDEV)
		expect_other_volume(_metadata, &out, what);
	EXPECT_EQ(disable, fs_op(volume.fd, FS_BPIO_OP_DISABLE, fd, &out))
		TH_LOG("%s", what);
	EXPECT_EQ(0, active_count(volume.fd)) TH_LOG("%s", what);
	EXPECT_EQ(fds, count_fds()) TH_LOG("%s", what);
}

#define EXPECT_NO_FILE(error, fd, what) \
	expect_no_file(_metadata, error, fd, what)

TEST(numbers_that_are_no_descriptors_are_ebadf)
{
	int fd = open("/dev/null", O_RDONLY);

	ASSERT_LE(0, fd);
	close(fd);
	EXPECT_NO_FILE(EBADF, fd, "a closed descriptor");
	EXPECT_NO_FILE(EBADF, 1 << 20, "a descriptor out of range");
	EXPECT_NO_FILE(EBADF, INT_MAX, "the largest number");
	EXPECT_NO_FILE(EBADF, INT_MIN, "the smallest number");
	EXPECT_NO_FILE(EBADF, -2, "-2");
}

TEST(the_volume_itself_cannot_be_enabled_or_disabled)
{
	struct fs_bpio_output out;

	EXPECT_EQ(-EBADF, fs_op(volume.fd, FS_BPIO_OP_ENABLE, -1, &out));
	EXPECT_EQ(-EBADF, fs_op(volume.fd, FS_BPIO_OP_DISABLE, -1, &out));
}

TEST(a_path_descriptor_is_ebadf)
{
	int fd = open(volume_path(&volume, "file"), O_PATH | O_CLOEXEC);

	ASSERT_LE(0, fd);
	EXPECT_NO_FILE(EBADF, fd, "O_PATH");
}

TEST(descriptors_of_no_file_of_the_volume_are_exdev_with_words)
{
	int pipes[2], pair[2], fd;

	ASSERT_EQ(0, pipe(pipes));
	EXPECT_NO_FILE(EXDEV, pipes[0], "a pipe");
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	EXPECT_NO_FILE(EXDEV, pair[0], "a socket");
	fd = epoll_create1(EPOLL_CLOEXEC);
	ASSERT_LE(0, fd);
	EXPECT_NO_FILE(EXDEV, fd, "an epoll descriptor");
	fd = open("/dev/null", O_RDONLY);
	ASSERT_LE(0, fd);
	EXPECT_NO_FILE(EXDEV, fd, "/dev/null");
	fd = open("/proc/self/stat", O_RDONLY);
	ASSERT_LE(0, fd);
	EXPECT_NO_FILE(EXDEV, fd, "a file of procfs");
	fd = memfd_create("test", MFD_CLOEXEC);
	ASSERT_LE(0, fd);
	EXPECT_NO_FILE(EXDEV, fd, "a memory file");
	fd = open("/dev/shm", O_TMPFILE | O_RDWR, 0600);
	ASSERT_LE(0, fd);
	EXPECT_NO_FILE(EXDEV, fd, "a file of tmpfs");
}

TEST(a_file_of_another_volume_is_exdev_with_words)
{
	int fd = file_open_direct(volume_path(&other, "file"));

	ASSERT_LE(0, fd);
	EXPECT_NO_FILE(EXDEV, fd, "a file of the other volume");
	EXPECT_EQ(0, active_count(other.fd));
}

TEST(pause_and_resume_of_files_of_another_volume_are_exdev)
{
	int plain = file_open_direct(volume_path(&other, "file"));
	int fd = file_open_direct(volume_path(&other, "file")), null, i;
	struct fs_bpio_output out;
	uint32_t op;

	null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, null);
	ASSERT_LE(0, plain);
	ASSERT_EQ(0, fs_enable(other.fd, fd));
	for (op = FS_BPIO_OP_STREAM_PAUSE; op <= FS_BPIO_OP_STREAM_RESUME;
	     op++) {
		const int wrong[] = { plain, fd, null };

		for (i = 0; i < 3; i++) {
			EXPECT_EQ(-EXDEV, fs_op(volume.fd, op, wrong[i], &out));
			EXPECT_EQ(op, out.operation);
			expect_other_volume(_metadata, &out, "a stranger");
		}
		/* nothing was done */
		ASSERT_EQ(0, fs_op(other.fd, FS_BPIO_OP_QUERY, fd, &out));
		EXPECT_EQ(0u, out.out_flags &
			      FS_BPIO_OUTFL_STREAM_BYPASS_PAUSED);
		/* where they belong, both are accepted: they are of one file */
		EXPECT_EQ(0, fs_op(other.fd, op, fd, &out));
		EXPECT_EQ(0, fs_op(other.fd, op, plain, &out));
		ASSERT_EQ(0, fs_op(other.fd, FS_BPIO_OP_STREAM_RESUME, fd,
				   &out));
	}
	close(fd);
	EXPECT_EQ(0, active_count(other.fd));
}

TEST(disable_of_files_of_another_volume_does_nothing)
{
	int fd = file_open_direct(volume_path(&other, "file"));

	ASSERT_EQ(0, fs_enable(other.fd, fd));
	EXPECT_EQ(0, fs_disable(volume.fd, fd));
	EXPECT_EQ(1, active_count(other.fd));
	EXPECT_EQ(0, active_count(volume.fd));
	close(fd);
	EXPECT_EQ(0, active_count(other.fd));
}

TEST(an_enabled_file_may_be_enabled_again_and_is_the_same)
{
	int fd = file_open_direct(volume_path(&volume, "file"));
	int fds = count_fds();
	struct fs_bpio_output out;

	ASSERT_EQ(0, fs_enable(volume.fd, fd));
	ASSERT_EQ(0, fs_op(volume.fd, FS_BPIO_OP_ENABLE, fd, &out));
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_FULL, out.support);
	EXPECT_EQ(1, active_count(volume.fd));
	ASSERT_EQ(0, fs_enable(volume.fd, dup(fd)));
	EXPECT_EQ(1, active_count(volume.fd));
	EXPECT_EQ(fds + 1, count_fds());
	ASSERT_EQ(0, fs_disable(volume.fd, fd));
	EXPECT_EQ(0, fs_disable(volume.fd, fd));
	EXPECT_EQ(0, active_count(volume.fd));
	ASSERT_EQ(0, fs_enable(volume.fd, fd));
	EXPECT_EQ(1, active_count(volume.fd));
}

TEST(operations_that_are_not_offered_are_eopnotsupp)
{
	struct bpio_version version = { .size = sizeof(version) };
	int fd = file_open_direct(volume_path(&volume, "file"));
	struct fs_bpio_output out;
	struct bpio_output storage;
	uint32_t op;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ioctl(volume.fd, BPIO_IOC_GET_VERSION, &version));
	for (op = FS_BPIO_OP_ENABLE; op <= FS_BPIO_OP_GET_INFO; op++) {
		bool offered = version.fs_operations & 1u << op;
		int ret = fs_op(volume.fd, op, fd, &out);

		EXPECT_EQ(offered, ret != -EOPNOTSUPP)
			TH_LOG("operation %u", op);
	}
	for (op = BPIO_OP_ENABLE; op <= BPIO_OP_QUERY; op++)
		EXPECT_EQ(!!(version.storage_operations & 1u << op),
			  storage_op(volume.fd, op, &storage) != -EOPNOTSUPP)
			TH_LOG("storage operation %u", op);
	EXPECT_EQ(0, active_count(volume.fd));
}

/* The three codes for the mapped device, to any descriptor. */
#define EXPECT_CONTROL_ERRORS(error, descriptor) do {			\
	struct bpio_version __version = { .size = sizeof(__version) };	\
	struct fs_bpio_output __fs;					\
	struct bpio_output __storage;					\
									\
	EXPECT_EQ(-1, ioctl(descriptor, BPIO_IOC_GET_VERSION, &__version)); \
	EXPECT_EQ(error, errno);					\
	EXPECT_EQ(-(error), fs_op(descriptor, FS_BPIO_OP_QUERY, -1, &__fs)); \
	EXPECT_EQ(-(error), storage_op(descriptor, BPIO_OP_QUERY,	\
				       &__storage));			\
} while (0)

TEST(devices_and_files_that_are_no_volume_answer_enotty)
{
	struct dm_line line = {
		.sectors = MIB_SECTORS(1), .type = "linear",
	};
	char params[64];
	int fd;

	fd = open(devices.nvme, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	EXPECT_CONTROL_ERRORS(ENOTTY, fd);
	fd = file_open_direct(volume_path(&volume, "file"));
	ASSERT_LE(0, fd);
	EXPECT_CONTROL_ERRORS(ENOTTY, fd);
	ASSERT_EQ(0, fs_enable(volume.fd, fd));
	EXPECT_CONTROL_ERRORS(ENOTTY, fd);
	close(fd);
	snprintf(params, sizeof(params), "%s 0", devices.nvme);
	line.params = params;
	ASSERT_EQ(0, dm_create("abi-linear", &line, 1, false));
	fd = open("/dev/mapper/" DM_PREFIX "abi-linear", O_RDONLY | O_CLOEXEC);
	EXPECT_LE(0, fd);
	EXPECT_CONTROL_ERRORS(ENOTTY, fd);
	close(fd);
	EXPECT_EQ(0, dm_remove("abi-linear"));
}

TEST(a_suspended_volume_answers_eagain_and_recovers)
{
	struct fs_bpio_info info;

	ASSERT_EQ(0, dm_suspend(other.name));
	EXPECT_CONTROL_ERRORS(EAGAIN, other.fd);
	ASSERT_EQ(0, dm_resume(other.name));
	EXPECT_EQ(0, fs_info(other.fd, &info));
}

TEST(file_ioctls_belong_to_files_that_were_enabled)
{
	int fd = file_open_direct(volume_path(&volume, "file"));
	int plain = file_open_direct(volume_path(&volume, "file"));
	struct bpio_file_info info;
	struct bpio_file_arm arm;

	EXPECT_EQ(-ENOTTY, file_arm(fd, &arm));
	EXPECT_EQ(-ENOTTY, file_info(fd, &info));
	ASSERT_EQ(0, fs_enable(volume.fd, fd));
	EXPECT_EQ(0, file_arm(fd, &arm));
	EXPECT_EQ(0, file_info(fd, &info));
	EXPECT_EQ(1u, info.enabled);
	/* the same file, opened once more */
	EXPECT_EQ(-ENOTTY, file_arm(plain, &arm));
	EXPECT_EQ(-ENOTTY, file_info(plain, &info));
	EXPECT_EQ(-ENOTTY, file_arm(volume.fd, &arm));
	EXPECT_EQ(-ENOTTY, file_info(volume.fd, &info));
	ASSERT_EQ(0, fs_disable(volume.fd, fd));
	EXPECT_EQ(0, file_arm(fd, &arm));
	EXPECT_EQ(0u, arm.armed);
	EXPECT_STREQ("disabled", reason_token(arm.reason));
	EXPECT_EQ(0, file_info(fd, &info));
	EXPECT_EQ(0u, info.enabled);
	EXPECT_EQ(0u, info.armed);
	EXPECT_STREQ("disabled", reason_token(info.reason));
}

TEST(other_ioctls_of_an_enabled_file_reach_the_file_system)
{
	int fd = file_open_direct(volume_path(&volume, "file"));
	int plain = file_open_direct(volume_path(&volume, "file"));
	int flags[2] = { -1, -2 };

	ASSERT_EQ(0, fs_enable(volume.fd, fd));
	EXPECT_EQ(0, ioctl(fd, FS_IOC_GETFLAGS, &flags[0]));
	EXPECT_EQ(0, ioctl(plain, FS_IOC_GETFLAGS, &flags[1]));
	EXPECT_EQ(flags[1], flags[0]);
	EXPECT_EQ(-1, ioctl(fd, _IO(BPIO_IOC_TYPE, 0x7f)));
	EXPECT_EQ(ENOTTY, errno);
}

/* One of the two structures of the ioctls of an enabled file. */
FIXTURE(file_ioctl) {
	int		fd;
	unsigned char	*end;	/* of mapped memory */
};

FIXTURE_VARIANT(file_ioctl) {
	unsigned long	code;
	uint32_t	size;
};

FIXTURE_VARIANT_ADD(file_ioctl, arm) {
	.code = BPIO_IOC_FILE_ARM, .size = sizeof(struct bpio_file_arm),
};

FIXTURE_VARIANT_ADD(file_ioctl, info) {
	.code = BPIO_IOC_FILE_INFO, .size = sizeof(struct bpio_file_info),
};

FIXTURE_SETUP(file_ioctl)
{
	self->end = guarded_pages(PROT_READ | PROT_WRITE);
	self->fd = file_open_direct(volume_path(&volume, "file"));
	ASSERT_EQ(0, fs_enable(volume.fd, self->fd));
}

FIXTURE_TEARDOWN(file_ioctl)
{
	close(self->fd);
	EXPECT_EQ(0, active_count(volume.fd));
}

TEST_F(file_ioctl, sizes_flags_and_memory_are_checked)
{
	static const uint32_t wrong[] = { 0, 4, 8, 24, 31, 33, 599, 601, 4096 };
	uint32_t *words = (uint32_t *)(self->end - variant->size);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		words[0] = wrong[i];
		EXPECT_EQ(-1, ioctl(self->fd, variant->code, words))
			TH_LOG("size %u", wrong[i]);
		EXPECT_EQ(EINVAL, errno) TH_LOG("size %u", wrong[i]);
	}
	words[0] = variant->size;
	for (i = 0; i < 32; i++) {
		words[1] = 1u << i;
		EXPECT_EQ(-1, ioctl(self->fd, variant->code, words));
		EXPECT_EQ(EINVAL, errno) TH_LOG("flags bit %u", i);
	}
	words[1] = 0;
	EXPECT_EQ(0, ioctl(self->fd, variant->code, words));
	EXPECT_EQ(variant->size, words[0]);
	EXPECT_EQ(0u, words[1]);
	EXPECT_EQ(-1, ioctl(self->fd, variant->code, NULL));
	EXPECT_EQ(EFAULT, errno);
	memmove(words + 1, words, variant->size - 4);
	EXPECT_EQ(-1, ioctl(self->fd, variant->code, words + 1));
	EXPECT_EQ(EFAULT, errno);
}

PROGRAM_MAIN
