// SPDX-License-Identifier: GPL-2.0-only
/*
 * Synchronous reads of an enabled file, compared with what was written and with
 * O_DIRECT reads without bypass, on each layout of ext4 and on XFS.
 */
#include <fcntl.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "program.h"

#define KIB	1024
#define MIB	(1024 * KIB)

enum { LAYOUT_4K, LAYOUT_1K, LAYOUT_EXT2, LAYOUT_XFS, LAYOUTS };

static const struct layout layouts[LAYOUTS] = {
	[LAYOUT_4K]	= { "read-4k", MKFS_EXT4, "ext4", .block = 4096 },
	[LAYOUT_1K]	= { "read-1k", MKFS_EXT " -b 1024", "ext4", .block = 1024 },
	[LAYOUT_EXT2]	= { "read-ext2", MKFS_EXT2, "ext2", .block = 4096 },
	[LAYOUT_XFS]	= { "read-xfs", MKFS_XFS, "xfs", .block = 4096 },
};

static struct volume volumes[LAYOUTS];

static int program_setup(void)
{
	return volumes_make(volumes, layouts, LAYOUTS, devices.nvme);
}

static int program_cleanup(void)
{
	return volumes_remove(volumes, LAYOUTS);
}

FIXTURE(file) {
	struct volume	*volume;
	unsigned int	block;
	char		path[192];
	int		fd;		/* enabled, by OPEN_FILES() */
	int		plain;		/* likewise opened, not enabled */
	char		*ours;
	char		*theirs;
	int		mismatches;
};

FIXTURE_VARIANT(file) {
	int	layout;
};

FIXTURE_VARIANT_ADD(file, ext4_4k) {
	.layout = LAYOUT_4K,
};

FIXTURE_VARIANT_ADD(file, ext4_1k) {
	.layout = LAYOUT_1K,
};

FIXTURE_VARIANT_ADD(file, ext2) {
	.layout = LAYOUT_EXT2,
};

FIXTURE_VARIANT_ADD(file, xfs) {
	.layout = LAYOUT_XFS,
};

#define BUFFER	(8 * MIB)

FIXTURE_SETUP(file)
{
	self->volume = &volumes[variant->layout];
	self->block = layouts[variant->layout].block;
	snprintf(self->path, sizeof(self->path), "%s",
		 volume_path(self->volume, "file"));
	self->fd = -1;
	self->plain = -1;
	self->ours = dio_alloc(BUFFER + 4096);
	self->theirs = dio_alloc(BUFFER + 4096);
}

FIXTURE_TEARDOWN(file)
{
	close(self->plain);
	close(self->fd);
	EXPECT_EQ(0, unlink(self->path));
	EXPECT_EQ(0, active_count(self->volume->fd));
}

#define OPEN_FILES() do {						\
	self->plain = file_open_direct(self->path);			\
	ASSERT_LE(0, self->plain);					\
	self->fd = file_open_direct(self->path);			\
	ASSERT_EQ(0, fs_enable(self->volume->fd, self->fd));		\
	ASSERT_EQ(0, file_armed(self->fd));				\
} while (0)

struct outcome {
	ssize_t	ret;
	int	error;
};

static struct outcome outcome_of(ssize_t ret)
{
	return (struct outcome) { ret, ret < 0 ? errno : 0 };
}

/*
 * The same read with bypass and without, into buffers equally aligned:
 * same result, same errno, same bytes, nothing outside of the buffer written.
 * What O_DIRECT leaves in the buffer behind the end of the file is undefined.
 */
