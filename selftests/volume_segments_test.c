// SPDX-License-Identifier: GPL-2.0-only
/*
 * Volumes of several targets, like a logical volume of several segments: one route
 * over all of them, which exists only while all of them are live.
 */
#include <fcntl.h>
#include <liburing.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "load.h"
#include "objection.h"
#include "program.h"
#include "mapper.h"

#define KIB		1024
#define MIB		(1024 * KIB)
#define BYTES		(12 * MIB)
#define LINES		3
/* Odd, so that pages and blocks of files cross from one to the other. */
#define FIRST		(MIB_SECTORS(5) + 8)
#define SECOND		(MIB_SECTORS(7) + 24)
#define SECTORS		MIB_SECTORS(32)
#define ROUNDS		6

static const char *second;
static struct volume volume;
static char path[192];
static char params[LINES][128];

/* The lines of the volume: @types of bpio or linear, on two devices. */
static void make_lines(struct dm_line lines[LINES], const char *const types[LINES])
{
	const uint64_t length[LINES] = { FIRST, SECOND, SECTORS - FIRST - SECOND };
	/* none continues where another one ends */
	const uint64_t there[LINES] = {
		MIB_SECTORS(40), MIB_SECTORS(2), MIB_SECTORS(2),
	};
	uint64_t start = 0;
	unsigned int i;

	for (i = 0; i < LINES; i++) {
		lines[i] = (struct dm_line) {
			.start = start, .sectors = length[i], .type = types[i],
			.params = params[i],
		};
		snprintf(params[i], sizeof(params[i]), "%s %llu",
			 i == 1 ? second : devices.nvme,
			 (unsigned long long)there[i]);
		start += length[i];
	}
}

static const char *const all_bpio[LINES] = { "bpio", "bpio", "bpio" };
static const char *const all_linear[LINES] = { "linear", "linear", "linear" };

static int reload(const char *const types[LINES])
{
	struct dm_line lines[LINES];

	make_lines(lines, types);
	return dm_reload_unseen(volume.name, lines, LINES);
}

static int program_setup(void)
{
	struct dm_line lines[LINES];
	int ret;

	second = getenv("BPIO_NVME_B1") ?: devices.nvme2;
	if (!second)
		ksft_exit_skip("there is only one NVMe namespace\n");
	make_lines(lines, all_bpio);
	ret = volume_create_lines(&volume, "lines", lines, LINES) ?:
	      volume_ext4_file(&volume, BYTES);
	snprintf(path, sizeof(path), "%s", volume_path(&volume, "file"));
	return ret;
}

static int program_cleanup(void)
{
	return volume_remove(&volume);
}

FIXTURE(lines) {
	int	node;
	int	fd;
	char	*buffer;
};

FIXTURE_SETUP(lines)
{
	self->buffer = dio_alloc(BYTES);
	self->node = node_open();
	ASSERT_LE(0, self->node);
	self->fd = file_open_direct(path);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, node_enable(self->node, self->fd));
	ASSERT_EQ(0, file_armed(self->fd));
}

FIXTURE_TEARDOWN(lines)
{
	close(self->fd);
	close(self->node);
	free(self->buffer);
}

TEST_F(lines, are_one_volume_of_full_support_with_one_row_for_each_device)
{
	size_t size = sizeof(struct fs_bpio_stack) +
		      8 * sizeof(struct bpio_layer_info);
	struct fs_bpio_stack *list = calloc(1, size);
	struct fs_bpio_input in = {
		.operation = FS_BPIO_OP_QUERY, .fd = volume.fd,
		.in_flags = FS_BPIO_INFL_ALL_LAYERS,
	};
	struct bpio_ioctl envelope = {
		.size = sizeof(envelope),
		.in_buffer = (uintptr_t)&in, .in_length = sizeof(in),
		.out_buffer = (uintptr_t)list, .out_length = size,
	};

	ASSERT_EQ(0, ioctl(self->node, FSCTL_MANAGE_BYPASS_IO, &envelope));
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_FULL, list->output.support);
	EXPECT_EQ(3u, list->layers);
	ASSERT_EQ(3u, list->written);
	EXPECT_EQ((unsigned int)(BPIO_LAYER_TAKES_PART | BPIO_LAYER_BYPASSED),
		  list->layer[0].flags);
	EXPECT_EQ((unsigned int)(BPIO_LAYER_TAKES_PART | BPIO_LAYER_STORAGE),
		  list->layer[1].flags);
	EXPECT_EQ(1u, list->layer[2].depth);
	free(list);
}

