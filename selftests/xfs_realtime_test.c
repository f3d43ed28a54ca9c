// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files on the realtime device of XFS: the volume is the other device, so the file
 * system serves their reads, under a separate reason.
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include "mapper.h"
#include "program.h"

#define KIB	1024
#define BYTES	(512 * KIB)
#define START	2048
#define RT	"realtime-rt"
#define RT_MIB	64

static struct volume volume;
static char path[192];
/* The reason why there is no such file system, or NULL. */
static const char *missing;

static int program_setup(void)
{
	char mkfs[256], options[128];
	int ret;

	ret = dm_create_one(RT, "linear", devices.nvme,
			    START + MIB_SECTORS(XFS_MIB), MIB_SECTORS(RT_MIB),
			    "");
	ret = ret ?: volume_create(&volume, "realtime", devices.nvme, START,
				   MIB_SECTORS(XFS_MIB), "");
	if (ret)
		return ret;
	snprintf(mkfs, sizeof(mkfs), MKFS_XFS " -m reflink=0 -r rtdev=%s",
		 dm_node(RT));
	snprintf(options, sizeof(options), "rtdev=%s", dm_node(RT));
	if (volume_format(&volume, mkfs))
		missing = "mkfs.xfs makes no realtime device";
	else if (volume_mount(&volume, "xfs", options))
		missing = "the kernel mounts no XFS with a realtime device";
	else
		snprintf(path, sizeof(path), "%s", volume_path(&volume, "file"));
	return 0;
}

static int program_cleanup(void)
{
	return volume_remove(&volume) ?: dm_remove(RT);
}

/* An empty file for which XFS will take blocks of that device. */
static int make_realtime(const char *name)
{
	int fd = open(name, O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
	struct fsxattr attr;
	int ret = 0;

	if (fd < 0)
		return -errno;
	if (ioctl(fd, FS_IOC_FSGETXATTR, &attr))
		ret = -errno;
	attr.fsx_xflags |= FS_XFLAG_REALTIME;
	if (!ret && ioctl(fd, FS_IOC_FSSETXATTR, &attr))
		ret = -errno;
	close(fd);
	return ret;
}

static int fill(const char *name, uint32_t file)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	int ret = fd < 0 ? -errno : file_write(fd, 0, BYTES, file, 1);

	if (!ret && fsync(fd))
		ret = -errno;
	close(fd);
	return ret;
}

FIXTURE(file) {
	int	fd;
	char	*buffer;
};

FIXTURE_SETUP(file)
{
	if (missing)
		SKIP(return, "%s", missing);
	self->fd = -1;
	self->buffer = dio_alloc(BYTES);
}

FIXTURE_TEARDOWN(file)
{
	close(self->fd);
	unlink(path);
	EXPECT_EQ(0, active_count(volume.fd));
}

static void enable(struct __test_metadata *_metadata,
		   FIXTURE_DATA(file) *self)
{
	self->fd = file_open_direct(path);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, fs_enable(volume.fd, self->fd));
}

/* Read it in parts of every size and judge them. */
static void read_it(struct __test_metadata *_metadata,
		    FIXTURE_DATA(file) *self, uint32_t file)
{
	size_t part, at;

	for (part = 4 * KIB; part <= BYTES; part *= 8) {
		for (at = 0; at + part <= BYTES; at += part) {
			memset(self->buffer, 0xa5, part);
			ASSERT_EQ((ssize_t)part,
				  pread(self->fd, self->buffer, part, at));
			ASSERT_EQ(0, content_is(self->buffer, part, at, file,
						1));
		}
	}
}

static void expect_realtime(struct __test_metadata *_metadata,
			    FIXTURE_DATA(file) *self)
{
	struct bpio_file_arm arm;
	struct bpio_file_info info;

	ASSERT_EQ(0, file_arm(self->fd, &arm));
	EXPECT_EQ(0u, arm.armed);
	EXPECT_STREQ("realtime", reason_token(arm.reason));
	ASSERT_EQ(0, file_info(self->fd, &info));
	EXPECT_STREQ("realtime", reason_token(info.reason));
}

TEST_F(file, on_the_realtime_device_is_read_by_the_file_system_for_that_reason)
{
	struct bpio_file_info info;

	ASSERT_EQ(0, make_realtime(path));
	ASSERT_EQ(0, fill(path, 1));
	enable(_metadata, self);
	expect_realtime(_metadata, self);
	read_it(_metadata, self, 1);
	ASSERT_EQ(0, file_info(self->fd, &info));
	EXPECT_EQ(0u, info.direct_reads);
	EXPECT_LT(0u, info.fallback_reads);
	EXPECT_EQ(info.fallback_reads,
		  info.fallback_reason[BPIO_REASON_REALTIME]);
}

TEST_F(file, on_the_data_device_of_the_same_file_system_goes_direct)
{
	struct bpio_file_info info;

	ASSERT_EQ(0, fill(path, 2));
	enable(_metadata, self);
	ASSERT_EQ(0, file_armed(self->fd));
	read_it(_metadata, self, 2);
	ASSERT_EQ(0, file_info(self->fd, &info));
	EXPECT_LT(0u, info.direct_reads);
	EXPECT_EQ(0u, info.fallback_reads);
}

/* Armed as an empty file of the one device, and then filled on the other. */
TEST_F(file, that_becomes_one_of_the_realtime_device_while_enabled_is_noticed)
{
	close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	enable(_metadata, self);
	ASSERT_EQ(0, file_armed(self->fd));
	ASSERT_EQ(0, make_realtime(path));
	ASSERT_EQ(0, fill(path, 3));
	read_it(_metadata, self, 3);
	expect_realtime(_metadata, self);
	read_it(_metadata, self, 3);
	EXPECT_EQ(0u, file_direct(self->fd));
}

PROGRAM_MAIN
