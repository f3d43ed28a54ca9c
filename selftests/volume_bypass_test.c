// SPDX-License-Identifier: GPL-2.0-only
/*
 * Volume bypass: after the storage operation ENABLE, every read of the mapped
 * device skips the layers below it, from any program or file system.
 */
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <liburing.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#include "load.h"
#include "objection.h"
#include "program.h"
#include "stack.h"

#define LAYERS	2
#define KIB	1024
#define BYTES	(1024 * KIB)
#define BLOCKS	32
#define FILTER	"bpio-filter"
#define SECTORS	MIB_SECTORS(40)

/* One volume with ext4, one that holds nothing but a file's content. */
static struct stack stack, raw;
static char path[192];

static int program_setup(void)
{
	int ret, fd;

	ret = module_load("dm-bpio-filter") ?:
	      stack_ext4(&stack, "bypass", FILTER " " FILTER, devices.nvme,
			 2048, SECTORS) ?:
	      file_create(volume_path(&stack.volume, "file"), BYTES, 1) ?:
	      stack_create(&raw, "raw", FILTER " " FILTER, devices.nvme,
			   MIB_SECTORS(64), SECTORS, "");
	snprintf(path, sizeof(path), "%s", volume_path(&stack.volume, "file"));
	if (ret)
		return ret;
	fd = open(raw.volume.node, O_WRONLY | O_DIRECT | O_CLOEXEC);
	ret = fd < 0 ? -errno : file_write(fd, 0, BYTES, 9, 1);
	close(fd);
	return ret ?: shell("udevadm settle --timeout=30");
}

static int program_cleanup(void)
{
	return stack_remove(&stack) ?: stack_remove(&raw);
}

static int set_bypass(const struct stack *on, bool enabled)
{
	struct bpio_output out;

	return storage_op(on->volume.fd,
			  enabled ? BPIO_OP_ENABLE : BPIO_OP_DISABLE, &out);
}

static uint64_t mapped_reads(const struct stack *on)
{
	struct fs_bpio_info info;

	return fs_info(on->volume.fd, &info) ? UINT64_MAX : info.mapped_reads;
}

/* Read until a read was sent past the layers. Returns 0 or a negative errno. */
static int wait_for_bypass(void)
{
	uint64_t deadline = now_ms() + DEADLINE_MS;
	uint64_t before = mapped_reads(&stack);
	char *buffer = dio_alloc(4096);
	int fd = file_open_direct(path), ret = -ETIMEDOUT;

	do {
		if (pread(fd, buffer, 4096, 0) != 4096)
			ret = -EIO;
		else if (mapped_reads(&stack) > before)
			ret = 0;
	} while (ret == -ETIMEDOUT && poll_again(deadline));
	close(fd);
	free(buffer);
	return ret;
}

FIXTURE(bypass) {
	int		fd;
	char		*buffer;
	uint64_t	mapped;
	uint64_t	seen[STACK_LAYERS];
};

FIXTURE_SETUP(bypass)
{
	self->buffer = dio_alloc(BYTES);
	self->fd = file_open_direct(path);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(bypass)
{
	close(self->fd);
	free(self->buffer);
	set_bypass(&stack, false);
	set_bypass(&raw, false);
	EXPECT_EQ(0, active_count(stack.volume.fd));
}

#define REMEMBER(on) do {						\
	self->mapped = mapped_reads(&(on));				\
	stack_reads(&(on), self->seen);					\
} while (0)

/* Since then so many reads were sent past the layers, and so many not. */
#define EXPECT_READS(on, past, through) do {				\
	uint64_t __now[STACK_LAYERS];					\
									\
	EXPECT_EQ((uint64_t)(past), mapped_reads(&(on)) - self->mapped); \
	stack_reads(&(on), __now);					\
	EXPECT_EQ((uint64_t)(through), __now[0] - self->seen[0]);	\
	EXPECT_EQ((uint64_t)(through), __now[1] - self->seen[1]);	\
} while (0)

