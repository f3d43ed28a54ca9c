// SPDX-License-Identifier: GPL-2.0-only
/*
 * A layer vetoes the volume: the name and text in the verdict, and where reads enter the
 * stack. The counters of the layers prove which reads they have seen.
 */

#include "load.h"
#include "objection.h"
#include "program.h"
#include "stack.h"
#include "verdict.h"

#define LAYERS	3
#define BYTES	(1024 * 1024)
#define BLOCKS	32
#define FILTER	"bpio-filter"

static struct stack stack;
static char path[192];

static int program_setup(void)
{
	int ret = module_load("dm-bpio-filter") ?:
		  stack_ext4(&stack, "veto", FILTER " " FILTER " " FILTER,
			     devices.nvme, 2048, MIB_SECTORS(32)) ?:
		  file_create(volume_path(&stack.volume, "file"), BYTES, 1);

	snprintf(path, sizeof(path), "%s", volume_path(&stack.volume, "file"));
	return ret;
}

static int program_cleanup(void)
{
	return stack_remove(&stack);
}

static int layer_message(unsigned int layer, const char *text)
{
	return dm_message(stack.layer[layer].name, NULL, 0, "%s", text);
}

static void allow_all(void)
{
	unsigned int i;

	for (i = 0; i < LAYERS; i++)
		layer_message(i, "allow");
}

/* How many reads each layer has seen since. */
static void new_reads(const uint64_t before[STACK_LAYERS],
		      uint64_t delta[STACK_LAYERS])
{
	unsigned int i;

	stack_reads(&stack, delta);
	for (i = 0; i < LAYERS; i++)
		delta[i] -= before[i];
}

/* The layer that vetoes; LAYERS for none. */
FIXTURE(veto) {
	int	fd;
};

FIXTURE_VARIANT(veto) {
	unsigned int layer;
};

FIXTURE_VARIANT_ADD(veto, by_the_upper_layer) {
	.layer = 0,
};

FIXTURE_VARIANT_ADD(veto, by_the_middle_layer) {
	.layer = 1,
};

FIXTURE_VARIANT_ADD(veto, by_the_lower_layer) {
	.layer = 2,
};

FIXTURE_SETUP(veto)
{
	self->fd = file_open_direct(path);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(veto)
{
	close(self->fd);
	allow_all();
	EXPECT_EQ(0, active_count(stack.volume.fd));
}

#define WORDS "The scanner has to see every read."
#define VETO "veto 13 " WORDS

TEST_F(veto, is_partial_support_told_in_the_words_of_the_layer)
{
	struct fs_bpio_output out;
	struct bpio_output storage;

	ASSERT_EQ(0, layer_message(variant->layer, VETO));
	ASSERT_EQ(0, fs_op(stack.volume.fd, FS_BPIO_OP_QUERY, self->fd, &out));
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_PARTIAL, out.support);
	EXPECT_OBJECTION(&out.query, LAYER_VETO, -EACCES, FILTER, WORDS);
	EXPECT_EQ(FS_BPIO_OUTFL_COMPATIBLE_STORAGE_DRIVER, out.out_flags);

	ASSERT_EQ(0, fs_op(stack.volume.fd, FS_BPIO_OP_QUERY, -1, &out));
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_PARTIAL, out.support);
	EXPECT_OBJECTION(&out.query, LAYER_VETO, -EACCES, FILTER, WORDS);

	ASSERT_EQ(0, storage_op(stack.volume.fd, BPIO_OP_QUERY, &storage));
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_PARTIAL, storage.support);
	EXPECT_OBJECTION(&storage.query, LAYER_VETO, -EACCES, FILTER, WORDS);
	EXPECT_EQ(FS_BPIO_OUTFL_COMPATIBLE_STORAGE_DRIVER, storage.out_flags);
}

TEST_F(veto, does_not_keep_a_file_from_being_enabled)
{
	struct fs_bpio_output out;

	ASSERT_EQ(0, layer_message(variant->layer, VETO));
	ASSERT_EQ(0, fs_op(stack.volume.fd, FS_BPIO_OP_ENABLE, self->fd, &out));
	EXPECT_EQ(1, active_count(stack.volume.fd));
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_PARTIAL, out.support);
	EXPECT_OBJECTION(&out.enable, LAYER_VETO, -EACCES, FILTER, WORDS);
	EXPECT_EQ(FS_BPIO_OUTFL_COMPATIBLE_STORAGE_DRIVER, out.out_flags);
}

TEST_F(veto, makes_reads_enter_the_stack_at_the_layer)
{
	uint64_t before[STACK_LAYERS], delta[STACK_LAYERS];
	struct bpio_file_info info;
	unsigned int i;

	ASSERT_EQ(0, layer_message(variant->layer, VETO));
	ASSERT_EQ(0, fs_enable_armed(stack.volume.fd, self->fd));
	stack_reads(&stack, before);
	READ_BLOCKS(self->fd, BLOCKS, 1);
	new_reads(before, delta);
	for (i = 0; i < LAYERS; i++)
		EXPECT_EQ(i < variant->layer ? 0 : BLOCKS, delta[i])
			TH_LOG("layer %u", i);
	ASSERT_EQ(0, file_info(self->fd, &info));
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_PARTIAL, info.support);
	EXPECT_EQ((uint64_t)BLOCKS, info.direct_reads);
	EXPECT_EQ(0u, info.fallback_reads);
}

