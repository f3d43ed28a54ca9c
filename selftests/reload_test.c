// SPDX-License-Identifier: GPL-2.0-only
/*
 * A layer is suspended, reloaded, moved or resized while an enabled file is read
 * in every way: no read fails or is wrong, and bypass resumes by itself.
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include "load.h"
#include "objection.h"
#include "program.h"
#include "stack.h"

#define LAYERS	3
#define KIB	1024
#define BYTES	(2 * 1024 * KIB)
#define FILTER	"bpio-filter"
#define SECTORS	MIB_SECTORS(32)
#define ROUNDS	6
/* Where the lowest layer lies, and where its data is moved to. */
#define HERE	2048
#define THERE	(HERE + 2 * SECTORS)

/* The volume itself counts as a layer here. */
#define VOLUME	-1

static struct stack stack;
static char path[192];

static int program_setup(void)
{
	int ret = module_load("dm-bpio-filter") ?:
		  stack_ext4(&stack, "reload", FILTER " " FILTER " " FILTER,
			     devices.nvme, HERE, SECTORS) ?:
		  file_create(volume_path(&stack.volume, "file"), BYTES, 1);

	snprintf(path, sizeof(path), "%s", volume_path(&stack.volume, "file"));
	return ret;
}

static int program_cleanup(void)
{
	return stack_remove(&stack);
}

static const char *name_of(int layer)
{
	return layer == VOLUME ? "reload" : stack.layer[layer].name;
}

/* What a layer stands on. */
static const char *below(int layer, uint64_t *start)
{
	*start = 0;
	return layer == VOLUME ? dm_node(stack.layer[0].name) :
				 stack_below(&stack, layer, start);
}

/* Live again with the table it had in the beginning. */
static int restore(int layer)
{
	const char *type = layer == VOLUME ? "bpio" : FILTER;
	uint64_t start;
	const char *device = below(layer, &start);

	return dm_reload_one(name_of(layer), type, device, start, SECTORS, "");
}

FIXTURE(under_load) {
	int		fd;
	struct load	load;
	int		layer;
};

FIXTURE_VARIANT(under_load) {
	int	layer;
};

FIXTURE_VARIANT_ADD(under_load, the_volume) {
	.layer = VOLUME,
};

FIXTURE_VARIANT_ADD(under_load, the_upper_layer) {
	.layer = 0,
};

FIXTURE_VARIANT_ADD(under_load, the_middle_layer) {
	.layer = 1,
};

FIXTURE_VARIANT_ADD(under_load, the_lower_layer) {
	.layer = 2,
};

FIXTURE_SETUP(under_load)
{
	self->layer = variant->layer;
	self->fd = file_open_direct(path);
	ASSERT_LE(0, self->fd);
	self->load = load_of(self->fd, BYTES, 64 * KIB, 512);
	ASSERT_EQ(0, fs_enable_armed(stack.volume.fd, self->fd));
	ASSERT_EQ(0, load_start(&self->load));
	ASSERT_EQ(0, load_direct(&self->load));
}

FIXTURE_TEARDOWN(under_load)
{
	EXPECT_EQ(0, load_progress(&self->load, 10));
	EXPECT_EQ(0, load_direct(&self->load));
	EXPECT_EQ(0, load_stop(&self->load));
	EXPECT_EQ(0u, self->load.errors);
	close(self->fd);
	EXPECT_EQ(0, restore(self->layer));
	EXPECT_EQ(0, active_count(stack.volume.fd));
}

#define GOES_ON() do {							\
	ASSERT_EQ(0, load_progress(&self->load, 5));			\
	ASSERT_EQ(0, load_direct(&self->load));				\
} while (0)

TEST_F(under_load, is_suspended_and_nothing_reaches_the_device_until_it_resumes)
{
	const char *name = name_of(variant->layer);
	uint64_t reads;
	int round;

	for (round = 0; round < ROUNDS; round++) {
		ASSERT_EQ(0, dm_suspend(name));
		/* the drain was over before; nothing may come any more */
		EXPECT_EQ(0, device_in_flight(devices.nvme));
		/* a request is counted a moment after its bios have ended */
		usleep(20000);
		reads = device_reads(devices.nvme);
		usleep(20000);
		EXPECT_EQ(0, device_in_flight(devices.nvme));
		EXPECT_EQ(reads, device_reads(devices.nvme));
		ASSERT_EQ(0, dm_resume(name));
		GOES_ON();
	}
}

