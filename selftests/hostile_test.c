// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bounds the damage by a hostile user: an unprivileged user with a small share of the
 * CPUs and a memory limit does all that /dev/bpio and enabled files allow. The test
 * measures its effect on other users: a reader on another volume, a writer on the same
 * one, and an administrator who suspends it and replaces its table.
 *
 * The hostile processes are stopped and continued in turns, some dozen times a run, and
 * the progress of the others with and without them is compared, so that other load of
 * the machine affects both alike. A control process that reads a device unrelated to
 * the module shows how much the mere use of CPU time slows the others down.
 *
 * BPIO_TEST_SECONDS is the duration (default 15).
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "access.h"
#include "cgroup.h"
#include "fuzz.h"
#include "hostile.h"
#include "mapper.h"
#include "program.h"
#include "stack.h"

#define SECONDS		15
#define GROUP		"bpio-test-hostile"
#define SOMEBODY	1000
#define BYTES		(256 * 1024)
#define TURN_MS		500
/* Of the user: one of each kind, and those that do random things. */
#define FUZZERS		2
#define PROCESSES	(HOSTILE_KINDS + FUZZERS)

/*
 * Others may do so many times less than without the user: they queue behind reads of
 * the user's in the same device, and behind the user's transactions in the same
 * journal, each of which ends by itself. More would be a wait for what the user does,
 * who has next to none of the processors.
 *
 * Turns go on, for four times as long at most, until each has done LEAST without the
 * user, so that one more or less makes no difference. Where that is not reached, as on
 * a very slow machine, nothing is said of that work but that it goes on. That is
 * often so for the administrator: a process of the user's that waits for the suspended
 * volume stops only after the resume, so each turn without the user begins together
 * with a table, and may end before it is in place.
 */
#define SLOWER		3
#define LEAST		10
/* Files that the user has enabled before others begin, unless that takes too long. */
#define ENABLED		3000
/*
 * The kernel's memory outside of the group may grow by that, in KiB, and by half a
 * KiB for each of the thousands of files that are enabled: by slabs of which somebody
 * else uses a part, and by vectors in which the kernel notes whose an object is, each
 * of which is a few bytes. The least that an enabled file takes is a KiB, so what is
 * not charged is found.
 */
#define GROWTH_MAX	2048
#define GROWTH_PER_FILE	2
/* What is left in the group when all its processes are gone, in KiB. */
#define LEFT_MAX	1024

enum worker_kind {
	WORKER_CLOCK,
	WORKER_READER,
	WORKER_WRITER,
	WORKER_ADMIN,
	WORKERS,
};

/* In memory that all processes share. */
struct shared {
	_Atomic uint64_t	work[WORKERS];
	_Atomic bool		failed[WORKERS];
	_Atomic bool		stop;
	struct hostile		hostile;
	struct fuzz_shared	fuzz;
};

static struct stack stack, other;
static struct fuzz_place place;
static char user_dir[192], other_path[192], writer_path[192];
static struct shared *shared;

static int make_fuzz_files(void)
{
	int i, ret = 0;

	for (i = 0; i < FUZZ_FILES && !ret; i++) {
		snprintf(place.files[i], sizeof(place.files[i]), "%s",
			 volume_path(&stack.volume, i ? "user/two" : "user/one"));
		ret = file_create(place.files[i], FUZZ_BYTES, i + 1);
	}
	place.volume = stack.volume.node;
	place.other = other.volume.node;
	place.device = devices.nvme;
	place.directory = user_dir;
	return ret;
}

static int program_setup(void)
{
	int ret = module_load("dm-bpio-filter") ?:
		  stack_ext4(&stack, "hostile", "bpio-filter", devices.nvme, 2048,
			     MIB_SECTORS(128)) ?:
		  stack_ext4(&other, "other", "bpio-filter", devices.nvme,
			     MIB_SECTORS(160), MIB_SECTORS(32));

	if (ret)
		return ret;
	snprintf(user_dir, sizeof(user_dir), "%s",
		 volume_path(&stack.volume, "user"));
	snprintf(writer_path, sizeof(writer_path), "%s",
		 volume_path(&stack.volume, "written"));
	snprintf(other_path, sizeof(other_path), "%s",
		 volume_path(&other.volume, "file"));
	if (mkdir(user_dir, 0755))
		return -errno;
	return hostile_files(user_dir) ?: make_fuzz_files() ?:
	       file_create(writer_path, BYTES, 3) ?:
	       file_create(other_path, BYTES, 4);
}

static int program_cleanup(void)
{
	return stack_remove(&stack) ?: stack_remove(&other);
}

