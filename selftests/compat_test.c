// SPDX-License-Identifier: GPL-2.0-only
/*
 * 32-bit programs: all ioctls work on the control node and on an enabled file, and none
 * on the mapped device, for which device-mapper has no compat ioctls.
 */
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <sys/ioctl.h>

#include "program.h"

#define BYTES	65536
/* As the shell says that it cannot run a program. */
#define CANNOT_RUN	126

static struct volume volume;

static int program_setup(void)
{
	return volume_ext4(&volume, "compat", devices.nvme, 2048,
			   MIB_SECTORS(64));
}

static int program_cleanup(void)
{
	return volume_remove(&volume);
}

/*
 * Run caller32 with @args, in which %d names @fd and @other. What it says goes to
 * @answer. Returns its exit status, or -1 when it did not say @bytes.
 */
static int call(const char *args, int fd, int other, void *answer,
		size_t bytes)
{
	char path[PATH_MAX] = "", words[128], command[PATH_MAX + 256];
	char more;
	size_t got;
	FILE *from;
	int status;

	if (readlink("/proc/self/exe", path, sizeof(path) - 1) < 0)
		return -1;
	snprintf(words, sizeof(words), args, fd, other);
	snprintf(command, sizeof(command), "exec timeout 60 \"%s/caller32\" %s",
		 dirname(path), words);
	from = popen(command, "r");
	if (!from)
		return -1;
	got = fread(answer, 1, bytes, from);
	got += fread(&more, 1, 1, from);
	status = pclose(from);
	if (!WIFEXITED(status) || (!WEXITSTATUS(status) && got != bytes))
		return -1;
	return WEXITSTATUS(status);
}

static int caller32(const char *args, int fd, void *answer, size_t bytes)
{
	return call(args, fd, -1, answer, bytes);
}

FIXTURE(caller) {
	char	path[192];
	int	fd;		/* enabled */
	int	plain;
	int	node;
	char	*buffer;
};

FIXTURE_SETUP(caller)
{
#ifndef __x86_64__
	SKIP(return, "there is a 32-bit program for x86 only");
#endif
	snprintf(self->path, sizeof(self->path), "%s",
		 volume_path(&volume, "file"));
	ASSERT_EQ(0, file_create(self->path, 2 * BYTES, 1));
	self->fd = file_open_direct(self->path);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, fs_enable(volume.fd, self->fd));
	self->plain = file_open_direct(self->path);
	ASSERT_LE(0, self->plain);
	self->node = node_open();
	ASSERT_LE(0, self->node) TH_LOG("%s", strerror(-self->node));
	self->buffer = dio_alloc(BYTES);
	ASSERT_EQ(0, fcntl(self->fd, F_SETFD, 0));
	ASSERT_EQ(0, fcntl(self->plain, F_SETFD, 0));
	ASSERT_EQ(0, fcntl(self->node, F_SETFD, 0));
	ASSERT_EQ(0, fcntl(volume.fd, F_SETFD, 0));
	if (caller32("", -1, self->buffer, BYTES) == CANNOT_RUN)
		SKIP(return, "this kernel runs no 32-bit programs");
}

FIXTURE_TEARDOWN(caller)
{
	close(self->node);
	close(self->plain);
	close(self->fd);
	EXPECT_EQ(0, unlink(self->path));
	EXPECT_EQ(0, active_count(volume.fd));
}

TEST_F(caller, of_32_bits_gets_ENOTTY_from_the_mapped_device)
{
	EXPECT_EQ(ENOTTY, caller32("version %d", volume.fd, self->buffer,
				   sizeof(struct bpio_version)));
	EXPECT_EQ(ENOTTY, caller32("query %d", volume.fd, self->buffer,
				   sizeof(struct fs_bpio_output)));
}

TEST_F(caller, of_32_bits_is_told_the_same_version_by_the_control_node)
{
	struct bpio_version theirs, ours = { .size = sizeof(ours) };

	ASSERT_EQ(0, caller32("version %d", self->node, &theirs,
			      sizeof(theirs)));
	ASSERT_EQ(0, ioctl(self->node, BPIO_IOC_GET_VERSION, &ours));
	EXPECT_EQ(0, memcmp(&ours, &theirs, sizeof(ours)));
}