TEST_F(veto, that_begins_and_ends_moves_the_reads_of_a_file_at_once)
{
	uint64_t before[STACK_LAYERS], delta[STACK_LAYERS];
	unsigned int i, round;

	ASSERT_EQ(0, fs_enable_armed(stack.volume.fd, self->fd));
	for (round = 0; round < 3; round++) {
		stack_reads(&stack, before);
		READ_BLOCKS(self->fd, BLOCKS, 1);
		new_reads(before, delta);
		for (i = 0; i < LAYERS; i++)
			EXPECT_EQ(0u, delta[i]) TH_LOG("layer %u", i);

		ASSERT_EQ(0, layer_message(variant->layer, VETO));
		stack_reads(&stack, before);
		READ_BLOCKS(self->fd, BLOCKS, 1);
		new_reads(before, delta);
		for (i = 0; i < LAYERS; i++)
			EXPECT_EQ(i < variant->layer ? 0 : BLOCKS, delta[i])
				TH_LOG("layer %u", i);
		ASSERT_EQ(0, layer_message(variant->layer, "allow"));
	}
	EXPECT_EQ(6u * BLOCKS, file_direct(self->fd));
}

TEST_F(veto, lets_the_layer_see_every_read_from_the_return_of_the_message_on)
{
	unsigned int round;

	ASSERT_EQ(0, fs_enable_armed(stack.volume.fd, self->fd));
	for (round = 0; round < 8; round++) {
		EXPECT_SEEN_AFTER(layer_message(variant->layer, VETO), self->fd,
				  BYTES, stack.layer[variant->layer].name);
		ASSERT_EQ(0, layer_message(variant->layer, "allow"));
	}
}

TEST_F(veto, in_the_table_is_the_same_as_by_message)
{
	struct fs_bpio_output out;
	unsigned int layer = variant->layer;

	ASSERT_EQ(0, stack_reload(&stack, layer, FILTER,
				  "9 veto 13 \"" WORDS "\""));
	ASSERT_EQ(0, fs_op(stack.volume.fd, FS_BPIO_OP_QUERY, self->fd, &out));
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_PARTIAL, out.support);
	EXPECT_OBJECTION(&out.query, LAYER_VETO, -EACCES, FILTER, WORDS);
	ASSERT_EQ(0, stack_reload(&stack, layer, FILTER, ""));
	ASSERT_EQ(0, fs_op(stack.volume.fd, FS_BPIO_OP_QUERY, self->fd, &out));
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_FULL, out.support);
	EXPECT_NO_OBJECTION(&out.query);
}

TEST(without_a_veto_no_layer_sees_a_read_of_an_enabled_file_and_all_see_others)
{
	uint64_t before[STACK_LAYERS], delta[STACK_LAYERS];
	int fd = file_open_direct(path), plain = file_open_direct(path);
	unsigned int i;

	ASSERT_EQ(0, fs_enable_armed(stack.volume.fd, fd));
	stack_reads(&stack, before);
	READ_BLOCKS(fd, BLOCKS, 1);
	new_reads(before, delta);
	for (i = 0; i < LAYERS; i++)
		EXPECT_EQ(0u, delta[i]) TH_LOG("layer %u", i);
	EXPECT_EQ((uint64_t)BLOCKS, file_direct(fd));
	/* the same file, by an open file that is not enabled */
	READ_BLOCKS(plain, BLOCKS, 1);
	new_reads(before, delta);
	for (i = 0; i < LAYERS; i++)
		EXPECT_EQ((uint64_t)BLOCKS, delta[i]) TH_LOG("layer %u", i);
	close(plain);
	close(fd);
}

TEST(the_first_veto_from_top_to_bottom_is_the_one_that_is_told)
{
	struct fs_bpio_output out;

	ASSERT_EQ(0, layer_message(2, "veto 5 The lower one objects."));
	ASSERT_EQ(0, layer_message(1, "veto 16 The middle one objects."));
	ASSERT_EQ(0, fs_op(stack.volume.fd, FS_BPIO_OP_QUERY, -1, &out));
	EXPECT_OBJECTION(&out.query, LAYER_VETO, -EBUSY, FILTER,
			 "The middle one objects.");
	ASSERT_EQ(0, layer_message(0, "veto 1 The upper one objects."));
	ASSERT_EQ(0, fs_op(stack.volume.fd, FS_BPIO_OP_QUERY, -1, &out));
	EXPECT_OBJECTION(&out.query, LAYER_VETO, -EPERM, FILTER,
			 "The upper one objects.");
	ASSERT_EQ(0, layer_message(0, "allow"));
	ASSERT_EQ(0, layer_message(1, "allow"));
	ASSERT_EQ(0, fs_op(stack.volume.fd, FS_BPIO_OP_QUERY, -1, &out));
	EXPECT_OBJECTION(&out.query, LAYER_VETO, -EIO, FILTER,
			 "The lower one objects.");
	ASSERT_EQ(0, layer_message(2, "allow"));
	ASSERT_EQ(0, fs_op(stack.volume.fd, FS_BPIO_OP_QUERY, -1, &out));
	EXPECT_NO_OBJECTION(&out.query);
}

TEST(a_query_that_skips_the_storage_stack_does_not_hear_of_a_veto)
{
	int fd = file_open_direct(path);
	struct fs_bpio_output out;

	ASSERT_EQ(0, layer_message(1, VETO));
	ASSERT_EQ(0, fs_op_flags(stack.volume.fd, FS_BPIO_OP_QUERY, fd,
				 FS_BPIO_INFL_SKIP_STORAGE_STACK_QUERY, &out));
	EXPECT_EQ(0, out.query.op_status);
	EXPECT_STREQ("query-skipped", reason_token(out.query.reason));
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_PARTIAL, out.support);
	allow_all();
	close(fd);
}

PROGRAM_MAIN
