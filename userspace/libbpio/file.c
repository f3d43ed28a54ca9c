// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Calls for a file that choose the node or the mapped device themselves.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "internal.h"

int bpio_enable(int fd, unsigned int flags, struct bpio_verdict *verdict)
{
	struct bpio_verdict volume = BPIO_VERDICT_INIT;
	struct route route;
	int ret;

	if (bpio__check(flags, BPIO_ARM | BPIO_SKIP_STORAGE, verdict))
		return -EINVAL;
	ret = bpio__route(fd, &route);
	if (ret)
		return bpio__failed(verdict, ret);
	if (route.fstype[0]) {
		bpio__hidden_verdict(verdict, &route, &volume);
		ret = -EOPNOTSUPP;
	} else {
		ret = bpio_enable_on(route.door, fd, flags, verdict);
	}
	bpio__route_close(&route);
	return ret == -EXDEV ? bpio__failed(verdict, -ENOTTY) : ret;
}

int bpio_open(const char *path, unsigned int flags,
	      struct bpio_verdict *verdict)
{
	int fd, ret;

	if (bpio__check(flags, BPIO_FALLBACK | BPIO_ARM | BPIO_SKIP_STORAGE,
			verdict))
		return -EINVAL;
	bpio__own_verdict(verdict, 0, BPIO_REASON_NONE, "", "");
	fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ret = bpio_enable(fd, flags & ~BPIO_FALLBACK, verdict);
	if (!ret || flags & BPIO_FALLBACK)
		return fd;
	close(fd);
	return ret;
}

int bpio_disable(int fd)
{
	struct fs_bpio_output output;
	int ret;

	ret = bpio__ask(fd, FS_BPIO_OP_DISABLE, &output);
	return ret == -EXDEV ? -ENOTTY : ret;
}

/*
 * STREAM_PAUSE and STREAM_RESUME, whose verdicts are at the same place, sent to
 * the mapped device by a caller with write permission on it
 */
static int control_by_device(int fd, unsigned int operation,
			     struct fs_bpio_output *output)
{
	struct stat st;
	int volume, ret;

	if (fstat(fd, &st))
		return -errno;
	volume = bpio__open_dev(st.st_dev, O_RDWR);
	if (volume < 0)
		return volume == -EACCES ? -EPERM : volume;
	ret = bpio__fsctl(volume, operation, 0, fd, output);
	close(volume);
	return ret;
}

static int control(int fd, unsigned int operation, struct bpio_verdict *verdict)
{
	struct fs_bpio_output output;
	int ret;

	if (bpio__check(0, 0, verdict))
		return -EINVAL;
	ret = bpio__ask(fd, operation, &output);
	if (ret == -EPERM)
		ret = control_by_device(fd, operation, &output);
	if (!ret)
		bpio__verdict(verdict, -1, fd, &output, &output.stream_resume);
	return ret == -EXDEV ? -ENOTTY : ret;
}

int bpio_pause(int fd, struct bpio_verdict *verdict)
{
	return control(fd, FS_BPIO_OP_STREAM_PAUSE, verdict);
}

int bpio_resume(int fd, struct bpio_verdict *verdict)
{
	return control(fd, FS_BPIO_OP_STREAM_RESUME, verdict);
}

int bpio_volume_open_fd(int fd)
{
	char fstype[40];
	struct stat st;
	dev_t dev;
	int ret;

	if (fstat(fd, &st))
		return -errno;
	if (S_ISBLK(st.st_mode))
		return bpio__open_dev(st.st_rdev, O_RDONLY);
	if (major(st.st_dev))
		return bpio__open_dev(st.st_dev, O_RDONLY);
	ret = bpio__mount_source(fd, &dev, fstype, sizeof(fstype));
	return ret ? ret : bpio__open_dev(dev, O_RDONLY);
}

int bpio_volume_open(const char *path)
{
	int fd, volume;

	fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	volume = bpio_volume_open_fd(fd);
	close(fd);
	return volume;
}
