// SPDX-License-Identifier: GPL-2.0-only
/*
 * Changes of a file on file systems with special formats, and changes of the file
 * system itself, while the file is armed and has reads in flight. Each test makes a
 * separate file system.
 */
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/quota.h>
#include <sys/stat.h>

#include "change.h"
#include "program.h"

#define FS_START	MIB_SECTORS(8)
#define FS_MIB		512
#define NOBODY		65534

/* From ext4 and XFS, which define them in private headers. */
#define FS_IOC_SHUTDOWN		_IOR('X', 125, uint32_t)
#define SHUTDOWN_DEFAULT	0
#define SHUTDOWN_LOGFLUSH	1
#define SHUTDOWN_NOLOGFLUSH	2

static int program_setup(void)
{
	return 0;
}

static int program_cleanup(void)
{
	return 0;
}

static bool on_xfs(void)
{
	return !strcmp(volume_fs_type(), "xfs");
}

static int format_volume(struct volume *volume, const char *mkfs)
{
	return volume_create(volume, "change-volume", devices.nvme, FS_START,
			     MIB_SECTORS(FS_MIB), "") ?:
	       volume_format(volume, mkfs);
}

static int mount_volume(struct volume *volume, const char *options)
{
	return volume_mount(volume, volume_fs_type(), options) ?:
	       change_init(volume, devices.nvme);
}

/* A file system of the type that is tested, made and mounted like this. */
static int make_volume(struct volume *volume, const char *mkfs,
		       const char *options)
{
	return format_volume(volume, mkfs) ?: mount_volume(volume, options);
}

FIXTURE(layout) {
	struct volume	volume;
	struct change	change;
};

FIXTURE_VARIANT(layout) {
	const char	*only;		/* the file system that has it */
	const char	*mkfs;
	const char	*options;
	uint64_t	bytes;		/* at first, not CHANGE_BYTES */
	bool		may_not_mount;	/* some kernels do not */
};

#define LAYOUT(name, fs, mkfs_command, mount_options)			\
	FIXTURE_VARIANT_ADD(layout, name) {				\
		.only = fs, .mkfs = mkfs_command,			\
		.options = mount_options,				\
	}

LAYOUT(data_journal, "ext4", MKFS_EXT4, "data=journal");
LAYOUT(data_writeback, "ext4", MKFS_EXT4, "data=writeback");
LAYOUT(no_journal, "ext4", MKFS_EXT4 " -O ^has_journal", "");
LAYOUT(no_delayed_allocation, "ext4", MKFS_EXT4, "nodelalloc");
LAYOUT(no_extents, "ext4", MKFS_EXT4 " -O ^extent,^64bit", "");
FIXTURE_VARIANT_ADD(layout, inline_data) {
	.only = "ext4", .mkfs = MKFS_EXT4 " -I 256 -O inline_data",
	.options = "", .bytes = 60,
};

LAYOUT(bigalloc, "ext4", MKFS_EXT4 " -O bigalloc -C 65536", "");
LAYOUT(ext4_blocks_of_1_kib, "ext4", MKFS_EXT " -b 1024", "");
FIXTURE_VARIANT_ADD(layout, ext4_blocks_of_64_kib) {
	.only = "ext4", .mkfs = MKFS_EXT " -b 65536",
	.options = "", .may_not_mount = true,
};

LAYOUT(xfs_blocks_of_1_kib, "xfs", MKFS_XFS " -b size=1024", "");
FIXTURE_VARIANT_ADD(layout, xfs_blocks_of_64_kib) {
	.only = "xfs", .mkfs = MKFS_XFS " -b size=65536",
	.options = "", .may_not_mount = true,
};

LAYOUT(reverse_map, "xfs", MKFS_XFS " -m rmapbt=1", "");
LAYOUT(no_reflink, "xfs", MKFS_XFS " -m reflink=0", "");

FIXTURE_SETUP(layout)
{
	int ret;

	if (strcmp(variant->only, volume_fs_type()))
		SKIP(return, "only %s has it", variant->only);
	ASSERT_EQ(0, format_volume(&self->volume, variant->mkfs));
	ret = mount_volume(&self->volume, variant->options);
	if (ret && variant->may_not_mount) {
		ASSERT_EQ(0, volume_remove(&self->volume));
		SKIP(return, "this kernel does not mount it");
	}
	ASSERT_EQ(0, ret);
	ASSERT_EQ(0, change_create(&self->change));
	if (variant->bytes)
		ASSERT_EQ(0, unlink(self->change.path) ?:
			     file_create(self->change.path, variant->bytes,
					 CHANGE_FILE));
	self->change.readers.shrinks = true;
	self->change.readers.zeroes = true;
	ASSERT_EQ(0, change_begin(&self->change, &self->volume));
}