TEST_F(bypass, of_the_volume_is_enabled_and_disabled_and_told_of)
{
	const uint32_t all = FS_BPIO_OUTFL_ALL_READS_ENABLED;
	struct fs_bpio_output info;
	struct bpio_output out;

	ASSERT_EQ(0, storage_op(stack.volume.fd, BPIO_OP_ENABLE, &out));
	EXPECT_EQ((unsigned int)BPIO_OP_ENABLE, out.operation);
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_FULL, out.support);
	EXPECT_EQ(FS_BPIO_OUTFL_COMPATIBLE_STORAGE_DRIVER | all, out.out_flags);
	EXPECT_NO_OBJECTION(&out.enable);
	/* no file was enabled */
	ASSERT_EQ(0, fs_op(stack.volume.fd, FS_BPIO_OP_GET_INFO, -1, &info));
	EXPECT_EQ(0u, info.get_info.active_count);
	EXPECT_EQ(all, info.out_flags & all);
	ASSERT_EQ(0, storage_op(stack.volume.fd, BPIO_OP_DISABLE, &out));
	EXPECT_EQ((unsigned int)BPIO_OP_DISABLE, out.operation);
	EXPECT_EQ(0u, out.support);
	EXPECT_EQ(0u, out.out_flags & all);
	/* ignored when not enabled */
	ASSERT_EQ(0, storage_op(stack.volume.fd, BPIO_OP_DISABLE, &out));
	ASSERT_EQ(0, fs_op(stack.volume.fd, FS_BPIO_OP_GET_INFO, -1, &info));
	EXPECT_EQ(0u, info.out_flags & all);
}

TEST_F(bypass, sends_direct_reads_of_a_file_past_the_layers)
{
	REMEMBER(stack);
	READ_BLOCKS(self->fd, BLOCKS, 1);
	EXPECT_READS(stack, 0, BLOCKS);
	ASSERT_EQ(0, set_bypass(&stack, true));
	REMEMBER(stack);
	READ_BLOCKS(self->fd, BLOCKS, 1);
	EXPECT_READS(stack, BLOCKS, 0);
	ASSERT_EQ(0, set_bypass(&stack, false));
	REMEMBER(stack);
	READ_BLOCKS(self->fd, BLOCKS, 1);
	EXPECT_READS(stack, 0, BLOCKS);
}

TEST_F(bypass, sends_buffered_reads_of_a_file_past_the_layers)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint64_t now[STACK_LAYERS], mapped;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, set_bypass(&stack, true));
	ASSERT_EQ(0, posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
	REMEMBER(stack);
	ASSERT_EQ(BYTES, pread(fd, self->buffer, BYTES, 0));
	EXPECT_EQ(0, content_is(self->buffer, BYTES, 0, 1, 1));
	/* in as many bios as read-ahead likes */
	mapped = mapped_reads(&stack) - self->mapped;
	EXPECT_LT(0u, mapped);
	stack_reads(&stack, now);
	EXPECT_EQ(self->seen[0], now[0]);
	EXPECT_EQ(self->seen[1], now[1]);
	close(fd);
}

TEST_F(bypass, sends_reads_of_the_device_past_the_layers)
{
	int flags[] = { 0, O_DIRECT }, i;

	ASSERT_EQ(0, set_bypass(&raw, true));
	for (i = 0; i < 2; i++) {
		int fd = open(raw.volume.node, O_RDONLY | flags[i] | O_CLOEXEC);
		uint64_t now[STACK_LAYERS];

		ASSERT_LE(0, fd);
		if (!flags[i])
			ASSERT_EQ(0, ioctl(fd, BLKFLSBUF, 0));
		REMEMBER(raw);
		memset(self->buffer, 0, BYTES);
		ASSERT_EQ(BYTES, pread(fd, self->buffer, BYTES, 0));
		EXPECT_EQ(0, content_is(self->buffer, BYTES, 0, 9, 1));
		EXPECT_LT(self->mapped, mapped_reads(&raw));
		stack_reads(&raw, now);
		EXPECT_EQ(self->seen[0], now[0]);
		EXPECT_EQ(self->seen[1], now[1]);
		close(fd);
	}
}

