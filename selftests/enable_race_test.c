// SPDX-License-Identifier: GPL-2.0-only
/*
 * ENABLE and DISABLE of an open file that other threads use at the same time: they
 * read, poll, map, change flags, duplicate it, pass it to other processes and execute
 * programs. These must not be disturbed, and every byte is verified.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "access.h"
#include "program.h"
#include "readers.h"

#define BYTES	(256 * 1024)
#define CHUNK	(64 * 1024)

static struct volume volume;
static char path[192];

static int program_setup(void)
{
	int ret = volume_fs(&volume, "enable", devices.nvme, 2048,
			    MIB_SECTORS(XFS_MIB), "", "");

	snprintf(path, sizeof(path), "%s", volume_path(&volume, "file"));
	return ret ?: file_create(path, BYTES, 1);
}

static int program_cleanup(void)
{
	return volume_remove(&volume);
}

/* --- what others do with an open file --- */

/* Returns 0 when it was as it has to be. */
typedef int (*user)(int fd, char *buffer);

static int right(const char *bytes, ssize_t n, off_t offset)
{
	return n == CHUNK ? content_is(bytes, CHUNK, offset, 1, 1) : -1;
}

static int read_it(int fd, char *buffer)
{
	memset(buffer, 0xa5, CHUNK);
	return right(buffer, pread(fd, buffer, CHUNK, CHUNK), CHUNK);
}

static int read_vectors_of_it(int fd, char *buffer)
{
	struct iovec iov[2] = {
		{ buffer, CHUNK / 2 }, { buffer + CHUNK / 2, CHUNK / 2 },
	};

	memset(buffer, 0xa5, CHUNK);
	return right(buffer, preadv(fd, iov, 2, 0), 0);
}

static int poll_it(int fd, char *buffer)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	(void)buffer;
	return poll(&poll_fd, 1, 0) == 1 && poll_fd.revents == POLLIN ? 0 : -1;
}

static int duplicate_it(int fd, char *buffer)
{
	int copy = dup(fd), ret = read_it(copy, buffer);

	return close(copy) ?: ret;
}

static int map_it(int fd, char *buffer)
{
	char *memory = mmap(NULL, CHUNK, PROT_READ, MAP_SHARED, fd, 0);
	int ret;

	(void)buffer;
	if (memory == MAP_FAILED)
		return -1;
	ret = right(memory, CHUNK, 0);
	return munmap(memory, CHUNK) ?: ret;
}

static int hand_it_over(int fd, char *buffer)
{
	int pair[2], received, ret;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) || send_fd(pair[0], fd))
		return -1;
	received = receive_fd(pair[1]);
	ret = read_it(received, buffer);
	close(pair[0]);
	close(pair[1]);
	return close(received) ?: ret;
}

/* In flight to nowhere: the last reference may be that of the socket. */
static int leave_it_in_a_socket(int fd, char *buffer)
{
	int pair[2];

	(void)buffer;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) || send_fd(pair[0], fd))
		return -1;
	return close(pair[0]) | close(pair[1]);
}

static int change_its_flags(int fd, char *buffer)
{
	int ret = fcntl(fd, F_SETFL, 0) ?: read_it(fd, buffer);

	return ret ?: fcntl(fd, F_SETFL, O_DIRECT) ?: read_it(fd, buffer);
}

static int ask_about_it(int fd, char *buffer)
{
	struct bpio_file_info info = { .size = sizeof(info) };
	struct stat stat;
	int bytes = 0;

	(void)buffer;
	if (fstat(fd, &stat) || stat.st_size != BYTES ||
	    ioctl(fd, FIONREAD, &bytes) || bytes > BYTES)
		return -1;
	/* whether it is enabled already, or not yet */
	return ioctl(fd, BPIO_IOC_FILE_INFO, &info) && errno != ENOTTY ? -1 : 0;
}