TEST_F(lines, are_served_by_the_node_and_not_by_the_mapped_device)
{
	struct fs_bpio_output out;

	EXPECT_EQ(-ENOTTY, fs_op(volume.fd, FS_BPIO_OP_QUERY, -1, &out));
	EXPECT_EQ(0, fs_op(self->node, FS_BPIO_OP_QUERY, volume.fd, &out));
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_FULL, out.support);
	EXPECT_NO_OBJECTION(&out.query);
}

TEST_F(lines, are_read_rightly_at_random_offsets_and_lengths)
{
	uint64_t before = file_direct(self->fd);
	unsigned int seed = 19, i;

	for (i = 0; i < 200; i++) {
		uint64_t offset = rand_r(&seed) % (BYTES / 512) * 512ull;
		uint64_t bytes = (1 + rand_r(&seed) % 2048) * 512ull;

		bytes = bytes < BYTES - offset ? bytes : BYTES - offset;
		READS_RIGHT(self->fd, self->buffer, bytes, offset);
	}
	EXPECT_EQ(before + 200, file_direct(self->fd));
	READS_RIGHT(self->fd, self->buffer, BYTES, 0);
	EXPECT_EQ(before + 201, file_direct(self->fd));
}

TEST_F(lines, are_read_in_every_way_at_once)
{
	struct load load = load_of(self->fd, BYTES, 768 * KIB, 512);

	EXPECT_EQ(0, load_all_direct(&load, 60));
}

TEST_F(lines, are_paused_and_resumed_as_one_volume)
{
	uint64_t before;
	struct fs_bpio_output out;

	ASSERT_EQ(0, volume_op(&volume, FS_BPIO_OP_VOLUME_STACK_PAUSE, &out));
	ASSERT_EQ(0, volume_op(&volume, FS_BPIO_OP_QUERY, &out));
	EXPECT_OBJECTION(&out.query, VOLUME_PAUSED, -EBUSY, "bpio",
			 "Paused by a command.");
	before = device_reads(volume.node);
	READS_RIGHT(self->fd, self->buffer, BYTES, 0);
	EXPECT_LT(before, device_reads(volume.node));
	ASSERT_EQ(0, volume_op(&volume, FS_BPIO_OP_VOLUME_STACK_RESUME, &out));
	before = device_reads(volume.node);
	READS_RIGHT(self->fd, self->buffer, BYTES, 0);
	EXPECT_EQ(before, device_reads(volume.node));
}

/* The node takes what an ioctl of the device cannot reach here. */
TEST_F(lines, are_bypassed_as_a_whole_by_a_storage_operation_of_the_node)
{
	struct fs_bpio_info info, after;
	struct bpio_output out;
	int plain = file_open_direct(path);

	ASSERT_LE(0, plain);
	ASSERT_EQ(-ENXIO, storage_op_fd(self->node, BPIO_OP_ENABLE, self->fd,
					&out));
	ASSERT_EQ(0, storage_op_fd(self->node, BPIO_OP_ENABLE, volume.fd, &out));
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_FULL, out.support);
	ASSERT_EQ(0, volume_info(&volume, &info));
	READS_RIGHT(plain, self->buffer, BYTES, 0);
	ASSERT_EQ(0, volume_info(&volume, &after));
	EXPECT_LT(info.mapped_reads, after.mapped_reads);
	ASSERT_EQ(0, storage_op_fd(self->node, BPIO_OP_DISABLE, volume.fd,
				   &out));
	close(plain);
}

