// SPDX-License-Identifier: GPL-2.0-only
/*
 * The stack below the volume: the storage level, partial bypass, GET_INFO.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "program.h"
#include "stack.h"
#include "verdict.h"

#define BYTES	(256 * 1024)

static struct volume volume;

static int program_setup(void)
{
	return volume_ext4(&volume, "storage", devices.nvme, 2048,
			   MIB_SECTORS(32)) ?:
	       file_create(volume_path(&volume, "file"), BYTES, 1);
}

static int program_cleanup(void)
{
	return volume_remove(&volume);
}

static dev_t device_number(const char *path)
{
	struct stat st;

	return stat(path, &st) ? 0 : st.st_rdev;
}

static int query(struct volume *vol, int fd, uint32_t flags,
		 struct fs_bpio_output *out)
{
	return fs_op_flags(vol->fd, FS_BPIO_OP_QUERY, fd, flags, out);
}

TEST(query_of_a_file_on_nvme_is_full_support_and_changes_nothing)
{
	int fd = file_open_direct(volume_path(&volume, "file"));
	int fds = count_fds();
	struct fs_bpio_output out;

	ASSERT_EQ(0, query(&volume, fd, 0, &out));
	EXPECT_EQ((unsigned int)FS_BPIO_OP_QUERY, out.operation);
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_FULL, out.support);
	EXPECT_EQ(FS_BPIO_OUTFL_COMPATIBLE_STORAGE_DRIVER, out.out_flags);
	EXPECT_NO_OBJECTION(&out.query);
	EXPECT_EQ(0, active_count(volume.fd));
	EXPECT_EQ(fds, count_fds());
}

TEST(query_of_an_enabled_file_leaves_it_enabled)
{
	int fd = file_open_direct(volume_path(&volume, "file"));
	struct fs_bpio_output out;

	ASSERT_EQ(0, fs_enable(volume.fd, fd));
	ASSERT_EQ(0, query(&volume, fd, 0, &out));
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_FULL, out.support);
	EXPECT_EQ(1, active_count(volume.fd));
}

TEST(query_of_the_volume_by_minus_one_or_by_its_descriptor_is_full_support)
{
	int descriptors[2] = { -1, volume.fd }, i;

	for (i = 0; i < 2; i++) {
		struct fs_bpio_output out;

		ASSERT_EQ(0, query(&volume, descriptors[i], 0, &out));
		EXPECT_EQ((unsigned int)BPIO_SUPPORT_FULL, out.support);
		EXPECT_NO_OBJECTION(&out.query);
	}
}

TEST(a_query_that_skips_the_storage_stack_is_partial_at_most)
{
	int fd = file_open_direct(volume_path(&volume, "file"));
	struct fs_bpio_output out;

	ASSERT_EQ(0, query(&volume, fd, FS_BPIO_INFL_SKIP_STORAGE_STACK_QUERY,
			   &out));
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_PARTIAL, out.support);
	EXPECT_EQ((unsigned int)BPIO_REASON_QUERY_SKIPPED, out.query.reason);
	close(fd);
	/* refusals of the file are still reported */
	fd = open(volume_path(&volume, "file"), O_RDWR | O_CLOEXEC);
	ASSERT_EQ(0, query(&volume, fd, FS_BPIO_INFL_SKIP_STORAGE_STACK_QUERY,
			   &out));
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_NONE, out.support);
	EXPECT_EQ((unsigned int)BPIO_REASON_NOT_READ_ONLY, out.query.reason);
}

TEST(an_enable_that_skips_the_storage_stack_query_enables)
{
	int fd = file_open_direct(volume_path(&volume, "file"));
	char *buffer = dio_alloc(BYTES);
	struct fs_bpio_output out;

	ASSERT_EQ(0, fs_op_flags(volume.fd, FS_BPIO_OP_ENABLE, fd,
				 FS_BPIO_INFL_SKIP_STORAGE_STACK_QUERY, &out));
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_PARTIAL, out.support);
	EXPECT_EQ((unsigned int)BPIO_REASON_QUERY_SKIPPED, out.enable.reason);
	EXPECT_EQ(1, active_count(volume.fd));
	/* whatever way reads then take */
	ASSERT_EQ(0, file_armed(fd));
	ASSERT_EQ(BYTES, pread(fd, buffer, BYTES, 0));
	EXPECT_EQ(0, content_is(buffer, BYTES, 0, 1, 1));
	EXPECT_EQ(1u, file_direct(fd));
}

