// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * QUERY.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "internal.h"

static int query(int door, int fd, unsigned int flags,
		 struct bpio_verdict *verdict)
{
	struct fs_bpio_output output;
	int ret;

	ret = bpio__fsctl(door, FS_BPIO_OP_QUERY, bpio__in_flags(flags), fd,
			  &output);
	if (!ret || ret == -EXDEV)
		bpio__verdict(verdict, door, fd, &output, &output.query);
	return ret;
}

int bpio_query_on(int door, int fd, unsigned int flags,
		  struct bpio_verdict *verdict)
{
	int ret;

	ret = bpio__check(flags, BPIO_SKIP_STORAGE, verdict);
	if (!ret && fd == -1)
		ret = bpio__check_volume(door);
	return ret ? ret : query(door, fd, flags, verdict);
}

int bpio_query_fd(int fd, unsigned int flags, struct bpio_verdict *verdict)
{
	struct bpio_verdict volume = BPIO_VERDICT_INIT;
	struct route route;
	int ret;

	if (bpio__check(flags, BPIO_SKIP_STORAGE, verdict))
		return -EINVAL;
	ret = bpio__route(fd, &route);
	if (ret)
		return ret;
	ret = query(route.door, route.subject, flags,
		    route.fstype[0] ? &volume : verdict);
	if (!ret && route.fstype[0])
		bpio__hidden_verdict(verdict, &route, &volume);
	bpio__route_close(&route);
	return ret == -EXDEV ? -ENOTTY : ret;
}

/* A special file is not opened, so the kernel cannot be queried about it. */
static int open_special(dev_t dev, struct bpio_verdict *verdict)
{
	bpio__own_verdict(verdict, -EOPNOTSUPP, BPIO_REASON_NOT_REGULAR_FILE,
			  "",
			  bpio_reason_text(BPIO_REASON_NOT_REGULAR_FILE));
	return bpio__open_dev(dev, O_RDONLY);
}

static int open_file(const char *path, bool is_regular)
{
	int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	int fd = -1;

	if (is_regular)
		fd = open(path, flags | O_DIRECT);
	if (!is_regular || (fd < 0 && errno == EINVAL))
		fd = open(path, flags);
	return fd < 0 ? -errno : fd;
}

/*
 * Open the path without side effects: do not wait for the other end of a pipe, and open
 * no device except a mapped device. Use O_DIRECT if possible, like programs that want
 * bypass.
 */
int bpio__open_for_query(const char *path, struct bpio_verdict *verdict,
			 bool *special)
{
	struct stat st;

	*special = false;
	if (stat(path, &st))
		return -errno;
	if (S_ISBLK(st.st_mode))
		return bpio__open_dev(st.st_rdev, O_RDONLY);
	if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))
		return open_file(path, S_ISREG(st.st_mode));
	*special = true;
	return open_special(st.st_dev, verdict);
}

int bpio_query(const char *path, unsigned int flags,
	       struct bpio_verdict *verdict)
{
	bool special;
	int fd, ret;

	if (bpio__check(flags, BPIO_SKIP_STORAGE, verdict))
		return -EINVAL;
	fd = bpio__open_for_query(path, verdict, &special);
	if (fd < 0)
		return fd;
	ret = special ? 0 : bpio_query_fd(fd, flags, verdict);
	close(fd);
	return ret;
}
