// SPDX-License-Identifier: GPL-2.0-only
/*
 * A read that fails where it enters the stack is repeated on the path that it would
 * take without bypass. So bypass never makes a readable file unreadable.
 *
 *	volume		bpio
 *	error-two	bpio-filter, segments on the two below in turn
 *	error-0, -1	bpio-probe, which veto, so that reads enter here, and fail
 *			as many reads as requested
 */
#include <fcntl.h>
#include <liburing.h>

#include "objection.h"
#include "program.h"
#include "stack.h"

#define KIB	1024
#define MIB	(1024 * KIB)
#define BYTES	(4 * MIB)
#define SECTORS	MIB_SECTORS(32)
/* Odd, so that reads are cut unevenly. */
#define SEGMENT	(1024 + 8)
#define SEGMENTS ((unsigned int)(2 * (SECTORS / SEGMENT)))
#define FAILING	2

static struct volume volume;
static char path[192];

static const char *failing(unsigned int index)
{
	return index % FAILING ? "error-1" : "error-0";
}

static int make_failing(unsigned int index)
{
	return dm_create_one(failing(index), "bpio-probe", devices.nvme,
			     2048 + index * SECTORS, SECTORS, "") ?:
	       dm_message(failing(index), NULL, 0, "storage_veto 5 It_fails.");
}

static int make_two(void)
{
	static struct dm_line lines[SEGMENTS];
	static char params[SEGMENTS][128];
	unsigned int i;
	int ret = 0;

	for (i = 0; i < SEGMENTS && !ret; i++) {
		lines[i] = (struct dm_line) {
			.start = i * SEGMENT, .sectors = SEGMENT,
			.type = "bpio-filter", .params = params[i],
		};
		ret = dm_params(params[i], 128, "bpio-filter",
				dm_node(failing(i)), i / 2 * SEGMENT, "");
	}
	return ret ?: dm_create("error-two", lines, SEGMENTS, false);
}

static int program_setup(void)
{
	int ret = module_load("dm-bpio-filter") ?: module_load("bpio-probe") ?:
		  make_failing(0) ?: make_failing(1) ?: make_two() ?:
		  volume_create(&volume, "error", dm_node("error-two"), 0,
				SEGMENTS * SEGMENT, "") ?:
		  volume_quiet_ext4(&volume) ?:
		  file_create(volume_path(&volume, "file"), BYTES, 1);

	snprintf(path, sizeof(path), "%s", volume_path(&volume, "file"));
	return ret;
}

static int program_cleanup(void)
{
	return volume_remove(&volume) ?: dm_remove("error-two") ?:
	       dm_remove(failing(0)) ?: dm_remove(failing(1));
}

/* Fail so many of the next reads of both. Returns 0 or a negative errno. */
static int fail_reads(unsigned int count)
{
	return dm_message(failing(0), NULL, 0, "fail %u", count) ?:
	       dm_message(failing(1), NULL, 0, "fail %u", count);
}

/*
 * Reads that came to the failing devices, and those that came by the layer. The
 * failed ones are not counted by device-mapper, but by the target.
 */
static uint64_t entered(void)
{
	return filter_reads(failing(0)) + filter_reads(failing(1));
}

static uint64_t layered(void)
{
	return device_reads(dm_node("error-two"));
}

static int set_bypass(bool enabled)
{
	struct bpio_output out;

	return storage_op(volume.fd, enabled ? BPIO_OP_ENABLE : BPIO_OP_DISABLE,
			  &out);
}

FIXTURE(failed) {
	int		fd;
	char		*buffer;
	uint64_t	entered;
	uint64_t	layered;
};

/* Which of the two ways a read is sent past the layers by. */
FIXTURE_VARIANT(failed) {
	bool	mapped;
};

FIXTURE_VARIANT_ADD(failed, read_of_an_enabled_file) {
	.mapped = false,
};

FIXTURE_VARIANT_ADD(failed, read_by_volume_bypass) {
	.mapped = true,
};

FIXTURE_SETUP(failed)
{
	self->buffer = dio_alloc(BYTES);
	self->fd = file_open_direct(path);
	ASSERT_LE(0, self->fd);
	if (variant->mapped) {
		ASSERT_EQ(0, set_bypass(true));
	} else {
		ASSERT_EQ(0, fs_enable_armed(volume.fd, self->fd));
	}
	self->entered = entered();
	self->layered = layered();
}

