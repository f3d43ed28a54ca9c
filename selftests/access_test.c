// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who may do what. The permission to use the operations is that to open the
 * mapped device, the permission to read a handle is to have it; the bypass of a
 * whole volume takes write access to the mapped device or CAP_SYS_ADMIN. Nothing
 * else needs a capability, and nothing else is allowed.
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

/* Callers, and whether they may act on the whole volume without write access. */
static int stay_root(void)
{
	return 0;
}

static int root_without_cap_sys_admin(void)
{
	return drop_capability(CAP_SYS_ADMIN);
}

static int nobody_with_cap_sys_admin(void)
{
	return become_nobody_with(CAP_SYS_ADMIN);
}

static int nobody_with_cap_sys_rawio(void)
{
	return become_nobody_with(CAP_SYS_RAWIO);
}

static int root_of_a_user_namespace(void)
{
	return become_nobody() ?: enter_user_namespace();
}

static int root_in_a_user_namespace_of_root(void)
{
	return enter_user_namespace();
}

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
CALLER(root_of_a_user_namespace, root_of_a_user_namespace, false);
CALLER(root_in_a_user_namespace, root_in_a_user_namespace_of_root, false);

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
	struct bpio_handle_info info;
	struct fs_bpio_output out;
	struct bpio_output storage;
	int handle;

	EXPECT_EQ(0, ioctl(self->read_only, BPIO_IOC_GET_VERSION, &version));
	EXPECT_EQ(0, storage_op(self->read_only, BPIO_OP_QUERY, &storage));
	EXPECT_EQ(0, fs_op(self->read_only, FS_BPIO_OP_QUERY, self->fd, &out));
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_FULL, out.support);
	EXPECT_EQ(0, fs_op(self->read_only, FS_BPIO_OP_QUERY, -1, &out));
	handle = fs_enable(self->read_only, self->fd);
	ASSERT_LE(0, handle);
	EXPECT_EQ(1, active_count(self->read_only));
	EXPECT_EQ(0, handle_armed(handle));
	ASSERT_EQ(BYTES, pread(handle, buffer, BYTES, 0));
	EXPECT_EQ(0, content_is(buffer, BYTES, 0, 1, 1));
	ASSERT_EQ(0, handle_info(handle, &info));
	EXPECT_EQ(1u, info.direct_reads);
	EXPECT_EQ(0, fs_op(self->read_only, FS_BPIO_OP_STREAM_PAUSE, self->fd,
			   &out));
	EXPECT_EQ(0, fs_op(self->read_only, FS_BPIO_OP_STREAM_RESUME, handle,
			   &out));
	EXPECT_EQ(0, fs_disable(self->read_only, self->fd));
	EXPECT_EQ(0, active_count(self->read_only));
	close(handle);
}

/* The whole of it as somebody whom no file mode favours. */
TEST(the_mode_of_the_mapped_device_lets_others_use_it_without_privilege)
{
	char *buffer = dio_alloc(BYTES);
	int device, fd, handle;

	ASSERT_EQ(0, chmod(volume.node, 0664));
	ASSERT_EQ(0, become_nobody());
	device = open(volume.node, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, device);
	EXPECT_ERROR(EACCES, open(volume.node, O_RDWR));
	fd = file_open_direct(path);
	ASSERT_LE(0, fd);
	handle = fs_enable(device, fd);
	ASSERT_LE(0, handle);
	EXPECT_EQ(0, handle_armed(handle));
	ASSERT_EQ(BYTES, pread(handle, buffer, BYTES, 0));
	EXPECT_EQ(0, content_is(buffer, BYTES, 0, 1, 1));
	EXPECT_EQ(1u, handle_direct(handle));
}

TEST(who_may_not_open_the_mapped_device_has_nothing_to_send_an_enable_to)
{
	int fd = file_open_direct(path), handle = fs_enable(volume.fd, fd);
	struct fs_bpio_output out;
	char again[64];
	int place;

	ASSERT_LE(0, handle);
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
	EXPECT_EQ(-ENOTTY, fs_op(handle, FS_BPIO_OP_ENABLE, fd, &out));
	EXPECT_EQ(1, active_count(volume.fd));
}

