// SPDX-License-Identifier: GPL-2.0-only
/*
 * ENABLE and DISABLE between the submission of asynchronous reads and their end,
 * and what a ring of io_uring may do with an enabled file: registered files,
 * submission by a kernel thread, links, timeouts and cancellation; also when the
 * process is killed. A slow layer below the volume holds the reads back.
 */
#include <fcntl.h>
#include <liburing.h>
#include <linux/aio_abi.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "flight.h"
#include "program.h"
#include "stack.h"

#define BYTES	(256 * 1024)
#define CHUNK	4096
#define READS	8

/* Both layers are of one device, one after the other. */
static struct stack stack;
static char path[192];
static const char *slow;

static int program_setup(void)
{
	int ret = stack_ext4(&stack, "enable-async", "delay", devices.nvme,
			     2048, MIB_SECTORS(64));

	slow = stack.layer[0].name;
	snprintf(path, sizeof(path), "%s", volume_path(&stack.volume, "file"));
	return ret ?: file_create(path, BYTES, 1);
}

static int program_cleanup(void)
{
	return stack_remove(&stack);
}

static int take_time(const char *ms)
{
	return stack_reload(&stack, 0, "delay", ms);
}

/* A ring, one open file of which reads are in flight, and their memory. */
FIXTURE(async) {
	struct io_uring	ring;
	int		node;
	int		fd;
	char		*memory;
};

FIXTURE_VARIANT(async) {
	unsigned int	setup;		/* IORING_SETUP_* */
	bool		registered;
};

FIXTURE_VARIANT_ADD(async, plain) { .setup = 0 };
FIXTURE_VARIANT_ADD(async, registered) { .registered = true };
FIXTURE_VARIANT_ADD(async, submitted_by_a_kernel_thread) {
	.setup = IORING_SETUP_SQPOLL, .registered = true,
};

FIXTURE_SETUP(async)
{
	ASSERT_EQ(0, io_uring_queue_init(4 * READS, &self->ring,
					 variant->setup));
	self->memory = dio_alloc(READS * CHUNK);
	self->node = node_open();
	ASSERT_LE(0, self->node);
	self->fd = file_open_direct(path);
	ASSERT_LE(0, self->fd);
	if (variant->registered)
		ASSERT_EQ(0, io_uring_register_files(&self->ring, &self->fd, 1));
}

FIXTURE_TEARDOWN(async)
{
	io_uring_queue_exit(&self->ring);
	close(self->fd);
	close(self->node);
	EXPECT_EQ(0, active_count_wait(stack.volume.fd, 0));
	EXPECT_EQ(0, take_time("0"));
}

/* Every second block, so that none are merged on their way. */
static uint64_t place(unsigned int number)
{
	return 2ull * number * CHUNK;
}

static struct io_uring_sqe *prepare(FIXTURE_DATA(async) *self,
				    const FIXTURE_VARIANT(async) *variant,
				    unsigned int number, unsigned int flags)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&self->ring);
	char *to = self->memory + number * CHUNK;

	memset(to, 0xa5, CHUNK);
	io_uring_prep_read(sqe, variant->registered ? 0 : self->fd, to, CHUNK,
			   place(number));
	sqe->flags |= flags | (variant->registered ? IOSQE_FIXED_FILE : 0);
	io_uring_sqe_set_data64(sqe, number);
	return sqe;
}

static void submit_all(struct __test_metadata *_metadata,
		       FIXTURE_DATA(async) *self,
		       const FIXTURE_VARIANT(async) *variant,
		       unsigned int flags)
{
	unsigned int i;

	for (i = 0; i < READS; i++)
		prepare(self, variant, i, i < READS - 1 ? flags :
			flags & ~IOSQE_IO_LINK);
	ASSERT_EQ(READS, io_uring_submit(&self->ring));
}

/* Until @count reads stand in the slow layer. */
static int wait_in_flight(uint64_t count)
{
	uint64_t deadline = now_ms() + DEADLINE_MS;

	do {
		if (delay_reads(slow) == count)
			return 0;
	} while (poll_again(deadline));
	diag("%llu reads in flight, not %llu",
	     (unsigned long long)delay_reads(slow), (unsigned long long)count);
	return -1;
}