static struct outcome compare(struct __test_metadata *_metadata,
			      FIXTURE_DATA(file) *self, loff_t offset,
			      size_t length, size_t shift)
{
	size_t end = shift + length, valid, i;
	struct outcome ours, theirs;
	bool same;

	memset(self->ours, 0xa5, end + 4096);
	ours = outcome_of(pread(self->fd, self->ours + shift, length,
				offset));
	theirs = outcome_of(pread(self->plain, self->theirs + shift, length,
				  offset));
	valid = ours.ret > 0 ? ours.ret : 0;
	same = ours.ret == theirs.ret && ours.error == theirs.error &&
	       !memcmp(self->theirs + shift, self->ours + shift, valid);
	for (i = 0; i < shift; i++)
		same &= self->ours[i] == (char)0xa5;
	for (i = end; i < end + 4096; i++)
		same &= self->ours[i] == (char)0xa5;
	/* of a matrix of reads the first few that differ tell the story */
	if (same || self->mismatches++ >= 3)
		return ours;
	EXPECT_TRUE(same);
	TH_LOG("offset %lld length %zu buffer +%zu: enabled %zd (%s), plain %zd (%s)",
	       (long long)offset, length, shift, ours.ret, strerror(ours.error),
	       theirs.ret, strerror(theirs.error));
	return ours;
}

#define COMPARE(offset, length, shift) \
	compare(_metadata, self, offset, length, shift)

TEST_F(file, reads_of_every_length_return_what_was_written_and_go_direct)
{
	static const size_t lengths[] = {
		512, 1024, 1536, 4096, 4608, 8192, 16 * KIB, 20 * KIB + 512,
		64 * KIB, 128 * KIB, 512 * KIB, 520 * KIB, MIB, 3 * MIB,
		4 * MIB, 5 * MIB,
	};
	uint64_t size = 4 * MIB, reads = 0, bytes = 0, offset;
	struct bpio_file_info info;
	unsigned int i;

	ASSERT_EQ(0, file_create(self->path, size, 1));
	OPEN_FILES();
	for (i = 0; i < ARRAY_SIZE(lengths); i++) {
		size_t length = lengths[i];
		/* a sample is enough for the short ones */
		size_t step = length < 64 * KIB ? 33 * 512 + length : length;

		for (offset = 0; offset < size; offset += step) {
			size_t left = size - offset;
			size_t part = left < length ? left : length;

			ASSERT_EQ(part, pread(self->fd, self->ours, length,
					      offset));
			ASSERT_EQ(0, content_is(self->ours, part, offset, 1, 1));
			reads++;
			bytes += part;
		}
	}
	ASSERT_EQ(0, file_info(self->fd, &info));
	EXPECT_EQ(reads, info.direct_reads);
	EXPECT_EQ(bytes, info.direct_bytes);
	EXPECT_EQ(0u, info.fallback_reads);
}

TEST_F(file, one_read_larger_than_a_bio_is_one_direct_read)
{
	ASSERT_EQ(0, file_create(self->path, BUFFER, 2));
	OPEN_FILES();
	ASSERT_EQ(BUFFER, pread(self->fd, self->ours, BUFFER, 0));
	EXPECT_EQ(0, content_is(self->ours, BUFFER, 0, 2, 1));
	EXPECT_EQ(1u, file_direct(self->fd));
}

TEST_F(file, alignment_is_judged_as_by_o_direct_on_the_file)
{
	static const loff_t offsets[] = { 0, 1, 256, 511, 512, 1024, 4095, 4096,
					  4608, 65536 };
	static const size_t lengths[] = { 0, 1, 511, 512, 513, 1024, 4095, 4096,
					  4097, 12288, 65536 };
	static const size_t shifts[] = { 0, 1, 2, 3, 4, 8, 64, 256, 511, 512,
					 1024 };
	unsigned int o, l, s;

	ASSERT_EQ(0, file_create(self->path, 256 * KIB, 3));
	OPEN_FILES();
	for (o = 0; o < ARRAY_SIZE(offsets); o++)
		for (l = 0; l < ARRAY_SIZE(lengths); l++)
			for (s = 0; s < ARRAY_SIZE(shifts); s++)
				COMPARE(offsets[o], lengths[l], shifts[s]);
}

