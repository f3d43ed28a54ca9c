// SPDX-License-Identifier: GPL-2.0-only
/*
 * Asynchronous reads of an enabled file: io_uring in all its modes, and libaio through
 * its system calls. Each read is compared with what was written.
 */
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <liburing.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "mapper.h"
#include "program.h"

#define KIB		1024
#define MIB		(1024 * KIB)
#define BYTES		(4 * MIB)
#define DEPTH		32
#define SLOT		(64 * KIB)
#define FRAGMENTS	64

static struct volume volume;

/* "file" is whole, "pieces" has an extent for each block, "holes" has holes. */
static int program_setup(void)
{
	int ret, fd;

	ret = volume_ext4(&volume, "async", devices.nvme, 2048,
			  MIB_SECTORS(64)) ?:
	      file_create(volume_path(&volume, "file"), BYTES + 1000, 1) ?:
	      file_create_fragmented(volume_path(&volume, "pieces"), FRAGMENTS,
				     4096, 2);
	if (ret)
		return ret;
	fd = open(volume_path(&volume, "holes"), O_RDWR | O_CREAT | O_CLOEXEC,
		  0600);
	for (off_t at = 0; !ret && at < MIB; at += 32 * KIB)
		ret = file_write(fd, at, 16 * KIB, 3, 1);
	ret = ret ?: fsync(fd);
	close(fd);
	return ret;
}

static int program_cleanup(void)
{
	return volume_remove(&volume);
}

/* A ring over one enabled file, with a buffer for each read in flight. */
FIXTURE(ring) {
	struct io_uring	ring;
	int		fd;		/* enabled */
	char		*memory;
	struct read {
		uint64_t	offset;
		size_t		length;
	} reads[DEPTH];
};

FIXTURE_VARIANT(ring) {
	unsigned int	setup;		/* IORING_SETUP_* */
	unsigned int	sqe_flags;	/* IOSQE_*; FIXED_FILE registers */
	bool		fixed_buffers;
};

FIXTURE_VARIANT_ADD(ring, plain) {
	.setup = 0,
};

FIXTURE_VARIANT_ADD(ring, by_worker_threads) {
	.sqe_flags = IOSQE_ASYNC,
};

FIXTURE_VARIANT_ADD(ring, fixed_file_and_buffers) {
	.sqe_flags = IOSQE_FIXED_FILE, .fixed_buffers = true,
};

FIXTURE_VARIANT_ADD(ring, submitted_by_a_kernel_thread) {
	.setup = IORING_SETUP_SQPOLL, .sqe_flags = IOSQE_FIXED_FILE,
};

FIXTURE_VARIANT_ADD(ring, polled) {
	.setup = IORING_SETUP_IOPOLL,
};

FIXTURE_VARIANT_ADD(ring, polled_with_fixed_file_and_buffers) {
	.setup = IORING_SETUP_IOPOLL, .sqe_flags = IOSQE_FIXED_FILE,
	.fixed_buffers = true,
};

FIXTURE_SETUP(ring)
{
	struct iovec iovecs[DEPTH];
	unsigned int i;

	self->fd = -1;
	self->memory = dio_alloc(DEPTH * SLOT);
	ASSERT_EQ(0, io_uring_queue_init(2 * DEPTH, &self->ring,
					 variant->setup));
	for (i = 0; i < DEPTH; i++)
		iovecs[i] = (struct iovec) { self->memory + i * SLOT, SLOT };
	if (variant->fixed_buffers)
		ASSERT_EQ(0, io_uring_register_buffers(&self->ring, iovecs,
						       DEPTH));
}

FIXTURE_TEARDOWN(ring)
{
	io_uring_queue_exit(&self->ring);
	close(self->fd);
	EXPECT_EQ(0, active_count_wait(volume.fd, 0));
}

static int open_file(FIXTURE_DATA(ring) *self,
		     const FIXTURE_VARIANT(ring) *variant, const char *file)
{
	int ret;

	self->fd = file_open_direct(volume_path(&volume, file));
	if (self->fd < 0)
		return self->fd;
	ret = fs_enable(volume.fd, self->fd);
	if (ret)
		return ret;
	if (variant->sqe_flags & IOSQE_FIXED_FILE &&
	    io_uring_register_files(&self->ring, &self->fd, 1))
		return -EIO;
	return file_armed(self->fd);
}

