// SPDX-License-Identifier: GPL-2.0-only
/*
 * The control node, /dev/bpio: each cell of the table "Permissions" of the
 * header, for callers with and without privilege, and each of its errors, after
 * which nothing has changed.
 */
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "access.h"
#include "mapper.h"
#include "program.h"
#include "verdict.h"

#define BYTES	(64 * 1024)
#define NODE	"/dev/" BPIO_NODE_NAME
#define MISC_MAJOR	10

static struct volume volume;
static char path[192];

static int program_setup(void)
{
	int ret = volume_ext4(&volume, "node", devices.nvme, 2048,
			      MIB_SECTORS(64));

	snprintf(path, sizeof(path), "%s", volume_path(&volume, "file"));
	return ret ?: file_create(path, BYTES, 1) ?: chmod(path, 0666) ?:
		      chmod(volume.node, 0660);
}

static int program_cleanup(void)
{
	return volume_remove(&volume);
}

/* What a call that failed leaves as it was. */
struct state {
	uint32_t		flags;
	struct fs_bpio_info	info;
	struct bpio_file_info	file;
	int			fds;
};

static struct state state_now(int fd)
{
	struct state state = { 0 };
	struct fs_bpio_output out;

	if (fs_op(volume.fd, FS_BPIO_OP_GET_INFO, -1, &out))
		state.flags = UINT32_MAX;
	else
		state.flags = out.out_flags;
	state.info = out.get_info;
	if (file_info(fd, &state.file))
		state.file.size = 0;
	/* the worker may arm it any time */
	state.file.armed = 0;
	state.file.reason = 0;
	state.file.extents = 0;
	state.file.mapped_bytes = 0;
	state.fds = count_fds();
	return state;
}

#define EXPECT_NOTHING_CHANGED(before, fd) do {				\
	struct state __now = state_now(fd);				\
									\
	EXPECT_EQ(0, memcmp(&__now, before, sizeof(__now)));		\
} while (0)

/* --- permissions --- */

enum object {
	FILE_READ, FILE_WRITE, FILE_BOTH, DIRECTORY, DEVICE_READ, DEVICE_WRITE,
	DEVICE_BOTH, OBJECTS
};

static const char *const objects[OBJECTS] = {
	"file", "file to write", "file to read and write", "directory",
	"device", "device to write", "device to read and write",
};

#define OF(object)	(1u << (object))
#define OF_FILES	(OF(FILE_READ) | OF(FILE_WRITE) | OF(FILE_BOTH))
#define OF_DEVICES	(OF(DEVICE_READ) | OF(DEVICE_WRITE) | OF(DEVICE_BOTH))
#define OF_READABLE	(OF(FILE_READ) | OF(FILE_BOTH) | OF(DIRECTORY) |	\
			 OF(DEVICE_READ) | OF(DEVICE_BOTH))
#define OF_ALL		(OF(OBJECTS) - 1)

/* One row of the table: for which objects the ioctl succeeds. */
static const struct right {
	uint32_t	operation;
	uint32_t	all;		/* by anybody */
	uint32_t	admin;		/* by those with CAP_SYS_ADMIN */
	uint32_t	asked;		/* what the row is about */
	int		denied;		/* the error of others */
} rights[] = {
	/* what cannot be enabled is refused in words */
	{ FS_BPIO_OP_ENABLE, OF_ALL, OF_ALL, OF_ALL, 0 },
	{ FS_BPIO_OP_DISABLE, OF_ALL, OF_ALL, OF_ALL, 0 },
	{ FS_BPIO_OP_QUERY, OF_READABLE, OF_READABLE, OF_ALL, -EACCES },
	{ FS_BPIO_OP_GET_INFO, OF_READABLE, OF_READABLE, OF_ALL, -EACCES },
	{ FS_BPIO_OP_STREAM_PAUSE, 0, OF(FILE_READ) | OF(FILE_BOTH),
	  OF(FILE_READ) | OF(FILE_BOTH), -EPERM },
	{ FS_BPIO_OP_STREAM_RESUME, 0, OF(FILE_READ) | OF(FILE_BOTH),
	  OF(FILE_READ) | OF(FILE_BOTH), -EPERM },
	{ FS_BPIO_OP_VOLUME_STACK_PAUSE, OF(DEVICE_WRITE) | OF(DEVICE_BOTH),
	  OF_ALL, OF_READABLE | OF(DEVICE_WRITE), -EPERM },
	{ FS_BPIO_OP_VOLUME_STACK_RESUME, OF(DEVICE_WRITE) | OF(DEVICE_BOTH),
	  OF_ALL, OF_READABLE | OF(DEVICE_WRITE), -EPERM },
};

