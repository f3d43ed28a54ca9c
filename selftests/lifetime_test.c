// SPDX-License-Identifier: GPL-2.0-only
/*
 * From ENABLE to DISABLE: what counts as one open file, and every way in which
 * a handle can end.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>

#include "access.h"
#include "program.h"
#include "verdict.h"

#define BYTES	(64 * 1024)

static struct volume volume;
static char path[192];

static int program_setup(void)
{
	int ret = volume_fs(&volume, "lifetime", devices.nvme, 2048,
			    MIB_SECTORS(XFS_MIB), "", "");

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
	int	handle;
	char	*buffer;
};

FIXTURE_SETUP(file)
{
	self->fd = file_open_direct(path);
	ASSERT_LE(0, self->fd);
	self->handle = fs_enable(volume.fd, self->fd);
	ASSERT_LE(0, self->handle);
	ASSERT_EQ(1, active_count(volume.fd));
	self->buffer = dio_alloc(BYTES);
}

/* Whatever a test did: with its descriptors closed nothing is enabled. */
FIXTURE_TEARDOWN(file)
{
	close(self->handle);
	close(self->fd);
	EXPECT_EQ(0, active_count(volume.fd));
	EXPECT_EQ(0, volume_umount(&volume));
	EXPECT_EQ(0, volume_mount(&volume, volume_fs_type(), ""));
}

#define EXPECT_ACTIVE(count)	EXPECT_EQ(count, active_count(volume.fd))

/* All of the file by @handle, and it is the file's. */
#define EXPECT_READABLE(handle) do {					\
	memset(self->buffer, 0xa5, BYTES);				\
	EXPECT_EQ(BYTES, pread(handle, self->buffer, BYTES, 0));	\
	EXPECT_EQ(0, content_is(self->buffer, BYTES, 0, 1, 1));		\
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
	ASSERT_LE(0, out.handle);
	EXPECT_READABLE(out.handle);
	close(out.handle);
	close(fd);
}

TEST_F(file, the_same_open_file_enabled_twice_counts_once)
{
	int second = fs_enable(volume.fd, self->fd);
	int duplicate = dup(self->fd);
	int third = fs_enable(volume.fd, duplicate);

	ASSERT_LE(0, second);
	ASSERT_LE(0, third);
	EXPECT_NE(self->handle, second);
	EXPECT_ACTIVE(1);
	EXPECT_READABLE(second);
	EXPECT_READABLE(third);
	close(self->handle);
	EXPECT_ACTIVE(1);
	EXPECT_READABLE(third);
	close(second);
	EXPECT_ACTIVE(1);
	close(third);
	EXPECT_ACTIVE(0);
	close(duplicate);
}

TEST_F(file, descriptors_of_the_same_handle_share_its_counters)
{
	int second = fs_enable(volume.fd, self->fd);
	struct bpio_handle_info info;

	ASSERT_EQ(0, handle_armed(self->handle));
	EXPECT_READABLE(self->handle);
	ASSERT_EQ(0, handle_info(second, &info));
	EXPECT_EQ(1u, info.direct_reads + info.fallback_reads);
	close(second);
}

TEST_F(file, two_opens_count_two)
{
	int fd = file_open_direct(path);
	int second = fs_enable(volume.fd, fd);
	struct bpio_handle_info info;

	ASSERT_LE(0, second);
	EXPECT_ACTIVE(2);
	EXPECT_READABLE(self->handle);
	ASSERT_EQ(0, handle_info(second, &info));
	EXPECT_EQ(0u, info.direct_reads + info.fallback_reads);
	close(self->handle);
	EXPECT_ACTIVE(1);
	EXPECT_READABLE(second);
	close(second);
	EXPECT_ACTIVE(0);
	close(fd);
}

TEST_F(file, closing_the_handle_disables)
{
	ASSERT_EQ(0, close(self->handle));
	EXPECT_ACTIVE(0);
	self->handle = -1;
}

TEST_F(file, the_handle_survives_its_file_descriptor)
{
	ASSERT_EQ(0, close(self->fd));
	EXPECT_ACTIVE(1);
	ASSERT_EQ(0, handle_armed(self->handle));
	EXPECT_READABLE(self->handle);
	self->fd = -1;
}

