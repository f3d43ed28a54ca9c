// SPDX-License-Identifier: GPL-2.0-only
/*
 * A handle as a file: what it is, where its position goes, what it refuses,
 * and what others see of the reads: times, watchers.
 */
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/fanotify.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/xattr.h>

#include "program.h"

#define KIB	1024
#define BYTES	(256 * KIB)
#define SIZE	(BYTES + 300)

static struct volume volume;
static char path[192];

/* Data, a hole, data: so that SEEK_DATA and SEEK_HOLE have something to find. */
static int make_file(void)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	int ret;

	ret = file_write(fd, 0, 128 * KIB, 1, 1) ?:
	      file_write(fd, 192 * KIB, SIZE - 192 * KIB, 1, 1) ?:
	      fsync(fd);
	close(fd);
	return ret;
}

static int program_setup(void)
{
	int ret = volume_create(&volume, "handle-file", devices.nvme, 2048,
				MIB_SECTORS(32), "") ?:
		  volume_format(&volume, MKFS_EXT4) ?:
		  volume_mount(&volume, "ext4", "");

	if (ret)
		return ret;
	snprintf(path, sizeof(path), "%s", volume_path(&volume, "file"));
	return make_file();
}

static int program_cleanup(void)
{
	return volume_remove(&volume);
}

FIXTURE(handle) {
	int	fd;
	int	handle;
	char	*buffer;
};

FIXTURE_SETUP(handle)
{
	self->buffer = dio_alloc(SIZE + 4096);
	self->fd = file_open_direct(path);
	ASSERT_LE(0, self->fd);
	self->handle = fs_enable(volume.fd, self->fd);
	ASSERT_LE(0, self->handle);
	ASSERT_EQ(0, handle_armed(self->handle));
}

FIXTURE_TEARDOWN(handle)
{
	close(self->handle);
	close(self->fd);
	EXPECT_EQ(0, active_count(volume.fd));
}

/* A read that must go direct and return what was written. */
#define EXPECT_DIRECT_READ() do {					\
	uint64_t __before = handle_direct(self->handle);		\
									\
	EXPECT_EQ(8192, pread(self->handle, self->buffer, 8192, 4096));	\
	EXPECT_EQ(0, content_is(self->buffer, 8192, 4096, 1, 1));	\
	EXPECT_EQ(__before + 1, handle_direct(self->handle));		\
} while (0)

TEST_F(handle, fstat_is_that_of_the_file)
{
	struct stat file, ours;

	ASSERT_EQ(0, fstat(self->fd, &file));
	ASSERT_EQ(0, fstat(self->handle, &ours));
	EXPECT_EQ(SIZE, ours.st_size);
	EXPECT_EQ(file.st_dev, ours.st_dev);
	EXPECT_EQ(file.st_ino, ours.st_ino);
	EXPECT_EQ(file.st_mode, ours.st_mode);
	EXPECT_EQ(file.st_nlink, ours.st_nlink);
	EXPECT_EQ(file.st_uid, ours.st_uid);
	EXPECT_EQ(file.st_gid, ours.st_gid);
	EXPECT_EQ(file.st_blksize, ours.st_blksize);
	EXPECT_EQ(file.st_blocks, ours.st_blocks);
	EXPECT_EQ(file.st_mtim.tv_sec, ours.st_mtim.tv_sec);
	EXPECT_EQ(file.st_mtim.tv_nsec, ours.st_mtim.tv_nsec);
	EXPECT_EQ(file.st_ctim.tv_nsec, ours.st_ctim.tv_nsec);
}

TEST_F(handle, statx_tells_the_direct_io_alignment_of_the_file)
{
	struct statx file, ours;

	ASSERT_EQ(0, statx(self->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &file));
	ASSERT_EQ(0, statx(self->handle, "", AT_EMPTY_PATH, STATX_DIOALIGN,
			   &ours));
	EXPECT_EQ(file.stx_mask & STATX_DIOALIGN,
		  ours.stx_mask & STATX_DIOALIGN);
	EXPECT_EQ(file.stx_dio_mem_align, ours.stx_dio_mem_align);
	EXPECT_EQ(file.stx_dio_offset_align, ours.stx_dio_offset_align);
}

