// SPDX-License-Identifier: GPL-2.0-only
/*
 * Watches (fanotify, inotify) of a file that is read with BypassIO, both for permission
 * and for notification. They see, and decide, the same for an enabled open file as for
 * one that is not enabled.
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
	int		fd;		/* enabled */
	int		plain;
	char		*buffer;
	struct watcher	watcher;
};

FIXTURE_VARIANT(asked) {
	unsigned int	mark;
};

FIXTURE_VARIANT_ADD(asked, of_the_file) { .mark = 0 };
FIXTURE_VARIANT_ADD(asked, of_the_mount) { .mark = FAN_MARK_MOUNT };
FIXTURE_VARIANT_ADD(asked, of_the_file_system) { .mark = FAN_MARK_FILESYSTEM };

#define OPEN_FILES() do {						\
	self->plain = file_open_direct(path);				\
	ASSERT_LE(0, self->plain);					\
	self->fd = file_open_direct(path);				\
	ASSERT_EQ(0, fs_enable(volume.fd, self->fd));			\
	ASSERT_EQ(0, file_armed(self->fd));				\
} while (0)

#define CLOSE_FILES() do {						\
	close(self->fd);						\
	close(self->plain);						\
} while (0)

FIXTURE_SETUP(asked)
{
	int ret;

	memset(&self->watcher, 0, sizeof(self->watcher));
	self->buffer = dio_alloc(BYTES);
	ret = watcher_start(&self->watcher);
	if (ret == -EINVAL)
		SKIP(return, "the kernel has no fanotify permission events");
	ASSERT_EQ(0, ret) TH_LOG("%s", strerror(-ret));
	OPEN_FILES();
}

FIXTURE_TEARDOWN(asked)
{
	watcher_stop(&self->watcher);
	CLOSE_FILES();
	EXPECT_EQ(0, active_count(volume.fd));
}

#define START_READERS(error) do {					\
	readers = (struct readers) {					\
		.fd = self->fd, .file = 1, .bytes = BYTES,	\
		.largest = 64 * 1024, .oldest = 1, .newest = 1,		\
		.may_fail = error,					\
	};								\
	ASSERT_EQ(0, readers_start(&readers));				\
	ASSERT_EQ(0, readers_progress(&readers, READERS));		\
} while (0)

/* The watcher is asked as often for a read of the one as of the other. */
static void expect_asked_alike(struct __test_metadata *_metadata,
			       struct watcher *watcher, int plain, int fd,
			       char *buffer)
{
	uint64_t asked[3];

	asked[0] = watcher->answers;
	EXPECT_EQ(BYTES, pread(plain, buffer, BYTES, 0));
	asked[1] = watcher->answers;
	EXPECT_EQ(BYTES, pread(fd, buffer, BYTES, 0));
	asked[2] = watcher->answers;
	EXPECT_EQ(asked[1] - asked[0], asked[2] - asked[1]);
	EXPECT_EQ(0, content_is(buffer, BYTES, 0, 1, 1));
}

#define EXPECT_ASKED_ALIKE()						\
	expect_asked_alike(_metadata, &self->watcher, self->plain, self->fd, \
			   self->buffer)

TEST_F(asked, a_watcher_that_is_added_later_and_allows_leaves_reads_direct)
{
	uint64_t direct = file_direct(self->fd);

	START_READERS(0);
	ASSERT_EQ(0, watch(self->watcher.fd, FAN_MARK_ADD | variant->mark,
			   FAN_ACCESS_PERM, path));
	EXPECT_EQ(0, readers_progress(&readers, 4 * READERS));
	EXPECT_EQ(0, readers_stop(&readers));
	EXPECT_ASKED_ALIKE();
	EXPECT_EQ(direct + readers.reads + 1, file_direct(self->fd));
	ASSERT_EQ(0, watch(self->watcher.fd, FAN_MARK_REMOVE | variant->mark,
			   FAN_ACCESS_PERM, path));
}

/* Newer kernels do not ask for files that were opened before there was a watcher. */
TEST_F(asked, a_watcher_that_is_added_later_and_denies_is_obeyed_alike)
{
	struct bpio_file_info before, after;
	int error;

	START_READERS(EPERM);
	self->watcher.answer = FAN_DENY;
	ASSERT_EQ(0, watch(self->watcher.fd, FAN_MARK_ADD | variant->mark,
			   FAN_ACCESS_PERM, path));
	EXPECT_EQ(0, readers_progress(&readers, 4 * READERS));
	EXPECT_EQ(0, readers_stop(&readers));
	ASSERT_EQ(0, file_info(self->fd, &before));
	error = reads_alike(self->plain, self->fd, BYTES);
	EXPECT_EQ(true, error == EPERM || error == 0);
	ASSERT_EQ(0, file_info(self->fd, &after));
	/* a denied read is not counted, so it has no reason */
	EXPECT_EQ(error ? 0 : 1, after.direct_reads - before.direct_reads);
	EXPECT_EQ(before.fallback_reads, after.fallback_reads);
	ASSERT_EQ(0, watch(self->watcher.fd, FAN_MARK_REMOVE | variant->mark,
			   FAN_ACCESS_PERM, path));
	EXPECT_EQ(0, reads_alike(self->plain, self->fd, BYTES));
	EXPECT_EQ(after.direct_reads + 1, file_direct(self->fd));
}

