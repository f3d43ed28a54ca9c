// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device that stays suspended holds direct reads. A task that has to wait for them
 * waits alone: other volumes, and other users of the same volume, are not blocked, and
 * the waiting task can be killed.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "objection.h"
#include "program.h"
#include "stack.h"

#define BYTES	(256 * 1024)
#define BLOCK	4096
#define READS	2
#define FILTER	"bpio-filter"

/* The device that is suspended is layer 1 of @stuck; @other has nothing of it. */
static struct stack stuck, other;
static char stuck_path[192], other_path[192];

static int program_setup(void)
{
	int ret = module_load("dm-bpio-filter") ?:
		  stack_ext4(&stuck, "stuck", FILTER " linear", devices.nvme,
			     2048, MIB_SECTORS(32)) ?:
		  file_create(volume_path(&stuck.volume, "file"), BYTES, 1) ?:
		  file_create(volume_path(&stuck.volume, "idle"), BYTES, 2) ?:
		  stack_ext4(&other, "other", FILTER, devices.nvme,
			     MIB_SECTORS(64), MIB_SECTORS(32)) ?:
		  file_create(volume_path(&other.volume, "file"), BYTES, 3);

	snprintf(stuck_path, sizeof(stuck_path), "%s",
		 volume_path(&stuck.volume, "file"));
	snprintf(other_path, sizeof(other_path), "%s",
		 volume_path(&other.volume, "file"));
	return ret;
}

static int program_cleanup(void)
{
	return stack_remove(&stuck) ?: stack_remove(&other);
}

#define STUCK_FILTER	(stuck.layer[0].name)
#define STUCK_DEVICE	(stuck.layer[1].name)
#define OTHER_FILTER	(other.layer[0].name)

/* Functions for separate tasks; each returns 0 or a negative errno. */
struct call {
	const char	*name;
	int		(*run)(const struct call *call);
	struct stack	*stack;
	unsigned int	operation;
	const char	*message;
	int		fd;
};

static int run_operation(const struct call *call)
{
	struct fs_bpio_output out;

	return fs_op(call->stack->volume.fd, call->operation, call->fd, &out);
}

static int run_message(const struct call *call)
{
	return dm_message(call->stack->layer[0].name, NULL, 0, "%s",
			  call->message);
}

static int run_status(const struct call *call)
{
	char text[512];

	return dm_status(call->stack->layer[0].name, 0, text, sizeof(text)) ?:
	       dm_table(call->stack->layer[0].name, 0, text, sizeof(text)) ?:
	       dm_status(call->stack->volume.name, 0, text, sizeof(text));
}

static int run_suspend(const struct call *call)
{
	return dm_suspend(call->stack->volume.name) ?:
	       dm_resume(call->stack->volume.name);
}

static int run_suspend_layer(const struct call *call)
{
	return dm_suspend(call->stack->layer[0].name) ?:
	       dm_resume(call->stack->layer[0].name);
}

static int run_storage(const struct call *call)
{
	struct bpio_output out;

	return storage_op(call->stack->volume.fd, call->operation, &out);
}

/* Enable a file once more, and close it. */
static int run_open_close(const struct call *call)
{
	struct fs_bpio_output out;
	char path[64], target[256];
	ssize_t length;
	int fd, ret;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", call->fd);
	length = readlink(path, target, sizeof(target) - 1);
	if (length < 0)
		return -errno;
	target[length] = 0;
	fd = file_open_direct(target);
	if (fd < 0)
		return fd;
	ret = fs_op(call->stack->volume.fd, FS_BPIO_OP_ENABLE, fd, &out);
	close(fd);
	return ret;
}

static pid_t call_start(const struct call *call)
{
	pid_t pid = fork();

	if (!pid)
		_exit(call->run(call) ? 1 : 0);
	return pid;
}

/* 0 when it has ended and returned 0; -EINTR when it was killed. */
static int call_ended(pid_t pid, bool *ended)
{
	int status;

	*ended = waitpid(pid, &status, WNOHANG) == pid;
	if (!*ended)
		return 0;
	if (WIFSIGNALED(status))
		return -EINTR;
	return WEXITSTATUS(status) ? -EIO : 0;
}

static int call_await(pid_t pid)
{
	uint64_t deadline = now_ms() + DEADLINE_MS;
	bool ended;
	int ret;

	do {
		ret = call_ended(pid, &ended);
		if (ended)
			return ret;
	} while (poll_again(deadline));
	return -ETIMEDOUT;
}

/* How often in a row a task has to be found asleep. */
#define ASLEEP	5

