// SPDX-License-Identifier: GPL-2.0-only
/*
 * A layer vetoes files, by inode number or by name, with its own text. Such a file gets
 * no bypass at all, and the other files of the volume are not affected.
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "load.h"
#include "objection.h"
#include "program.h"
#include "stack.h"

#define LAYERS	2
#define BYTES	(1024 * 1024)
#define BLOCKS	32
#define FILTER	"bpio-filter"
#define WORDS	"The file is watched."

enum { WATCHED, OTHER, FILES };

static struct stack stack;
static char paths[FILES][192];

static int program_setup(void)
{
	int ret = module_load("dm-bpio-filter") ?:
		  stack_ext4(&stack, "fveto", FILTER " " FILTER, devices.nvme,
			     2048, MIB_SECTORS(32));

	snprintf(paths[WATCHED], sizeof(paths[0]), "%s",
		 volume_path(&stack.volume, "key.secret"));
	snprintf(paths[OTHER], sizeof(paths[0]), "%s",
		 volume_path(&stack.volume, "other"));
	return ret ?: file_create(paths[WATCHED], BYTES, 1) ?:
	       file_create(paths[OTHER], BYTES, 2);
}

static int program_cleanup(void)
{
	return stack_remove(&stack);
}

FIXTURE(file) {
	int		fds[FILES];
	char		pattern[32];
	unsigned int	layer;
};

FIXTURE_VARIANT(file) {
	const char	*glob;		/* NULL: the inode number */
	unsigned int	layer;
};

FIXTURE_VARIANT_ADD(file, by_name_by_the_upper_layer) {
	.glob = "*.secret", .layer = 0,
};

FIXTURE_VARIANT_ADD(file, by_name_by_the_lower_layer) {
	.glob = "k[def]y.s?cret", .layer = 1,
};

FIXTURE_VARIANT_ADD(file, by_inode_by_the_upper_layer) {
	.layer = 0,
};

FIXTURE_VARIANT_ADD(file, by_inode_by_the_lower_layer) {
	.layer = 1,
};

FIXTURE_SETUP(file)
{
	struct stat st;
	int i;

	for (i = 0; i < FILES; i++) {
		self->fds[i] = file_open_direct(paths[i]);
		ASSERT_LE(0, self->fds[i]);
	}
	ASSERT_EQ(0, fstat(self->fds[WATCHED], &st));
	if (variant->glob)
		snprintf(self->pattern, sizeof(self->pattern), "%s",
			 variant->glob);
	else
		snprintf(self->pattern, sizeof(self->pattern), "%lu",
			 (unsigned long)st.st_ino);
	self->layer = variant->layer;
}

/* Returns 0 or a negative errno. */
static int veto_file(const FIXTURE_DATA(file) *self)
{
	return dm_message(stack.layer[self->layer].name, NULL, 0,
			  "file_veto %s 13 " WORDS, self->pattern);
}

static int allow_file(const FIXTURE_DATA(file) *self)
{
	return dm_message(stack.layer[self->layer].name, NULL, 0,
			  "file_allow %s", self->pattern);
}

FIXTURE_TEARDOWN(file)
{
	int i;

	for (i = 0; i < FILES; i++)
		close(self->fds[i]);
	allow_file(self);
	EXPECT_EQ(0, active_count(stack.volume.fd));
}

TEST_F(file, is_refused_in_the_words_of_the_layer_and_no_other_file_is)
{
	struct fs_bpio_output out;

	ASSERT_EQ(0, veto_file(self));
	ASSERT_EQ(0, fs_op(stack.volume.fd, FS_BPIO_OP_ENABLE,
			   self->fds[WATCHED], &out));
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_NONE, out.support);
	EXPECT_OBJECTION(&out.enable, FILE_VETO, -EACCES, FILTER, WORDS);
	EXPECT_EQ(0, active_count(stack.volume.fd));

	ASSERT_EQ(0, fs_op(stack.volume.fd, FS_BPIO_OP_QUERY,
			   self->fds[WATCHED], &out));
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_NONE, out.support);
	EXPECT_OBJECTION(&out.query, FILE_VETO, -EACCES, FILTER, WORDS);

	ASSERT_EQ(0, fs_op(stack.volume.fd, FS_BPIO_OP_QUERY,
			   self->fds[OTHER], &out));
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_FULL, out.support);
	EXPECT_NO_OBJECTION(&out.query);
	ASSERT_EQ(0, fs_op(stack.volume.fd, FS_BPIO_OP_QUERY, -1, &out));
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_FULL, out.support);
}

TEST_F(file, can_be_enabled_again_after_the_veto)
{
	int fd = self->fds[WATCHED];

	ASSERT_EQ(0, veto_file(self));
	ASSERT_EQ(-EACCES, fs_enable(stack.volume.fd, fd));
	ASSERT_EQ(0, allow_file(self));
	ASSERT_EQ(0, fs_enable_armed(stack.volume.fd, fd));
	READ_BLOCKS(fd, BLOCKS, 1);
	EXPECT_EQ((uint64_t)BLOCKS, file_direct(fd));
}

