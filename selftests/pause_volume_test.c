// SPDX-License-Identifier: GPL-2.0-only
/*
 * The bypass of the volume is paused: by a program for the whole volume, or by a layer
 * that has to see reads. Reads enter the stack at the volume, or at that layer.
 */
#include <fcntl.h>
#include <linux/capability.h>
#include <time.h>

#include "flight.h"
#include "load.h"
#include "objection.h"
#include "program.h"
#include "stack.h"

#define LAYERS	3
#define BYTES	(1024 * 1024)
#define BLOCKS	32
#define FILTER	"bpio-filter"
#define WHY	"A snapshot is taken."

/* The fast stack, and one that takes its time, below the layer for in_flight. */
static struct stack stack, slow;
static char path[192];

static int program_setup(void)
{
	int ret = module_load("dm-bpio-filter") ?:
		  stack_ext4(&stack, "pause", FILTER " " FILTER " " FILTER,
			     devices.nvme, 2048, MIB_SECTORS(32)) ?:
		  file_create(volume_path(&stack.volume, "file"), BYTES, 1) ?:
		  stack_ext4(&slow, "slow", FILTER " " FILTER " linear delay",
			     devices.nvme, MIB_SECTORS(64), MIB_SECTORS(32)) ?:
		  file_create(volume_path(&slow.volume, "file"), BYTES, 2);

	snprintf(path, sizeof(path), "%s", volume_path(&stack.volume, "file"));
	return ret;
}

static int program_cleanup(void)
{
	return stack_remove(&stack) ?: stack_remove(&slow);
}

/* Who pauses: layer 0 or 1 by a message, or a program. */
#define PROGRAM	-1

static int pause_by(const struct stack *on, int who)
{
	struct fs_bpio_output out;

	if (who != PROGRAM)
		return dm_message(on->layer[who].name, NULL, 0, "pause " WHY);
	return fs_op(on->volume.fd, FS_BPIO_OP_VOLUME_STACK_PAUSE, -1, &out);
}

static int resume_by(const struct stack *on, int who)
{
	struct fs_bpio_output out;

	if (who != PROGRAM)
		return dm_message(on->layer[who].name, NULL, 0, "resume");
	return fs_op(on->volume.fd, FS_BPIO_OP_VOLUME_STACK_RESUME, -1, &out);
}

FIXTURE(pause) {
	int	fd;
	int	who;
};

FIXTURE_VARIANT(pause) {
	int		who;
	const char	*name;
	const char	*why;
};

FIXTURE_VARIANT_ADD(pause, by_a_program) {
	.who = PROGRAM, .name = "bpio", .why = "Paused by a command.",
};

FIXTURE_VARIANT_ADD(pause, by_the_upper_layer) {
	.who = 0, .name = FILTER, .why = WHY,
};

FIXTURE_VARIANT_ADD(pause, by_the_middle_layer) {
	.who = 1, .name = FILTER, .why = WHY,
};

FIXTURE_SETUP(pause)
{
	self->who = variant->who;
	self->fd = file_open_direct(path);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, fs_enable_armed(stack.volume.fd, self->fd));
}

FIXTURE_TEARDOWN(pause)
{
	unsigned int i;

	close(self->fd);
	resume_by(&stack, self->who);
	for (i = 0; i < LAYERS; i++)
		dm_message(stack.layer[i].name, NULL, 0, "allow");
	EXPECT_EQ(0, active_count(stack.volume.fd));
}

/* Which layers see the reads of the file now: those from @first on. */
static void expect_seen_from(struct __test_metadata *_metadata, int fd,
			     unsigned int first)
{
	uint64_t before[STACK_LAYERS], after[STACK_LAYERS];
	uint64_t direct = file_direct(fd);
	unsigned int i;

	stack_reads(&stack, before);
	READ_BLOCKS(fd, BLOCKS, 1);
	stack_reads(&stack, after);
	for (i = 0; i < LAYERS; i++)
		EXPECT_EQ(i < first ? 0 : BLOCKS, after[i] - before[i])
			TH_LOG("layer %u", i);
	/* the bypass of the file system has gone on */
	EXPECT_EQ(direct + BLOCKS, file_direct(fd));
}

#define EXPECT_SEEN_FROM(fd, first) \
	expect_seen_from(_metadata, fd, first)
#define EXPECT_NOT_SEEN(fd)	EXPECT_SEEN_FROM(fd, LAYERS)

TEST_F(pause, makes_reads_enter_the_stack_at_whoever_paused)
{
	unsigned int first = variant->who == PROGRAM ? 0 : variant->who;
	struct bpio_file_info info;

	EXPECT_NOT_SEEN(self->fd);
	ASSERT_EQ(0, pause_by(&stack, self->who));
	EXPECT_SEEN_FROM(self->fd, first);
	ASSERT_EQ(0, file_info(self->fd, &info));
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_PARTIAL, info.support);
	EXPECT_EQ(0u, info.fallback_reads);
	ASSERT_EQ(0, resume_by(&stack, self->who));
	EXPECT_NOT_SEEN(self->fd);
}