TEST_F(asked, a_watcher_changes_its_mind_while_reads_are_in_flight)
{
	int round;

	ASSERT_EQ(0, watch(self->watcher.fd, FAN_MARK_ADD | variant->mark,
			   FAN_ACCESS_PERM, path));
	CLOSE_FILES();
	OPEN_FILES();
	EXPECT_ASKED_ALIKE();
	EXPECT_LT(0u, self->watcher.answers);
	START_READERS(EPERM);
	for (round = 0; round < 4; round++) {
		self->watcher.answer = FAN_DENY;
		EXPECT_EQ(EPERM, reads_alike(self->plain, self->fd, BYTES));
		EXPECT_EQ(0, readers_progress(&readers, READERS));
		self->watcher.answer = FAN_ALLOW;
		EXPECT_EQ(0, reads_alike(self->plain, self->fd, BYTES));
		EXPECT_EQ(0, readers_progress(&readers, READERS));
	}
	EXPECT_EQ(0, readers_stop(&readers));
	EXPECT_LT(0u, file_direct(self->fd));
	ASSERT_EQ(0, watch(self->watcher.fd, FAN_MARK_REMOVE | variant->mark,
			   FAN_ACCESS_PERM, path));
}

TEST_F(asked, a_watcher_that_denies_every_open_keeps_no_file_from_being_armed)
{
	struct bpio_file_info info;
	int fd = file_open_direct(other), plain = file_open_direct(other);

	ASSERT_LE(0, fd);
	START_READERS(0);
	self->watcher.answer = FAN_DENY;
	ASSERT_EQ(0, watch(self->watcher.fd, FAN_MARK_ADD | variant->mark,
			   FAN_OPEN_PERM, other));
	EXPECT_EQ(-1, open(other, O_RDONLY));
	EXPECT_EQ(EPERM, errno);
	/* for the first time, and after a change */
	ASSERT_EQ(0, fs_enable(volume.fd, fd));
	EXPECT_EQ(0, file_armed(fd));
	EXPECT_EQ(0, reads_alike(plain, fd, BYTES));
	EXPECT_EQ(1u, file_direct(fd));
	ASSERT_EQ(0, chmod(other, 0600));
	EXPECT_EQ(0, file_wait_direct(fd, self->buffer, BYTES, 0));
	EXPECT_EQ(0, content_is(self->buffer, BYTES, 0, 1, 1));
	ASSERT_EQ(0, file_info(fd, &info));
	EXPECT_LT(0u, info.revokes);
	EXPECT_EQ(0, readers_stop(&readers));
	ASSERT_EQ(0, watch(self->watcher.fd, FAN_MARK_REMOVE | variant->mark,
			   FAN_OPEN_PERM, other));
	close(plain);
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

TEST_F(asked, a_watcher_that_is_told_sees_the_same_with_bypass_and_without)
{
	int fanotify = fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC |
				     FAN_NONBLOCK, O_RDONLY);
	ino_t ino;
	uint64_t mask;
	struct stat st;

	ASSERT_EQ(0, stat(path, &st));
	ASSERT_EQ(0, watch(fanotify, FAN_MARK_ADD | variant->mark, FAN_ACCESS,
			   path));
	ASSERT_EQ(BYTES, pread(self->plain, self->buffer, BYTES, 0));
	mask = only_event(fanotify, &ino);
	EXPECT_EQ((uint64_t)FAN_ACCESS, mask);
	EXPECT_EQ(st.st_ino, ino);
	ASSERT_EQ(BYTES, pread(self->fd, self->buffer, BYTES, 0));
	EXPECT_EQ(mask, only_event(fanotify, &ino));
	EXPECT_EQ(st.st_ino, ino);
	EXPECT_EQ(1u, file_direct(self->fd));
	/* the same when the file system serves the read */
	ASSERT_EQ(0, fs_disable(volume.fd, self->fd));
	ASSERT_EQ(BYTES, pread(self->fd, self->buffer, BYTES, 0));
	EXPECT_EQ(mask, only_event(fanotify, &ino));
	EXPECT_EQ(st.st_ino, ino);
	close(fanotify);
}

PROGRAM_MAIN