TEST_F(lines, go_direct_again_by_themselves_after_each_suspend)
{
	struct load load = load_of(self->fd, BYTES, 256 * KIB, 512);
	int round;

	ASSERT_EQ(0, load_start(&load));
	for (round = 0; round < ROUNDS; round++) {
		EXPECT_EQ(0, load_progress(&load, 2));
		ASSERT_EQ(0, dm_suspend(volume.name));
		ASSERT_EQ(0, dm_resume_unseen(volume.name));
		ASSERT_EQ(0, load_direct(&load));
	}
	EXPECT_EQ(0, load_stop(&load));
}

TEST_F(lines, are_swapped_with_linear_ones_under_readers)
{
	struct load load = load_of(self->fd, BYTES, 256 * KIB, 512);
	int round;

	ASSERT_EQ(0, load_start(&load));
	for (round = 0; round < ROUNDS; round++) {
		ASSERT_EQ(0, reload(all_linear));
		EXPECT_EQ(0, load_progress(&load, 2));
		ASSERT_EQ(0, reload(all_bpio));
		ASSERT_EQ(0, load_direct(&load));
	}
	EXPECT_EQ(0, load_stop(&load));
}

FIXTURE(mixed) {
	int	node;
	int	fd;
	char	*buffer;
};

FIXTURE_VARIANT(mixed) {
	const char *const types[LINES];
};

FIXTURE_VARIANT_ADD(mixed, with_a_linear_line_first) {
	.types = { "linear", "bpio", "bpio" },
};

FIXTURE_VARIANT_ADD(mixed, with_a_linear_line_between) {
	.types = { "bpio", "linear", "bpio" },
};

FIXTURE_VARIANT_ADD(mixed, with_a_linear_line_last) {
	.types = { "bpio", "bpio", "linear" },
};

FIXTURE_SETUP(mixed)
{
	self->buffer = dio_alloc(BYTES);
	self->node = node_open();
	ASSERT_LE(0, self->node);
	ASSERT_EQ(0, reload(variant->types));
	self->fd = file_open_direct(path);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, node_enable(self->node, self->fd));
	ASSERT_EQ(0, file_armed(self->fd));
}

FIXTURE_TEARDOWN(mixed)
{
	close(self->fd);
	close(self->node);
	free(self->buffer);
	EXPECT_EQ(0, reload(all_bpio));
}

TEST_F(mixed, is_partial_and_the_foreign_line_enters_at_the_volume)
{
	struct fs_bpio_output out;
	uint64_t seen;

	ASSERT_EQ(0, volume_op(&volume, FS_BPIO_OP_QUERY, &out));
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_PARTIAL, out.support);
	EXPECT_OBJECTION(&out.query, LAYER_UNAWARE, -EOPNOTSUPP, dm_driver(),
			 NULL);
	seen = device_reads(volume.node);
	READS_RIGHT(self->fd, self->buffer, BYTES, 0);
	EXPECT_EQ(1u, file_direct(self->fd));
	if (!strcmp(variant->types[1], "linear"))
		EXPECT_LT(seen, device_reads(volume.node));
}

TEST_F(mixed, is_bypassed_as_a_whole_as_far_as_it_goes)
{
	struct bpio_output out;
	int plain = file_open_direct(path);

	ASSERT_LE(0, plain);
	ASSERT_EQ(0, storage_op_fd(self->node, BPIO_OP_ENABLE, volume.fd, &out));
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_PARTIAL, out.support);
	READS_RIGHT(plain, self->buffer, BYTES, 0);
	READS_RIGHT(self->fd, self->buffer, BYTES, 0);
	ASSERT_EQ(0, storage_op_fd(self->node, BPIO_OP_DISABLE, volume.fd,
				   &out));
	close(plain);
}

TEST_F(mixed, goes_on_by_itself_when_it_is_reloaded_under_readers)
{
	struct load load = load_of(self->fd, BYTES, 256 * KIB, 512);
	int round;

	ASSERT_EQ(0, load_start(&load));
	for (round = 0; round < 3; round++) {
		ASSERT_EQ(0, reload(all_bpio));
		ASSERT_EQ(0, load_direct(&load));
		ASSERT_EQ(0, reload(variant->types));
		ASSERT_EQ(0, load_direct(&load));
	}
	EXPECT_EQ(0, load_stop(&load));
}