#define WAYS	3

FIXTURE(caller) {
	int	fds[OBJECTS];
	int	nodes[2 * WAYS];	/* of before and of afterwards */
};

FIXTURE_VARIANT(caller) {
	int	(*become)(void);
	bool	admin;
};

#define CALLER(name, may) \
	FIXTURE_VARIANT_ADD(caller, name) { .become = name, .admin = may }

#define nobody		become_nobody
#define root		stay_root
CALLER(root, true);
CALLER(nobody_with_cap_sys_admin, true);
CALLER(root_without_cap_sys_admin, false);
CALLER(nobody, false);
CALLER(nobody_as_root_of_a_user_namespace, false);
CALLER(root_in_a_user_namespace, false);

static const int ways[WAYS] = { O_RDONLY, O_WRONLY, O_RDWR };

static void open_nodes(int nodes[WAYS])
{
	int i;

	for (i = 0; i < WAYS; i++)
		nodes[i] = open(NODE, ways[i] | O_CLOEXEC);
}

FIXTURE_SETUP(caller)
{
	int i;

	for (i = 0; i < WAYS; i++) {
		self->fds[FILE_READ + i] = open(path, ways[i] | O_DIRECT |
						O_CLOEXEC);
		self->fds[DEVICE_READ + i] = open(volume.node, ways[i] |
						  O_CLOEXEC);
	}
	self->fds[DIRECTORY] = open(volume.mount, O_RDONLY | O_DIRECTORY |
				    O_CLOEXEC);
	open_nodes(self->nodes);
	ASSERT_EQ(0, variant->become()) TH_LOG("%s", strerror(errno));
	open_nodes(self->nodes + WAYS);
	for (i = 0; i < OBJECTS; i++)
		ASSERT_LE(0, self->fds[i]);
	for (i = 0; i < 2 * WAYS; i++)
		ASSERT_LE(0, self->nodes[i]);
}

FIXTURE_TEARDOWN(caller)
{
	struct fs_bpio_output out;
	int i;

	EXPECT_EQ(0, fs_op(self->fds[DEVICE_BOTH],
			   FS_BPIO_OP_VOLUME_STACK_RESUME, -1, &out));
	for (i = 0; i < OBJECTS; i++)
		close(self->fds[i]);
	EXPECT_EQ(0, active_count(volume.fd));
}

static void expect_right(struct __test_metadata *_metadata,
			 FIXTURE_DATA(caller) *self, int node, bool admin,
			 const struct right *right)
{
	uint32_t may = admin ? right->admin : right->all;
	struct fs_bpio_output out;
	struct state before;
	unsigned int i;

	for (i = 0; i < OBJECTS; i++) {
		int expected = may & OF(i) ? 0 : right->denied;

		if (!(right->asked & OF(i)))
			continue;
		before = state_now(self->fds[FILE_READ]);
		EXPECT_EQ(expected, fs_op(node, right->operation, self->fds[i],
					  &out))
			TH_LOG("operation %u, %s", right->operation,
			       objects[i]);
		if (expected)
			EXPECT_NOTHING_CHANGED(&before, self->fds[FILE_READ]);
	}
}

TEST_F(caller, may_do_with_the_node_what_the_table_says)
{
	unsigned int way, i;

	for (way = 0; way < 2 * WAYS; way++)
		for (i = 0; i < ARRAY_SIZE(rights); i++)
			expect_right(_metadata, self, self->nodes[way],
				     variant->admin, &rights[i]);
}

static int storage_right(const FIXTURE_VARIANT(caller) *variant, int object,
			 uint32_t operation)
{
	if (!(OF_DEVICES & OF(object)))
		return -ENXIO;
	return operation == BPIO_OP_QUERY || variant->admin ||
	       object != DEVICE_READ ? 0 : -EPERM;
}

TEST_F(caller, sends_storage_operations_as_the_table_says)
{
	static const uint32_t operations[] = {
		BPIO_OP_QUERY, BPIO_OP_ENABLE, BPIO_OP_DISABLE,
	};
	struct bpio_output out;
	unsigned int i;
	int way, object;

	for (way = 0; way < 2 * WAYS; way++)
		for (object = 0; object < OBJECTS; object++)
			for (i = 0; i < ARRAY_SIZE(operations); i++)
				EXPECT_EQ(storage_right(variant, object,
							operations[i]),
					  storage_op_fd(self->nodes[way],
							operations[i],
							self->fds[object], &out))
					TH_LOG("operation %u, %s", operations[i],
					       objects[object]);
	EXPECT_EQ(0u, out.out_flags & FS_BPIO_OUTFL_ALL_READS_ENABLED);
}

