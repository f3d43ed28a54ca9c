// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tallies: an open of /dev/bpio sums up the counters of all files that are enabled
 * through it, by any process, even after the last of them is closed.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "access.h"
#include "program.h"

#define BYTES	(64 * 1024)
#define FILES	200

static struct volume volume;
/* May be read by all; and one of another file system. */
static char path[192];

#define FOREIGN	"/run/" DM_PREFIX "foreign"

static int program_setup(void)
{
	int ret = volume_ext4(&volume, "tally", devices.nvme, 2048,
			      MIB_SECTORS(64));

	snprintf(path, sizeof(path), "%s", volume_path(&volume, "file"));
	return ret ?: file_create(path, BYTES, 1) ?:
		      file_create(FOREIGN, BYTES, 1);
}

static int program_cleanup(void)
{
	unlink(FOREIGN);
	return volume_remove(&volume);
}

FIXTURE(tally) {
	int	node;
	int	other;
	char	*buffer;
};

FIXTURE_SETUP(tally)
{
	self->node = node_open();
	ASSERT_LE(0, self->node);
	self->other = node_open();
	ASSERT_LE(0, self->other);
	self->buffer = dio_alloc(BYTES);
}

FIXTURE_TEARDOWN(tally)
{
	struct bpio_tally tally;

	/* nothing of a test is the other tally's */
	ASSERT_EQ(0, tally_read(self->other, &tally));
	EXPECT_EQ(0u, tally.files + tally.open_files + tally.direct_reads +
		      tally.fallback_reads + tally.refused);
	close(self->node);
	close(self->other);
	free(self->buffer);
	EXPECT_EQ(0, active_count(volume.fd));
}

static uint64_t sum(const __u64 slots[BPIO_REASON_SLOTS])
{
	uint64_t all = 0;
	int i;

	for (i = 0; i < BPIO_REASON_SLOTS; i++)
		all += slots[i];
	return all;
}

/* What holds of every tally. */
static void expect_whole(struct __test_metadata *_metadata,
			 const struct bpio_tally *tally)
{
	EXPECT_EQ(sizeof(*tally), tally->size);
	EXPECT_EQ(0u, tally->flags);
	EXPECT_LE(tally->open_files, tally->files);
	EXPECT_EQ(tally->fallback_reads, sum(tally->fallback_reason));
	EXPECT_EQ(tally->refused, sum(tally->refused_reason));
	EXPECT_EQ(0u, tally->fallback_reason[BPIO_REASON_NONE]);
	EXPECT_EQ(0u, tally->refused_reason[BPIO_REASON_NONE]);
}

static struct bpio_tally tally_of(struct __test_metadata *_metadata, int node)
{
	struct bpio_tally tally;

	memset(&tally, 0xa5, sizeof(tally));
	ASSERT_EQ(0, tally_read(node, &tally));
	expect_whole(_metadata, &tally);
	return tally;
}

#define TALLY()	tally_of(_metadata, self->node)

#define EXPECT_FILES(all, living) do {					\
	struct bpio_tally __tally = TALLY();				\
									\
	EXPECT_EQ(all, (int)__tally.files);				\
	EXPECT_EQ(living, (int)__tally.open_files);			\
} while (0)

#define EXPECT_DIRECT(reads, bytes) do {				\
	struct bpio_tally __tally = TALLY();				\
									\
	EXPECT_EQ(reads, (int)__tally.direct_reads);			\
	EXPECT_EQ(bytes, (int)__tally.direct_bytes);			\
} while (0)

/* Open, enable and arm the file; and read @count times @bytes. */
static int enabled(int node)
{
	int fd = file_open_direct(path), ret = node_enable(node, fd);

	ret = ret ?: file_armed(fd);
	return ret ?: fd;
}

