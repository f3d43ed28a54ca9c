// SPDX-License-Identifier: GPL-2.0-only
/*
 * From ENABLE to DISABLE: what counts as one open file, what keeps it enabled, all
 * kinds of a last close, and that this releases the mount and the module.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "access.h"
#include "mapper.h"
#include "program.h"
#include "verdict.h"

#define BYTES	(64 * 1024)
#define START	2048
#define SECTORS	MIB_SECTORS(XFS_MIB)

static struct volume volume;
static char path[192];

static int program_setup(void)
{
	int ret = volume_fs(&volume, "lifetime", devices.nvme, START, SECTORS,
			    "", "");

	if (ret)
		return ret;
	snprintf(path, sizeof(path), "%s", volume_path(&volume, "file"));
	return file_create(path, BYTES, 1);
}

static int program_cleanup(void)
{
	return volume_remove(&volume);
}

FIXTURE(file) {
	int	fd;
	char	*buffer;
};

FIXTURE_SETUP(file)
{
	self->fd = file_open_direct(path);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, fs_enable(volume.fd, self->fd));
	ASSERT_EQ(1, active_count(volume.fd));
	self->buffer = dio_alloc(BYTES);
}

/* Whatever a test did: with its descriptors closed nothing is enabled. */
FIXTURE_TEARDOWN(file)
{
	close(self->fd);
	EXPECT_EQ(0, active_count(volume.fd));
	EXPECT_EQ(0, volume_umount(&volume));
	EXPECT_EQ(0, volume_mount(&volume, volume_fs_type(), ""));
}

#define EXPECT_ACTIVE(count)	EXPECT_EQ(count, active_count(volume.fd))

/* All of the file by @fd, and it is the file's. */
#define EXPECT_READABLE(fd) do {					\
	memset(self->buffer, 0xa5, BYTES);				\
	EXPECT_EQ(BYTES, pread(fd, self->buffer, BYTES, 0));		\
	EXPECT_EQ(0, content_is(self->buffer, BYTES, 0, 1, 1));		\
} while (0)

/* The same, and it goes direct. */
#define EXPECT_DIRECT(fd) do {						\
	uint64_t __before = file_direct(fd);				\
									\
	EXPECT_READABLE(fd);						\
	EXPECT_EQ(__before + 1, file_direct(fd));			\
} while (0)

#define CLOSE_IT() do {							\
	ASSERT_EQ(0, close(self->fd));					\
	self->fd = -1;							\
} while (0)

TEST_F(file, enable_answers_with_full_support_and_no_objection)
{
	int fd = file_open_direct(path);
	struct fs_bpio_output out;

	ASSERT_EQ(0, fs_op(volume.fd, FS_BPIO_OP_ENABLE, fd, &out));
	EXPECT_EQ((unsigned int)FS_BPIO_OP_ENABLE, out.operation);
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_FULL, out.support);
	EXPECT_EQ(FS_BPIO_OUTFL_COMPATIBLE_STORAGE_DRIVER, out.out_flags);
	EXPECT_NO_OBJECTION(&out.enable);
	EXPECT_ACTIVE(2);
	EXPECT_READABLE(fd);
	close(fd);
}

TEST_F(file, the_same_open_file_enabled_again_counts_once_and_goes_on_counting)
{
	int duplicate = dup(self->fd);

	ASSERT_EQ(0, file_armed(self->fd));
	EXPECT_DIRECT(self->fd);
	ASSERT_EQ(0, fs_enable(volume.fd, self->fd));
	ASSERT_EQ(0, fs_enable(volume.fd, duplicate));
	EXPECT_ACTIVE(1);
	EXPECT_EQ(1u, file_direct(self->fd));
	EXPECT_DIRECT(duplicate);
	EXPECT_EQ(2u, file_direct(self->fd));
	close(duplicate);
	EXPECT_ACTIVE(1);
	EXPECT_DIRECT(self->fd);
}

