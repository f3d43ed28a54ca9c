// SPDX-License-Identifier: GPL-2.0-only
/*
 * libbpio-preload.so, loaded into every process of "bpio run": a file that the
 * program opens with O_RDONLY | O_DIRECT becomes a bypass handle.
 *
 * The handle takes the number of the file's descriptor, so that the program
 * gets the lowest free number as POSIX promises, and the file's own descriptor
 * is gone; the handle keeps the file open. Everything else here serves the
 * counting: a handle must be asked for its counters before it goes away.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bypass.h"
#include "track.h"
#include "wrap.h"

#define EXPORT	__attribute__((__visibility__("default")))

/* The definitions that would be used without this library */
static struct {
	__typeof__(openat) *openat;
	__typeof__(close) *close;
	__typeof__(fclose) *fclose;
	__typeof__(close_range) *close_range;
	__typeof__(closefrom) *closefrom;
	__typeof__(dup) *dup;
	__typeof__(dup2) *dup2;
	__typeof__(dup3) *dup3;
	__typeof__(fcntl) *fcntl;
	__typeof__(fcntl64) *fcntl64;
	__typeof__(execve) *execve;
	__typeof__(execv) *execv;
	__typeof__(execvp) *execvp;
	__typeof__(execvpe) *execvpe;
	__typeof__(fexecve) *fexecve;
	__typeof__(_exit) *_exit;
} next;

static pthread_once_t next_once = PTHREAD_ONCE_INIT;

#define FIND(name)	(next.name = dlsym(RTLD_NEXT, #name))

static void find_next(void)
{
	FIND(openat);
	FIND(close);
	FIND(fclose);
	FIND(close_range);
	FIND(closefrom);
	FIND(dup);
	FIND(dup2);
	FIND(dup3);
	FIND(fcntl);
	FIND(fcntl64);
	FIND(execve);
	FIND(execv);
	FIND(execvp);
	FIND(execvpe);
	FIND(fexecve);
	FIND(_exit);
}

/* Other libraries' constructors may call a wrapper before ours has run. */
static void need_next(void)
{
	pthread_once(&next_once, find_next);
}

static int open_file(int dir, const char *path, int flags, mode_t mode)
{
	int fd, handle;

	need_next();
	fd = next.openat(dir, path, flags, mode);
	if (fd < 0)
		return fd;
	handle = bypass_handle(fd, path, flags);
	if (handle < 0)
		return fd;
	if (next.dup3(handle, fd, flags & O_CLOEXEC) == fd)
		track_open(fd);
	syscall(SYS_close, handle);
	return fd;
}

/* O_TMPFILE contains O_DIRECTORY, so all its bits have to be compared. */
static mode_t mode_of(int flags, va_list args)
{
	if ((flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE)
		return va_arg(args, mode_t);
	return 0;
}

EXPORT int open(const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = mode_of(flags, args);
	va_end(args);
	return open_file(AT_FDCWD, path, flags, mode);
}

EXPORT int open64(const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = mode_of(flags, args);
	va_end(args);
	return open_file(AT_FDCWD, path, flags | O_LARGEFILE, mode);
}

EXPORT int openat(int dir, const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = mode_of(flags, args);
	va_end(args);
	return open_file(dir, path, flags, mode);
}

EXPORT int openat64(int dir, const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = mode_of(flags, args);
	va_end(args);
	return open_file(dir, path, flags | O_LARGEFILE, mode);
}

EXPORT int __open_2(const char *path, int flags)
{
	return open_file(AT_FDCWD, path, flags, 0);
}

EXPORT int __open64_2(const char *path, int flags)
{
	return open_file(AT_FDCWD, path, flags | O_LARGEFILE, 0);
}

EXPORT int __openat_2(int dir, const char *path, int flags)
{
	return open_file(dir, path, flags, 0);
}

EXPORT int __openat64_2(int dir, const char *path, int flags)
{
	return open_file(dir, path, flags | O_LARGEFILE, 0);
}

EXPORT int close(int fd)
{
	need_next();
	track_close(fd);
	return next.close(fd);
}

EXPORT int fclose(FILE *stream)
{
	int error = errno;

	need_next();
	track_close(fileno(stream));
	errno = error;
	return next.fclose(stream);
}

EXPORT int close_range(unsigned int first, unsigned int last, int flags)
{
	need_next();
	if (!(flags & (int)CLOSE_RANGE_CLOEXEC))
		track_close_range(first, last);
	return next.close_range(first, last, flags);
}

EXPORT void closefrom(int first)
{
	need_next();
	track_close_range(first < 0 ? 0 : first, ~0U);
	next.closefrom(first);
}

EXPORT int dup(int fd)
{
	int copy;

	need_next();
	copy = next.dup(fd);
	if (copy >= 0)
		track_dup(fd, copy);
	return copy;
}

EXPORT int dup2(int fd, int copy)
{
	int ret;

	need_next();
	track_read(copy);
	ret = next.dup2(fd, copy);
	if (ret >= 0)
		track_dup(fd, copy);
	return ret;
}

EXPORT int dup3(int fd, int copy, int flags)
{
	int ret;

	need_next();
	track_read(copy);
	ret = next.dup3(fd, copy, flags);
	if (ret >= 0)
		track_dup(fd, copy);
	return ret;
}

static void after_fcntl(int fd, int command, int ret)
{
	if (ret >= 0 && (command == F_DUPFD || command == F_DUPFD_CLOEXEC))
		track_dup(fd, ret);
}

/* The argument is an int or a pointer; both travel as a pointer does. */
EXPORT int fcntl(int fd, int command, ...)
{
	va_list args;
	void *arg;
	int ret;

	need_next();
	va_start(args, command);
	arg = va_arg(args, void *);
	va_end(args);
	ret = next.fcntl(fd, command, arg);
	after_fcntl(fd, command, ret);
	return ret;
}

EXPORT int fcntl64(int fd, int command, ...)
{
	va_list args;
	void *arg;
	int ret;

	need_next();
	va_start(args, command);
	arg = va_arg(args, void *);
	va_end(args);
	ret = next.fcntl64(fd, command, arg);
	after_fcntl(fd, command, ret);
	return ret;
}

EXPORT int execve(const char *path, char *const argv[], char *const envp[])
{
	need_next();
	track_read_all(false);
	return next.execve(path, argv, envp);
}

EXPORT int execv(const char *path, char *const argv[])
{
	need_next();
	track_read_all(false);
	return next.execv(path, argv);
}

EXPORT int execvp(const char *file, char *const argv[])
{
	need_next();
	track_read_all(false);
	return next.execvp(file, argv);
}

EXPORT int execvpe(const char *file, char *const argv[], char *const envp[])
{
	need_next();
	track_read_all(false);
	return next.execvpe(file, argv, envp);
}

EXPORT int fexecve(int fd, char *const argv[], char *const envp[])
{
	need_next();
	track_read_all(false);
	return next.fexecve(fd, argv, envp);
}

EXPORT void _exit(int status)
{
	need_next();
	track_read_all(true);
	next._exit(status);
	__builtin_unreachable();
}

EXPORT void _Exit(int status)
{
	_exit(status);
}

static void at_quick_end(void)
{
	track_read_all(true);
}

__attribute__((__constructor__))
static void begin(void)
{
	need_next();
	track_share();
	at_quick_exit(at_quick_end);
}

__attribute__((__destructor__))
static void end(void)
{
	track_read_all(true);
}