/* What a request names: the descriptor, or its place among the registered files. */
static int ring_file(const FIXTURE_DATA(ring) *self,
		     const FIXTURE_VARIANT(ring) *variant)
{
	return variant->sqe_flags & IOSQE_FIXED_FILE ? 0 : self->fd;
}

static void prepare(FIXTURE_DATA(ring) *self,
		    const FIXTURE_VARIANT(ring) *variant, unsigned int slot,
		    uint64_t offset, size_t length)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&self->ring);
	int fd = ring_file(self, variant);
	char *to = self->memory + slot * SLOT;

	memset(to, 0xa5, length);
	self->reads[slot] = (struct read) { offset, length };
	if (variant->fixed_buffers)
		io_uring_prep_read_fixed(sqe, fd, to, length, offset, slot);
	else
		io_uring_prep_read(sqe, fd, to, length, offset);
	io_uring_sqe_set_flags(sqe, variant->sqe_flags);
	io_uring_sqe_set_data64(sqe, slot);
}

/* Wait for one read; its slot, or a negative errno; its result in @result. */
static int complete(FIXTURE_DATA(ring) *self, int *result)
{
	struct io_uring_cqe *cqe;
	int slot, ret;

	ret = io_uring_wait_cqe(&self->ring, &cqe);
	if (ret)
		return ret;
	slot = io_uring_cqe_get_data64(cqe);
	*result = cqe->res;
	io_uring_cqe_seen(&self->ring, cqe);
	return slot;
}

/*
 * Keep DEPTH reads in flight until @total have completed, each of them at a
 * pseudo-random place below @size, and check every one, its bytes if there is a
 * rule for them.
 */
static void churn(struct __test_metadata *_metadata, FIXTURE_DATA(ring) *self,
		  const FIXTURE_VARIANT(ring) *variant, unsigned int total,
		  uint64_t size, const struct content_rule *rule)
{
	unsigned int submitted = 0, completed = 0, slot, seed = 12345;

	for (slot = 0; slot < DEPTH; slot++, submitted++)
		prepare(self, variant, slot, slot * 4096 % size, 4096);
	while (completed < total) {
		char why[256];
		int result;
		struct read *read;
		bool wrong;
		int done;

		ASSERT_LE(0, io_uring_submit(&self->ring));
		done = complete(self, &result);
		ASSERT_LE(0, done);
		read = &self->reads[done];
		ASSERT_EQ((int)read->length, result)
			TH_LOG("offset %llu", (unsigned long long)read->offset);
		wrong = rule && content_check(self->memory + done * SLOT, result,
					      read->offset, rule, why,
					      sizeof(why));
		ASSERT_FALSE(wrong) TH_LOG("%s", why);
		completed++;
		if (submitted < total) {
			size_t length;

			seed = seed * 1103515245 + 12345;
			length = ((seed >> 8) % (SLOT / 512) + 1) * 512;
			prepare(self, variant, done,
				(seed >> 4) % ((size - length) / 512) * 512,
				length);
			submitted++;
		}
	}
}

TEST_F(ring, many_reads_in_flight_return_what_was_written_and_go_direct)
{
	struct content_rule rule = { .file = 1, .oldest = 1, .newest = 1 };
	struct bpio_file_info info;

	ASSERT_EQ(0, open_file(self, variant, "file"));
	churn(_metadata, self, variant, 500, BYTES, &rule);
	ASSERT_EQ(0, file_info(self->fd, &info));
	EXPECT_EQ(500u, info.direct_reads + info.fallback_reads);
	/* the pool of requests may be empty for one that may not wait */
	EXPECT_EQ(info.fallback_reads,
		  info.fallback_reason[BPIO_REASON_NO_WAIT]);
	EXPECT_LT(450u, info.direct_reads);
}

TEST_F(ring, reads_across_extents_return_what_was_written)
{
	struct content_rule rule = { .file = 2, .oldest = 1, .newest = 1 };

	ASSERT_EQ(0, open_file(self, variant, "pieces"));
	churn(_metadata, self, variant, 300, FRAGMENTS * 4096, &rule);
	EXPECT_LT(0u, file_direct(self->fd));
}

