// SPDX-License-Identifier: GPL-2.0-only
/*
 * obey: do what the lines of standard input say, and answer each with a line.
 * Linked statically, and files are opened and read without the C library's
 * wrappers, so that nothing but "bpio attach" can give it BypassIO.
 *
 *	open PATH FLAGS	-> descriptor; FLAGS of direct, write, both, path
 *	read FD BLOCKS	-> number of blocks of 4096 bytes that were read
 *	direct FD	-> 0; sets O_DIRECT
 *	map FD		-> 0; maps the first page, for ever
 *	dup FD		-> descriptor
 *	close FD	-> 0
 *	fork		-> number of a child that has the same files open
 *	zombie		-> number of a child that has ended
 *	thread		-> number of a thread
 *	leave		-> 0; the first thread ends, the others go on
 *
 * A negative errno is the answer to what failed. Ends with its input.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define BLOCK	4096

static pid_t thread_number;
static pthread_barrier_t started;

static long done(long ret)
{
	return ret < 0 ? -errno : ret;
}

static long open_file(const char *path, const char *word)
{
	int flags = O_RDONLY;

	if (!strcmp(word, "direct"))
		flags |= O_DIRECT;
	else if (!strcmp(word, "write"))
		flags = O_WRONLY | O_DIRECT;
	else if (!strcmp(word, "both"))
		flags = O_RDWR | O_DIRECT;
	else if (!strcmp(word, "path"))
		flags = O_PATH;
	return done(syscall(SYS_openat, AT_FDCWD, path, flags));
}

static long read_blocks(int fd, int blocks)
{
	static char buffer[BLOCK] __attribute__((aligned(BLOCK)));
	int i;

	for (i = 0; i < blocks; i++)
		if (syscall(SYS_pread64, fd, buffer, BLOCK,
			    (off_t)i * BLOCK) != BLOCK)
			return done(-1);
	return blocks;
}

static long make_child(int lives)
{
	pid_t pid = fork();
	siginfo_t info;

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		while (lives)
			pause();
		_exit(0);
	}
	if (pid > 0 && !lives)
		waitid(P_PID, pid, &info, WEXITED | WNOWAIT);
	return done(pid);
}

static void obey(char *line);

/* Obeys when the first thread has left */
static void *thread(void *arg)
{
	char line[4200];

	thread_number = syscall(SYS_gettid);
	pthread_barrier_wait(&started);
	pthread_join(*(pthread_t *)arg, NULL);
	while (fgets(line, sizeof(line), stdin))
		obey(line);
	exit(0);
}

static long make_thread(void)
{
	static pthread_t first;
	pthread_t other;

	first = pthread_self();
	pthread_barrier_init(&started, NULL, 2);
	if (pthread_create(&other, NULL, thread, &first))
		return -EAGAIN;
	pthread_barrier_wait(&started);
	return thread_number;
}

static long set_direct(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return done(fcntl(fd, F_SETFL, flags | O_DIRECT));
}

static long map_page(int fd)
{
	void *page = mmap(NULL, BLOCK, PROT_READ, MAP_SHARED, fd, 0);

	return page == MAP_FAILED ? -errno : 0;
}

static void obey(char *line)
{
	char path[4096] = "", word[16] = "";
	int fd = -1, blocks;
	long answer = -EINVAL;

	if (sscanf(line, "open %4095s %15s", path, word) == 2)
		answer = open_file(path, word);
	else if (sscanf(line, "read %d %d", &fd, &blocks) == 2)
		answer = read_blocks(fd, blocks);
	else if (sscanf(line, "map %d", &fd) == 1)
		answer = map_page(fd);
	else if (sscanf(line, "dup %d", &fd) == 1)
		answer = done(dup(fd));
	else if (sscanf(line, "direct %d", &fd) == 1)
		answer = set_direct(fd);
	else if (sscanf(line, "close %d", &fd) == 1)
		answer = done(close(fd));
	else if (!strcmp(line, "fork\n"))
		answer = make_child(1);
	else if (!strcmp(line, "zombie\n"))
		answer = make_child(0);
	else if (!strcmp(line, "thread\n"))
		answer = make_thread();
	printf("%ld\n", answer);
	fflush(stdout);
}

int main(void)
{
	char line[4200];

	while (fgets(line, sizeof(line), stdin)) {
		if (!strcmp(line, "leave\n")) {
			puts("0");
			fflush(stdout);
			pthread_exit(NULL);
		}
		obey(line);
	}
	return 0;
}