FIXTURE_TEARDOWN(layout)
{
	change_end(&self->change);
	EXPECT_EQ(0, volume_remove(&self->volume));
}

static int overwrite(struct change *c, int fd)
{
	return change_write(c, fd);
}

static int punch_and_write(struct change *c, int fd)
{
	return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 65536,
			 131072) ? -errno : change_write(c, fd);
}

static int truncate_and_write(struct change *c, int fd)
{
	return ftruncate(fd, 65536 + 512) ? -errno : change_write(c, fd);
}

/* Its old blocks go to another file while it is empty. */
static int lose_blocks_and_write(struct change *c, int fd)
{
	if (ftruncate(fd, 0))
		return -errno;
	return file_create(c->other, 4 * CHANGE_BYTES, CHANGE_FILE + 1) ?:
	       unlink(c->other) ?: change_write(c, fd);
}

TEST_F(layout, reads_in_flight_are_right_while_the_file_is_changed)
{
	static int (*const changes[])(struct change *c, int fd) = {
		overwrite, punch_and_write, truncate_and_write,
		lose_blocks_and_write,
	};
	struct change *c = &self->change;
	unsigned int i;

	for (i = 0; i < 2 * ARRAY_SIZE(changes); i++) {
		int fd = open(c->path, O_RDWR | O_CLOEXEC);

		ASSERT_EQ(0, change_end_writer(c, fd, changes[i / 2](c, fd)))
			TH_LOG("change %u: %s", i / 2, c->readers.why);
		ASSERT_EQ(0, change_wait_direct(c));
		ASSERT_EQ(0, file_info(c->fd, &c->before));
	}
	EXPECT_EQ(0, readers_progress(&c->readers, 20));
	EXPECT_EQ(0, readers_stop(&c->readers));
	EXPECT_EQ(0, change_compare(c));
}

FIXTURE(quota) {
	struct volume	volume;
	struct change	change;
};

FIXTURE_VARIANT(quota) {
	int		type;
	const char	*ext4, *xfs;
};

FIXTURE_VARIANT_ADD(quota, user) {
	.type = USRQUOTA, .ext4 = "usrquota", .xfs = "uquota",
};

FIXTURE_VARIANT_ADD(quota, group) {
	.type = GRPQUOTA, .ext4 = "grpquota", .xfs = "gquota",
};

FIXTURE_SETUP(quota)
{
	ASSERT_EQ(0, make_volume(&self->volume, on_xfs() ? MKFS_XFS :
					MKFS_EXT4 " -O quota",
				 on_xfs() ? variant->xfs : variant->ext4));
	ASSERT_EQ(0, change_create(&self->change));
	ASSERT_EQ(0, chown(self->change.path, NOBODY, NOBODY));
	self->change.readers.bytes = 2 * CHANGE_BYTES;
	self->change.readers.shrinks = true;
	self->change.readers.zeroes = true;
	ASSERT_EQ(0, change_begin(&self->change, &self->volume));
}

FIXTURE_TEARDOWN(quota)
{
	change_end(&self->change);
	EXPECT_EQ(0, volume_remove(&self->volume));
}

