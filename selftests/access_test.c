// SPDX-License-Identifier: GPL-2.0-only
/*
 * Permissions for operations on the mapped device, and the abilities that a process
 * gets with a descriptor of an enabled file. A process that may open the mapped device
 * may enable files that it can read. Operations that affect other users, a pause or the
 * bypass of a whole volume, need write access to the mapped device or CAP_SYS_ADMIN.
 * Nothing else needs a capability, and nothing else is allowed.
 */
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "access.h"
#include "program.h"
#include "verdict.h"

#define BYTES	(64 * 1024)
#define COPY	"/run/" DM_PREFIX "copy"

static struct volume volume;
/* May be read by all, and by root only. */
static char path[192], secret[192];

static int program_setup(void)
{
	int ret = volume_fs(&volume, "access", devices.nvme, 2048,
			    MIB_SECTORS(XFS_MIB), "", "");

	snprintf(path, sizeof(path), "%s", volume_path(&volume, "file"));
	snprintf(secret, sizeof(secret), "%s", volume_path(&volume, "secret"));
	ret = ret ?: file_create(path, BYTES, 1) ?: file_create(secret, BYTES, 2) ?:
		     file_create(COPY, BYTES, 2);
	return ret ?: chmod(secret, 0600);
}

static int program_cleanup(void)
{
	unlink(COPY);
	return volume_remove(&volume);
}

