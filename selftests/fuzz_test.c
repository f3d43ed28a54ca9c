// SPDX-License-Identifier: GPL-2.0-only
/*
 * Processes that perform random operations with the ioctls, enabled files and reads,
 * half of them unprivileged. They are killed from time to time, while the volume is
 * suspended repeatedly.
 *
 * BPIO_TEST_SECONDS is the duration. BPIO_TEST_SEED repeats a run as far as concurrent
 * processes can be repeated.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "fuzz.h"
#include "mapper.h"
#include "program.h"

#define SECONDS		30
/*
 * A slow machine needs more than one for every kind of call to do something, and
 * for enough reads to go direct.
 */
#define MOST_ROUNDS	5
#define PROCESSES	4

static struct volume volume;
static struct fuzz_place place;

static int program_setup(void)
{
	int ret = volume_ext4(&volume, "fuzz", devices.nvme, 2048,
			      MIB_SECTORS(64)) ?:
		  dm_create_one("fuzz-other", "bpio", devices.nvme,
				MIB_SECTORS(80), MIB_SECTORS(8), "");
	unsigned int i;

	for (i = 0; !ret && i < FUZZ_FILES; i++) {
		snprintf(place.files[i], sizeof(place.files[i]), "%s",
			 volume_path(&volume, i ? "two" : "one"));
		ret = file_create(place.files[i], FUZZ_BYTES, i + 1);
	}
	place.volume = volume.node;
	place.directory = volume.mount;
	place.device = devices.nvme;
	place.other = dm_node("fuzz-other");
	return ret;
}

static int program_cleanup(void)
{
	return volume_remove(&volume) ?: dm_remove("fuzz-other");
}

static uint64_t number(const char *name, uint64_t otherwise)
{
	const char *value = getenv(name);

	return value ? strtoull(value, NULL, 0) : otherwise;
}

static pid_t start(struct fuzz_shared *shared, uint64_t seed, uint64_t deadline,
		   bool nobody)
{
	pid_t pid = fork();

	if (!pid)
		fuzz_process(&place, shared, seed, deadline, nobody);
	return pid;
}

/* Returns 0 or a negative errno of a suspend or resume. */
static int disturb(struct fuzz_shared *shared, uint64_t *random,
		   uint64_t deadline)
{
	pid_t pids[PROCESSES];
	int ret = 0, i;

	for (i = 0; i < PROCESSES; i++)
		pids[i] = start(shared, fuzz_random(random), deadline, i % 2);
	while (now_ms() < deadline && !shared->failed && !ret) {
		uint64_t pause = now_ms() + 50 + fuzz_random(random) % 400;

		i = fuzz_random(random) % PROCESSES;
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
		pids[i] = start(shared, fuzz_random(random), deadline, i % 2);
		ret = dm_suspend(volume.name) ?: dm_resume(volume.name);
		while (poll_again(pause))
			;
	}
	for (i = 0; i < PROCESSES; i++) {
		if (ret || shared->failed)
			kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
	return ret;
}

static bool all_good(const struct fuzz_shared *shared, uint64_t direct)
{
	unsigned int i;

	if (shared->direct[0] <= direct || shared->direct[1] <= direct)
		return false;
	for (i = 0; i < FUZZ_KINDS; i++)
		if (!shared->good[i])
			return false;
	return true;
}

static void expect_usual(struct __test_metadata *_metadata)
{
	char *buffer = dio_alloc(FUZZ_BYTES);
	struct fs_bpio_output out;
	struct bpio_output storage;
	int fd = file_open_direct(place.files[1]);

	EXPECT_EQ(0, storage_op(volume.fd, BPIO_OP_DISABLE, &storage));
	EXPECT_EQ(0, fs_op(volume.fd, FS_BPIO_OP_VOLUME_STACK_RESUME, -1,
			   &out));
	EXPECT_EQ(0, active_count_wait(volume.fd, 0));
	ASSERT_EQ(0, fs_enable(volume.fd, fd));
	EXPECT_EQ(0, file_wait_direct(fd, buffer, FUZZ_BYTES, 0));
	EXPECT_EQ(0, content_is(buffer, FUZZ_BYTES, 0, 2, 1));
	close(fd);
	free(buffer);
	EXPECT_EQ(0, active_count(volume.fd));
}

/* Only tests with a fixture have a separate time limit. */
FIXTURE(fuzz) {
	int	unused;
};

FIXTURE_SETUP(fuzz)
{
}

FIXTURE_TEARDOWN(fuzz)
{
}

TEST_F_TIMEOUT(fuzz, nobody_gets_a_foreign_byte_or_breaks_anything, 100000)
{
	uint64_t seed = number("BPIO_TEST_SEED", time(NULL));
	uint64_t seconds = number("BPIO_TEST_SECONDS", SECONDS), random = seed;
	struct fuzz_shared *shared = mmap(NULL, sizeof(*shared),
					  PROT_READ | PROT_WRITE,
					  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	unsigned int i, rounds = 0;

	ASSERT_NE(MAP_FAILED, (void *)shared);
	TH_LOG("BPIO_TEST_SEED=%llu", (unsigned long long)seed);
	do {
		ASSERT_EQ(0, disturb(shared, &random,
				     now_ms() + 1000 * seconds));
	} while (!shared->failed && !all_good(shared, seconds) &&
		 ++rounds < MOST_ROUNDS);
	EXPECT_FALSE(shared->failed) TH_LOG("%s", shared->why);
	for (i = 0; i < FUZZ_KINDS; i++) {
		TH_LOG("%8llu calls, %8llu good: %s",
		       (unsigned long long)shared->calls[i],
		       (unsigned long long)shared->good[i], fuzz_kind(i));
		EXPECT_LT(0u, shared->good[i]) TH_LOG("%s", fuzz_kind(i));
	}
	TH_LOG("%llu direct reads, and %llu without privilege",
	       (unsigned long long)shared->direct[0],
	       (unsigned long long)shared->direct[1]);
	EXPECT_LT(seconds, shared->direct[0]);
	EXPECT_LT(seconds, shared->direct[1]);
	expect_usual(_metadata);
	munmap(shared, sizeof(*shared));
}

PROGRAM_MAIN