TEST(the_storage_query_on_nvme_is_full_support)
{
	struct bpio_output out;

	ASSERT_EQ(0, storage_op(volume.fd, BPIO_OP_QUERY, &out));
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_FULL, out.support);
	EXPECT_EQ(FS_BPIO_OUTFL_COMPATIBLE_STORAGE_DRIVER, out.out_flags);
	EXPECT_NO_OBJECTION(&out.query);
}

TEST(get_info_names_the_driver_and_the_device_below)
{
	dev_t below = device_number(devices.nvme);
	struct fs_bpio_info info;

	ASSERT_EQ(0, fs_info(volume.fd, &info));
	EXPECT_EQ(0u, info.active_count);
	ASSERT_EQ(4, info.storage_driver_name_len);
	EXPECT_EQ(0, memcmp("nvme", info.storage_driver_name, 4));
	EXPECT_EQ(major(below), info.storage_major);
	EXPECT_EQ(minor(below), info.storage_minor);
}

TEST(get_info_adds_up_the_reads_of_all_open_files_also_of_closed_ones)
{
	char *buffer = dio_alloc(BYTES);
	struct fs_bpio_info before, after;
	int fd[2], i;

	ASSERT_EQ(0, fs_info(volume.fd, &before));
	for (i = 0; i < 2; i++) {
		fd[i] = file_open_direct(volume_path(&volume, "file"));
		ASSERT_EQ(0, fs_enable_armed(volume.fd, fd[i]));
		ASSERT_EQ(8192, pread(fd[i], buffer, 8192, 4096));
		/* beyond the end: counts as nothing */
		ASSERT_EQ(0, pread(fd[i], buffer, 4096, BYTES));
		ASSERT_EQ(0, fs_disable(volume.fd, fd[i]));
		ASSERT_EQ(4096, pread(fd[i], buffer, 4096, 0));
	}
	close(fd[0]);
	ASSERT_EQ(0, fs_info(volume.fd, &after));
	EXPECT_EQ(2 + 2, after.direct_reads - before.direct_reads +
			 after.fallback_reads - before.fallback_reads);
	EXPECT_EQ(2 * 8192, after.direct_bytes - before.direct_bytes);
	EXPECT_EQ(2 * 4096, after.fallback_bytes - before.fallback_bytes);
}

TEST(every_read_is_counted_once_and_with_its_bytes)
{
	char *buffer = dio_alloc(BYTES);
	struct bpio_file_info info;
	int fd = file_open_direct(volume_path(&volume, "file"));
	dev_t dev = device_number(volume.node);
	uint64_t fallbacks = 0;
	int i;

	ASSERT_EQ(0, fs_enable_armed(volume.fd, fd));
	for (i = 0; i < 16; i++)
		ASSERT_EQ(12288, pread(fd, buffer, 12288, 4096 * i));
	/* of no length: never a read of a device */
	ASSERT_EQ(0, pread(fd, buffer, 0, 0));
	ASSERT_EQ(0, file_info(fd, &info));
	EXPECT_EQ(1u, info.armed);
	EXPECT_EQ((unsigned int)BPIO_REASON_NONE, info.reason);
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_FULL, info.support);
	EXPECT_EQ(major(dev), info.volume_major);
	EXPECT_EQ(minor(dev), info.volume_minor);
	EXPECT_EQ(1u, info.enabled);
	EXPECT_LE(1u, info.extents);
	EXPECT_EQ((uint64_t)BYTES, info.mapped_bytes);
	EXPECT_EQ(16u, info.direct_reads);
	EXPECT_EQ(16u * 12288, info.direct_bytes);
	EXPECT_EQ(0u, info.fallback_reads);
	EXPECT_EQ(0u, info.fallback_bytes);
	ASSERT_EQ(0, fs_disable(volume.fd, fd));
	for (i = 0; i < 3; i++)
		ASSERT_EQ(4096, pread(fd, buffer, 4096, 0));
	ASSERT_EQ(0, file_info(fd, &info));
	EXPECT_EQ(0u, info.enabled);
	EXPECT_EQ(16u, info.direct_reads);
	EXPECT_EQ(3u, info.fallback_reads);
	EXPECT_EQ(3u * 4096, info.fallback_bytes);
	for (i = 0; i < BPIO_REASON_SLOTS; i++)
		fallbacks += info.fallback_reason[i];
	EXPECT_EQ(3u, fallbacks);
}