static int complete(FIXTURE_DATA(async) *self, uint64_t *number)
{
	struct io_uring_cqe *cqe;
	int result = io_uring_wait_cqe(&self->ring, &cqe);

	if (result)
		return result;
	result = cqe->res;
	*number = cqe->user_data;
	io_uring_cqe_seen(&self->ring, cqe);
	return result;
}

static void complete_all(struct __test_metadata *_metadata,
			 FIXTURE_DATA(async) *self)
{
	uint64_t number;
	int i;

	for (i = 0; i < READS; i++) {
		ASSERT_EQ(CHUNK, complete(self, &number));
		ASSERT_GT((uint64_t)READS, number);
		EXPECT_EQ(0, content_is(self->memory + number * CHUNK, CHUNK,
					place(number), 1, 1));
	}
}

TEST_F(async, enable_leaves_reads_in_flight_alone_and_the_next_are_direct)
{
	ASSERT_EQ(0, take_time(FLIGHT_MS));
	submit_all(_metadata, self, variant, IOSQE_ASYNC);
	ASSERT_EQ(0, wait_in_flight(READS));
	ASSERT_EQ(0, fs_enable(self->node, self->fd));
	/* it did not wait for them */
	EXPECT_EQ((uint64_t)READS, delay_reads(slow));
	complete_all(_metadata, self);
	/* they are not of the enabled file */
	EXPECT_EQ(0u, file_direct(self->fd));
	ASSERT_EQ(0, take_time("0"));
	ASSERT_EQ(0, file_armed(self->fd));
	submit_all(_metadata, self, variant, 0);
	complete_all(_metadata, self);
	EXPECT_LT(0u, file_direct(self->fd));
}

TEST_F(async, disable_and_enable_again_with_reads_in_flight)
{
	unsigned int i;

	ASSERT_EQ(0, node_enable(self->node, self->fd));
	ASSERT_EQ(0, take_time("30"));
	ASSERT_EQ(0, file_armed(self->fd));
	for (i = 0; i < 8; i++) {
		submit_all(_metadata, self, variant, 0);
		ASSERT_EQ(0, i & 1 ? fs_enable(self->node, self->fd) :
				     fs_disable(self->node, self->fd));
		complete_all(_metadata, self);
		/* so that the next ones are direct when DISABLE comes */
		if (i & 1)
			ASSERT_EQ(0, file_armed(self->fd));
	}
	EXPECT_LT(0u, file_direct(self->fd));
}

TEST_F(async, the_last_close_may_come_with_reads_in_flight)
{
	ASSERT_EQ(0, node_enable(self->node, self->fd));
	/* longer than the kernel needs to start that many threads */
	ASSERT_EQ(0, take_time("1000"));
	ASSERT_EQ(0, file_armed(self->fd));
	submit_all(_metadata, self, variant, IOSQE_ASYNC);
	ASSERT_EQ(0, wait_in_flight(READS));
	close(self->fd);
	self->fd = -1;
	/* each of the reads keeps it */
	EXPECT_EQ(1, active_count(stack.volume.fd));
	complete_all(_metadata, self);
	if (variant->registered)
		EXPECT_EQ(0, io_uring_unregister_files(&self->ring));
	EXPECT_EQ(0, active_count_wait(stack.volume.fd, 0));
}

TEST_F(async, linked_reads_are_made_one_after_the_other)
{
	uint64_t number;
	int i;

	ASSERT_EQ(0, node_enable(self->node, self->fd));
	submit_all(_metadata, self, variant, IOSQE_IO_LINK);
	for (i = 0; i < READS; i++) {
		ASSERT_EQ(CHUNK, complete(self, &number));
		EXPECT_EQ((uint64_t)i, number);
		EXPECT_EQ(0, content_is(self->memory + i * CHUNK, CHUNK,
					place(i), 1, 1));
	}
	EXPECT_LT(0u, file_direct(self->fd));
}

