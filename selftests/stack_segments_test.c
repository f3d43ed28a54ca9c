// SPDX-License-Identifier: GPL-2.0-only
/*
 * A layer of many segments on two NVMe namespaces: reads that cross from one to
 * the other are split and completed as one.
 */
#include <fcntl.h>
#include <liburing.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#include "load.h"
#include "objection.h"
#include "program.h"
#include "stack.h"

#define KIB		1024
#define MIB		(1024 * KIB)
#define BYTES		(16 * MIB)
#define FILTER		"bpio-filter"
#define SECTORS		MIB_SECTORS(32)
/* A segment; odd, so that pages and blocks of files cross as well. */
#define SEGMENT		(1024 + 8)
#define SEGMENTS	((unsigned int)(SECTORS / SEGMENT))
#define WHOLE		((uint64_t)SEGMENTS * SEGMENT)

static const char *second;
static struct volume volume;
static char path[192];

/* Lines of a table that alternate between two devices. */
static int make_lines(struct dm_line *lines, char params[][128],
		      unsigned int count, uint64_t sectors, const char *even,
		      const char *odd)
{
	unsigned int i;
	int ret = 0;

	for (i = 0; i < count && !ret; i++) {
		lines[i] = (struct dm_line) {
			.start = i * sectors, .sectors = sectors,
			.type = FILTER, .params = params[i],
		};
		/* backwards, so that no two are neighbours below */
		ret = dm_params(params[i], 128, FILTER, i % 2 ? odd : even,
				2048 + (count - i) * sectors, "");
	}
	return ret;
}

static int program_setup(void)
{
	static struct dm_line lines[SEGMENTS];
	static char params[SEGMENTS][128];
	int ret;

	second = getenv("BPIO_NVME_B1");
	if (!second)
		second = devices.nvme2;
	if (!second)
		ksft_exit_skip("there is only one NVMe namespace\n");
	ret = module_load("dm-bpio-filter") ?:
	      make_lines(lines, params, SEGMENTS, SEGMENT, devices.nvme,
			 second) ?:
	      dm_create("two", lines, SEGMENTS, false) ?:
	      volume_create(&volume, "segments", dm_node("two"), 0, WHOLE, "") ?:
	      volume_ext4_file(&volume, BYTES);
	snprintf(path, sizeof(path), "%s", volume_path(&volume, "file"));
	return ret;
}

static int program_cleanup(void)
{
	return volume_remove(&volume) ?: dm_remove("two");
}

FIXTURE(segments) {
	int		fd;
	uint64_t	offset;		/* of a crossing in the file */
	char		*buffer;
};

/* The file's first segment boundary that lies inside of an extent. */
static int find_crossing(int fd, uint64_t *offset)
{
	struct {
		struct fiemap		map;
		struct fiemap_extent	extent[1];
	} request = {
		.map = { .fm_length = FIEMAP_MAX_OFFSET, .fm_extent_count = 1 },
	};
	const uint64_t segment = SEGMENT * 512;
	uint64_t inside;

	if (ioctl(fd, FS_IOC_FIEMAP, &request) || !request.map.fm_mapped_extents)
		return -EIO;
	inside = segment - request.extent[0].fe_physical % segment;
	*offset = request.extent[0].fe_logical + inside;
	return inside + 64 * KIB < request.extent[0].fe_length ? 0 : -ENODATA;
}

FIXTURE_SETUP(segments)
{
	self->buffer = dio_alloc(BYTES);
	self->fd = file_open_direct(path);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, find_crossing(self->fd, &self->offset));
	ASSERT_EQ(0, fs_enable_armed(volume.fd, self->fd));
}

FIXTURE_TEARDOWN(segments)
{
	close(self->fd);
	free(self->buffer);
	EXPECT_EQ(0, active_count_wait(volume.fd, 0));
}

TEST_F(segments, on_two_devices_are_full_support_with_a_row_for_each_device)
{
	/* the volume, the device of the segments, two devices */
	unsigned int rows = 1 + 1 + 2, i, storage = 0;
	size_t size = sizeof(struct fs_bpio_stack) +
		      rows * sizeof(struct bpio_layer_info);
	struct fs_bpio_stack *list = calloc(1, size);
	struct fs_bpio_input in = {
		.operation = FS_BPIO_OP_QUERY, .fd = -1,
		.in_flags = FS_BPIO_INFL_ALL_LAYERS,
	};
	struct bpio_ioctl envelope = {
		.size = sizeof(envelope),
		.in_buffer = (uintptr_t)&in, .in_length = sizeof(in),
		.out_buffer = (uintptr_t)list, .out_length = size,
	};

	ASSERT_EQ(0, ioctl(volume.fd, FSCTL_MANAGE_BYPASS_IO, &envelope));
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_FULL, list->output.support);
	EXPECT_EQ(rows, list->layers);
	ASSERT_EQ(rows, list->written);
	for (i = 0; i < rows; i++)
		storage += !!(list->layer[i].flags & BPIO_LAYER_STORAGE);
	EXPECT_EQ(2u, storage);
	free(list);
}