TEST(a_process_without_privilege_may_enable_what_it_may_open)
{
	char *buffer = dio_alloc(BYTES);
	int fd;

	/* the volume was opened by a process with the permission */
	ASSERT_EQ(0, become_nobody());
	fd = file_open_direct(volume_path(&volume, "file"));
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, fs_enable_armed(volume.fd, fd));
	ASSERT_EQ(BYTES, pread(fd, buffer, BYTES, 0));
	EXPECT_EQ(0, content_is(buffer, BYTES, 0, 1, 1));
	EXPECT_EQ(1u, file_direct(fd));
}

/* The block device of scsi_debug, and the file that injects its errors. */
static int find_scsi_debug(char *node, size_t node_size, char *inject,
			   size_t inject_size)
{
	char command[] = "basename $(dirname $(dirname $(grep -l scsi_debug "
		"/sys/class/block/sd*/device/model | head -n 1)))";
	char disk[32] = "", path[64], target[256];
	FILE *pipe = popen(command, "re");
	ssize_t n;

	if (pipe) {
		if (fgets(disk, sizeof(disk), pipe))
			disk[strcspn(disk, "\n")] = 0;
		pclose(pipe);
	}
	if (!disk[0])
		return -ENODEV;
	snprintf(path, sizeof(path), "/sys/class/block/%s/device", disk);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return -errno;
	target[n] = 0;
	snprintf(node, node_size, "/dev/%s", disk);
	snprintf(inject, inject_size, "/sys/kernel/debug/scsi_debug/%s/error",
		 strrchr(target, '/') + 1);
	return access(inject, W_OK) ? -errno : 0;
}

/* A bypass must never make a readable file unreadable. */
TEST(a_read_that_fails_on_the_device_is_repeated_by_the_file_system)
{
	char node[64], inject[128], *buffer = dio_alloc(BYTES);
	struct volume vol = { 0 };
	int fd, plain;

	if (shell("modprobe scsi_debug dev_size_mb=64 && udevadm settle -t 30"))
		SKIP(return, "there is no scsi_debug");
	if (find_scsi_debug(node, sizeof(node), inject, sizeof(inject)))
		SKIP(return, "scsi_debug of this kernel cannot inject errors");
	ASSERT_EQ(0, volume_create(&vol, "storage-scsi", node, 2048, 0,
				   "1 any_storage"));
	ASSERT_EQ(0, volume_quiet_ext4(&vol));
	ASSERT_EQ(0, file_create(volume_path(&vol, "file"), BYTES, 3));
	fd = file_open_direct(volume_path(&vol, "file"));
	plain = file_open_direct(volume_path(&vol, "file"));
	ASSERT_EQ(0, fs_enable_armed(vol.fd, fd));
	ASSERT_EQ(BYTES, pread(fd, buffer, BYTES, 0));
	EXPECT_EQ(1u, file_direct(fd));

	/* the next READ(10), from any sender, ends with a medium error, once */
	ASSERT_EQ(0, shell("echo '2 -1 0x28 0 0 0x2 0x3 0x11 0x0' >%s", inject));
	memset(buffer, 0xa5, BYTES);
	EXPECT_EQ(BYTES, pread(fd, buffer, BYTES, 0));
	EXPECT_EQ(0, content_is(buffer, BYTES, 0, 3, 1));
	EXPECT_EQ(1u, file_direct(fd));
	EXPECT_EQ(1u, file_fallbacks(fd, BPIO_REASON_DEVICE_ERROR));

	/* when it fails each time, the read fails as the file's does */
	ASSERT_EQ(0, shell("echo '- 2 0x28' >%s", inject));
	ASSERT_EQ(0, shell("echo '2 1 0x28 0 0 0x2 0x3 0x11 0x0' >%s", inject));
	EXPECT_EQ(-1, pread(fd, buffer, 4096, 0));
	EXPECT_EQ(ENODATA, errno);
	EXPECT_EQ(-1, pread(plain, buffer, 4096, 0));
	EXPECT_EQ(ENODATA, errno);
	ASSERT_EQ(0, shell("echo '- 2 0x28' >%s", inject));
	EXPECT_EQ(BYTES, pread(fd, buffer, BYTES, 0));
	EXPECT_EQ(0, content_is(buffer, BYTES, 0, 3, 1));
	EXPECT_EQ(2u, file_direct(fd));
	close(plain);
	close(fd);
	EXPECT_EQ(0, volume_remove(&vol));
	/*
	 * Where lockdep looks, the disk stays: it reports how 6.12 removes a
	 * disk while a queue is marked as frozen, against NVMe's order of the
	 * same locks, and looks no more.
	 */
	if (access("/proc/lockdep", F_OK))
		EXPECT_EQ(0, shell("rmmod scsi_debug"));
}

