// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files that ENABLE and QUERY refuse. A refusal is not an error of the ioctl; it is a
 * verdict with a distinct reason, and it has no effect.
 */
#include <fcntl.h>
#include <linux/fscrypt.h>
#include <linux/fsverity.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/sysmacros.h>

#include "program.h"
#include "verdict.h"

#define KIB 1024

static struct volume volume;

static int program_setup(void)
{
	return volume_create(&volume, "refusal", devices.nvme, 2048,
			     MIB_SECTORS(128), "") ?:
	       volume_format(&volume, MKFS_EXT4 " -O verity,encrypt") ?:
	       volume_mount(&volume, "ext4", "") ?:
	       file_create(volume_path(&volume, "file"), 64 * KIB, 1);
}

static int program_cleanup(void)
{
	return volume_remove(&volume);
}

/* ENABLE and QUERY refuse @fd for @reason in the name of @name. */
static void expect_refused(struct __test_metadata *_metadata,
			   struct volume *vol, int fd, enum bpio_reason reason,
			   const char *name)
{
	static const uint32_t operations[] = {
		FS_BPIO_OP_ENABLE, FS_BPIO_OP_QUERY,
	};
	int fds = count_fds();
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(operations); i++) {
		struct fs_bpio_output out;

		EXPECT_EQ(0, fs_op(vol->fd, operations[i], fd, &out));
		EXPECT_EQ(operations[i], out.operation);
		EXPECT_EQ((unsigned int)BPIO_SUPPORT_NONE, out.support);
		/* the file is refused, not the storage */
		EXPECT_EQ(FS_BPIO_OUTFL_COMPATIBLE_STORAGE_DRIVER,
			  out.out_flags);
		verdict_is(_metadata, &out.enable, reason, name);
	}
	EXPECT_EQ(0, active_count(vol->fd));
	EXPECT_EQ(fds, count_fds());
}

#define EXPECT_FILE_REFUSED(fd, reason, name) \
	expect_refused(_metadata, &volume, fd, BPIO_REASON_##reason, name)

/* What is read, when @counted, direct; else by the file system and not counted. */
static void expect_read(struct __test_metadata *_metadata, int fd, void *buffer,
			size_t bytes, uint64_t offset, bool counted)
{
	struct bpio_file_info before, after;

	ASSERT_EQ(0, file_info(fd, &before));
	memset(buffer, 0xa5, bytes);
	EXPECT_EQ((ssize_t)bytes, pread(fd, buffer, bytes, offset));
	EXPECT_EQ(0, content_is(buffer, bytes, offset, 1, 1));
	ASSERT_EQ(0, file_info(fd, &after));
	EXPECT_EQ(before.direct_reads + counted, after.direct_reads);
	EXPECT_EQ(before.fallback_reads, after.fallback_reads);
}

#define EXPECT_READ(bytes, offset, counted) \
	expect_read(_metadata, fd, buffer, bytes, offset, counted)

TEST(a_descriptor_without_o_direct_is_enabled_and_goes_direct_once_it_has_it)
{
	int fd = open(volume_path(&volume, "file"), O_RDONLY | O_CLOEXEC);
	char *buffer = dio_alloc(64 * KIB);
	struct fs_bpio_output out;
	struct bpio_file_arm arm;
	int round;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, fs_op(volume.fd, FS_BPIO_OP_ENABLE, fd, &out));
	EXPECT_NO_OBJECTION(&out.enable);
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_FULL, out.support);
	EXPECT_EQ(1, active_count(volume.fd));
	ASSERT_EQ(0, file_arm(fd, &arm));
	EXPECT_STREQ("not-direct", reason_token(arm.reason));
	EXPECT_EQ(64u * KIB, arm.mapped_bytes);
	/* and back and forth, as for the odd tail of a file */
	for (round = 0; round < 3; round++) {
		EXPECT_READ(64 * KIB, 0, false);
		EXPECT_READ(777, 1001, false);
		ASSERT_EQ(0, fcntl(fd, F_SETFL, O_DIRECT));
		EXPECT_READ(64 * KIB, 0, true);
		ASSERT_EQ(0, fcntl(fd, F_SETFL, 0));
	}
}

