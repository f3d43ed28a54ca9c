// SPDX-License-Identifier: GPL-2.0-only
/*
 * The bypass of one file is paused: all its handles, and no other file's.
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
static void expect_served(struct __test_metadata *_metadata, int handle,
			  uint32_t file, enum bpio_reason reason)
{
	uint64_t direct = handle_direct(handle);
	uint64_t fallback = handle_fallbacks(handle, reason);

	READ_BLOCKS(handle, BLOCKS, file);
	EXPECT_EQ(direct + (reason ? 0 : BLOCKS), handle_direct(handle));
	EXPECT_EQ(fallback + (reason ? BLOCKS : 0),
		  handle_fallbacks(handle, reason));
}

#define EXPECT_DIRECT(handle, file) \
	expect_served(_metadata, handle, file, BPIO_REASON_NONE)
#define EXPECT_PAUSED(handle, file) \
	expect_served(_metadata, handle, file, BPIO_REASON_STREAM_PAUSED)

FIXTURE(stream) {
	int	fds[2];
	int	handles[2];	/* of the two, of the same file */
	int	other;		/* handle of the other file */
};

/* How the file is named in PAUSE and RESUME. */
FIXTURE_VARIANT(stream) {
	bool	by_handle;
};

FIXTURE_VARIANT_ADD(stream, by_the_open_file) {
	.by_handle = false,
};

FIXTURE_VARIANT_ADD(stream, by_the_handle) {
	.by_handle = true,
};

FIXTURE_SETUP(stream)
{
	int i, fd;

	for (i = 0; i < 2; i++) {
		self->fds[i] = file_open_direct(path);
		ASSERT_LE(0, self->fds[i]);
		self->handles[i] = fs_enable(stack.volume.fd, self->fds[i]);
		ASSERT_LE(0, self->handles[i]);
		ASSERT_EQ(0, handle_armed(self->handles[i]));
	}
	fd = file_open_direct(other);
	self->other = fs_enable(stack.volume.fd, fd);
	ASSERT_LE(0, self->other);
	close(fd);
	ASSERT_EQ(0, handle_armed(self->other));
}

FIXTURE_TEARDOWN(stream)
{
	int i;

	for (i = 0; i < 2; i++) {
		close(self->handles[i]);
		close(self->fds[i]);
	}
	close(self->other);
	EXPECT_EQ(0, active_count(stack.volume.fd));
}

static int name_of(const FIXTURE_DATA(stream) *self,
		   const FIXTURE_VARIANT(stream) *variant)
{
	return variant->by_handle ? self->handles[1] : self->fds[0];
}

TEST_F(stream, pause_holds_for_all_handles_of_the_file_and_for_no_other_file)
{
	int name = name_of(self, variant), i;

	ASSERT_EQ(0, pause_file(stack.volume.fd, name));
	for (i = 0; i < 2; i++)
		EXPECT_PAUSED(self->handles[i], 1);
	EXPECT_DIRECT(self->other, 2);
	ASSERT_EQ(0, resume_file(stack.volume.fd, name));
	for (i = 0; i < 2; i++)
		EXPECT_DIRECT(self->handles[i], 1);
}

TEST_F(stream, pause_may_be_repeated_and_is_ended_by_one_resume)
{
	int name = name_of(self, variant), i;

	for (i = 0; i < 5; i++)
		ASSERT_EQ(0, pause_file(stack.volume.fd, name));
	EXPECT_PAUSED(self->handles[0], 1);
	ASSERT_EQ(0, resume_file(stack.volume.fd, name));
	EXPECT_DIRECT(self->handles[0], 1);
	/* a resume too many does not count for later */
	ASSERT_EQ(0, resume_file(stack.volume.fd, name));
	ASSERT_EQ(0, pause_file(stack.volume.fd, name));
	EXPECT_PAUSED(self->handles[0], 1);
}