/* Devices and tables of other kinds below the volume. */
FIXTURE(below) {
	struct volume	volume;
	char		device[96];
	int		fd;
	char		*buffer;
};

FIXTURE_VARIANT(below) {
	bool		scratch;	/* not NVMe */
	bool		multipath;	/* NVMe by several controllers */
	const char	*target;	/* a mapped device in between */
	const char	*features;
	enum bpio_support support;
	enum bpio_reason reason;
	bool		compatible;
};

FIXTURE_VARIANT_ADD(below, other_storage) {
	.scratch = true, .features = "",
	.support = BPIO_SUPPORT_PARTIAL, .reason = BPIO_REASON_NOT_NVME,
};

FIXTURE_VARIANT_ADD(below, other_storage_when_any_is_allowed) {
	.scratch = true, .features = "1 any_storage",
	.support = BPIO_SUPPORT_FULL, .reason = BPIO_REASON_NONE,
};

FIXTURE_VARIANT_ADD(below, nvme_when_any_storage_is_allowed) {
	.features = "1 any_storage",
	.support = BPIO_SUPPORT_FULL, .reason = BPIO_REASON_NONE,
	.compatible = true,
};

FIXTURE_VARIANT_ADD(below, nvme_that_several_controllers_reach) {
	.multipath = true, .features = "",
	.support = BPIO_SUPPORT_FULL, .reason = BPIO_REASON_NONE,
	.compatible = true,
};

FIXTURE_VARIANT_ADD(below, an_unaware_layer) {
	.target = "linear", .features = "",
	.support = BPIO_SUPPORT_PARTIAL, .reason = BPIO_REASON_LAYER_UNAWARE,
};

FIXTURE_VARIANT_ADD(below, an_unaware_layer_when_any_storage_is_allowed) {
	.target = "linear", .features = "1 any_storage",
	.support = BPIO_SUPPORT_PARTIAL, .reason = BPIO_REASON_LAYER_UNAWARE,
};

FIXTURE_SETUP(below)
{
	const char *device = variant->scratch ? devices.scratch :
			     variant->multipath ? devices.multipath :
			     devices.nvme;
	uint64_t start = device == devices.nvme ? MIB_SECTORS(64) : 2048;

	if (!device)
		SKIP(return, "%s", variant->scratch ?
		     "there is no disk that is not NVMe" :
		     "no namespace that several controllers reach is named in BPIO_NVME_C1");
	if (variant->target) {
		char params[128];
		struct dm_line line = {
			.sectors = MIB_SECTORS(40), .type = variant->target,
			.params = params,
		};

		snprintf(params, sizeof(params), "%s %llu", device,
			 (unsigned long long)start);
		ASSERT_EQ(0, dm_create("storage-below", &line, 1, false));
		device = "/dev/mapper/" DM_PREFIX "storage-below";
		start = 2048;
	}
	snprintf(self->device, sizeof(self->device), "%s", device);
	ASSERT_EQ(0, volume_create(&self->volume, "storage-top", device, start,
				   MIB_SECTORS(32), variant->features));
	ASSERT_EQ(0, volume_format(&self->volume, MKFS_EXT4));
	ASSERT_EQ(0, volume_mount(&self->volume, "ext4", ""));
	ASSERT_EQ(0, file_create(volume_path(&self->volume, "file"), BYTES, 2));
	self->fd = file_open_direct(volume_path(&self->volume, "file"));
	ASSERT_LE(0, self->fd);
	self->buffer = dio_alloc(BYTES);
}