TEST(enable_and_query_tell_of_a_missing_o_direct_and_of_no_other_obstacle)
{
	int fd = open(volume_path(&volume, "file"), O_RDONLY | O_CLOEXEC);
	struct fs_bpio_output out;
	int round;

	ASSERT_LE(0, fd);
	/* the second time it is enabled, and armed */
	for (round = 0; round < 2; round++) {
		ASSERT_EQ(0, fcntl(fd, F_SETFL, 0));
		ASSERT_EQ(0, fs_op(volume.fd, FS_BPIO_OP_QUERY, fd, &out));
		EXPECT_NO_OBJECTION(&out.query);
		EXPECT_EQ((unsigned int)BPIO_SUPPORT_FULL, out.support);
		EXPECT_STREQ("not-direct", reason_token(out.obstacle));
		ASSERT_EQ(0, fcntl(fd, F_SETFL, O_DIRECT));
		ASSERT_EQ(0, fs_op(volume.fd, FS_BPIO_OP_QUERY, fd, &out));
		EXPECT_NO_OBJECTION(&out.query);
		EXPECT_STREQ("none", reason_token(out.obstacle));
		ASSERT_EQ(0, fs_enable_armed(volume.fd, fd));
	}
	ASSERT_EQ(0, fs_op(volume.fd, FS_BPIO_OP_ENABLE, fd, &out));
	EXPECT_STREQ("none", reason_token(out.obstacle));
	ASSERT_EQ(0, fcntl(fd, F_SETFL, 0));
	ASSERT_EQ(0, fs_op(volume.fd, FS_BPIO_OP_ENABLE, fd, &out));
	EXPECT_STREQ("not-direct", reason_token(out.obstacle));
}

FIXTURE(mode) {
	int	fd;
};

FIXTURE_VARIANT(mode) {
	int			flags;
	enum bpio_reason	reason;
	int			status;
};

#define MODE(name, open_flags, why, error)				\
	FIXTURE_VARIANT_ADD(mode, name) {				\
		.flags = open_flags, .reason = BPIO_REASON_##why,		\
		.status = error,					\
	}

MODE(for_writing_only, O_WRONLY | O_DIRECT, NOT_READABLE, -EBADF);
MODE(for_writing_only_without_o_direct, O_WRONLY, NOT_READABLE, -EBADF);
MODE(for_appending, O_WRONLY | O_APPEND, NOT_READABLE, -EBADF);
MODE(for_both, O_RDWR | O_DIRECT, NOT_READ_ONLY, -EOPNOTSUPP);
MODE(for_both_without_o_direct, O_RDWR, NOT_READ_ONLY, -EOPNOTSUPP);
MODE(for_both_and_appending, O_RDWR | O_APPEND, NOT_READ_ONLY, -EOPNOTSUPP);

FIXTURE_SETUP(mode)
{
	self->fd = open(volume_path(&volume, "file"),
			variant->flags | O_CLOEXEC);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(mode)
{
	close(self->fd);
}

TEST_F(mode, of_a_descriptor_is_refused_with_a_reason_of_its_own)
{
	struct bpio_file_info info;
	struct bpio_file_arm arm;

	expect_refused(_metadata, &volume, self->fd, variant->reason, NULL);
	EXPECT_EQ(variant->status, fs_enable(volume.fd, self->fd));
	/* still the file system's */
	EXPECT_EQ(-ENOTTY, file_info(self->fd, &info));
	EXPECT_EQ(-ENOTTY, file_arm(self->fd, &arm));
}

TEST(a_directory_cannot_be_enabled_but_can_be_asked_about)
{
	int fd = open(volume.mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct fs_bpio_output out;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, fs_op(volume.fd, FS_BPIO_OP_ENABLE, fd, &out));
	EXPECT_VERDICT(&out.enable, NOT_REGULAR_FILE, NULL);
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_NONE, out.support);
	ASSERT_EQ(0, fs_op(volume.fd, FS_BPIO_OP_QUERY, fd, &out));
	EXPECT_NO_OBJECTION(&out.query);
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_FULL, out.support);
	EXPECT_EQ(0, active_count(volume.fd));
}