TEST_F(file, two_opens_count_two)
{
	int fd = file_open_direct(path);
	struct bpio_file_info info;

	ASSERT_EQ(0, fs_enable(volume.fd, fd));
	EXPECT_ACTIVE(2);
	EXPECT_READABLE(self->fd);
	ASSERT_EQ(0, file_info(fd, &info));
	EXPECT_EQ(0u, info.direct_reads + info.fallback_reads);
	CLOSE_IT();
	EXPECT_ACTIVE(1);
	EXPECT_READABLE(fd);
	close(fd);
	EXPECT_ACTIVE(0);
}

TEST_F(file, that_is_opened_again_through_proc_is_another_open_file)
{
	struct bpio_file_info info;
	char name[32];
	int fd;

	snprintf(name, sizeof(name), "/proc/self/fd/%d", self->fd);
	fd = file_open_direct(name);
	ASSERT_LE(0, fd);
	EXPECT_ACTIVE(1);
	EXPECT_EQ(-ENOTTY, file_info(fd, &info));
	EXPECT_READABLE(fd);
	close(fd);
	EXPECT_ACTIVE(1);
}

TEST_F(file, the_last_close_disables)
{
	CLOSE_IT();
	EXPECT_ACTIVE(0);
}

TEST_F(file, a_duplicate_keeps_it_enabled)
{
	int duplicate = dup(self->fd);

	ASSERT_LE(0, duplicate);
	ASSERT_EQ(0, file_armed(self->fd));
	CLOSE_IT();
	EXPECT_ACTIVE(1);
	EXPECT_DIRECT(duplicate);
	close(duplicate);
	EXPECT_ACTIVE(0);
}

static void *map_file(int fd)
{
	return mmap(NULL, BYTES, PROT_READ, MAP_SHARED, fd, 0);
}

TEST_F(file, a_mapping_keeps_it_enabled_until_it_is_unmapped)
{
	char *map = map_file(self->fd);

	ASSERT_NE(MAP_FAILED, (void *)map);
	ASSERT_EQ(0, file_armed(self->fd));
	EXPECT_DIRECT(self->fd);
	EXPECT_EQ(0, content_is(map, BYTES, 0, 1, 1));
	CLOSE_IT();
	EXPECT_ACTIVE(1);
	EXPECT_EQ(0, content_is(map, BYTES, 0, 1, 1));
	ASSERT_EQ(0, munmap(map, BYTES));
	EXPECT_ACTIVE(0);
}

/* Reads still work after DISABLE, through the file system. */
static void expect_disabled(struct __test_metadata *_metadata,
			    FIXTURE_DATA(file) *self)
{
	struct bpio_file_info info;
	struct bpio_file_arm arm;
	uint64_t direct;

	EXPECT_ACTIVE(0);
	ASSERT_EQ(0, file_info(self->fd, &info));
	EXPECT_EQ(0u, info.enabled);
	EXPECT_EQ(0u, info.armed);
	EXPECT_EQ((unsigned int)BPIO_REASON_DISABLED, info.reason);
	direct = info.direct_reads;
	EXPECT_EQ(0, file_arm(self->fd, &arm));
	EXPECT_EQ(0u, arm.armed);
	EXPECT_EQ((unsigned int)BPIO_REASON_DISABLED, arm.reason);
	EXPECT_READABLE(self->fd);
	ASSERT_EQ(0, file_info(self->fd, &info));
	EXPECT_EQ(direct, info.direct_reads);
	EXPECT_EQ(1u, info.fallback_reason[BPIO_REASON_DISABLED]);
}

TEST_F(file, disable_ends_bypass_but_not_reading)
{
	struct fs_bpio_output out;

	ASSERT_EQ(0, file_armed(self->fd));
	EXPECT_DIRECT(self->fd);
	ASSERT_EQ(0, fs_op(volume.fd, FS_BPIO_OP_DISABLE, self->fd, &out));
	EXPECT_EQ((unsigned int)FS_BPIO_OP_DISABLE, out.operation);
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_NONE, out.support);
	expect_disabled(_metadata, self);
}

TEST_F(file, disable_by_a_duplicate_is_the_same)
{
	int duplicate = dup(self->fd);

	ASSERT_EQ(0, file_armed(self->fd));
	EXPECT_DIRECT(self->fd);
	ASSERT_EQ(0, fs_disable(volume.fd, duplicate));
	close(duplicate);
	expect_disabled(_metadata, self);
}