FIXTURE_TEARDOWN(failed)
{
	EXPECT_EQ(0, fail_reads(0));
	close(self->fd);
	EXPECT_EQ(0, set_bypass(false));
	EXPECT_EQ(0, active_count(volume.fd));
	free(self->buffer);
}

/* Since the test began so many reads have come there. */
#define EXPECT_READS(at_entry, by_layer) do {				\
	EXPECT_EQ(self->entered + (at_entry), entered());		\
	EXPECT_EQ(self->layered + (by_layer), layered());		\
} while (0)

TEST_F(failed, is_repeated_through_the_layers)
{
	/* without failures it is none of the layer's business */
	READ_BLOCKS(self->fd, 1, 1);
	EXPECT_READS(1, 0);
	ASSERT_EQ(0, fail_reads(1));
	READ_BLOCKS(self->fd, 1, 1);
	EXPECT_READS(3, 1);
	if (!variant->mapped)
		EXPECT_EQ(1u, file_fallbacks(self->fd,
					     BPIO_REASON_DEVICE_ERROR));
	ASSERT_EQ(0, fail_reads(0));
	/* and the next one goes past it again */
	READ_BLOCKS(self->fd, 1, 1);
	EXPECT_READS(4, 1);
}

TEST_F(failed, is_repeated_once_and_then_fails_as_it_would_without_bypass)
{
	int plain = file_open_direct(path), error;

	ASSERT_EQ(0, fail_reads(2));
	EXPECT_EQ(-1, pread(self->fd, self->buffer, 4096, 0));
	error = errno;
	EXPECT_READS(2, 1);

	ASSERT_EQ(0, fail_reads(1000));
	ASSERT_EQ(0, set_bypass(false));
	EXPECT_EQ(-1, pread(plain, self->buffer, 4096, 0));
	EXPECT_EQ(errno, error);
	EXPECT_EQ(EIO, error);
	close(plain);
}

/* Cut into many on the way, of which one fails. */
TEST_F(failed, is_repeated_when_it_spans_segments_and_a_part_fails)
{
	int round;

	for (round = 0; round < 8; round++) {
		ASSERT_EQ(0, dm_message(failing(round), NULL, 0, "fail 1"));
		memset(self->buffer, 0xa5, BYTES);
		ASSERT_EQ(BYTES, pread(self->fd, self->buffer, BYTES, 0));
		ASSERT_EQ(0, content_is(self->buffer, BYTES, 0, 1, 1));
		EXPECT_LT(self->layered, layered());
		self->layered = layered();
	}
}

static void judge(struct __test_metadata *_metadata, const char *buffer,
		  const struct io_uring_cqe *cqe, size_t length)
{
	uint64_t offset = cqe->user_data;

	ASSERT_EQ((int)length, cqe->res);
	ASSERT_EQ(0, content_is(buffer + offset, length, offset, 1, 1));
}

TEST_F(failed, is_repeated_while_others_are_in_flight)
{
	struct io_uring_cqe *cqe;
	struct io_uring ring;
	unsigned int i, round;
	const size_t part = BYTES / 16;

	ASSERT_EQ(0, io_uring_queue_init(16, &ring, 0));
	for (round = 0; round < 8; round++) {
		memset(self->buffer, 0xa5, BYTES);
		ASSERT_EQ(0, fail_reads(1 + round));
		for (i = 0; i < 16; i++) {
			struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

			io_uring_prep_read(sqe, self->fd,
					   self->buffer + i * part, part,
					   i * part);
			io_uring_sqe_set_data64(sqe, i * part);
		}
		ASSERT_EQ(16, io_uring_submit_and_wait(&ring, 16));
		for (i = 0; i < 16; i++) {
			ASSERT_EQ(0, io_uring_peek_cqe(&ring, &cqe));
			/* several failures may meet the same read */
			if (cqe->res != -EIO)
				judge(_metadata, self->buffer, cqe, part);
			io_uring_cqe_seen(&ring, cqe);
		}
		ASSERT_EQ(0, fail_reads(0));
	}
	ASSERT_EQ(BYTES, pread(self->fd, self->buffer, BYTES, 0));
	EXPECT_EQ(0, content_is(self->buffer, BYTES, 0, 1, 1));
	io_uring_queue_exit(&ring);
}

