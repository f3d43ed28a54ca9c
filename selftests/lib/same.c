// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "content.h"
#include "control.h"
#include "files.h"
#include "same.h"
#include "util.h"

/* The first descriptor number for the calls, above those that a test has open. */
#define FIRST_FD	40

struct same_file *same_files(unsigned int count)
{
	void *memory = mmap(NULL, count * sizeof(struct same_file),
			    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			    -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

void same_note(struct same_file *f, const char *fmt, ...)
{
	size_t room = sizeof(f->account) - f->used;
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(f->account + f->used, room, fmt, args);
	va_end(args);
	if (n < 0 || (size_t)n + 1 >= room) {
		diag("the account is full");
		f->failed = true;
		return;
	}
	f->used += n;
	f->account[f->used++] = '\n';
	f->account[f->used] = 0;
}

void same_result(struct same_file *f, const char *call, long result)
{
	const char *name = strerrorname_np(errno);

	if (result == -1)
		same_note(f, "%s = %s", call, name ?: "?");
	else
		same_note(f, "%s = %ld", call, result);
}

int same_opened(struct same_file *f, const char *call, int fd)
{
	same_result(f, call, fd < 0 ? -1 : 0);
	return fd;
}

void same_content(struct same_file *f, const void *bytes, size_t count,
		  uint64_t offset)
{
	int ret = content_is(bytes, count, offset, SAME_FILE, 1);

	same_note(f, "%zu bytes of %llu are %s", count,
		  (unsigned long long)offset, ret ? "WRONG" : "right");
}

void same_bytes(struct same_file *f, const char *what, const void *mine,
		const void *plain, size_t size)
{
	same_note(f, "%s: %s", what,
		  memcmp(mine, plain, size) ? "DIFFERENT" : "as by the other");
}

void same_write(struct same_file *f, uint64_t offset, size_t bytes)
{
	int fd = open(f->path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || file_write(fd, offset, bytes, SAME_FILE, 1)) {
		diag("cannot write %s: %s", f->path, strerror(errno));
		f->failed = true;
	}
	close(fd);
}

/* Open as descriptor @number, so that accounts do not depend on other open files. */
static int open_as(int number, const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);

	if (fd < 0 || dup3(fd, number, O_CLOEXEC) != number) {
		diag("cannot open %s: %s", path, strerror(errno));
		return -errno;
	}
	close(fd);
	return number;
}

static int open_file(struct same_file *f)
{
	snprintf(f->path, sizeof(f->path), "%s", volume_path(f->volume, "same"));
	snprintf(f->other, sizeof(f->other), "%s",
		 volume_path(f->volume, "other"));
	unlink(f->other);
	unlink(f->path);
	f->buffer = dio_alloc(SAME_BYTES + PAGE);
	if (file_create(f->path, SAME_BYTES, SAME_FILE))
		return -EIO;
	f->dir = open_as(FIRST_FD, f->volume->mount, O_RDONLY | O_DIRECTORY);
	f->plain = open_as(FIRST_FD + 1, f->path, O_RDONLY);
	f->fd = open_as(FIRST_FD + 2, f->path, O_RDONLY | f->flags);
	return f->dir < 0 || f->plain < 0 || f->fd < 0 ? -EIO : 0;
}

/* Only a file with O_DIRECT is armed, but it stays armed without. */
static int arm(int fd)
{
	int flags = fcntl(fd, F_GETFL), ret;

	if (fcntl(fd, F_SETFL, flags | O_DIRECT))
		return -errno;
	ret = file_armed(fd);
	return fcntl(fd, F_SETFL, flags) ? -errno : ret;
}

void same_arm(struct same_file *f)
{
	if (f->state == SAME_ENABLED && arm(f->fd))
		f->failed = true;
}

void same_state(struct same_file *f, int fd)
{
	int ret;

	if (f->state == SAME_PLAIN)
		return;
	ret = fs_enable(f->volume->fd, fd) ?: arm(fd);
	if (!ret && f->state == SAME_DISABLED)
		ret = fs_disable(f->volume->fd, fd);
	if (!ret)
		return;
	diag("cannot enable a file: %s", strerror(-ret));
	f->failed = true;
}

/* Check that an enabled file is still enabled after the calls, and read direct. */
static int still_enabled(struct same_file *f)
{
	bool enabled = f->state == SAME_ENABLED;
	struct bpio_file_info info;

	if (f->state == SAME_PLAIN || f->fd < 0)
		return 0;
	if (file_info(f->fd, &info) || !info.enabled == enabled) {
		diag("the file has changed its state");
		return -1;
	}
	f->direct = info.direct_reads;
	if (!enabled || f->spoiled ||
	    !(fcntl(f->fd, F_GETFL) & O_DIRECT))
		return 0;
	if (file_armed(f->fd))
		return -1;
	if (pread(f->fd, f->buffer, PAGE, 0) == PAGE &&
	    file_direct(f->fd) == f->direct + 1)
		return 0;
	diag("a read afterwards does not go direct");
	return -1;
}

/* Runs in a separate process, with which everything that it leaves behind ends. */
static int make_calls(struct same_file *f, same_calls calls)
{
	if (open_file(f))
		return -1;
	same_state(f, f->fd);
	if (!f->failed)
		calls(f);
	return still_enabled(f);
}

static void show_account(const char *account)
{
	size_t length;

	for (; *account; account += length + 1) {
		length = strcspn(account, "\n");
		diag("| %.*s", (int)length, account);
	}
}

int same_run(struct same_file *f, same_calls calls)
{
	pid_t pid;
	int status;

	f->used = 0;
	f->failed = false;
	f->spoiled = false;
	f->direct = 0;
	pid = fork();
	if (!pid)
		_exit(make_calls(f, calls) || f->failed);
	if (pid < 0 || waitpid(pid, &status, 0) != pid) {
		diag("no process: %s", strerror(errno));
		return -1;
	}
	if (!status)
		return 0;
	diag("the calls ended with status %#x; the account so far:", status);
	show_account(f->account);
	return -1;
}

int same_compare(const struct same_file *expected, const struct same_file *f)
{
	const char *a = expected->account, *b = f->account;
	size_t line = 0, i;

	for (i = 0; a[i] && a[i] == b[i]; i++)
		if (a[i] == '\n')
			line = i + 1;
	if (a[i] == b[i])
		return 0;
	diag("plain:   %.*s", (int)strcspn(a + line, "\n"), a + line);
	diag("enabled: %.*s", (int)strcspn(b + line, "\n"), b + line);
	return -1;
}
