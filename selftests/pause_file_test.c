// SPDX-License-Identifier: GPL-2.0-only
/*
 * The bypass of one file is paused: of all open files of it, and of no other file.
 */
#include <fcntl.h>

#include "flight.h"
#include "load.h"
#include "objection.h"
#include "program.h"
#include "stack.h"

#define BYTES	(1024 * 1024)
#define BLOCKS	16
#define FILTER	"bpio-filter"

static struct stack stack, slow;
static char path[192], other[192];

static int program_setup(void)
{
	int ret = module_load("dm-bpio-filter") ?:
		  stack_ext4(&stack, "fpause", FILTER, devices.nvme, 2048,
			     MIB_SECTORS(32)) ?:
		  file_create(volume_path(&stack.volume, "file"), BYTES, 1) ?:
		  file_create(volume_path(&stack.volume, "other"), BYTES, 2) ?:
		  stack_ext4(&slow, "fslow", "linear delay", devices.nvme,
			     MIB_SECTORS(64), MIB_SECTORS(32)) ?:
		  file_create(volume_path(&slow.volume, "file"), BYTES, 3);

	snprintf(path, sizeof(path), "%s", volume_path(&stack.volume, "file"));
	snprintf(other, sizeof(other), "%s",
		 volume_path(&stack.volume, "other"));
	return ret;
}

static int program_cleanup(void)
{
	return stack_remove(&stack) ?: stack_remove(&slow);
}

static int pause_file(int volume, int fd)
{
	struct fs_bpio_output out;

	return fs_op(volume, FS_BPIO_OP_STREAM_PAUSE, fd, &out);
}

static int resume_file(int volume, int fd)
{
	struct fs_bpio_output out;

	return fs_op(volume, FS_BPIO_OP_STREAM_RESUME, fd, &out);
}

/* Read some blocks and insist that all went direct, or none because of @reason. */
static void expect_served(struct __test_metadata *_metadata, int fd,
			  uint32_t file, enum bpio_reason reason)
{
	uint64_t direct = file_direct(fd);
	uint64_t fallback = file_fallbacks(fd, reason);

	READ_BLOCKS(fd, BLOCKS, file);
	EXPECT_EQ(direct + (reason ? 0 : BLOCKS), file_direct(fd));
	EXPECT_EQ(fallback + (reason ? BLOCKS : 0),
		  file_fallbacks(fd, reason));
}

#define EXPECT_DIRECT(fd, file) \
	expect_served(_metadata, fd, file, BPIO_REASON_NONE)
#define EXPECT_PAUSED(fd, file) \
	expect_served(_metadata, fd, file, BPIO_REASON_STREAM_PAUSED)

FIXTURE(stream) {
	int	fds[2];		/* of the same file, enabled */
	int	other;		/* of the other file, enabled */
	int	plain;		/* of the first file, not enabled */
};

/* How the file is named in PAUSE and RESUME. */
FIXTURE_VARIANT(stream) {
	bool	by_plain;
};

FIXTURE_VARIANT_ADD(stream, by_an_enabled_open_file) {
	.by_plain = false,
};

FIXTURE_VARIANT_ADD(stream, by_one_that_is_not_enabled) {
	.by_plain = true,
};

FIXTURE_SETUP(stream)
{
	int i;

	for (i = 0; i < 2; i++) {
		self->fds[i] = file_open_direct(path);
		ASSERT_LE(0, self->fds[i]);
		ASSERT_EQ(0, fs_enable_armed(stack.volume.fd, self->fds[i]));
	}
	self->other = file_open_direct(other);
	ASSERT_EQ(0, fs_enable_armed(stack.volume.fd, self->other));
	/* O_DIRECT or not makes no difference to the name of a file */
	self->plain = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, self->plain);
}

FIXTURE_TEARDOWN(stream)
{
	int i;

	for (i = 0; i < 2; i++)
		close(self->fds[i]);
	close(self->other);
	close(self->plain);
	EXPECT_EQ(0, active_count(stack.volume.fd));
}

static int name_of(const FIXTURE_DATA(stream) *self,
		   const FIXTURE_VARIANT(stream) *variant)
{
	return variant->by_plain ? self->plain : self->fds[1];
}

TEST_F(stream, pause_holds_for_all_open_files_of_the_file_and_for_no_other_file)
{
	int name = name_of(self, variant), i;

	ASSERT_EQ(0, pause_file(stack.volume.fd, name));
	for (i = 0; i < 2; i++)
		EXPECT_PAUSED(self->fds[i], 1);
	EXPECT_DIRECT(self->other, 2);
	ASSERT_EQ(0, resume_file(stack.volume.fd, name));
	for (i = 0; i < 2; i++)
		EXPECT_DIRECT(self->fds[i], 1);
}

