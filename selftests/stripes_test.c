// SPDX-License-Identifier: GPL-2.0-only
/*
 * Volumes of stripes. The data is written through the kernel's own "striped" target and
 * read direct through "bpio-striped" with the same arguments, so both must agree on
 * every sector.
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#include "load.h"
#include "mapper.h"
#include "objection.h"
#include "program.h"

#define KIB		1024
#define MIB		(1024 * KIB)
#define BYTES		(8 * MIB)
/* Of the file: not a multiple of anything. */
#define SIZE		(BYTES + 5000)
#define FILTER		"bpio-filter"
#define LEGS		4
#define LINES		3
#define ROUNDS		4
#define PLACE(n)	(MIB_SECTORS(40) * (n) + 2048)

static const char *second;

static int program_setup(void)
{
	second = getenv("BPIO_NVME_B1") ?: devices.nvme2;
	if (!second)
		ksft_exit_skip("there is only one NVMe namespace\n");
	return module_load("dm-bpio-filter");
}

static int program_cleanup(void)
{
	return 0;
}

enum form { STRIPES, SEGMENTS_AND_STRIPES, STRIPES_OF_STRIPES, CONCATENATED };
/* What the first leg stands on instead of a device. */
enum leg { DEVICE, ON_FILTER, ON_LINEAR, ON_BPIO };

FIXTURE(stripes) {
	struct volume	volume;
	struct dm_line	lines[LINES];
	unsigned int	nr_lines;
	bool		all_striped;
	char		params[LINES][512];
	uint64_t	sectors;
	int		node;
	int		fd;
	char		*buffer;
};

FIXTURE_VARIANT(stripes) {
	unsigned int	legs;
	unsigned int	chunk;
	enum form	form;
	enum leg	leg;
};

#define SET(name, n, kib, what, first)					\
	FIXTURE_VARIANT_ADD(stripes, name) {				\
		.legs = n, .chunk = (kib) * 2, .form = what, .leg = first, \
	}

SET(of_two_with_4_kib, 2, 4, STRIPES, DEVICE);
SET(of_two_with_64_kib, 2, 64, STRIPES, DEVICE);
SET(of_four_with_4_kib, 4, 4, STRIPES, DEVICE);
SET(of_four_with_12_kib, 4, 12, STRIPES, DEVICE);
SET(of_four_with_64_kib, 4, 64, STRIPES, DEVICE);
SET(of_four_with_256_kib, 4, 256, STRIPES, DEVICE);
SET(of_four_with_1_mib, 4, 1024, STRIPES, DEVICE);
SET(of_two_with_1_mib, 2, 1024, STRIPES, DEVICE);
SET(of_three_with_20_kib, 3, 20, STRIPES, DEVICE);
SET(of_one, 1, 16, STRIPES, DEVICE);
SET(between_segments, 2, 64, SEGMENTS_AND_STRIPES, DEVICE);
SET(behind_other_stripes, 4, 64, CONCATENATED, DEVICE);
SET(of_stripes, 2, 28, STRIPES_OF_STRIPES, DEVICE);
SET(with_a_filter_below_a_leg, 2, 16, STRIPES, ON_FILTER);
SET(with_a_stock_layer_below_a_leg, 2, 16, STRIPES, ON_LINEAR);
SET(with_a_volume_below_a_leg, 4, 16, STRIPES, ON_BPIO);

/* The arguments of stripes, the legs from number @from on. */
static void set_params(char *params, size_t size, unsigned int legs,
		       unsigned int chunk, unsigned int from, const char *first)
{
	int n = snprintf(params, size, "%u %u", legs, chunk);
	unsigned int i;

	for (i = 0; i < legs; i++)
		n += first && !i ?
		     snprintf(params + n, size - n, " %s 0", first) :
		     snprintf(params + n, size - n, " %s %llu",
			      (from + i) % 2 ? second : devices.nvme,
			      (unsigned long long)PLACE(from + i));
}