TEST_F(file, the_end_of_the_file_is_where_o_direct_sees_it)
{
	static const int tails[] = { 0, 1, 511, 512, 513, 1024, 1536, 3584,
				     4095 };
	unsigned int t;

	for (t = 0; t < ARRAY_SIZE(tails); t++) {
		uint64_t size = 64 * KIB + tails[t];
		loff_t offset;

		ASSERT_EQ(0, file_create(self->path, size, 4));
		OPEN_FILES();
		for (offset = 56 * KIB; offset <= 72 * KIB; offset += 512) {
			size_t length;

			for (length = 512; length <= 16 * KIB; length *= 2) {
				struct outcome outcome =
					COMPARE(offset, length, 0);

				if (outcome.ret > 0)
					ASSERT_EQ(0, content_is(self->ours,
								outcome.ret,
								offset, 4, 1));
			}
		}
		close(self->fd);
		close(self->plain);
	}
}

/* Return: the file's bytes, and what the rest of the memory is left with. */
static void compare_end(struct __test_metadata *_metadata,
			FIXTURE_DATA(file) *self, loff_t offset, size_t length)
{
	struct outcome outcome;

	memset(self->theirs, 0xa5, length + 4096);
	outcome = COMPARE(offset, length, 0);
	EXPECT_EQ(0, memcmp(self->ours, self->theirs, length + 4096))
		TH_LOG("offset %lld length %zu: memory behind the end differs",
		       (long long)offset, length);
	if (outcome.ret > 0)
		EXPECT_EQ(0, content_is(self->ours, outcome.ret, offset, 5, 1));
}

TEST_F(file, reads_of_the_end_go_direct_and_leave_memory_as_o_direct_does)
{
	static const size_t tails[] = { 1, 100, 511, 512, 1000, 1024, 4095 };
	uint64_t direct = 0;
	loff_t offset;
	size_t length;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(tails); i++) {
		ASSERT_EQ(0, file_create(self->path, 64 * KIB + tails[i], 5));
		OPEN_FILES();
		for (offset = 56 * KIB; offset < 64 * KIB; offset += 512)
			for (length = 4096; length <= 64 * KIB; length *= 2)
				compare_end(_metadata, self, offset, length);
		compare_end(_metadata, self, 64 * KIB, 512);
		compare_end(_metadata, self, 64 * KIB, 4096);
		compare_end(_metadata, self, 0, 4 * MIB);
		direct = file_direct(self->fd);
		EXPECT_EQ(16u * 5 + 3, direct);
		close(self->fd);
		close(self->plain);
	}
}

TEST_F(file, reads_behind_the_end_count_as_nothing)
{
	struct bpio_file_info info;

	ASSERT_EQ(0, file_create(self->path, 64 * KIB + 100, 5));
	OPEN_FILES();
	EXPECT_EQ(0, pread(self->fd, self->ours, 4096, 68 * KIB));
	EXPECT_EQ(0, pread(self->fd, self->ours, 4096, 1 << 30));
	ASSERT_EQ(0, file_info(self->fd, &info));
	EXPECT_EQ(0u, info.direct_reads + info.fallback_reads);
}

/* Programs read until the end; what is counted then tells of no bypass that was missed. */
TEST_F(file, reads_behind_the_end_count_as_nothing_when_none_can_go_direct_either)
{
	struct bpio_file_info info;
	int writer;

	ASSERT_EQ(0, file_create(self->path, 64 * KIB + 100, 5));
	OPEN_FILES();
	writer = open(self->path, O_WRONLY);
	ASSERT_LE(0, writer);
	EXPECT_EQ(0, pread(self->fd, self->ours, 4096, 68 * KIB));
	ASSERT_EQ(0, fs_disable(self->volume->fd, self->fd));
	EXPECT_EQ(0, pread(self->fd, self->ours, 4096, 68 * KIB));
	ASSERT_EQ(0, file_info(self->fd, &info));
	EXPECT_EQ(0u, info.direct_reads + info.fallback_reads);
	/* what lies before the end does count */
	EXPECT_EQ(100, pread(self->fd, self->ours, 4096, 64 * KIB));
	ASSERT_EQ(0, file_info(self->fd, &info));
	EXPECT_EQ(1u, info.fallback_reads);
	close(writer);
}