/* The first one's error ends the others, as those of any file. */
TEST_F(async, a_failed_read_cancels_what_is_linked_to_it)
{
	uint64_t number;
	int i, result;

	ASSERT_EQ(0, node_enable(self->node, self->fd));
	for (i = 0; i < 3; i++) {
		struct io_uring_sqe *sqe;

		sqe = prepare(self, variant, i, i < 2 ? IOSQE_IO_LINK : 0);
		if (!i)
			sqe->off = 1;
	}
	ASSERT_EQ(3, io_uring_submit(&self->ring));
	for (i = 0; i < 3; i++) {
		result = complete(self, &number);
		EXPECT_EQ(number ? -ECANCELED : -EINVAL, result);
	}
}

/*
 * A read on its way to a device cannot be called back: it is told so, and the read
 * ends with its bytes. One that has not begun ends without.
 */
TEST_F(async, cancelled_reads_are_whole_or_did_not_happen)
{
	uint64_t number;
	int i, result;

	ASSERT_EQ(0, node_enable(self->node, self->fd));
	ASSERT_EQ(0, take_time("100"));
	ASSERT_EQ(0, file_armed(self->fd));
	submit_all(_metadata, self, variant, 0);
	for (i = 0; i < READS; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&self->ring);

		io_uring_prep_cancel64(sqe, i, 0);
		io_uring_sqe_set_data64(sqe, READS + i);
	}
	/* what a kernel thread has not taken yet counts once more */
	ASSERT_LE(READS, io_uring_submit(&self->ring));
	for (i = 0; i < 2 * READS; i++) {
		result = complete(self, &number);
		if (number >= READS) {
			EXPECT_TRUE(!result || result == -EALREADY ||
				    result == -ENOENT) TH_LOG("%d", result);
			continue;
		}
		if (result == -ECANCELED || result == -EINTR)
			continue;
		ASSERT_EQ(CHUNK, result);
		EXPECT_EQ(0, content_is(self->memory + number * CHUNK, CHUNK,
					place(number), 1, 1));
	}
}

TEST_F(async, a_timeout_linked_to_a_read_does_not_tear_it)
{
	struct __kernel_timespec soon = { .tv_nsec = 1000000 };
	struct io_uring_sqe *sqe;
	uint64_t number;
	int i, result;

	ASSERT_EQ(0, node_enable(self->node, self->fd));
	ASSERT_EQ(0, take_time("50"));
	ASSERT_EQ(0, file_armed(self->fd));
	prepare(self, variant, 0, IOSQE_IO_LINK);
	sqe = io_uring_get_sqe(&self->ring);
	io_uring_prep_link_timeout(sqe, &soon, 0);
	io_uring_sqe_set_data64(sqe, READS);
	ASSERT_EQ(2, io_uring_submit(&self->ring));
	for (i = 0; i < 2; i++) {
		result = complete(self, &number);
		if (number || result == -ECANCELED || result == -EINTR)
			continue;
		ASSERT_EQ(CHUNK, result);
		EXPECT_EQ(0, content_is(self->memory, CHUNK, place(0), 1, 1));
	}
}

/* --- other ways to be in flight --- */

TEST(enable_comes_between_submission_and_end_of_libaio)
{
	struct iocb iocbs[READS], *pointers[READS];
	struct io_event events[READS];
	char *memory = dio_alloc(READS * CHUNK);
	aio_context_t context = 0;
	int fd = file_open_direct(path), i;

	ASSERT_EQ(0, syscall(SYS_io_setup, READS, &context));
	ASSERT_EQ(0, take_time(FLIGHT_MS));
	for (i = 0; i < READS; i++) {
		iocbs[i] = (struct iocb) {
			.aio_lio_opcode = IOCB_CMD_PREAD, .aio_fildes = fd,
			.aio_buf = (uintptr_t)(memory + i * CHUNK),
			.aio_nbytes = CHUNK, .aio_offset = place(i),
			.aio_data = i,
		};
		pointers[i] = &iocbs[i];
	}
	ASSERT_EQ(READS, syscall(SYS_io_submit, context, READS, pointers));
	ASSERT_EQ(0, wait_in_flight(READS));
	ASSERT_EQ(0, fs_enable(stack.volume.fd, fd));
	close(fd);
	ASSERT_EQ(READS, syscall(SYS_io_getevents, context, READS, READS, events,
				 NULL));
	for (i = 0; i < READS; i++) {
		EXPECT_EQ(CHUNK, (int)events[i].res);
		EXPECT_EQ(0, content_is(memory + i * CHUNK, CHUNK, place(i), 1,
					1));
	}
	syscall(SYS_io_destroy, context);
	EXPECT_EQ(0, take_time("0"));
	EXPECT_EQ(0, active_count(stack.volume.fd));
}