/* The state of a task as in /proc/<pid>/stat, or 0. */
static char task_state(pid_t pid)
{
	char path[64], line[512];
	const char *end;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (read_line(path, line, sizeof(line)))
		return 0;
	end = strrchr(line, ')');
	return end && end[1] ? end[2] : 0;
}

/* Wait until a task sleeps uninterruptibly, or killably, and keeps sleeping. */
static int task_await_sleep(pid_t pid)
{
	uint64_t deadline = now_ms() + DEADLINE_MS;
	int asleep = 0;

	do {
		asleep = task_state(pid) == 'D' ? asleep + 1 : 0;
		if (asleep == ASLEEP)
			return 0;
	} while (poll_again(deadline));
	return -ETIMEDOUT;
}

struct reading {
	pthread_t	thread;
	int		fd;
	uint64_t	offset;
	char		*buffer;
	ssize_t		ret;
	/* 0 until it runs */
	_Atomic pid_t	tid;
};

static void *reading_run(void *arg)
{
	struct reading *reading = arg;

	reading->tid = syscall(SYS_gettid);
	reading->ret = pread(reading->fd, reading->buffer, BLOCK,
			     reading->offset);
	return NULL;
}

FIXTURE(stuck) {
	int		fd;		/* that the reads are of */
	int		idle;		/* enabled, on the same volume */
	int		other;		/* enabled, on the other volume */
	struct reading	readings[READS];
	bool		suspended;
};

FIXTURE_SETUP(stuck)
{
	int i;

	self->fd = file_open_direct(stuck_path);
	self->idle = file_open_direct(volume_path(&stuck.volume, "idle"));
	self->other = file_open_direct(other_path);
	ASSERT_EQ(0, fs_enable(stuck.volume.fd, self->fd));
	ASSERT_EQ(0, fs_enable(stuck.volume.fd, self->idle));
	ASSERT_EQ(0, fs_enable(other.volume.fd, self->other));
	ASSERT_EQ(0, file_armed(self->fd));
	ASSERT_EQ(0, file_armed(self->idle));
	ASSERT_EQ(0, file_armed(self->other));

	ASSERT_EQ(0, dm_suspend(STUCK_DEVICE));
	self->suspended = true;
	for (i = 0; i < READS; i++) {
		struct reading *reading = &self->readings[i];

		reading->fd = self->fd;
		reading->offset = (uint64_t)2 * i * BLOCK;
		reading->buffer = dio_alloc(BLOCK);
		ASSERT_EQ(0, pthread_create(&reading->thread, NULL, reading_run,
					    reading));
		while (!reading->tid)
			sched_yield();
		/* nothing else keeps a direct read of an armed file that long */
		ASSERT_EQ(0, task_await_sleep(reading->tid));
	}
}

/* Let the reads end, which must have gone direct. */
static void let_go(struct __test_metadata *_metadata, FIXTURE_DATA(stuck) *self)
{
	int i;

	if (!self->suspended)
		return;
	self->suspended = false;
	EXPECT_EQ(0, dm_resume(STUCK_DEVICE));
	for (i = 0; i < READS; i++) {
		struct reading *reading = &self->readings[i];

		pthread_join(reading->thread, NULL);
		EXPECT_EQ(BLOCK, reading->ret);
		EXPECT_EQ(0, content_is(reading->buffer, BLOCK,
					reading->offset, 1, 1));
		free(reading->buffer);
	}
	EXPECT_EQ((uint64_t)READS, file_direct(self->fd));
}

FIXTURE_TEARDOWN(stuck)
{
	struct stack *stacks[] = { &stuck, &other };
	int fds[] = { self->fd, self->other };
	struct fs_bpio_output out;
	struct bpio_output storage;
	unsigned int i;

	let_go(_metadata, self);
	for (i = 0; i < 2; i++) {
		const char *filter = stacks[i]->layer[0].name;
		int volume = stacks[i]->volume.fd;

		EXPECT_EQ(0, dm_message(filter, NULL, 0, "resume"));
		EXPECT_EQ(0, dm_message(filter, NULL, 0, "allow"));
		dm_message(filter, NULL, 0, "file_allow *");
		EXPECT_EQ(0, storage_op(volume, BPIO_OP_DISABLE, &storage));
		EXPECT_EQ(0, fs_op(volume, FS_BPIO_OP_VOLUME_STACK_RESUME, -1,
				   &out));
		EXPECT_EQ(0, fs_op(volume, FS_BPIO_OP_STREAM_RESUME, fds[i],
				   &out));
	}
	close(self->fd);
	close(self->idle);
	close(self->other);
	EXPECT_EQ(0, active_count_wait(stuck.volume.fd, 0));
	EXPECT_EQ(0, active_count_wait(other.volume.fd, 0));
}