/* Each line says for itself what storage will do below it. */
TEST(any_storage_is_a_matter_of_each_line)
{
	struct volume any;
	struct dm_line lines[2];
	struct fs_bpio_output out;
	char line[2][160];
	unsigned int i;

	if (!devices.scratch)
		SKIP(return, "there is no disk that is not NVMe");
	for (i = 0; i < 2; i++)
		lines[i] = (struct dm_line) {
			.start = i * MIB_SECTORS(8), .sectors = MIB_SECTORS(8),
			.type = "bpio", .params = line[i],
		};
	snprintf(line[0], sizeof(line[0]), "%s %llu 1 any_storage",
		 devices.nvme, (unsigned long long)MIB_SECTORS(64));
	snprintf(line[1], sizeof(line[1]), "%s 0", devices.scratch);
	ASSERT_EQ(0, volume_create_lines(&any, "any", lines, 2));
	EXPECT_EQ(0, volume_op(&any, FS_BPIO_OP_QUERY, &out));
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_PARTIAL, out.support);
	EXPECT_EQ((unsigned int)BPIO_REASON_NOT_NVME, out.query.reason);
	snprintf(line[0], sizeof(line[0]), "%s %llu",
		 devices.nvme, (unsigned long long)MIB_SECTORS(64));
	snprintf(line[1], sizeof(line[1]), "%s 0 1 any_storage",
		 devices.scratch);
	ASSERT_EQ(0, dm_reload(any.name, lines, 2));
	EXPECT_EQ(0, volume_op(&any, FS_BPIO_OP_QUERY, &out));
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_FULL, out.support);
	EXPECT_EQ(0, volume_remove(&any));
}

/* As many as a route can remember the layers of, and more than that. */
static void many_lines(struct __test_metadata *_metadata, unsigned int count,
		       unsigned int support)
{
	const uint64_t length = 256;
	struct dm_line *lines = calloc(count, sizeof(*lines));
	char (*line)[128] = calloc(count, sizeof(*line));
	char *buffer = dio_alloc(4 * MIB);
	struct fs_bpio_output out;
	struct bpio_output storage;
	struct volume many;
	int node = node_open(), fd;
	unsigned int i;

	for (i = 0; i < count; i++) {
		lines[i] = (struct dm_line) {
			.start = i * length, .sectors = length, .type = "bpio",
			.params = line[i],
		};
		snprintf(line[i], sizeof(line[i]), "%s %llu",
			 i % 2 ? second : devices.nvme,
			 (unsigned long long)(MIB_SECTORS(64) +
					      (count - i) * length));
	}
	ASSERT_EQ(0, volume_create_lines(&many, "many", lines, count));
	ASSERT_EQ(0, volume_format(&many, MKFS_EXT4 " -O ^has_journal"));
	ASSERT_EQ(0, volume_mount(&many, "ext4", ""));
	ASSERT_EQ(0, file_create(volume_path(&many, "file"), 4 * MIB, 3));
	fd = file_open_direct(volume_path(&many, "file"));
	ASSERT_EQ(0, node_enable(node, fd));
	ASSERT_EQ(0, file_armed(fd));
	ASSERT_EQ(4 * MIB, pread(fd, buffer, 4 * MIB, 0));
	EXPECT_EQ(0, content_is(buffer, 4 * MIB, 0, 3, 1));
	EXPECT_EQ(1u, file_direct(fd));
	EXPECT_EQ(0, volume_op(&many, FS_BPIO_OP_QUERY, &out));
	EXPECT_EQ(support, out.support);
	ASSERT_EQ(0, storage_op_fd(node, BPIO_OP_ENABLE, many.fd, &storage));
	ASSERT_EQ(4 * MIB, pread(fd, buffer, 4 * MIB, 0));
	EXPECT_EQ(0, content_is(buffer, 4 * MIB, 0, 3, 1));
	ASSERT_EQ(0, storage_op_fd(node, BPIO_OP_DISABLE, many.fd, &storage));
	close(fd);
	close(node);
	EXPECT_EQ(0, volume_remove(&many));
	free(buffer);
	free(line);
	free(lines);
}

