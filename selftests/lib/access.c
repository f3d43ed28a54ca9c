// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "access.h"
#include "util.h"

/* Number of IDs in a user namespace of a test. */
#define IDS	65536

union control {
	struct cmsghdr	header;
	char		room[CMSG_SPACE(sizeof(int))];
};

int send_fd(int socket, int fd)
{
	union control control = { 0 };
	struct iovec iov = { .iov_base = "x", .iov_len = 1 };
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	return sendmsg(socket, &message, 0) == 1 ? 0 : -errno;
}

int receive_fd(int socket)
{
	union control control = { 0 };
	char c;
	struct iovec iov = { .iov_base = &c, .iov_len = 1 };
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	int fd;

	if (recvmsg(socket, &message, 0) != 1 || !CMSG_FIRSTHDR(&message))
		return -EPROTO;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
	return fd;
}

int become_nobody_with(int capability)
{
	if (prctl(PR_SET_KEEPCAPS, 1))
		return -errno;
	return become_nobody() ?: keep_capability(capability);
}

static int write_line(const char *path, const char *line)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int ret = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, line, strlen(line)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

static int write_map(pid_t pid, const char *map, unsigned int first,
		     unsigned int count)
{
	char path[64], line[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, map);
	snprintf(line, sizeof(line), "0 %u %u\n", first, count);
	return write_line(path, line);
}

int enter_user_namespace(void)
{
	unsigned int uid = geteuid(), gid = getegid();
	int ret;

	if (unshare(CLONE_NEWUSER))
		return -errno;
	/* Without this, a process that changed its user cannot write to its /proc files. */
	prctl(PR_SET_DUMPABLE, 1);
	ret = write_line("/proc/self/setgroups", "deny");
	return ret ?: write_map(getpid(), "uid_map", uid, 1) ?:
		      write_map(getpid(), "gid_map", gid, 1);
}

/* Runs in a new process: create the namespace, and wait to be killed. */
static void namespace_holder(int told)
{
	char failed = unshare(CLONE_NEWUSER) ? errno : 0;

	if (write(told, &failed, 1) == 1)
		pause();
	_exit(1);
}

static int namespace_of(pid_t pid, unsigned int first)
{
	char path[64];
	int fd, ret;

	ret = write_map(pid, "uid_map", first, IDS) ?:
	      write_map(pid, "gid_map", first, IDS);
	if (ret)
		return ret;
	snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int stay_root(void)
{
	return 0;
}

int root_without_cap_sys_admin(void)
{
	return drop_capability(CAP_SYS_ADMIN);
}

int nobody_with_cap_sys_admin(void)
{
	return become_nobody_with(CAP_SYS_ADMIN);
}

int nobody_as_root_of_a_user_namespace(void)
{
	return become_nobody() ?: enter_user_namespace();
}

int root_in_a_user_namespace(void)
{
	return enter_user_namespace();
}

int user_namespace(unsigned int first)
{
	int tell[2], ret = -EPROTO;
	char failed;
	pid_t pid;

	if (pipe2(tell, O_CLOEXEC))
		return -errno;
	pid = fork();
	if (!pid)
		namespace_holder(tell[1]);
	close(tell[1]);
	if (pid > 0 && read(tell[0], &failed, 1) == 1)
		ret = failed ? -failed : namespace_of(pid, first);
	close(tell[0]);
	if (pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	return ret;
}

/* By system calls, because the C library's functions change all threads. */
int thread_is_nobody(bool nobody)
{
	int id = nobody ? NOBODY : 0;

	/* only root may change the groups, so become root first */
	if (!nobody && syscall(SYS_setresuid, 0, 0, 0))
		return -errno;
	if (syscall(SYS_setgroups, 0, NULL) ||
	    syscall(SYS_setresgid, id, id, 0))
		return -errno;
	if (nobody && syscall(SYS_setresuid, id, id, 0))
		return -errno;
	return 0;
}