/* Success means that it was done. */
TEST_F(caller, pauses_and_resumes_the_volume_with_the_right_to)
{
	const uint32_t paused = FS_BPIO_OUTFL_VOLUME_STACK_BYPASS_PAUSED;
	int writer = self->fds[DEVICE_WRITE], file = self->fds[FILE_READ];
	struct fs_bpio_output out;
	int way;

	for (way = 0; way < 2 * WAYS; way++) {
		int node = self->nodes[way];

		fs_op(node, FS_BPIO_OP_VOLUME_STACK_PAUSE, file, &out);
		ASSERT_EQ(0, fs_op(node, FS_BPIO_OP_GET_INFO, file, &out));
		EXPECT_EQ(variant->admin ? paused : 0, out.out_flags & paused);
		ASSERT_EQ(0, fs_op(node, FS_BPIO_OP_VOLUME_STACK_PAUSE, writer,
				   &out));
		fs_op(node, FS_BPIO_OP_VOLUME_STACK_RESUME, file, &out);
		ASSERT_EQ(0, fs_op(node, FS_BPIO_OP_GET_INFO, file, &out));
		EXPECT_EQ(variant->admin ? 0 : paused, out.out_flags & paused);
		ASSERT_EQ(0, fs_op(node, FS_BPIO_OP_VOLUME_STACK_RESUME, writer,
				   &out));
		EXPECT_EQ(0u, out.out_flags & paused);
	}
}

TEST_F(caller, pauses_and_resumes_a_file_with_the_right_to)
{
	const uint32_t paused = FS_BPIO_OUTFL_STREAM_BYPASS_PAUSED;
	int device = self->fds[DEVICE_BOTH], file = self->fds[FILE_READ];
	struct fs_bpio_output out;
	int way;

	ASSERT_EQ(0, node_enable(self->nodes[0], file));
	for (way = 0; way < 2 * WAYS; way++) {
		int node = self->nodes[way];

		fs_op(node, FS_BPIO_OP_STREAM_PAUSE, file, &out);
		ASSERT_EQ(0, fs_op(node, FS_BPIO_OP_QUERY, file, &out));
		EXPECT_EQ(variant->admin ? paused : 0, out.out_flags & paused);
		ASSERT_EQ(0, fs_op(device, FS_BPIO_OP_STREAM_PAUSE, file,
				   &out));
		fs_op(node, FS_BPIO_OP_STREAM_RESUME, file, &out);
		ASSERT_EQ(0, fs_op(node, FS_BPIO_OP_QUERY, file, &out));
		EXPECT_EQ(variant->admin ? 0 : paused, out.out_flags & paused);
		ASSERT_EQ(0, fs_op(device, FS_BPIO_OP_STREAM_RESUME, file,
				   &out));
	}
}

/* From open to the direct read, with its counters. */
TEST_F(caller, enables_reads_and_counts_a_file_that_it_may_read)
{
	char *buffer = dio_alloc(BYTES);
	struct bpio_version version;
	struct fs_bpio_output out;
	struct bpio_tally tally;
	int way;

	close(self->fds[FILE_WRITE]);
	close(self->fds[FILE_BOTH]);
	for (way = 0; way < 2 * WAYS; way++) {
		int fd = file_open_direct(path), node = self->nodes[way];

		version.size = sizeof(version);
		EXPECT_EQ(0, ioctl(node, BPIO_IOC_GET_VERSION, &version));
		EXPECT_EQ((unsigned int)BPIO_ABI_VERSION, version.abi_version);
		ASSERT_EQ(0, fs_op_flags(node, FS_BPIO_OP_ENABLE, fd,
					 FS_BPIO_INFL_ARM, &out));
		EXPECT_EQ((unsigned int)BPIO_SUPPORT_FULL, out.support);
		EXPECT_NO_OBJECTION(&out.enable);
		EXPECT_STREQ("none", reason_token(out.obstacle));
		ASSERT_EQ(0, fs_op(node, FS_BPIO_OP_GET_INFO, fd, &out));
		EXPECT_EQ(1u, out.get_info.active_count);
		EXPECT_EQ(major(volume.dev), out.get_info.volume_major);
		EXPECT_EQ(minor(volume.dev), out.get_info.volume_minor);
		ASSERT_EQ(BYTES, pread(fd, buffer, BYTES, 0));
		EXPECT_EQ(0, content_is(buffer, BYTES, 0, 1, 1));
		EXPECT_EQ(1u, file_direct(fd));
		ASSERT_EQ(0, tally_read(node, &tally));
		EXPECT_EQ(1u, tally.direct_reads);
		EXPECT_EQ(0, fs_disable(node, fd));
		EXPECT_EQ(0, active_count(volume.fd));
		close(fd);
	}
	free(buffer);
}

