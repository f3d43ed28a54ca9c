// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "access.h"
#include "control.h"
#include "files.h"
#include "fuzz.h"
#include "hostile.h"
#include "util.h"

/* Number of open files of a process that hoards them. */
#define HOARD		10000
#define CROWD		8
#define CROWD_READS	32
/* The sparse file has data at each multiple of STRIDE, one block. */
#define STRIDE		(1ull << 30)
#define STRIDES		64

struct act {
	struct hostile	*hostile;
	uint64_t	random;
	char		*buffer;	/* HOSTILE_BYTES */
	int		node;
};

const char *hostile_name(enum hostile_kind kind)
{
	static const char *const names[HOSTILE_KINDS] = {
		[HOSTILE_HOARD] = "files that are hoarded",
		[HOSTILE_MAPS] = "maps that are made and given up",
		[HOSTILE_CALLS] = "calls of all kinds",
		[HOSTILE_CROWD] = "processes that are killed",
	};

	return names[kind];
}

/* Path of "small" with a number, "pieces" or "huge", in a static buffer. */
static const char *file_path(const char *directory, const char *name, int number)
{
	static char path[256];

	if (number < 0)
		snprintf(path, sizeof(path), "%s/%s", directory, name);
	else
		snprintf(path, sizeof(path), "%s/%s%d", directory, name, number);
	return path;
}

static int make_huge(const char *path)
{
	int fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0644), i;
	int ret = fd < 0 ? -errno : 0;

	if (!ret && ftruncate(fd, HOSTILE_HUGE))
		ret = -errno;
	for (i = 0; i < STRIDES && !ret; i++)
		ret = file_write(fd, i * STRIDE, PAGE, 1, 1);
	if (!ret && fsync(fd))
		ret = -errno;
	close(fd);
	return ret;
}

int hostile_files(const char *directory)
{
	const char *path;
	int i, ret = 0;

	for (i = 0; i < HOSTILE_FILES + 2 && !ret; i++) {
		if (i < HOSTILE_FILES) {
			path = file_path(directory, "small", i);
			ret = file_create(path, HOSTILE_BYTES, 1);
		} else if (i == HOSTILE_FILES) {
			path = file_path(directory, "pieces", -1);
			ret = file_create_fragmented(path, HOSTILE_PIECES, PAGE, 1);
		} else {
			path = file_path(directory, "huge", -1);
			ret = make_huge(path);
		}
		if (!ret && chown(path, NOBODY, NOBODY))
			ret = -errno;
	}
	if (ret)
		diag("cannot make the files of a user: %s", strerror(-ret));
	return ret;
}

static uint32_t pick(struct act *act, uint32_t count)
{
	return fuzz_random(&act->random) % count;
}

/* Prints nothing on error, because the process or machine may have too many files open. */
static int open_small(struct act *act, int number)
{
	return open(file_path(act->hostile->directory, "small", number),
		    O_RDONLY | O_DIRECT | O_CLOEXEC);
}

/*
 * Enable as many files as the process may have open, and arm and read some of them. Close
 * them one by one, or all at once by killing the last process that has them.
 */