static int read_some(int fd, int count, size_t bytes)
{
	char *buffer = dio_alloc(bytes);
	int ret = 0;

	while (count--)
		if (pread(fd, buffer, bytes, 0) != (ssize_t)bytes ||
		    content_is(buffer, bytes, 0, 1, 1))
			ret = -EIO;
	free(buffer);
	return ret;
}

TEST_F(tally, it_is_empty_at_first)
{
	struct bpio_tally tally = TALLY(), empty = { .size = sizeof(empty) };

	EXPECT_EQ(0, memcmp(&tally, &empty, sizeof(tally)));
}

TEST_F(tally, it_counts_files_that_live_and_files_that_were_closed)
{
	int first = enabled(self->node), second = enabled(self->node);

	EXPECT_FILES(2, 2);
	EXPECT_EQ(0, read_some(first, 3, 4096));
	EXPECT_EQ(0, read_some(second, 5, 8192));
	EXPECT_DIRECT(8, 3 * 4096 + 5 * 8192);
	close(first);
	EXPECT_FILES(2, 1);
	EXPECT_DIRECT(8, 3 * 4096 + 5 * 8192);
	EXPECT_EQ(0, read_some(second, 1, 4096));
	close(second);
	EXPECT_FILES(2, 0);
	EXPECT_DIRECT(9, 4 * 4096 + 5 * 8192);
}

TEST_F(tally, a_file_that_is_enabled_twice_is_one)
{
	int fd = enabled(self->node), copy = dup(fd);

	ASSERT_EQ(0, node_enable(self->node, fd));
	ASSERT_EQ(0, node_enable(self->node, copy));
	EXPECT_FILES(1, 1);
	EXPECT_EQ(0, read_some(copy, 1, 4096));
	EXPECT_DIRECT(1, 4096);
	close(fd);
	EXPECT_FILES(1, 1);
	close(copy);
	EXPECT_FILES(1, 0);
	EXPECT_DIRECT(1, 4096);
}

TEST_F(tally, a_file_that_was_disabled_does_not_count_as_enabled_now)
{
	int fd = enabled(self->node);

	EXPECT_EQ(0, read_some(fd, 1, 4096));
	ASSERT_EQ(0, fs_disable(self->node, fd));
	EXPECT_FILES(1, 0);
	EXPECT_EQ(0, read_some(fd, 2, 4096));
	EXPECT_EQ(2u, TALLY().fallback_reason[BPIO_REASON_DISABLED]);
	ASSERT_EQ(0, node_enable(self->node, fd));
	EXPECT_FILES(1, 1);
	ASSERT_EQ(0, file_armed(fd));
	EXPECT_EQ(0, read_some(fd, 1, 4096));
	EXPECT_DIRECT(2, 2 * 4096);
	close(fd);
	EXPECT_FILES(1, 0);
}

/* It stays with the tally that it was enabled through first. */
TEST_F(tally, a_file_counts_for_one_tally_only)
{
	int fd = enabled(self->node);

	ASSERT_EQ(0, node_enable(self->other, fd));
	ASSERT_EQ(0, fs_enable(volume.fd, fd));
	EXPECT_EQ(0, read_some(fd, 3, 4096));
	EXPECT_FILES(1, 1);
	EXPECT_DIRECT(3, 3 * 4096);
	close(fd);
	EXPECT_FILES(1, 0);
	EXPECT_DIRECT(3, 3 * 4096);
}

TEST_F(tally, files_that_the_mapped_device_enables_are_in_none)
{
	int fd = file_open_direct(path);

	ASSERT_EQ(0, fs_enable_armed(volume.fd, fd));
	EXPECT_EQ(0, read_some(fd, 1, 4096));
	close(fd);
	EXPECT_FILES(0, 0);
	EXPECT_DIRECT(0, 0);
}