TEST_F(under_load, is_suspended_without_flushing_or_freezing)
{
	const char *name = name_of(variant->layer);
	int round;

	for (round = 0; round < ROUNDS; round++) {
		ASSERT_EQ(0, shell("dmsetup suspend --noflush --nolockfs "
				   DM_PREFIX "%s", name));
		ASSERT_EQ(0, dm_resume(name));
		GOES_ON();
	}
}

TEST_F(under_load, is_reloaded_with_the_same_table)
{
	int round;

	for (round = 0; round < ROUNDS; round++) {
		ASSERT_EQ(0, restore(variant->layer));
		GOES_ON();
	}
}

TEST_F(under_load, is_reloaded_in_the_same_breath_again_and_again)
{
	int round;

	for (round = 0; round < 4 * ROUNDS; round++)
		ASSERT_EQ(0, restore(variant->layer));
	GOES_ON();
}

TEST_F(under_load, is_suspended_and_resumed_by_several_at_once)
{
	const char *name = name_of(variant->layer);
	int i;

	ASSERT_EQ(0, shell("for w in 1 2 3; do (for i in $(seq %d); do "
			   "dmsetup suspend " DM_PREFIX "%s; "
			   "dmsetup resume " DM_PREFIX "%s; "
			   "done) & done; wait", ROUNDS, name, name));
	for (i = 0; i < LAYERS; i++)
		ASSERT_EQ(0, dm_resume(name_of(i)));
	ASSERT_EQ(0, dm_resume(name_of(VOLUME)));
	GOES_ON();
}

/* Other tables that lead to the same sectors: two lines, a stock target. */
static int other_table(int layer, bool stock)
{
	char params[2][128];
	struct dm_line lines[2] = {
		{ .sectors = 4096 + 8, .type = FILTER, .params = params[0] },
		{ .start = 4096 + 8, .sectors = SECTORS - 4096 - 8,
		  .type = FILTER, .params = params[1] },
	};
	const char *name = name_of(layer);
	uint64_t start;
	const char *device = below(layer, &start);

	/* a volume has one target only */
	if (layer == VOLUME)
		return dm_reload_one(name, "bpio", device, start, SECTORS,
				     "1 any_storage");
	if (stock)
		return dm_reload_one(name, "linear", device, start, SECTORS,
				     "");
	return dm_params(params[0], 128, FILTER, device, start, "") ?:
	       dm_params(params[1], 128, FILTER, device, start + 4096 + 8, "") ?:
	       dm_reload(name, lines, 2);
}

TEST_F(under_load, is_reloaded_with_another_table)
{
	int round;

	for (round = 0; round < ROUNDS; round++) {
		ASSERT_EQ(0, other_table(variant->layer, false));
		GOES_ON();
		ASSERT_EQ(0, other_table(variant->layer, true));
		GOES_ON();
		ASSERT_EQ(0, restore(variant->layer));
		GOES_ON();
	}
}

TEST_F(under_load, is_loaded_and_cleared_without_becoming_live)
{
	const char *name = name_of(variant->layer);
	uint64_t direct, fallback;
	struct bpio_file_info info;
	int round;

	ASSERT_EQ(0, file_info(self->fd, &info));
	fallback = info.fallback_reads;
	direct = info.direct_reads;
	for (round = 0; round < ROUNDS; round++) {
		ASSERT_EQ(0, shell("dmsetup table " DM_PREFIX "%s | dmsetup load "
				   DM_PREFIX "%s && dmsetup clear " DM_PREFIX
				   "%s", name, name, name));
		ASSERT_EQ(0, load_progress(&self->load, 5));
	}
	/* an inactive table has no effect */
	ASSERT_EQ(0, file_info(self->fd, &info));
	EXPECT_EQ(fallback, info.fallback_reads);
	EXPECT_LT(direct, info.direct_reads);
}

/* Copy the lowest layer's sectors on the device, or overwrite them. */
static int copy_sectors(uint64_t from, uint64_t to)
{
	return shell("dd if=%s of=%s bs=1M skip=%llu seek=%llu count=%llu "
		     "iflag=direct,skip_bytes oflag=direct,seek_bytes "
		     "conv=notrunc,fsync status=none",
		     devices.nvme, devices.nvme, (unsigned long long)from * 512,
		     (unsigned long long)to * 512,
		     (unsigned long long)SECTORS / 2048);
}