TEST(the_mapped_device_cannot_be_enabled_like_a_file)
{
	struct fs_bpio_output out;

	ASSERT_EQ(0, fs_op(volume.fd, FS_BPIO_OP_ENABLE, volume.fd, &out));
	EXPECT_VERDICT(&out.enable, NOT_REGULAR_FILE, NULL);
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_NONE, out.support);
	EXPECT_EQ(0, active_count(volume.fd));
}

TEST(a_named_pipe_of_the_volume_is_refused)
{
	const char *path = volume_path(&volume, "fifo");
	int fd;

	ASSERT_EQ(0, mkfifo(path, 0600));
	fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	ASSERT_LE(0, fd);
	EXPECT_FILE_REFUSED(fd, NOT_REGULAR_FILE, NULL);
}

TEST(a_character_device_node_of_the_volume_is_refused)
{
	const char *path = volume_path(&volume, "null");
	int fd;

	ASSERT_EQ(0, mknod(path, S_IFCHR | 0600, makedev(1, 3)));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	EXPECT_FILE_REFUSED(fd, NOT_REGULAR_FILE, NULL);
}

TEST(a_file_under_fs_verity_is_refused)
{
	const char *path = volume_path(&volume, "verity");
	struct fsverity_enable_arg arg = {
		.version = 1, .hash_algorithm = FS_VERITY_HASH_ALG_SHA256,
		.block_size = 4096,
	};
	int fd;

	ASSERT_EQ(0, file_create(path, 64 * KIB, 2));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	if (ioctl(fd, FS_IOC_ENABLE_VERITY, &arg)) {
		ASSERT_EQ(EOPNOTSUPP, errno);
		SKIP(return, "the kernel has no fs-verity");
	}
	close(fd);
	fd = file_open_direct(path);
	ASSERT_LE(0, fd);
	EXPECT_FILE_REFUSED(fd, VERITY, "ext4");
}

/* A directory whose files the file system encrypts. */
static int make_encrypted_dir(const char *path)
{
	struct {
		struct fscrypt_add_key_arg arg;
		unsigned char raw[64];
	} key = {
		.arg.key_spec.type = FSCRYPT_KEY_SPEC_TYPE_IDENTIFIER,
		.arg.raw_size = sizeof(key.raw),
	};
	struct fscrypt_policy_v2 policy = {
		.version = FSCRYPT_POLICY_V2,
		.contents_encryption_mode = FSCRYPT_MODE_AES_256_XTS,
		.filenames_encryption_mode = FSCRYPT_MODE_AES_256_CTS,
	};
	int fd;

	memset(key.raw, 0x5a, sizeof(key.raw));
	if (mkdir(path, 0700))
		return -errno;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (ioctl(fd, FS_IOC_ADD_ENCRYPTION_KEY, &key))
		return -errno;
	memcpy(policy.master_key_identifier, key.arg.key_spec.u.identifier,
	       FSCRYPT_KEY_IDENTIFIER_SIZE);
	if (ioctl(fd, FS_IOC_SET_ENCRYPTION_POLICY, &policy))
		return -errno;
	return close(fd) ? -errno : 0;
}

TEST(an_encrypted_file_is_refused)
{
	int ret = make_encrypted_dir(volume_path(&volume, "encrypted"));
	int fd;

	if (ret == -EOPNOTSUPP || ret == -ENOTTY)
		SKIP(return, "the kernel has no file encryption");
	ASSERT_EQ(0, ret);
	ASSERT_EQ(0, file_create(volume_path(&volume, "encrypted/file"),
				 64 * KIB, 3));
	fd = file_open_direct(volume_path(&volume, "encrypted/file"));
	ASSERT_LE(0, fd);
	EXPECT_FILE_REFUSED(fd, ENCRYPTED, "ext4");
}