/* Append until the quota is used up; in a process that has no privilege. */
static int append_over_quota(struct change *c)
{
	uint64_t offset = CHANGE_BYTES;
	char *buffer = dio_alloc(65536);
	int fd = -1, ret = become_nobody();
	ssize_t n = 65536;

	if (!ret)
		fd = open(c->path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while (n == 65536 && offset < 2 * CHANGE_BYTES) {
		content_fill(buffer, 65536, CHANGE_FILE, offset, 1);
		n = pwrite(fd, buffer, 65536, offset);
		offset += 65536;
	}
	if (n < 0 && errno == EDQUOT)
		return change_end_writer(c, fd, 0);
	diag("no quota: pwrite returned %zd", n);
	return -EIO;
}

TEST_F(quota, a_writer_that_is_over_quota_is_a_writer_like_others)
{
	struct dqblk limit = {
		.dqb_bhardlimit = (CHANGE_BYTES + 65536 * 3) / 1024,
		.dqb_bsoftlimit = (CHANGE_BYTES + 65536 * 3) / 1024,
		.dqb_valid = QIF_BLIMITS,
	};
	struct change *c = &self->change;
	int status = -1;
	pid_t pid;

	if (quotactl(QCMD(Q_SETQUOTA, variant->type), self->volume.node, NOBODY,
		     (void *)&limit)) {
		ASSERT_TRUE(errno == ESRCH || errno == ENOSYS)
			TH_LOG("%s", strerror(errno));
		EXPECT_EQ(0, readers_stop(&c->readers));
		SKIP(return, "the kernel has no quota for it");
	}
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(append_over_quota(c) ? 1 : 0);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_TRUE(change_counted(c, BPIO_REASON_WRITER));
	EXPECT_EQ(0, change_wait_direct(c));
	EXPECT_EQ(0, readers_progress(&c->readers, 20));
	EXPECT_EQ(0, readers_stop(&c->readers));
	EXPECT_EQ(0, change_compare(c));
}

/* The file system is taken away. */
FIXTURE(end) {
	struct volume	volume;
	struct change	change;
};

static int make_end(struct volume *volume, struct change *change)
{
	return make_volume(volume, on_xfs() ? MKFS_XFS : MKFS_EXT4_FOR_RECOVERY,
			   "") ?:
	       change_create(change) ?: change_begin(change, volume);
}

FIXTURE_SETUP(end)
{
	ASSERT_EQ(0, make_end(&self->volume, &self->change));
}

FIXTURE_TEARDOWN(end)
{
	change_end(&self->change);
	EXPECT_EQ(0, volume_remove(&self->volume));
}

static int shut_down(const struct volume *volume, uint32_t how)
{
	int fd = open(volume->mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int ret = ioctl(fd, FS_IOC_SHUTDOWN, &how) ? -errno : 0;

	close(fd);
	return ret;
}

/* Mounted once more, the file has its content. */
static void expect_recovery(struct __test_metadata *_metadata,
			    struct volume *volume, struct change *c)
{
	struct change again = { 0 };

	close(c->fd);
	close(c->plain);
	c->fd = -1;
	c->plain = -1;
	ASSERT_EQ(0, volume_umount(volume));
	ASSERT_EQ(0, volume_mount(volume, volume_fs_type(), ""));
	again = *c;
	again.plain = open(c->path, O_RDONLY | O_CLOEXEC);
	again.fd = file_open_direct(c->path);
	ASSERT_EQ(0, fs_enable(volume->fd, again.fd));
	EXPECT_EQ(0, change_wait_direct(&again));
	EXPECT_EQ(0, change_compare(&again));
	close(again.fd);
	close(again.plain);
}

FIXTURE(shut_down) {
	struct volume	volume;
	struct change	change;
};

FIXTURE_VARIANT(shut_down) {
	uint32_t	how;
};

FIXTURE_VARIANT_ADD(shut_down, orderly) { .how = SHUTDOWN_DEFAULT };
FIXTURE_VARIANT_ADD(shut_down, with_its_log) { .how = SHUTDOWN_LOGFLUSH };
FIXTURE_VARIANT_ADD(shut_down, at_once) { .how = SHUTDOWN_NOLOGFLUSH };

FIXTURE_SETUP(shut_down)
{
	ASSERT_EQ(0, make_end(&self->volume, &self->change));
}

FIXTURE_TEARDOWN(shut_down)
{
	change_end(&self->change);
	EXPECT_EQ(0, volume_remove(&self->volume));
}

/* Reads of an enabled file end with the tick. Returns the errno of the first. */
static int wait_for_failure(int fd)
{
	uint64_t deadline = now_ms() + DEADLINE_MS;
	char *buffer = dio_alloc(CHANGE_BYTES);
	int error = 0;

	while (!error && poll_again(deadline))
		if (pread(fd, buffer, CHANGE_BYTES, 0) < 0)
			error = errno;
	free(buffer);
	return error;
}

TEST_F(shut_down, an_enabled_file_fails_its_reads_as_others_do)
{
	struct change *c = &self->change;
	struct bpio_file_info now;
	uint64_t direct;

	c->readers.may_fail = EIO;
	ASSERT_EQ(0, shut_down(&self->volume, variant->how));
	ASSERT_EQ(EIO, wait_for_failure(c->fd));
	EXPECT_EQ(0, readers_progress(&c->readers, 50));
	EXPECT_EQ(0, readers_stop(&c->readers));

	direct = file_direct(c->fd);
	EXPECT_EQ(EIO, reads_alike(c->plain, c->fd, CHANGE_BYTES));
	EXPECT_EQ(EIO, reads_alike(c->plain, c->fd, 4096));
	EXPECT_EQ(direct, file_direct(c->fd));
	ASSERT_EQ(0, file_info(c->fd, &now));
	EXPECT_EQ((unsigned int)BPIO_REASON_SHUT_DOWN, now.reason);
	EXPECT_LT(0u, file_fallbacks(c->fd, BPIO_REASON_SHUT_DOWN));
	expect_recovery(_metadata, &self->volume, c);
}

/* What a file that is not armed then is told: it is in vain to wait for a map. */
TEST_F(shut_down, a_file_that_is_to_be_armed_is_told_why_it_is_not)
{
	struct change *c = &self->change;
	struct bpio_file_arm arm = { .size = sizeof(arm) };

	c->readers.may_fail = EIO;
	ASSERT_EQ(0, close(open(c->path, O_WRONLY | O_CLOEXEC)));
	ASSERT_EQ(0, shut_down(&self->volume, variant->how));
	EXPECT_EQ(0, readers_stop(&c->readers));
	ASSERT_EQ(0, file_arm(c->fd, &arm));
	EXPECT_EQ((unsigned int)BPIO_REASON_SHUT_DOWN, arm.reason);
	/* it may have been armed until now */
	ASSERT_EQ(EIO, wait_for_failure(c->fd));
	EXPECT_EQ(EIO, reads_alike(c->plain, c->fd, CHANGE_BYTES));
	expect_recovery(_metadata, &self->volume, c);
}

/* What is in the page cache only can be read no more; it is not read past. */
TEST_F(end, what_was_lost_with_the_file_system_is_not_read_in_its_old_state)
{
	struct change *c = &self->change;
	uint64_t deadline = now_ms() + 2000;
	char *buffer = dio_alloc(CHANGE_BYTES);
	int fd = open(c->path, O_WRONLY | O_CLOEXEC);
	ssize_t n;

	/* reads of the file system would write it to the device */
	ASSERT_EQ(0, readers_stop(&c->readers));
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, change_write(c, fd));
	ASSERT_EQ(0, shut_down(&self->volume, SHUTDOWN_NOLOGFLUSH));
	close(fd);
	do {
		n = pread(c->fd, buffer, CHANGE_BYTES, 0);
		ASSERT_TRUE(n > 0 || errno == EIO)
			TH_LOG("%zd, %s", n, strerror(errno));
		if (n > 0)
			ASSERT_EQ(0, content_is(buffer, n, 0, CHANGE_FILE, 2));
	} while (poll_again(deadline));
	free(buffer);
	expect_recovery(_metadata, &self->volume, c);
}

TEST_F(end, reads_go_on_right_when_the_journal_is_aborted)
{
	struct change *c = &self->change;

	if (on_xfs())
		SKIP(return, "only ext4 has a journal that can be aborted");
	c->readers.may_fail = EIO;
	ASSERT_EQ(0, shell("mount -o remount,abort %s", self->volume.mount));
	EXPECT_EQ(0, readers_progress(&c->readers, 50));
	EXPECT_EQ(0, readers_stop(&c->readers));
	EXPECT_LE(0, reads_alike(c->plain, c->fd, CHANGE_BYTES));
	expect_recovery(_metadata, &self->volume, c);
}

TEST_F(end, reads_go_on_direct_when_it_is_unmounted_lazily)
{
	struct change *c = &self->change;
	struct bpio_file_info now;

	ASSERT_EQ(0, umount2(self->volume.mount, MNT_DETACH));
	EXPECT_EQ(0, readers_progress(&c->readers, 50));
	ASSERT_EQ(0, file_info(c->fd, &now));
	EXPECT_EQ(c->before.fallback_reads, now.fallback_reads);
	EXPECT_EQ(0, readers_stop(&c->readers));
	EXPECT_EQ(0, change_compare(c));
	rmdir(self->volume.mount);
	self->volume.mount[0] = 0;
}

PROGRAM_MAIN