TEST_F(file, disable_never_fails_however_often_it_is_sent)
{
	int other = file_open_direct(path);

	/* a file that was never enabled */
	EXPECT_EQ(0, fs_disable(volume.fd, other));
	EXPECT_ACTIVE(1);
	EXPECT_EQ(0, fs_disable(volume.fd, self->fd));
	EXPECT_EQ(0, fs_disable(volume.fd, self->fd));
	EXPECT_EQ(0, fs_disable(volume.fd, other));
	EXPECT_ACTIVE(0);
	close(other);
}

TEST_F(file, disable_of_one_open_file_leaves_the_others_alone)
{
	int fd = file_open_direct(path);

	ASSERT_EQ(0, fs_enable(volume.fd, fd));
	ASSERT_EQ(0, fs_disable(volume.fd, self->fd));
	EXPECT_ACTIVE(1);
	ASSERT_EQ(0, file_armed(fd));
	EXPECT_DIRECT(fd);
	close(fd);
}

TEST_F(file, enable_after_disable_enables_again_and_goes_on_counting)
{
	struct bpio_file_info info;
	int round;

	for (round = 1; round <= 3; round++) {
		ASSERT_EQ(0, fs_disable(volume.fd, self->fd));
		EXPECT_ACTIVE(0);
		EXPECT_READABLE(self->fd);
		ASSERT_EQ(0, fs_enable(volume.fd, self->fd));
		EXPECT_ACTIVE(1);
		ASSERT_EQ(0, file_armed(self->fd));
		EXPECT_READABLE(self->fd);
		ASSERT_EQ(0, file_info(self->fd, &info));
		EXPECT_EQ(1u, info.enabled);
		EXPECT_EQ((unsigned int)round, info.direct_reads);
		EXPECT_EQ((unsigned int)round,
			  info.fallback_reason[BPIO_REASON_DISABLED]);
	}
	CLOSE_IT();
	EXPECT_ACTIVE(0);
}

TEST_F(file, neither_enable_nor_disable_changes_the_flags_of_the_file)
{
	int fd = open(path, O_RDONLY | O_DIRECT | O_NOATIME | O_NONBLOCK);
	int flags = fcntl(fd, F_GETFL);

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, fs_enable(volume.fd, fd));
	EXPECT_EQ(flags, fcntl(fd, F_GETFL));
	EXPECT_EQ(0, fcntl(fd, F_GETFD));
	ASSERT_EQ(0, fs_disable(volume.fd, fd));
	EXPECT_EQ(flags, fcntl(fd, F_GETFL));
	EXPECT_EQ(0, fcntl(fd, F_GETFD));
	close(fd);
}