TEST_F(stream, flags_tell_of_the_pause_for_this_file_only)
{
	const uint32_t paused = FS_BPIO_OUTFL_STREAM_BYPASS_PAUSED;
	int name = name_of(self, variant);
	struct fs_bpio_output out;
	struct bpio_handle_info info;

	ASSERT_EQ(0, fs_op(stack.volume.fd, FS_BPIO_OP_STREAM_PAUSE, name,
			   &out));
	EXPECT_EQ(paused, out.out_flags & paused);
	EXPECT_EQ(0u, out.support);
	EXPECT_EQ(-1, out.handle);
	ASSERT_EQ(0, fs_op(stack.volume.fd, FS_BPIO_OP_QUERY, self->fds[1],
			   &out));
	EXPECT_EQ(paused, out.out_flags & paused);
	ASSERT_EQ(0, handle_info(self->handles[0], &info));
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

TEST_F(stream, pause_holds_for_handles_that_are_made_meanwhile)
{
	int name = name_of(self, variant);
	int fd = file_open_direct(path);
	struct fs_bpio_output out;

	ASSERT_EQ(0, pause_file(stack.volume.fd, name));
	ASSERT_EQ(0, fs_op(stack.volume.fd, FS_BPIO_OP_ENABLE, fd, &out));
	ASSERT_LE(0, out.handle);
	EXPECT_EQ(FS_BPIO_OUTFL_STREAM_BYPASS_PAUSED,
		  out.out_flags & FS_BPIO_OUTFL_STREAM_BYPASS_PAUSED);
	EXPECT_PAUSED(out.handle, 1);
	ASSERT_EQ(0, resume_file(stack.volume.fd, name));
	EXPECT_DIRECT(out.handle, 1);
	close(out.handle);
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
	expect_served(_metadata, self->handles[0], 1, BPIO_REASON_FILE_VETO);
	EXPECT_DIRECT(self->other, 2);
	ASSERT_EQ(0, dm_message(layer, NULL, 0, "file_allow file"));
	EXPECT_DIRECT(self->handles[0], 1);
}

/* One pause under load; leaves it in force. */
static void pause_under_load(struct __test_metadata *_metadata, int handle,
			     int name)
{
	const char *layer = stack.layer[0].name;
	struct load load = {
		.fd = handle, .file = 1, .bytes = BYTES,
		.length = 4096, .unit = 4096,
	};
	struct load_watch watch;

	ASSERT_EQ(0, load_start(&load));
	ASSERT_EQ(0, load_progress(&load, 20));
	ASSERT_EQ(0, pause_file(stack.volume.fd, name));
	load_watch(&load, &watch, layer);
	EXPECT_EQ(0, load_was_seen(&load, &watch));
}

TEST_F(stream, pause_lets_no_read_past_from_its_return_on)
{
	int name = name_of(self, variant), round;

	for (round = 0; round < 8; round++) {
		pause_under_load(_metadata, self->handles[0], name);
		ASSERT_EQ(0, resume_file(stack.volume.fd, name));
	}
	EXPECT_DIRECT(self->handles[0], 1);
}

/* What @stop does to the file returns when its reads in flight have ended. */
static void stop_in_flight(struct __test_metadata *_metadata,
			   int (*stop)(int volume, int fd))
{
	const char *slowest = slow.layer[1].name;
	int fd = file_open_direct(volume_path(&slow.volume, "file"));
	int handle = fs_enable(slow.volume.fd, fd);
	struct flight flight;

	ASSERT_LE(0, handle);
	ASSERT_EQ(0, handle_armed(handle));
	ASSERT_EQ(0, stack_reload(&slow, 1, "delay", FLIGHT_MS));
	ASSERT_EQ(0, flight_start(&flight, handle, slowest));
	ASSERT_EQ(0, stop(slow.volume.fd, fd));
	EXPECT_EQ(0, flight_left(&flight));
	EXPECT_EQ(0, flight_end(&flight, 3));
	EXPECT_EQ((uint64_t)FLIGHT_READS, handle_direct(handle));
	ASSERT_EQ(0, stack_reload(&slow, 1, "delay", "0"));
	close(handle);
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
	int fd = file_open_direct(path), handle;
	struct fs_bpio_output out;

	ASSERT_EQ(0, fs_op(stack.volume.fd, FS_BPIO_OP_STREAM_PAUSE, fd, &out));
	EXPECT_EQ(0u, out.out_flags & FS_BPIO_OUTFL_STREAM_BYPASS_PAUSED);
	ASSERT_EQ(0, fs_op(stack.volume.fd, FS_BPIO_OP_STREAM_RESUME, fd,
			   &out));
	EXPECT_NO_OBJECTION(&out.stream_resume);
	handle = fs_enable(stack.volume.fd, fd);
	ASSERT_LE(0, handle);
	ASSERT_EQ(0, handle_armed(handle));
	EXPECT_DIRECT(handle, 1);
	close(handle);
	close(fd);
}

TEST(a_pause_ends_with_the_last_handle_of_the_file)
{
	int fd = file_open_direct(path), handle;

	handle = fs_enable(stack.volume.fd, fd);
	ASSERT_LE(0, handle);
	ASSERT_EQ(0, pause_file(stack.volume.fd, fd));
	close(handle);
	handle = fs_enable(stack.volume.fd, fd);
	ASSERT_LE(0, handle);
	ASSERT_EQ(0, handle_armed(handle));
	EXPECT_DIRECT(handle, 1);
	close(handle);
	close(fd);
}

TEST(a_file_is_paused_without_privilege)
{
	int fd = file_open_direct(path), handle;

	handle = fs_enable(stack.volume.fd, fd);
	ASSERT_LE(0, handle);
	ASSERT_EQ(0, become_nobody());
	EXPECT_EQ(0, pause_file(stack.volume.fd, fd));
	EXPECT_PAUSED(handle, 1);
	EXPECT_EQ(0, resume_file(stack.volume.fd, fd));
	close(handle);
	close(fd);
}

TEST(a_pause_of_the_volume_and_one_of_a_file_are_ended_each_by_its_own_resume)
{
	int fd = file_open_direct(path), handle;
	struct fs_bpio_output out;

	handle = fs_enable(stack.volume.fd, fd);
	ASSERT_LE(0, handle);
	ASSERT_EQ(0, handle_armed(handle));
	ASSERT_EQ(0, pause_file(stack.volume.fd, fd));
	ASSERT_EQ(0, fs_op(stack.volume.fd, FS_BPIO_OP_VOLUME_STACK_PAUSE, -1,
			   &out));
	ASSERT_EQ(0, fs_op(stack.volume.fd, FS_BPIO_OP_VOLUME_STACK_RESUME, -1,
			   &out));
	EXPECT_PAUSED(handle, 1);
	ASSERT_EQ(0, resume_file(stack.volume.fd, fd));
	EXPECT_DIRECT(handle, 1);
	close(handle);
	close(fd);
}

PROGRAM_MAIN