TEST_F(stream, pause_may_be_repeated_and_is_ended_by_one_resume)
{
	int name = name_of(self, variant), i;

	for (i = 0; i < 5; i++)
		ASSERT_EQ(0, pause_file(stack.volume.fd, name));
	EXPECT_PAUSED(self->fds[0], 1);
	ASSERT_EQ(0, resume_file(stack.volume.fd, name));
	EXPECT_DIRECT(self->fds[0], 1);
	/* a resume too many does not count for later */
	ASSERT_EQ(0, resume_file(stack.volume.fd, name));
	ASSERT_EQ(0, pause_file(stack.volume.fd, name));
	EXPECT_PAUSED(self->fds[0], 1);
}

TEST_F(stream, flags_tell_of_the_pause_for_this_file_only)
{
	const uint32_t paused = FS_BPIO_OUTFL_STREAM_BYPASS_PAUSED;
	int name = name_of(self, variant);
	struct fs_bpio_output out;
	struct bpio_file_info info;

	ASSERT_EQ(0, fs_op(stack.volume.fd, FS_BPIO_OP_STREAM_PAUSE, name,
			   &out));
	EXPECT_EQ(paused, out.out_flags & paused);
	EXPECT_EQ(0u, out.support);
	ASSERT_EQ(0, fs_op(stack.volume.fd, FS_BPIO_OP_QUERY, self->fds[1],
			   &out));
	EXPECT_EQ(paused, out.out_flags & paused);
	ASSERT_EQ(0, file_info(self->fds[0], &info));
	EXPECT_EQ(0u, info.armed);
	EXPECT_STREQ("stream-paused", reason_token(info.reason));
	ASSERT_EQ(0, fs_op(stack.volume.fd, FS_BPIO_OP_GET_INFO, self->other,
			   &out));
	EXPECT_EQ(0u, out.out_flags & paused);
	ASSERT_EQ(0, fs_op(stack.volume.fd, FS_BPIO_OP_STREAM_RESUME, name,
			   &out));
	EXPECT_EQ(0u, out.out_flags & paused);
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_FULL, out.support);
	EXPECT_NO_OBJECTION(&out.stream_resume);
}

TEST_F(stream, pause_holds_for_what_is_enabled_meanwhile)
{
	int name = name_of(self, variant);
	int fd = file_open_direct(path);
	struct fs_bpio_output out;

	ASSERT_EQ(0, pause_file(stack.volume.fd, name));
	ASSERT_EQ(0, fs_op(stack.volume.fd, FS_BPIO_OP_ENABLE, fd, &out));
	EXPECT_STREQ("stream-paused", reason_token(out.obstacle));
	EXPECT_EQ(FS_BPIO_OUTFL_STREAM_BYPASS_PAUSED,
		  out.out_flags & FS_BPIO_OUTFL_STREAM_BYPASS_PAUSED);
	EXPECT_PAUSED(fd, 1);
	ASSERT_EQ(0, resume_file(stack.volume.fd, name));
	EXPECT_DIRECT(fd, 1);
	close(fd);
}

TEST_F(stream, resume_asks_again_so_that_a_veto_since_holds)
{
	const char *layer = stack.layer[0].name;
	int name = name_of(self, variant);
	struct fs_bpio_output out;

	ASSERT_EQ(0, pause_file(stack.volume.fd, name));
	ASSERT_EQ(0, dm_message(layer, NULL, 0, "file_veto file 13 Mine."));
	ASSERT_EQ(0, fs_op(stack.volume.fd, FS_BPIO_OP_STREAM_RESUME, name,
			   &out));
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_NONE, out.support);
	EXPECT_OBJECTION(&out.stream_resume, FILE_VETO, -EACCES, FILTER,
			 "Mine.");
	EXPECT_EQ(0u, out.out_flags & FS_BPIO_OUTFL_STREAM_BYPASS_PAUSED);
	expect_served(_metadata, self->fds[0], 1, BPIO_REASON_FILE_VETO);
	EXPECT_DIRECT(self->other, 2);
	ASSERT_EQ(0, dm_message(layer, NULL, 0, "file_allow file"));
	EXPECT_DIRECT(self->fds[0], 1);
}

TEST_F(stream, pause_lets_no_read_past_from_its_return_on)
{
	int name = name_of(self, variant), round;

	for (round = 0; round < 8; round++) {
		EXPECT_SEEN_AFTER(pause_file(stack.volume.fd, name),
				  self->fds[0], BYTES, stack.layer[0].name);
		ASSERT_EQ(0, resume_file(stack.volume.fd, name));
	}
	EXPECT_DIRECT(self->fds[0], 1);
}

