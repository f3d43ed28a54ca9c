// SPDX-License-Identifier: GPL-2.0-only
/*
 * Trace events: each operation is traced once, with the right numbers. They also show
 * what cannot be observed otherwise: that the storage level is enabled with the first
 * file and disabled with the last, and to which sector of the storage device a read
 * goes.
 */
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "program.h"

#define KIB		1024
#define BYTES		(256 * KIB)
#define START		2048
#define INSTANCE	"/sys/kernel/tracing/instances/" DM_PREFIX "trace"

static struct volume volume;
static char path[192], second[192];

static int program_setup(void)
{
	int ret = volume_ext4(&volume, "trace", devices.nvme, START,
			      MIB_SECTORS(32));

	if (ret)
		return ret;
	snprintf(path, sizeof(path), "%s", volume_path(&volume, "file"));
	snprintf(second, sizeof(second), "%s", volume_path(&volume, "second"));
	return file_create(path, BYTES, 1) ?: file_create(second, BYTES, 2);
}

static int program_cleanup(void)
{
	return volume_remove(&volume);
}

static int write_file(const char *name, const char *text)
{
	char full[256];
	int fd, ret = 0;

	snprintf(full, sizeof(full), INSTANCE "/%s", name);
	fd = open(full, O_WRONLY | O_TRUNC | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

FIXTURE(trace) {
	int	fd;
	char	*buffer;
};

FIXTURE_SETUP(trace)
{
	struct bpio_output out;

	/* the route of the test before may still be there */
	ASSERT_EQ(0, storage_op(volume.fd, BPIO_OP_DISABLE, &out));
	self->fd = file_open_direct(path);
	ASSERT_LE(0, self->fd);
	self->buffer = dio_alloc(BYTES);
	if (mkdir(INSTANCE, 0700)) {
		ASSERT_EQ(ENOENT, errno);
		SKIP(return, "there is no tracefs at /sys/kernel/tracing");
	}
	ASSERT_EQ(0, write_file("events/bpio/enable", "1"));
}

FIXTURE_TEARDOWN(trace)
{
	close(self->fd);
	EXPECT_EQ(0, active_count(volume.fd));
	EXPECT_EQ(0, rmdir(INSTANCE));
}

/* Forget what was traced so far. */
static void forget(void)
{
	write_file("trace", "");
}

/*
 * How many traced lines tell of @event ("bpio_arm") with @text ("reason 0") of
 * our volume; the last such line in @line, if wanted.
 */
static int traced(const char *event, const char *text, char *line, size_t size)
{
	char dev[48], name[64], buffer[512];
	FILE *file = fopen(INSTANCE "/trace", "re");
	int count = 0;

	if (!file)
		return -errno;
	snprintf(name, sizeof(name), " %s: ", event);
	snprintf(dev, sizeof(dev), " dev %u:%u ", major(volume.dev),
		 minor(volume.dev));
	while (fgets(buffer, sizeof(buffer), file)) {
		if (!strstr(buffer, name) || !strstr(buffer, dev) ||
		    !strstr(buffer, text))
			continue;
		count++;
		if (line)
			snprintf(line, size, "%s", buffer);
	}
	fclose(file);
	return count;
}

#define EXPECT_TRACED(count, event, text) \
	EXPECT_EQ(count, traced(event, text, NULL, 0))

/* The same for what a worker does soon, when there are @least lines. */
static int traced_soon(int least, const char *event, const char *text)
{
	uint64_t deadline = now_ms() + DEADLINE_MS;
	int count;

	do {
		count = traced(event, text, NULL, 0);
	} while (count >= 0 && count < least && poll_again(deadline));
	return count;
}

TEST_F(trace, storage_is_enabled_with_the_first_file_and_disabled_with_the_last)
{
	int again, other, round;

	for (round = 1; round <= 3; round++) {
		again = file_open_direct(path);
		other = file_open_direct(second);
		ASSERT_EQ(0, fs_enable(volume.fd, self->fd));
		EXPECT_TRACED(round, "bpio_storage", "enable");
		ASSERT_EQ(0, fs_enable(volume.fd, self->fd));
		ASSERT_EQ(0, fs_enable(volume.fd, again));
		ASSERT_EQ(0, fs_enable(volume.fd, other));
		EXPECT_TRACED(round, "bpio_storage", "enable");
		/* the next round enables this one again */
		ASSERT_EQ(0, fs_disable(volume.fd, self->fd));
		close(other);
		EXPECT_TRACED(round - 1, "bpio_storage", "disable");
		close(again);
		/* the route stays for a second */
		EXPECT_EQ(round, traced_soon(round, "bpio_storage", "disable"));
	}
	EXPECT_TRACED(3, "bpio_storage", "enable");
}

TEST_F(trace, the_death_of_the_last_process_disables_the_storage)
{
	pid_t pid = fork();

	ASSERT_LE(0, pid);
	if (!pid) {
		if (fs_enable(volume.fd, file_open_direct(path)))
			_exit(1);
		kill(getpid(), SIGKILL);
	}
	ASSERT_EQ(pid, waitpid(pid, NULL, 0));
	EXPECT_TRACED(1, "bpio_storage", "enable");
	EXPECT_EQ(1, traced_soon(1, "bpio_storage", "disable"));
}

TEST_F(trace, enable_and_disable_are_told_once_for_each_open_file)
{
	int other = file_open_direct(second);
	int duplicate = dup(self->fd);

	ASSERT_EQ(0, fs_enable(volume.fd, self->fd));
	EXPECT_TRACED(1, "bpio_enable", "active 1");
	ASSERT_EQ(0, fs_enable(volume.fd, duplicate));
	EXPECT_TRACED(1, "bpio_enable", "");
	ASSERT_EQ(0, fs_enable(volume.fd, other));
	EXPECT_TRACED(1, "bpio_enable", "active 2");
	EXPECT_TRACED(2, "bpio_enable", "");
	EXPECT_TRACED(0, "bpio_disable", "");
	close(self->fd);
	self->fd = -1;
	EXPECT_TRACED(0, "bpio_disable", "");
	close(duplicate);
	EXPECT_TRACED(1, "bpio_disable", "active 1");
	ASSERT_EQ(0, fs_disable(volume.fd, other));
	EXPECT_TRACED(1, "bpio_disable", "active 0");
	ASSERT_EQ(0, fs_disable(volume.fd, other));
	EXPECT_TRACED(2, "bpio_disable", "");
	/* and enabling it again is traced like the first time */
	ASSERT_EQ(0, fs_enable(volume.fd, other));
	EXPECT_TRACED(3, "bpio_enable", "");
	ASSERT_EQ(0, fs_disable(volume.fd, other));
	EXPECT_TRACED(3, "bpio_disable", "");
	close(other);
	EXPECT_TRACED(3, "bpio_disable", "");
}

TEST_F(trace, query_and_get_info_enable_nothing)
{
	struct fs_bpio_output out;
	struct bpio_output storage;

	ASSERT_EQ(0, fs_op(volume.fd, FS_BPIO_OP_QUERY, self->fd, &out));
	ASSERT_EQ(0, fs_op(volume.fd, FS_BPIO_OP_QUERY, -1, &out));
	ASSERT_EQ(0, fs_op(volume.fd, FS_BPIO_OP_GET_INFO, -1, &out));
	ASSERT_EQ(0, storage_op(volume.fd, BPIO_OP_QUERY, &storage));
	EXPECT_TRACED(0, "bpio_enable", "");
	EXPECT_TRACED(0, "bpio_storage", "enable");
	EXPECT_TRACED(0, "bpio_arm", "");
}

TEST_F(trace, a_refusal_tells_who_and_why)
{
	struct fs_bpio_output out;
	char text[64];
	int fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);

	ASSERT_EQ(0, fs_op(volume.fd, FS_BPIO_OP_ENABLE, fd, &out));
	snprintf(text, sizeof(text), "reason %d \"", BPIO_REASON_NOT_READ_ONLY);
	EXPECT_TRACED(1, "bpio_refuse", text);
	EXPECT_TRACED(1, "bpio_refuse",
		      reason_sentence(BPIO_REASON_NOT_READ_ONLY));
	EXPECT_TRACED(0, "bpio_enable", "");
	close(fd);
}

/* Where the file begins on the volume, in sectors; it has one extent. */
static int first_sector(uint64_t *sector)
{
	struct {
		struct fiemap map;
		struct fiemap_extent extent;
	} query = {
		.map.fm_length = FIEMAP_MAX_OFFSET,
		.map.fm_extent_count = 1,
	};
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int ret = ioctl(fd, FS_IOC_FIEMAP, &query) ? -errno : 0;

	close(fd);
	*sector = query.extent.fe_physical / 512;
	return ret;
}

TEST_F(trace, a_direct_read_tells_where_it_went)
{
	char text[160];
	struct stat st;
	uint64_t sector;

	ASSERT_EQ(0, fs_enable_armed(volume.fd, self->fd));
	ASSERT_EQ(0, first_sector(&sector));
	ASSERT_EQ(0, stat(devices.nvme, &st));
	forget();
	ASSERT_EQ(8192, pread(self->fd, self->buffer, 8192, 12288));
	EXPECT_TRACED(1, "bpio_direct_read", "");
	snprintf(text, sizeof(text),
		 "pos 12288 bytes 8192 bottom %u:%u sector %llu\n",
		 major(st.st_rdev), minor(st.st_rdev),
		 (unsigned long long)(START + sector + 12288 / 512));
	EXPECT_TRACED(1, "bpio_direct_read", text)
		TH_LOG("expected: %s", text);
}

TEST_F(trace, arming_revoking_and_falling_back_are_told_with_their_reasons)
{
	int writer;
	char reason[32];

	ASSERT_EQ(0, fs_enable_armed(volume.fd, self->fd));
	EXPECT_LE(1, traced("bpio_arm", "reason 0\n", NULL, 0));
	EXPECT_TRACED(0, "bpio_revoke", "");
	forget();
	writer = open(path, O_WRONLY | O_CLOEXEC);
	EXPECT_TRACED(1, "bpio_revoke", "");
	EXPECT_EQ(-EAGAIN, file_armed(self->fd));
	snprintf(reason, sizeof(reason), "reason %d\n", BPIO_REASON_WRITER);
	EXPECT_LE(1, traced_soon(1, "bpio_arm", reason));
	forget();
	ASSERT_EQ(4096, pread(self->fd, self->buffer, 4096, 8192));
	EXPECT_TRACED(0, "bpio_direct_read", "");
	EXPECT_TRACED(1, "bpio_fallback", "pos 8192 bytes 4096 ");
	EXPECT_TRACED(1, "bpio_fallback", "");
	close(writer);
	ASSERT_EQ(0, file_wait_direct(self->fd, self->buffer, 4096, 0));
	EXPECT_LE(1, traced("bpio_arm", "reason 0\n", NULL, 0));
}

PROGRAM_MAIN