TEST(a_file_that_may_not_be_read_is_not_enabled)
{
	int writable = open(secret, O_WRONLY | O_DIRECT | O_CLOEXEC), place;
	struct fs_bpio_output out;

	ASSERT_LE(0, writable);
	ASSERT_EQ(0, become_nobody());
	EXPECT_ERROR(EACCES, open(secret, O_RDONLY | O_DIRECT));
	place = open(secret, O_PATH | O_CLOEXEC);
	ASSERT_LE(0, place);
	EXPECT_EQ(-EBADF, fs_op(volume.fd, FS_BPIO_OP_ENABLE, place, &out));
	EXPECT_EQ(-EBADF, fs_op(volume.fd, FS_BPIO_OP_QUERY, place, &out));
	ASSERT_EQ(0, fs_op(volume.fd, FS_BPIO_OP_ENABLE, writable, &out));
	EXPECT_EQ(-1, out.handle);
	EXPECT_VERDICT(&out.enable, NOT_READABLE, NULL);
	EXPECT_EQ(0, active_count(volume.fd));
}

TEST(without_room_for_a_descriptor_enable_is_emfile_and_enables_nothing)
{
	int fd = file_open_direct(path), last = dup(fd);
	struct rlimit limit = { .rlim_cur = last, .rlim_max = last };
	struct fs_bpio_output out;

	close(last);
	ASSERT_EQ(0, become_nobody());
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
	EXPECT_EQ(-EMFILE, fs_op(volume.fd, FS_BPIO_OP_ENABLE, fd, &out));
	EXPECT_EQ(0, active_count(volume.fd));
}