static int look_at_its_fdinfo(int fd, char *buffer)
{
	char name[64];
	ssize_t n;
	int info;

	snprintf(name, sizeof(name), "/proc/self/fdinfo/%d", fd);
	info = open(name, O_RDONLY | O_CLOEXEC);
	n = read(info, buffer, CHUNK - 1);
	close(info);
	if (n < 0)
		return -1;
	buffer[n] = 0;
	return strstr(buffer, "mnt_id:") ? 0 : -1;
}

static int inherit_it(int fd, char *buffer)
{
	int status = -1;
	pid_t pid = fork();

	if (!pid)
		_exit(read_it(fd, buffer) ? 1 : 0);
	return waitpid(pid, &status, 0) == pid ? status : -1;
}

static int execute_with_it(int fd, char *buffer)
{
	posix_spawn_file_actions_t actions;
	char *argv[] = { "cmp", "-n", "65536", "-", path, NULL };
	int status = -1;
	pid_t pid;

	(void)buffer;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, fd, STDIN_FILENO);
	if (lseek(fd, 0, SEEK_SET) || posix_spawnp(&pid, argv[0], &actions, NULL,
						   argv, environ))
		return -1;
	posix_spawn_file_actions_destroy(&actions);
	return waitpid(pid, &status, 0) == pid ? status : -1;
}

/* --- one open file after the other, enabled twice while it is in use --- */

struct race {
	user			use;
	int			doors[2];
	int			fd;
	unsigned int		rounds;
	pthread_barrier_t	barrier;
	atomic_int		failed;
};

static void race_fails(struct race *race, const char *what, int error)
{
	if (!atomic_exchange(&race->failed, 1))
		diag("%s: %d, %s", what, error, strerror(errno));
}

static void *enable_it(struct race *race, int door)
{
	unsigned int i;
	int ret;

	for (i = 0; i < race->rounds; i++) {
		pthread_barrier_wait(&race->barrier);
		ret = fs_enable(race->doors[door], race->fd);
		if (ret)
			race_fails(race, "ENABLE", ret);
		pthread_barrier_wait(&race->barrier);
	}
	return NULL;
}

static void *enable_through_the_node(void *race)
{
	return enable_it(race, 0);
}

static void *enable_through_the_device(void *race)
{
	return enable_it(race, 1);
}

static void *use_it(void *argument)
{
	struct race *race = argument;
	char *buffer = dio_alloc(CHUNK);
	unsigned int i, n;

	for (i = 0; i < race->rounds; i++) {
		pthread_barrier_wait(&race->barrier);
		for (n = 0; n < 3; n++)
			if (race->use(race->fd, buffer))
				race_fails(race, "a user of the file", n);
		pthread_barrier_wait(&race->barrier);
	}
	free(buffer);
	return NULL;
}

FIXTURE(race) {
	struct race	race;
	char		*buffer;
};

FIXTURE_VARIANT(race) {
	user		use;
	unsigned int	rounds;
};

#define USER(name, times)	\
	FIXTURE_VARIANT_ADD(race, name) { .use = name, .rounds = times }

USER(read_it, 200);
USER(read_vectors_of_it, 100);
USER(poll_it, 200);
USER(duplicate_it, 100);
USER(map_it, 100);
USER(hand_it_over, 100);
USER(leave_it_in_a_socket, 100);
USER(change_its_flags, 100);
USER(ask_about_it, 200);
USER(look_at_its_fdinfo, 200);
USER(inherit_it, 40);
USER(execute_with_it, 15);

FIXTURE_SETUP(race)
{
	struct race *race = &self->race;

	memset(race, 0, sizeof(*race));
	self->buffer = dio_alloc(CHUNK);
	race->use = variant->use;
	race->rounds = variant->rounds;
	race->doors[0] = node_open();
	ASSERT_LE(0, race->doors[0]);
	race->doors[1] = volume.fd;
	pthread_barrier_init(&race->barrier, NULL, 4);
}

FIXTURE_TEARDOWN(race)
{
	close(self->race.doors[0]);
	EXPECT_EQ(0, active_count(volume.fd));
}

