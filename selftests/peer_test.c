// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads into peer memory, which is memory of another PCI device: if they go direct they
 * return the right bytes; if not, they fail as without BypassIO, and each is counted
 * under its reason.
 */
#include <fcntl.h>
#include <liburing.h>
#include <linux/aio_abi.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "mapper.h"
#include "peer.h"
#include "program.h"

#define KIB	1024
#define MIB	(1024 * KIB)
#define BYTES	(2 * MIB)
#define FILTER	"peer-filter"
#define START	2048
/* Reads of one ring at a time, and of how many bytes. */
#define DEPTH	32
#define CHUNK	4096

static struct volume volume;
static char path[192];

static int program_setup(void)
{
	int ret = module_load("dm-bpio-filter");

	ret = ret ?: dm_create_one(FILTER, "bpio-filter", devices.nvme, START,
				   MIB_SECTORS(XFS_MIB), "");
	ret = ret ?: volume_fs(&volume, "peer", dm_node(FILTER), 0, 0, "", "");
	snprintf(path, sizeof(path), "%s", volume_path(&volume, "file"));
	return ret ?: file_create(path, BYTES, 1);
}

static int program_cleanup(void)
{
	return volume_remove(&volume) ?: dm_remove(FILTER);
}

/* An enabled file, and peer memory for all of it. */
struct subject {
	int	volume;
	int	fd;
	char	*peer;
};

static int subject_begin(struct subject *s, const struct volume *on,
			 const char *file)
{
	int node = node_open(), ret;

	s->volume = on->fd;
	s->peer = peer_map(NULL, BYTES);
	s->fd = file_open_direct(file);
	ret = s->fd < 0 ? s->fd : node_enable(node, s->fd) ?:
				  file_armed(s->fd);
	close(node);
	return ret;
}

static void subject_end(struct subject *s)
{
	if (!s->peer)
		return;
	munmap(s->peer, BYTES);
	close(s->fd);
}

/* Number of fall-backs, and says why they were. */
static uint64_t fallbacks(const struct subject *s)
{
	struct bpio_file_info info;
	unsigned int i;

	if (file_info(s->fd, &info))
		return UINT64_MAX;
	for (i = 0; i < BPIO_REASON_COUNT; i++)
		if (info.fallback_reason[i])
			diag("%s: %llu", reason_token(i),
			     (unsigned long long)info.fallback_reason[i]);
	return info.fallback_reads;
}

/* Bytes read into peer memory, or the negative errno. */
static ssize_t into_peer(const struct subject *s, size_t bytes, uint64_t offset)
{
	ssize_t n = pread(s->fd, s->peer, bytes, offset);

	return n < 0 ? -errno : n;
}

/* Reads fail, and one more is counted for @reason. */
static void expect_refused(struct __test_metadata *_metadata,
			   const struct subject *s, size_t bytes,
			   enum bpio_reason reason)
{
	uint64_t before = file_fallbacks(s->fd, reason);
	uint64_t direct = file_direct(s->fd);

	EXPECT_EQ(-EREMOTEIO, into_peer(s, bytes, 0));
	EXPECT_EQ(before + 1, file_fallbacks(s->fd, reason))
		TH_LOG("not counted as %s", reason_token(reason));
	EXPECT_EQ(direct, file_direct(s->fd));
}

static void expect_direct(struct __test_metadata *_metadata,
			  const struct subject *s, size_t bytes)
{
	uint64_t before = file_direct(s->fd);

	EXPECT_EQ((ssize_t)bytes, into_peer(s, bytes, 0));
	EXPECT_EQ(0, peer_is(s->peer, bytes, 0, 1, 1));
	EXPECT_EQ(before + 1, file_direct(s->fd));
}

