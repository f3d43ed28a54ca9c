// SPDX-License-Identifier: GPL-2.0-only
/*
 * opens FILE: open the file with O_RDONLY | O_DIRECT by every function of the C
 * library that programs use for it, then in ways that must be left alone.
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "../preload/wrap.h"

static int failed;

static void check(const char *how, int fd)
{
	if (fd < 0) {
		perror(how);
		failed = 1;
	} else {
		close(fd);
	}
}

int main(int argc, char **argv)
{
	const char *path = argv[1];
	int flags = O_RDONLY | O_DIRECT;

	if (argc != 2)
		return 2;
	check("open", open(path, flags));
	check("open64", open64(path, flags));
	check("openat", openat(AT_FDCWD, path, flags));
	check("openat64", openat64(AT_FDCWD, path, flags));
	check("__open_2", __open_2(path, flags));
	check("__open64_2", __open64_2(path, flags));
	check("__openat_2", __openat_2(AT_FDCWD, path, flags));
	check("__openat64_2", __openat64_2(AT_FDCWD, path, flags));

	check("cached", open(path, O_RDONLY));
	check("for writing", open(path, O_WRONLY | O_DIRECT));
	check("for both", open(path, O_RDWR | O_DIRECT));
	check("new", open(path, O_WRONLY | O_CREAT | O_DIRECT, 0600));
	check("path only", open(path, O_PATH | O_DIRECT));
	return failed;
}
