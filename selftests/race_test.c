// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writers against readers of an enabled file. Whatever the writer does, a reader may
 * only see what a reader without BypassIO could have seen, never an old generation.
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "program.h"
#include "readers.h"

#define KIB	1024
#define MIB	(1024 * KIB)
#define BYTES	(4 * MIB)
#define FILE_ID		1
#define OTHER_ID	2

static struct volume volume;
static char path[192], other[192];

static int program_setup(void)
{
	int ret = volume_fs(&volume, "race", devices.nvme, 2048,
			    MIB_SECTORS(XFS_MIB), "", "");

	snprintf(path, sizeof(path), "%s", volume_path(&volume, "file"));
	snprintf(other, sizeof(other), "%s", volume_path(&volume, "other"));
	return ret;
}

static int program_cleanup(void)
{
	return volume_remove(&volume);
}

/* An enabled file, and the readers of it. */
struct race {
	int		fd;
	struct readers	readers;
};

static void race_begin(struct __test_metadata *_metadata, struct race *race)
{
	ASSERT_EQ(0, file_create(path, BYTES, FILE_ID));
	race->fd = file_open_direct(path);
	ASSERT_LE(0, race->fd);
	ASSERT_EQ(0, fs_enable_armed(volume.fd, race->fd));
	race->readers.fd = race->fd;
	race->readers.file = FILE_ID;
	race->readers.bytes = BYTES;
	race->readers.largest = 64 * KIB;
	race->readers.oldest = 1;
	race->readers.newest = 1;
}

static void race_end(struct __test_metadata *_metadata, struct race *race)
{
	close(race->fd);
	unlink(path);
	unlink(other);
	EXPECT_EQ(0, active_count(volume.fd));
}

#define RACE_FIXTURE(name)						\
	FIXTURE_SETUP(name)						\
	{								\
		race_begin(_metadata, &self->race);			\
	}								\
	FIXTURE_TEARDOWN(name)						\
	{								\
		race_end(_metadata, &self->race);			\
	}

/* The readers continue, bypass resumes, and no reader has seen a wrong byte. */
#define EXPECT_SURVIVED() do {						\
	char *__buffer = dio_alloc(4096);				\
									\
	EXPECT_EQ(0, readers_progress(&self->race.readers, 100));	\
	EXPECT_EQ(0, readers_stop(&self->race.readers));		\
	EXPECT_EQ(0, file_wait_direct(self->race.fd, __buffer, 4096, 0)); \
	free(__buffer);							\
} while (0)

/* Write generation @generation through @fd and tell the readers. */
static int write_generation(struct readers *readers, int fd,
			    uint32_t generation)
{
	int ret;

	readers->newest = generation;
	ret = file_write(fd, 0, BYTES, FILE_ID, generation);
	readers->oldest = generation;
	return ret;
}

FIXTURE(overwrite) {
	struct race	race;
};

FIXTURE_VARIANT(overwrite) {
	int	flags;
	bool	sync;
};

FIXTURE_VARIANT_ADD(overwrite, buffered) {
	.flags = 0,
};

FIXTURE_VARIANT_ADD(overwrite, buffered_and_synced) {
	.flags = 0, .sync = true,
};

FIXTURE_VARIANT_ADD(overwrite, direct) {
	.flags = O_DIRECT,
};

RACE_FIXTURE(overwrite)

TEST_F(overwrite, readers_never_see_what_was_overwritten_before_they_began)
{
	uint32_t generation;

	self->race.readers.mixed = true;
	ASSERT_EQ(0, readers_start(&self->race.readers));
	for (generation = 2; generation < 14; generation++) {
		int fd = open(path, O_WRONLY | variant->flags | O_CLOEXEC);

		ASSERT_LE(0, fd);
		ASSERT_EQ(0, write_generation(&self->race.readers, fd, generation));
		if (variant->sync)
			ASSERT_EQ(0, fsync(fd));
		close(fd);
		/* sometimes armed again, sometimes not */
		if (generation % 3 == 0)
			ASSERT_EQ(0, file_armed(self->race.fd));
		if (generation % 3 == 1)
			ASSERT_EQ(0, readers_progress(&self->race.readers, 20));
	}
	EXPECT_SURVIVED();
}

