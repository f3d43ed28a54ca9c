// SPDX-License-Identifier: GPL-2.0-only
/*
 * Visible effects of direct reads of an enabled file: access times, accounting,
 * watches, /proc.
 */
#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "program.h"

#define BYTES	(256 * 1024)

static struct volume volume;
static char path[192];

static int program_setup(void)
{
	int ret = volume_ext4(&volume, "file-effects", devices.nvme, 2048,
			      MIB_SECTORS(32));

	if (ret)
		return ret;
	snprintf(path, sizeof(path), "%s", volume_path(&volume, "file"));
	return file_create(path, BYTES, 1);
}

static int program_cleanup(void)
{
	return volume_remove(&volume);
}

FIXTURE(file) {
	int	fd;		/* enabled */
	char	*buffer;
};

FIXTURE_SETUP(file)
{
	self->buffer = dio_alloc(BYTES);
	self->fd = file_open_direct(path);
	ASSERT_EQ(0, fs_enable_armed(volume.fd, self->fd));
}

FIXTURE_TEARDOWN(file)
{
	close(self->fd);
	free(self->buffer);
	EXPECT_EQ(0, active_count(volume.fd));
}

/* A read that must go direct and return what was written. */
#define EXPECT_DIRECT_READ() do {					\
	uint64_t __before = file_direct(self->fd);		\
									\
	EXPECT_EQ(8192, pread(self->fd, self->buffer, 8192, 4096));	\
	EXPECT_EQ(0, content_is(self->buffer, 8192, 4096, 1, 1));	\
	EXPECT_EQ(__before + 1, file_direct(self->fd));		\
} while (0)

static uint64_t reads_counted(int fd)
{
	struct bpio_file_info info;

	return file_info(fd, &info) ? UINT64_MAX :
				      info.direct_reads + info.fallback_reads;
}

/* Before 6.5 the pages of a pipe are read into, which go by the file system. */
TEST_F(file, splicing_from_it_brings_what_was_written)
{
	int pipes[2], null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	loff_t offset = 8192;

	ASSERT_EQ(0, pipe(pipes));
	ASSERT_EQ(4096, splice(self->fd, &offset, pipes[1], NULL, 4096, 0));
	EXPECT_EQ(8192 + 4096, offset);
	ASSERT_EQ(4096, read(pipes[0], self->buffer, 4096));
	EXPECT_EQ(0, content_is(self->buffer, 4096, 8192, 1, 1));
	EXPECT_EQ(1u, reads_counted(self->fd));
	EXPECT_EQ(4096, sendfile(null, self->fd, NULL, 4096));
	EXPECT_EQ(2u, reads_counted(self->fd));
	if (kernel_is_at_least(6, 5))
		EXPECT_EQ(2u, file_direct(self->fd));
	EXPECT_DIRECT_READ();
	close(null);
}

TEST_F(file, status_flags_do_not_change_the_bytes_that_are_read)
{
	static const int flags[] = {
		0, O_NONBLOCK, O_DIRECT, O_APPEND, O_DIRECT | O_NONBLOCK,
		O_NOATIME, O_ASYNC,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		uint64_t before = file_direct(self->fd);
		bool direct = flags[i] & O_DIRECT;

		ASSERT_EQ(0, fcntl(self->fd, F_SETFL, flags[i]))
			TH_LOG("flags 0x%x", flags[i]);
		memset(self->buffer, 0xa5, 8192);
		EXPECT_EQ(8192, pread(self->fd, self->buffer, 8192, 4096))
			TH_LOG("flags 0x%x", flags[i]);
		EXPECT_EQ(0, content_is(self->buffer, 8192, 4096, 1, 1));
		EXPECT_EQ(before + direct, file_direct(self->fd))
			TH_LOG("flags 0x%x", flags[i]);
	}
	EXPECT_EQ(0, fcntl(self->fd, F_SETFL, O_DIRECT));
}

static int fdinfo_has(int fd, const char *line)
{
	return shell("grep -qxP '%s' /proc/%d/fdinfo/%d", line, getpid(), fd);
}