/* A child that waits, with its descriptors open, until it is killed. */
static pid_t fork_waiting(bool open_another)
{
	int ready[2];
	pid_t pid;
	char c;

	if (pipe(ready))
		return -1;
	pid = fork();
	if (!pid) {
		if (open_another &&
		    fs_enable(volume.fd, file_open_direct(path)))
			_exit(1);
		if (write(ready[1], "r", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	if (read(ready[0], &c, 1) != 1)
		pid = -1;
	close(ready[0]);
	return pid;
}

TEST_F(file, the_death_of_its_process_disables)
{
	pid_t pid = fork_waiting(true);
	int status;

	ASSERT_LT(0, pid);
	EXPECT_ACTIVE(2);
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFSIGNALED(status));
	EXPECT_ACTIVE(1);
}

TEST_F(file, a_forked_child_keeps_it_enabled_until_it_ends)
{
	pid_t pid = fork_waiting(false);

	ASSERT_LT(0, pid);
	EXPECT_ACTIVE(1);
	CLOSE_IT();
	EXPECT_ACTIVE(1);
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	EXPECT_ACTIVE(0);
}

/* In a new process: another program, whose standard input is @fd. */
static void execute(int fd, const char *script)
{
	if (dup2(fd, 0) == 0)
		execlp("sh", "sh", "-c", script, path, NULL);
	_exit(127);
}

TEST_F(file, a_program_that_inherits_it_by_exec_reads_it_direct)
{
	int status;
	pid_t pid;

	ASSERT_EQ(0, file_armed(self->fd));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		execute(self->fd, "dd bs=64k count=1 status=none | cmp - \"$0\"");
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(1u, file_direct(self->fd));
	EXPECT_ACTIVE(1);
}

TEST_F(file, exec_keeps_enabled_what_it_does_not_close)
{
	int gate[2];
	pid_t pid;

	ASSERT_EQ(0, pipe2(gate, O_CLOEXEC));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		execute(self->fd, "exec sleep 300");
	CLOSE_IT();
	/* its end shows that the exec has closed the descriptors */
	close(gate[1]);
	EXPECT_EQ(0, read(gate[0], self->buffer, 1));
	EXPECT_ACTIVE(1);
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	EXPECT_ACTIVE(0);
}

TEST_F(file, exec_disables_what_it_closes)
{
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		execlp("sleep", "sleep", "300", NULL);
		_exit(127);
	}
	CLOSE_IT();
	EXPECT_EQ(0, active_count_wait(volume.fd, 0));
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
}

/* Receive an enabled file, prove that it reads direct, and end. */
static void file_receiver(int socket)
{
	char *buffer = dio_alloc(BYTES);
	int fd = receive_fd(socket);
	uint64_t direct = file_direct(fd);
	bool good = fd >= 0 && !become_nobody() &&
		    pread(fd, buffer, BYTES, 0) == BYTES &&
		    !content_is(buffer, BYTES, 0, 1, 1) &&
		    file_direct(fd) == direct + 1;

	_exit(good ? 0 : 1);
}

TEST_F(file, that_is_passed_to_another_process_is_read_direct_there)
{
	int pair[2], status;
	pid_t pid;

	ASSERT_EQ(0, file_armed(self->fd));
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		close(self->fd);
		close(pair[0]);
		file_receiver(pair[1]);
	}
	close(pair[1]);
	ASSERT_EQ(0, send_fd(pair[0], self->fd));
	CLOSE_IT();
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_ACTIVE(0);
}

TEST_F(file, that_is_lost_in_a_socket_is_disabled_with_it)
{
	int pair[2];

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	ASSERT_EQ(0, send_fd(pair[0], self->fd));
	CLOSE_IT();
	EXPECT_ACTIVE(1);
	close(pair[0]);
	close(pair[1]);
	EXPECT_ACTIVE(0);
}

TEST_F(file, a_mount_is_busy_until_the_last_close_and_free_at_once_after_it)
{
	ASSERT_EQ(0, file_armed(self->fd));
	EXPECT_EQ(-1, umount2(volume.mount, 0));
	EXPECT_EQ(EBUSY, errno);
	CLOSE_IT();
	/* no map and no lease is left behind for a while */
	ASSERT_EQ(0, umount2(volume.mount, 0));
	ASSERT_EQ(0, volume_mount(&volume, volume_fs_type(), ""));
}

TEST_F(file, a_mount_is_busy_until_it_is_unmapped_and_free_at_once_after_it)
{
	void *map = map_file(self->fd);

	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, file_armed(self->fd));
	CLOSE_IT();
	EXPECT_EQ(-1, umount2(volume.mount, 0));
	EXPECT_EQ(EBUSY, errno);
	ASSERT_EQ(0, munmap(map, BYTES));
	ASSERT_EQ(0, umount2(volume.mount, 0));
	ASSERT_EQ(0, volume_mount(&volume, volume_fs_type(), ""));
}

TEST_F(file, of_a_lazily_unmounted_file_system_goes_on_reading_direct)
{
	char dir[64];

	memcpy(dir, volume.mount, sizeof(dir));
	ASSERT_EQ(0, umount2(dir, MNT_DETACH));
	ASSERT_EQ(0, file_armed(self->fd));
	EXPECT_DIRECT(self->fd);
	EXPECT_ACTIVE(1);
	CLOSE_IT();
	EXPECT_ACTIVE(0);
	ASSERT_EQ(0, volume_mount(&volume, volume_fs_type(), ""));
}