/* More pages than a bio takes: a ring asks without waiting first. */
TEST_F(ring, a_read_of_many_scattered_pages_goes_direct)
{
	enum { PAGES = 300 };
	struct iovec iov[PAGES];
	struct io_uring_sqe *sqe;
	int result;

	ASSERT_EQ(0, open_file(self, variant, "file"));
	memset(self->memory, 0xa5, PAGES * 4096);
	dio_scatter(iov, PAGES, self->memory);
	sqe = io_uring_get_sqe(&self->ring);
	io_uring_prep_readv(sqe, ring_file(self, variant), iov, PAGES, 8192);
	io_uring_sqe_set_flags(sqe, variant->sqe_flags);
	ASSERT_LE(0, io_uring_submit(&self->ring));
	ASSERT_LE(0, complete(self, &result));
	ASSERT_EQ(PAGES * 4096, result);
	ASSERT_EQ(0, content_vectors_are(iov, PAGES, 8192, 1, 1));
	EXPECT_EQ(1u, file_direct(self->fd));
}

static void *fork_again_and_again(void *stop)
{
	while (!*(atomic_bool *)stop)
		fork_once();
	return NULL;
}

/* Where the memory may be lost, its length still says how much was read. */
TEST_F(ring, reads_across_extents_are_whole_while_the_process_forks)
{
	struct content_rule rule = { .file = 2, .oldest = 1, .newest = 1 };
	atomic_bool stop = false;
	pthread_t thread;

	ASSERT_EQ(0, open_file(self, variant, "pieces"));
	ASSERT_EQ(0, pthread_create(&thread, NULL, fork_again_and_again, &stop));
	churn(_metadata, self, variant, 600, FRAGMENTS * 4096,
	      fork_spares_reads() ? &rule : NULL);
	stop = true;
	pthread_join(thread, NULL);
	EXPECT_LT(0u, file_direct(self->fd));
}

/* Direct and other reads mixed, the latter also where only polled ones go. */
TEST_F(ring, reads_of_holes_are_served_by_the_file_system)
{
	struct content_rule rule = {
		.file = 3, .oldest = 1, .newest = 1, .zeroes = true,
	};

	ASSERT_EQ(0, open_file(self, variant, "holes"));
	churn(_metadata, self, variant, 300, MIB - 16 * KIB, &rule);
	EXPECT_LT(0u, file_fallbacks(self->fd, BPIO_REASON_UNMAPPED));
}

TEST_F(ring, reads_after_disable_are_served_by_the_file_system)
{
	struct content_rule rule = { .file = 1, .oldest = 1, .newest = 1 };

	ASSERT_EQ(0, open_file(self, variant, "file"));
	ASSERT_EQ(0, fs_disable(volume.fd, self->fd));
	churn(_metadata, self, variant, 200, BYTES, &rule);
	EXPECT_EQ(200u, file_fallbacks(self->fd, BPIO_REASON_DISABLED));
	EXPECT_EQ(0u, file_direct(self->fd));
}

/* Results other than the bytes asked for, one at a time. */
TEST_F(ring, the_end_of_the_file_and_bad_alignment_answer_as_pread_does)
{
	static const struct read odd[] = {
		{ BYTES, 4096 }, { BYTES - 4096, 8192 }, { BYTES + 4096, 4096 },
		{ 1ull << 40, 4096 }, { 1, 4096 }, { 4096, 100 }, { 0, 0 },
	};
	int plain = file_open_direct(volume_path(&volume, "file"));
	char *buffer = dio_alloc(SLOT);
	unsigned int i;

	ASSERT_LE(0, plain);
	ASSERT_EQ(0, open_file(self, variant, "file"));
	for (i = 0; i < ARRAY_SIZE(odd); i++) {
		ssize_t expected = pread(plain, buffer, odd[i].length,
					 odd[i].offset);
		int result;

		if (expected < 0)
			expected = -errno;
		prepare(self, variant, 0, odd[i].offset, odd[i].length);
		ASSERT_LT(0, io_uring_submit(&self->ring));
		ASSERT_EQ(0, complete(self, &result));
		EXPECT_EQ(expected, result)
			TH_LOG("offset %llu length %zu",
			       (unsigned long long)odd[i].offset,
			       odd[i].length);
		if (result > 0)
			EXPECT_EQ(0, content_is(self->memory, result,
						odd[i].offset, 1, 1));
	}
}