/* The same into ordinary memory. */
static void expect_ordinary_direct(struct __test_metadata *_metadata,
				   const struct subject *s)
{
	uint64_t before = file_direct(s->fd);
	char *buffer = dio_alloc(BYTES);

	EXPECT_EQ(BYTES, pread(s->fd, buffer, BYTES, 0));
	EXPECT_EQ(0, content_is(buffer, BYTES, 0, 1, 1));
	EXPECT_EQ(before + 1, file_direct(s->fd));
	free(buffer);
}

static bool told_by_volume(const struct subject *s)
{
	struct fs_bpio_info info;

	return !fs_info(s->volume, &info) && info.flags & BPIO_INFO_PEER_MEMORY;
}

static bool told_by_file(const struct subject *s)
{
	struct bpio_file_info info;

	return !file_info(s->fd, &info) && info.flags & BPIO_INFO_PEER_MEMORY;
}

FIXTURE(peer) {
	struct subject	s;
};

FIXTURE_SETUP(peer)
{
	const char *why = peer_missing();

	if (why)
		SKIP(return, "%s", why);
	ASSERT_EQ(0, subject_begin(&self->s, &volume, path));
}

FIXTURE_TEARDOWN(peer)
{
	subject_end(&self->s);
	EXPECT_EQ(0, active_count_wait(volume.fd, 0));
}

TEST_F(peer, memory_can_be_read_into_is_told_by_volume_and_file)
{
	EXPECT_TRUE(told_by_volume(&self->s));
	EXPECT_TRUE(told_by_file(&self->s));
}

/* What the others are measured by; and why the feature is one. */
TEST_F(peer, memory_is_refused_by_the_file_itself)
{
	struct subject plain = self->s;

	plain.fd = file_open_direct(path);
	ASSERT_LE(0, plain.fd);
	EXPECT_EQ(-EREMOTEIO, into_peer(&plain, 4096, 0));
	EXPECT_EQ(-EREMOTEIO, into_peer(&plain, MIB, 0));
	close(plain.fd);
}

TEST_F(peer, memory_cannot_be_registered_with_a_ring)
{
	struct iovec iov = { self->s.peer, MIB };
	struct io_uring ring;

	ASSERT_EQ(0, io_uring_queue_init(1, &ring, 0));
	EXPECT_GT(0, io_uring_register_buffers(&ring, &iov, 1));
	io_uring_queue_exit(&ring);
}

TEST_F(peer, memory_at_the_end_of_the_file_is_filled_as_ordinary_memory)
{
	const char *tail = volume_path(&volume, "tail");
	char *buffer = dio_alloc(16 * KIB);
	struct subject s;

	ASSERT_EQ(0, file_create(tail, 8 * KIB + 1000, 1));
	ASSERT_EQ(0, subject_begin(&s, &volume, tail));
	memset(s.peer, 0xa5, 16 * KIB);
	memset(buffer, 0xa5, 16 * KIB);
	ASSERT_EQ(8 * KIB + 1000, pread(s.fd, buffer, 16 * KIB, 0));
	EXPECT_EQ(8 * KIB + 1000, into_peer(&s, 16 * KIB, 0));
	EXPECT_EQ(2u, file_direct(s.fd));
	EXPECT_EQ(0, memcmp(buffer, s.peer, 16 * KIB));
	subject_end(&s);
	unlink(tail);
	free(buffer);
}

/* No device has to reach the memory for a hole. */
TEST_F(peer, memory_for_a_hole_is_cleared_and_for_a_part_of_one_refused)
{
	const char *sparse = volume_path(&volume, "sparse");
	char *zeroes = calloc(1, 64 * KIB);
	struct subject s;
	int fd;

	ASSERT_EQ(0, file_create(sparse, 256 * KIB, 1));
	fd = open(sparse, O_WRONLY | O_CLOEXEC);
	ASSERT_EQ(0, fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			       64 * KIB, 128 * KIB));
	close(fd);
	ASSERT_EQ(0, subject_begin(&s, &volume, sparse));
	memset(s.peer, 0xa5, 64 * KIB);
	EXPECT_EQ(64 * KIB, into_peer(&s, 64 * KIB, 64 * KIB));
	EXPECT_EQ(0, memcmp(zeroes, s.peer, 64 * KIB));
	expect_refused(_metadata, &s, 128 * KIB, BPIO_REASON_UNMAPPED);
	expect_direct(_metadata, &s, 64 * KIB);
	subject_end(&s);
	unlink(sparse);
	free(zeroes);
}

