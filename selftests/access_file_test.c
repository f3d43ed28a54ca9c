// SPDX-License-Identifier: GPL-2.0-only
/*
 * Access permissions of a file change while it is read with BypassIO: modes, owners and
 * ACLs, projects, idmapped mounts, user namespaces, security modules. Permissions are
 * checked at open, so reads of an enabled open file continue as for any other; each
 * test compares it with one that is not enabled.
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/quota.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "access.h"
#include "program.h"
#include "readers.h"

#define BYTES	(256 * 1024)
#define PROJECT	42
#ifndef PRJQUOTA
#define PRJQUOTA 2
#endif

static struct volume volume;
static char path[192];
static struct readers readers;

static int program_setup(void)
{
	int ret = volume_fs(&volume, "rights", devices.nvme, 2048,
			    MIB_SECTORS(XFS_MIB), " -O quota,project", "");

	/* As ordinary mounts are: quotas are not kept without being asked for. */
	ret = ret ?: volume_umount(&volume) ?:
		     volume_mount(&volume, volume_fs_type(), "prjquota");
	snprintf(path, sizeof(path), "%s", volume_path(&volume, "file"));
	return ret;
}

static int program_cleanup(void)
{
	return volume_remove(&volume);
}

FIXTURE(file) {
	int	fd;		/* enabled */
	int	plain;
	char	*buffer;
};

/* Who may not open the mapped device has the node. */
static int enable(int fd)
{
	int node = node_open(), ret;

	if (node < 0)
		return node;
	ret = node_enable(node, fd);
	close(node);
	return ret ?: file_armed(fd);
}

/* From now on threads read the enabled file. */
static void enable_and_read(struct __test_metadata *_metadata,
			    FIXTURE_DATA(file) *self)
{
	ASSERT_EQ(0, enable(self->fd));
	readers = (struct readers) {
		.fd = self->fd, .file = 1, .bytes = BYTES,
		.largest = 64 * 1024, .oldest = 1, .newest = 1,
	};
	ASSERT_EQ(0, readers_start(&readers));
}

/* User nobody opens the file, enables it, and reads it continuously. */
static void read_as_nobody(struct __test_metadata *_metadata,
			   FIXTURE_DATA(file) *self, int dir, const char *name)
{
	ASSERT_EQ(0, thread_is_nobody(true));
	self->plain = openat(dir, name, O_RDONLY | O_DIRECT | O_CLOEXEC);
	ASSERT_LE(0, self->plain) TH_LOG("%s", strerror(errno));
	self->fd = openat(dir, name, O_RDONLY | O_DIRECT | O_CLOEXEC);
	ASSERT_LE(0, self->fd) TH_LOG("%s", strerror(errno));
	enable_and_read(_metadata, self);
	ASSERT_EQ(0, readers_progress(&readers, READERS));
	ASSERT_EQ(0, thread_is_nobody(false));
}

#define READ_AS_NOBODY(dir, name) read_as_nobody(_metadata, self, dir, name)

FIXTURE_SETUP(file)
{
	self->buffer = dio_alloc(BYTES);
	self->fd = -1;
	self->plain = -1;
	ASSERT_EQ(0, file_create(path, BYTES, 1));
}

static void tear_down(struct __test_metadata *_metadata,
		      FIXTURE_DATA(file) *self)
{
	if (readers.fd)
		EXPECT_EQ(0, readers_stop(&readers));
	close(self->plain);
	close(self->fd);
	unlink(path);
	EXPECT_EQ(0, active_count(volume.fd));
}

FIXTURE_TEARDOWN(file)
{
	tear_down(_metadata, self);
}

/* The same with bypass and without, the right bytes, and direct again soon. */
#define EXPECT_READS_GO_ON() do {					\
	EXPECT_EQ(0, readers_progress(&readers, 4 * READERS));		\
	EXPECT_EQ(0, reads_alike(self->plain, self->fd, BYTES));	\
	EXPECT_EQ(0, file_wait_direct(self->fd, self->buffer, BYTES, 0));	\
	EXPECT_EQ(0, content_is(self->buffer, BYTES, 0, 1, 1));		\
} while (0)

static uint64_t revokes(int fd)
{
	struct bpio_file_info info;

	return file_info(fd, &info) ? UINT64_MAX : info.revokes;
}

/* Changes of permissions. The first ones take away those of user nobody. */
static int take_the_mode_away(void)
{
	return chmod(path, 0600);
}

static int give_it_to_somebody(void)
{
	return chmod(path, 0640) ?: chown(path, 1, 1);
}

static int deny_it_by_a_list(void)
{
	return shell("setfacl -m u:%d:--- %s", NOBODY, path);
}

static int lock_its_directory(void)
{
	return chmod(volume.mount, 0700);
}

