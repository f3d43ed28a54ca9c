// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "change.h"
#include "content.h"
#include "control.h"
#include "files.h"
#include "util.h"

static char change_path[192], change_other[192];
static const char *change_device;

int change_init(const struct volume *volume, const char *device)
{
	change_device = device;
	snprintf(change_path, sizeof(change_path), "%s",
		 volume_path(volume, "file"));
	snprintf(change_other, sizeof(change_other), "%s",
		 volume_path(volume, "other"));
	return 0;
}

int change_create(struct change *c)
{
	struct readers *readers = &c->readers;

	c->fd = -1;
	c->plain = -1;
	memcpy(c->path, change_path, sizeof(c->path));
	memcpy(c->other, change_other, sizeof(c->other));
	c->device = change_device;
	readers->file = CHANGE_FILE;
	readers->bytes = CHANGE_BYTES;
	readers->largest = 64 * 1024;
	readers->mixed = true;
	readers->oldest = 1;
	readers->newest = 1;
	return file_create(c->path, CHANGE_BYTES, CHANGE_FILE);
}

int change_begin(struct change *c, const struct volume *volume)
{
	int ret;

	c->plain = open(c->path, O_RDONLY | O_CLOEXEC);
	c->fd = file_open_direct(c->path);
	if (c->plain < 0 || c->fd < 0)
		return -errno;
	c->readers.fd = c->fd;
	ret = fs_enable_armed(volume->fd, c->fd) ?: readers_start(&c->readers);
	if (ret)
		return ret;
	c->reading = true;
	ret = readers_progress(&c->readers, 10);
	return file_info(c->fd, &c->before) ?: ret;
}

void change_end(struct change *c)
{
	if (!c->path[0])
		return;
	/* they still run after a failed test */
	if (c->reading && !c->readers.stop)
		readers_stop(&c->readers);
	close(c->fd);
	close(c->plain);
	unlink(c->path);
	unlink(c->other);
}

bool change_counted(const struct change *c, enum bpio_reason reason)
{
	return reason == BPIO_REASON_NONE ||
	       file_fallbacks(c->fd, reason) >
	       c->before.fallback_reason[reason];
}

int change_wait_counted(const struct change *c, enum bpio_reason reason)
{
	uint64_t deadline = now_ms() + DEADLINE_MS;

	do {
		if (change_counted(c, reason))
			return 0;
	} while (!c->readers.failed && poll_again(deadline));
	diag("no read was counted as %s", reason_token(reason));
	return -ETIMEDOUT;
}

int change_write(struct change *c, int fd)
{
	int ret;

	if (fd < 0)
		return -errno;
	c->readers.newest++;
	ret = file_write(fd, 0, CHANGE_BYTES, CHANGE_FILE, c->readers.newest);
	c->readers.oldest++;
	return ret;
}

int change_end_writer(struct change *c, int fd, int ret)
{
	if (!ret)
		ret = change_wait_counted(c, BPIO_REASON_WRITER);
	close(fd);
	return ret;
}

int change_wait_direct(struct change *c)
{
	char *buffer = dio_alloc(4096);
	int ret = file_wait_direct(c->fd, buffer, 4096, c->readers.start);

	free(buffer);
	return ret;
}

static int compare_bytes(const char *one, const char *two, ssize_t bytes)
{
	ssize_t i;

	for (i = 0; i < bytes && one[i] == two[i]; i++)
		;
	if (i == bytes)
		return 0;
	diag("byte %zd is %02x direct and %02x by the file system", i,
	     (unsigned char)one[i], (unsigned char)two[i]);
	return -EILSEQ;
}

int change_compare(struct change *c)
{
	size_t size = 2 * CHANGE_BYTES;
	char *direct = dio_alloc(size), *plain = dio_alloc(size);
	ssize_t n = pread(c->fd, direct, size, 0);
	int ret = n < 0 ? -errno : 0;

	if (n != pread(c->plain, plain, size, 0) && !ret)
		ret = -EIO;
	if (ret)
		diag("the enabled file reads %zd bytes: %s", n, strerror(-ret));
	else
		ret = compare_bytes(direct, plain, n);
	free(direct);
	free(plain);
	return ret;
}
