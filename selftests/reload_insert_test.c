// SPDX-License-Identifier: GPL-2.0-only
/*
 * A layer appears below a live volume, or vanishes by force, while an enabled file
 * is read.
 */
#include <fcntl.h>

#include "load.h"
#include "objection.h"
#include "program.h"
#include "stack.h"

#define LAYERS	2
#define KIB	1024
#define BYTES	(1024 * KIB)
#define FILTER	"bpio-filter"
#define SECTORS	MIB_SECTORS(32)
#define NEW	"insert-new"
#define VETO	"8 veto 13 \"The new one watches every read.\""

static struct stack stack;
static char path[192];

/* Only the tests write, so that only reads fail when a device does. */
static int program_setup(void)
{
	int ret = module_load("dm-bpio-filter") ?:
		  stack_create(&stack, "insert", FILTER " " FILTER,
			       devices.nvme, 2048, SECTORS, "") ?:
		  volume_format(&stack.volume, MKFS_EXT4) ?:
		  volume_mount(&stack.volume, "ext4",
			       "noinit_itable,errors=continue") ?:
		  file_create(volume_path(&stack.volume, "file"), BYTES, 1);

	snprintf(path, sizeof(path), "%s", volume_path(&stack.volume, "file"));
	return ret ?: shell("sync && mount -o remount,ro %s",
			    stack.volume.mount);
}

static int program_cleanup(void)
{
	return stack_remove(&stack);
}

static int put_volume_on(const char *name)
{
	return dm_reload_one("insert", "bpio", dm_node(name), 0, SECTORS, "");
}

/* Between the volume and its first layer. */
static int insert(const char *type, const char *options)
{
	return dm_create_one(NEW, type, dm_node(stack.layer[0].name), 0,
			     SECTORS, options) ?: put_volume_on(NEW);
}

static int take_out(void)
{
	return put_volume_on(stack.layer[0].name) ?: dm_remove(NEW);
}

FIXTURE(inserted) {
	int		fd;
	struct load	load;
};

/* What is inserted, and what that does to the bypass. */
FIXTURE_VARIANT(inserted) {
	const char	*type;
	const char	*options;
	enum bpio_reason reason;
	int		status;
	const char	*name;		/* NULL: any */
	const char	*text;		/* NULL: that of the reason */
};

FIXTURE_VARIANT_ADD(inserted, a_stock_target) {
	.type = "linear", .options = "",
	.reason = BPIO_REASON_LAYER_UNAWARE, .status = -EOPNOTSUPP,
};

FIXTURE_VARIANT_ADD(inserted, a_layer_that_vetoes) {
	.type = FILTER, .options = VETO,
	.reason = BPIO_REASON_LAYER_VETO, .status = -EACCES, .name = FILTER,
	.text = "The new one watches every read.",
};

FIXTURE_VARIANT_ADD(inserted, a_layer_that_agrees) {
	.type = FILTER, .options = "", .reason = BPIO_REASON_NONE,
};

FIXTURE_SETUP(inserted)
{
	self->fd = file_open_direct(path);
	ASSERT_LE(0, self->fd);
	self->load = load_of(self->fd, BYTES, 64 * KIB, 512);
	ASSERT_EQ(0, fs_enable_armed(stack.volume.fd, self->fd));
}

FIXTURE_TEARDOWN(inserted)
{
	close(self->fd);
	EXPECT_EQ(0, active_count(stack.volume.fd));
}

#define BLOCKED(out) ((out).out_flags & FS_BPIO_OUTFL_FILTER_ATTACH_BLOCKED)

TEST_F(inserted, below_a_live_volume_blocks_its_bypass_and_is_named)
{
	const uint32_t flag = FS_BPIO_OUTFL_FILTER_ATTACH_BLOCKED;
	struct fs_bpio_output out;
	int round;

	ASSERT_EQ(0, load_start(&self->load));
	for (round = 0; round < 4; round++) {
		ASSERT_EQ(0, load_direct(&self->load));
		ASSERT_EQ(0, insert(variant->type, variant->options));
		/* as soon as it is there, whether reads have come or not */
		ASSERT_EQ(0, fs_op(stack.volume.fd, FS_BPIO_OP_QUERY, -1,
				   &out));
		if (variant->reason) {
			objection_is(_metadata, &out.query, variant->reason,
				     variant->status, variant->name,
				     variant->text);
			EXPECT_EQ((unsigned int)BPIO_SUPPORT_PARTIAL,
				  out.support);
		} else {
			EXPECT_NO_OBJECTION(&out.query);
		}
		ASSERT_EQ(0, load_direct(&self->load));
		ASSERT_EQ(0, fs_op(stack.volume.fd, FS_BPIO_OP_GET_INFO, -1,
				   &out));
		EXPECT_EQ(variant->reason ? flag : 0, BLOCKED(out));

		ASSERT_EQ(0, take_out());
		ASSERT_EQ(0, load_direct(&self->load));
		ASSERT_EQ(0, fs_op(stack.volume.fd, FS_BPIO_OP_QUERY, -1,
				   &out));
		EXPECT_EQ((unsigned int)BPIO_SUPPORT_FULL, out.support);
		EXPECT_EQ(0u, BLOCKED(out));
	}
	EXPECT_EQ(0, load_progress(&self->load, 10));
	EXPECT_EQ(0, load_stop(&self->load));
	EXPECT_EQ(0u, self->load.errors);
}