static int make_below(const FIXTURE_VARIANT(stripes) *variant, uint64_t sectors,
		      const char **first)
{
	static const char *const types[] = { NULL, FILTER, "linear", "bpio" };
	char params[256];
	struct dm_line line = {
		.sectors = sectors, .type = "bpio-striped", .params = params,
	};

	*first = NULL;
	if (variant->form == STRIPES_OF_STRIPES) {
		*first = dm_node("below");
		/* chunks that fit neither into the others nor the other way round */
		set_params(params, sizeof(params), 3, 40, 2, NULL);
		line.sectors -= line.sectors % (3 * 40);
		return dm_create("below", &line, 1, false);
	}
	if (variant->leg == DEVICE)
		return 0;
	*first = dm_node("below");
	return dm_create_one("below", types[variant->leg], devices.nvme,
			     PLACE(0), sectors, "");
}

static int make_lines(FIXTURE_DATA(stripes) *self,
		      const FIXTURE_VARIANT(stripes) *variant)
{
	/* a multiple of legs and chunks that is none of anything else */
	uint64_t rows = MIB_SECTORS(20) / variant->legs / variant->chunk + 1;
	uint64_t set = rows * variant->legs * variant->chunk, end = 0;
	uint64_t part = MIB_SECTORS(2) + 8;
	const char *first;
	unsigned int i, n = 0;
	int ret = make_below(variant, rows * variant->chunk + 120, &first);

	if (variant->form == SEGMENTS_AND_STRIPES) {
		snprintf(self->params[n], sizeof(self->params[n]), "%s %llu",
			 second, (unsigned long long)PLACE(5));
		self->lines[n++] = (struct dm_line) { .sectors = part };
	} else if (variant->form == CONCATENATED) {
		/* of so many rows that the next ones begin at no chunk of theirs */
		set_params(self->params[n], sizeof(self->params[n]), 3, 8, 5, NULL);
		self->lines[n++] = (struct dm_line) { .sectors = 171 * 3 * 8 };
	}
	set_params(self->params[n], sizeof(self->params[n]), variant->legs,
		   variant->chunk, 0, first);
	self->lines[n++] = (struct dm_line) { .sectors = set };
	if (variant->form == SEGMENTS_AND_STRIPES) {
		snprintf(self->params[n], sizeof(self->params[n]), "%s %llu",
			 devices.nvme, (unsigned long long)PLACE(6));
		self->lines[n++] = (struct dm_line) { .sectors = 4 * part };
	}
	for (i = 0; i < n; i++) {
		self->lines[i].start = end;
		self->lines[i].params = self->params[i];
		end += self->lines[i].sectors;
	}
	self->nr_lines = n;
	self->all_striped = variant->form != SEGMENTS_AND_STRIPES;
	self->sectors = end;
	return ret;
}

/* With the kernel's own targets, or with ours. */
static void set_types(FIXTURE_DATA(stripes) *self, bool stock)
{
	unsigned int i;

	for (i = 0; i < self->nr_lines; i++) {
		bool striped = self->all_striped || i == 1;

		self->lines[i].type = stock ? striped ? "striped" : "linear" :
					      striped ? "bpio-striped" : "bpio";
	}
}

static int reload(FIXTURE_DATA(stripes) *self, bool stock)
{
	set_types(self, stock);
	return dm_reload_unseen(self->volume.name, self->lines, self->nr_lines);
}

FIXTURE_SETUP(stripes)
{
	struct volume *volume = &self->volume;

	volume->fd = -1;
	self->fd = -1;
	self->buffer = dio_alloc(BYTES);
	self->node = node_open();
	ASSERT_LE(0, self->node);
	ASSERT_EQ(0, make_lines(self, variant));
	set_types(self, true);
	ASSERT_EQ(0, volume_create_lines(volume, "set", self->lines,
					 self->nr_lines));
	ASSERT_EQ(0, volume_ext4_file(volume, SIZE));
	ASSERT_EQ(0, reload(self, false));
	self->fd = file_open_direct(volume_path(volume, "file"));
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, node_enable(self->node, self->fd));
	ASSERT_EQ(0, file_armed(self->fd));
}

FIXTURE_TEARDOWN(stripes)
{
	close(self->fd);
	close(self->node);
	free(self->buffer);
	EXPECT_EQ(0, volume_remove(&self->volume));
	if (variant->leg != DEVICE || variant->form == STRIPES_OF_STRIPES)
		EXPECT_EQ(0, dm_remove("below"));
}