/* Nothing waits for the reads: the ring and the file go first. */
TEST_F(ring, everything_may_be_closed_while_reads_are_in_flight)
{
	unsigned int slot, round;

	for (round = 0; round < 20; round++) {
		ASSERT_EQ(0, open_file(self, variant, "file"));
		for (slot = 0; slot < DEPTH; slot++)
			prepare(self, variant, slot, slot * SLOT, SLOT);
		ASSERT_LE(0, io_uring_submit(&self->ring));
		close(self->fd);
		self->fd = -1;
		for (slot = 0; slot < DEPTH; slot++) {
			int result, done = complete(self, &result);

			ASSERT_LE(0, done);
			/* a thread of the ring looks the descriptor up */
			if ((variant->setup & IORING_SETUP_SQPOLL ||
			     variant->sqe_flags & IOSQE_ASYNC) &&
			    result == -EBADF)
				continue;
			ASSERT_EQ(SLOT, result);
			ASSERT_EQ(0, content_is(self->memory + done * SLOT,
						SLOT, done * SLOT, 1, 1));
		}
		if (variant->sqe_flags & IOSQE_FIXED_FILE)
			ASSERT_EQ(0, io_uring_unregister_files(&self->ring));
	}
}

TEST_F(ring, a_process_may_die_with_reads_in_flight)
{
	unsigned int round;

	for (round = 0; round < 10; round++) {
		pid_t pid = fork();
		int status;

		ASSERT_LE(0, pid);
		if (!pid) {
			struct io_uring ring;
			int fd = file_open_direct(volume_path(&volume, "file"));
			int slot;

			if (fs_enable(volume.fd, fd) || file_armed(fd) ||
			    io_uring_queue_init(DEPTH, &ring,
						variant->setup &
						IORING_SETUP_IOPOLL))
				_exit(1);
			for (slot = 0; slot < DEPTH; slot++)
				io_uring_prep_read(io_uring_get_sqe(&ring),
						   fd, self->memory +
						   slot * SLOT, SLOT,
						   slot * SLOT);
			io_uring_submit(&ring);
			kill(getpid(), SIGKILL);
		}
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_TRUE(WIFSIGNALED(status));
	}
	EXPECT_EQ(0, active_count_wait(volume.fd, 0));
}

/* Interrupts of all NVMe queues so far; -1 when they cannot be told apart. */
static long nvme_interrupts(void)
{
	FILE *file = fopen("/proc/interrupts", "re");
	char line[1024], *at, *end;
	long sum = 0;

	if (!file)
		return -1;
	while (fgets(line, sizeof(line), file)) {
		if (!strstr(line, "nvme"))
			continue;
		for (at = strchr(line, ':') + 1;; at = end) {
			long count = strtol(at, &end, 10);

			if (end == at || !strchr("\n ", *end))
				break;
			sum += count;
		}
	}
	fclose(file);
	return sum;
}

/* One at a time, or one interrupt would do for many. */
TEST_F(ring, polled_reads_raise_no_interrupts_and_others_do)
{
	char name[128], polls[8] = "";
	long before, after;
	int i, result;

	snprintf(name, sizeof(name), "/sys/class/block/%s/queue/io_poll",
		 strrchr(devices.nvme, '/') + 1);
	if (read_line(name, polls, sizeof(polls)) || strcmp(polls, "1"))
		SKIP(return, "the NVMe driver has no poll queues; load it with poll_queues=2");
	ASSERT_EQ(0, open_file(self, variant, "file"));
	before = nvme_interrupts();
	for (i = 0; i < 200; i++) {
		prepare(self, variant, 0, i * 4096, 4096);
		ASSERT_LE(0, io_uring_submit(&self->ring));
		ASSERT_EQ(0, complete(self, &result));
		ASSERT_EQ(4096, result);
	}
	after = nvme_interrupts();
	EXPECT_LT(150u, file_direct(self->fd));
	/* a few may belong to other requests */
	if (variant->setup & IORING_SETUP_IOPOLL) {
		EXPECT_GT(50, after - before);
	} else {
		EXPECT_LT(150, after - before);
	}
}