TEST_F(inserted, before_anything_is_enabled_is_no_late_attachment)
{
	struct fs_bpio_output out;

	close(self->fd);
	self->fd = file_open_direct(path);
	ASSERT_EQ(0, active_count(stack.volume.fd));
	ASSERT_EQ(0, insert(variant->type, variant->options));
	ASSERT_EQ(0, fs_op(stack.volume.fd, FS_BPIO_OP_ENABLE, self->fd, &out));
	EXPECT_EQ(1, active_count(stack.volume.fd));
	EXPECT_EQ(0u, BLOCKED(out));
	ASSERT_EQ(0, take_out());
}

TEST_F(inserted, sees_the_reads_that_it_did_not_let_pass_and_no_others)
{
	uint64_t before;

	ASSERT_EQ(0, insert(variant->type, variant->options));
	ASSERT_EQ(0, file_armed(self->fd));
	before = device_reads(dm_node(NEW));
	READ_BLOCKS(self->fd, 16, 1);
	EXPECT_EQ(before + (variant->reason ? 16 : 0),
		  device_reads(dm_node(NEW)));
	ASSERT_EQ(0, take_out());
}

TEST(a_late_layer_that_vetoes_a_file_is_obeyed_from_its_first_read_on)
{
	int fd = file_open_direct(path);
	uint64_t direct;

	ASSERT_EQ(0, fs_enable_armed(stack.volume.fd, fd));
	READ_BLOCKS(fd, 16, 1);
	ASSERT_EQ(0, insert(FILTER, "4 file_veto f* 13 Mine"));
	direct = file_direct(fd);
	READ_BLOCKS(fd, 16, 1);
	EXPECT_EQ(direct, file_direct(fd));
	ASSERT_EQ(0, take_out());
	ASSERT_EQ(0, file_armed(fd));
	READ_BLOCKS(fd, 16, 1);
	EXPECT_EQ(direct + 16, file_direct(fd));
	close(fd);
}

/* Removal by force turns a device that is in use into one that fails all I/O. */
FIXTURE(forced) {
	int		fd;
	struct load	load;
};

FIXTURE_VARIANT(forced) {
	int	layer;		/* -1: the volume */
};

FIXTURE_VARIANT_ADD(forced, the_volume) {
	.layer = -1,
};

FIXTURE_VARIANT_ADD(forced, the_upper_layer) {
	.layer = 0,
};

FIXTURE_VARIANT_ADD(forced, the_lower_layer) {
	.layer = 1,
};

FIXTURE_SETUP(forced)
{
	self->fd = file_open_direct(path);
	ASSERT_LE(0, self->fd);
	self->load = load_of(self->fd, BYTES, 64 * KIB, 512);
	ASSERT_EQ(0, fs_enable_armed(stack.volume.fd, self->fd));
	ASSERT_EQ(0, load_start(&self->load));
}

FIXTURE_TEARDOWN(forced)
{
	EXPECT_EQ(0, load_stop(&self->load));
	close(self->fd);
	EXPECT_EQ(0, active_count(stack.volume.fd));
}

TEST_F(forced, out_fails_reads_but_holds_up_none_and_all_is_well_afterwards)
{
	const char *name = variant->layer < 0 ? "insert" :
			   stack.layer[variant->layer].name;
	uint64_t errors;
	int round;

	for (round = 0; round < 3; round++) {
		ASSERT_EQ(0, load_direct(&self->load));
		self->load.may_fail = true;
		errors = self->load.errors;
		/* it is in use, so it stays, with another table */
		ASSERT_EQ(0, shell("! dmsetup remove --force " DM_PREFIX "%s "
				   "2>/dev/null", name));
		ASSERT_EQ(0, shell("dmsetup table " DM_PREFIX "%s | grep error "
				   ">/dev/null", name));
		ASSERT_EQ(0, load_progress(&self->load, 20));
		EXPECT_LT(errors, self->load.errors);

		ASSERT_EQ(0, variant->layer < 0 ?
			     put_volume_on(stack.layer[0].name) :
			     stack_reload(&stack, variant->layer, FILTER, ""));
		/* what failed has begun before */
		ASSERT_EQ(0, load_progress(&self->load, 5));
		self->load.may_fail = false;
		ASSERT_EQ(0, load_progress(&self->load, 20));
		ASSERT_EQ(0, load_direct(&self->load));
	}
}

PROGRAM_MAIN
