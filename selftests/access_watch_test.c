// SPDX-License-Identifier: GPL-2.0-only
/*
 * Watchers of a file that is read by a handle: those that are asked whether it
 * may be opened and read, and those that are told. They see, and decide, the same
 * of a handle as of the descriptor that it was made of.
 */
#include <fcntl.h>
#include <poll.h>
#include <sys/fanotify.h>
#include <sys/stat.h>

#include "program.h"
#include "readers.h"

#define BYTES	(256 * 1024)

static struct volume volume;
static char path[192], other[192];
static struct readers readers;

static int program_setup(void)
{
	int ret = volume_fs(&volume, "watch", devices.nvme, 2048,
			    MIB_SECTORS(XFS_MIB), "", "");

	snprintf(path, sizeof(path), "%s", volume_path(&volume, "file"));
	snprintf(other, sizeof(other), "%s", volume_path(&volume, "other"));
	return ret ?: file_create(path, BYTES, 1) ?:
		      file_create(other, BYTES, 1);
}

static int program_cleanup(void)
{
	return volume_remove(&volume);
}

/* A watcher that is asked, and answers. */
struct watcher {
	int			fd;
	pthread_t		thread;
	/* of both threads */
	_Atomic uint32_t	answer;
	_Atomic uint64_t	answers;
	_Atomic bool		stop;
};

static void answer_once(struct watcher *watcher)
{
	struct fanotify_event_metadata event;
	struct fanotify_response response;

	if (read(watcher->fd, &event, sizeof(event)) != sizeof(event))
		return;
	response.fd = event.fd;
	response.response = watcher->answer;
	watcher->answers++;
	if (write(watcher->fd, &response, sizeof(response)) < 0)
		diag("fanotify does not take an answer: %s", strerror(errno));
	close(event.fd);
}

static void *answer_all_the_time(void *argument)
{
	struct watcher *watcher = argument;
	struct pollfd poll_fd = { .fd = watcher->fd, .events = POLLIN };

	while (!watcher->stop)
		if (poll(&poll_fd, 1, 20) > 0)
			answer_once(watcher);
	return NULL;
}

static int watcher_start(struct watcher *watcher)
{
	watcher->fd = fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC |
				    FAN_NONBLOCK, O_RDONLY);
	if (watcher->fd < 0)
		return -errno;
	watcher->answer = FAN_ALLOW;
	return -pthread_create(&watcher->thread, NULL, answer_all_the_time,
			       watcher);
}

static void watcher_stop(struct watcher *watcher)
{
	if (!watcher->thread)
		return;
	watcher->stop = true;
	pthread_join(watcher->thread, NULL);
	close(watcher->fd);
}

static int watch(int fd, unsigned int mark, uint64_t mask, const char *name)
{
	return fanotify_mark(fd, mark, mask, AT_FDCWD, name) ? -errno : 0;
}

FIXTURE(asked) {
	int		fd;
	int		handle;
	char		*buffer;
	struct watcher	watcher;
};

FIXTURE_VARIANT(asked) {
	unsigned int	mark;
};

FIXTURE_VARIANT_ADD(asked, of_the_file) { .mark = 0 };
FIXTURE_VARIANT_ADD(asked, of_the_mount) { .mark = FAN_MARK_MOUNT };
FIXTURE_VARIANT_ADD(asked, of_the_file_system) { .mark = FAN_MARK_FILESYSTEM };

FIXTURE_SETUP(asked)
{
	int ret;

	memset(&self->watcher, 0, sizeof(self->watcher));
	self->buffer = dio_alloc(BYTES);
	ret = watcher_start(&self->watcher);
	if (ret == -EINVAL)
		SKIP(return, "the kernel has no fanotify permission events");
	ASSERT_EQ(0, ret) TH_LOG("%s", strerror(-ret));
	self->fd = file_open_direct(path);
	ASSERT_LE(0, self->fd);
	self->handle = fs_enable(volume.fd, self->fd);
	ASSERT_LE(0, self->handle);
	ASSERT_EQ(0, handle_armed(self->handle));
}

FIXTURE_TEARDOWN(asked)
{
	watcher_stop(&self->watcher);
	close(self->handle);
	close(self->fd);
	EXPECT_EQ(0, active_count(volume.fd));
}