TEST_F(handle, fstat_follows_the_file)
{
	struct stat st;
	int writer;

	ASSERT_EQ(0, make_file());
	writer = open(path, O_WRONLY | O_CLOEXEC);
	ASSERT_LE(0, writer);
	ASSERT_EQ(0, file_write(writer, 0, 512 * KIB, 1, 1));
	ASSERT_EQ(0, fstat(self->handle, &st));
	EXPECT_EQ(512 * KIB, st.st_size);
	EXPECT_EQ(512 * KIB, lseek(self->handle, 0, SEEK_END));
	ASSERT_EQ(0, ftruncate(writer, 1000));
	ASSERT_EQ(0, fstat(self->handle, &st));
	EXPECT_EQ(1000, st.st_size);
	EXPECT_EQ(1000, lseek(self->handle, 0, SEEK_END));
	close(writer);
	ASSERT_EQ(0, make_file());
}

static const loff_t seeks[] = {
	0, 1, 4096, 128 * KIB - 1, 128 * KIB, 160 * KIB, 192 * KIB, SIZE - 1,
	SIZE, SIZE + 1, 1ll << 40, -1, -4096, LLONG_MAX, LLONG_MIN,
};

/* lseek() from position 4096; a negative errno on failure. */
static loff_t seek(int fd, loff_t offset, int whence)
{
	loff_t ret;

	lseek(fd, 4096, SEEK_SET);
	ret = lseek(fd, offset, whence);
	return ret < 0 ? -errno : ret;
}

TEST_F(handle, lseek_answers_as_on_the_file)
{
	static const int whences[] = { SEEK_SET, SEEK_CUR, SEEK_END, 5, -1 };
	unsigned int o, w;

	for (o = 0; o < ARRAY_SIZE(seeks); o++) {
		for (w = 0; w < ARRAY_SIZE(whences); w++) {
			loff_t ours = seek(self->handle, seeks[o], whences[w]);
			loff_t theirs = seek(self->fd, seeks[o], whences[w]);

			EXPECT_EQ(theirs, ours)
				TH_LOG("lseek(%lld, %d)", (long long)seeks[o],
				       whences[w]);
			EXPECT_EQ(lseek(self->fd, 0, SEEK_CUR),
				  lseek(self->handle, 0, SEEK_CUR));
		}
	}
}

/* A handle may see data where the file knows of a hole, never the reverse. */
TEST_F(handle, looking_for_data_and_holes_never_hides_data)
{
	unsigned int o;

	for (o = 0; o < ARRAY_SIZE(seeks); o++) {
		loff_t data[2] = { seek(self->handle, seeks[o], SEEK_DATA),
				   seek(self->fd, seeks[o], SEEK_DATA) };
		loff_t hole[2] = { seek(self->handle, seeks[o], SEEK_HOLE),
				   seek(self->fd, seeks[o], SEEK_HOLE) };

		if (data[1] < 0) {
			EXPECT_EQ(data[1], data[0]);
		} else {
			EXPECT_LE(seeks[o], data[0]);
			EXPECT_LE(data[0], data[1]);
		}
		if (hole[1] < 0) {
			EXPECT_EQ(hole[1], hole[0]);
		} else {
			EXPECT_LE(hole[1], hole[0]);
		}
	}
}

TEST_F(handle, posix_fadvise_is_harmless)
{
	int advice;

	for (advice = POSIX_FADV_NORMAL; advice <= POSIX_FADV_NOREUSE; advice++)
		EXPECT_EQ(0, posix_fadvise(self->handle, 0, 0, advice))
			TH_LOG("advice %d", advice);
	EXPECT_DIRECT_READ();
}