/* The memory behind the end need not be there for what is before it. */
TEST_F(file, reads_of_the_end_into_memory_that_ends_there_too)
{
	char *page = guarded_pages(PROT_READ | PROT_WRITE) - 4096;
	struct outcome a, b;

	ASSERT_EQ(0, file_create(self->path, 64 * KIB + 100, 5));
	OPEN_FILES();
	a = outcome_of(pread(self->plain, page, 64 * KIB, 64 * KIB));
	b = outcome_of(pread(self->fd, page, 64 * KIB, 64 * KIB));
	EXPECT_EQ(a.ret, b.ret);
	EXPECT_EQ(a.error, b.error);
}

TEST_F(file, an_empty_file_reads_nothing)
{
	ASSERT_EQ(0, file_create(self->path, 0, 6));
	OPEN_FILES();
	EXPECT_EQ(0, COMPARE(0, 4096, 0).ret);
	EXPECT_EQ(0, COMPARE(4096, 4096, 0).ret);
}

TEST_F(file, offsets_out_of_range_answer_as_o_direct_does)
{
	ASSERT_EQ(0, file_create(self->path, 64 * KIB, 7));
	OPEN_FILES();
	COMPARE(-1, 4096, 0);
	COMPARE(-4096, 4096, 0);
	COMPARE(LLONG_MIN, 4096, 0);
	COMPARE(LLONG_MAX, 4096, 0);
	COMPARE(LLONG_MAX - 4095, 4096, 0);
	COMPARE(LLONG_MAX - 8191, 4096, 0);
	COMPARE(1ll << 44, 4096, 0);
	COMPARE(1ll << 62, 4096, 0);
}