/* Read into one page of each kind by two vectors. */
static ssize_t read_both(int fd, void *first, void *second)
{
	struct iovec iov[2] = { { first, 4096 }, { second, 4096 } };
	ssize_t n = preadv(fd, iov, 2, 0);

	return n < 0 ? -errno : n;
}

TEST_F(peer, memory_and_ordinary_memory_in_one_read_is_refused)
{
	uint64_t direct = file_direct(self->s.fd);
	char *buffer = dio_alloc(4096);

	EXPECT_EQ(-EREMOTEIO, read_both(self->s.fd, buffer, self->s.peer));
	EXPECT_EQ(-EREMOTEIO, read_both(self->s.fd, self->s.peer, buffer));
	EXPECT_EQ(2u, file_fallbacks(self->s.fd, BPIO_REASON_PEER_MEMORY));
	EXPECT_EQ(2u, fallbacks(&self->s));
	EXPECT_EQ(direct, file_direct(self->s.fd));
	EXPECT_EQ(8192, read_both(self->s.fd, self->s.peer,
				  self->s.peer + 4096));
	EXPECT_EQ(direct + 1, file_direct(self->s.fd));
	free(buffer);
}

/* One range of addresses with a page of the other kind in it. */
TEST_F(peer, memory_beside_ordinary_memory_in_one_range_is_refused)
{
	static const size_t sizes[] = { 8 * KIB, 64 * KIB };
	unsigned int i, at;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		for (at = 0; at < 2; at++) {
			char *memory = dio_alloc(sizes[i]);
			struct subject s = self->s;

			peer_map(memory + (at ? sizes[i] - 4096 : 0), 4096);
			s.peer = memory;
			expect_refused(_metadata, &s, sizes[i],
				       BPIO_REASON_PEER_MEMORY);
			/* what the allocator gets back has to be its own */
			mmap(memory + (at ? sizes[i] - 4096 : 0), 4096,
			     PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
			free(memory);
		}
	}
}