static void one_round(struct __test_metadata *_metadata,
		      FIXTURE_DATA(race) *self)
{
	struct race *race = &self->race;
	struct bpio_file_info info;

	race->fd = file_open_direct(path);
	pthread_barrier_wait(&race->barrier);
	pthread_barrier_wait(&race->barrier);
	EXPECT_EQ(1, active_count(volume.fd));
	EXPECT_EQ(0, file_info(race->fd, &info));
	EXPECT_EQ(1u, info.enabled);
	EXPECT_EQ(0, read_it(race->fd, self->buffer));
	close(race->fd);
	EXPECT_EQ(0, active_count(volume.fd));
}

TEST_F(race, two_threads_enable_a_file_while_a_third_uses_it)
{
	void *(*const threads[3])(void *) = {
		enable_through_the_node, enable_through_the_device, use_it,
	};
	pthread_t thread[3];
	unsigned int i;

	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, threads[i],
					    &self->race));
	/* all rounds, or the threads would wait at the barrier */
	for (i = 0; i < variant->rounds; i++)
		one_round(_metadata, self);
	for (i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	EXPECT_EQ(0, self->race.failed);
}

/* --- the same open file, enabled and disabled all the time --- */

struct toggle {
	int		node;
	int		fd;
	atomic_bool	stop;
	atomic_uint	turns;
	atomic_int	failed;
};

static void *enable_and_disable(void *argument)
{
	struct toggle *toggle = argument;

	while (!toggle->stop) {
		if (node_enable(toggle->node, toggle->fd) ||
		    fs_disable(toggle->node, toggle->fd))
			toggle->failed = 1;
		toggle->turns++;
	}
	return NULL;
}

static void *set_and_clear_o_direct(void *argument)
{
	struct toggle *toggle = argument;

	while (!toggle->stop) {
		if (fcntl(toggle->fd, F_SETFL, 0) ||
		    fcntl(toggle->fd, F_SETFL, O_DIRECT))
			toggle->failed = 1;
		toggle->turns++;
		usleep(100);
	}
	return NULL;
}

static void *open_for_writing(void *argument)
{
	struct toggle *toggle = argument;

	while (!toggle->stop) {
		close(open(path, O_WRONLY | O_CLOEXEC));
		toggle->turns++;
		usleep(2000);
	}
	return NULL;
}

FIXTURE(toggle) {
	struct toggle	toggle;
	struct readers	readers;
	char		*buffer;
};

FIXTURE_VARIANT(toggle) {
	void	*(*threads[3])(void *);
	bool	enabled;
};

FIXTURE_VARIANT_ADD(toggle, by_one_thread) {
	.threads = { enable_and_disable },
};

FIXTURE_VARIANT_ADD(toggle, by_two_threads) {
	.threads = { enable_and_disable, enable_and_disable },
};

FIXTURE_VARIANT_ADD(toggle, while_o_direct_comes_and_goes) {
	.threads = { enable_and_disable, set_and_clear_o_direct },
};

FIXTURE_VARIANT_ADD(toggle, while_writers_come_and_go) {
	.threads = { enable_and_disable, open_for_writing,
		     set_and_clear_o_direct },
};

FIXTURE_SETUP(toggle)
{
	memset(self, 0, sizeof(*self));
	self->toggle.node = node_open();
	ASSERT_LE(0, self->toggle.node);
	self->toggle.fd = file_open_direct(path);
	ASSERT_LE(0, self->toggle.fd);
	self->buffer = dio_alloc(CHUNK);
	self->readers.fd = self->toggle.fd;
	self->readers.file = 1;
	self->readers.bytes = BYTES;
	self->readers.largest = CHUNK;
	self->readers.oldest = 1;
	self->readers.newest = 1;
}

FIXTURE_TEARDOWN(toggle)
{
	close(self->toggle.fd);
	close(self->toggle.node);
	EXPECT_EQ(0, active_count(volume.fd));
}