#define START_READERS(error) do {					\
	readers = (struct readers) {					\
		.handle = self->handle, .file = 1, .bytes = BYTES,	\
		.largest = 64 * 1024, .oldest = 1, .newest = 1,		\
		.may_fail = error,					\
	};								\
	ASSERT_EQ(0, readers_start(&readers));				\
	ASSERT_EQ(0, readers_progress(&readers, READERS));		\
} while (0)

/* The watcher is asked as often for a read of the one as of the other. */
static void expect_asked_alike(struct __test_metadata *_metadata,
			       struct watcher *watcher, int fd, int handle,
			       char *buffer)
{
	uint64_t asked[3];

	asked[0] = watcher->answers;
	EXPECT_EQ(BYTES, pread(fd, buffer, BYTES, 0));
	asked[1] = watcher->answers;
	EXPECT_EQ(BYTES, pread(handle, buffer, BYTES, 0));
	asked[2] = watcher->answers;
	EXPECT_EQ(asked[1] - asked[0], asked[2] - asked[1]);
	EXPECT_EQ(0, content_is(buffer, BYTES, 0, 1, 1));
}

#define EXPECT_ASKED_ALIKE(fd, handle)					\
	expect_asked_alike(_metadata, &self->watcher, fd, handle,	\
			   self->buffer)

TEST_F(asked, a_watcher_that_is_added_later_and_allows_leaves_reads_direct)
{
	uint64_t direct = handle_direct(self->handle);

	START_READERS(0);
	ASSERT_EQ(0, watch(self->watcher.fd, FAN_MARK_ADD | variant->mark,
			   FAN_ACCESS_PERM, path));
	EXPECT_EQ(0, readers_progress(&readers, 4 * READERS));
	EXPECT_EQ(0, readers_stop(&readers));
	EXPECT_ASKED_ALIKE(self->fd, self->handle);
	EXPECT_EQ(direct + readers.reads + 1, handle_direct(self->handle));
	ASSERT_EQ(0, watch(self->watcher.fd, FAN_MARK_REMOVE | variant->mark,
			   FAN_ACCESS_PERM, path));
}

/* Newer kernels do not ask for files that were opened before there was a watcher. */
TEST_F(asked, a_watcher_that_is_added_later_and_denies_is_obeyed_alike)
{
	struct bpio_handle_info before, after;
	int error;

	START_READERS(EPERM);
	self->watcher.answer = FAN_DENY;
	ASSERT_EQ(0, watch(self->watcher.fd, FAN_MARK_ADD | variant->mark,
			   FAN_ACCESS_PERM, path));
	EXPECT_EQ(0, readers_progress(&readers, 4 * READERS));
	EXPECT_EQ(0, readers_stop(&readers));
	ASSERT_EQ(0, handle_info(self->handle, &before));
	error = reads_alike(self->fd, self->handle, BYTES);
	EXPECT_EQ(true, error == EPERM || error == 0);
	ASSERT_EQ(0, handle_info(self->handle, &after));
	/* what is denied is no read, and has no reason */
	EXPECT_EQ(error ? 0 : 1, after.direct_reads - before.direct_reads);
	EXPECT_EQ(before.fallback_reads, after.fallback_reads);
	ASSERT_EQ(0, watch(self->watcher.fd, FAN_MARK_REMOVE | variant->mark,
			   FAN_ACCESS_PERM, path));
	EXPECT_EQ(0, reads_alike(self->fd, self->handle, BYTES));
	EXPECT_EQ(after.direct_reads + 1, handle_direct(self->handle));
}

TEST_F(asked, a_watcher_changes_its_mind_while_reads_are_in_flight)
{
	int round;

	ASSERT_EQ(0, watch(self->watcher.fd, FAN_MARK_ADD | variant->mark,
			   FAN_ACCESS_PERM, path));
	close(self->handle);
	close(self->fd);
	self->fd = file_open_direct(path);
	self->handle = fs_enable(volume.fd, self->fd);
	ASSERT_LE(0, self->handle);
	ASSERT_EQ(0, handle_armed(self->handle));
	EXPECT_ASKED_ALIKE(self->fd, self->handle);
	EXPECT_LT(0u, self->watcher.answers);
	START_READERS(EPERM);
	for (round = 0; round < 4; round++) {
		self->watcher.answer = FAN_DENY;
		EXPECT_EQ(EPERM, reads_alike(self->fd, self->handle, BYTES));
		EXPECT_EQ(0, readers_progress(&readers, READERS));
		self->watcher.answer = FAN_ALLOW;
		EXPECT_EQ(0, reads_alike(self->fd, self->handle, BYTES));
		EXPECT_EQ(0, readers_progress(&readers, READERS));
	}
	EXPECT_EQ(0, readers_stop(&readers));
	EXPECT_LT(0u, handle_direct(self->handle));
	ASSERT_EQ(0, watch(self->watcher.fd, FAN_MARK_REMOVE | variant->mark,
			   FAN_ACCESS_PERM, path));
}