#define PIECES		32u
#define PIECE		MIB_SECTORS(1)
#define BELOW		MIB_SECTORS(80)

/* A mapped device of many lines above one of a single line. */
static int create_split(void)
{
	static char params[PIECES][160];
	struct dm_line lines[PIECES];
	unsigned int i;
	int ret = dm_create_one("async-below", "linear", devices.nvme, BELOW,
				PIECES * PIECE, "");

	for (i = 0; !ret && i < PIECES; i++) {
		ret = dm_params(params[i], sizeof(params[i]), "linear",
				dm_node("async-below"), i * PIECE, "");
		lines[i] = (struct dm_line) {
			.start = i * PIECE, .sectors = PIECE,
			.type = "linear", .params = params[i],
		};
	}
	return ret ?: dm_create("async-split", lines, PIECES, false);
}

/* Returns how many of these reads, one after the other, were right. */
static unsigned int read_polled(int fd, char *buffer)
{
	struct io_uring_cqe *cqe;
	struct io_uring ring;
	unsigned int i, good = 0;

	if (io_uring_queue_init(4, &ring, IORING_SETUP_IOPOLL))
		return 0;
	for (i = 0; i < 6; i++) {
		uint64_t offset = i * 512 * KIB;

		memset(buffer, 0xa5, MIB);
		io_uring_prep_read(io_uring_get_sqe(&ring), fd, buffer, MIB,
				   offset);
		if (io_uring_submit(&ring) < 0 ||
		    io_uring_wait_cqe(&ring, &cqe))
			break;
		good += cqe->res == MIB && !content_is(buffer, MIB, offset, 5, 1);
		io_uring_cqe_seen(&ring, cqe);
	}
	io_uring_queue_exit(&ring);
	return good;
}

/*
 * Device-mapper marks a polled bio, and passes the mark on when it splits one:
 * the next mapped device below falls over it.
 */
TEST(polled_reads_that_fall_back_pass_layers_that_split_them)
{
	char *buffer = dio_alloc(MIB);
	struct fs_bpio_output out;
	struct volume split;
	int fd;

	ASSERT_EQ(0, create_split());
	ASSERT_EQ(0, volume_ext4(&split, "async-on-split",
				 dm_node("async-split"), 0, PIECES * PIECE));
	ASSERT_EQ(0, file_create(volume_path(&split, "file"), BYTES, 5));
	fd = file_open_direct(volume_path(&split, "file"));
	ASSERT_EQ(0, fs_enable_armed(split.fd, fd));
	EXPECT_EQ(6u, read_polled(fd, buffer));
	/* 6.1 has them all served by the file system. */
	if (kernel_is_at_least(6, 12))
		EXPECT_LT(0u, file_direct(fd));
	ASSERT_EQ(0, fs_op(split.fd, FS_BPIO_OP_STREAM_PAUSE, fd, &out));
	EXPECT_EQ(6u, read_polled(fd, buffer));
	EXPECT_EQ(6u, file_fallbacks(fd, BPIO_REASON_STREAM_PAUSED));
	close(fd);
	free(buffer);
	EXPECT_EQ(0, volume_remove(&split));
	EXPECT_EQ(0, dm_remove("async-split"));
	EXPECT_EQ(0, dm_remove("async-below"));
}

FIXTURE(aio) {
	aio_context_t	context;
	int		fd;		/* enabled */
	char		*memory;
};

FIXTURE_SETUP(aio)
{
	self->context = 0;
	self->memory = dio_alloc(DEPTH * SLOT);
	ASSERT_EQ(0, syscall(SYS_io_setup, DEPTH, &self->context));
	self->fd = file_open_direct(volume_path(&volume, "file"));
	ASSERT_EQ(0, fs_enable_armed(volume.fd, self->fd));
}

FIXTURE_TEARDOWN(aio)
{
	syscall(SYS_io_destroy, self->context);
	close(self->fd);
	EXPECT_EQ(0, active_count(volume.fd));
}