#define EXPECT_ERROR(error, call) do {					\
	errno = 0;							\
	EXPECT_GT(0, (long)(call)) TH_LOG("%s", #call);			\
	EXPECT_EQ(error, errno) TH_LOG("%s", #call);			\
} while (0)

TEST_F(handle, everything_that_would_write_is_refused)
{
	struct iovec iov = { self->buffer, 4096 };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	EXPECT_ERROR(EBADF, write(self->handle, self->buffer, 4096));
	EXPECT_ERROR(EBADF, pwrite(self->handle, self->buffer, 4096, 0));
	EXPECT_ERROR(EBADF, pwritev2(self->handle, &iov, 1, 0, 0));
	EXPECT_ERROR(EINVAL, ftruncate(self->handle, 0));
	EXPECT_ERROR(EBADF, fallocate(self->handle, 0, 0, 4096));
	EXPECT_ERROR(EBADF, fallocate(self->handle, FALLOC_FL_PUNCH_HOLE |
				      FALLOC_FL_KEEP_SIZE, 0, 4096));
	EXPECT_ERROR(EBADF, copy_file_range(self->fd, NULL, self->handle, NULL,
					    4096, 0));
	EXPECT_ERROR(EBADF, sendfile(self->handle, self->fd, NULL, 4096));
	EXPECT_EQ(SIZE, lseek(self->fd, 0, SEEK_END));
	EXPECT_DIRECT_READ();
	close(null);
}

TEST_F(handle, attributes_cannot_be_changed_through_it)
{
	struct timespec times[2] = { { 1, 0 }, { 1, 0 } };
	struct stat before, after;

	ASSERT_EQ(0, fstat(self->fd, &before));
	EXPECT_GT(0, fchmod(self->handle, 0600));
	EXPECT_GT(0, fchown(self->handle, 1, 1));
	EXPECT_GT(0, futimens(self->handle, times));
	EXPECT_GT(0, fsetxattr(self->handle, "user.a", "b", 1, 0));
	ASSERT_EQ(0, fstat(self->fd, &after));
	EXPECT_EQ(before.st_mode, after.st_mode);
	EXPECT_EQ(before.st_uid, after.st_uid);
	EXPECT_EQ(before.st_mtim.tv_sec, after.st_mtim.tv_sec);
	EXPECT_DIRECT_READ();
}

/* It would exclude nobody who locks the file. */
TEST_F(handle, locking_it_is_refused)
{
	struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET };

	EXPECT_ERROR(EOPNOTSUPP, flock(self->handle, LOCK_SH));
	EXPECT_ERROR(EOPNOTSUPP, fcntl(self->handle, F_SETLK, &lock));
	EXPECT_ERROR(EOPNOTSUPP, fcntl(self->handle, F_OFD_SETLK, &lock));
	EXPECT_ERROR(EOPNOTSUPP, fcntl(self->handle, F_GETLK, &lock));
	EXPECT_EQ(0, flock(self->fd, LOCK_SH));
	EXPECT_DIRECT_READ();
}

TEST_F(handle, mapping_it_is_refused)
{
	static const int protections[] = { PROT_NONE, PROT_READ, PROT_EXEC,
					   PROT_READ | PROT_WRITE };
	static const int flags[] = { MAP_PRIVATE, MAP_SHARED };
	unsigned int p, f;

	for (p = 0; p < ARRAY_SIZE(protections); p++)
		for (f = 0; f < ARRAY_SIZE(flags); f++)
			EXPECT_EQ(MAP_FAILED, mmap(NULL, 4096, protections[p],
						   flags[f], self->handle, 0))
				TH_LOG("protection %d flags %d", protections[p],
				       flags[f]);
	EXPECT_ERROR(ENODEV, (long)mmap(NULL, 4096, PROT_READ, MAP_SHARED,
					self->handle, 0));
}

TEST_F(handle, splicing_from_it_brings_what_was_written_and_goes_direct)
{
	int pipes[2], null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	uint64_t before = handle_direct(self->handle);
	loff_t offset = 8192;

	ASSERT_EQ(0, pipe(pipes));
	if (splice(self->handle, &offset, pipes[1], NULL, 4096, 0) < 0 &&
	    errno == EINVAL)
		SKIP(return, "this kernel has no copy_splice_read()");
	EXPECT_EQ(8192 + 4096, offset);
	ASSERT_EQ(4096, read(pipes[0], self->buffer, 4096));
	EXPECT_EQ(0, content_is(self->buffer, 4096, 8192, 1, 1));
	EXPECT_EQ(before + 1, handle_direct(self->handle));
	EXPECT_EQ(4096, sendfile(null, self->handle, NULL, 4096));
	EXPECT_DIRECT_READ();
	close(null);
}

TEST_F(handle, it_cannot_be_opened_again_or_executed)
{
	char name[64];

	snprintf(name, sizeof(name), "/proc/self/fd/%d", self->handle);
	EXPECT_ERROR(ENXIO, open(name, O_RDONLY));
	EXPECT_GT(0, open(name, O_RDWR));
	EXPECT_GT(0, open(name, O_RDONLY | O_TRUNC));
	EXPECT_ERROR(ENOTDIR, openat(self->handle, "x", O_RDONLY));
	EXPECT_DIRECT_READ();
}

TEST_F(handle, it_says_that_it_is_read_only_and_direct)
{
	EXPECT_EQ(O_RDONLY, fcntl(self->handle, F_GETFL) & O_ACCMODE);
	EXPECT_EQ(O_DIRECT, fcntl(self->handle, F_GETFL) & O_DIRECT);
}