TEST_F(caller, has_no_other_ioctls_on_the_node)
{
	char argument[4096] = "";
	int way;

	for (way = 0; way < 2 * WAYS; way++) {
		int node = self->nodes[way];

		EXPECT_EQ(-1, ioctl(node, BPIO_IOC_FILE_ARM, argument));
		EXPECT_EQ(ENOTTY, errno);
		EXPECT_EQ(-1, ioctl(node, BPIO_IOC_FILE_INFO, argument));
		EXPECT_EQ(ENOTTY, errno);
		EXPECT_EQ(-1, ioctl(node, _IO(BPIO_IOC_TYPE, 0x7f), argument));
		EXPECT_EQ(ENOTTY, errno);
		EXPECT_EQ(-1, ioctl(node, BLKGETSIZE64, argument));
		EXPECT_EQ(ENOTTY, errno);
	}
}

TEST(the_node_is_there_for_all_and_is_nothing_but_its_ioctls)
{
	char buffer[16];
	struct stat stat_of;
	int node = node_open();

	ASSERT_LE(0, node);
	ASSERT_EQ(0, stat(NODE, &stat_of));
	EXPECT_EQ((mode_t)(S_IFCHR | 0666), stat_of.st_mode);
	EXPECT_EQ(MISC_MAJOR, (int)major(stat_of.st_rdev));
	EXPECT_EQ(-1, read(node, buffer, sizeof(buffer)));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, write(node, buffer, sizeof(buffer)));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, lseek(node, 0, SEEK_SET));
	EXPECT_EQ(ESPIPE, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, node, 0));
	EXPECT_EQ(ENODEV, errno);
}

/* --- bad input --- */

FIXTURE(bad) {
	int		node;
	int		fd;
	struct state	before;
};

FIXTURE_SETUP(bad)
{
	self->node = node_open();
	ASSERT_LE(0, self->node);
	self->fd = file_open_direct(path);
	ASSERT_LE(0, self->fd);
	self->before = state_now(self->fd);
}

FIXTURE_TEARDOWN(bad)
{
	EXPECT_NOTHING_CHANGED(&self->before, self->fd);
	close(self->fd);
	close(self->node);
	EXPECT_EQ(0, active_count(volume.fd));
}

/* Every operation with a descriptor of which none can be meant. */
static void expect_everywhere(struct __test_metadata *_metadata, int node,
			      int error, int fd, const char *what)
{
	struct fs_bpio_output out;
	uint32_t operation;

	for (operation = FS_BPIO_OP_ENABLE; operation <= FS_BPIO_OP_GET_INFO;
	     operation++)
		EXPECT_EQ(error, fs_op(node, operation, fd, &out))
			TH_LOG("operation %u, %s", operation, what);
}

TEST_F(bad, no_descriptor_is_ebadf)
{
	int closed = dup(self->fd);
	int place = open(path, O_PATH | O_CLOEXEC);

	close(closed);
	expect_everywhere(_metadata, self->node, -EBADF, -1, "-1");
	expect_everywhere(_metadata, self->node, -EBADF, -100, "AT_FDCWD");
	expect_everywhere(_metadata, self->node, -EBADF, INT32_MIN, "least");
	expect_everywhere(_metadata, self->node, -EBADF, INT32_MAX, "most");
	expect_everywhere(_metadata, self->node, -EBADF, closed, "closed");
	expect_everywhere(_metadata, self->node, -EBADF, place, "O_PATH");
	close(place);
}

TEST_F(bad, a_descriptor_of_something_else_is_enxio)
{
	int pair[2], pipes[2], i;
	struct {
		const char	*what;
		int		fd;
	} others[] = {
		{ "a pipe", pipe(pipes) ? -1 : pipes[0] },
		{ "a socket", socketpair(AF_UNIX, SOCK_STREAM, 0, pair) ?
			      -1 : pair[0] },
		{ "a memfd", memfd_create("memfd", MFD_CLOEXEC) },
		{ "an eventfd", eventfd(0, EFD_CLOEXEC) },
		{ "an epoll", epoll_create1(EPOLL_CLOEXEC) },
		{ "/dev/null", open("/dev/null", O_RDONLY | O_CLOEXEC) },
		{ "the node", node_open() },
		{ "an NVMe device", open(devices.nvme, O_RDONLY | O_CLOEXEC) },
		{ "a file of /proc", open("/proc/version", O_RDONLY | O_CLOEXEC) },
		{ "a directory of /dev", open("/dev", O_RDONLY | O_CLOEXEC) },
		{ "a program", open("/proc/self/exe", O_RDONLY | O_CLOEXEC) },
	};

	for (i = 0; i < (int)ARRAY_SIZE(others); i++) {
		ASSERT_LE(0, others[i].fd) TH_LOG("%s", others[i].what);
		expect_everywhere(_metadata, self->node, -ENXIO, others[i].fd,
				  others[i].what);
		close(others[i].fd);
	}
	close(pipes[1]);
	close(pair[1]);
}