TEST(a_swap_file_is_refused_while_it_is_in_use)
{
	char path[192];
	int fd;

	snprintf(path, sizeof(path), "%s", volume_path(&volume, "swap"));
	ASSERT_EQ(0, file_create(path, 1024 * KIB, 4));
	ASSERT_EQ(0, chmod(path, 0600));
	ASSERT_EQ(0, shell("mkswap -q %s", path));
	fd = file_open_direct(path);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, fs_enable(volume.fd, fd));
	close(fd);
	fd = file_open_direct(path);
	ASSERT_EQ(0, swapon(path, 0));
	EXPECT_FILE_REFUSED(fd, SWAP_FILE, "ext4");
	ASSERT_EQ(0, swapoff(path));
	EXPECT_EQ(0, fs_enable(volume.fd, fd));
}

TEST(a_file_seen_through_an_overlay_is_not_of_this_volume)
{
	char options[512];
	struct fs_bpio_output out;
	int fd;

	ASSERT_EQ(0, mkdir(volume_path(&volume, "up"), 0700));
	ASSERT_EQ(0, mkdir(volume_path(&volume, "work"), 0700));
	ASSERT_EQ(0, mkdir(volume_path(&volume, "low"), 0700));
	ASSERT_EQ(0, mkdir(volume_path(&volume, "merged"), 0700));
	ASSERT_EQ(0, file_create(volume_path(&volume, "low/file"), 4 * KIB, 5));
	snprintf(options, sizeof(options), "lowerdir=%s/low,upperdir=%s/up,workdir=%s/work",
		 volume.mount, volume.mount, volume.mount);
	if (mount("overlay", volume_path(&volume, "merged"), "overlay", 0,
		  options)) {
		ASSERT_EQ(ENODEV, errno);
		SKIP(return, "the kernel has no overlayfs");
	}
	fd = open(volume_path(&volume, "merged/file"),
		  O_RDONLY | O_DIRECT | O_CLOEXEC);
	EXPECT_LE(0, fd);
	EXPECT_EQ(-EXDEV, fs_op(volume.fd, FS_BPIO_OP_ENABLE, fd, &out));
	close(fd);
	EXPECT_EQ(0, umount2(volume_path(&volume, "merged"), 0));
}

/* File systems that do not take part are refused by their name. */
FIXTURE(foreign) {
	struct volume	volume;
	int		fd;
};

FIXTURE_VARIANT(foreign) {
	const char	*type;
	const char	*mkfs;
	unsigned int	mib;
};

FIXTURE_VARIANT_ADD(foreign, btrfs) {
	.type = "btrfs", .mkfs = "mkfs.btrfs -q -f -K", .mib = 256,
};

FIXTURE_VARIANT_ADD(foreign, f2fs) {
	.type = "f2fs", .mkfs = "mkfs.f2fs -q -f -t 0", .mib = 256,
};

FIXTURE_SETUP(foreign)
{
	if (shell("command -v mkfs.%s >/dev/null", variant->type))
		SKIP(return, "mkfs.%s is not installed", variant->type);
	ASSERT_EQ(0, volume_create(&self->volume, "refusal-fs", devices.nvme,
				   MIB_SECTORS(256), MIB_SECTORS(variant->mib),
				   ""));
	ASSERT_EQ(0, volume_format(&self->volume, variant->mkfs));
	ASSERT_EQ(0, volume_mount(&self->volume, variant->type, ""));
	ASSERT_EQ(0, file_create(volume_path(&self->volume, "file"), 64 * KIB,
				 6));
	self->fd = file_open_direct(volume_path(&self->volume, "file"));
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(foreign)
{
	close(self->fd);
	EXPECT_EQ(0, volume_remove(&self->volume));
}

TEST_F(foreign, its_files_are_refused_by_its_name)
{
	expect_refused(_metadata, &self->volume, self->fd,
		       BPIO_REASON_FILE_SYSTEM, variant->type);
}

PROGRAM_MAIN