TEST_F(file, is_seen_by_all_layers_and_the_other_file_by_none)
{
	uint64_t before[STACK_LAYERS], after[STACK_LAYERS];
	int i;

	for (i = 0; i < FILES; i++) {
		ASSERT_EQ(0, fs_enable_armed(stack.volume.fd, self->fds[i]));
	}
	ASSERT_EQ(0, veto_file(self));
	stack_reads(&stack, before);
	READ_BLOCKS(self->fds[OTHER], BLOCKS, 2);
	stack_reads(&stack, after);
	for (i = 0; i < LAYERS; i++)
		EXPECT_EQ(before[i], after[i]) TH_LOG("layer %d", i);
	EXPECT_EQ((uint64_t)BLOCKS, file_direct(self->fds[OTHER]));

	READ_BLOCKS(self->fds[WATCHED], BLOCKS, 1);
	stack_reads(&stack, after);
	for (i = 0; i < LAYERS; i++)
		EXPECT_EQ(before[i] + BLOCKS, after[i]) TH_LOG("layer %d", i);
	EXPECT_EQ(0u, file_direct(self->fds[WATCHED]));
	EXPECT_EQ((uint64_t)BLOCKS,
		  file_fallbacks(self->fds[WATCHED], BPIO_REASON_FILE_VETO));

	/* as soon as the message has returned */
	ASSERT_EQ(0, allow_file(self));
	stack_reads(&stack, before);
	READ_BLOCKS(self->fds[WATCHED], BLOCKS, 1);
	stack_reads(&stack, after);
	for (i = 0; i < LAYERS; i++)
		EXPECT_EQ(before[i], after[i]) TH_LOG("layer %d", i);
}

TEST_F(file, is_seen_from_the_return_of_the_message_on_while_it_is_read)
{
	/* the file system serves it now: all layers see it */
	const char *other = stack.layer[1 - self->layer].name;
	int fd = self->fds[WATCHED], round;

	ASSERT_EQ(0, fs_enable_armed(stack.volume.fd, fd));
	for (round = 0; round < 8; round++) {
		EXPECT_SEEN_AFTER(veto_file(self), fd, BYTES, other);
		ASSERT_EQ(0, allow_file(self));
	}
}

TEST(a_veto_of_the_volume_and_one_of_a_file_do_not_hide_each_other)
{
	struct fs_bpio_output out;
	int fd = file_open_direct(paths[WATCHED]);
	int other = file_open_direct(paths[OTHER]);

	ASSERT_EQ(0, dm_message(stack.layer[0].name, NULL, 0,
				"veto 16 The volume is copied."));
	ASSERT_EQ(0, dm_message(stack.layer[1].name, NULL, 0,
				"file_veto *.secret 13 " WORDS));
	ASSERT_EQ(0, fs_op(stack.volume.fd, FS_BPIO_OP_QUERY, fd, &out));
	EXPECT_OBJECTION(&out.query, FILE_VETO, -EACCES, FILTER, WORDS);
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_NONE, out.support);
	ASSERT_EQ(0, fs_op(stack.volume.fd, FS_BPIO_OP_QUERY, other, &out));
	EXPECT_OBJECTION(&out.query, LAYER_VETO, -EBUSY, FILTER,
			 "The volume is copied.");
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_PARTIAL, out.support);
	ASSERT_EQ(0, dm_message(stack.layer[0].name, NULL, 0, "allow"));
	ASSERT_EQ(0, dm_message(stack.layer[1].name, NULL, 0,
				"file_allow *.secret"));
	close(fd);
	close(other);
}

TEST(several_vetoes_of_files_are_lifted_one_by_one)
{
	const char *name = stack.layer[0].name;
	int fd = file_open_direct(paths[WATCHED]);

	ASSERT_EQ(0, dm_message(name, NULL, 0, "file_veto *.secret 13 one"));
	ASSERT_EQ(0, dm_message(name, NULL, 0, "file_veto key.* 16 two"));
	ASSERT_EQ(0, dm_message(name, NULL, 0, "file_veto nothing 5 three"));
	EXPECT_EQ(-EACCES, fs_enable(stack.volume.fd, fd));
	ASSERT_EQ(0, dm_message(name, NULL, 0, "file_allow *.secret"));
	EXPECT_EQ(-EBUSY, fs_enable(stack.volume.fd, fd));
	EXPECT_EQ(-ENOENT, dm_message(name, NULL, 0, "file_allow *.secret"));
	ASSERT_EQ(0, dm_message(name, NULL, 0, "file_allow key.*"));
	EXPECT_EQ(0, fs_enable(stack.volume.fd, fd));
	ASSERT_EQ(0, dm_message(name, NULL, 0, "file_allow nothing"));
	close(fd);
}

PROGRAM_MAIN