static int set_project(int id)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), ret;
	struct fsxattr attr;

	ret = ioctl(fd, FS_IOC_FSGETXATTR, &attr);
	attr.fsx_projid = id;
	ret = ret ?: ioctl(fd, FS_IOC_FSSETXATTR, &attr);
	close(fd);
	return ret;
}

static int put_it_into_a_project(void)
{
	return set_project(PROJECT);
}

static int make_it_immutable_and_mutable(void)
{
	return shell("chattr +i %s", path) ?: shell("chattr -i %s", path);
}

FIXTURE(change) {
	FIXTURE_DATA(file) file;
};

FIXTURE_VARIANT(change) {
	int	(*make)(void);
	bool	denies;
	bool	revokes;
};

#define CHANGE(name, may_not, ends) \
	FIXTURE_VARIANT_ADD(change, name) {	\
		.make = name, .denies = may_not, .revokes = ends	\
	}

CHANGE(take_the_mode_away, true, true);
CHANGE(give_it_to_somebody, true, true);
CHANGE(deny_it_by_a_list, true, true);
CHANGE(lock_its_directory, true, false);
CHANGE(put_it_into_a_project, false, false);
CHANGE(make_it_immutable_and_mutable, false, false);

FIXTURE_SETUP(change)
{
	self->file.buffer = dio_alloc(BYTES);
	ASSERT_EQ(0, file_create(path, BYTES, 1));
	read_as_nobody(_metadata, &self->file, AT_FDCWD, path);
}

FIXTURE_TEARDOWN(change)
{
	EXPECT_EQ(0, chmod(volume.mount, 0755));
	tear_down(_metadata, &self->file);
}

static void nobody_opens(struct __test_metadata *_metadata, int error)
{
	int fd;

	ASSERT_EQ(0, thread_is_nobody(true));
	fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	EXPECT_EQ(error, fd < 0 ? errno : 0);
	if (fd >= 0)
		close(fd);
	ASSERT_EQ(0, thread_is_nobody(false));
}

static void change_rights(struct __test_metadata *_metadata,
			  FIXTURE_DATA(file) *self,
			  const FIXTURE_VARIANT(change) *variant)
{
	struct bpio_file_info info;
	uint64_t others;

	nobody_opens(_metadata, 0);
	ASSERT_EQ(0, variant->make()) TH_LOG("%s", strerror(errno));
	nobody_opens(_metadata, variant->denies ? EACCES : 0);
	EXPECT_READS_GO_ON();
	ASSERT_EQ(0, file_info(self->fd, &info));
	if (!variant->revokes) {
		EXPECT_EQ(0u, info.revokes);
		/* while the flags change, as all reads of the file wait */
		EXPECT_EQ(info.fallback_reason[BPIO_REASON_LOCKED],
			  info.fallback_reads);
		return;
	}
	EXPECT_LT(0u, info.revokes);
	others = info.fallback_reads -
		 info.fallback_reason[BPIO_REASON_REVOKED] -
		 info.fallback_reason[BPIO_REASON_NOT_ARMED] -
		 info.fallback_reason[BPIO_REASON_LEASE] -
		 info.fallback_reason[BPIO_REASON_LOCKED];
	EXPECT_EQ(0u, others);
}

TEST_F(change, of_rights_leaves_reads_as_they_are_without_bypass)
{
	change_rights(_metadata, &self->file, variant);
}

static int limit_project(uint64_t bytes)
{
	struct dqblk limit = {
		.dqb_bhardlimit = bytes / 1024, .dqb_valid = QIF_BLIMITS,
	};

	return quotactl(QCMD(Q_SETQUOTA, PRJQUOTA), volume.node, PROJECT,
			(void *)&limit);
}

TEST_F(file, a_project_without_quota_left_stops_writers_and_no_reader)
{
	struct bpio_file_arm arm;
	int fd, ret;

	ASSERT_EQ(0, set_project(PROJECT));
	ASSERT_EQ(0, chmod(path, 0666));
	ASSERT_EQ(0, limit_project(BYTES)) TH_LOG("%s", strerror(errno));
	READ_AS_NOBODY(AT_FDCWD, path);
	ASSERT_EQ(0, thread_is_nobody(true));
	fd = open(path, O_WRONLY | O_CLOEXEC);
	ASSERT_LE(0, fd);
	ret = posix_fallocate(fd, BYTES, 16 * BYTES);
	EXPECT_EQ(true, ret == EDQUOT || ret == ENOSPC)
		TH_LOG("%s", strerror(ret));
	ASSERT_EQ(0, file_arm(self->fd, &arm));
	EXPECT_STREQ("writer", reason_token(arm.reason));
	EXPECT_EQ(0, readers_progress(&readers, 4 * READERS));
	close(fd);
	ASSERT_EQ(0, thread_is_nobody(false));
	EXPECT_LT(0u, file_fallbacks(self->fd, BPIO_REASON_WRITER));
	ASSERT_EQ(0, truncate(path, BYTES));
	EXPECT_READS_GO_ON();
	EXPECT_EQ(0, limit_project(0));
}