#define EXPECT_ERROR(error, call) do {					\
	errno = 0;							\
	EXPECT_GT(0, (long)(call)) TH_LOG("%s", #call);			\
	EXPECT_EQ(error, errno) TH_LOG("%s", #call);			\
} while (0)

static int nobody_with_cap_sys_rawio(void)
{
	return become_nobody_with(CAP_SYS_RAWIO);
}

/* Callers, and whether they may act on the whole volume without write access. */
FIXTURE(caller) {
	int	fd;
	int	read_only;
	int	write_only;
	int	read_write;
};

FIXTURE_VARIANT(caller) {
	int	(*become)(void);
	bool	admin;
};

#define CALLER(name, function, may) \
	FIXTURE_VARIANT_ADD(caller, name) { .become = function, .admin = may }

CALLER(root, stay_root, true);
CALLER(nobody_with_cap_sys_admin, nobody_with_cap_sys_admin, true);
CALLER(root_without_cap_sys_admin, root_without_cap_sys_admin, false);
CALLER(nobody, become_nobody, false);
CALLER(nobody_with_cap_sys_rawio, nobody_with_cap_sys_rawio, false);
CALLER(root_of_a_user_namespace, nobody_as_root_of_a_user_namespace, false);
CALLER(root_in_a_user_namespace, root_in_a_user_namespace, false);

FIXTURE_SETUP(caller)
{
	self->fd = file_open_direct(path);
	ASSERT_LE(0, self->fd);
	self->read_only = volume.fd;
	self->write_only = open(volume.node, O_WRONLY | O_CLOEXEC);
	ASSERT_LE(0, self->write_only);
	self->read_write = open(volume.node, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->read_write);
	ASSERT_EQ(0, variant->become()) TH_LOG("%s", strerror(errno));
}

FIXTURE_TEARDOWN(caller)
{
	close(self->fd);
	close(self->write_only);
	close(self->read_write);
	EXPECT_EQ(0, active_count(volume.fd));
}

TEST_F(caller, pauses_the_volume_with_write_access_or_cap_sys_admin_only)
{
	const uint32_t paused = FS_BPIO_OUTFL_VOLUME_STACK_BYPASS_PAUSED;
	int denied = variant->admin ? 0 : -EPERM;
	struct fs_bpio_output out;

	EXPECT_EQ(denied, fs_op(self->read_only, FS_BPIO_OP_VOLUME_STACK_PAUSE,
				-1, &out));
	ASSERT_EQ(0, fs_op(self->read_only, FS_BPIO_OP_GET_INFO, -1, &out));
	EXPECT_EQ(variant->admin ? paused : 0, out.out_flags & paused);

	ASSERT_EQ(0, fs_op(self->write_only, FS_BPIO_OP_VOLUME_STACK_PAUSE, -1,
			   &out));
	EXPECT_EQ(denied, fs_op(self->read_only, FS_BPIO_OP_VOLUME_STACK_RESUME,
				-1, &out));
	ASSERT_EQ(0, fs_op(self->read_only, FS_BPIO_OP_GET_INFO, -1, &out));
	EXPECT_EQ(variant->admin ? 0 : paused, out.out_flags & paused);

	EXPECT_EQ(0, fs_op(self->read_write, FS_BPIO_OP_VOLUME_STACK_PAUSE, -1,
			   &out));
	EXPECT_EQ(0, fs_op(self->read_write, FS_BPIO_OP_VOLUME_STACK_RESUME, -1,
			   &out));
	EXPECT_EQ(0u, out.out_flags & paused);
}

TEST_F(caller, pauses_a_file_with_write_access_or_cap_sys_admin_only)
{
	const uint32_t paused = FS_BPIO_OUTFL_STREAM_BYPASS_PAUSED;
	int denied = variant->admin ? 0 : -EPERM;
	struct fs_bpio_output out;

	ASSERT_EQ(0, fs_enable(self->read_only, self->fd));
	EXPECT_EQ(denied, fs_op(self->read_only, FS_BPIO_OP_STREAM_PAUSE,
				self->fd, &out));
	ASSERT_EQ(0, fs_op(self->read_only, FS_BPIO_OP_QUERY, self->fd, &out));
	EXPECT_EQ(variant->admin ? paused : 0, out.out_flags & paused);

	ASSERT_EQ(0, fs_op(self->write_only, FS_BPIO_OP_STREAM_PAUSE, self->fd,
			   &out));
	EXPECT_EQ(denied, fs_op(self->read_only, FS_BPIO_OP_STREAM_RESUME,
				self->fd, &out));
	ASSERT_EQ(0, fs_op(self->read_only, FS_BPIO_OP_QUERY, self->fd, &out));
	EXPECT_EQ(variant->admin ? 0 : paused, out.out_flags & paused);

	EXPECT_EQ(0, fs_op(self->read_write, FS_BPIO_OP_STREAM_PAUSE, self->fd,
			   &out));
	EXPECT_EQ(0, fs_op(self->read_write, FS_BPIO_OP_STREAM_RESUME, self->fd,
			   &out));
	EXPECT_EQ(0u, out.out_flags & paused);
}

TEST_F(caller, enables_the_storage_with_write_access_or_cap_sys_admin_only)
{
	const uint32_t enabled = FS_BPIO_OUTFL_ALL_READS_ENABLED;
	int denied = variant->admin ? 0 : -EPERM;
	struct bpio_output out;

	EXPECT_EQ(denied, storage_op(self->read_only, BPIO_OP_ENABLE, &out));
	ASSERT_EQ(0, storage_op(self->read_only, BPIO_OP_QUERY, &out));
	EXPECT_EQ(variant->admin ? enabled : 0, out.out_flags & enabled);

	ASSERT_EQ(0, storage_op(self->write_only, BPIO_OP_ENABLE, &out));
	EXPECT_EQ(denied, storage_op(self->read_only, BPIO_OP_DISABLE, &out));
	ASSERT_EQ(0, storage_op(self->read_only, BPIO_OP_QUERY, &out));
	EXPECT_EQ(variant->admin ? 0 : enabled, out.out_flags & enabled);

	EXPECT_EQ(0, storage_op(self->read_write, BPIO_OP_ENABLE, &out));
	EXPECT_EQ(0, storage_op(self->read_write, BPIO_OP_DISABLE, &out));
	EXPECT_EQ(0u, out.out_flags & enabled);
}

TEST_F(caller, does_everything_else_with_descriptors_open_for_reading)
{
	struct bpio_version version = { .size = sizeof(version) };
	char *buffer = dio_alloc(BYTES);
	struct bpio_file_info info;
	struct fs_bpio_output out;
	struct bpio_output storage;

	EXPECT_EQ(0, ioctl(self->read_only, BPIO_IOC_GET_VERSION, &version));
	EXPECT_EQ(0, storage_op(self->read_only, BPIO_OP_QUERY, &storage));
	EXPECT_EQ(0, fs_op(self->read_only, FS_BPIO_OP_QUERY, self->fd, &out));
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_FULL, out.support);
	EXPECT_EQ(0, fs_op(self->read_only, FS_BPIO_OP_QUERY, -1, &out));
	ASSERT_EQ(0, fs_enable(self->read_only, self->fd));
	EXPECT_EQ(1, active_count(self->read_only));
	EXPECT_EQ(0, file_armed(self->fd));
	ASSERT_EQ(BYTES, pread(self->fd, buffer, BYTES, 0));
	EXPECT_EQ(0, content_is(buffer, BYTES, 0, 1, 1));
	ASSERT_EQ(0, file_info(self->fd, &info));
	EXPECT_EQ(1u, info.direct_reads);
	EXPECT_EQ(0, fs_disable(self->read_only, self->fd));
	EXPECT_EQ(0, active_count(self->read_only));
	free(buffer);
}