/* What a worker has done now, or a negative errno. */
static int work_clock(void *buffer)
{
	static int fd = -1;

	if (fd < 0)
		fd = open(devices.nvme2, O_RDONLY | O_DIRECT | O_CLOEXEC);
	return pread(fd, buffer, PAGE, 0) == PAGE ? 1 : -errno;
}

/* Reads that go direct, of a file that is enabled and armed for a few of them. */
static int work_reader(void *buffer)
{
	static int node = -1;
	int fd, ret = 0;
	uint64_t offset;

	if (node < 0) {
		if (setresgid(SOMEBODY, SOMEBODY, SOMEBODY) ||
		    setresuid(SOMEBODY, SOMEBODY, SOMEBODY))
			return -errno;
		node = node_open();
	}
	fd = file_open_direct(other_path);
	if (node_enable(node, fd))
		ret = -EIO;
	for (offset = 0; offset < BYTES && !ret; offset += BYTES / 4) {
		if (pread(fd, buffer, PAGE, offset) != PAGE)
			ret = -errno;
		else
			ret = content_is(buffer, PAGE, offset, 4, 1);
	}
	ret = ret ?: (int)file_direct(fd);
	close(fd);
	return ret;
}

static int work_writer(void *buffer)
{
	static uint64_t offset;
	static int fd = -1;

	if (fd < 0)
		fd = open(writer_path, O_WRONLY | O_CLOEXEC);
	offset = (offset + PAGE) % BYTES;
	if (pwrite(fd, buffer, PAGE, offset) != PAGE || fdatasync(fd))
		return -errno;
	return 1;
}

/* The table of the volume, or of the layer below it, is replaced by an equal one. */
static int work_admin(void *buffer)
{
	const char *name = stack.volume.name;
	static unsigned int turn;
	int ret;

	(void)buffer;
	if (turn++ % 2) {
		name = stack.layer[0].name;
		ret = stack_reload(&stack, 0, "bpio-filter", "");
	} else {
		ret = dm_reload_one(name, "bpio", dm_node(stack.layer[0].name), 0,
				    stack.sectors, "");
	}
	return ret ?: dm_suspend(name) ?: dm_resume_unseen(name) ?: 1;
}

static int (*const workers[WORKERS])(void *buffer) = {
	[WORKER_CLOCK] = work_clock,
	[WORKER_READER] = work_reader,
	[WORKER_WRITER] = work_writer,
	[WORKER_ADMIN] = work_admin,
};

static const char *const worker_names[WORKERS] = {
	[WORKER_CLOCK] = "reads of an idle device",
	[WORKER_READER] = "direct reads on another volume",
	[WORKER_WRITER] = "writes to the volume",
	[WORKER_ADMIN] = "tables of the volume replaced",
};

static pid_t start_worker(enum worker_kind kind)
{
	pid_t pid = fork();
	char *buffer;
	int done;

	if (pid)
		return pid;
	buffer = dio_alloc(PAGE);
	content_fill(buffer, PAGE, 3, 0, 1);
	while (!shared->stop) {
		done = workers[kind](buffer);
		if (done < 0) {
			shared->failed[kind] = true;
			_exit(1);
		}
		shared->work[kind] += done;
	}
	_exit(0);
}

static pid_t start_user(unsigned int number)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	if (cgroup_join(GROUP))
		_exit(1);
	if (number < HOSTILE_KINDS)
		hostile_process(&shared->hostile, number);
	fuzz_process(&place, &shared->fuzz, number, UINT64_MAX, true);
}

/* Of one turn, or of many. */
struct counts {
	uint64_t	work[WORKERS];
};

FIXTURE(hostile) {
	pid_t		workers[WORKERS];
	pid_t		users[PROCESSES];
	int		log;
};

FIXTURE_SETUP(hostile)
{
	const char *why = cgroup_unavailable();

	if (why)
		SKIP(return, "%s", why);
	if (!devices.nvme2)
		SKIP(return, "BPIO_NVME_A2 names no second device");
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)shared);
	shared->hostile.directory = user_dir;
	ASSERT_EQ(0, cgroup_create(GROUP));
	/* Above that the kernel takes memory back, which slows the user down. */
	ASSERT_EQ(0, cgroup_set(GROUP, "memory.high", "256M"));
	/* what others leave */
	if (cgroup_has_cpu())
		ASSERT_EQ(0, cgroup_set(GROUP, "cpu.weight", "1"));
	self->log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ASSERT_LE(0, self->log);
	lseek(self->log, 0, SEEK_END);
}