TEST_F(file, a_duplicate_of_the_handle_keeps_it_enabled)
{
	int duplicate = dup(self->handle);

	ASSERT_LE(0, duplicate);
	close(self->handle);
	EXPECT_ACTIVE(1);
	EXPECT_READABLE(duplicate);
	close(duplicate);
	EXPECT_ACTIVE(0);
}

/* The handle goes on reading after DISABLE, by the file system. */
static void expect_disabled(struct __test_metadata *_metadata,
			    FIXTURE_DATA(file) *self)
{
	struct bpio_handle_info info;
	struct bpio_handle_arm arm;
	uint64_t direct;

	EXPECT_ACTIVE(0);
	ASSERT_EQ(0, handle_info(self->handle, &info));
	EXPECT_EQ(0u, info.armed);
	EXPECT_EQ((unsigned int)BPIO_REASON_DISABLED, info.reason);
	direct = info.direct_reads;
	EXPECT_EQ(0, handle_arm(self->handle, &arm));
	EXPECT_EQ(0u, arm.armed);
	EXPECT_EQ((unsigned int)BPIO_REASON_DISABLED, arm.reason);
	EXPECT_READABLE(self->handle);
	ASSERT_EQ(0, handle_info(self->handle, &info));
	EXPECT_EQ(direct, info.direct_reads);
	EXPECT_EQ(1u, info.fallback_reason[BPIO_REASON_DISABLED]);
}

TEST_F(file, disable_by_the_file_descriptor_ends_bypass_but_not_reading)
{
	struct fs_bpio_output out;

	ASSERT_EQ(0, handle_armed(self->handle));
	EXPECT_READABLE(self->handle);
	ASSERT_EQ(0, fs_op(volume.fd, FS_BPIO_OP_DISABLE, self->fd, &out));
	EXPECT_EQ((unsigned int)FS_BPIO_OP_DISABLE, out.operation);
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_NONE, out.support);
	EXPECT_EQ(-1, out.handle);
	expect_disabled(_metadata, self);
}

TEST_F(file, disable_by_the_handle_ends_bypass_but_not_reading)
{
	ASSERT_EQ(0, handle_armed(self->handle));
	EXPECT_READABLE(self->handle);
	ASSERT_EQ(0, fs_disable(volume.fd, self->handle));
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
	EXPECT_EQ(0, fs_disable(volume.fd, self->handle));
	EXPECT_ACTIVE(0);
	close(other);
}

TEST_F(file, disable_of_one_open_file_leaves_the_others_alone)
{
	int fd = file_open_direct(path);
	int second = fs_enable(volume.fd, fd);
	uint64_t direct;

	ASSERT_LE(0, second);
	ASSERT_EQ(0, fs_disable(volume.fd, self->fd));
	EXPECT_ACTIVE(1);
	ASSERT_EQ(0, handle_armed(second));
	direct = handle_direct(second);
	EXPECT_READABLE(second);
	EXPECT_EQ(direct + 1, handle_direct(second));
	close(second);
	close(fd);
}

TEST_F(file, enable_after_disable_enables_again)
{
	int again;

	ASSERT_EQ(0, fs_disable(volume.fd, self->fd));
	EXPECT_ACTIVE(0);
	again = fs_enable(volume.fd, self->fd);
	ASSERT_LE(0, again);
	EXPECT_ACTIVE(1);
	ASSERT_EQ(0, handle_armed(again));
	EXPECT_READABLE(again);
	EXPECT_EQ(1u, handle_direct(again));
	close(again);
	close(self->handle);
	EXPECT_ACTIVE(0);
	self->handle = -1;
}

TEST_F(file, disable_changes_nothing_about_the_file_descriptor)
{
	ASSERT_EQ(0, fs_disable(volume.fd, self->fd));
	EXPECT_READABLE(self->fd);
	EXPECT_EQ(O_DIRECT, fcntl(self->fd, F_GETFL) & O_DIRECT);
}