static int scribble_sectors(uint64_t at)
{
	return shell("tr '\\0' x </dev/zero | head -c %llu | dd of=%s bs=1M "
		     "seek=%llu iflag=fullblock oflag=direct,seek_bytes "
		     "conv=notrunc status=none",
		     (unsigned long long)SECTORS * 512, devices.nvme,
		     (unsigned long long)at * 512);
}

static int move(uint64_t from, uint64_t to)
{
	const char *name = stack.layer[LAYERS - 1].name;
	int ret = dm_suspend(name) ?: copy_sectors(from, to) ?:
		  dm_reload_one(name, FILTER, devices.nvme, to, SECTORS, "");

	/* a read that still went the old way would find nothing of the file */
	return ret ?: scribble_sectors(from);
}

TEST(the_data_moves_elsewhere_on_the_device_while_it_is_read)
{
	int fd = file_open_direct(path), round;
	struct load load = load_of(fd, BYTES, 64 * KIB, 512);

	ASSERT_EQ(0, fs_enable_armed(stack.volume.fd, fd));
	ASSERT_EQ(0, load_start(&load));
	for (round = 0; round < ROUNDS; round++) {
		ASSERT_EQ(0, move(HERE, THERE));
		ASSERT_EQ(0, load_direct(&load));
		ASSERT_EQ(0, load_progress(&load, 5));
		ASSERT_EQ(0, move(THERE, HERE));
		ASSERT_EQ(0, load_direct(&load));
		ASSERT_EQ(0, load_progress(&load, 5));
	}
	EXPECT_EQ(0, load_stop(&load));
	EXPECT_EQ(0u, load.errors);
	close(fd);
}

/* All layers, from the bottom, and then the file system. */
static int resize(uint64_t sectors)
{
	uint64_t start;
	const char *device;
	int i, ret = 0;

	for (i = LAYERS - 1; i >= VOLUME && !ret; i--) {
		device = below(i, &start);
		ret = dm_reload_one(name_of(i), i == VOLUME ? "bpio" : FILTER,
				    device, start, sectors, "");
	}
	return ret;
}

TEST(the_volume_grows_while_a_file_is_read_and_new_room_is_bypassed_too)
{
	int fd = file_open_direct(path), large;
	struct load load = load_of(fd, BYTES, 64 * KIB, 512);
	const char *name = volume_path(&stack.volume, "large");
	uint64_t size = 0, reads[STACK_LAYERS], after[STACK_LAYERS];
	const off_t bytes = 48ll * 1024 * KIB;
	char *buffer = dio_alloc(4096);

	ASSERT_EQ(0, fs_enable_armed(stack.volume.fd, fd));
	ASSERT_EQ(0, load_start(&load));
	ASSERT_EQ(0, resize(2 * SECTORS));
	ASSERT_EQ(0, ioctl(stack.volume.fd, BLKGETSIZE64, &size));
	EXPECT_EQ(2 * SECTORS * 512, size);
	ASSERT_EQ(0, shell("resize2fs %s", stack.volume.node));
	ASSERT_EQ(0, load_direct(&load));
	EXPECT_EQ(0, load_progress(&load, 10));
	EXPECT_EQ(0, load_stop(&load));
	EXPECT_EQ(0u, load.errors);

	/* larger than the volume was */
	ASSERT_EQ(0, file_create(name, bytes, 7));
	large = file_open_direct(name);
	ASSERT_EQ(0, fs_enable_armed(stack.volume.fd, large));
	stack_reads(&stack, reads);
	ASSERT_EQ(4096, pread(large, buffer, 4096, bytes - 4096));
	EXPECT_EQ(0, content_is(buffer, 4096, bytes - 4096, 7, 1));
	stack_reads(&stack, after);
	EXPECT_EQ(reads[0], after[0]);
	EXPECT_EQ(1u, file_direct(large));
	close(large);
	close(fd);
	unlink(name);
	/* back to what the other tests expect, from the top; too late for ext4 */
	ASSERT_EQ(0, volume_umount(&stack.volume));
	ASSERT_EQ(0, shell("e2fsck -fy %s && resize2fs %s %lluK",
			   stack.volume.node, stack.volume.node,
			   (unsigned long long)SECTORS / 2));
	ASSERT_EQ(0, resize(SECTORS));
	ASSERT_EQ(0, volume_mount(&stack.volume, "ext4", ""));
}

PROGRAM_MAIN