TEST_F(bypass, sends_polled_reads_past_the_layers)
{
	struct io_uring_cqe *cqe;
	struct io_uring ring;
	int fd = open(raw.volume.node, O_RDONLY | O_DIRECT | O_CLOEXEC), i;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, set_bypass(&raw, true));
	ASSERT_EQ(0, io_uring_queue_init(4, &ring, IORING_SETUP_IOPOLL));
	REMEMBER(raw);
	for (i = 0; i < BLOCKS; i++) {
		io_uring_prep_read(io_uring_get_sqe(&ring), fd, self->buffer,
				   4096, 4096 * i);
		ASSERT_EQ(1, io_uring_submit(&ring));
		ASSERT_EQ(0, io_uring_wait_cqe(&ring, &cqe));
		ASSERT_EQ(4096, cqe->res);
		io_uring_cqe_seen(&ring, cqe);
		ASSERT_EQ(0, content_is(self->buffer, 4096, 4096 * i, 9, 1));
	}
	EXPECT_READS(raw, BLOCKS, 0);
	io_uring_queue_exit(&ring);
	close(fd);
}

TEST_F(bypass, sends_reads_of_xfs_past_the_layers)
{
	struct stack xfs;
	struct load load = {
		.file = 4, .bytes = BYTES, .length = 64 * KIB, .unit = 4096,
	};
	uint64_t now[STACK_LAYERS];

	ASSERT_EQ(0, stack_create(&xfs, "xfs", FILTER " " FILTER, devices.nvme,
				  MIB_SECTORS(128), MIB_SECTORS(320), ""));
	ASSERT_EQ(0, volume_format(&xfs.volume, "mkfs.xfs -q -f -K"));
	ASSERT_EQ(0, volume_mount(&xfs.volume, "xfs", ""));
	ASSERT_EQ(0, file_create(volume_path(&xfs.volume, "file"), BYTES, 4));
	ASSERT_EQ(0, shell("udevadm settle --timeout=30"));
	ASSERT_EQ(0, set_bypass(&xfs, true));
	load.fd = file_open_direct(volume_path(&xfs.volume, "file"));
	REMEMBER(xfs);
	ASSERT_EQ(0, load_start(&load));
	EXPECT_EQ(0, load_progress(&load, 20));
	EXPECT_EQ(0, load_stop(&load));
	EXPECT_LE(load.begun, mapped_reads(&xfs) - self->mapped);
	stack_reads(&xfs, now);
	EXPECT_EQ(self->seen[0], now[0]);
	EXPECT_EQ(self->seen[1], now[1]);
	close(load.fd);
	/* in force while the device is removed */
	EXPECT_EQ(0, stack_remove(&xfs));
}

TEST_F(bypass, leaves_writes_to_the_layers)
{
	int fd = open(raw.volume.node, O_WRONLY | O_DIRECT | O_CLOEXEC);
	uint64_t writes = filter_writes(raw.layer[1].name);

	ASSERT_EQ(0, set_bypass(&raw, true));
	ASSERT_EQ(0, file_write(fd, 0, 4096, 9, 1));
	EXPECT_EQ(writes + 1, filter_writes(raw.layer[1].name));
	close(fd);
}

TEST_F(bypass, is_not_counted_with_the_files_nor_are_their_reads_counted_twice)
{
	struct fs_bpio_info before, after;

	ASSERT_EQ(0, fs_enable_armed(stack.volume.fd, self->fd));
	ASSERT_EQ(0, set_bypass(&stack, true));
	EXPECT_EQ(1, active_count(stack.volume.fd));
	ASSERT_EQ(0, fs_info(stack.volume.fd, &before));
	READ_BLOCKS(self->fd, BLOCKS, 1);
	ASSERT_EQ(0, fs_info(stack.volume.fd, &after));
	EXPECT_EQ(before.direct_reads + BLOCKS, after.direct_reads);
	EXPECT_EQ(before.mapped_reads, after.mapped_reads);
	/* what the file system serves comes by the mapped device */
	ASSERT_EQ(0, fs_disable(stack.volume.fd, self->fd));
	EXPECT_EQ(0, active_count(stack.volume.fd));
	READ_BLOCKS(self->fd, BLOCKS, 1);
	ASSERT_EQ(0, fs_info(stack.volume.fd, &after));
	EXPECT_EQ(before.direct_reads + BLOCKS, after.direct_reads);
	EXPECT_EQ(before.fallback_reads + BLOCKS, after.fallback_reads);
	EXPECT_EQ(before.mapped_reads + BLOCKS, after.mapped_reads);
}

