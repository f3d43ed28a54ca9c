// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads while there is no memory for bios but what is kept in reserve: they end, and are
 * right.
 */
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>

#include "fault.h"
#include "program.h"

#define BLOCK		4096
#define PIECES		32
#define BYTES		(PIECES * BLOCK)
/* Several times what a bio takes. */
#define PAGES		1024
#define LENGTH		(PAGES * BLOCK)

static struct volume volume;
static const char *unavailable;
/* "file" is whole, "pieces" has an extent for each block. */
static char path[192], pieces[192];

static int program_setup(void)
{
	int ret = volume_ext4(&volume, "fault-bio", devices.nvme, 2048,
			      MIB_SECTORS(64));

	if (ret)
		return ret;
	snprintf(path, sizeof(path), "%s", volume_path(&volume, "file"));
	snprintf(pieces, sizeof(pieces), "%s", volume_path(&volume, "pieces"));
	unavailable = fault_unavailable();
	return file_create(path, LENGTH, 1) ?:
	       file_create_fragmented(pieces, PIECES, BLOCK, 2) ?:
	       (unavailable ? 0 : fault_setup());
}

static int program_cleanup(void)
{
	if (!unavailable)
		fault_cleanup();
	return volume_remove(&volume);
}

#define HUNGRY		4
#define HUNGRY_READS	100

/* A thread that reads "pieces", a part for each block, while there are no bios. */
struct hungry {
	_Atomic bool	over;
	int		fd;
	pthread_t	thread;
	int		wrong;
};

static void *read_without_bios(void *argument)
{
	struct hungry *hungry = argument;
	char *buffer = dio_alloc(BYTES);
	int i;

	for (i = 0; i < HUNGRY_READS && !hungry->wrong; i++) {
		memset(buffer, 0xa5, BYTES);
		if (pread(hungry->fd, buffer, BYTES, 0) != BYTES ||
		    content_is(buffer, BYTES, 0, 2, 1))
			hungry->wrong = 1;
	}
	free(buffer);
	hungry->over = true;
	return NULL;
}

static bool all_over(const struct hungry *hungry)
{
	int i, over = 0;

	for (i = 0; i < HUNGRY; i++)
		over += hungry[i].over;
	return over == HUNGRY;
}

/*
 * There are two bios in reserve, and two parts of bios. If a read that has the one
 * waited for more, it would wait for the other reads, and they for it.
 */
static void read_hungrily(struct __test_metadata *_metadata, const char *function)
{
	uint64_t deadline = now_ms() + DEADLINE_MS, before;
	struct hungry hungry[HUNGRY] = { 0 };
	int i, fd = file_open_direct(pieces);

	if (unavailable)
		SKIP(return, "%s", unavailable);
	ASSERT_EQ(0, fs_enable_armed(volume.fd, fd));
	before = file_fallbacks(fd, BPIO_REASON_NO_MEMORY);
	ASSERT_EQ(0, fault_below_function(function));
	ASSERT_EQ(0, fault_any_task(0, UINT_MAX));
	for (i = 0; i < HUNGRY; i++) {
		hungry[i].fd = fd;
		EXPECT_EQ(0, pthread_create(&hungry[i].thread, NULL,
					    read_without_bios, &hungry[i]));
	}
	while (!all_over(hungry) && poll_again(deadline))
		;
	EXPECT_TRUE(all_over(hungry));
	EXPECT_EQ(0, fault_any_task(0, 0));
	EXPECT_EQ(0, fault_below(NULL));
	for (i = 0; i < HUNGRY; i++) {
		pthread_join(hungry[i].thread, NULL);
		EXPECT_EQ(0, hungry[i].wrong);
	}
	EXPECT_LT(before, file_fallbacks(fd, BPIO_REASON_NO_MEMORY));
	close(fd);
}

TEST(reads_end_when_there_are_hardly_any_bios)
{
	read_hungrily(_metadata, "bpio_io_bio_alloc");
}

TEST(reads_end_when_there_are_hardly_any_parts_of_bios)
{
	read_hungrily(_metadata, "bpio_io_submit_part");
}

/*
 * More pages than a bio takes, so the read needs more bios than are in reserve. What was
 * submitted is waited for, and the file system reads the rest.
 */
TEST(long_reads_are_whole_when_there_are_hardly_any_bios)
{
	int fd = file_open_direct(path);
	char *memory = dio_alloc(LENGTH);
	struct iovec iov[PAGES];
	uint64_t before;

	if (unavailable)
		SKIP(return, "%s", unavailable);
	ASSERT_EQ(0, fs_enable_armed(volume.fd, fd));
	before = file_fallbacks(fd, BPIO_REASON_NO_MEMORY);
	memset(memory, 0xa5, LENGTH);
	dio_scatter(iov, PAGES, memory);
	ASSERT_EQ(0, fault_below_function("bpio_io_bio_alloc"));
	ASSERT_EQ(0, fault_any_task(0, UINT_MAX));
	EXPECT_EQ(LENGTH, preadv(fd, iov, PAGES, 0));
	EXPECT_EQ(0, fault_any_task(0, 0));
	EXPECT_EQ(0, fault_below(NULL));
	EXPECT_EQ(0, content_vectors_are(iov, PAGES, 0, 1, 1));
	EXPECT_LT(before, file_fallbacks(fd, BPIO_REASON_NO_MEMORY));
	close(fd);
	free(memory);
}

PROGRAM_MAIN