TEST_F(asked, a_watcher_that_denies_every_open_keeps_no_file_from_being_armed)
{
	struct bpio_handle_info info;
	int fd = file_open_direct(other), handle;

	ASSERT_LE(0, fd);
	START_READERS(0);
	self->watcher.answer = FAN_DENY;
	ASSERT_EQ(0, watch(self->watcher.fd, FAN_MARK_ADD | variant->mark,
			   FAN_OPEN_PERM, other));
	EXPECT_EQ(-1, open(other, O_RDONLY));
	EXPECT_EQ(EPERM, errno);
	/* for the first time, and after a change */
	handle = fs_enable(volume.fd, fd);
	ASSERT_LE(0, handle);
	EXPECT_EQ(0, handle_armed(handle));
	EXPECT_EQ(0, reads_alike(fd, handle, BYTES));
	EXPECT_EQ(1u, handle_direct(handle));
	ASSERT_EQ(0, chmod(other, 0600));
	EXPECT_EQ(0, handle_wait_direct(handle, self->buffer, BYTES, 0));
	EXPECT_EQ(0, content_is(self->buffer, BYTES, 0, 1, 1));
	ASSERT_EQ(0, handle_info(handle, &info));
	EXPECT_LT(0u, info.revokes);
	EXPECT_EQ(0, readers_stop(&readers));
	ASSERT_EQ(0, watch(self->watcher.fd, FAN_MARK_REMOVE | variant->mark,
			   FAN_OPEN_PERM, other));
	close(handle);
	close(fd);
}

/* The one event that is there; 0 when there is none or are several. */
static uint64_t only_event(int fanotify, ino_t *ino)
{
	struct fanotify_event_metadata event[2];
	ssize_t n = read(fanotify, event, sizeof(event));
	struct stat st;

	*ino = 0;
	if (n != sizeof(event[0])) {
		diag("%zd bytes of events", n);
		return 0;
	}
	if (!fstat(event[0].fd, &st))
		*ino = st.st_ino;
	close(event[0].fd);
	return event[0].pid == getpid() ? event[0].mask : 0;
}

TEST_F(asked, a_watcher_that_is_told_sees_the_same_of_both_descriptors)
{
	int fanotify = fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC |
				     FAN_NONBLOCK, O_RDONLY);
	ino_t by_fd, by_handle;
	uint64_t mask;
	struct stat st;

	ASSERT_EQ(0, stat(path, &st));
	ASSERT_EQ(0, watch(fanotify, FAN_MARK_ADD | variant->mark, FAN_ACCESS,
			   path));
	ASSERT_EQ(BYTES, pread(self->fd, self->buffer, BYTES, 0));
	mask = only_event(fanotify, &by_fd);
	EXPECT_EQ((uint64_t)FAN_ACCESS, mask);
	ASSERT_EQ(BYTES, pread(self->handle, self->buffer, BYTES, 0));
	EXPECT_EQ(mask, only_event(fanotify, &by_handle));
	EXPECT_EQ(1u, handle_direct(self->handle));
	EXPECT_EQ(st.st_ino, by_fd);
	EXPECT_EQ(st.st_ino, by_handle);
	/* the same when the file system serves the read */
	ASSERT_EQ(0, fs_disable(volume.fd, self->fd));
	ASSERT_EQ(BYTES, pread(self->handle, self->buffer, BYTES, 0));
	EXPECT_EQ(mask, only_event(fanotify, &by_handle));
	EXPECT_EQ(st.st_ino, by_handle);
	close(fanotify);
}

PROGRAM_MAIN