/* A child that waits, with its descriptors open, until it is killed. */
static pid_t fork_waiting(bool own_handle)
{
	int ready[2];
	pid_t pid;
	char c;

	if (pipe(ready))
		return -1;
	pid = fork();
	if (!pid) {
		if (own_handle) {
			int fd = file_open_direct(path);

			if (fs_enable(volume.fd, fd) < 0)
				_exit(1);
		}
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

TEST_F(file, a_forked_child_keeps_the_handle_enabled_until_it_ends)
{
	pid_t pid = fork_waiting(false);

	ASSERT_LT(0, pid);
	EXPECT_ACTIVE(1);
	close(self->handle);
	close(self->fd);
	self->handle = -1;
	self->fd = -1;
	EXPECT_ACTIVE(1);
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	EXPECT_ACTIVE(0);
}

TEST_F(file, the_handle_is_closed_by_exec)
{
	EXPECT_EQ(FD_CLOEXEC, fcntl(self->handle, F_GETFD));
	EXPECT_EQ(0, shell("test ! -e /proc/self/fd/%d", self->handle));
}

/* Receive a handle, prove that it reads, and end. */
static void handle_receiver(int socket)
{
	char *buffer = dio_alloc(BYTES);
	int handle = receive_fd(socket);
	bool good = handle >= 0 && !become_nobody() &&
		    pread(handle, buffer, BYTES, 0) == BYTES &&
		    !content_is(buffer, BYTES, 0, 1, 1);

	_exit(good ? 0 : 1);
}

TEST_F(file, a_handle_can_be_passed_to_another_process)
{
	int pair[2], status;
	pid_t pid;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		close(self->handle);
		close(self->fd);
		close(pair[0]);
		handle_receiver(pair[1]);
	}
	close(pair[1]);
	ASSERT_EQ(0, send_fd(pair[0], self->handle));
	close(self->handle);
	close(self->fd);
	self->handle = -1;
	self->fd = -1;
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_ACTIVE(0);
}

TEST_F(file, a_handle_lost_in_a_socket_is_disabled_with_it)
{
	int pair[2];

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	ASSERT_EQ(0, send_fd(pair[0], self->handle));
	close(self->handle);
	self->handle = -1;
	EXPECT_ACTIVE(1);
	close(pair[0]);
	close(pair[1]);
	EXPECT_ACTIVE(0);
}

TEST_F(file, a_mounted_file_system_is_busy_while_a_handle_is_open)
{
	ASSERT_EQ(0, handle_armed(self->handle));
	close(self->fd);
	self->fd = -1;
	EXPECT_EQ(-1, umount2(volume.mount, 0));
	EXPECT_EQ(EBUSY, errno);
	close(self->handle);
	self->handle = -1;
	/* at once: no map and no lease is left behind for a while */
	ASSERT_EQ(0, umount2(volume.mount, 0));
	ASSERT_EQ(0, volume_mount(&volume, volume_fs_type(), ""));
}

TEST_F(file, a_handle_of_a_lazily_unmounted_file_system_goes_on_reading)
{
	char dir[64];

	memcpy(dir, volume.mount, sizeof(dir));
	ASSERT_EQ(0, umount2(dir, MNT_DETACH));
	EXPECT_READABLE(self->handle);
	EXPECT_ACTIVE(1);
	close(self->handle);
	close(self->fd);
	self->handle = -1;
	self->fd = -1;
	EXPECT_ACTIVE(0);
	ASSERT_EQ(0, volume_mount(&volume, volume_fs_type(), ""));
}

TEST_F(file, many_handles_at_once_all_count_and_all_go)
{
	int fds[200], handles[200], i;

	for (i = 0; i < 200; i++) {
		fds[i] = file_open_direct(path);
		handles[i] = fs_enable(volume.fd, fds[i]);
		ASSERT_LE(0, handles[i]) TH_LOG("handle %d", i);
	}
	EXPECT_ACTIVE(201);
	for (i = 0; i < 200; i += 37)
		EXPECT_READABLE(handles[i]);
	for (i = 0; i < 200; i++) {
		close(fds[i]);
		close(handles[i]);
	}
	EXPECT_ACTIVE(1);
}

PROGRAM_MAIN