TEST_F(toggle, readers_never_notice)
{
	/* a kernel with bug detectors takes a minute */
	uint64_t deadline = now_ms() + 4 * DEADLINE_MS;
	struct toggle *toggle = &self->toggle;
	pthread_t thread[3];
	unsigned int i;

	ASSERT_EQ(0, readers_start(&self->readers));
	for (i = 0; i < 3 && variant->threads[i]; i++)
		ASSERT_EQ(0, pthread_create(&thread[i], NULL,
					    variant->threads[i], toggle));
	while (toggle->turns < 300 && now_ms() < deadline)
		ASSERT_EQ(0, readers_progress(&self->readers, 10));
	toggle->stop = true;
	for (i = 0; i < 3 && variant->threads[i]; i++)
		pthread_join(thread[i], NULL);
	EXPECT_EQ(0, toggle->failed);
	EXPECT_LE(300u, toggle->turns);
	EXPECT_EQ(0, readers_stop(&self->readers));
	/* and it can be had for good */
	ASSERT_EQ(0, fcntl(toggle->fd, F_SETFL, O_DIRECT));
	ASSERT_EQ(0, node_enable(toggle->node, toggle->fd));
	EXPECT_EQ(0, file_wait_direct(toggle->fd, self->buffer, CHUNK, 0));
	EXPECT_EQ(0, content_is(self->buffer, CHUNK, 0, 1, 1));
}

/* --- many open files of one file --- */

#define OPENERS	4

struct openers {
	int		node;
	atomic_bool	stop;
	atomic_uint	opened;
	atomic_int	failed;
};

static void *open_enable_read_close(void *argument)
{
	struct openers *openers = argument;
	char *buffer = dio_alloc(CHUNK);
	int fd;

	while (!openers->stop) {
		fd = file_open_direct(path);
		if (fs_enable(openers->node, fd) || read_it(fd, buffer))
			openers->failed = 1;
		if (close(fd))
			openers->failed = 1;
		openers->opened++;
	}
	free(buffer);
	return NULL;
}

TEST(open_files_of_one_file_are_enabled_and_closed_by_many_threads)
{
	struct openers openers = { .node = node_open() };
	uint64_t deadline = now_ms() + DEADLINE_MS;
	pthread_t threads[OPENERS];
	int i;

	for (i = 0; i < OPENERS; i++)
		ASSERT_EQ(0, pthread_create(&threads[i], NULL,
					    open_enable_read_close, &openers));
	while (openers.opened < 500 && !openers.failed && poll_again(deadline))
		EXPECT_GE(OPENERS, active_count(volume.fd));
	openers.stop = true;
	for (i = 0; i < OPENERS; i++)
		pthread_join(threads[i], NULL);
	EXPECT_EQ(0, openers.failed);
	EXPECT_LE(500u, openers.opened);
	EXPECT_EQ(0, active_count(volume.fd));
	close(openers.node);
}

/* --- death --- */

/* In a child: enable, arm, disable and read from several threads until killed. */
static void die_reading(void)
{
	struct toggle toggle = { .node = node_open() };
	struct readers readers = {
		.file = 1, .bytes = BYTES, .largest = CHUNK,
		.oldest = 1, .newest = 1,
	};
	pthread_t thread;

	toggle.fd = file_open_direct(path);
	readers.fd = toggle.fd;
	if (toggle.fd < 0 || readers_start(&readers) ||
	    pthread_create(&thread, NULL, enable_and_disable, &toggle))
		_exit(1);
	while (!toggle.failed && !readers.failed)
		usleep(1000);
	_exit(1);
}

TEST(a_process_killed_at_any_moment_leaves_nothing_that_keeps_the_mount)
{
	unsigned int i;
	int status;
	pid_t pid;

	for (i = 0; i < 30; i++) {
		pid = fork();
		if (!pid)
			die_reading();
		usleep(500 << i % 8);
		kill(pid, SIGKILL);
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_TRUE(WIFSIGNALED(status)) TH_LOG("status %#x", status);
		ASSERT_EQ(0, volume_umount(&volume));
		EXPECT_EQ(0, active_count(volume.fd));
		ASSERT_EQ(0, volume_mount(&volume, volume_fs_type(), ""));
	}
}

PROGRAM_MAIN