/* A mapped device, and a file system, of which no target is "bpio". */
TEST_F(bad, a_mapped_device_that_is_no_volume_and_its_files_are_enxio)
{
	struct volume other = { .name = "node-linear", .fd = -1 };
	int fd;

	ASSERT_EQ(0, dm_create_one(other.name, "linear", devices.nvme,
				   MIB_SECTORS(128), MIB_SECTORS(32), ""));
	snprintf(other.node, sizeof(other.node), "%s", dm_node(other.name));
	fd = open(other.node, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, fd);
	expect_everywhere(_metadata, self->node, -ENXIO, fd, "linear");
	close(fd);
	ASSERT_EQ(0, volume_format(&other, MKFS_EXT4));
	ASSERT_EQ(0, volume_mount(&other, "ext4", ""));
	ASSERT_EQ(0, file_create(volume_path(&other, "x"), 4096, 1));
	fd = file_open_direct(volume_path(&other, "x"));
	expect_everywhere(_metadata, self->node, -ENXIO, fd, "its file");
	close(fd);
	EXPECT_EQ(0, volume_remove(&other));
}

/* What is wrong with an envelope; the same for the node and the mapped device. */
struct wrong {
	struct fs_bpio_input	in[3];
	struct fs_bpio_output	out;
	struct bpio_ioctl	envelope;
};

#define MAKE(name, change)			\
	static void name(struct wrong *w)	\
	{					\
		change;				\
	}

MAKE(wrong_size, w->envelope.size--)
MAKE(no_size, w->envelope.size = 0)
MAKE(flags, w->envelope.flags = 1)
MAKE(reserved, w->envelope.reserved = 1)
MAKE(short_input, w->envelope.in_length--)
MAKE(no_input, w->envelope.in_length = 0)
MAKE(huge_input, w->envelope.in_length = 4097)
MAKE(short_output, w->envelope.out_length--)
MAKE(no_output, w->envelope.out_length = 0)
MAKE(input_at_null, w->envelope.in_buffer = 0)
MAKE(output_at_null, w->envelope.out_buffer = 0)
MAKE(operation_0, w->in[0].operation = 0)
MAKE(operation_9, w->in[0].operation = 9)
MAKE(operation_max, w->in[0].operation = ~0u)
MAKE(unknown_flag, w->in[0].in_flags = 1u << 30)
MAKE(reserved1, w->in[0].reserved1 = 1)
MAKE(reserved2, w->in[0].reserved2 = 1ull << 63)
MAKE(reserved3, w->in[0].reserved3 = 1)

static void layers_of_enable(struct wrong *w)
{
	w->in[0].in_flags = FS_BPIO_INFL_ALL_LAYERS;
}

static void arming_of_a_query(struct wrong *w)
{
	w->in[0].operation = FS_BPIO_OP_QUERY;
	w->in[0].in_flags = FS_BPIO_INFL_ARM;
}

static void no_room_for_layers(struct wrong *w)
{
	w->in[0].operation = FS_BPIO_OP_QUERY;
	w->in[0].in_flags = FS_BPIO_INFL_ALL_LAYERS;
}

static void more_input_than_known(struct wrong *w)
{
	w->in[2].reserved3 = 1;
	w->envelope.in_length = sizeof(w->in);
}

static void input_that_ends_too_early(struct wrong *w)
{
	char *end = guarded_pages(PROT_READ | PROT_WRITE);

	w->envelope.in_buffer = (uintptr_t)(end - sizeof(w->in[0]) + 1);
}

static void output_that_ends_too_early(struct wrong *w)
{
	char *end = guarded_pages(PROT_READ | PROT_WRITE);

	w->envelope.out_buffer = (uintptr_t)(end - sizeof(w->out) + 1);
}

static void output_that_cannot_be_written(struct wrong *w)
{
	char *end = guarded_pages(PROT_READ);

	w->envelope.out_buffer = (uintptr_t)(end - sizeof(w->out));
}