TEST_F(bypass, of_the_volume_and_of_a_file_end_each_by_its_own_disable)
{
	int plain = file_open_direct(path);

	ASSERT_EQ(0, fs_enable_armed(stack.volume.fd, self->fd));
	ASSERT_EQ(0, set_bypass(&stack, true));
	ASSERT_EQ(0, set_bypass(&stack, true));
	ASSERT_EQ(0, set_bypass(&stack, false));
	REMEMBER(stack);
	READ_BLOCKS(self->fd, BLOCKS, 1);
	EXPECT_READS(stack, 0, 0);
	READ_BLOCKS(plain, BLOCKS, 1);
	EXPECT_READS(stack, 0, BLOCKS);

	ASSERT_EQ(0, set_bypass(&stack, true));
	close(self->fd);
	self->fd = -1;
	REMEMBER(stack);
	READ_BLOCKS(plain, BLOCKS, 1);
	EXPECT_READS(stack, BLOCKS, 0);
	close(plain);
}

TEST_F(bypass, enters_the_stack_at_a_layer_that_vetoes)
{
	uint64_t now[STACK_LAYERS];
	struct bpio_output out;

	ASSERT_EQ(0, dm_message(stack.layer[1].name, NULL, 0,
				"veto 13 I watch."));
	ASSERT_EQ(0, storage_op(stack.volume.fd, BPIO_OP_ENABLE, &out));
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_PARTIAL, out.support);
	EXPECT_OBJECTION(&out.enable, LAYER_VETO, -EACCES, FILTER, "I watch.");
	REMEMBER(stack);
	READ_BLOCKS(self->fd, BLOCKS, 1);
	stack_reads(&stack, now);
	EXPECT_EQ(self->seen[0], now[0]);
	EXPECT_EQ(self->seen[1] + BLOCKS, now[1]);
	EXPECT_EQ(self->mapped + BLOCKS, mapped_reads(&stack));
	ASSERT_EQ(0, dm_message(stack.layer[1].name, NULL, 0, "allow"));
	REMEMBER(stack);
	READ_BLOCKS(self->fd, BLOCKS, 1);
	EXPECT_READS(stack, BLOCKS, 0);
}

/* Reads of the volume are not those of one file: none may pass. */
TEST_F(bypass, enters_the_stack_at_a_layer_that_vetoes_a_file)
{
	struct bpio_output out;

	ASSERT_EQ(0, dm_message(stack.layer[1].name, NULL, 0,
				"file_veto *.secret 13 I watch."));
	ASSERT_EQ(0, storage_op(stack.volume.fd, BPIO_OP_ENABLE, &out));
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_PARTIAL, out.support);
	EXPECT_OBJECTION(&out.enable, LAYER_VETO, -EBUSY, FILTER,
			 "Some files of the volume must not be bypassed.");
	ASSERT_EQ(0, dm_message(stack.layer[1].name, NULL, 0,
				"file_allow *.secret"));
	ASSERT_EQ(0, storage_op(stack.volume.fd, BPIO_OP_QUERY, &out));
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_FULL, out.support);
}

TEST_F(bypass, of_the_volume_is_paused_and_resumed)
{
	struct fs_bpio_output out;

	ASSERT_EQ(0, set_bypass(&stack, true));
	ASSERT_EQ(0, fs_op(stack.volume.fd, FS_BPIO_OP_VOLUME_STACK_PAUSE, -1,
			   &out));
	REMEMBER(stack);
	READ_BLOCKS(self->fd, BLOCKS, 1);
	EXPECT_READS(stack, 0, BLOCKS);
	ASSERT_EQ(0, fs_op(stack.volume.fd, FS_BPIO_OP_VOLUME_STACK_RESUME, -1,
			   &out));
	REMEMBER(stack);
	READ_BLOCKS(self->fd, BLOCKS, 1);
	EXPECT_READS(stack, BLOCKS, 0);
}