FIXTURE(alone) {
	struct race	race;
};

RACE_FIXTURE(alone)

/* The readers do not stop to let bypass resume. */
TEST_F(alone, bypass_comes_back_while_readers_go_on)
{
	uint64_t deadline = now_ms() + DEADLINE_MS, direct;

	ASSERT_EQ(0, readers_start(&self->race.readers));
	ASSERT_EQ(0, close(open(path, O_WRONLY)));
	direct = file_direct(self->race.fd);
	while (file_direct(self->race.fd) < direct + 50 &&
	       poll_again(deadline))
		;
	EXPECT_LE(direct + 50, file_direct(self->race.fd))
		TH_LOG("%llu reads were refused a lease",
		       (unsigned long long)
		       file_fallbacks(self->race.fd, BPIO_REASON_LEASE));
	EXPECT_SURVIVED();
}

TEST_F(alone, readers_see_an_append_as_a_longer_file_and_nothing_else)
{
	uint64_t size;
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	self->race.readers.bytes = 8 * MIB;
	self->race.readers.shrinks = true;
	self->race.readers.mixed = true;
	ASSERT_EQ(0, readers_start(&self->race.readers));
	for (size = BYTES; size < 8 * MIB; size += 100 * KIB) {
		ASSERT_EQ(0, file_write(fd, size, 100 * KIB, FILE_ID, 1));
		ASSERT_EQ(0, readers_progress(&self->race.readers, 2));
	}
	close(fd);
	EXPECT_SURVIVED();
}

TEST_F(alone, readers_of_an_unlinked_file_see_its_content_only)
{
	unsigned int round;

	ASSERT_EQ(0, readers_start(&self->race.readers));
	ASSERT_EQ(0, unlink(path));
	for (round = 0; round < 8; round++) {
		ASSERT_EQ(0, file_create(other, BYTES, OTHER_ID));
		ASSERT_EQ(0, readers_progress(&self->race.readers, 5));
		ASSERT_EQ(0, unlink(other));
	}
	EXPECT_SURVIVED();
}

/* Renames, modes and writers that write nothing, as fast as they go. */
TEST_F(alone, readers_do_not_notice_changes_that_are_not_of_content)
{
	uint64_t slowest = 0;
	unsigned int i;

	ASSERT_EQ(0, readers_start(&self->race.readers));
	for (i = 0; i < 400; i++) {
		uint64_t start = now_ms();
		int fd;

		switch (i % 4) {
		case 0:
			ASSERT_EQ(0, chmod(path, 0600 + i % 8));
			break;
		case 1:
			ASSERT_EQ(0, rename(path, other));
			ASSERT_EQ(0, rename(other, path));
			break;
		case 2:
			fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
			ASSERT_LE(0, fd) TH_LOG("%s", strerror(errno));
			close(fd);
			break;
		case 3:
			ASSERT_EQ(0, link(path, other));
			ASSERT_EQ(0, unlink(other));
			break;
		}
		if (now_ms() - start > slowest)
			slowest = now_ms() - start;
	}
	/* no task waits for a lease, which would take 45 seconds */
	EXPECT_GT(20000u, slowest);
	EXPECT_SURVIVED();
}

TEST_F(alone, files_are_enabled_and_closed_while_others_read)
{
	unsigned int i;

	ASSERT_EQ(0, readers_start(&self->race.readers));
	for (i = 0; i < 200; i++) {
		int fd = file_open_direct(path);

		ASSERT_EQ(0, fs_enable(volume.fd, fd));
		if (i % 3 == 0)
			ASSERT_EQ(0, file_armed(fd));
		if (i % 5 == 0)
			ASSERT_EQ(0, fs_disable(volume.fd, fd));
		if (i % 7 == 0)
			ASSERT_EQ(0, close(open(path, O_WRONLY)));
		close(fd);
	}
	EXPECT_EQ(1, active_count(volume.fd));
	EXPECT_SURVIVED();
}

PROGRAM_MAIN