TEST_F(peer, memory_that_ends_fails_as_ordinary_memory_that_ends)
{
	char *end = self->s.peer + BYTES - 4096;

	munmap(end, 4096);
	EXPECT_EQ(-1, pread(self->s.fd, end, 4096, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, pread(self->s.fd, end - 4096, 8192, 0));
	EXPECT_EQ(4096, pread(self->s.fd, end - 4096, 4096, 0));
	EXPECT_EQ(0, peer_is(end - 4096, 4096, 0, 1, 1));
}

TEST_F(peer, memory_is_refused_while_bypass_is_away_and_taken_afterwards)
{
	struct fs_bpio_output out;

	ASSERT_EQ(0, fs_op(volume.fd, FS_BPIO_OP_STREAM_PAUSE, self->s.fd,
			   &out));
	expect_refused(_metadata, &self->s, 4096, BPIO_REASON_STREAM_PAUSED);
	expect_refused(_metadata, &self->s, MIB, BPIO_REASON_STREAM_PAUSED);
	ASSERT_EQ(0, fs_op(volume.fd, FS_BPIO_OP_STREAM_RESUME, self->s.fd,
			   &out));
	expect_direct(_metadata, &self->s, MIB);
	ASSERT_EQ(0, fs_disable(volume.fd, self->s.fd));
	expect_refused(_metadata, &self->s, 4096, BPIO_REASON_DISABLED);
}

/* Then reads enter at a mapped device, whose queue cannot. */
TEST_F(peer, memory_is_refused_while_the_volume_is_paused_and_taken_afterwards)
{
	struct fs_bpio_output out;

	ASSERT_EQ(0, fs_op(volume.fd, FS_BPIO_OP_VOLUME_STACK_PAUSE, -1, &out));
	EXPECT_FALSE(told_by_volume(&self->s));
	EXPECT_FALSE(told_by_file(&self->s));
	expect_refused(_metadata, &self->s, 4096, BPIO_REASON_PEER_MEMORY);
	expect_refused(_metadata, &self->s, MIB, BPIO_REASON_PEER_MEMORY);
	expect_ordinary_direct(_metadata, &self->s);
	ASSERT_EQ(0, fs_op(volume.fd, FS_BPIO_OP_VOLUME_STACK_RESUME, -1,
			   &out));
	EXPECT_TRUE(told_by_file(&self->s));
	expect_direct(_metadata, &self->s, 4096);
	expect_direct(_metadata, &self->s, MIB);
}

/* How a read of a certain size is sent; all return what it brought. */
static ssize_t by_pread(const struct subject *s, size_t bytes)
{
	return into_peer(s, bytes, 0);
}

/* In whole pages: QEMU's controller refuses lists of smaller parts of its memory. */
static ssize_t by_vectors(const struct subject *s, size_t bytes)
{
	size_t half = bytes / 2 & ~4095;
	struct iovec iov[2] = {
		{ s->peer, half }, { s->peer + half, bytes - half },
	};
	ssize_t n = preadv(s->fd, iov + !half, 2 - !half, 0);

	return n < 0 ? -errno : n;
}

static ssize_t by_ring_with(const struct subject *s, size_t bytes,
			    unsigned int flags)
{
	struct io_uring_cqe *cqe;
	struct io_uring ring;
	ssize_t n;

	if (io_uring_queue_init(1, &ring, flags))
		return -EPERM;
	io_uring_prep_read(io_uring_get_sqe(&ring), s->fd, s->peer, bytes, 0);
	io_uring_submit(&ring);
	n = io_uring_wait_cqe(&ring, &cqe) ?: cqe->res;
	io_uring_queue_exit(&ring);
	return n;
}

static ssize_t by_ring(const struct subject *s, size_t bytes)
{
	return by_ring_with(s, bytes, 0);
}

static ssize_t by_polled_ring(const struct subject *s, size_t bytes)
{
	return by_ring_with(s, bytes, IORING_SETUP_IOPOLL);
}

static ssize_t by_aio(const struct subject *s, size_t bytes)
{
	struct iocb iocb = {
		.aio_lio_opcode = IOCB_CMD_PREAD, .aio_fildes = s->fd,
		.aio_buf = (uintptr_t)s->peer, .aio_nbytes = bytes,
	}, *pointer = &iocb;
	aio_context_t context = 0;
	struct io_event event;
	ssize_t n = -EPERM;

	if (syscall(SYS_io_setup, 1, &context))
		return n;
	if (syscall(SYS_io_submit, context, 1, &pointer) != 1)
		n = -errno;
	else if (syscall(SYS_io_getevents, context, 1, 1, &event, NULL) == 1)
		n = event.res;
	syscall(SYS_io_destroy, context);
	return n;
}

static const size_t sizes[] = {
	4 * KIB, 8 * KIB, 16 * KIB, 20 * KIB, 64 * KIB, 256 * KIB, MIB, BYTES,
};

FIXTURE(read) {
	struct subject	s;
};

FIXTURE_VARIANT(read) {
	ssize_t (*read)(const struct subject *s, size_t bytes);
};

FIXTURE_VARIANT_ADD(read, by_pread) { .read = by_pread };
FIXTURE_VARIANT_ADD(read, by_vectors) { .read = by_vectors };
FIXTURE_VARIANT_ADD(read, by_ring) { .read = by_ring };
FIXTURE_VARIANT_ADD(read, by_polled_ring) { .read = by_polled_ring };
FIXTURE_VARIANT_ADD(read, by_aio) { .read = by_aio };

FIXTURE_SETUP(read)
{
	const char *why = peer_missing();

	if (why)
		SKIP(return, "%s", why);
	ASSERT_EQ(0, subject_begin(&self->s, &volume, path));
}

FIXTURE_TEARDOWN(read)
{
	subject_end(&self->s);
	EXPECT_EQ(0, active_count_wait(volume.fd, 0));
}

TEST_F(read, of_every_size_goes_direct_and_has_the_right_bytes)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		memset(self->s.peer, 0xa5, sizes[i]);
		EXPECT_EQ((ssize_t)sizes[i],
			  variant->read(&self->s, sizes[i]));
		EXPECT_EQ(0, peer_is(self->s.peer, sizes[i], 0, 1, 1))
			TH_LOG("%zu bytes", sizes[i]);
	}
	EXPECT_EQ(ARRAY_SIZE(sizes), file_direct(self->s.fd));
	EXPECT_EQ(0u, fallbacks(&self->s));
}