FIXTURE_TEARDOWN(below)
{
	close(self->fd);
	EXPECT_EQ(0, volume_remove(&self->volume));
	if (variant->target)
		EXPECT_EQ(0, dm_remove("storage-below"));
}

static void expect_answer(struct __test_metadata *_metadata,
			  const FIXTURE_VARIANT(below) *variant,
			  const struct bpio_results *results,
			  uint32_t support, uint32_t out_flags)
{
	EXPECT_EQ(variant->support, support);
	if (variant->reason == BPIO_REASON_NONE)
		EXPECT_NO_OBJECTION(results);
	else
		verdict_is(_metadata, results, variant->reason, NULL);
	if (variant->compatible)
		EXPECT_EQ(FS_BPIO_OUTFL_COMPATIBLE_STORAGE_DRIVER, out_flags);
	if (variant->support == BPIO_SUPPORT_PARTIAL)
		EXPECT_EQ(0u, out_flags);
}

TEST_F(below, enable_query_and_the_storage_query_agree)
{
	struct fs_bpio_output out;
	struct bpio_output storage;

	ASSERT_EQ(0, fs_op(self->volume.fd, FS_BPIO_OP_QUERY, self->fd, &out));
	expect_answer(_metadata, variant, &out.query, out.support,
		      out.out_flags);
	ASSERT_EQ(0, fs_op(self->volume.fd, FS_BPIO_OP_QUERY, -1, &out));
	expect_answer(_metadata, variant, &out.query, out.support,
		      out.out_flags);
	ASSERT_EQ(0, storage_op(self->volume.fd, BPIO_OP_QUERY, &storage));
	expect_answer(_metadata, variant, &storage.query, storage.support,
		      storage.out_flags);
	ASSERT_EQ(0, fs_op(self->volume.fd, FS_BPIO_OP_ENABLE, self->fd, &out));
	expect_answer(_metadata, variant, &out.enable, out.support,
		      out.out_flags);
	EXPECT_EQ(1, active_count(self->volume.fd));
}

/* A partial bypass skips the file system, so it is a bypass. */
TEST_F(below, reads_go_direct_and_return_what_was_written)
{
	struct bpio_file_info info;

	ASSERT_EQ(0, fs_enable_armed(self->volume.fd, self->fd));
	ASSERT_EQ(BYTES, pread(self->fd, self->buffer, BYTES, 0));
	EXPECT_EQ(0, content_is(self->buffer, BYTES, 0, 2, 1));
	ASSERT_EQ(0, file_info(self->fd, &info));
	EXPECT_EQ(1u, info.direct_reads);
	EXPECT_EQ(variant->support, info.support);
}

TEST_F(below, get_info_tells_where_reads_enter_the_stack)
{
	dev_t below = device_number(self->device);
	struct fs_bpio_output out;
	struct fs_bpio_info info;

	ASSERT_EQ(0, fs_info(self->volume.fd, &info));
	EXPECT_EQ(major(below), info.storage_major);
	EXPECT_EQ(minor(below), info.storage_minor);
	EXPECT_LT(0, info.storage_driver_name_len);
	if (variant->support == BPIO_SUPPORT_FULL)
		return;
	/* both answers name the same objecting layer */
	ASSERT_EQ(0, fs_op(self->volume.fd, FS_BPIO_OP_QUERY, -1, &out));
	ASSERT_EQ(out.query.failing_driver_name_len,
		  info.storage_driver_name_len);
	EXPECT_EQ(0, memcmp(out.query.failing_driver_name,
			    info.storage_driver_name,
			    info.storage_driver_name_len));
}

PROGRAM_MAIN