TEST_F(file, many_at_once_all_count_and_all_go)
{
	int fds[200], i;

	for (i = 0; i < 200; i++) {
		fds[i] = file_open_direct(path);
		ASSERT_EQ(0, fs_enable(volume.fd, fds[i]))
			TH_LOG("open file %d", i);
	}
	EXPECT_ACTIVE(201);
	for (i = 0; i < 200; i += 37)
		EXPECT_READABLE(fds[i]);
	for (i = 0; i < 200; i++)
		close(fds[i]);
	EXPECT_ACTIVE(1);
}

/* What keeps an open file from being closed, and the module from being unloaded. */
enum keeper { DESCRIPTOR, DISABLED, MAPPING, SOCKET };

FIXTURE(module) {
	char	*buffer;
	void	*map;
	int	fd;
	int	pair[2];
};

FIXTURE_VARIANT(module) {
	enum keeper	keeper;
};

FIXTURE_VARIANT_ADD(module, by_an_enabled_file) {
	.keeper = DESCRIPTOR,
};

FIXTURE_VARIANT_ADD(module, by_a_disabled_file_that_is_still_open) {
	.keeper = DISABLED,
};

FIXTURE_VARIANT_ADD(module, by_a_file_that_is_only_mapped) {
	.keeper = MAPPING,
};

FIXTURE_VARIANT_ADD(module, by_a_file_that_is_in_a_socket) {
	.keeper = SOCKET,
};

/* Without O_NONBLOCK it would be the same. */
static int unload(const char *module)
{
	return syscall(SYS_delete_module, module, O_NONBLOCK) ? -errno : 0;
}

static int reload_volume(const char *type)
{
	return dm_reload_one("lifetime", type, devices.nvme, START, SECTORS, "");
}

FIXTURE_SETUP(module)
{
	self->buffer = dio_alloc(BYTES);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, self->pair));
	self->fd = file_open_direct(path);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, fs_enable_armed(volume.fd, self->fd));
	EXPECT_DIRECT(self->fd);
	/* users of the module that other tests have left loaded */
	unload("dm_bpio_filter");
	unload("bpio_probe");
}

FIXTURE_TEARDOWN(module)
{
	EXPECT_EQ(0, module_load("dm-bpio"));
	EXPECT_EQ(0, reload_volume("bpio"));
	EXPECT_ACTIVE(0);
}

static int keep_only(FIXTURE_DATA(module) *self, enum keeper keeper)
{
	if (keeper == DISABLED)
		return fs_disable(volume.fd, self->fd);
	if (keeper == MAPPING) {
		self->map = map_file(self->fd);
		if (self->map == MAP_FAILED)
			return -errno;
	}
	if (keeper == SOCKET && send_fd(self->pair[0], self->fd))
		return -EIO;
	return keeper == DESCRIPTOR || !close(self->fd) ? 0 : -errno;
}

static int let_go(FIXTURE_DATA(module) *self, enum keeper keeper)
{
	if (keeper == MAPPING)
		return munmap(self->map, BYTES);
	if (keeper == SOCKET)
		return close(self->pair[0]) | close(self->pair[1]);
	return close(self->fd);
}

TEST_F(module, is_held_and_can_be_unloaded_at_once_after_it)
{
	int ret;

	ASSERT_EQ(0, keep_only(self, variant->keeper));
	/* no table needs the module any more */
	ASSERT_EQ(0, reload_volume("linear"));
	ret = unload("dm_bpio");
	if (ret == -ENOENT) {
		let_go(self, variant->keeper);
		SKIP(return, "dm-bpio is a part of the kernel");
	}
	EXPECT_TRUE(ret == -EAGAIN || ret == -EBUSY) TH_LOG("%d", ret);
	if (variant->keeper <= DISABLED)
		EXPECT_READABLE(self->fd);
	if (variant->keeper == MAPPING)
		EXPECT_EQ(0, content_is(self->map, BYTES, 0, 1, 1));
	ASSERT_EQ(0, let_go(self, variant->keeper));
	EXPECT_EQ(0, unload("dm_bpio"));
	/* the file system has its file back as it was */
	self->fd = file_open_direct(path);
	EXPECT_READABLE(self->fd);
	close(self->fd);
}

PROGRAM_MAIN