TEST_F(tally, fallback_reads_count_by_reason_and_stay_when_the_file_closes)
{
	int fd = enabled(self->node), i;
	int writer = open(path, O_WRONLY | O_CLOEXEC);
	struct bpio_tally tally;

	ASSERT_EQ(BYTES, pread(fd, self->buffer, BYTES, 0));
	/* one of what cannot be is a read as well, one behind the end is none */
	ASSERT_EQ(-1, pread(fd, self->buffer, 4096, 1));
	ASSERT_EQ(0, pread(fd, self->buffer, 4096, BYTES));
	close(writer);
	ASSERT_EQ(0, file_armed(fd));
	ASSERT_EQ(0, fcntl(fd, F_SETFL, 0));
	ASSERT_EQ(4096, pread(fd, self->buffer, 4096, 0));
	ASSERT_EQ(0, fcntl(fd, F_SETFL, O_DIRECT));
	for (i = 0; i < 2; i++) {
		tally = TALLY();
		EXPECT_EQ(2u, tally.fallback_reads);
		EXPECT_EQ(2u, tally.fallback_reason[BPIO_REASON_WRITER] +
			      tally.fallback_reason[BPIO_REASON_REVOKED]);
		EXPECT_EQ((uint64_t)BYTES, tally.fallback_bytes);
		EXPECT_EQ(0u, tally.fallback_reason[BPIO_REASON_NOT_DIRECT]);
		EXPECT_EQ(0u, tally.direct_reads);
		if (!i)
			close(fd);
	}
}

static void expect_refusal(struct __test_metadata *_metadata,
			   FIXTURE_DATA(tally) *self, int fd, int expected,
			   enum bpio_reason reason)
{
	struct bpio_tally before = TALLY(), after;

	EXPECT_EQ(expected, node_enable(self->node, fd));
	after = TALLY();
	EXPECT_EQ(before.refused + 1, after.refused);
	EXPECT_EQ(before.refused_reason[reason] + 1,
		  after.refused_reason[reason]) TH_LOG("%s", reason_token(reason));
	EXPECT_EQ(0u, after.files);
	close(fd);
}