/* Bytes stay right also when a program changes the flags of the handle. */
TEST_F(handle, status_flags_do_not_change_what_is_read)
{
	static const int flags[] = { 0, O_NONBLOCK, O_DIRECT, O_APPEND,
				     O_DIRECT | O_NONBLOCK };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		if (fcntl(self->handle, F_SETFL, flags[i]))
			continue;
		memset(self->buffer, 0xa5, 8192);
		EXPECT_EQ(8192, pread(self->handle, self->buffer, 8192, 4096))
			TH_LOG("flags 0x%x", flags[i]);
		EXPECT_EQ(0, content_is(self->buffer, 8192, 4096, 1, 1));
	}
}

TEST_F(handle, it_is_always_ready)
{
	struct pollfd poller = { .fd = self->handle, .events = POLLIN };
	struct epoll_event event = { .events = EPOLLIN };
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	EXPECT_EQ(1, poll(&poller, 1, 0));
	EXPECT_TRUE(poller.revents & POLLIN);
	/* as regular files answer */
	EXPECT_ERROR(EPERM, epoll_ctl(epoll, EPOLL_CTL_ADD, self->handle,
				      &event));
	close(epoll);
}

TEST_F(handle, its_entry_in_proc_can_be_read)
{
	char name[64], line[256];

	snprintf(name, sizeof(name), "/proc/self/fd/%d", self->handle);
	EXPECT_LT(0, readlink(name, line, sizeof(line)));
	EXPECT_EQ(0, shell("cat /proc/%d/maps /proc/%d/fdinfo/* >/dev/null",
			   getpid(), getpid()));
}

TEST_F(handle, its_entry_in_proc_says_whether_reads_go_direct_or_why_not)
{
	static const char command[] =
		"grep -qx 'bpio-armed:.%s' /proc/%d/fdinfo/%d";

	EXPECT_EQ(0, shell(command, "yes", getpid(), self->handle));
	ASSERT_EQ(0, fs_disable(volume.fd, self->fd));
	EXPECT_EQ(0, shell(command, "BypassIO was disabled for this open file.",
			   getpid(), self->handle));
}

TEST_F(handle, reads_are_accounted_to_the_process)
{
	struct rusage before, after;

	ASSERT_EQ(0, getrusage(RUSAGE_SELF, &before));
	EXPECT_DIRECT_READ();
	ASSERT_EQ(0, getrusage(RUSAGE_SELF, &after));
	/* 8 KiB are 16 sectors, counted once */
	EXPECT_EQ(16, after.ru_inblock - before.ru_inblock);
}

static int read_bytes_of_proc(unsigned long long *bytes)
{
	char line[128];
	FILE *file = fopen("/proc/self/io", "re");
	int found = 0;

	while (file && fgets(line, sizeof(line), file))
		found += sscanf(line, "read_bytes: %llu", bytes) == 1;
	if (file)
		fclose(file);
	return found == 1 ? 0 : -ENOENT;
}

TEST_F(handle, reads_are_counted_once_in_proc_io)
{
	unsigned long long before, after;

	if (read_bytes_of_proc(&before))
		SKIP(return, "the kernel does no I/O accounting for tasks");
	EXPECT_DIRECT_READ();
	ASSERT_EQ(0, read_bytes_of_proc(&after));
	EXPECT_EQ(8192u, after - before);
}

TEST_F(handle, a_direct_read_updates_the_access_time)
{
	struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 2000 } };
	struct stat st;

	/* relatime: an access time before the modification is updated */
	ASSERT_EQ(0, utimensat(AT_FDCWD, path, old, 0));
	ASSERT_EQ(0, handle_armed(self->handle));
	EXPECT_DIRECT_READ();
	ASSERT_EQ(0, stat(path, &st));
	EXPECT_LT(1000, st.st_atim.tv_sec);
}

TEST_F(handle, a_descriptor_with_o_noatime_leaves_the_access_time)
{
	struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 2000 } };
	struct stat st;

	close(self->handle);
	ASSERT_EQ(0, fcntl(self->fd, F_SETFL, O_DIRECT | O_NOATIME));
	self->handle = fs_enable(volume.fd, self->fd);
	ASSERT_LE(0, self->handle);
	ASSERT_EQ(0, utimensat(AT_FDCWD, path, old, 0));
	ASSERT_EQ(0, handle_armed(self->handle));
	EXPECT_DIRECT_READ();
	ASSERT_EQ(0, stat(path, &st));
	EXPECT_EQ(1000, st.st_atim.tv_sec);
}

static int count_inotify(int fd, uint32_t mask)
{
	char events[4096] __attribute__((aligned(8)));
	ssize_t n = read(fd, events, sizeof(events));
	int count = 0;
	char *at;

	for (at = events; n > 0 && at < events + n;) {
		struct inotify_event *event = (void *)at;

		count += !!(event->mask & mask);
		at += sizeof(*event) + event->len;
	}
	return count;
}

