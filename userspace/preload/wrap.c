// SPDX-License-Identifier: GPL-2.0-only
/*
 * libbpio-preload.so, loaded into every process of "bpio run": BypassIO is enabled
 * for each file that the program opens with O_RDONLY | O_DIRECT, or for which it
 * sets O_DIRECT later. The program keeps its descriptor.
 *
 * fopen(3) and its like need no wrapper: none of their modes is O_DIRECT. After
 * fcntl(fileno(stream), F_SETFL, O_DIRECT) the stream is treated as any file.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <sys/stat.h>

#include "bypass.h"
#include "tally.h"
#include "wrap.h"

#define EXPORT	__attribute__((__visibility__("default")))

/* The definitions that would be used without this library */
static struct {
	__typeof__(openat) *openat;
	__typeof__(fcntl) *fcntl;
	__typeof__(fcntl64) *fcntl64;
#ifdef HAVE_OPENAT2
	__typeof__(openat2) *openat2;
#endif
} next;

static pthread_once_t next_once = PTHREAD_ONCE_INIT;

#define FIND(name)	(next.name = dlsym(RTLD_NEXT, #name))

static void find_next(void)
{
	FIND(openat);
	FIND(fcntl);
	FIND(fcntl64);
#ifdef HAVE_OPENAT2
	FIND(openat2);
#endif
}

/* Other libraries' constructors may call a wrapper before ours has run. */
static void need_next(void)
{
	pthread_once(&next_once, find_next);
}

static int open_file(int dir, const char *path, int flags, mode_t mode)
{
	int fd;

	need_next();
	fd = next.openat(dir, path, flags, mode);
	if (fd >= 0)
		bypass_opened(fd, path, flags);
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

#ifdef HAVE_OPENAT2
EXPORT int openat2(int dir, const char *path, const struct open_how *how,
		   size_t size)
{
	int fd;

	need_next();
	fd = next.openat2(dir, path, how, size);
	if (fd >= 0)
		bypass_opened(fd, path, how->flags);
	return fd;
}
#endif

static void after_fcntl(int fd, int command, const void *arg, int ret)
{
	int error = errno, flags;

	if (ret || command != F_SETFL || !((long)arg & O_DIRECT))
		return;
	flags = next.fcntl(fd, F_GETFL);
	if (flags >= 0)
		bypass_opened(fd, "", flags);
	errno = error;
}

/* The argument is an int or a pointer; both can be passed on as a pointer. */
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
	after_fcntl(fd, command, arg, ret);
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
	after_fcntl(fd, command, arg, ret);
	return ret;
}

__attribute__((__constructor__))
static void begin(void)
{
	need_next();
	tally_begin();
}