TEST_F(stripes, are_skipped_as_far_as_the_layers_below_take_part)
{
	uint64_t seen = device_reads(self->volume.node);
	struct fs_bpio_output out;

	ASSERT_EQ(0, volume_op(&self->volume, FS_BPIO_OP_QUERY, &out));
	if (variant->leg == ON_LINEAR) {
		EXPECT_EQ((unsigned int)BPIO_SUPPORT_PARTIAL, out.support);
		EXPECT_OBJECTION(&out.query, LAYER_UNAWARE, -EOPNOTSUPP,
				 dm_driver(), NULL);
	} else {
		EXPECT_EQ((unsigned int)BPIO_SUPPORT_FULL, out.support);
		EXPECT_NO_OBJECTION(&out.query);
	}
	READS_RIGHT(self->fd, self->buffer, BYTES, 0);
	EXPECT_EQ(seen, device_reads(self->volume.node));
	EXPECT_EQ(1u, file_direct(self->fd));
}

TEST_F(stripes, are_read_rightly_at_random_offsets_and_lengths)
{
	unsigned int seed = 7, i;

	for (i = 0; i < 200; i++) {
		uint64_t offset = rand_r(&seed) % (BYTES / 512) * 512ull;
		uint64_t bytes = (1 + rand_r(&seed) % 1024) * 512ull;

		bytes = bytes < BYTES - offset ? bytes : BYTES - offset;
		READS_RIGHT(self->fd, self->buffer, bytes, offset);
	}
	EXPECT_EQ(200u, file_direct(self->fd));
}

TEST_F(stripes, are_read_to_the_end_of_the_file)
{
	memset(self->buffer, 0xa5, MIB);
	ASSERT_EQ(SIZE - (BYTES - 64 * KIB),
		  pread(self->fd, self->buffer, MIB, BYTES - 64 * KIB));
	EXPECT_EQ(0, content_is(self->buffer, SIZE - (BYTES - 64 * KIB),
				BYTES - 64 * KIB, 1, 1));
	EXPECT_EQ(1u, file_direct(self->fd));
}

/* Of more pages than a bio takes, and none beside the next one of the file. */
TEST_F(stripes, are_read_into_scattered_memory)
{
	enum { PAGES = 600 };
	struct iovec iov[PAGES];

	memset(self->buffer, 0xa5, PAGES * 4096);
	dio_scatter(iov, PAGES, self->buffer);
	ASSERT_EQ(PAGES * 4096, preadv(self->fd, iov, PAGES, 3 * 512));
	ASSERT_EQ(0, content_vectors_are(iov, PAGES, 3 * 512, 1, 1));
	EXPECT_EQ(1u, file_direct(self->fd));
}

TEST_F(stripes, are_read_in_every_way_at_once)
{
	struct load load = load_of(self->fd, BYTES, 768 * KIB, 512);

	EXPECT_EQ(0, load_all_direct(&load, 40));
}

TEST_F(stripes, are_swapped_with_stock_ones_under_readers)
{
	struct load load = load_of(self->fd, BYTES, 256 * KIB, 512);
	int round;

	ASSERT_EQ(0, load_start(&load));
	for (round = 0; round < ROUNDS; round++) {
		ASSERT_EQ(0, reload(self, true));
		EXPECT_EQ(0, load_progress(&load, 2));
		ASSERT_EQ(0, reload(self, false));
		ASSERT_EQ(0, load_direct(&load));
		ASSERT_EQ(0, dm_suspend(self->volume.name));
		ASSERT_EQ(0, dm_resume_unseen(self->volume.name));
		ASSERT_EQ(0, load_direct(&load));
	}
	EXPECT_EQ(0, load_stop(&load));
}

TEST_F(stripes, are_bypassed_as_a_whole)
{
	struct fs_bpio_info info, after;
	struct bpio_output out;
	int plain = file_open_direct(volume_path(&self->volume, "file"));

	ASSERT_LE(0, plain);
	ASSERT_EQ(0, storage_op_fd(self->node, BPIO_OP_ENABLE, self->volume.fd,
				   &out));
	ASSERT_EQ(0, volume_info(&self->volume, &info));
	READS_RIGHT(plain, self->buffer, BYTES, 0);
	ASSERT_EQ(0, volume_info(&self->volume, &after));
	EXPECT_LT(info.mapped_reads, after.mapped_reads);
	ASSERT_EQ(0, storage_op_fd(self->node, BPIO_OP_DISABLE, self->volume.fd,
				   &out));
	close(plain);
}