/* An idmapped mount on which root's files belong to user nobody. */
static int idmapped_mount(void)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP };
	int tree, namespace = user_namespace(NOBODY);

	if (namespace < 0)
		return namespace;
	tree = open_tree(AT_FDCWD, volume.mount,
			 OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	attr.userns_fd = namespace;
	if (tree < 0 ||
	    mount_setattr(tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)))
		tree = -errno;
	close(namespace);
	return tree;
}

TEST_F(file, an_idmapped_mount_gives_bypass_to_whom_it_gives_the_file)
{
	struct stat by_fd, by_path;
	int tree = idmapped_mount();
	uint64_t before;

	ASSERT_LE(0, tree) TH_LOG("%s", strerror(-tree));
	ASSERT_EQ(0, chmod(path, 0600));
	nobody_opens(_metadata, EACCES);
	READ_AS_NOBODY(tree, "file");
	ASSERT_EQ(0, fstat(self->fd, &by_fd));
	ASSERT_EQ(0, stat(path, &by_path));
	EXPECT_EQ((uid_t)NOBODY, by_fd.st_uid);
	EXPECT_EQ((gid_t)NOBODY, by_fd.st_gid);
	EXPECT_EQ(0u, by_path.st_uid);
	EXPECT_READS_GO_ON();
	/* the owner on that mount changes the mode */
	before = revokes(self->fd);
	ASSERT_EQ(0, thread_is_nobody(true));
	EXPECT_EQ(-1, chmod(path, 0400));
	EXPECT_EQ(0, fchmodat(tree, "file", 0400, 0));
	ASSERT_EQ(0, thread_is_nobody(false));
	EXPECT_LT(before, revokes(self->fd));
	EXPECT_READS_GO_ON();
	/* that mount can no longer be used */
	close(tree);
	ASSERT_EQ(0, chmod(path, 0000));
	EXPECT_READS_GO_ON();
	EXPECT_LT(0u, revokes(self->fd));
}

/* In a child that stays root: wait for the signal, then remove the permission. */
static pid_t later_chmod(int *tell)
{
	int pair[2];
	char c;
	pid_t pid;

	if (pipe2(pair, O_CLOEXEC))
		return -errno;
	pid = fork();
	if (!pid) {
		close(pair[1]);
		_exit(read(pair[0], &c, 1) != 1 || chmod(path, 0000));
	}
	close(pair[0]);
	*tell = pair[1];
	return pid;
}

TEST(a_process_in_a_user_namespace_is_given_what_its_ids_give_it)
{
	FIXTURE_DATA(file) data = { .buffer = dio_alloc(BYTES) }, *self = &data;
	int tell, fd, plain, status;
	pid_t pid;

	snprintf(path, sizeof(path), "%s", volume_path(&volume, "namespace"));
	ASSERT_EQ(0, file_create(path, BYTES, 1));
	plain = file_open_direct(path);
	fd = file_open_direct(path);
	ASSERT_EQ(0, fs_enable(volume.fd, fd));
	pid = later_chmod(&tell);
	ASSERT_LT(0, pid);
	ASSERT_EQ(0, become_nobody());
	ASSERT_EQ(0, enter_user_namespace());
	/* as a root of whom the file is not */
	EXPECT_EQ(0u, geteuid());
	EXPECT_EQ(-1, chmod(path, 0666));
	self->plain = file_open_direct(path);
	self->fd = file_open_direct(path);
	ASSERT_LE(0, self->fd);
	enable_and_read(_metadata, self);
	ASSERT_EQ(1, write(tell, "x", 1));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(-1, open(path, O_RDONLY));
	EXPECT_EQ(EACCES, errno);
	EXPECT_READS_GO_ON();
	EXPECT_LT(0u, revokes(self->fd));
	/* the inherited descriptor still works too */
	EXPECT_EQ(0, reads_alike(plain, fd, BYTES));
	EXPECT_EQ(0, readers_stop(&readers));
}

/* Landlock, by its system calls. */
static int landlock_version(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0,
		       LANDLOCK_CREATE_RULESET_VERSION);
}

/* From now on this process may do nothing of @access to any file. */
static int landlock(uint64_t access)
{
	struct landlock_ruleset_attr attr = { .handled_access_fs = access };
	int ruleset = syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr),
			      0);

	if (ruleset < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	return syscall(SYS_landlock_restrict_self, ruleset, 0) ? -errno : 0;
}

#define NEED_LANDLOCK(version, what) do {				\
	if (landlock_version() < (version))				\
		SKIP(return, what);					\
} while (0)