TEST_F(caller, of_32_bits_enables_and_arms_a_file_through_the_control_node)
{
	struct bpio_tally theirs, ours;
	struct fs_bpio_output out;

	ASSERT_EQ(0, call("enable %d %d", self->node, self->plain, &out,
			  sizeof(out)));
	EXPECT_EQ((unsigned int)FS_BPIO_OP_ENABLE, out.operation);
	EXPECT_EQ(0, out.enable.op_status);
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_FULL, out.support);
	EXPECT_STREQ("none", reason_token(out.obstacle));
	EXPECT_EQ(2, active_count(volume.fd));
	/* reads go direct at once, from any process that has it open */
	ASSERT_EQ(0, caller32("read %d 0 65536", self->plain, self->buffer,
			      BYTES));
	EXPECT_EQ(0, content_is(self->buffer, BYTES, 0, 1, 1));
	ASSERT_EQ(BYTES, pread(self->plain, self->buffer, BYTES, BYTES));
	EXPECT_EQ(2u, file_direct(self->plain));
	ASSERT_EQ(0, caller32("tally %d", self->node, &theirs, sizeof(theirs)));
	ASSERT_EQ(0, tally_read(self->node, &ours));
	EXPECT_EQ(0, memcmp(&ours, &theirs, sizeof(ours)));
	EXPECT_EQ(1u, theirs.files);
	EXPECT_EQ(2u, theirs.direct_reads);
	EXPECT_EQ(2u * BYTES, theirs.direct_bytes);
}

TEST_F(caller, of_32_bits_is_told_by_the_node_why_a_file_is_not_enabled)
{
	int null = open("/dev/null", O_RDONLY);
	int fd = open(self->path, O_RDWR);
	struct fs_bpio_output out;

	ASSERT_EQ(0, call("enable %d %d", self->node, fd, &out, sizeof(out)));
	EXPECT_EQ(-EOPNOTSUPP, out.enable.op_status);
	EXPECT_STREQ("not-read-only", reason_token(out.enable.reason));
	EXPECT_EQ(ENXIO, call("enable %d %d", self->node, null, &out,
			      sizeof(out)));
	EXPECT_EQ(EBADF, call("enable %d %d", self->node, -1, &out,
			      sizeof(out)));
	close(fd);
	close(null);
}

TEST_F(caller, of_32_bits_arms_an_enabled_file)
{
	struct bpio_file_arm theirs, ours;

	ASSERT_EQ(0, caller32("arm %d", self->fd, &theirs, sizeof(theirs)));
	EXPECT_EQ(1u, theirs.armed);
	ASSERT_EQ(0, file_arm(self->fd, &ours));
	EXPECT_EQ(0, memcmp(&ours, &theirs, sizeof(ours)));
	EXPECT_EQ(2u * BYTES, theirs.mapped_bytes);
}

TEST_F(caller, of_32_bits_is_told_the_same_about_an_enabled_file)
{
	struct bpio_file_info theirs, ours;

	ASSERT_EQ(0, file_armed(self->fd));
	ASSERT_EQ(BYTES, pread(self->fd, self->buffer, BYTES, 0));
	ASSERT_EQ(0, caller32("info %d", self->fd, &theirs, sizeof(theirs)));
	ASSERT_EQ(0, file_info(self->fd, &ours));
	EXPECT_EQ(0, memcmp(&ours, &theirs, sizeof(ours)));
	EXPECT_EQ(1u, theirs.direct_reads);
	EXPECT_EQ((uint64_t)BYTES, theirs.direct_bytes);
}

TEST_F(caller, of_32_bits_reads_direct)
{
	ASSERT_EQ(0, file_armed(self->fd));
	ASSERT_EQ(0, caller32("read %d 65536 65536", self->fd, self->buffer,
			      BYTES));
	EXPECT_EQ(0, content_is(self->buffer, BYTES, BYTES, 1, 1));
	EXPECT_EQ(1u, file_direct(self->fd));
}

TEST_F(caller, of_32_bits_asks_the_file_system_through_an_enabled_file)
{
	int enabled = -1, plain = -2;

	ASSERT_EQ(0, caller32("flags %d", self->fd, &enabled, sizeof(enabled)));
	ASSERT_EQ(0, caller32("flags %d", self->plain, &plain, sizeof(plain)));
	EXPECT_EQ(plain, enabled);
	EXPECT_EQ(ENOTTY, caller32("version %d", self->fd, self->buffer,
				   sizeof(struct bpio_version)));
	EXPECT_EQ(ENOTTY, caller32("info %d", self->plain, self->buffer,
				   sizeof(struct bpio_file_info)));
}

PROGRAM_MAIN