TEST_F(file, its_entry_in_proc_says_whether_reads_go_direct_or_why_not)
{
	char line[96];

	snprintf(line, sizeof(line), "bpio-volume:\\t%u:%u",
		 major(volume.dev), minor(volume.dev));
	EXPECT_EQ(0, fdinfo_has(self->fd, line));
	EXPECT_EQ(0, fdinfo_has(self->fd, "bpio-armed:\\tyes"));
	EXPECT_DIRECT_READ();
	EXPECT_EQ(0, fdinfo_has(self->fd, "bpio-direct:\\t1 reads 8192 bytes"));
	EXPECT_EQ(0, fdinfo_has(self->fd, "bpio-fallback:\\t0 reads 0 bytes"));
	ASSERT_EQ(0, fs_disable(volume.fd, self->fd));
	EXPECT_EQ(0, fdinfo_has(self->fd, "bpio-armed:\\t"
				"BypassIO was disabled for this open file\\."));
	ASSERT_EQ(8192, pread(self->fd, self->buffer, 8192, 4096));
	EXPECT_EQ(0, fdinfo_has(self->fd, "bpio-fallback:\\t1 reads 8192 bytes"));
	EXPECT_EQ(0, fdinfo_has(self->fd, "bpio-reasons:\\tdisabled 1"));
}

TEST_F(file, its_entry_in_proc_says_what_it_says_without_bypass)
{
	int plain = file_open_direct(path);

	ASSERT_LE(0, plain);
	EXPECT_EQ(0, shell("cd /proc/%d/fdinfo && grep -v ^bpio- %d | cmp - %d",
			   getpid(), self->fd, plain));
	EXPECT_NE(0, shell("grep -q ^bpio- /proc/%d/fdinfo/%d", getpid(),
			   plain));
	close(plain);
}

TEST_F(file, reads_are_accounted_to_the_process)
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

TEST_F(file, reads_are_counted_once_in_proc_io)
{
	unsigned long long before, after;

	if (read_bytes_of_proc(&before))
		SKIP(return, "the kernel does no I/O accounting for tasks");
	EXPECT_DIRECT_READ();
	ASSERT_EQ(0, read_bytes_of_proc(&after));
	EXPECT_EQ(8192u, after - before);
}

TEST_F(file, a_direct_read_updates_the_access_time)
{
	struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 2000 } };
	struct stat st;

	/* relatime: an access time before the modification is updated */
	ASSERT_EQ(0, utimensat(AT_FDCWD, path, old, 0));
	ASSERT_EQ(0, file_armed(self->fd));
	EXPECT_DIRECT_READ();
	ASSERT_EQ(0, stat(path, &st));
	EXPECT_LT(1000, st.st_atim.tv_sec);
}

TEST_F(file, a_descriptor_with_o_noatime_leaves_the_access_time)
{
	struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 2000 } };
	struct stat st;

	ASSERT_EQ(0, fcntl(self->fd, F_SETFL, O_DIRECT | O_NOATIME));
	ASSERT_EQ(0, utimensat(AT_FDCWD, path, old, 0));
	ASSERT_EQ(0, file_armed(self->fd));
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

TEST_F(file, inotify_sees_a_direct_read_of_the_file_and_in_its_directory)
{
	int file = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	int dir = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	ASSERT_LE(0, inotify_add_watch(file, path, IN_ACCESS));
	ASSERT_LE(0, inotify_add_watch(dir, volume.mount, IN_ACCESS));
	EXPECT_DIRECT_READ();
	EXPECT_EQ(1, count_inotify(file, IN_ACCESS));
	EXPECT_EQ(1, count_inotify(dir, IN_ACCESS));
	/* a read of zero bytes is no access */
	EXPECT_EQ(0, pread(self->fd, self->buffer, 4096, 1 << 30));
	EXPECT_EQ(0, count_inotify(file, IN_ACCESS));
	close(file);
	close(dir);
}

TEST_F(file, inotify_sees_nothing_of_enable_and_arming)
{
	int file = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	int fd = file_open_direct(path);

	ASSERT_LE(0, inotify_add_watch(file, path, IN_ALL_EVENTS));
	ASSERT_EQ(0, fs_enable_armed(volume.fd, fd));
	ASSERT_EQ(0, fs_disable(volume.fd, fd));
	ASSERT_EQ(0, fs_enable_armed(volume.fd, fd));
	EXPECT_EQ(0, count_inotify(file, IN_ALL_EVENTS));
	/* the event of the close */
	close(fd);
	EXPECT_EQ(1, count_inotify(file, IN_CLOSE_NOWRITE));
	close(file);
}

PROGRAM_MAIN