FIXTURE_TEARDOWN(hostile)
{
	unsigned int i;

	if (!shared)
		return;
	cgroup_freeze(GROUP, false);
	EXPECT_EQ(0, cgroup_kill(GROUP));
	for (i = 0; i < PROCESSES; i++)
		if (self->users[i] > 0)
			waitpid(self->users[i], NULL, 0);
	shared->stop = true;
	for (i = 0; i < WORKERS; i++)
		if (self->workers[i] > 0)
			waitpid(self->workers[i], NULL, 0);
	EXPECT_EQ(0, cgroup_remove(GROUP));
	EXPECT_EQ(0, active_count_wait(stack.volume.fd, 0));
	EXPECT_EQ(0, active_count_wait(other.volume.fd, 0));
	close(self->log);
}

static int users_start(FIXTURE_DATA(hostile) *self)
{
	unsigned int i;

	for (i = 0; i < PROCESSES; i++) {
		self->users[i] = start_user(i);
		if (self->users[i] < 0)
			return -errno;
	}
	return 0;
}

/* They are killed and gone, and nothing of theirs is enabled any more. */
static int users_end(FIXTURE_DATA(hostile) *self)
{
	int ret = cgroup_freeze(GROUP, false) ?: cgroup_kill(GROUP);
	unsigned int i;

	for (i = 0; i < PROCESSES && !ret; i++) {
		waitpid(self->users[i], NULL, 0);
		self->users[i] = 0;
	}
	return ret;
}

/* All of what a user does was done so many times more. */
static bool users_await(uint64_t count)
{
	uint64_t deadline = now_ms() + 10 * DEADLINE_MS, targets[HOSTILE_KINDS];
	unsigned int i;

	for (i = 0; i < HOSTILE_KINDS; i++)
		targets[i] = shared->hostile.done[i] + count;
	for (i = 0; i < HOSTILE_KINDS; i++)
		while (shared->hostile.done[i] < targets[i])
			if (!poll_again(deadline)) {
				diag("too few: %s", hostile_name(i));
				return false;
			}
	return true;
}

/* Memory of the kernel that is not the group's, in KiB; the users do not run. */
static uint64_t others_memory(void)
{
	uint64_t all = kernel_memory(), charged = cgroup_kernel_memory(GROUP);

	return all > charged ? all - charged : 0;
}

/* Add what is done during a turn. Returns false when one of the workers has failed. */
static bool take_turn(struct counts *counts)
{
	uint64_t before[WORKERS];
	unsigned int i;

	for (i = 0; i < WORKERS; i++)
		before[i] = shared->work[i];
	usleep(1000 * TURN_MS);
	for (i = 0; i < WORKERS; i++) {
		counts->work[i] += shared->work[i] - before[i];
		if (shared->failed[i]) {
			diag("failed: %s", worker_names[i]);
			return false;
		}
	}
	return true;
}

static uint64_t least_work(const struct counts *counts)
{
	uint64_t least = UINT64_MAX;
	unsigned int i;

	for (i = 0; i < WORKERS; i++)
		least = counts->work[i] < least ? counts->work[i] : least;
	return least;
}

/* How much of a worker's work is done beside the user: 1 is all. */
static double part_of(const struct counts *without, const struct counts *with,
		      enum worker_kind kind)
{
	return (double)with->work[kind] / without->work[kind];
}

static void judge_work(struct __test_metadata *_metadata,
		       const struct counts *without, const struct counts *with)
{
	double machine = part_of(without, with, WORKER_CLOCK);
	unsigned int i;

	for (i = 0; i < WORKERS; i++)
		diag("without the user %llu, with the user %llu: %s",
		     (unsigned long long)without->work[i],
		     (unsigned long long)with->work[i], worker_names[i]);
	if (machine > 1)
		machine = 1;
	for (i = 0; i < WORKERS; i++) {
		EXPECT_LT(0u, with->work[i]) TH_LOG("%s", worker_names[i]);
		if (without->work[i] >= LEAST)
			EXPECT_LE(machine, SLOWER * part_of(without, with, i))
				TH_LOG("%s", worker_names[i]);
	}
}

/* No line of the log since the test began is about the module. */
static void judge_log(struct __test_metadata *_metadata, int log)
{
	char record[2048];
	ssize_t n;

	for (;;) {
		n = read(log, record, sizeof(record) - 1);
		/* what was overwritten meanwhile was much */
		EXPECT_TRUE(n >= 0 || errno != EPIPE);
		if (n <= 0)
			break;
		record[n] = 0;
		EXPECT_EQ(NULL, strstr(record, "bpio")) TH_LOG("%s", record);
	}
}

/* Slabs go back when the grace period of what was freed in them has passed. */
static uint64_t least_memory(uint64_t (*memory)(void), uint64_t enough)
{
	uint64_t deadline = now_ms() + DEADLINE_MS, least;

	do {
		least = memory();
	} while (least > enough && poll_again(deadline));
	return least;
}