static const struct {
	const char	*what;
	void		(*make)(struct wrong *w);
	int		error;
} wrongs[] = {
#define WRONG(name, error)	{ #name, name, error }
	WRONG(wrong_size, EINVAL),
	WRONG(no_size, EINVAL),
	WRONG(flags, EINVAL),
	WRONG(reserved, EINVAL),
	WRONG(short_input, EMSGSIZE),
	WRONG(no_input, EMSGSIZE),
	WRONG(huge_input, EINVAL),
	WRONG(short_output, ERANGE),
	WRONG(no_output, ERANGE),
	WRONG(input_at_null, EFAULT),
	WRONG(output_at_null, EFAULT),
	WRONG(operation_0, EINVAL),
	WRONG(operation_9, EINVAL),
	WRONG(operation_max, EINVAL),
	WRONG(unknown_flag, EINVAL),
	WRONG(reserved1, EINVAL),
	WRONG(reserved2, EINVAL),
	WRONG(reserved3, EINVAL),
	WRONG(layers_of_enable, EINVAL),
	WRONG(arming_of_a_query, EINVAL),
	WRONG(no_room_for_layers, ERANGE),
	WRONG(more_input_than_known, EINVAL),
	WRONG(input_that_ends_too_early, EFAULT),
	WRONG(output_that_ends_too_early, EFAULT),
	WRONG(output_that_cannot_be_written, EFAULT),
};

static int send_wrong(int door, int fd, unsigned int number)
{
	struct wrong w = {
		.in[0] = { .operation = FS_BPIO_OP_ENABLE, .fd = fd },
		.envelope = {
			.size = sizeof(w.envelope),
			.in_buffer = (uintptr_t)w.in,
			.in_length = sizeof(w.in[0]),
			.out_buffer = (uintptr_t)&w.out,
			.out_length = sizeof(w.out),
		},
	};

	if (number < ARRAY_SIZE(wrongs))
		wrongs[number].make(&w);
	return ioctl(door, FSCTL_MANAGE_BYPASS_IO, &w.envelope) ? errno : 0;
}

TEST_F(bad, envelopes_are_refused_as_by_the_mapped_device)
{
	struct bpio_tally tally;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(wrongs); i++) {
		EXPECT_EQ(wrongs[i].error, send_wrong(self->node, self->fd, i))
			TH_LOG("the node, %s", wrongs[i].what);
		EXPECT_EQ(wrongs[i].error, send_wrong(volume.fd, self->fd, i))
			TH_LOG("the mapped device, %s", wrongs[i].what);
		EXPECT_NOTHING_CHANGED(&self->before, self->fd);
	}
	EXPECT_EQ(-1, ioctl(self->node, FSCTL_MANAGE_BYPASS_IO, NULL));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, ioctl(self->node, BPIO_IOC_TALLY, NULL));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, ioctl(self->node, BPIO_IOC_GET_VERSION, NULL));
	EXPECT_EQ(EFAULT, errno);
	/* a failed ioctl is not a refusal */
	ASSERT_EQ(0, tally_read(self->node, &tally));
	EXPECT_EQ(0u, tally.refused);
	EXPECT_EQ(0u, tally.files);
}

TEST_F(bad, the_right_envelope_is_the_only_one_that_is_taken)
{
	EXPECT_EQ(0, send_wrong(self->node, self->fd, ARRAY_SIZE(wrongs)));
	EXPECT_EQ(1, active_count(volume.fd));
	EXPECT_EQ(0, fs_disable(self->node, self->fd));
	self->before = state_now(self->fd);
}

TEST_F(bad, arming_is_for_the_node_and_on_the_device_einval_enables_nothing)
{
	struct fs_bpio_output out;
	struct bpio_file_info info;

	EXPECT_EQ(-EINVAL, fs_op_flags(volume.fd, FS_BPIO_OP_ENABLE, self->fd,
				       FS_BPIO_INFL_ARM, &out));
	EXPECT_EQ(0, active_count(volume.fd));
	EXPECT_EQ(-ENOTTY, file_info(self->fd, &info));
	EXPECT_EQ(-EINVAL, fs_op_flags(self->node, FS_BPIO_OP_DISABLE, self->fd,
				       FS_BPIO_INFL_ARM, &out));
}