TEST_F(pause, may_be_repeated_and_is_ended_by_one_resume)
{
	unsigned int first = variant->who == PROGRAM ? 0 : variant->who;
	int i;

	for (i = 0; i < 5; i++) {
		ASSERT_EQ(0, pause_by(&stack, self->who));
		EXPECT_SEEN_FROM(self->fd, first);
	}
	ASSERT_EQ(0, resume_by(&stack, self->who));
	EXPECT_NOT_SEEN(self->fd);
	/* nor does a resume too many count for later */
	ASSERT_EQ(0, resume_by(&stack, self->who));
	ASSERT_EQ(0, pause_by(&stack, self->who));
	EXPECT_SEEN_FROM(self->fd, first);
}

TEST_F(pause, with_nothing_enabled_holds_for_what_is_enabled_later)
{
	unsigned int first = variant->who == PROGRAM ? 0 : variant->who;
	struct fs_bpio_output out;

	close(self->fd);
	self->fd = file_open_direct(path);
	ASSERT_EQ(0, active_count(stack.volume.fd));
	ASSERT_EQ(0, pause_by(&stack, self->who));
	ASSERT_EQ(0, fs_op(stack.volume.fd, FS_BPIO_OP_ENABLE, self->fd, &out));
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_PARTIAL, out.support);
	EXPECT_OBJECTION(&out.enable, VOLUME_PAUSED, -EBUSY, variant->name,
			 variant->why);
	ASSERT_EQ(0, file_armed(self->fd));
	EXPECT_SEEN_FROM(self->fd, first);
	ASSERT_EQ(0, resume_by(&stack, self->who));
	EXPECT_NOT_SEEN(self->fd);
}

TEST_F(pause, is_told_by_query_with_who_and_why)
{
	struct fs_bpio_output out;

	ASSERT_EQ(0, pause_by(&stack, self->who));
	ASSERT_EQ(0, fs_op(stack.volume.fd, FS_BPIO_OP_QUERY, self->fd, &out));
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_PARTIAL, out.support);
	EXPECT_OBJECTION(&out.query, VOLUME_PAUSED, -EBUSY, variant->name,
			 variant->why);
	EXPECT_EQ(variant->who == PROGRAM ?
		  FS_BPIO_OUTFL_VOLUME_STACK_BYPASS_PAUSED : 0,
		  out.out_flags & FS_BPIO_OUTFL_VOLUME_STACK_BYPASS_PAUSED);
	ASSERT_EQ(0, resume_by(&stack, self->who));
	ASSERT_EQ(0, fs_op(stack.volume.fd, FS_BPIO_OP_QUERY, self->fd, &out));
	EXPECT_NO_OBJECTION(&out.query);
	EXPECT_EQ(FS_BPIO_OUTFL_COMPATIBLE_STORAGE_DRIVER, out.out_flags);
}

TEST_F(pause, is_followed_by_a_new_query_so_that_a_veto_since_holds)
{
	unsigned int lower = variant->who + 1;

	ASSERT_EQ(0, pause_by(&stack, self->who));
	ASSERT_EQ(0, dm_message(stack.layer[lower].name, NULL, 0,
				"veto 13 A scanner has come."));
	ASSERT_EQ(0, resume_by(&stack, self->who));
	EXPECT_SEEN_FROM(self->fd, lower);
	ASSERT_EQ(0, dm_message(stack.layer[lower].name, NULL, 0, "allow"));
	EXPECT_NOT_SEEN(self->fd);
}

TEST_F(pause, lets_no_read_past_from_its_return_on_however_busy_the_file_is)
{
	const char *layer = stack.layer[self->who == PROGRAM ? 0 : self->who].name;
	int round;

	for (round = 0; round < 8; round++) {
		EXPECT_SEEN_AFTER(pause_by(&stack, self->who), self->fd, BYTES,
				  layer);
		ASSERT_EQ(0, resume_by(&stack, self->who));
	}
	EXPECT_NOT_SEEN(self->fd);
}

TEST_F(pause, returns_when_the_reads_in_flight_have_ended)
{
	const char *slowest = slow.layer[3].name;
	int fd = file_open_direct(volume_path(&slow.volume, "file"));
	struct flight flight;

	ASSERT_EQ(0, fs_enable_armed(slow.volume.fd, fd));
	ASSERT_EQ(0, stack_reload(&slow, 3, "delay", FLIGHT_MS));
	ASSERT_EQ(0, flight_start(&flight, fd, slowest));
	ASSERT_EQ(0, pause_by(&slow, self->who));
	EXPECT_EQ(0, flight_left(&flight));
	EXPECT_EQ(0, flight_end(&flight, 2));
	EXPECT_EQ((uint64_t)FLIGHT_READS, file_direct(fd));
	ASSERT_EQ(0, resume_by(&slow, self->who));
	ASSERT_EQ(0, stack_reload(&slow, 3, "delay", "0"));
	close(fd);
}