TEST_F(stripes, are_left_partly_while_a_layer_below_a_leg_vetoes_or_pauses)
{
	struct fs_bpio_output out;
	uint64_t seen;

	if (variant->leg != ON_FILTER)
		SKIP(return, "there is no filter below a leg");
	seen = filter_reads("below");
	READS_RIGHT(self->fd, self->buffer, BYTES, 0);
	EXPECT_EQ(seen, filter_reads("below"));
	ASSERT_EQ(0, dm_message("below", NULL, 0, "veto 13 Not my leg."));
	ASSERT_EQ(0, volume_op(&self->volume, FS_BPIO_OP_QUERY, &out));
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_PARTIAL, out.support);
	EXPECT_OBJECTION(&out.query, LAYER_VETO, -EACCES, FILTER,
			 "Not my leg.");
	READS_RIGHT(self->fd, self->buffer, BYTES, 0);
	EXPECT_LT(seen, filter_reads("below"));
	ASSERT_EQ(0, dm_message("below", NULL, 0, "allow"));
	seen = filter_reads("below");
	READS_RIGHT(self->fd, self->buffer, BYTES, 0);
	EXPECT_EQ(seen, filter_reads("below"));
	ASSERT_EQ(0, dm_message("below", NULL, 0, "pause For a while."));
	READS_RIGHT(self->fd, self->buffer, BYTES, 0);
	EXPECT_LT(seen, filter_reads("below"));
	ASSERT_EQ(0, dm_message("below", NULL, 0, "resume"));
	ASSERT_EQ(0, file_wait_direct(self->fd, self->buffer, 4096, 0));
}

static int zero_range(int fd, uint64_t offset, uint64_t bytes)
{
	uint64_t range[2] = { offset, bytes };

	return ioctl(fd, BLKZEROOUT, range) ? -errno : 0;
}

/* Write-zeroes, and discards alike, are sent to all legs at once. */
TEST(ranges_are_zeroed_on_every_leg_and_nowhere_else)
{
	const uint64_t sectors = 3 * 24 * 40, bytes = sectors * 512;
	char params[256];
	struct dm_line line = { .sectors = sectors, .params = params };
	char *model = dio_alloc(bytes), *buffer = dio_alloc(bytes);
	unsigned int seed = 3, i;
	int fd;

	set_params(params, sizeof(params), 3, 24, 0, NULL);
	line.type = "bpio-striped";
	ASSERT_EQ(0, dm_create("zero", &line, 1, false));
	fd = open(dm_node("zero"), O_RDWR | O_DIRECT | O_CLOEXEC);
	ASSERT_LE(0, fd);
	content_fill(model, bytes, 4, 0, 1);
	ASSERT_EQ((ssize_t)bytes, pwrite(fd, model, bytes, 0));
	for (i = 0; i < 40; i++) {
		uint64_t from = rand_r(&seed) % sectors;
		uint64_t count = 1 + rand_r(&seed) % (i % 2 ? 200 : 20);

		count = count < sectors - from ? count : sectors - from;
		ASSERT_EQ(0, zero_range(fd, from * 512, count * 512));
		memset(model + from * 512, 0, count * 512);
		/* so that it is not all zeroes soon */
		if (i % 8 == 7) {
			content_fill(model, bytes, 4, 0, 1);
			ASSERT_EQ((ssize_t)bytes, pwrite(fd, model, bytes, 0));
			continue;
		}
		ASSERT_EQ((ssize_t)bytes, pread(fd, buffer, bytes, 0));
		ASSERT_EQ(0, memcmp(model, buffer, bytes))
			TH_LOG("%llu sectors from %llu",
			       (unsigned long long)count,
			       (unsigned long long)from);
	}
	/* what the kernel's own target finds there */
	line.type = "striped";
	ASSERT_EQ(0, dm_reload("zero", &line, 1));
	content_fill(model, bytes, 4, 0, 1);
	ASSERT_EQ((ssize_t)bytes, pread(fd, buffer, bytes, 0));
	EXPECT_EQ(0, memcmp(model, buffer, bytes));
	close(fd);
	EXPECT_EQ(0, dm_remove("zero"));
	free(model);
	free(buffer);
}