TEST(a_volume_of_a_hundred_lines_is_bypassed_in_full)
{
	many_lines(_metadata, 100, BPIO_SUPPORT_FULL);
}

TEST(a_volume_of_three_hundred_lines_is_bypassed_in_part)
{
	many_lines(_metadata, 300, BPIO_SUPPORT_PARTIAL);
}

/* Memory of which no two neighbouring pages are neighbours in the machine. */
static char *map_apart(size_t pages)
{
	char *memory = mmap(NULL, pages * 4096, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t first, i;

	madvise(memory, pages * 4096, MADV_NOHUGEPAGE);
	for (first = 0; first < 2; first++)
		for (i = first; i < pages; i += 2)
			memory[i * 4096] = 1;
	return memory;
}

/*
 * A bio is full after 256 vectors. The first vector here is a block, and each further
 * block takes two of them, so the last one that fits is half a block. The bio has to be
 * cut at a block of the device with the larger ones, wherever it begins.
 */
TEST(devices_of_different_block_sizes_are_read_rightly)
{
	enum { BLOCKS = 300, ALL = BLOCKS * 4096 };
	char *memory = map_apart(3 * BLOCKS);
	struct iovec iov[BLOCKS];
	struct dm_line lines[2];
	struct volume mixed;
	char line[2][128];
	int node = node_open(), fd, i;
	off_t pos;

	if (shell("modprobe -q scsi_debug sector_size=4096 dev_size_mb=32"))
		SKIP(return, "there is no scsi_debug");
	ASSERT_EQ(0, shell("udevadm settle; cd /sys/bus/pseudo/drivers/scsi_debug; "
			   "ln -sf /dev/$(ls adapter0/host*/target*/*/block) "
			   "/dev/blocks-of-4096"));
	snprintf(line[0], sizeof(line[0]), "%s %llu", devices.nvme,
		 (unsigned long long)MIB_SECTORS(64));
	snprintf(line[1], sizeof(line[1]),
		 "/dev/blocks-of-4096 0 1 any_storage");
	for (i = 0; i < 2; i++)
		lines[i] = (struct dm_line) {
			.start = i * MIB_SECTORS(16), .sectors = MIB_SECTORS(16),
			.type = "bpio", .params = line[i],
		};
	for (i = 0; i < BLOCKS; i++)
		iov[i] = (struct iovec) {
			memory + i * 3 * 4096 + (i ? 512 : 0), 4096 };
	ASSERT_EQ(0, volume_create_lines(&mixed, "mixed-blocks", lines, 2));
	ASSERT_EQ(0, volume_format(&mixed, MKFS_EXT4 " -O ^has_journal"));
	ASSERT_EQ(0, volume_mount(&mixed, "ext4", ""));
	/* more than lies on the first device */
	ASSERT_EQ(0, file_create(volume_path(&mixed, "file"), 20 * MIB, 5));
	fd = file_open_direct(volume_path(&mixed, "file"));
	ASSERT_EQ(0, node_enable(node, fd));
	ASSERT_EQ(0, file_armed(fd));
	for (pos = 0; pos <= 20 * MIB - ALL; pos += 256 * KIB) {
		ASSERT_EQ(ALL, preadv(fd, iov, BLOCKS, pos));
		for (i = 0; i < BLOCKS; i++)
			ASSERT_EQ(0, content_is(iov[i].iov_base, 4096,
						pos + i * 4096, 5, 1));
	}
	EXPECT_EQ(pos / (256 * KIB), file_direct(fd));
	close(fd);
	close(node);
	EXPECT_EQ(0, volume_remove(&mixed));
	EXPECT_EQ(0, shell("rm /dev/blocks-of-4096; modprobe -r scsi_debug"));
	munmap(memory, 3 * BLOCKS * 4096);
}

PROGRAM_MAIN
