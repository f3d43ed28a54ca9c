// SPDX-License-Identifier: GPL-2.0-only
/*
 * opens FILE: get descriptors of the file for direct reading in every way that
 * "bpio run" has to see, then in ways that it must leave alone. Prints how many of
 * the first there were, and fails when one of them is not enabled, or one of the
 * others is.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../preload/wrap.h"
#include "bpio.h"

static int failed, count;
static const char *path;

static void judge(const char *how, int fd, int wanted)
{
	struct bpio_file_info info;
	int flags = fcntl(fd, F_GETFL), error = bpio_file_info(fd, &info);

	count += wanted;
	if (flags < 0 || error != (wanted ? 0 : -ENOTTY)) {
		fprintf(stderr, "opens: %s: %s\n", how, strerror(-error));
		failed = 1;
	}
	close(fd);
}

static void seen(const char *how, int fd)
{
	judge(how, fd, 1);
}

static void left_alone(const char *how, int fd)
{
	judge(how, fd, 0);
}

/* The result must be that of the system call, with errno as it was. */
static int set_flags(int (*set)(int fd, int command, ...), int fd, int flags)
{
	errno = 77;
	if (set(fd, F_SETFL, flags) || errno != 77 ||
	    (fcntl(fd, F_GETFL) & O_DIRECT) != (flags & O_DIRECT)) {
		fprintf(stderr, "opens: F_SETFL %#o\n", flags);
		failed = 1;
	}
	return fd;
}

static void open_for_direct_reading(void)
{
	int flags = O_RDONLY | O_DIRECT;

	seen("open", open(path, flags));
	seen("open64", open64(path, flags));
	seen("openat", openat(AT_FDCWD, path, flags));
	seen("openat64", openat64(AT_FDCWD, path, flags));
	seen("__open_2", __open_2(path, flags));
	seen("__open64_2", __open64_2(path, flags));
	seen("__openat_2", __openat_2(AT_FDCWD, path, flags));
	seen("__openat64_2", __openat64_2(AT_FDCWD, path, flags));
#ifdef HAVE_OPENAT2
	struct open_how how = { .flags = flags };

	seen("openat2", openat2(AT_FDCWD, path, &how, sizeof(how)));
#endif
}

static void set_direct(void)
{
	FILE *stream = fopen(path, "re");

	seen("fcntl", set_flags(fcntl, open(path, O_RDONLY), O_DIRECT));
	seen("fcntl64", set_flags(fcntl64, open(path, O_RDONLY),
				  O_DIRECT | O_NOATIME));
	set_flags(fcntl, fileno(stream), O_DIRECT);
	seen("fcntl of a stream", dup(fileno(stream)));
	fclose(stream);
}

static void do_something_else(const char *directory)
{
	int flags = O_RDWR | O_DIRECT;

	left_alone("cached", open(path, O_RDONLY));
	left_alone("another flag",
		   set_flags(fcntl, open(path, O_RDONLY), O_NONBLOCK));
	left_alone("for writing", open(path, O_WRONLY | O_DIRECT));
	left_alone("for both", open(path, flags));
	left_alone("for both, set later",
		   set_flags(fcntl, open(path, O_RDWR), O_DIRECT));
	left_alone("new", open(path, O_WRONLY | O_CREAT | O_DIRECT, 0600));
	left_alone("without a name", open(directory, O_TMPFILE | flags, 0600));
	errno = 0;
	if (open("/no/such/file", O_RDONLY | O_DIRECT) != -1 ||
	    errno != ENOENT || fcntl(-1, F_SETFL, O_DIRECT) != -1 ||
	    errno != EBADF) {
		fprintf(stderr, "opens: errors\n");
		failed = 1;
	}
}

int main(int argc, char **argv)
{
	char directory[4096];

	if (argc != 2)
		return 2;
	path = argv[1];
	snprintf(directory, sizeof(directory), "%s", path);
	*strrchr(directory, '/') = '\0';
	open_for_direct_reading();
	set_direct();
	do_something_else(directory);
	printf("%d\n", count);
	return failed;
}