TEST_F(bad, sizes_of_the_version_and_of_the_tally_are_checked)
{
	struct {
		struct bpio_version	version;
		char			more[4096];
	} v = { .version.size = sizeof(v.version) }, w = v;
	struct bpio_tally tally = { .size = sizeof(tally) - 8 };

	EXPECT_EQ(0, ioctl(self->node, BPIO_IOC_GET_VERSION, &v));
	EXPECT_EQ(0, ioctl(volume.fd, BPIO_IOC_GET_VERSION, &w));
	EXPECT_EQ(0, memcmp(&v, &w, sizeof(v)));
	v.version.size = sizeof(v.version) - 1;
	EXPECT_EQ(-1, ioctl(self->node, BPIO_IOC_GET_VERSION, &v));
	EXPECT_EQ(EINVAL, errno);
	v.version.size = 4097;
	EXPECT_EQ(-1, ioctl(self->node, BPIO_IOC_GET_VERSION, &v));
	EXPECT_EQ(EINVAL, errno);
	memset(v.more, 0xa5, sizeof(v.more));
	v.version.size = sizeof(v.version) + 8;
	EXPECT_EQ(0, ioctl(self->node, BPIO_IOC_GET_VERSION, &v));
	EXPECT_EQ(0, v.more[0] | v.more[7]);
	EXPECT_EQ((char)0xa5, v.more[8]);

	EXPECT_EQ(-1, ioctl(self->node, BPIO_IOC_TALLY, &tally));
	EXPECT_EQ(EINVAL, errno);
	tally.size = sizeof(tally) + 8;
	EXPECT_EQ(-1, ioctl(self->node, BPIO_IOC_TALLY, &tally));
	EXPECT_EQ(EINVAL, errno);
	tally = (struct bpio_tally) { .size = sizeof(tally), .flags = 1 };
	EXPECT_EQ(-1, ioctl(self->node, BPIO_IOC_TALLY, &tally));
	EXPECT_EQ(EINVAL, errno);
	/* no other process has a tally */
	tally.flags = 0;
	EXPECT_EQ(-1, ioctl(volume.fd, BPIO_IOC_TALLY, &tally));
	EXPECT_EQ(ENOTTY, errno);
}

/* --- what the answers say --- */

TEST(enable_tells_what_keeps_reads_from_going_direct)
{
	int node = node_open(), fd = file_open_direct(path);
	int cached = open(path, O_RDONLY | O_CLOEXEC);
	int writer = open(path, O_WRONLY | O_CLOEXEC);
	struct fs_bpio_output out;

	ASSERT_EQ(0, fs_op_flags(node, FS_BPIO_OP_ENABLE, fd, FS_BPIO_INFL_ARM,
				 &out));
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_FULL, out.support);
	EXPECT_STREQ("writer", reason_token(out.obstacle));
	close(writer);
	ASSERT_EQ(0, fs_op_flags(node, FS_BPIO_OP_ENABLE, fd, FS_BPIO_INFL_ARM,
				 &out));
	EXPECT_STREQ("none", reason_token(out.obstacle));
	ASSERT_EQ(0, fs_op_flags(node, FS_BPIO_OP_ENABLE, cached,
				 FS_BPIO_INFL_ARM, &out));
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_FULL, out.support);
	EXPECT_STREQ("not-direct", reason_token(out.obstacle));
	ASSERT_EQ(0, fcntl(cached, F_SETFL, O_DIRECT));
	ASSERT_EQ(0, fs_op_flags(node, FS_BPIO_OP_ENABLE, cached,
				 FS_BPIO_INFL_ARM, &out));
	EXPECT_STREQ("none", reason_token(out.obstacle));
	EXPECT_EQ(2, active_count(volume.fd));
}

TEST(what_is_not_open_for_reading_only_is_refused_in_words)
{
	int node = node_open(), both = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
	int writer = open(path, O_WRONLY | O_DIRECT | O_CLOEXEC);
	struct fs_bpio_output out;

	ASSERT_EQ(0, fs_op(node, FS_BPIO_OP_ENABLE, both, &out));
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_NONE, out.support);
	EXPECT_VERDICT(&out.enable, NOT_READ_ONLY, NULL);
	EXPECT_EQ(-EOPNOTSUPP, out.enable.op_status);
	ASSERT_EQ(0, fs_op(node, FS_BPIO_OP_ENABLE, writer, &out));
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_NONE, out.support);
	EXPECT_VERDICT(&out.enable, NOT_READABLE, NULL);
	EXPECT_EQ(-EBADF, out.enable.op_status);
	EXPECT_EQ(0, active_count(volume.fd));
}

#define LAYERS	4

struct report {
	struct fs_bpio_stack	stack;
	struct bpio_layer_info	layer[LAYERS];
};

static int ask_all_layers(int door, int fd, struct report *report)
{
	struct fs_bpio_input in = {
		.operation = FS_BPIO_OP_QUERY, .fd = fd,
		.in_flags = FS_BPIO_INFL_ALL_LAYERS,
	};
	struct bpio_ioctl envelope = {
		.size = sizeof(envelope), .in_length = sizeof(in),
		.in_buffer = (uintptr_t)&in, .out_length = sizeof(*report),
		.out_buffer = (uintptr_t)report,
	};

	memset(report, 0, sizeof(*report));
	return ioctl(door, FSCTL_MANAGE_BYPASS_IO, &envelope) ? -errno : 0;
}