TEST_F(file, holes_and_preallocated_ranges_read_as_zeroes)
{
	static const struct {
		loff_t start, length;
	} data[] = { { 0, 64 * KIB }, { 128 * KIB, 64 * KIB },
		     { 320 * KIB, 4 * KIB } };
	struct content_rule rule = {
		.file = 8, .oldest = 1, .newest = 1, .zeroes = true,
	};
	struct bpio_file_info info;
	loff_t offset;
	unsigned int i;
	char why[256];
	int fd = open(self->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	ASSERT_LE(0, fd);
	for (i = 0; i < ARRAY_SIZE(data); i++)
		ASSERT_EQ(0, file_write(fd, data[i].start, data[i].length, 8, 1));
	/* ext2's layout has no preallocated blocks: a hole there too */
	if (variant->layout != LAYOUT_EXT2)
		ASSERT_EQ(0, fallocate(fd, 0, 256 * KIB, 64 * KIB));
	ASSERT_EQ(0, fsync(fd));
	close(fd);
	OPEN_FILES();
	for (offset = 0; offset < 324 * KIB; offset += 12 * KIB) {
		ssize_t n = COMPARE(offset, 16 * KIB, 0).ret;

		ASSERT_LT(0, n);
		ASSERT_EQ(0, content_check(self->ours, n, offset, &rule, why,
					   sizeof(why))) TH_LOG("%s", why);
	}
	/* what is data is data: the rule above would let it be zeroes */
	for (i = 0; i < ARRAY_SIZE(data); i++) {
		ASSERT_EQ(data[i].length, pread(self->fd, self->ours,
						data[i].length, data[i].start));
		EXPECT_EQ(0, content_is(self->ours, data[i].length,
					data[i].start, 8, 1));
	}
	ASSERT_EQ(0, file_info(self->fd, &info));
	EXPECT_EQ(132u * KIB, info.mapped_bytes);
	EXPECT_LT(0u, info.direct_reads);
	EXPECT_LT(0u, info.fallback_reason[BPIO_REASON_UNMAPPED]);
	EXPECT_EQ(info.fallback_reads,
		  info.fallback_reason[BPIO_REASON_UNMAPPED]);
}

TEST_F(file, reads_that_cross_extents_return_what_was_written)
{
	unsigned int blocks = 64, block = self->block, extents, length;
	struct bpio_file_info info;
	uint64_t reads = 0, offset;

	if (variant->layout == LAYOUT_EXT2) {
		ASSERT_EQ(0, file_create_interleaved(self->path, blocks, block,
						     9));
		extents = file_extents(self->path);
		ASSERT_LE(4u, extents);
	} else {
		ASSERT_EQ(0, file_create_fragmented(self->path, blocks, block,
						    9));
		extents = file_extents(self->path);
		ASSERT_EQ(blocks, extents);
	}
	OPEN_FILES();
	for (length = 512; length <= blocks * block; length *= 2) {
		for (offset = 0; offset + length <= blocks * block;
		     offset += length + 512) {
			ASSERT_EQ(length, pread(self->fd, self->ours,
						length, offset));
			ASSERT_EQ(0, content_is(self->ours, length, offset, 9,
						1));
			reads++;
		}
	}
	ASSERT_EQ(0, file_info(self->fd, &info));
	EXPECT_EQ(extents, info.extents);
	EXPECT_EQ((uint64_t)blocks * block, info.mapped_bytes);
	EXPECT_EQ(reads, info.direct_reads);
}

TEST_F(file, an_indirect_block_in_the_middle_of_a_file_is_not_read_as_data)
{
	uint64_t size = 6 * MIB;

	/* beyond 12 blocks (and 12 + 1024) ext2 lays indirect blocks between */
	ASSERT_EQ(0, file_create(self->path, size, 10));
	OPEN_FILES();
	ASSERT_EQ(size, pread(self->fd, self->ours, size, 0));
	EXPECT_EQ(0, content_is(self->ours, size, 0, 10, 1));
	EXPECT_EQ(1u, file_direct(self->fd));
}

TEST_F(file, vectors_are_filled_in_order_however_they_are_cut)
{
	static const size_t cuts[][4] = {
		{ 4096, 4096, 4096, 4096 }, { 512, 1024, 2560, 12288 },
		{ 8192, 512, 512, 7168 }, { 256, 256, 4096, 11776 },
		{ 100, 412, 4096, 11776 }, { 0, 4096, 0, 12288 },
	};
	unsigned int c, v;

	ASSERT_EQ(0, file_create(self->path, 256 * KIB, 11));
	OPEN_FILES();
	for (c = 0; c < ARRAY_SIZE(cuts); c++) {
		struct iovec ours[4], theirs[4];
		struct outcome a, b;

		memset(self->ours, 0xa5, 64 * KIB);
		memset(self->theirs, 0xa5, 64 * KIB);
		/* from behind, so that a wrong order is seen */
		for (v = 0; v < 4; v++) {
			size_t at = (3 - v) * 16 * KIB;

			ours[v] = (struct iovec){ self->ours + at, cuts[c][v] };
			theirs[v] = (struct iovec){ self->theirs + at,
						    cuts[c][v] };
		}
		a = outcome_of(preadv(self->fd, ours, 4, 8192));
		b = outcome_of(preadv(self->plain, theirs, 4, 8192));
		EXPECT_EQ(b.ret, a.ret) TH_LOG("cut %u", c);
		EXPECT_EQ(b.error, a.error) TH_LOG("cut %u", c);
		EXPECT_EQ(0, memcmp(self->theirs, self->ours, 64 * KIB))
			TH_LOG("cut %u", c);
	}
}

TEST_F(file, flags_of_preadv2_answer_as_o_direct_does)
{
	static const int flags[] = {
		0, RWF_HIPRI, RWF_DSYNC, RWF_SYNC, RWF_DSYNC | RWF_SYNC,
		RWF_APPEND, 1 << 30,
	};
	struct iovec ours = { self->ours, 16 * KIB };
	struct iovec theirs = { self->theirs, 16 * KIB };
	unsigned int i;

	ASSERT_EQ(0, file_create(self->path, 256 * KIB, 12));
	OPEN_FILES();
	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		struct outcome a, b;

		a = outcome_of(preadv2(self->fd, &ours, 1, 4096, flags[i]));
		b = outcome_of(preadv2(self->plain, &theirs, 1, 4096, flags[i]));
		EXPECT_EQ(b.ret, a.ret) TH_LOG("flags 0x%x", flags[i]);
		EXPECT_EQ(b.error, a.error) TH_LOG("flags 0x%x", flags[i]);
		if (a.ret > 0)
			EXPECT_EQ(0, content_is(self->ours, a.ret, 4096, 12, 1));
	}
}