/* All that waits for reads of the stuck volume. */
#define WAITS	7

static void waits_of(const FIXTURE_DATA(stuck) *self, struct call calls[WAITS])
{
	const struct call all[WAITS] = {
		{ .name = "STREAM_PAUSE", .run = run_operation,
		  .operation = FS_BPIO_OP_STREAM_PAUSE, .fd = self->fd },
		{ .name = "VOLUME_STACK_PAUSE", .run = run_operation,
		  .operation = FS_BPIO_OP_VOLUME_STACK_PAUSE, .fd = -1 },
		{ .name = "DISABLE", .run = run_operation,
		  .operation = FS_BPIO_OP_DISABLE, .fd = self->idle },
		{ .name = "storage DISABLE", .run = run_storage,
		  .operation = BPIO_OP_DISABLE },
		{ .name = "veto", .run = run_message, .message = "veto 13 No." },
		{ .name = "file_veto", .run = run_message,
		  .message = "file_veto * 13 No." },
		{ .name = "pause", .run = run_message,
		  .message = "pause For a while." },
	};
	int i;

	memcpy(calls, all, sizeof(all));
	for (i = 0; i < WAITS; i++)
		calls[i].stack = &stuck;
}

/* Start a call and wait until it waits. */
static pid_t start_wait(struct __test_metadata *_metadata,
			const struct call *call)
{
	pid_t pid = call_start(call);

	ASSERT_EQ(0, task_await_sleep(pid))
		TH_LOG("%s does not wait", call->name);
	return pid;
}

static void start_waits(struct __test_metadata *_metadata,
			const FIXTURE_DATA(stuck) *self, pid_t pids[WAITS])
{
	struct call calls[WAITS];
	int i;

	waits_of(self, calls);
	for (i = 0; i < WAITS; i++)
		pids[i] = start_wait(_metadata, &calls[i]);
}

/* Let the reads end: then all tasks that wait for them succeed. */
static void end_waits(struct __test_metadata *_metadata,
		      FIXTURE_DATA(stuck) *self, const pid_t pids[WAITS])
{
	bool ended;
	int i;

	for (i = 0; i < WAITS; i++) {
		EXPECT_EQ(0, call_ended(pids[i], &ended));
		EXPECT_FALSE(ended) TH_LOG("call %d has not waited", i);
	}
	let_go(_metadata, self);
	for (i = 0; i < WAITS; i++)
		EXPECT_EQ(0, call_await(pids[i])) TH_LOG("call %d", i);
}

/* Each in a separate task, because it may hang. */
static void expect_all_end(struct __test_metadata *_metadata,
			   const struct call *calls, unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++)
		ASSERT_EQ(0, call_await(call_start(&calls[i])))
			TH_LOG("%s on %s", calls[i].name,
			       calls[i].stack->volume.name);
}

/* Operations that wait for reads, or are waited for, on the other volume. */
static const struct call changes_of_other[] = {
	{ .name = "VOLUME_STACK_PAUSE", .run = run_operation, .stack = &other,
	  .operation = FS_BPIO_OP_VOLUME_STACK_PAUSE, .fd = -1 },
	{ .name = "VOLUME_STACK_RESUME", .run = run_operation, .stack = &other,
	  .operation = FS_BPIO_OP_VOLUME_STACK_RESUME, .fd = -1 },
	{ .name = "veto", .run = run_message, .stack = &other,
	  .message = "veto 13 No." },
	{ .name = "allow", .run = run_message, .stack = &other,
	  .message = "allow" },
	{ .name = "suspend", .run = run_suspend, .stack = &other },
	{ .name = "suspend of a layer", .run = run_suspend_layer,
	  .stack = &other },
};