/* What @stop does to the file returns when its reads in flight have ended. */
static void stop_in_flight(struct __test_metadata *_metadata,
			   int (*stop)(int volume, int fd))
{
	const char *slowest = slow.layer[1].name;
	int fd = file_open_direct(volume_path(&slow.volume, "file"));
	struct flight flight;

	ASSERT_EQ(0, fs_enable_armed(slow.volume.fd, fd));
	ASSERT_EQ(0, stack_reload(&slow, 1, "delay", FLIGHT_MS));
	ASSERT_EQ(0, flight_start(&flight, fd, slowest));
	ASSERT_EQ(0, stop(slow.volume.fd, fd));
	EXPECT_EQ(0, flight_left(&flight));
	EXPECT_EQ(0, flight_end(&flight, 3));
	EXPECT_EQ((uint64_t)FLIGHT_READS, file_direct(fd));
	ASSERT_EQ(0, stack_reload(&slow, 1, "delay", "0"));
	close(fd);
}

TEST(the_pause_of_a_file_returns_when_its_reads_in_flight_have_ended)
{
	stop_in_flight(_metadata, pause_file);
}

TEST(a_disable_returns_when_the_reads_in_flight_have_ended)
{
	stop_in_flight(_metadata, fs_disable);
}

TEST(pause_and_resume_of_a_file_that_is_not_enabled_are_ignored)
{
	int fd = file_open_direct(path);
	struct fs_bpio_output out;

	ASSERT_EQ(0, fs_op(stack.volume.fd, FS_BPIO_OP_STREAM_PAUSE, fd, &out));
	EXPECT_EQ(0u, out.out_flags & FS_BPIO_OUTFL_STREAM_BYPASS_PAUSED);
	ASSERT_EQ(0, fs_op(stack.volume.fd, FS_BPIO_OP_STREAM_RESUME, fd,
			   &out));
	EXPECT_NO_OBJECTION(&out.stream_resume);
	ASSERT_EQ(0, fs_enable_armed(stack.volume.fd, fd));
	EXPECT_DIRECT(fd, 1);
	close(fd);
}

TEST(a_pause_ends_with_the_last_close_of_the_file)
{
	int fd = file_open_direct(path), second = file_open_direct(path);

	ASSERT_EQ(0, fs_enable(stack.volume.fd, fd));
	ASSERT_EQ(0, fs_enable(stack.volume.fd, second));
	ASSERT_EQ(0, pause_file(stack.volume.fd, fd));
	close(fd);
	EXPECT_PAUSED(second, 1);
	close(second);
	fd = file_open_direct(path);
	ASSERT_EQ(0, fs_enable_armed(stack.volume.fd, fd));
	EXPECT_DIRECT(fd, 1);
	close(fd);
}

TEST(without_privilege_a_file_is_paused_only_through_a_writable_descriptor)
{
	int writable = open(stack.volume.node, O_RDWR | O_CLOEXEC);
	int fd = file_open_direct(path);

	ASSERT_LE(0, writable);
	ASSERT_EQ(0, fs_enable_armed(stack.volume.fd, fd));
	ASSERT_EQ(0, become_nobody());
	EXPECT_EQ(-EPERM, pause_file(stack.volume.fd, fd));
	EXPECT_DIRECT(fd, 1);
	EXPECT_EQ(0, pause_file(writable, fd));
	EXPECT_EQ(-EPERM, resume_file(stack.volume.fd, fd));
	EXPECT_PAUSED(fd, 1);
	EXPECT_EQ(0, resume_file(writable, fd));
	EXPECT_DIRECT(fd, 1);
	close(writable);
	close(fd);
}

TEST(a_pause_of_the_volume_and_one_of_a_file_are_ended_each_by_its_own_resume)
{
	int fd = file_open_direct(path);
	struct fs_bpio_output out;

	ASSERT_EQ(0, fs_enable_armed(stack.volume.fd, fd));
	ASSERT_EQ(0, pause_file(stack.volume.fd, fd));
	ASSERT_EQ(0, fs_op(stack.volume.fd, FS_BPIO_OP_VOLUME_STACK_PAUSE, -1,
			   &out));
	ASSERT_EQ(0, fs_op(stack.volume.fd, FS_BPIO_OP_VOLUME_STACK_RESUME, -1,
			   &out));
	EXPECT_PAUSED(fd, 1);
	ASSERT_EQ(0, resume_file(stack.volume.fd, fd));
	EXPECT_DIRECT(fd, 1);
	close(fd);
}

PROGRAM_MAIN