/* Chunks that hold no whole number of blocks; the volume begins within one. */
TEST(a_layer_that_stripes_is_skipped_unless_it_objects)
{
	enum { SECTORS = 3 * 20 * 800, BEGIN = 1016, FILE_BYTES = 4 * MIB,
	       READ_BYTES = 512 * KIB };
	char *buffer = dio_alloc(READ_BYTES);
	unsigned int seed = 5, i;
	struct fs_bpio_output out;
	struct volume volume;
	char options[128];
	uint64_t seen;
	int fd;

	snprintf(options, sizeof(options), "7 striped 3 20 %s %llu %s %llu",
		 second, (unsigned long long)PLACE(1), devices.nvme,
		 (unsigned long long)PLACE(2));
	ASSERT_EQ(0, dm_create_one("striper", FILTER, devices.nvme, PLACE(0),
				   SECTORS, options));
	ASSERT_EQ(0, volume_ext4(&volume, "striped", dm_node("striper"),
				 BEGIN, SECTORS - BEGIN));
	ASSERT_EQ(0, file_create(volume_path(&volume, "file"), FILE_BYTES, 1));
	fd = file_open_direct(volume_path(&volume, "file"));
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, fs_op(volume.fd, FS_BPIO_OP_QUERY, fd, &out));
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_FULL, out.support);
	ASSERT_EQ(0, fs_enable_armed(volume.fd, fd));
	seen = filter_reads("striper");
	for (i = 0; i < 100; i++) {
		uint64_t offset = rand_r(&seed) % (FILE_BYTES / 512) * 512ull;
		uint64_t bytes = (1 + rand_r(&seed) % (READ_BYTES / 512)) * 512ull;

		bytes = bytes < FILE_BYTES - offset ? bytes : FILE_BYTES - offset;
		READS_RIGHT(fd, buffer, bytes, offset);
	}
	EXPECT_EQ(100u, file_direct(fd));
	EXPECT_EQ(seen, filter_reads("striper"));

	ASSERT_EQ(0, dm_message("striper", NULL, 0, "veto 16 No."));
	ASSERT_EQ(0, fs_op(volume.fd, FS_BPIO_OP_QUERY, -1, &out));
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_PARTIAL, out.support);
	EXPECT_OBJECTION(&out.query, LAYER_VETO, -EBUSY, FILTER, "No.");
	READS_RIGHT(fd, buffer, READ_BYTES, 0);
	EXPECT_LT(seen, filter_reads("striper"));
	close(fd);
	EXPECT_EQ(0, volume_remove(&volume));
	EXPECT_EQ(0, dm_remove("striper"));
	free(buffer);
}

/* A leg that fails is the file system's to report. */
TEST(a_read_of_a_failing_leg_fails_as_that_of_the_file_does)
{
	const uint64_t leg = MIB_SECTORS(10);
	char params[256];
	struct dm_line line = {
		.sectors = 2 * leg, .type = "bpio-striped", .params = params,
	};
	struct dm_line error = { .sectors = leg, .type = "error", .params = "" };
	char *buffer = dio_alloc(MIB);
	struct volume volume;
	int fd, plain, node = node_open();

	ASSERT_EQ(0, dm_create_one("below", FILTER, devices.nvme, PLACE(0), leg,
				   ""));
	set_params(params, sizeof(params), 2, 128, 0, dm_node("below"));
	ASSERT_EQ(0, volume_create_lines(&volume, "failing", &line, 1));
	ASSERT_EQ(0, volume_ext4_file(&volume, MIB));
	fd = file_open_direct(volume_path(&volume, "file"));
	plain = file_open_direct(volume_path(&volume, "file"));
	ASSERT_EQ(0, node_enable(node, fd));
	ASSERT_EQ(0, file_armed(fd));
	ASSERT_EQ(MIB, pread(fd, buffer, MIB, 0));
	ASSERT_EQ(0, dm_reload_unseen("below", &error, 1));
	EXPECT_EQ(EIO, reads_alike(plain, fd, MIB));
	ASSERT_EQ(0, dm_reload_one("below", FILTER, devices.nvme, PLACE(0), leg,
				   ""));
	ASSERT_EQ(0, file_wait_direct(fd, buffer, 4096, 0));
	ASSERT_EQ(MIB, pread(fd, buffer, MIB, 0));
	EXPECT_EQ(0, content_is(buffer, MIB, 0, 1, 1));
	close(fd);
	close(plain);
	close(node);
	EXPECT_EQ(0, volume_remove(&volume));
	EXPECT_EQ(0, dm_remove("below"));
	free(buffer);
}

PROGRAM_MAIN