/* As on the file itself: what it may not wait for are locks and metadata. */
TEST_F(file, rwf_nowait_reads_go_direct)
{
	struct iovec iov = { self->ours, 4096 };
	unsigned int i;

	ASSERT_EQ(0, file_create(self->path, 256 * KIB, 13));
	OPEN_FILES();
	for (i = 0; i < 64; i++) {
		ASSERT_EQ(4096, preadv2(self->fd, &iov, 1, i * 4096,
					RWF_NOWAIT));
		ASSERT_EQ(0, content_is(self->ours, 4096, i * 4096, 13, 1));
	}
	EXPECT_EQ(64u, file_direct(self->fd));
}

TEST_F(file, a_read_that_may_not_wait_counts_when_it_is_served)
{
	struct iovec iov = { self->ours, 4096 };
	struct bpio_file_info info;
	unsigned int i, good = 0;
	int writer;

	ASSERT_EQ(0, file_create(self->path, 256 * KIB, 13));
	OPEN_FILES();
	writer = open(self->path, O_WRONLY | O_CLOEXEC);
	for (i = 0; i < 64; i++) {
		if (preadv2(self->fd, &iov, 1, i * 4096, RWF_NOWAIT) == 4096)
			good++;
		else
			ASSERT_EQ(EAGAIN, errno);
	}
	close(writer);
	ASSERT_EQ(0, file_info(self->fd, &info));
	EXPECT_EQ(good, info.direct_reads + info.fallback_reads);
}

/* Where the memory is one huge page, the second read is one bio, else two. */
TEST_F(file, rwf_nowait_reads_longer_than_a_request_go_direct)
{
	enum { PAGES = 300, BYTES = PAGES * 4096 };
	char *huge = (char *)(((uintptr_t)self->ours + 2 * MIB) & -2ul * MIB);
	struct iovec scattered[PAGES], whole[] = {
		{ huge, MIB }, { huge, BYTES },
	};
	const struct {
		const struct iovec	*iov;
		unsigned int		nr;
		size_t			bytes;
	} reads[] = {
		{ &whole[0], 1, MIB }, { &whole[1], 1, BYTES },
		{ scattered, PAGES, BYTES },
	};
	unsigned int r;

	madvise(huge, 2 * MIB, MADV_HUGEPAGE);
	dio_scatter(scattered, PAGES, huge);
	ASSERT_EQ(0, file_create(self->path, BYTES, 13));
	OPEN_FILES();
	for (r = 0; r < ARRAY_SIZE(reads); r++) {
		memset(huge, 0xa5, 2 * MIB);
		ASSERT_EQ(reads[r].bytes, preadv2(self->fd, reads[r].iov,
						  reads[r].nr, 0, RWF_NOWAIT))
			TH_LOG("read %u", r);
		EXPECT_EQ(r + 1, file_direct(self->fd));
		EXPECT_EQ(0, content_vectors_are(reads[r].iov, reads[r].nr, 0,
						 13, 1));
	}
}