TEST_F(read, is_refused_by_a_route_whose_device_cannot_and_counted)
{
	struct fs_bpio_output out;
	unsigned int i;

	ASSERT_EQ(0, fs_op(volume.fd, FS_BPIO_OP_VOLUME_STACK_PAUSE, -1, &out));
	for (i = 0; i < ARRAY_SIZE(sizes); i++)
		EXPECT_EQ(-EREMOTEIO, variant->read(&self->s, sizes[i]))
			TH_LOG("%zu bytes", sizes[i]);
	EXPECT_EQ(0u, file_direct(self->s.fd));
	EXPECT_EQ(ARRAY_SIZE(sizes),
		  file_fallbacks(self->s.fd, BPIO_REASON_PEER_MEMORY));
	EXPECT_EQ(ARRAY_SIZE(sizes), fallbacks(&self->s));
	ASSERT_EQ(0, fs_op(volume.fd, FS_BPIO_OP_VOLUME_STACK_RESUME, -1,
			   &out));
}

TEST_F(peer, memory_takes_many_reads_at_once)
{
	struct io_uring_cqe *cqe;
	struct io_uring ring;
	unsigned int i;

	ASSERT_EQ(0, io_uring_queue_init(DEPTH, &ring, 0));
	for (i = 0; i < DEPTH; i++)
		io_uring_prep_read(io_uring_get_sqe(&ring), self->s.fd,
				   self->s.peer + i * CHUNK, CHUNK, i * CHUNK);
	ASSERT_EQ(DEPTH, io_uring_submit(&ring));
	for (i = 0; i < DEPTH; i++) {
		ASSERT_EQ(0, io_uring_wait_cqe(&ring, &cqe));
		EXPECT_EQ(CHUNK, cqe->res);
		io_uring_cqe_seen(&ring, cqe);
	}
	EXPECT_EQ(0, peer_is(self->s.peer, DEPTH * CHUNK, 0, 1, 1));
	EXPECT_EQ(DEPTH, (int)file_direct(self->s.fd));
	io_uring_queue_exit(&ring);
}

/* Volumes of which a device cannot transfer to the memory, or does not reach it. */
FIXTURE(other) {
	struct volume	volume;
	struct subject	s;
	const char	*below;		/* a mapped device to be removed */
};

FIXTURE_VARIANT(other) {
	const char	*type;		/* what lies below the volume */
	const char	*device;	/* in the environment */
	const char	*second;	/* of another line of the volume; likewise */
	enum bpio_reason reason;
	bool		told;
};

FIXTURE_VARIANT_ADD(other, with_a_layer_that_does_not_take_part) {
	.type = "linear", .device = "BPIO_NVME_A2",
	.reason = BPIO_REASON_PEER_MEMORY,
};