TEST(the_flags_of_every_operation_tell_of_a_pause_of_the_volume)
{
	const uint32_t paused = FS_BPIO_OUTFL_VOLUME_STACK_BYPASS_PAUSED;
	struct fs_bpio_output out;
	int fd = file_open_direct(path);

	ASSERT_EQ(0, fs_op(stack.volume.fd, FS_BPIO_OP_VOLUME_STACK_PAUSE, -1,
			   &out));
	EXPECT_EQ(paused, out.out_flags & paused);
	EXPECT_EQ(0u, out.support);
	ASSERT_EQ(0, fs_op(stack.volume.fd, FS_BPIO_OP_ENABLE, fd, &out));
	EXPECT_EQ(paused, out.out_flags & paused);
	ASSERT_EQ(0, fs_op(stack.volume.fd, FS_BPIO_OP_GET_INFO, -1, &out));
	EXPECT_EQ(paused, out.out_flags & paused);
	ASSERT_EQ(0, fs_op(stack.volume.fd, FS_BPIO_OP_STREAM_PAUSE, fd, &out));
	EXPECT_EQ(paused | FS_BPIO_OUTFL_STREAM_BYPASS_PAUSED,
		  out.out_flags & (paused | FS_BPIO_OUTFL_STREAM_BYPASS_PAUSED));
	ASSERT_EQ(0, fs_op(stack.volume.fd, FS_BPIO_OP_VOLUME_STACK_RESUME, -1,
			   &out));
	EXPECT_EQ(0u, out.out_flags & paused);
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_FULL, out.support);
	EXPECT_NO_OBJECTION(&out.volume_stack_resume);
	close(fd);
}

TEST(the_resume_tells_of_a_veto_that_has_come_meanwhile)
{
	struct fs_bpio_output out;

	ASSERT_EQ(0, pause_by(&stack, PROGRAM));
	ASSERT_EQ(0, dm_message(stack.layer[1].name, NULL, 0,
				"veto 13 A scanner has come."));
	ASSERT_EQ(0, fs_op(stack.volume.fd, FS_BPIO_OP_VOLUME_STACK_RESUME, -1,
			   &out));
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_PARTIAL, out.support);
	EXPECT_OBJECTION(&out.volume_stack_resume, LAYER_VETO, -EACCES, FILTER,
			 "A scanner has come.");
	ASSERT_EQ(0, dm_message(stack.layer[1].name, NULL, 0, "allow"));
}

TEST(a_pause_by_a_program_lasts_over_a_reload_of_the_volume)
{
	int fd = file_open_direct(path);
	struct fs_bpio_output out;

	ASSERT_EQ(0, fs_enable(stack.volume.fd, fd));
	ASSERT_EQ(0, pause_by(&stack, PROGRAM));
	ASSERT_EQ(0, dm_reload_one("pause", "bpio",
				   dm_node(stack.layer[0].name), 0,
				   stack.sectors, ""));
	ASSERT_EQ(0, fs_op(stack.volume.fd, FS_BPIO_OP_QUERY, -1, &out));
	EXPECT_OBJECTION(&out.query, VOLUME_PAUSED, -EBUSY, "bpio",
			 "Paused by a command.");
	ASSERT_EQ(0, file_armed(fd));
	EXPECT_SEEN_FROM(fd, 0);
	ASSERT_EQ(0, resume_by(&stack, PROGRAM));
	EXPECT_NOT_SEEN(fd);
	close(fd);
}

TEST(pauses_of_several_are_all_to_be_ended)
{
	int fd = file_open_direct(path);

	ASSERT_EQ(0, fs_enable_armed(stack.volume.fd, fd));
	ASSERT_EQ(0, pause_by(&stack, 1));
	EXPECT_SEEN_FROM(fd, 1);
	ASSERT_EQ(0, pause_by(&stack, PROGRAM));
	EXPECT_SEEN_FROM(fd, 0);
	ASSERT_EQ(0, pause_by(&stack, 0));
	ASSERT_EQ(0, resume_by(&stack, 1));
	EXPECT_SEEN_FROM(fd, 0);
	ASSERT_EQ(0, resume_by(&stack, PROGRAM));
	EXPECT_SEEN_FROM(fd, 0);
	ASSERT_EQ(0, resume_by(&stack, 0));
	EXPECT_NOT_SEEN(fd);
	close(fd);
}

TEST(without_privilege_the_volume_is_paused_only_through_a_writable_descriptor)
{
	int writable = open(stack.volume.node, O_RDWR | O_CLOEXEC);
	struct fs_bpio_output out;
	uint32_t op;

	ASSERT_LE(0, writable);
	ASSERT_EQ(0, drop_capability(CAP_SYS_ADMIN));
	for (op = FS_BPIO_OP_VOLUME_STACK_PAUSE;
	     op <= FS_BPIO_OP_VOLUME_STACK_RESUME; op++) {
		EXPECT_EQ(-EPERM, fs_op(stack.volume.fd, op, -1, &out));
		EXPECT_EQ(0, fs_op(writable, op, -1, &out));
	}
	close(writable);
}

PROGRAM_MAIN