/* By file bypass, by volume bypass behind it, and at last through the layers. */
TEST(each_of_both_ways_is_tried_once_when_both_are_enabled)
{
	int fd = file_open_direct(path);
	uint64_t at_entry, by_layer;
	char *buffer = dio_alloc(4096);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, fs_enable_armed(volume.fd, fd));
	ASSERT_EQ(0, set_bypass(true));
	at_entry = entered();
	by_layer = layered();
	ASSERT_EQ(0, fail_reads(2));
	READ_BLOCKS(fd, 1, 1);
	EXPECT_EQ(at_entry + 3, entered());
	EXPECT_EQ(by_layer + 1, layered());
	ASSERT_EQ(0, fail_reads(3));
	EXPECT_EQ(-1, pread(fd, buffer, 4096, 0));
	EXPECT_EQ(EIO, errno);
	EXPECT_EQ(at_entry + 6, entered());
	ASSERT_EQ(0, fail_reads(0));
	EXPECT_EQ(0, set_bypass(false));
	close(fd);
}

#define NOWAIT_START	(2048 + FAILING * SECTORS)

static ssize_t write_block(const char *device, const char *block)
{
	int fd = open(device, O_WRONLY | O_DIRECT | O_CLOEXEC);
	ssize_t n = pwrite(fd, block, 4096, NOWAIT_START * 512ull);

	close(fd);
	return n;
}

/* The first block of a block device, and must not wait for it. */
static ssize_t read_now(const char *device, char *buffer)
{
	struct iovec iov = { buffer, 4096 };
	int fd = open(device, O_RDONLY | O_DIRECT | O_CLOEXEC);
	ssize_t n = preadv2(fd, &iov, 1, 0, RWF_NOWAIT);

	n = n < 0 ? -errno : n;
	close(fd);
	return n;
}

/* Load the same tables again: so the layers look at what is below them. */
static int reload_layers(struct stack *stack, const char *lowest)
{
	return stack_reload(stack, 2, lowest, "0") ?:
	       stack_reload(stack, 1, "bpio-probe", "") ?:
	       stack_reload(stack, 0, "bpio-filter", "");
}

/*
 * A layer that always may have to wait takes no read that must not. The volume,
 * which still says that it does, sends the read past the layers and then, when that
 * has failed, to them: there it is one that may wait, or it would fail there, too.
 */
TEST(a_read_that_must_not_wait_may_wait_when_it_is_repeated)
{
	char *buffer = dio_alloc(4096), *expected = dio_alloc(4096);
	struct bpio_output out;
	struct stack stack;
	uint64_t layered;

	ASSERT_EQ(0, stack_create(&stack, "nowait",
				  "bpio-filter bpio-probe linear", devices.nvme,
				  NOWAIT_START, SECTORS, ""));
	ASSERT_EQ(0, dm_message(stack.layer[1].name, NULL, 0,
				"storage_veto 5 It_waits."));
	content_fill(expected, 4096, 7, 0, 1);
	ASSERT_EQ(0, shell("udevadm settle --timeout=30"));
	ASSERT_EQ(4096, write_block(devices.nvme, expected));
	ASSERT_EQ(0, storage_op(stack.volume.fd, BPIO_OP_ENABLE, &out));
	layered = device_reads(dm_node(stack.layer[0].name));
	EXPECT_EQ(4096, read_now(stack.volume.node, buffer));
	EXPECT_EQ(layered, device_reads(dm_node(stack.layer[0].name)));

	ASSERT_EQ(0, reload_layers(&stack, "delay"));
	ASSERT_EQ(-EOPNOTSUPP, read_now(dm_node(stack.layer[0].name), buffer));
	layered = device_reads(dm_node(stack.layer[0].name));
	memset(buffer, 0xa5, 4096);
	EXPECT_EQ(4096, read_now(stack.volume.node, buffer));
	EXPECT_EQ(0, memcmp(expected, buffer, 4096));
	EXPECT_EQ(layered + 1, device_reads(dm_node(stack.layer[0].name)));

	EXPECT_EQ(0, storage_op(stack.volume.fd, BPIO_OP_DISABLE, &out));
	EXPECT_EQ(0, stack_remove(&stack));
	free(expected);
	free(buffer);
}

PROGRAM_MAIN