/* The whole sequence as a user without special permissions. */
TEST(the_mode_of_the_mapped_device_lets_others_use_it_without_privilege)
{
	char *buffer = dio_alloc(BYTES);
	int device, fd;

	ASSERT_EQ(0, chmod(volume.node, 0664));
	ASSERT_EQ(0, become_nobody());
	device = open(volume.node, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, device);
	EXPECT_ERROR(EACCES, open(volume.node, O_RDWR));
	fd = file_open_direct(path);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, fs_enable(device, fd));
	EXPECT_EQ(0, file_armed(fd));
	ASSERT_EQ(BYTES, pread(fd, buffer, BYTES, 0));
	EXPECT_EQ(0, content_is(buffer, BYTES, 0, 1, 1));
	EXPECT_EQ(1u, file_direct(fd));
}

TEST(who_may_not_open_the_mapped_device_enables_files_through_the_node)
{
	int fd = file_open_direct(path), node, place;
	char *buffer = dio_alloc(BYTES), again[64];
	struct fs_bpio_output out;

	ASSERT_EQ(0, chmod(volume.node, 0660));
	ASSERT_EQ(0, become_nobody());
	EXPECT_ERROR(EACCES, open(volume.node, O_RDONLY));
	EXPECT_ERROR(EACCES, open(volume.node, O_WRONLY));
	/* what was open for reading cannot be made to write */
	snprintf(again, sizeof(again), "/proc/self/fd/%d", volume.fd);
	EXPECT_ERROR(EACCES, open(again, O_RDWR));
	place = open(volume.node, O_PATH | O_CLOEXEC);
	ASSERT_LE(0, place);
	EXPECT_EQ(-EBADF, fs_op(place, FS_BPIO_OP_ENABLE, fd, &out));
	EXPECT_EQ(-ENOTTY, fs_op(fd, FS_BPIO_OP_ENABLE, fd, &out));
	EXPECT_EQ(0, active_count(volume.fd));
	node = node_open();
	ASSERT_LE(0, node) TH_LOG("%s", strerror(-node));
	ASSERT_EQ(0, node_enable(node, fd));
	EXPECT_EQ(-ENOTTY, fs_op(fd, FS_BPIO_OP_ENABLE, fd, &out));
	EXPECT_EQ(1, active_count(volume.fd));
	ASSERT_EQ(BYTES, pread(fd, buffer, BYTES, 0));
	EXPECT_EQ(0, content_is(buffer, BYTES, 0, 1, 1));
	EXPECT_EQ(1u, file_direct(fd));
}

TEST(a_file_that_may_not_be_read_is_not_enabled)
{
	int writable = open(secret, O_WRONLY | O_DIRECT | O_CLOEXEC), place, i;
	int doors[2] = { volume.fd, node_open() };
	struct fs_bpio_output out;

	ASSERT_LE(0, writable);
	ASSERT_LE(0, doors[1]);
	ASSERT_EQ(0, become_nobody());
	EXPECT_ERROR(EACCES, open(secret, O_RDONLY | O_DIRECT));
	place = open(secret, O_PATH | O_CLOEXEC);
	ASSERT_LE(0, place);
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(-EBADF, fs_op(doors[i], FS_BPIO_OP_ENABLE, place,
					&out));
		EXPECT_EQ(-EBADF, fs_op(doors[i], FS_BPIO_OP_QUERY, place,
					&out));
		ASSERT_EQ(0, fs_op(doors[i], FS_BPIO_OP_ENABLE, writable,
				   &out));
		EXPECT_EQ((unsigned int)BPIO_SUPPORT_NONE, out.support);
		EXPECT_VERDICT(&out.enable, NOT_READABLE, NULL);
	}
	EXPECT_EQ(0, active_count(volume.fd));
}