FIXTURE_VARIANT_ADD(other, on_a_device_whose_queue_cannot) {
	.device = "BPIO_SCRATCH", .reason = BPIO_REASON_PEER_MEMORY,
};

/* Wherever the file lies: a bio may have parts on both. */
FIXTURE_VARIANT_ADD(other, on_two_devices_of_which_one_cannot) {
	.device = "BPIO_NVME_A2", .second = "BPIO_SCRATCH",
	.reason = BPIO_REASON_PEER_MEMORY,
};

FIXTURE_VARIANT_ADD(other, on_a_device_that_does_not_reach_it) {
	.device = "BPIO_NVME_B1", .reason = BPIO_REASON_DEVICE_ERROR,
	.told = true,
};

/* A volume of two lines, each of half of it. */
static int create_mixed(struct volume *v, const char *first, const char *second)
{
	const uint64_t half = MIB_SECTORS(32);
	char params[2][128];
	struct dm_line lines[2] = {
		{ .sectors = half, .type = "bpio", .params = params[0] },
		{ .start = half, .sectors = half, .type = "bpio",
		  .params = params[1] },
	};

	snprintf(params[0], sizeof(params[0]), "%s 0 1 any_storage", first);
	snprintf(params[1], sizeof(params[1]), "%s 0 1 any_storage", second);
	return volume_create_lines(v, "peer-other", lines, 2);
}

FIXTURE_SETUP(other)
{
	const char *second = variant->second ? getenv(variant->second) : NULL;
	const char *device = getenv(variant->device);
	const char *why = peer_missing();
	const char *file;

	if (why)
		SKIP(return, "%s", why);
	if (!device || (variant->second && !second))
		SKIP(return, "no device in %s", variant->device);
	if (variant->type) {
		ASSERT_EQ(0, dm_create_one("peer-below", variant->type, device,
					   0, MIB_SECTORS(64), ""));
		self->below = "peer-below";
		device = dm_node(self->below);
	}
	ASSERT_EQ(0, second ?
		     create_mixed(&self->volume, device, second) :
		     volume_create(&self->volume, "peer-other", device, 0,
				   MIB_SECTORS(64), "1 any_storage"));
	ASSERT_EQ(0, volume_format(&self->volume, MKFS_EXT4));
	ASSERT_EQ(0, volume_mount(&self->volume, "ext4", ""));
	file = volume_path(&self->volume, "file");
	ASSERT_EQ(0, file_create(file, BYTES, 1));
	ASSERT_EQ(0, subject_begin(&self->s, &self->volume, file));
}

FIXTURE_TEARDOWN(other)
{
	subject_end(&self->s);
	EXPECT_EQ(0, volume_remove(&self->volume));
	if (self->below)
		EXPECT_EQ(0, dm_remove(self->below));
}

TEST_F(other, refuses_peer_memory_for_a_reason_and_reads_into_ordinary_memory)
{
	/* Device-mapper hands ioctls to tables of one line only. */
	if (!variant->second)
		EXPECT_EQ(variant->told, told_by_volume(&self->s));
	EXPECT_EQ(variant->told, told_by_file(&self->s));
	expect_refused(_metadata, &self->s, 4096, variant->reason);
	expect_refused(_metadata, &self->s, MIB, variant->reason);
	expect_ordinary_direct(_metadata, &self->s);
	EXPECT_EQ(-EREMOTEIO, by_ring(&self->s, 4096));
	EXPECT_EQ(-EREMOTEIO, by_ring(&self->s, MIB));
	EXPECT_EQ(-EREMOTEIO, by_aio(&self->s, 64 * KIB));
	EXPECT_EQ(5u, file_fallbacks(self->s.fd, variant->reason));
	expect_ordinary_direct(_metadata, &self->s);
}

PROGRAM_MAIN
