// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Calls that find the volume by themselves.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "internal.h"

static const char not_on_volume[] = "The file is not on a bpio volume.";

/*
 * Opens the volume that @fd belongs to. @fstype is set when the file system
 * hides its device behind an anonymous device number, as btrfs does.
 */
static int open_volume_of(int fd, char *fstype, size_t fstype_size)
{
	struct stat st;
	dev_t dev;
	int ret;

	fstype[0] = '\0';
	if (fstat(fd, &st))
		return -errno;
	if (S_ISBLK(st.st_mode))
		return bpio__open_dev(st.st_rdev);
	if (major(st.st_dev))
		return bpio__open_dev(st.st_dev);
	ret = bpio__mount_source(fd, &dev, fstype, fstype_size);
	return ret ? ret : bpio__open_dev(dev);
}

int bpio_volume_open_fd(int fd)
{
	char fstype[40];

	return open_volume_of(fd, fstype, sizeof(fstype));
}

/*
 * A file that the kernel calls foreign although its file system's device is the
 * one that was asked: either the file system keeps that from the kernel, or the
 * device only passes our ioctls on to a volume below.
 */
static int explain_foreign(const char *fstype, struct bpio_verdict *verdict)
{
	if (!fstype[0]) {
		bpio__own_verdict(verdict, -ENOTTY, BPIO_REASON_OTHER_VOLUME,
				  "", not_on_volume);
		return -ENOTTY;
	}
	bpio__own_verdict(verdict, -EOPNOTSUPP, BPIO_REASON_FILE_SYSTEM, fstype,
			  bpio_reason_text(BPIO_REASON_FILE_SYSTEM));
	return -EOPNOTSUPP;
}

int bpio_enable(int fd, unsigned int flags, struct bpio_verdict *verdict)
{
	char fstype[40];
	int volume, ret;

	if (bpio__check(flags, BPIO_ARM | BPIO_SKIP_STORAGE, verdict))
		return -EINVAL;
	volume = open_volume_of(fd, fstype, sizeof(fstype));
	if (volume < 0) {
		bpio__own_verdict(verdict, volume, BPIO_REASON_OTHER_VOLUME, "",
				  volume == -ENOTTY ? not_on_volume :
				  "The volume of the file cannot be opened.");
		return volume;
	}
	ret = bpio_enable_on(volume, fd, flags, verdict);
	if (ret == -EXDEV)
		ret = explain_foreign(fstype, verdict);
	close(volume);
	return ret;
}

int bpio_open(const char *path, unsigned int flags,
	      struct bpio_verdict *verdict)
{
	int fd, handle;

	if (bpio__check(flags, BPIO_FALLBACK | BPIO_ARM | BPIO_SKIP_STORAGE,
			verdict))
		return -EINVAL;
	bpio__own_verdict(verdict, 0, BPIO_REASON_NONE, "", "");
	fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	handle = bpio_enable(fd, flags & ~BPIO_FALLBACK, verdict);
	if (handle < 0 && (flags & BPIO_FALLBACK))
		return fd;
	close(fd);
	return handle;
}

int bpio_disable(int fd)
{
	struct fs_bpio_output output;
	int volume, ret;

	volume = bpio_volume_open_fd(fd);
	if (volume < 0)
		return volume;
	ret = bpio__fsctl(volume, FS_BPIO_OP_DISABLE, 0, fd, &output);
	close(volume);
	return ret;
}

/* STREAM_PAUSE and STREAM_RESUME, whose verdicts are at the same place */
static int control(int fd, unsigned int operation, struct bpio_verdict *verdict)
{
	struct fs_bpio_output output;
	int volume, ret;

	if (bpio__check(0, 0, verdict))
		return -EINVAL;
	volume = bpio_volume_open_fd(fd);
	if (volume < 0)
		return volume;
	ret = bpio__fsctl(volume, operation, 0, fd, &output);
	if (!ret)
		bpio__verdict(verdict, volume, &output, &output.stream_resume);
	close(volume);
	return ret;
}

int bpio_pause(int fd, struct bpio_verdict *verdict)
{
	return control(fd, FS_BPIO_OP_STREAM_PAUSE, verdict);
}

