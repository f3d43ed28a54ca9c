// SPDX-License-Identifier: GPL-2.0-only
/*
 * reader FILE WAY: read blocks of 4096 bytes with O_DIRECT, and treat the
 * descriptor in one of the ways in which programs do. Under "bpio run" every
 * such read has to be counted once. Prints how many reads there were.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define BLOCK	4096
#define READS	8

static const char *path;
static int done;

static void fail(const char *what)
{
	perror(what);
	_exit(99);
}

static void read_blocks(int fd)
{
	void *buffer;
	int i;

	if (posix_memalign(&buffer, BLOCK, BLOCK))
		fail("posix_memalign");
	for (i = 0; i < READS; i++)
		if (pread(fd, buffer, BLOCK, (off_t)i * BLOCK) != BLOCK)
			fail("pread");
	free(buffer);
	done += READS;
}

static int open_file(void)
{
	int fd = open(path, O_RDONLY | O_DIRECT);

	if (fd < 0)
		fail("open");
	return fd;
}

static int open_and_read(void)
{
	int fd = open_file();

	read_blocks(fd);
	return fd;
}

static void wait_for(pid_t pid)
{
	int status;

	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		fail("child");
}

static void way_close(void)
{
	close(open_and_read());
}

static void way_exit(void)
{
	open_and_read();
}

static void end_at_once(void)
{
	printf("%d\n", done);
	fflush(stdout);
	_exit(0);
}

static void way_end_at_once(void)
{
	open_and_read();
	end_at_once();
}

static void way_quick_exit(void)
{
	open_and_read();
	printf("%d\n", done);
	fflush(stdout);
	quick_exit(0);
}

static void way_fclose(void)
{
	fclose(fdopen(open_and_read(), "r"));
}

static void way_dup(void)
{
	int fd = open_and_read();
	int copy = dup(fd);

	close(fd);
	read_blocks(copy);
	close(copy);
	fd = open_and_read();
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 100);
	read_blocks(copy);
	close(copy);
	read_blocks(fd);
	close(fd);
}

/* A file is replaced by another, and that one by something else. */
static void way_dup2(void)
{
	int first = open_and_read(), second = open_and_read();
	int null = open("/dev/null", O_RDONLY);

	dup2(second, first);
	close(second);
	read_blocks(first);
	dup3(null, first, O_CLOEXEC);
	close(first);
}

static void way_close_range(void)
{
	int fd = open_and_read();

	open_and_read();
	close_range(fd, fd, 0);
	closefrom(3);
}

/* Parent and child read the same open file, and each closes it. */
static void way_fork(void)
{
	int fd = open_and_read();
	pid_t pid = fork();

	if (!pid) {
		read_blocks(fd);
		close(fd);
		close(open_and_read());
		_exit(0);
	}
	wait_for(pid);
	done += 2 * READS;
	read_blocks(fd);
	close(fd);
}

/* The child borrows the parent's memory, as system() and the like do it. */
static void way_vfork(void)
{
	int fd = open_and_read();
	pid_t pid = vfork();

	if (!pid) {
		close(fd);
		dup2(0, fd);
		execl("/bin/true", "true", NULL);
		_exit(1);
	}
	wait_for(pid);
	read_blocks(fd);
	close(fd);
}

static void way_exec(void)
{
	char *const argv[] = { "true", NULL };

	open_and_read();
	printf("%d\n", done);
	fflush(stdout);
	execv("/bin/true", argv);
	fail("execv");
}

/* What "bpio run" let the program inherit is gone, too. */
static void way_closes_first(void)
{
	closefrom(3);
	way_close();
}

/* As the subprocess module of Python starts programs */
static void way_exec_closed(void)
{
	char name[4096], *const argv[] = { "reader", name, "close", NULL };
	pid_t pid;

	snprintf(name, sizeof(name), "%s", path);
	pid = fork();
	if (!pid) {
		closefrom(3);
		dup2(open("/dev/null", O_WRONLY), 1);
		execv("/proc/self/exe", argv);
		fail("execv");
	}
	wait_for(pid);
	done += READS;
}

static void way_set_direct(void)
{
	int fd = open(path, O_RDONLY);

	if (fcntl(fd, F_SETFL, O_DIRECT))
		fail("fcntl");
	read_blocks(fd);
	close(fd);
}

/* The odd tail of a file is often read without O_DIRECT. */
static void way_clear_direct(void)
{
	int fd = open_and_read();

	if (fcntl(fd, F_SETFL, 0))
		fail("fcntl");
	read_blocks(fd);
	done -= READS;
	if (fcntl(fd, F_SETFL, O_DIRECT))
		fail("fcntl");
	read_blocks(fd);
	close(fd);
}

static void *thread(void *arg)
{
	int i;

	(void)arg;
	for (i = 0; i < 50; i++) {
		int fd = open_file(), copy = dup(fd);
		void *buffer;

		if (posix_memalign(&buffer, BLOCK, BLOCK) ||
		    pread(fd, buffer, BLOCK, 0) != BLOCK ||
		    pread(copy, buffer, BLOCK, BLOCK) != BLOCK)
			fail("pread");
		free(buffer);
		close(fd);
		close(copy);
	}
	return NULL;
}

static void way_threads(void)
{
	pthread_t threads[4];
	int i;

	for (i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, thread, NULL);
	for (i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	done += 4 * 50 * 2;
}

static void way_killed(void)
{
	way_close();
	open_and_read();
	printf("%d\n", done);
	fflush(stdout);
	raise(SIGKILL);
}

static const struct {
	const char *name;
	void (*run)(void);
} ways[] = {
	{ "clear-direct", way_clear_direct },
	{ "close", way_close },
	{ "close-range", way_close_range },
	{ "closes-first", way_closes_first },
	{ "dup", way_dup },
	{ "dup2", way_dup2 },
	{ "end-at-once", way_end_at_once },
	{ "exec", way_exec },
	{ "exec-closed", way_exec_closed },
	{ "exit", way_exit },
	{ "fclose", way_fclose },
	{ "fork", way_fork },
	{ "killed", way_killed },
	{ "quick-exit", way_quick_exit },
	{ "set-direct", way_set_direct },
	{ "threads", way_threads },
	{ "vfork", way_vfork },
};

int main(int argc, char **argv)
{
	size_t i;

	if (argc != 3)
		return 2;
	path = argv[1];
	for (i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		if (strcmp(ways[i].name, argv[2]))
			continue;
		ways[i].run();
		printf("%d\n", done);
		return 0;
	}
	return 2;
}