static void hoard(struct act *act)
{
	static int fds[HOARD];
	int count = 0, i;
	pid_t pid;

	while (count < HOARD) {
		int fd = open_small(act, count % HOSTILE_FILES);

		if (fd < 0)
			break;
		fds[count++] = fd;
		if (count % 64 == 0 && !node_enable(act->node, fd) &&
		    pread(fd, act->buffer, PAGE, 0) == PAGE)
			act->hostile->done[HOSTILE_HOARD]++;
		else if (!fs_enable(act->node, fd))
			act->hostile->done[HOSTILE_HOARD]++;
	}
	pid = fork();
	if (!pid) {
		pause();
		_exit(0);
	}
	for (i = 0; i < count; i++)
		close(fds[i]);
	if (pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
}

/* Make the module map files, and drop the maps again. */
static void maps(struct act *act)
{
	bool huge = pick(act, 2);
	const char *path = file_path(act->hostile->directory,
				     huge ? "huge" : "pieces", -1);
	int fds[4], i, j, writer;

	for (i = 0; i < 4; i++) {
		fds[i] = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
		node_enable(act->node, fds[i]);
	}
	for (j = 0; j < 64; j++) {
		uint64_t block = huge ? pick(act, STRIDES) * (STRIDE / PAGE) +
					pick(act, 2) * pick(act, 1 << 18) :
					pick(act, HOSTILE_PIECES);

		pread(fds[j % 4], act->buffer, PAGE, block * PAGE);
		if (j % 16 == 15) {
			/* a writer, or a lease holder */
			writer = open(path, (j & 16 ? O_WRONLY : O_RDONLY) |
				      O_NONBLOCK | O_CLOEXEC);
			fcntl(writer, F_SETLEASE, j & 16 ? F_WRLCK : F_RDLCK);
			close(writer);
			chmod(path, j & 32 ? 0644 : 0640);
		}
	}
	for (i = 0; i < 4; i++) {
		act->hostile->done[HOSTILE_MAPS] += file_direct(fds[i]);
		close(fds[i]);
	}
}

static int query_all(int node, int fd)
{
	static char rows[64 * 1024];
	struct fs_bpio_input in = {
		.operation = FS_BPIO_OP_QUERY,
		.in_flags = FS_BPIO_INFL_ALL_LAYERS, .fd = fd,
	};
	struct bpio_ioctl envelope = {
		.size = sizeof(envelope),
		.in_buffer = (uintptr_t)&in, .in_length = sizeof(in),
		.out_buffer = (uintptr_t)rows, .out_length = sizeof(rows),
	};

	return ioctl(node, FSCTL_MANAGE_BYPASS_IO, &envelope) ? -errno : 0;
}

/* Send every operation, permitted or not, for enabled and other files. */
static void calls(struct act *act)
{
	int fd = open_small(act, pick(act, HOSTILE_FILES)), node, i;
	struct bpio_file_arm arm = { .size = sizeof(arm) };
	struct bpio_file_info info;
	struct bpio_tally tally;
	struct fs_bpio_output out;

	for (i = 0; i < 16; i++) {
		uint32_t operation;

		for (operation = FS_BPIO_OP_ENABLE;
		     operation <= FS_BPIO_OP_GET_INFO; operation++)
			act->hostile->done[HOSTILE_CALLS] +=
				!fs_op(act->node, operation, fd, &out);
		act->hostile->done[HOSTILE_CALLS] += !query_all(act->node, fd);
		fs_op(act->node, FS_BPIO_OP_ENABLE, act->node, &out);
		node_enable(act->node, fd);
		file_arm(fd, &arm);
		file_info(fd, &info);
		pread(fd, act->buffer, HOSTILE_BYTES, 0);
		pread(fd, act->buffer, PAGE, 0);
	}
	close(fd);
	tally_read(act->node, &tally);
	node = node_open();
	if (node >= 0) {
		close(act->node);
		act->node = node;
	}
}

/* In a child: keep reads in flight, and cancel some, until it is killed. */
static void be_killed(struct act *act, int ready)
{
	int fd = open_small(act, pick(act, HOSTILE_FILES)), node = node_open();
	struct io_uring ring;
	unsigned int i;

	node_enable(node, fd);
	if (io_uring_queue_init(2 * CROWD_READS, &ring, 0))
		_exit(1);
	if (write(ready, "", 1) != 1)
		_exit(1);
	for (;;) {
		struct io_uring_cqe *cqe;

		for (i = 0; i < CROWD_READS; i++) {
			struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

			io_uring_prep_read(sqe, fd, act->buffer, PAGE,
					   PAGE * pick(act, HOSTILE_BYTES / PAGE));
			sqe->user_data = i;
			sqe->flags |= pick(act, 2) ? IOSQE_ASYNC : 0;
			io_uring_prep_cancel64(io_uring_get_sqe(&ring), i, 0);
		}
		if (io_uring_submit_and_wait(&ring, 2 * CROWD_READS) < 0)
			_exit(1);
		while (!io_uring_peek_cqe(&ring, &cqe))
			io_uring_cqe_seen(&ring, cqe);
	}
}

static void crowd(struct act *act)
{
	pid_t pids[CROWD];
	int ready[2], i;
	char byte;

	if (pipe2(ready, O_CLOEXEC))
		return;
	for (i = 0; i < CROWD; i++) {
		fuzz_random(&act->random);
		pids[i] = fork();
		if (!pids[i]) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			be_killed(act, ready[1]);
		}
	}
	close(ready[1]);
	/* wait until each child has written a byte or has died */
	while (read(ready[0], &byte, 1) == 1 && --i > 0)
		;
	for (i = 0; i < CROWD; i++) {
		if (pids[i] <= 0)
			continue;
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
		act->hostile->done[HOSTILE_CROWD]++;
	}
	close(ready[0]);
}

void hostile_process(struct hostile *hostile, enum hostile_kind kind)
{
	static void (*const acts[HOSTILE_KINDS])(struct act *act) = {
		[HOSTILE_HOARD] = hoard,
		[HOSTILE_MAPS] = maps,
		[HOSTILE_CALLS] = calls,
		[HOSTILE_CROWD] = crowd,
	};
	struct rlimit limit = { HOARD + 64, HOARD + 64 };
	struct act act = {
		.hostile = hostile, .random = getpid(),
		.buffer = dio_alloc(HOSTILE_BYTES),
	};

	if (setrlimit(RLIMIT_NOFILE, &limit) || become_nobody())
		_exit(1);
	/* set after the change of credentials, which clears it */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	act.node = node_open();
	if (act.node < 0)
		_exit(1);
	for (;;)
		acts[kind](&act);
}