TEST_F(file, a_process_under_landlock_reads_what_it_has_open)
{
	NEED_LANDLOCK(1, "the kernel has no Landlock, or it is not enabled");
	self->plain = file_open_direct(path);
	self->fd = file_open_direct(path);
	ASSERT_EQ(0, landlock(LANDLOCK_ACCESS_FS_READ_FILE));
	EXPECT_EQ(-1, open(path, O_RDONLY | O_DIRECT));
	EXPECT_EQ(EACCES, errno);
	/* armed for the first time by a process that may not open it */
	ASSERT_EQ(0, fs_enable(volume.fd, self->fd));
	EXPECT_EQ(0, file_armed(self->fd));
	EXPECT_EQ(0, reads_alike(self->plain, self->fd, BYTES));
	EXPECT_EQ(1u, file_direct(self->fd));
}

TEST_F(file, a_process_that_goes_under_landlock_reads_on)
{
	NEED_LANDLOCK(1, "the kernel has no Landlock, or it is not enabled");
	self->plain = file_open_direct(path);
	self->fd = file_open_direct(path);
	ASSERT_EQ(0, enable(self->fd));
	ASSERT_EQ(0, landlock(LANDLOCK_ACCESS_FS_READ_FILE));
	readers = (struct readers) {
		.fd = self->fd, .file = 1, .bytes = BYTES,
		.largest = 64 * 1024, .oldest = 1, .newest = 1,
	};
	ASSERT_EQ(0, readers_start(&readers));
	EXPECT_READS_GO_ON();
	ASSERT_EQ(0, chmod(path, 0600));
	EXPECT_READS_GO_ON();
	EXPECT_LT(0u, revokes(self->fd));
	ASSERT_EQ(0, chmod(path, 0644));
	EXPECT_EQ(0, file_armed(self->fd));
}

TEST_F(file, under_landlock_neither_file_nor_device_nor_node_can_be_opened)
{
	NEED_LANDLOCK(1, "the kernel has no Landlock, or it is not enabled");
	ASSERT_EQ(0, landlock(LANDLOCK_ACCESS_FS_READ_FILE));
	EXPECT_EQ(-1, open(path, O_RDONLY | O_DIRECT));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(-1, open(volume.node, O_RDONLY));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(-EACCES, node_open());
}

#ifndef LANDLOCK_ACCESS_FS_IOCTL_DEV
#define LANDLOCK_ACCESS_FS_IOCTL_DEV	(1ULL << 15)
#endif

TEST_F(file, landlock_of_ioctls_holds_for_devices_opened_under_it)
{
	struct fs_bpio_output out;
	int device, node, before = node_open();

	NEED_LANDLOCK(5, "the kernel has no Landlock of ioctls of devices");
	self->plain = file_open_direct(path);
	self->fd = file_open_direct(path);
	ASSERT_EQ(0, landlock(LANDLOCK_ACCESS_FS_IOCTL_DEV));
	device = open(volume.node, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, device);
	EXPECT_EQ(-EACCES, fs_op(device, FS_BPIO_OP_ENABLE, self->fd, &out));
	node = node_open();
	ASSERT_LE(0, node);
	EXPECT_EQ(-EACCES, fs_op(node, FS_BPIO_OP_ENABLE, self->fd, &out));
	EXPECT_EQ(0, active_count(volume.fd));
	ASSERT_EQ(0, node_enable(before, self->fd));
	EXPECT_EQ(0, file_armed(self->fd));
	EXPECT_EQ(0, reads_alike(self->plain, self->fd, BYTES));
	close(before);
	close(node);
	close(device);
}

TEST_F(file, selinux_allows_with_bypass_what_it_allows_without)
{
	if (access("/sys/fs/selinux/enforce", F_OK))
		SKIP(return, "SELinux is not enabled on this kernel");
	READ_AS_NOBODY(AT_FDCWD, path);
	EXPECT_READS_GO_ON();
}

/* It may call read(), write() and exit() from now on, and read into @buffer. */
static void read_under_seccomp(int fd, char *buffer)
{
	bool good = !prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) &&
		    read(fd, buffer, BYTES) == BYTES;

	syscall(SYS_exit, good ? 0 : 1);
}

TEST_F(file, a_process_under_strict_seccomp_reads_direct)
{
	char *buffer = mmap(NULL, BYTES, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	int fd = file_open_direct(path), status;
	uint64_t direct;
	pid_t pid;

	ASSERT_EQ(0, fs_enable_armed(volume.fd, fd));
	READ_AS_NOBODY(AT_FDCWD, path);
	direct = file_direct(fd);
	pid = fork();
	if (!pid)
		read_under_seccomp(fd, buffer);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(0, content_is(buffer, BYTES, 0, 1, 1));
	EXPECT_EQ(direct + 1, file_direct(fd));
	close(fd);
}

PROGRAM_MAIN