TEST(enable_needs_no_room_for_a_descriptor)
{
	int fd = file_open_direct(path), last = dup(fd);
	struct rlimit limit = { .rlim_cur = last, .rlim_max = last };

	close(last);
	ASSERT_EQ(0, become_nobody());
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	EXPECT_EQ(0, fs_enable_armed(volume.fd, fd));
	EXPECT_EQ(1, active_count(volume.fd));
}

/* Another process that may open the same file, but has not been given this one. */
TEST(a_process_disables_only_what_it_has_open_itself)
{
	int fd = file_open_direct(path);
	char *buffer = dio_alloc(BYTES);
	int status;
	pid_t pid;

	ASSERT_EQ(0, fs_enable_armed(volume.fd, fd));
	pid = fork();
	if (!pid) {
		int own;

		close(fd);
		if (become_nobody())
			_exit(1);
		own = file_open_direct(path);
		_exit(own < 0 || fs_disable(volume.fd, own) ||
		      fs_disable(volume.fd, fd + 100) != -EBADF);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(1, active_count(volume.fd));
	ASSERT_EQ(BYTES, pread(fd, buffer, BYTES, 0));
	EXPECT_EQ(1u, file_direct(fd));
}

/*
 * What somebody tries who has been handed an open file and nothing else. With
 * BypassIO enabled for it, the answers are those without.
 */
static int open_again(int fd, int flags)
{
	char name[64];

	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	return open(name, flags);
}

static int open_to_read(int fd)
{
	return open_again(fd, O_RDONLY);
}

static int open_to_write(int fd)
{
	return open_again(fd, O_RDWR);
}

static int open_the_file(int fd)
{
	(void)fd;
	return open(secret, O_RDONLY);
}

static int open_its_directory(int fd)
{
	return openat(fd, "..", O_RDONLY);
}

static int write_to_it(int fd)
{
	return write(fd, "x", 1);
}

static int cut_it(int fd)
{
	return ftruncate(fd, 0);
}

static int map_it_to_write(int fd)
{
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) ==
	       MAP_FAILED ? -1 : 0;
}

static int give_it_a_name(int fd)
{
	return linkat(fd, "", AT_FDCWD, volume_path(&volume, "name"),
		      AT_EMPTY_PATH);
}

static int change_its_mode(int fd)
{
	return fchmod(fd, 0666);
}

static int give_it_an_attribute(int fd)
{
	return fsetxattr(fd, "user.test", "x", 1, 0);
}

static int change_its_flags(int fd)
{
	int flags = FS_IMMUTABLE_FL;

	return ioctl(fd, FS_IOC_SETFLAGS, &flags);
}

static int ask_for_its_blocks(int fd)
{
	int block = 0;

	return ioctl(fd, FIBMAP, &block);
}

/* Those of our own set no errno. */
static int failed(int ret)
{
	errno = -ret;
	return ret ? -1 : 0;
}

static int ask_it_for_another_file(int fd)
{
	struct fs_bpio_output out;

	return failed(fs_op(fd, FS_BPIO_OP_ENABLE, STDIN_FILENO, &out));
}

static int pause_its_volume(int fd)
{
	struct fs_bpio_output out;

	return failed(fs_op(fd, FS_BPIO_OP_VOLUME_STACK_PAUSE, -1, &out));
}

static const struct attempt {
	const char	*name;
	int		(*make)(int fd);
} attempts[] = {
#define ATTEMPT(function) { #function, function }
	ATTEMPT(open_to_read), ATTEMPT(open_to_write), ATTEMPT(open_the_file),
	ATTEMPT(open_its_directory), ATTEMPT(write_to_it), ATTEMPT(cut_it),
	ATTEMPT(map_it_to_write), ATTEMPT(give_it_a_name),
	ATTEMPT(change_its_mode), ATTEMPT(give_it_an_attribute),
	ATTEMPT(change_its_flags), ATTEMPT(ask_for_its_blocks),
	ATTEMPT(ask_it_for_another_file), ATTEMPT(pause_its_volume),
};