TEST_F(handle, inotify_sees_a_direct_read_of_the_file_and_in_its_directory)
{
	int file = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	int dir = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	ASSERT_LE(0, inotify_add_watch(file, path, IN_ACCESS));
	ASSERT_LE(0, inotify_add_watch(dir, volume.mount, IN_ACCESS));
	EXPECT_DIRECT_READ();
	EXPECT_EQ(1, count_inotify(file, IN_ACCESS));
	EXPECT_EQ(1, count_inotify(dir, IN_ACCESS));
	/* a read of nothing is no access */
	EXPECT_EQ(0, pread(self->handle, self->buffer, 4096, 1 << 30));
	EXPECT_EQ(0, count_inotify(file, IN_ACCESS));
	close(file);
	close(dir);
}

TEST_F(handle, inotify_sees_nothing_of_enable_arming_and_close)
{
	int file = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	int second;

	ASSERT_LE(0, inotify_add_watch(file, path, IN_ALL_EVENTS));
	second = fs_enable(volume.fd, self->fd);
	ASSERT_LE(0, second);
	close(second);
	close(self->handle);
	self->handle = fs_enable(volume.fd, self->fd);
	ASSERT_EQ(0, handle_armed(self->handle));
	EXPECT_EQ(0, count_inotify(file, IN_ALL_EVENTS));
	close(file);
}

FIXTURE(watched) {
	int	fd;
	int	handle;
	char	*buffer;
	int	fanotify;
	pid_t	listener;
};

FIXTURE_VARIANT(watched) {
	uint32_t	answer;
	unsigned int	mark;
};

FIXTURE_VARIANT_ADD(watched, denied_by_the_inode) {
	.answer = FAN_DENY, .mark = 0,
};

FIXTURE_VARIANT_ADD(watched, denied_by_the_mount) {
	.answer = FAN_DENY, .mark = FAN_MARK_MOUNT,
};

FIXTURE_VARIANT_ADD(watched, denied_by_the_file_system) {
	.answer = FAN_DENY, .mark = FAN_MARK_FILESYSTEM,
};

FIXTURE_VARIANT_ADD(watched, allowed_by_the_inode) {
	.answer = FAN_ALLOW, .mark = 0,
};

/* Answer every permission event of @fanotify alike, until killed. */
static void answer_all(int fanotify, uint32_t answer)
{
	struct fanotify_event_metadata event;

	while (read(fanotify, &event, sizeof(event)) > 0) {
		struct fanotify_response response = {
			.fd = event.fd, .response = answer,
		};

		if (write(fanotify, &response, sizeof(response)) < 0)
			break;
		close(event.fd);
	}
	_exit(1);
}

FIXTURE_SETUP(watched)
{
	self->buffer = dio_alloc(SIZE + 4096);
	self->fanotify = fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC,
				       O_RDONLY);
	if (self->fanotify < 0 && errno == EINVAL)
		SKIP(return, "the kernel has no fanotify permission events");
	ASSERT_LE(0, self->fanotify);
	ASSERT_EQ(0, fanotify_mark(self->fanotify,
				   FAN_MARK_ADD | variant->mark,
				   FAN_ACCESS_PERM, AT_FDCWD, path));
	self->listener = fork();
	ASSERT_LE(0, self->listener);
	if (!self->listener)
		answer_all(self->fanotify, variant->answer);
	self->fd = file_open_direct(path);
	ASSERT_LE(0, self->fd);
	self->handle = fs_enable(volume.fd, self->fd);
	ASSERT_LE(0, self->handle);
	ASSERT_EQ(0, handle_armed(self->handle));
}

FIXTURE_TEARDOWN(watched)
{
	close(self->handle);
	close(self->fd);
	kill(self->listener, SIGKILL);
	waitpid(self->listener, NULL, 0);
	close(self->fanotify);
	EXPECT_EQ(0, active_count(volume.fd));
}

TEST_F(watched, the_answer_of_a_permission_watcher_is_obeyed)
{
	memset(self->buffer, 0xa5, 8192);
	if (variant->answer == FAN_ALLOW) {
		EXPECT_DIRECT_READ();
		return;
	}
	EXPECT_ERROR(EPERM, pread(self->handle, self->buffer, 8192, 4096));
	EXPECT_EQ((char)0xa5, self->buffer[0]);
	EXPECT_EQ(0u, handle_direct(self->handle));
}

PROGRAM_MAIN