TEST_F(segments, are_crossed_by_one_read_that_is_split_and_counted_once)
{
	uint64_t first = device_reads(devices.nvme);
	uint64_t other = device_reads(second);
	uint64_t seen = device_reads(dm_node("two"));

	ASSERT_EQ(8192, pread(self->fd, self->buffer, 8192,
			      self->offset - 4096));
	EXPECT_EQ(0, content_is(self->buffer, 8192, self->offset - 4096, 1, 1));
	EXPECT_EQ(1u, file_direct(self->fd));
	EXPECT_EQ(first + 1, device_reads(devices.nvme));
	EXPECT_EQ(other + 1, device_reads(second));
	EXPECT_EQ(seen, device_reads(dm_node("two")));
}

TEST_F(segments, are_read_up_to_and_from_the_crossing_with_one_bio)
{
	uint64_t reads = device_reads(devices.nvme) + device_reads(second);

	ASSERT_EQ(4096, pread(self->fd, self->buffer, 4096,
			      self->offset - 4096));
	EXPECT_EQ(0, content_is(self->buffer, 4096, self->offset - 4096, 1, 1));
	ASSERT_EQ(4096, pread(self->fd, self->buffer, 4096, self->offset));
	EXPECT_EQ(0, content_is(self->buffer, 4096, self->offset, 1, 1));
	EXPECT_EQ(reads + 2,
		  device_reads(devices.nvme) + device_reads(second));
}

TEST_F(segments, are_crossed_at_every_sector)
{
	unsigned int i;

	for (i = 1; i <= 16; i++) {
		uint64_t from = self->offset - i * 512;
		size_t bytes = 17 * 512;

		memset(self->buffer, 0xa5, bytes);
		ASSERT_EQ((ssize_t)bytes,
			  pread(self->fd, self->buffer, bytes, from));
		ASSERT_EQ(0, content_is(self->buffer, bytes, from, 1, 1));
	}
	EXPECT_EQ(16u, file_direct(self->fd));
}

TEST_F(segments, are_read_all_at_once)
{
	uint64_t seen = device_reads(dm_node("two"));

	memset(self->buffer, 0xa5, BYTES);
	ASSERT_EQ(BYTES, pread(self->fd, self->buffer, BYTES, 0));
	EXPECT_EQ(0, content_is(self->buffer, BYTES, 0, 1, 1));
	EXPECT_EQ(1u, file_direct(self->fd));
	EXPECT_EQ(seen, device_reads(dm_node("two")));
}

TEST_F(segments, are_crossed_inside_of_a_vector)
{
	struct iovec vector[3] = {
		{ .iov_base = self->buffer, .iov_len = 1024 },
		{ .iov_base = self->buffer + 64 * KIB, .iov_len = 6144 },
		{ .iov_base = self->buffer + 32 * KIB, .iov_len = 512 },
	};
	uint64_t from = self->offset - 3072;
	size_t done = 0;
	int i;

	ASSERT_EQ(1024 + 6144 + 512, preadv(self->fd, vector, 3, from));
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(0, content_is(vector[i].iov_base, vector[i].iov_len,
					from + done, 1, 1));
		done += vector[i].iov_len;
	}
	EXPECT_EQ(1u, file_direct(self->fd));
}

TEST_F(segments, are_crossed_by_registered_buffers)
{
	struct iovec vector = {
		.iov_base = self->buffer, .iov_len = 64 * KIB,
	};
	struct io_uring_cqe *cqe;
	struct io_uring ring;
	uint64_t from = self->offset - 32 * KIB;

	ASSERT_EQ(0, io_uring_queue_init(4, &ring, 0));
	ASSERT_EQ(0, io_uring_register_buffers(&ring, &vector, 1));
	io_uring_prep_read_fixed(io_uring_get_sqe(&ring), self->fd,
				 self->buffer, 64 * KIB, from, 0);
	ASSERT_EQ(1, io_uring_submit_and_wait(&ring, 1));
	ASSERT_EQ(0, io_uring_wait_cqe(&ring, &cqe));
	EXPECT_EQ(64 * KIB, cqe->res);
	EXPECT_EQ(0, content_is(self->buffer, 64 * KIB, from, 1, 1));
	EXPECT_EQ(1u, file_direct(self->fd));
	io_uring_queue_exit(&ring);
}

