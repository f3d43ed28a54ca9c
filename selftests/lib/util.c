// SPDX-License-Identifier: GPL-2.0-only
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "access.h"
#include "util.h"

void diag(const char *fmt, ...)
{
	char line[1024];
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	/* in one write, so that lines of threads and children do not mix */
	dprintf(STDERR_FILENO, "# %s\n", line);
}

uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

bool poll_again(uint64_t deadline)
{
	if (now_ms() >= deadline)
		return false;
	usleep(5000);
	return true;
}

/*
 * Start @command, with a pipe from which its output can be read. Not by fork(), because
 * other threads may be reading, see fork_spares_reads().
 */
static pid_t start_shell(char *command, int *output)
{
	char *argv[] = { "timeout", "240", "sh", "-c", command, NULL };
	posix_spawn_file_actions_t actions;
	int pipefd[2], ret;
	pid_t pid;

	if (pipe2(pipefd, O_CLOEXEC))
		return -errno;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, pipefd[1], STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&actions, pipefd[1], STDERR_FILENO);
	ret = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(pipefd[1]);
	if (ret) {
		close(pipefd[0]);
		return -ret;
	}
	*output = pipefd[0];
	return pid;
}

/* Read until end-of-file, so that the writer does not block; drop what does not fit. */
static void drain(int fd, char *text, size_t size)
{
	size_t used = 0;
	char rest[512];
	ssize_t n;

	do {
		if (used < size - 1)
			n = read(fd, text + used, size - 1 - used);
		else
			n = read(fd, rest, sizeof(rest));
		if (n > 0 && used < size - 1)
			used += n;
	} while (n > 0 || (n < 0 && errno == EINTR));
	text[used] = 0;
}

int shell(const char *fmt, ...)
{
	char command[1024], output[4096], *line, *rest = output;
	int from = -1, status;
	va_list args;
	pid_t pid;
	int n;

	va_start(args, fmt);
	n = vsnprintf(command, sizeof(command), fmt, args);
	va_end(args);
	if (n < 0 || (size_t)n >= sizeof(command))
		return -E2BIG;
	pid = start_shell(command, &from);
	if (pid < 0)
		return pid;
	drain(from, output, sizeof(output));
	close(from);
	if (waitpid(pid, &status, 0) != pid)
		return -errno;
	status = WIFEXITED(status) ? WEXITSTATUS(status) :
				     128 + WTERMSIG(status);
	if (!status)
		return 0;
	while ((line = strsep(&rest, "\n")))
		if (*line)
			diag("| %s", line);
	diag("exit status %d of: %s", status, command);
	return status;
}

int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	if (!dir)
		return -1;
	while (readdir(dir))
		count++;
	closedir(dir);
	/* without ".", ".." and the descriptor of the directory */
	return count - 3;
}

static int capset_words(const uint32_t keep[2])
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2] = { 0 };
	int i;

	if (syscall(SYS_capget, &header, data))
		return -errno;
	for (i = 0; i < 2; i++) {
		data[i].permitted &= keep[i];
		data[i].effective = data[i].permitted;
		data[i].inheritable = 0;
	}
	if (syscall(SYS_capset, &header, data))
		return -errno;
	return 0;
}

int drop_capability(int capability)
{
	uint32_t keep[2] = { UINT32_MAX, UINT32_MAX };

	keep[CAP_TO_INDEX(capability)] &= ~CAP_TO_MASK(capability);
	return capset_words(keep);
}

int keep_capability(int capability)
{
	uint32_t keep[2] = { 0 };

	keep[CAP_TO_INDEX(capability)] = CAP_TO_MASK(capability);
	return capset_words(keep);
}

int become_nobody(void)
{
	if (setgroups(0, NULL) || setresgid(NOBODY, NOBODY, NOBODY) ||
	    setresuid(NOBODY, NOBODY, NOBODY))
		return -errno;
	return 0;
}

int read_line(const char *path, char *line, size_t size)
{
	FILE *file = fopen(path, "re");

	if (!file)
		return -errno;
	if (!fgets(line, size, file))
		line[0] = 0;
	fclose(file);
	line[strcspn(line, "\n")] = 0;
	return 0;
}

void *dio_alloc(size_t bytes)
{
	void *memory;

	if (posix_memalign(&memory, PAGE, bytes)) {
		diag("no memory for a buffer of %zu bytes", bytes);
		abort();
	}
	return memory;
}

void dio_scatter(struct iovec *vectors, unsigned int pages, char *memory)
{
	unsigned int i;

	for (i = 0; i < pages; i++)
		vectors[i] = (struct iovec) { memory + i * 7 % pages * PAGE,
					      PAGE };
}

void *guarded_pages(int protection)
{
	void *area = mmap(NULL, 3 * PAGE, protection,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (area == MAP_FAILED || munmap(area + 2 * PAGE, PAGE)) {
		diag("no memory: %s", strerror(errno));
		abort();
	}
	return area + 2 * PAGE;
}

bool kernel_is_at_least(unsigned int version, unsigned int patchlevel)
{
	unsigned int v = 0, p = 0;
	struct utsname name;

	uname(&name);
	if (sscanf(name.release, "%u.%u", &v, &p) != 2)
		return false;
	return v > version || (v == version && p >= patchlevel);
}

bool fork_spares_reads(void)
{
	return kernel_is_at_least(6, 5);
}

void fork_once(void)
{
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	if (pid > 0)
		waitpid(pid, NULL, 0);
}