static uint64_t charged_memory(void)
{
	return cgroup_kernel_memory(GROUP);
}

/* 0 while the volume is suspended. */
static uint64_t enabled_files(void)
{
	int count = active_count(stack.volume.fd);

	return count < 0 ? 0 : count;
}

/* The most that was seen while the users did not run, in KiB but for @enabled. */
struct most {
	uint64_t	others;
	uint64_t	charged;
	uint64_t	enabled;
};

static void look_at_memory(struct most *most)
{
	uint64_t now = others_memory();

	most->others = now > most->others ? now : most->others;
	now = charged_memory();
	most->charged = now > most->charged ? now : most->charged;
	now = enabled_files();
	most->enabled = now > most->enabled ? now : most->enabled;
}

/* The user alone, until many files are enabled. Returns 0 or a negative errno. */
static int users_hoard(struct most *most)
{
	uint64_t deadline = now_ms() + 2 * DEADLINE_MS;
	int ret;

	while (enabled_files() < ENABLED && poll_again(deadline))
		;
	ret = cgroup_freeze(GROUP, true);
	look_at_memory(most);
	return ret;
}

/* Others beside the user. Returns 0 or a negative errno. */
static int take_turns(struct counts *without, struct counts *with,
		      struct most *most)
{
	const char *seconds = getenv("BPIO_TEST_SECONDS");
	uint64_t ms = 1000 * (seconds ? strtoul(seconds, NULL, 0) : SECONDS);
	uint64_t begun = now_ms(), now = begun;
	unsigned int turns;
	int ret = 0;

	for (turns = 0; !ret && (now < begun + ms || least_work(without) < LEAST);
	     turns++) {
		if (now > begun + 4 * ms)
			break;
		if (!take_turn(without))
			return -EIO;
		ret = cgroup_freeze(GROUP, false);
		if (ret)
			return ret;
		if (!take_turn(with))
			return -EIO;
		ret = cgroup_freeze(GROUP, true);
		look_at_memory(most);
		now = now_ms();
		if (shared->fuzz.failed)
			break;
	}
	diag("%u turns each", turns);
	return ret;
}

static void judge_memory(struct __test_metadata *_metadata, uint64_t before,
			 const struct most *most)
{
	uint64_t others = least_memory(others_memory, before + GROWTH_MAX);
	uint64_t charged = least_memory(charged_memory, LEFT_MAX);

	diag("%llu files enabled; charged: %llu KiB, in the end %llu",
	     (unsigned long long)most->enabled,
	     (unsigned long long)most->charged, (unsigned long long)charged);
	diag("memory of others: %llu KiB, at most %lld more, in the end %lld more",
	     (unsigned long long)before, (long long)(most->others - before),
	     (long long)(others - before));
	/* a kernel that looks for leaks keeps what was freed, and notes of its own */
	if (!access("/sys/kernel/debug/kmemleak", F_OK))
		return;
	EXPECT_GE(before + GROWTH_MAX + most->enabled / GROWTH_PER_FILE,
		  most->others);
	EXPECT_GE(before + GROWTH_MAX, others);
	EXPECT_GE(LEFT_MAX, charged);
}

TEST_F_TIMEOUT(hostile, others_work_on_and_pay_nothing_for_a_hostile_user, 100000)
{
	struct counts without = { 0 }, with = { 0 };
	struct most most = { 0 };
	uint64_t before;
	unsigned int i;

	/* what is made on first use is there before the memory is looked at */
	ASSERT_EQ(0, users_start(self));
	EXPECT_TRUE(users_await(20));
	ASSERT_EQ(0, users_end(self));
	ASSERT_EQ(0, active_count_wait(stack.volume.fd, 0));
	before = others_memory();

	ASSERT_EQ(0, users_start(self));
	ASSERT_EQ(0, users_hoard(&most));
	for (i = 0; i < WORKERS; i++)
		self->workers[i] = start_worker(i);
	EXPECT_EQ(0, take_turns(&without, &with, &most));
	EXPECT_FALSE(shared->fuzz.failed) TH_LOG("%s", shared->fuzz.why);
	ASSERT_EQ(0, cgroup_freeze(GROUP, false));
	EXPECT_TRUE(users_await(1));
	for (i = 0; i < HOSTILE_KINDS; i++)
		diag("%llu: %s", (unsigned long long)shared->hostile.done[i],
		     hostile_name(i));
	ASSERT_EQ(0, users_end(self));
	ASSERT_EQ(0, active_count_wait(stack.volume.fd, 0));

	judge_work(_metadata, &without, &with);
	judge_memory(_metadata, before, &most);
	judge_log(_metadata, self->log);
}

PROGRAM_MAIN