TEST_F(segments, are_read_in_every_way_at_once)
{
	struct load load = load_of(self->fd, BYTES, 768 * KIB, 512);

	EXPECT_EQ(0, load_all_direct(&load, 60));
}

/* The upper half of the device below vetoes. */
TEST_F(segments, of_which_one_vetoes_are_read_past_the_others)
{
	char before[128], after[128];
	struct fs_bpio_output out;
	unsigned int i;

	/* sector 0: the first segment */
	ASSERT_EQ(0, dm_message("two", NULL, 0, "veto 13 Not my sectors."));
	ASSERT_EQ(0, fs_op(volume.fd, FS_BPIO_OP_QUERY, -1, &out));
	EXPECT_OBJECTION(&out.query, LAYER_VETO, -EACCES, FILTER,
			 "Not my sectors.");
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_PARTIAL, out.support);
	/* the file begins in another one */
	for (i = 1; i < SEGMENTS; i += SEGMENTS / 3) {
		ASSERT_EQ(0, dm_status("two", i, before, sizeof(before)));
		ASSERT_EQ(BYTES, pread(self->fd, self->buffer, BYTES, 0));
		EXPECT_EQ(0, content_is(self->buffer, BYTES, 0, 1, 1));
		ASSERT_EQ(0, dm_status("two", i, after, sizeof(after)));
		EXPECT_STREQ(before, after);
	}
	EXPECT_EQ(i / (SEGMENTS / 3), file_direct(self->fd));
	ASSERT_EQ(0, dm_message("two", NULL, 0, "allow"));
}

/* More than a walk through the stack remembers. */
TEST(a_table_of_three_hundred_lines_is_read_rightly_whatever_is_bypassed)
{
	const unsigned int count = 300;
	struct dm_line *lines = calloc(count, sizeof(*lines));
	char (*params)[128] = calloc(count, sizeof(*params));
	const uint64_t there = MIB_SECTORS(64);
	struct bpio_file_info info;
	struct fs_bpio_output out;
	struct volume many;
	unsigned int i;
	char *buffer = dio_alloc(4 * MIB);
	int fd;

	for (i = 0; i < count; i++) {
		lines[i] = (struct dm_line) {
			.start = i * 128, .sectors = 128, .type = FILTER,
			.params = params[i],
		};
		ASSERT_EQ(0, dm_params(params[i], 128, FILTER,
				       i % 2 ? second : devices.nvme,
				       there + i * 128, ""));
	}
	ASSERT_EQ(0, dm_create("many", lines, count, false));
	ASSERT_EQ(0, volume_create(&many, "many-top", dm_node("many"), 0,
				   count * 128, ""));
	ASSERT_EQ(0, volume_format(&many, MKFS_EXT4 " -O ^has_journal"));
	ASSERT_EQ(0, volume_mount(&many, "ext4", ""));
	ASSERT_EQ(0, file_create(volume_path(&many, "file"), 4 * MIB, 3));
	fd = file_open_direct(volume_path(&many, "file"));
	ASSERT_EQ(0, fs_op(many.fd, FS_BPIO_OP_ENABLE, fd, &out));
	ASSERT_EQ(0, file_armed(fd));
	ASSERT_EQ(4 * MIB, pread(fd, buffer, 4 * MIB, 0));
	EXPECT_EQ(0, content_is(buffer, 4 * MIB, 0, 3, 1));
	/* full is only what skips every layer */
	ASSERT_EQ(0, file_info(fd, &info));
	EXPECT_EQ(out.support, info.support);
	if (out.support == BPIO_SUPPORT_FULL)
		EXPECT_NO_OBJECTION(&out.enable);
	else
		EXPECT_GT(0, out.enable.op_status);
	for (i = 0; i < count && out.support == BPIO_SUPPORT_FULL; i++) {
		char status[128], before[128] = "";

		ASSERT_EQ(0, dm_status("many", i, before, sizeof(before)));
		ASSERT_EQ(4 * MIB, pread(fd, buffer, 4 * MIB, 0));
		ASSERT_EQ(0, dm_status("many", i, status, sizeof(status)));
		ASSERT_STREQ(before, status) TH_LOG("line %u", i);
		i += 18;
	}
	close(fd);
	EXPECT_EQ(0, volume_remove(&many));
	EXPECT_EQ(0, dm_remove("many"));
}

PROGRAM_MAIN