TEST_F(stuck, another_volume_goes_on_while_all_that_can_wait_waits)
{
	const struct call calls[] = {
		{ .name = "QUERY", .run = run_operation, .stack = &other,
		  .operation = FS_BPIO_OP_QUERY, .fd = self->other },
		{ .name = "GET_INFO", .run = run_operation, .stack = &other,
		  .operation = FS_BPIO_OP_GET_INFO, .fd = -1 },
		{ .name = "ENABLE and close", .run = run_open_close,
		  .stack = &other, .fd = self->other },
		{ .name = "STREAM_PAUSE", .run = run_operation, .stack = &other,
		  .operation = FS_BPIO_OP_STREAM_PAUSE, .fd = self->other },
		{ .name = "STREAM_RESUME", .run = run_operation,
		  .stack = &other, .operation = FS_BPIO_OP_STREAM_RESUME,
		  .fd = self->other },
		{ .name = "storage ENABLE", .run = run_storage, .stack = &other,
		  .operation = BPIO_OP_ENABLE },
		{ .name = "storage DISABLE", .run = run_storage,
		  .stack = &other, .operation = BPIO_OP_DISABLE },
		{ .name = "status", .run = run_status, .stack = &other },
		{ .name = "file_veto", .run = run_message, .stack = &other,
		  .message = "file_veto * 13 No." },
		{ .name = "file_allow", .run = run_message, .stack = &other,
		  .message = "file_allow *" },
		{ .name = "pause", .run = run_message, .stack = &other,
		  .message = "pause Briefly." },
		{ .name = "resume", .run = run_message, .stack = &other,
		  .message = "resume" },
		{ .name = "DISABLE", .run = run_operation, .stack = &other,
		  .operation = FS_BPIO_OP_DISABLE, .fd = self->other },
	};
	pid_t pids[WAITS];

	start_waits(_metadata, self, pids);
	expect_all_end(_metadata, changes_of_other, ARRAY_SIZE(changes_of_other));
	expect_all_end(_metadata, calls, ARRAY_SIZE(calls));
	end_waits(_metadata, self, pids);
}

TEST_F(stuck, another_volume_goes_on_while_the_suspend_of_the_stuck_one_waits)
{
	const struct call suspend = {
		.name = "suspend", .run = run_suspend, .stack = &stuck,
	};
	pid_t pid = start_wait(_metadata, &suspend);

	expect_all_end(_metadata, changes_of_other, ARRAY_SIZE(changes_of_other));
	let_go(_metadata, self);
	EXPECT_EQ(0, call_await(pid));
}

TEST_F(stuck, the_volume_itself_answers_while_all_that_can_wait_waits)
{
	const struct call calls[] = {
		{ .name = "QUERY", .run = run_operation, .stack = &stuck,
		  .operation = FS_BPIO_OP_QUERY, .fd = self->fd },
		{ .name = "GET_INFO", .run = run_operation, .stack = &stuck,
		  .operation = FS_BPIO_OP_GET_INFO, .fd = -1 },
		{ .name = "ENABLE and close", .run = run_open_close,
		  .stack = &stuck, .fd = self->fd },
		{ .name = "status", .run = run_status, .stack = &stuck },
		{ .name = "allow", .run = run_message, .stack = &stuck,
		  .message = "allow" },
		{ .name = "file_allow", .run = run_message, .stack = &stuck,
		  .message = "file_allow *" },
		{ .name = "resume", .run = run_message, .stack = &stuck,
		  .message = "resume" },
		{ .name = "STREAM_RESUME", .run = run_operation,
		  .stack = &stuck, .operation = FS_BPIO_OP_STREAM_RESUME,
		  .fd = self->fd },
		{ .name = "VOLUME_STACK_RESUME", .run = run_operation,
		  .stack = &stuck, .operation = FS_BPIO_OP_VOLUME_STACK_RESUME,
		  .fd = -1 },
		{ .name = "storage ENABLE", .run = run_storage, .stack = &stuck,
		  .operation = BPIO_OP_ENABLE },
	};
	pid_t pids[WAITS];

	start_waits(_metadata, self, pids);
	expect_all_end(_metadata, calls, ARRAY_SIZE(calls));
	end_waits(_metadata, self, pids);
}

TEST_F(stuck, whatever_waits_can_be_killed_and_has_taken_effect)
{
	struct fs_bpio_output out;
	struct call calls[WAITS];
	char status[256];
	int i;

	waits_of(self, calls);
	for (i = 0; i < WAITS; i++) {
		pid_t pid = start_wait(_metadata, &calls[i]);

		ASSERT_EQ(0, kill(pid, SIGKILL));
		ASSERT_EQ(-EINTR, call_await(pid)) TH_LOG("%s", calls[i].name);
	}
	ASSERT_EQ(0, dm_status(STUCK_FILTER, 0, status, sizeof(status)));
	EXPECT_NE(NULL, strstr(status, "veto paused"));
	ASSERT_EQ(0, fs_op(stuck.volume.fd, FS_BPIO_OP_QUERY, self->fd, &out));
	EXPECT_EQ(FS_BPIO_OUTFL_VOLUME_STACK_BYPASS_PAUSED |
		  FS_BPIO_OUTFL_STREAM_BYPASS_PAUSED, out.out_flags &
		  (FS_BPIO_OUTFL_VOLUME_STACK_BYPASS_PAUSED |
		   FS_BPIO_OUTFL_STREAM_BYPASS_PAUSED));
	EXPECT_EQ(1, active_count(stuck.volume.fd));
}