int bpio_resume(int fd, struct bpio_verdict *verdict)
{
	return control(fd, FS_BPIO_OP_STREAM_RESUME, verdict);
}

int bpio_query_fd(int fd, unsigned int flags, struct bpio_verdict *verdict)
{
	char fstype[40];
	struct stat st;
	int volume, ret;

	if (bpio__check(flags, BPIO_SKIP_STORAGE, verdict))
		return -EINVAL;
	if (fstat(fd, &st))
		return -errno;
	volume = open_volume_of(fd, fstype, sizeof(fstype));
	if (volume < 0)
		return volume;
	ret = bpio_query_on(volume, S_ISBLK(st.st_mode) ? -1 : fd, flags,
			    verdict);
	if (ret == -EXDEV) {
		ret = explain_foreign(fstype, verdict);
		if (ret == -EOPNOTSUPP)
			ret = 0;
	}
	close(volume);
	return ret;
}

/*
 * What is asked about must be opened without side effects: no waiting for the
 * other end of a pipe, no device opened, no cached reading where direct reading
 * is possible.
 */
static int open_for_query(const char *path, struct stat *st)
{
	int fd;

	fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, st)) {
		int error = -errno;

		close(fd);
		return error;
	}
	if (!S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode))
		return fd;
	close(fd);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY |
		  (S_ISREG(st->st_mode) ? O_DIRECT : 0));
	if (fd < 0 && errno == EINVAL)
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return -errno;
	if (fstat(fd, st)) {
		int error = -errno;

		close(fd);
		return error;
	}
	return fd;
}

/* The kernel cannot be asked about what may not be opened. */
static int query_special(int fd, struct bpio_verdict *verdict)
{
	int volume = bpio_volume_open_fd(fd), ret;

	if (volume < 0)
		return volume;
	ret = bpio__check_volume(volume);
	close(volume);
	if (ret)
		return ret;
	bpio__own_verdict(verdict, -EOPNOTSUPP, BPIO_REASON_NOT_REGULAR_FILE,
			  "",
			  bpio_reason_text(BPIO_REASON_NOT_REGULAR_FILE));
	return 0;
}

int bpio_query(const char *path, unsigned int flags,
	       struct bpio_verdict *verdict)
{
	struct stat st;
	int fd, ret;

	if (bpio__check(flags, BPIO_SKIP_STORAGE, verdict))
		return -EINVAL;
	fd = open_for_query(path, &st);
	if (fd < 0)
		return fd;
	if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) || S_ISBLK(st.st_mode))
		ret = bpio_query_fd(fd, flags, verdict);
	else
		ret = query_special(fd, verdict);
	close(fd);
	return ret;
}

static int layers_of(int fd, bool is_device, struct bpio_verdict *verdict,
		     int (*visit)(const struct bpio_layer *layer, void *arg),
		     void *arg)
{
	char fstype[40];
	int volume, ret;

	volume = open_volume_of(fd, fstype, sizeof(fstype));
	if (volume < 0)
		return volume;
	ret = bpio_layer_foreach_on(volume, is_device ? -1 : fd, verdict, visit,
				    arg);
	if (ret == -EXDEV) {
		ret = explain_foreign(fstype, verdict);
		if (ret == -EOPNOTSUPP)
			ret = bpio_layer_foreach_on(volume, -1, NULL, visit,
						    arg);
	}
	close(volume);
	return ret;
}

int bpio_layer_foreach(const char *path, struct bpio_verdict *verdict,
		       int (*visit)(const struct bpio_layer *layer, void *arg),
		       void *arg)
{
	struct stat st;
	int fd, ret;

	if (bpio__check(0, 0, verdict))
		return -EINVAL;
	fd = open_for_query(path, &st);
	if (fd < 0)
		return fd;
	if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) ||
	    S_ISBLK(st.st_mode)) {
		ret = layers_of(fd, S_ISBLK(st.st_mode), verdict, visit, arg);
	} else {
		ret = query_special(fd, verdict);
		if (!ret)
			ret = layers_of(fd, true, NULL, visit, arg);
	}
	close(fd);
	return ret;
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