/* Another process that may open the same file, but has not been given the handle. */
TEST(a_process_disables_only_what_it_has_open_itself)
{
	int fd = file_open_direct(path), handle = fs_enable(volume.fd, fd);
	char *buffer = dio_alloc(BYTES);
	int status;
	pid_t pid;

	ASSERT_LE(0, handle);
	ASSERT_EQ(0, handle_armed(handle));
	pid = fork();
	if (!pid) {
		int own;

		close(handle);
		close(fd);
		if (become_nobody())
			_exit(1);
		own = file_open_direct(path);
		_exit(own < 0 || fs_disable(volume.fd, own) ||
		      fs_disable(volume.fd, handle + 100) != -EBADF);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(1, active_count(volume.fd));
	ASSERT_EQ(BYTES, pread(handle, buffer, BYTES, 0));
	EXPECT_EQ(1u, handle_direct(handle));
}

/* What somebody tries who has a handle and nothing else; all must fail. */
static int open_again(int handle, int flags)
{
	char name[64];

	snprintf(name, sizeof(name), "/proc/self/fd/%d", handle);
	return open(name, flags);
}

static int open_to_read(int handle)
{
	return open_again(handle, O_RDONLY);
}

static int open_to_write(int handle)
{
	return open_again(handle, O_RDWR);
}

static int open_the_file(int handle)
{
	(void)handle;
	return open(secret, O_RDONLY);
}

static int open_its_directory(int handle)
{
	return openat(handle, "..", O_RDONLY);
}

static int write_to_it(int handle)
{
	return write(handle, "x", 1);
}

static int cut_it(int handle)
{
	return ftruncate(handle, 0);
}

static int map_it(int handle)
{
	return mmap(NULL, 4096, PROT_READ, MAP_SHARED, handle, 0) ==
	       MAP_FAILED ? -1 : 0;
}

static int give_it_a_name(int handle)
{
	return linkat(handle, "", AT_FDCWD, "/tmp/" DM_PREFIX "name",
		      AT_EMPTY_PATH);
}

static int change_its_mode(int handle)
{
	return fchmod(handle, 0666);
}

static int give_it_an_attribute(int handle)
{
	return fsetxattr(handle, "user.test", "x", 1, 0);
}

static int change_its_flags(int handle)
{
	int flags = FS_IMMUTABLE_FL;

	return ioctl(handle, FS_IOC_SETFLAGS, &flags);
}

static int ask_for_its_blocks(int handle)
{
	int block = 0;

	return ioctl(handle, FIBMAP, &block);
}

static int ask_it_for_another_file(int handle)
{
	struct fs_bpio_output out;

	return fs_op(handle, FS_BPIO_OP_ENABLE, STDIN_FILENO, &out);
}

static int pause_its_volume(int handle)
{
	struct fs_bpio_output out;

	return fs_op(handle, FS_BPIO_OP_VOLUME_STACK_PAUSE, -1, &out);
}

static const struct attempt {
	const char	*name;
	int		(*make)(int handle);
} attempts[] = {
#define ATTEMPT(function) { #function, function }
	ATTEMPT(open_to_read), ATTEMPT(open_to_write), ATTEMPT(open_the_file),
	ATTEMPT(open_its_directory), ATTEMPT(write_to_it), ATTEMPT(cut_it),
	ATTEMPT(map_it), ATTEMPT(give_it_a_name), ATTEMPT(change_its_mode),
	ATTEMPT(give_it_an_attribute), ATTEMPT(change_its_flags),
	ATTEMPT(ask_for_its_blocks), ATTEMPT(ask_it_for_another_file),
	ATTEMPT(pause_its_volume),
};

/* Read the file that the handle is of, and nothing else. */
static int reads_that_file_and_nothing_else(int handle)
{
	char *buffer = dio_alloc(2 * BYTES);
	unsigned int i;

	if (pread(handle, buffer, 2 * BYTES, 0) != BYTES ||
	    content_is(buffer, BYTES, 0, 2, 1) ||
	    pread(handle, buffer, BYTES, BYTES) ||
	    pread(handle, buffer, BYTES, -4096) >= 0) {
		diag("it does not read that file");
		return -EIO;
	}
	for (i = 0; i < ARRAY_SIZE(attempts); i++)
		if (attempts[i].make(handle) >= 0) {
			diag("it can: %s", attempts[i].name);
			return -EPERM;
		}
	return 0;
}

/* How an heir, which has nothing else, comes to a handle. */
static void heir(int socket, int handle)
{
	int keep;

	if (become_nobody())
		_exit(2);
	keep = handle < 0 ? receive_fd(socket) : handle;
	/* nothing but the handle and where to complain */
	if (dup2(keep, 3) != 3 || close_range(4, ~0U, 0))
		_exit(3);
	_exit(reads_that_file_and_nothing_else(3) ? 1 : 0);
}

static void heir_by_exec(int handle)
{
	/* a shell takes one digit */
	if (dup2(handle, 9) != 9 || fcntl(9, F_SETFD, 0) || become_nobody())
		_exit(2);
	_exit(shell("test ! -r %s && dd bs=16k iflag=direct status=none <&9 | cmp - "
		    COPY, secret) ? 1 : 0);
}

FIXTURE(inheritance) {
	int	handle;
	int	fd;
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
	self->fd = file_open_direct(secret);
	ASSERT_LE(0, self->fd);
	self->handle = fs_enable(volume.fd, self->fd);
	ASSERT_LE(0, self->handle);
	ASSERT_EQ(0, handle_armed(self->handle));
}

FIXTURE_TEARDOWN(inheritance)
{
	close(self->handle);
	close(self->fd);
	EXPECT_EQ(0, active_count(volume.fd));
}

TEST_F(inheritance, of_a_handle_is_that_of_reading_its_file_and_nothing_else)
{
	uint64_t direct = handle_direct(self->handle);
	int pair[2], status;
	pid_t pid;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid && variant->exec)
		heir_by_exec(self->handle);
	if (!pid && variant->socket)
		close(self->handle);
	if (!pid)
		heir(pair[1], variant->socket ? -1 : self->handle);
	if (variant->socket)
		EXPECT_EQ(0, send_fd(pair[0], self->handle));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	/* what the heir has read is counted with the rest */
	EXPECT_LT(direct, handle_direct(self->handle));
	close(pair[0]);
	close(pair[1]);
}

PROGRAM_MAIN