TEST_F(bypass, lasts_over_suspends_and_reloads_of_every_layer_under_load)
{
	struct load load = load_of(self->fd, BYTES, 64 * KIB, 512);
	int round, i;

	ASSERT_EQ(0, set_bypass(&stack, true));
	ASSERT_EQ(0, load_start(&load));
	for (round = 0; round < 6; round++) {
		for (i = 0; i < LAYERS; i++) {
			const char *name = stack.layer[i].name;

			ASSERT_EQ(0, dm_suspend(name));
			ASSERT_EQ(0, dm_resume(name));
			ASSERT_EQ(0, load_progress(&load, 3));
			ASSERT_EQ(0, stack_reload(&stack, i, "linear", ""));
			ASSERT_EQ(0, load_progress(&load, 3));
			ASSERT_EQ(0, stack_reload(&stack, i, FILTER, ""));
			ASSERT_EQ(0, load_progress(&load, 3));
		}
		ASSERT_EQ(0, dm_reload_one("bypass", "bpio",
					   dm_node(stack.layer[0].name), 0,
					   SECTORS, ""));
		ASSERT_EQ(0, load_progress(&load, 3));
	}
	EXPECT_EQ(0, load_stop(&load));
	EXPECT_EQ(0u, load.errors);
	ASSERT_EQ(0, wait_for_bypass());
	REMEMBER(stack);
	READ_BLOCKS(self->fd, BLOCKS, 1);
	EXPECT_READS(stack, BLOCKS, 0);
}

TEST_F(bypass, is_disabled_and_enabled_under_load)
{
	struct load load = load_of(self->fd, BYTES, 4096, 4096);
	uint64_t begun[2], seen;
	int round;

	for (round = 0; round < 6; round++) {
		ASSERT_EQ(0, set_bypass(&stack, true));
		load.stop = false;
		ASSERT_EQ(0, load_start(&load));
		ASSERT_EQ(0, load_progress(&load, 10));
		ASSERT_EQ(0, set_bypass(&stack, false));
		/* from its return on, the layers see every read */
		begun[0] = load.begun;
		seen = filter_reads(stack.layer[0].name);
		begun[1] = load.begun;
		ASSERT_EQ(0, load_progress(&load, 10));
		ASSERT_EQ(0, load_stop(&load));
		seen = filter_reads(stack.layer[0].name) - seen;
		EXPECT_LE(load.begun - begun[1], seen);
		EXPECT_LE(seen, load.begun - begun[0] + LOAD_IN_FLIGHT);
	}
	EXPECT_EQ(0u, load.errors);
}

TEST(without_privilege_it_needs_a_writable_descriptor)
{
	int writable = open(stack.volume.node, O_RDWR | O_CLOEXEC);
	struct bpio_output out;
	uint32_t op;

	ASSERT_LE(0, writable);
	ASSERT_EQ(0, drop_capability(CAP_SYS_ADMIN));
	for (op = BPIO_OP_ENABLE; op <= BPIO_OP_DISABLE; op++) {
		EXPECT_EQ(-EPERM, storage_op(stack.volume.fd, op, &out));
		EXPECT_EQ(0, storage_op(writable, op, &out));
	}
	EXPECT_EQ(0, storage_op(stack.volume.fd, BPIO_OP_QUERY, &out));
	close(writable);
}

TEST(a_volume_without_layers_is_bypassed_in_name_only)
{
	struct volume plain;
	struct bpio_output out;
	char *buffer = dio_alloc(4096);
	int fd;

	ASSERT_EQ(0, volume_create(&plain, "plain", devices.nvme,
				   MIB_SECTORS(64), SECTORS, ""));
	ASSERT_EQ(0, storage_op(plain.fd, BPIO_OP_ENABLE, &out));
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_FULL, out.support);
	fd = open(plain.node, O_RDONLY | O_DIRECT | O_CLOEXEC);
	ASSERT_EQ(4096, pread(fd, buffer, 4096, 0));
	EXPECT_EQ(0, content_is(buffer, 4096, 0, 9, 1));
	close(fd);
	EXPECT_EQ(0, volume_remove(&plain));
}

PROGRAM_MAIN