static void *read_once(void *argument)
{
	char *buffer = dio_alloc(CHUNK);
	ssize_t n = pread(*(int *)argument, buffer, CHUNK, CHUNK);
	bool right = n == CHUNK && !content_is(buffer, CHUNK, CHUNK, 1, 1);

	free(buffer);
	return right ? argument : NULL;
}

TEST(enable_comes_while_another_thread_sleeps_in_a_read)
{
	int fd = file_open_direct(path);
	pthread_t thread;
	void *right;

	ASSERT_EQ(0, take_time(FLIGHT_MS));
	ASSERT_EQ(0, pthread_create(&thread, NULL, read_once, &fd));
	ASSERT_EQ(0, wait_in_flight(1));
	ASSERT_EQ(0, fs_enable(stack.volume.fd, fd));
	EXPECT_EQ(1u, delay_reads(slow));
	ASSERT_EQ(0, pthread_join(thread, &right));
	EXPECT_EQ((void *)&fd, right);
	EXPECT_EQ(0, take_time("0"));
	close(fd);
	EXPECT_EQ(0, active_count(stack.volume.fd));
}

/* In a child: reads in flight, enabled before them or after. */
static void die_in_flight(int node, bool before, int ready)
{
	struct flight flight;
	int fd = file_open_direct(path);

	if (before && (fs_enable(node, fd) || file_armed(fd)))
		_exit(1);
	if (flight_start(&flight, fd, slow))
		_exit(1);
	if (!before && fs_enable(node, fd))
		_exit(1);
	if (write(ready, "x", 1) == 1)
		pause();
	_exit(1);
}

/* A ring is taken down in the background, and holds its files until then. */
static int umount_in_time(void)
{
	uint64_t deadline = now_ms() + DEADLINE_MS;

	while (umount2(stack.volume.mount, 0)) {
		if (errno != EBUSY || !poll_again(deadline))
			return -errno;
	}
	stack.volume.mount[0] = 0;
	return 0;
}

FIXTURE(killed) {
	int	node;
};

FIXTURE_VARIANT(killed) {
	bool	before;
};

FIXTURE_VARIANT_ADD(killed, enabled_before) { .before = true };
FIXTURE_VARIANT_ADD(killed, enabled_meanwhile) { .before = false };

FIXTURE_SETUP(killed)
{
	self->node = node_open();
	ASSERT_LE(0, self->node);
	ASSERT_EQ(0, take_time(FLIGHT_MS));
}

FIXTURE_TEARDOWN(killed)
{
	close(self->node);
	EXPECT_EQ(0, take_time("0"));
}

TEST_F(killed, a_process_with_reads_in_flight_leaves_a_mount_that_can_go)
{
	struct bpio_tally tally;
	int pair[2], status;
	pid_t pid;
	char c;

	ASSERT_EQ(0, pipe2(pair, O_CLOEXEC));
	pid = fork();
	if (!pid)
		die_in_flight(self->node, variant->before, pair[1]);
	close(pair[1]);
	ASSERT_EQ(1, read(pair[0], &c, 1));
	kill(pid, SIGKILL);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFSIGNALED(status));
	ASSERT_EQ(0, umount_in_time());
	EXPECT_EQ(0, active_count(stack.volume.fd));
	ASSERT_EQ(0, volume_mount(&stack.volume, "ext4", ""));
	ASSERT_EQ(0, tally_read(self->node, &tally));
	EXPECT_EQ(1u, tally.files);
	EXPECT_EQ(0u, tally.open_files);
	EXPECT_EQ(variant->before ? FLIGHT_READS : 0, (int)tally.direct_reads);
	close(pair[0]);
}

PROGRAM_MAIN