TEST_F(file, memory_that_is_not_there_is_efault_or_ends_the_read)
{
	char *area = mmap(NULL, 64 * KIB, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	static const struct {
		size_t start, writable;
	} reads[] = {
		{ 0, 0 }, { 4 * KIB, 0 }, { 8 * KIB, 8 * KIB },
		{ 12 * KIB, 4 * KIB }, { 16 * KIB, 0 }, { 32 * KIB, 0 },
	};
	unsigned int i;

	ASSERT_NE(MAP_FAILED, (void *)area);
	ASSERT_EQ(0, mprotect(area, 8 * KIB, PROT_READ));
	ASSERT_EQ(0, munmap(area + 16 * KIB, 16 * KIB));
	ASSERT_EQ(0, mprotect(area + 32 * KIB, 32 * KIB, PROT_NONE));
	ASSERT_EQ(0, file_create(self->path, 256 * KIB, 14));
	OPEN_FILES();
	for (i = 0; i < ARRAY_SIZE(reads); i++) {
		char *to = area + reads[i].start;
		ssize_t n = pread(self->fd, to, 16 * KIB, 4096);

		if (n < 0) {
			EXPECT_EQ(EFAULT, errno) TH_LOG("read %u", i);
			continue;
		}
		ASSERT_LT(0, n) TH_LOG("read %u", i);
		ASSERT_LE(n, (ssize_t)reads[i].writable) TH_LOG("read %u", i);
		EXPECT_EQ(0, content_is(to, n, 4096, 14, 1));
	}
}

/* Faulting the buffer in is I/O of the same file system. */
TEST_F(file, the_buffer_may_be_a_mapped_file_of_the_same_file_system)
{
	const char *other = volume_path(self->volume, "buffer");
	char *map;
	int fd;

	ASSERT_EQ(0, file_create(self->path, MIB, 15));
	ASSERT_EQ(0, file_create(other, MIB, 16));
	fd = open(other, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
	map = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, (void *)map);
	OPEN_FILES();
	ASSERT_EQ(MIB, pread(self->fd, map, MIB, 0));
	EXPECT_EQ(0, content_is(map, MIB, 0, 15, 1));
	EXPECT_EQ(1u, file_direct(self->fd));
	/* what direct I/O wrote to the mapping is in the file */
	ASSERT_EQ(0, msync(map, MIB, MS_SYNC));
	ASSERT_EQ(0, munmap(map, MIB));
	ASSERT_EQ(MIB, pread(fd, self->theirs, MIB, 0));
	EXPECT_EQ(0, content_is(self->theirs, MIB, 0, 15, 1));
	close(fd);
	EXPECT_EQ(0, unlink(other));
}

TEST_F(file, read_moves_the_position_and_pread_does_not)
{
	ASSERT_EQ(0, file_create(self->path, 64 * KIB + 1000, 17));
	OPEN_FILES();
	ASSERT_EQ(4096, read(self->fd, self->ours, 4096));
	EXPECT_EQ(0, content_is(self->ours, 4096, 0, 17, 1));
	ASSERT_EQ(4096, pread(self->fd, self->ours, 4096, 32 * KIB));
	EXPECT_EQ(4096, lseek(self->fd, 0, SEEK_CUR));
	ASSERT_EQ(64 * KIB + 1000 - 4096,
		  read(self->fd, self->ours, 128 * KIB));
	EXPECT_EQ(0, content_is(self->ours, 64 * KIB + 1000 - 4096, 4096, 17,
				1));
	EXPECT_EQ(64 * KIB + 1000, lseek(self->fd, 0, SEEK_CUR));
	EXPECT_EQ(0, read(self->fd, self->ours, 4096));
}

/* What file @file holds from byte 1 of sector 128 on. */
static const char *tail_of(char *buffer, uint32_t file)
{
	content_fill(buffer, 512, file, 64 * KIB, 1);
	return buffer + 1;
}

TEST_F(file, reads_of_nothing_are_not_counted)
{
	struct iovec none = { self->ours, 0 };
	struct bpio_file_info info;

	ASSERT_EQ(0, file_create(self->path, 64 * KIB, 18));
	OPEN_FILES();
	EXPECT_EQ(0, pread(self->fd, self->ours, 0, 0));
	EXPECT_EQ(0, read(self->fd, self->ours, 0));
	EXPECT_EQ(0, preadv(self->fd, &none, 1, 4096));
	EXPECT_EQ(0, preadv(self->fd, &none, 0, 4096));
	ASSERT_EQ(0, file_info(self->fd, &info));
	EXPECT_EQ(0u, info.direct_reads);
	EXPECT_EQ(0u, info.fallback_reads);
}

/* The odd tail of a file is read so, and what is cached anyway. */
TEST_F(file, reads_without_o_direct_are_the_file_systems_and_not_counted)
{
	struct bpio_file_info info;

	ASSERT_EQ(0, file_create(self->path, 64 * KIB + 100, 19));
	OPEN_FILES();
	ASSERT_EQ(4096, pread(self->fd, self->ours, 4096, 0));
	ASSERT_EQ(0, fcntl(self->fd, F_SETFL, 0));
	ASSERT_EQ(99, pread(self->fd, self->ours + 1, 200, 64 * KIB + 1));
	EXPECT_EQ(0, memcmp(self->ours + 1, tail_of(self->theirs, 19), 99));
	ASSERT_EQ(4096, pread(self->fd, self->ours, 4096, 4096));
	EXPECT_EQ(0, content_is(self->ours, 4096, 4096, 19, 1));
	ASSERT_EQ(0, file_info(self->fd, &info));
	EXPECT_EQ(1u, info.direct_reads);
	EXPECT_EQ(0u, info.fallback_reads);
	ASSERT_EQ(0, fcntl(self->fd, F_SETFL, O_DIRECT));
	ASSERT_EQ(4096, pread(self->fd, self->ours, 4096, 8192));
	EXPECT_EQ(0, content_is(self->ours, 4096, 8192, 19, 1));
	EXPECT_EQ(2u, file_direct(self->fd));
}

TEST_F(file, o_direct_may_be_set_after_enable)
{
	struct bpio_file_arm arm;
	struct fs_bpio_output out;

	ASSERT_EQ(0, file_create(self->path, 64 * KIB, 20));
	self->fd = open(self->path, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, fs_op(self->volume->fd, FS_BPIO_OP_ENABLE, self->fd,
			   &out));
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_FULL, out.support);
	EXPECT_STRNE("none", reason_token(out.obstacle));
	ASSERT_EQ(0, file_arm(self->fd, &arm));
	EXPECT_EQ(0u, arm.armed);
	EXPECT_STREQ("not-direct", reason_token(arm.reason));
	ASSERT_EQ(64 * KIB, pread(self->fd, self->ours, 64 * KIB, 0));
	EXPECT_EQ(0, content_is(self->ours, 64 * KIB, 0, 20, 1));
	EXPECT_EQ(0u, file_direct(self->fd));
	ASSERT_EQ(0, fs_op(self->volume->fd, FS_BPIO_OP_ENABLE, self->fd,
			   &out));
	EXPECT_STREQ("not-direct", reason_token(out.obstacle));
	ASSERT_EQ(0, fcntl(self->fd, F_SETFL, O_DIRECT));
	/* nothing more is needed: the map has been made */
	memset(self->ours, 0xa5, 64 * KIB);
	ASSERT_EQ(64 * KIB, pread(self->fd, self->ours, 64 * KIB, 0));
	EXPECT_EQ(0, content_is(self->ours, 64 * KIB, 0, 20, 1));
	EXPECT_EQ(1u, file_direct(self->fd));
}

PROGRAM_MAIN