#define REFUSED(error, reason, ...) \
	expect_refusal(_metadata, self, open(__VA_ARGS__ | O_CLOEXEC), error, \
		       BPIO_REASON_##reason)

TEST_F(tally, what_is_refused_counts_by_reason)
{
	struct fs_bpio_output out;
	struct bpio_tally tally;
	int fd;

	REFUSED(-EOPNOTSUPP, NOT_READ_ONLY, path, O_RDWR | O_DIRECT);
	REFUSED(-EOPNOTSUPP, NOT_READ_ONLY, path, O_RDWR);
	REFUSED(-EBADF, NOT_READABLE, path, O_WRONLY | O_DIRECT);
	REFUSED(-EOPNOTSUPP, NOT_REGULAR_FILE, volume.mount, O_DIRECTORY);
	REFUSED(-ENXIO, OTHER_VOLUME, FOREIGN, O_RDONLY);
	REFUSED(-ENXIO, OTHER_VOLUME, "/dev/null", O_RDONLY);
	tally = TALLY();
	EXPECT_EQ(6u, tally.refused);
	/* questions are not counted, nor is what could not be asked */
	fd = open(path, O_RDWR | O_CLOEXEC);
	ASSERT_EQ(0, fs_op(self->node, FS_BPIO_OP_QUERY, fd, &out));
	ASSERT_EQ((unsigned int)BPIO_REASON_NOT_READ_ONLY, out.query.reason);
	close(fd);
	ASSERT_EQ(-EBADF, node_enable(self->node, -1));
	ASSERT_EQ(-EBADF, node_enable(self->node, fd));
	EXPECT_EQ(6u, TALLY().refused);
	/* what is not direct yet is not refused */
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_EQ(0, node_enable(self->node, fd));
	EXPECT_FILES(1, 1);
	EXPECT_EQ(6u, TALLY().refused);
	close(fd);
}

TEST_F(tally, a_duplicate_of_the_node_is_the_same_tally)
{
	int copy = dup(self->node), fd = enabled(copy);
	char again[64];
	int fresh;

	EXPECT_EQ(0, read_some(fd, 1, 4096));
	EXPECT_FILES(1, 1);
	EXPECT_DIRECT(1, 4096);
	/* but another open of it is not */
	snprintf(again, sizeof(again), "/proc/self/fd/%d", copy);
	fresh = open(again, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, fresh);
	EXPECT_EQ(0u, tally_of(_metadata, fresh).files);
	close(fresh);
	close(copy);
	close(fd);
	EXPECT_FILES(1, 0);
	EXPECT_DIRECT(1, 4096);
}

TEST_F(tally, files_go_on_when_their_tally_is_closed)
{
	int node = node_open(), fd = enabled(node);

	close(node);
	EXPECT_EQ(0, read_some(fd, 1, 4096));
	EXPECT_EQ(1u, file_direct(fd));
	EXPECT_EQ(1, active_count(volume.fd));
	close(fd);
}

/* --- of other processes --- */

/* In a child: enable, read, and end in the given way. */
static pid_t reading_child(int node, int reads, bool waits, int *ready)
{
	int pair[2];
	pid_t pid;
	char c;
	int fd;

	if (pipe2(pair, O_CLOEXEC))
		return -errno;
	pid = fork();
	if (!pid) {
		fd = enabled(node);
		if (fd < 0 || read_some(fd, reads, 4096) ||
		    write(pair[1], "x", 1) != 1)
			_exit(1);
		while (waits)
			pause();
		_exit(0);
	}
	close(pair[1]);
	*ready = read(pair[0], &c, 1) == 1;
	close(pair[0]);
	return pid;
}

TEST_F(tally, it_sums_what_children_and_their_children_read)
{
	int ready, fd = enabled(self->node), status;
	pid_t pid;

	EXPECT_EQ(0, read_some(fd, 1, 4096));
	pid = fork();
	if (!pid) {
		/* what it inherited counts too, and is the same file */
		if (read_some(fd, 1, 4096) || become_nobody())
			_exit(1);
		pid = reading_child(self->node, 5, false, &ready);
		waitpid(pid, &status, 0);
		_exit(!ready || status);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);
	EXPECT_FILES(2, 1);
	EXPECT_DIRECT(7, 7 * 4096);
	close(fd);
}

TEST_F(tally, a_process_that_is_killed_leaves_its_counts)
{
	int ready, status, i;
	pid_t pids[4];

	for (i = 0; i < 4; i++) {
		pids[i] = reading_child(self->node, i + 1, true, &ready);
		ASSERT_EQ(1, ready);
	}
	EXPECT_FILES(4, 4);
	for (i = 0; i < 4; i++)
		kill(pids[i], SIGKILL);
	for (i = 0; i < 4; i++) {
		ASSERT_EQ(pids[i], waitpid(pids[i], &status, 0));
		ASSERT_TRUE(WIFSIGNALED(status));
	}
	EXPECT_FILES(4, 0);
	EXPECT_DIRECT(10, 10 * 4096);
}

/* This program, executed again by the test below. */
static int executed(int node)
{
	int fd = enabled(node);

	return fd < 0 || read_some(fd, 6, 4096);
}

TEST_F(tally, it_is_inherited_by_what_is_executed)
{
	char number[16];
	int status;
	pid_t pid;

	fcntl(self->node, F_SETFD, 0);
	snprintf(number, sizeof(number), "%d", self->node);
	pid = fork();
	if (!pid) {
		setenv("BPIO_TEST_TALLY", number, 1);
		setenv("BPIO_TEST_TALLY_FILE", path, 1);
		execl("/proc/self/exe", "tally", NULL);
		_exit(127);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);
	EXPECT_FILES(1, 0);
	EXPECT_DIRECT(6, 6 * 4096);
}

TEST_F(tally, it_can_be_handed_to_another_process)
{
	int pair[2], status, node, fd;
	pid_t pid;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	pid = fork();
	if (!pid) {
		close(self->node);
		if (become_nobody())
			_exit(1);
		node = receive_fd(pair[1]);
		fd = enabled(node);
		_exit(fd < 0 || read_some(fd, 2, 4096));
	}
	ASSERT_EQ(0, send_fd(pair[0], self->node));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_EQ(0, status);
	EXPECT_FILES(1, 0);
	EXPECT_DIRECT(2, 2 * 4096);
}

/* --- many, and at the same time --- */

TEST_F(tally, two_hundred_files_are_counted_each)
{
	int fds[FILES], i;

	for (i = 0; i < FILES; i++) {
		fds[i] = file_open_direct(path);
		ASSERT_EQ(0, node_enable(self->node, fds[i]));
	}
	EXPECT_FILES(FILES, FILES);
	ASSERT_EQ(0, file_armed(fds[0]));
	for (i = 0; i < FILES; i++)
		ASSERT_EQ(0, read_some(fds[i], 1, 4096));
	EXPECT_DIRECT(FILES, FILES * 4096);
	for (i = 0; i < FILES; i += 2)
		close(fds[i]);
	EXPECT_FILES(FILES, FILES / 2);
	for (i = 1; i < FILES; i += 2)
		close(fds[i]);
	EXPECT_FILES(FILES, 0);
	EXPECT_DIRECT(FILES, FILES * 4096);
}

#define THREADS	3

struct churn {
	int		node;
	atomic_bool	stop;
	atomic_bool	failed;
	atomic_ulong	files;
	atomic_ulong	reads;
};

static void *open_read_and_close(void *argument)
{
	struct churn *churn = argument;
	int fd;

	while (!churn->stop && !churn->failed) {
		fd = file_open_direct(path);
		if (node_enable(churn->node, fd) || read_some(fd, 2, 4096))
			churn->failed = true;
		close(fd);
		churn->files++;
		churn->reads += 2;
	}
	return NULL;
}

static bool goes_back(const struct bpio_tally *before,
		      const struct bpio_tally *after)
{
	return after->files < before->files ||
	       after->direct_reads < before->direct_reads ||
	       after->direct_bytes < before->direct_bytes ||
	       after->fallback_reads < before->fallback_reads ||
	       after->fallback_bytes < before->fallback_bytes;
}

TEST_F(tally, it_never_goes_back_while_files_are_opened_and_closed)
{
	struct churn churn = { .node = self->node };
	uint64_t deadline = now_ms() + DEADLINE_MS;
	struct bpio_tally before = TALLY(), now;
	pthread_t threads[THREADS];
	int i;

	for (i = 0; i < THREADS; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL,
					    open_read_and_close, &churn));
	while (churn.files < 300 && !churn.failed && now_ms() < deadline) {
		ASSERT_EQ(0, tally_read(self->node, &now));
		EXPECT_EQ(false, goes_back(&before, &now));
		EXPECT_GE((uint64_t)THREADS, now.open_files);
		before = now;
	}
	churn.stop = true;
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	EXPECT_EQ(false, churn.failed);
	EXPECT_LE(300u, churn.files);
	now = TALLY();
	EXPECT_EQ(churn.files, now.files);
	EXPECT_EQ(0u, now.open_files);
	EXPECT_EQ(churn.reads, now.direct_reads + now.fallback_reads);
	EXPECT_EQ(churn.reads * 4096, now.direct_bytes + now.fallback_bytes);
	EXPECT_LT(0u, now.direct_reads);
}

int main(int argc, char **argv)
{
	const char *node = getenv("BPIO_TEST_TALLY");

	if (!node)
		return program_main(argc, argv);
	snprintf(path, sizeof(path), "%s", getenv("BPIO_TEST_TALLY_FILE"));
	return executed(atoi(node));
}