TEST_F(stuck, the_kernel_log_names_the_task_that_waits_and_the_device)
{
	const struct call pause = {
		.name = "STREAM_PAUSE", .run = run_operation, .stack = &stuck,
		.operation = FS_BPIO_OP_STREAM_PAUSE, .fd = self->fd,
	};
	pid_t pid = start_wait(_metadata, &pause);
	char device[64] = "";

	ASSERT_LT(0, readlink(dm_node(STUCK_DEVICE), device,
			      sizeof(device) - 1));
	ASSERT_EQ(0, shell("for i in $(seq 300); do dmesg | grep -q "
			   "'[[]%d] is still waiting for direct reads .* on %s$'"
			   " && exit; sleep 0.1; done; exit 1", pid,
			   strstr(device, "dm-")));
	let_go(_metadata, self);
	EXPECT_EQ(0, call_await(pid));
}

TEST_F(stuck, bypass_comes_back_after_any_number_of_pauses_that_were_killed)
{
	const struct call pause = {
		.name = "STREAM_PAUSE", .run = run_operation, .stack = &stuck,
		.operation = FS_BPIO_OP_STREAM_PAUSE, .fd = self->fd,
	};
	struct fs_bpio_output out;
	pid_t pid;
	int i;

	for (i = 0; i < 20; i++) {
		pid = start_wait(_metadata, &pause);
		ASSERT_EQ(0, kill(pid, SIGKILL));
		ASSERT_EQ(-EINTR, call_await(pid));
	}
	let_go(_metadata, self);
	ASSERT_EQ(0, fs_op(stuck.volume.fd, FS_BPIO_OP_STREAM_RESUME, self->fd,
			   &out));
	EXPECT_EQ(0, file_wait_direct(self->fd, dio_alloc(BLOCK), BLOCK, 0));
}

/*
 * Leave @fd to the kernel's garbage collector: it is on its way in a socket that
 * nobody has but the socket itself. The kernel thread that finds it has it closed.
 */
static int close_by_kernel(int fd)
{
	union {
		struct cmsghdr	head;
		char		space[CMSG_SPACE(2 * sizeof(int))];
	} control = { 0 };
	char byte = 0;
	struct iovec vector = { &byte, 1 };
	struct msghdr message = {
		.msg_iov = &vector, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	int pair[2], ret;

	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair))
		return -errno;
	control.head.cmsg_level = SOL_SOCKET;
	control.head.cmsg_type = SCM_RIGHTS;
	control.head.cmsg_len = CMSG_LEN(2 * sizeof(int));
	memcpy(CMSG_DATA(&control.head), (int[]){ pair[0], fd },
	       2 * sizeof(int));
	ret = sendmsg(pair[1], &message, 0) == 1 ? 0 : -errno;
	close(fd);
	close(pair[0]);
	close(pair[1]);
	return ret;
}

/* Wait until there is a delegation on the inode for a while: it is being armed. */
static int await_lease(int fd)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	return shell("n=0; for i in $(seq 300); do "
		     "if grep -q 'DELEG .*:%lu ' /proc/locks; "
		     "then n=$((n + 1)); else n=0; fi; "
		     "[ $n -lt 5 ] || exit 0; sleep 0.1; done; exit 1",
		     (unsigned long)st.st_ino);
}

TEST(a_file_of_a_suspended_volume_that_the_kernel_closes_holds_up_no_other)
{
	struct pollfd pipe_closed = { .events = POLLIN };
	int first = file_open_direct(other_path);
	int last = file_open_direct(other_path);
	int writer, pipes[2];

	/* not armed any more when the volume is suspended */
	ASSERT_EQ(0, fs_enable(other.volume.fd, first));
	ASSERT_EQ(0, fs_enable(other.volume.fd, last));
	ASSERT_EQ(0, file_armed(first));
	writer = open(other_path, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, writer);
	ASSERT_EQ(0, dm_suspend(other.volume.name));
	close(writer);
	/* which lets the worker arm the file, and wait for the volume */
	close(first);
	EXPECT_EQ(0, await_lease(last));

	EXPECT_EQ(0, close_by_kernel(last));
	ASSERT_EQ(0, pipe(pipes));
	EXPECT_EQ(0, close_by_kernel(pipes[1]));
	pipe_closed.fd = pipes[0];
	EXPECT_EQ(1, poll(&pipe_closed, 1, DEADLINE_MS));
	EXPECT_EQ(0, dm_resume(other.volume.name));
	close(pipes[0]);
	EXPECT_EQ(0, active_count_wait(other.volume.fd, 0));
}

PROGRAM_MAIN