TEST(a_query_of_all_layers_answers_the_same_to_somebody_without_privilege)
{
	struct report by_device, by_node;
	int fd = file_open_direct(path), node;

	ASSERT_EQ(0, ask_all_layers(volume.fd, fd, &by_device));
	ASSERT_EQ(0, become_nobody());
	node = node_open();
	ASSERT_EQ(0, ask_all_layers(node, fd, &by_node));
	EXPECT_EQ(2u, by_node.stack.layers);
	EXPECT_EQ(2u, by_node.stack.written);
	EXPECT_EQ(0, memcmp(&by_device, &by_node, sizeof(by_node)));
	/* also by the directory, and by the volume itself */
	fd = open(volume.mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ASSERT_EQ(0, ask_all_layers(node, fd, &by_node));
	EXPECT_EQ(2u, by_node.stack.layers);
	ASSERT_EQ(0, ask_all_layers(node, volume.fd, &by_node));
	EXPECT_EQ(2u, by_node.stack.layers);
}

TEST(operations_answer_the_same_through_the_node_and_on_the_device)
{
	static const uint32_t operations[] = {
		FS_BPIO_OP_QUERY, FS_BPIO_OP_GET_INFO, FS_BPIO_OP_STREAM_PAUSE,
		FS_BPIO_OP_STREAM_RESUME, FS_BPIO_OP_VOLUME_STACK_PAUSE,
		FS_BPIO_OP_VOLUME_STACK_RESUME, FS_BPIO_OP_ENABLE,
		FS_BPIO_OP_DISABLE,
	};
	int node = node_open(), fd = file_open_direct(path);
	struct fs_bpio_output by_device, by_node;
	unsigned int i;

	ASSERT_EQ(0, node_enable(node, fd));
	for (i = 0; i < ARRAY_SIZE(operations); i++) {
		ASSERT_EQ(0, fs_op(volume.fd, operations[i], fd, &by_device));
		ASSERT_EQ(0, fs_op(node, operations[i], fd, &by_node));
		/* arming continues in the worker */
		by_device.obstacle = 0;
		by_node.obstacle = 0;
		EXPECT_EQ(0, memcmp(&by_device, &by_node, sizeof(by_node)))
			TH_LOG("operation %u", operations[i]);
	}
}

TEST(a_suspended_volume_answers_eagain_and_nothing_is_done)
{
	int node = node_open(), fd = file_open_direct(path);
	int device = open(volume.node, O_RDWR | O_CLOEXEC);
	struct bpio_tally tally;

	ASSERT_EQ(0, dm_suspend(volume.name));
	expect_everywhere(_metadata, node, -EAGAIN, fd, "a file");
	expect_everywhere(_metadata, node, -EAGAIN, device, "the volume");
	ASSERT_EQ(0, dm_resume(volume.name));
	EXPECT_EQ(0, active_count(volume.fd));
	ASSERT_EQ(0, tally_read(node, &tally));
	EXPECT_EQ(0u, tally.files);
	EXPECT_EQ(0u, tally.refused);
	EXPECT_EQ(0, node_enable(node, fd));
	EXPECT_EQ(1, active_count(volume.fd));
}

/* Its mapped device is there, but its table has become another's. */
TEST(a_volume_whose_target_was_replaced_is_none_until_it_comes_back)
{
	int node = node_open(), fd = file_open_direct(path), enabled, device;
	char *buffer = dio_alloc(BYTES);

	device = open(volume.node, O_RDWR | O_CLOEXEC);
	enabled = file_open_direct(path);
	ASSERT_EQ(0, node_enable(node, enabled));
	ASSERT_EQ(0, dm_reload_one(volume.name, "linear", devices.nvme, 2048,
				   MIB_SECTORS(64), ""));
	expect_everywhere(_metadata, node, -EAGAIN, fd, "a file");
	expect_everywhere(_metadata, node, -EAGAIN, device, "the volume");
	EXPECT_EQ(0, reads_alike(fd, enabled, BYTES));
	ASSERT_EQ(0, dm_reload_one(volume.name, "bpio", devices.nvme, 2048,
				   MIB_SECTORS(64), ""));
	EXPECT_EQ(0, node_enable(node, fd));
	EXPECT_EQ(0, file_wait_direct(fd, buffer, BYTES, 0));
	EXPECT_EQ(0, file_wait_direct(enabled, buffer, BYTES, 0));
	EXPECT_EQ(2, active_count(volume.fd));
}

PROGRAM_MAIN