/* All fail; why is what @plain, not enabled, is told. */
static int attempts_fail_alike(int fd, int plain)
{
	unsigned int i;
	int error[2];

	for (i = 0; i < ARRAY_SIZE(attempts); i++) {
		const struct attempt *attempt = &attempts[i];

		error[0] = attempt->make(plain) < 0 ? errno : 0;
		error[1] = attempt->make(fd) < 0 ? errno : 0;
		if (error[0] && error[0] == error[1])
			continue;
		diag("%s: %s without bypass, %s with it", attempt->name,
		     strerror(error[0]), strerror(error[1]));
		return -EPERM;
	}
	return 0;
}

/* Read the file that the descriptors are of, and nothing else. */
static int reads_that_file_and_nothing_else(int fd, int plain)
{
	char *buffer = dio_alloc(2 * BYTES);

	if (pread(fd, buffer, 2 * BYTES, 0) != BYTES ||
	    content_is(buffer, BYTES, 0, 2, 1) ||
	    pread(fd, buffer, BYTES, BYTES) ||
	    pread(fd, buffer, BYTES, -4096) >= 0) {
		diag("it does not read that file");
		return -EIO;
	}
	return attempts_fail_alike(fd, plain);
}

/* How an heir, which has nothing else, comes to an enabled file and a plain one. */
static void heir(int socket, int fd, int plain)
{
	if (become_nobody())
		_exit(2);
	if (fd < 0) {
		fd = receive_fd(socket);
		plain = receive_fd(socket);
	}
	/* out of the way, and then to where nothing else is left behind them */
	fd = fcntl(fd, F_DUPFD, 100);
	plain = fcntl(plain, F_DUPFD, 100);
	if (dup2(fd, 3) != 3 || dup2(plain, 4) != 4 || close_range(5, ~0U, 0))
		_exit(3);
	_exit(reads_that_file_and_nothing_else(3, 4) ? 1 : 0);
}

static void heir_by_exec(int fd)
{
	/* a shell takes one digit */
	if (dup2(fd, 9) != 9 || fcntl(9, F_SETFD, 0) || become_nobody())
		_exit(2);
	_exit(shell("test ! -r %s && dd bs=16k iflag=direct status=none <&9 | cmp - "
		    COPY, secret) ? 1 : 0);
}

FIXTURE(inheritance) {
	int	fd;		/* enabled */
	int	plain;
};

FIXTURE_VARIANT(inheritance) {
	bool	socket;
	bool	exec;
};

FIXTURE_VARIANT_ADD(inheritance, by_fork) { };
FIXTURE_VARIANT_ADD(inheritance, by_exec) { .exec = true };
FIXTURE_VARIANT_ADD(inheritance, by_a_socket) { .socket = true };

FIXTURE_SETUP(inheritance)
{
	self->plain = file_open_direct(secret);
	ASSERT_LE(0, self->plain);
	self->fd = file_open_direct(secret);
	ASSERT_EQ(0, fs_enable_armed(volume.fd, self->fd));
}

FIXTURE_TEARDOWN(inheritance)
{
	close(self->plain);
	close(self->fd);
	EXPECT_EQ(0, active_count(volume.fd));
}

TEST_F(inheritance, of_an_enabled_file_gives_what_that_of_a_plain_one_gives)
{
	uint64_t direct = file_direct(self->fd);
	int pair[2], status;
	pid_t pid;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid && variant->exec)
		heir_by_exec(self->fd);
	if (!pid && variant->socket) {
		close(self->fd);
		close(self->plain);
		heir(pair[1], -1, -1);
	}
	if (!pid)
		heir(-1, self->fd, self->plain);
	if (variant->socket) {
		EXPECT_EQ(0, send_fd(pair[0], self->fd));
		EXPECT_EQ(0, send_fd(pair[0], self->plain));
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	/* what the heir has read is counted with the rest */
	EXPECT_LT(direct, file_direct(self->fd));
	close(pair[0]);
	close(pair[1]);
}

PROGRAM_MAIN