static struct iocb aio_read(int fd, char *to, size_t length, uint64_t offset)
{
	return (struct iocb) {
		.aio_lio_opcode = IOCB_CMD_PREAD,
		.aio_fildes = fd,
		.aio_buf = (uintptr_t)to,
		.aio_nbytes = length,
		.aio_offset = offset,
	};
}

TEST_F(aio, many_reads_in_flight_return_what_was_written_and_go_direct)
{
	struct iocb iocbs[DEPTH], *pointers[DEPTH];
	struct io_event events[DEPTH];
	unsigned int round, i;

	for (round = 0; round < 8; round++) {
		for (i = 0; i < DEPTH; i++) {
			size_t at = (size_t)SLOT * i;

			iocbs[i] = aio_read(self->fd, self->memory + at,
					    SLOT - round * 512, at);
			iocbs[i].aio_data = i;
			pointers[i] = &iocbs[i];
		}
		ASSERT_EQ(DEPTH, syscall(SYS_io_submit, self->context, DEPTH,
					 pointers));
		ASSERT_EQ(DEPTH, syscall(SYS_io_getevents, self->context, DEPTH,
					 DEPTH, events, NULL));
		for (i = 0; i < DEPTH; i++) {
			unsigned int slot = events[i].data;

			ASSERT_EQ(SLOT - round * 512, events[i].res);
			ASSERT_EQ(0, content_is(self->memory + slot * SLOT,
						SLOT - round * 512, slot * SLOT,
						1, 1));
		}
	}
	EXPECT_EQ(8u * DEPTH, file_direct(self->fd));
}

TEST_F(aio, a_read_at_the_end_of_the_file_is_short)
{
	struct iocb iocb = aio_read(self->fd, self->memory, SLOT,
				    BYTES - 4096), *pointer = &iocb;
	struct io_event event;

	ASSERT_EQ(1, syscall(SYS_io_submit, self->context, 1, &pointer));
	ASSERT_EQ(1, syscall(SYS_io_getevents, self->context, 1, 1, &event,
			     NULL));
	EXPECT_EQ(4096 + 1000, event.res);
	EXPECT_EQ(0, content_is(self->memory, 4096 + 1000, BYTES - 4096, 1, 1));
}

TEST_F(aio, the_file_may_be_closed_while_reads_are_in_flight)
{
	struct iocb iocbs[DEPTH], *pointers[DEPTH];
	struct io_event events[DEPTH];
	unsigned int i;

	for (i = 0; i < DEPTH; i++) {
		size_t at = (size_t)SLOT * i;

		iocbs[i] = aio_read(self->fd, self->memory + at, SLOT, at);
		iocbs[i].aio_data = i;
		pointers[i] = &iocbs[i];
	}
	ASSERT_EQ(DEPTH, syscall(SYS_io_submit, self->context, DEPTH, pointers));
	close(self->fd);
	self->fd = -1;
	ASSERT_EQ(DEPTH, syscall(SYS_io_getevents, self->context, DEPTH, DEPTH,
				 events, NULL));
	for (i = 0; i < DEPTH; i++) {
		ASSERT_EQ(SLOT, events[i].res);
		ASSERT_EQ(0, content_is(self->memory + events[i].data * SLOT,
					SLOT, events[i].data * SLOT, 1, 1));
	}
}

TEST_F(aio, writes_are_refused)
{
	struct iocb iocb = aio_read(self->fd, self->memory, 4096, 0);
	struct iocb *pointer = &iocb;

	iocb.aio_lio_opcode = IOCB_CMD_PWRITE;
	EXPECT_EQ(-1, syscall(SYS_io_submit, self->context, 1, &pointer));
	EXPECT_EQ(EBADF, errno);
}

TEST_F(aio, syncs_are_the_file_systems)
{
	struct iocb iocb = aio_read(self->fd, NULL, 0, 0);
	struct iocb *pointer = &iocb;
	struct io_event event;

	iocb.aio_lio_opcode = IOCB_CMD_FSYNC;
	ASSERT_EQ(1, syscall(SYS_io_submit, self->context, 1, &pointer));
	ASSERT_EQ(1, syscall(SYS_io_getevents, self->context, 1, 1, &event,
			     NULL));
	EXPECT_EQ(0, event.res);
}

PROGRAM_MAIN
