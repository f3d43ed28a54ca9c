// SPDX-License-Identifier: GPL-2.0-only
/*
 * Events: they are sent when something has changed, with driver and reason; and the
 * number that an unprivileged reader of a file can cause is bounded.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include "access.h"
#include "cgroup.h"
#include "program.h"
#include "stack.h"
#include "uevent.h"

#define BYTES	(64 * 1024)
#define FILTER	"bpio-filter"
#define SWITCH	"/sys/module/dm_bpio/parameters/bypass"

/* More files that are vetoed than the module remembers. */
#define SECRETS	600
#define OWNED	8

/* How long the module holds it back that a file was armed, less a tick. */
#define HOLD_MS	90

/* How long users do all they can at least, and at most. */
#define FLOOD_MS	6000
#define FLOOD_MAX_MS	30000
/* What the module may send meanwhile, see event.c: a burst, then 100 a second. */
#define RING		256
#define RATE		100
#define SENT_MAX(ms)	(3 * RING + ((ms) + 2000) * RATE / 1000)
/* The kernel's memory that is not page cache may grow by that, in KiB. */
#define GROWTH_MAX	(16 * 1024)

static struct stack stack;

static const char *file_path(const char *kind, int number)
{
	static char paths[2][192];
	static int turn;
	char name[64];

	turn = !turn;
	snprintf(name, sizeof(name), "%d.%s", number, kind);
	snprintf(paths[turn], sizeof(paths[0]), "%s",
		 volume_path(&stack.volume, name));
	return paths[turn];
}

/* Files that are vetoed may be empty. */
static int make_files(void)
{
	int i, fd, ret = 0;

	for (i = 0; i < SECRETS && !ret; i++) {
		fd = open(file_path("secret", i), O_CREAT | O_WRONLY, 0644);
		ret = fd < 0 ? -errno : 0;
		close(fd);
	}
	for (i = 0; i < OWNED && !ret; i++) {
		ret = file_create(file_path("mine", i), BYTES, i + 1);
		if (!ret && chown(file_path("mine", i), NOBODY, NOBODY))
			ret = -errno;
	}
	return ret;
}

static int program_setup(void)
{
	int ret = module_load("dm-bpio-filter") ?:
		  stack_ext4(&stack, "event", FILTER, devices.nvme, 2048,
			     MIB_SECTORS(64)) ?:
		  make_files();

	return ret ?: chmod(stack.volume.mount, 0755);
}

static int program_cleanup(void)
{
	return stack_remove(&stack);
}

static void device_text(dev_t dev, char *text, size_t size)
{
	snprintf(text, size, "%u:%u", major(dev), minor(dev));
}

FIXTURE(event) {
	int		socket;
	int		node;
	char		volume[24];
	char		layer[24];
};

FIXTURE_SETUP(event)
{
	struct stat st;

	self->node = node_open();
	ASSERT_LE(0, self->node);
	ASSERT_EQ(0, stat(dm_node(stack.layer[0].name), &st));
	device_text(st.st_rdev, self->layer, sizeof(self->layer));
	device_text(stack.volume.dev, self->volume, sizeof(self->volume));
	self->socket = uevent_open();
	ASSERT_LE(0, self->socket) TH_LOG("%s", strerror(-self->socket));
}

static int tell_filter(const char *words)
{
	return dm_message(stack.layer[0].name, NULL, 0, "%s", words);
}

static int pause_volume(bool pause)
{
	struct fs_bpio_output out;

	return fs_op(stack.volume.fd, pause ? FS_BPIO_OP_VOLUME_STACK_PAUSE :
					      FS_BPIO_OP_VOLUME_STACK_RESUME,
		     -1, &out);
}

static int switch_bypass(const char *on)
{
	int fd = open(SWITCH, O_WRONLY), ret;

	ret = fd < 0 || write(fd, on, 1) != 1 ? -errno : 0;
	close(fd);
	return ret;
}

/* Also after a test that has failed. */
FIXTURE_TEARDOWN(event)
{
	close(self->socket);
	close(self->node);
	EXPECT_EQ(0, switch_bypass("Y"));
	EXPECT_EQ(0, dm_resume(stack.volume.name));
	EXPECT_EQ(0, pause_volume(false));
	tell_filter("allow");
	tell_filter("file_allow *.mine");
	tell_filter("file_allow *.secret");
	EXPECT_EQ(0, active_count(stack.volume.fd));
}

/* The next event is this one. */
static void expect_next(struct __test_metadata *_metadata, int socket,
			const char *name, struct uevent *event)
{
	ASSERT_EQ(0, uevent_next(socket, event, DEADLINE_MS)) {
		TH_LOG("there is no event \"%s\"", name);
	}
	ASSERT_STREQ(name, event->name) {
		TH_LOG("%s %s %s", event->device, event->support, event->reason);
	}
}

#define EXPECT_NEXT(name) \
	expect_next(_metadata, self->socket, name, &event)

/* What is sent for sure after all that was posted before. */
#define EXPECT_NOTHING_ELSE() do {			\
	ASSERT_EQ(0, pause_volume(true));		\
	EXPECT_NEXT("pause");				\
	ASSERT_EQ(0, pause_volume(false));		\
	EXPECT_NEXT("resume");				\
} while (0)

TEST_F(event, a_pause_is_told_when_it_begins_and_when_it_ends_and_not_again)
{
	struct uevent event;
	int i;

	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, pause_volume(true));
	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, pause_volume(false));
	EXPECT_NEXT("pause");
	EXPECT_STREQ(self->volume, event.device);
	EXPECT_NEXT("resume");
	EXPECT_NOTHING_ELSE();
}

TEST_F(event, a_pause_of_a_file_is_told_once_and_never_when_it_is_not_enabled)
{
	int fd = file_open_direct(file_path("mine", 0)), i;
	struct fs_bpio_output out;
	struct uevent event;
	struct stat st;

	ASSERT_EQ(0, fstat(fd, &st));
	ASSERT_EQ(0, fs_op(self->node, FS_BPIO_OP_STREAM_PAUSE, fd, &out));
	ASSERT_EQ(0, node_enable(self->node, fd));
	EXPECT_NEXT("arm");
	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, fs_op(self->node, FS_BPIO_OP_STREAM_PAUSE, fd,
				   &out));
	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, fs_op(self->node, FS_BPIO_OP_STREAM_RESUME, fd,
				   &out));
	EXPECT_NEXT("pause");
	EXPECT_EQ(st.st_ino, event.inode);
	EXPECT_NEXT("resume");
	EXPECT_EQ(st.st_ino, event.inode);
	close(fd);
	EXPECT_NOTHING_ELSE();
}

TEST_F(event, a_file_whose_enable_is_vetoed_is_told_once_and_a_query_never)
{
	int fd = file_open_direct(file_path("secret", 0)), i;
	struct fs_bpio_output out;
	struct uevent event;
	char words[32];
	struct stat st;

	ASSERT_EQ(0, fstat(fd, &st));
	/* words that it has not heard yet, also when the test is run again */
	snprintf(words, sizeof(words), "Not for %d.", getpid());
	ASSERT_EQ(0, dm_message(stack.layer[0].name, NULL, 0,
				"file_veto *.secret 13 %s", words));
	for (i = 0; i < 20; i++)
		ASSERT_EQ(0, fs_op(self->node, FS_BPIO_OP_QUERY, fd, &out));
	for (i = 0; i < 20; i++)
		ASSERT_EQ(-EACCES, fs_enable(self->node, fd));
	EXPECT_NEXT("veto");
	EXPECT_STREQ(self->volume, event.device);
	EXPECT_STREQ(self->layer, event.layer);
	EXPECT_STREQ(FILTER, event.driver);
	EXPECT_STREQ(words, event.reason);
	EXPECT_EQ(-EACCES, event.status);
	EXPECT_EQ(st.st_ino, event.inode);
	EXPECT_NOTHING_ELSE();
	EXPECT_EQ(0, tell_filter("file_allow *.secret"));
	close(fd);
}

TEST_F(event, an_enabled_file_that_is_vetoed_is_told_and_when_that_ends)
{
	int fd = file_open_direct(file_path("mine", 0)), i;
	struct uevent event;
	struct stat st;

	ASSERT_EQ(0, fstat(fd, &st));
	ASSERT_EQ(0, node_enable(self->node, fd));
	EXPECT_NEXT("arm");
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, tell_filter("file_veto *.mine 13 Keep away."));
		EXPECT_NEXT("veto");
		EXPECT_EQ(st.st_ino, event.inode);
		EXPECT_STREQ(self->layer, event.layer);
		EXPECT_STREQ("Keep away.", event.reason);
		ASSERT_EQ(0, tell_filter("file_allow *.mine"));
		EXPECT_NEXT("resume");
		EXPECT_EQ(st.st_ino, event.inode);
	}
	close(fd);
	EXPECT_NOTHING_ELSE();
}

/* Each must have been open for long enough, on a machine however slow. */
TEST_F(event, a_file_that_is_armed_and_closed_at_once_is_not_told)
{
	unsigned int i, told = 0, slow = 0;
	struct uevent event;
	uint64_t begun;
	int fd;

	for (i = 0; i < 50; i++) {
		begun = now_ms();
		fd = file_open_direct(file_path("mine", i % OWNED));
		ASSERT_EQ(0, node_enable(self->node, fd));
		close(fd);
		slow += now_ms() - begun >= HOLD_MS;
	}
	ASSERT_EQ(0, pause_volume(true));
	do {
		ASSERT_EQ(0, uevent_next(self->socket, &event, DEADLINE_MS));
		told += !strcmp(event.name, "arm");
	} while (!strcmp(event.name, "arm"));
	EXPECT_STREQ("pause", event.name);
	EXPECT_GE(slow, told);
	ASSERT_EQ(0, pause_volume(false));
	EXPECT_NEXT("resume");
}

TEST_F(event, a_file_that_stays_open_is_told_although_others_are_closed)
{
	int kept = file_open_direct(file_path("mine", 0)), fd;
	struct uevent event;
	struct stat st;

	ASSERT_EQ(0, fstat(kept, &st));
	ASSERT_EQ(0, node_enable(self->node, kept));
	fd = file_open_direct(file_path("mine", 1));
	ASSERT_EQ(0, node_enable(self->node, fd));
	close(fd);
	EXPECT_NEXT("arm");
	EXPECT_EQ(st.st_ino, event.inode);
	close(kept);
}

TEST_F(event, a_volume_that_loses_its_route_is_told_with_the_reason)
{
	int fd = file_open_direct(file_path("mine", 0));
	struct uevent event;

	ASSERT_EQ(0, node_enable(self->node, fd));
	EXPECT_NEXT("arm");
	/* its own table */
	ASSERT_EQ(0, dm_suspend(stack.volume.name));
	EXPECT_NEXT("support");
	EXPECT_STREQ("none", event.support);
	EXPECT_STREQ(self->volume, event.device);
	EXPECT_STREQ(reason_sentence(BPIO_REASON_VOLUME_SUSPENDED),
		     event.reason);
	ASSERT_EQ(0, dm_resume(stack.volume.name));
	EXPECT_NEXT("support");
	EXPECT_STREQ("full", event.support);
	EXPECT_STREQ("", event.reason);
	/* a layer, which is replaced by one that does not take part */
	ASSERT_EQ(0, stack_reload(&stack, 0, "linear", ""));
	EXPECT_NEXT("support");
	EXPECT_STREQ("none", event.support);
	ASSERT_EQ(0, file_wait_direct(fd, dio_alloc(BYTES), BYTES, 0));
	EXPECT_NEXT("support");
	EXPECT_STREQ("partial", event.support);
	EXPECT_STREQ(self->layer, event.layer);
	EXPECT_STREQ(reason_sentence(BPIO_REASON_LAYER_UNAWARE), event.reason);
	ASSERT_EQ(0, stack_reload(&stack, 0, FILTER, ""));
	EXPECT_NEXT("support");
	EXPECT_STREQ("full", event.support);
	close(fd);
	EXPECT_NOTHING_ELSE();
}

TEST_F(event, a_layer_that_vetoes_the_volume_is_told_when_it_begins_and_ends)
{
	int fd = file_open_direct(file_path("mine", 0));
	struct bpio_output out;
	struct uevent event;
	int i;

	ASSERT_EQ(0, node_enable(self->node, fd));
	EXPECT_NEXT("arm");
	ASSERT_EQ(0, tell_filter("veto 16 Reads along."));
	EXPECT_NEXT("veto");
	EXPECT_STREQ("partial", event.support);
	EXPECT_STREQ(self->volume, event.device);
	EXPECT_STREQ(self->layer, event.layer);
	EXPECT_STREQ(FILTER, event.driver);
	EXPECT_STREQ("Reads along.", event.reason);
	EXPECT_EQ(-EBUSY, event.status);
	EXPECT_EQ(0u, event.inode);
	/* a QUERY, and an ENABLE followed by a close, change nothing */
	for (i = 0; i < 20; i++) {
		EXPECT_EQ(0, storage_op(stack.volume.fd, BPIO_OP_QUERY, &out));
		close(fd);
		fd = file_open_direct(file_path("mine", 0));
		EXPECT_EQ(0, fs_enable(self->node, fd));
	}
	ASSERT_EQ(0, tell_filter("allow"));
	do {
		ASSERT_EQ(0, uevent_next(self->socket, &event, DEADLINE_MS));
	} while (!strcmp(event.name, "arm"));
	EXPECT_STREQ("support", event.name);
	EXPECT_STREQ("full", event.support);
	close(fd);
}

TEST_F(event, the_switch_of_the_module_is_told_for_each_volume_in_use)
{
	int fd = file_open_direct(file_path("mine", 0));
	struct uevent event;

	ASSERT_EQ(0, node_enable(self->node, fd));
	EXPECT_NEXT("arm");
	ASSERT_EQ(0, switch_bypass("N"));
	EXPECT_NEXT("support");
	EXPECT_STREQ("none", event.support);
	EXPECT_STREQ(self->volume, event.device);
	EXPECT_STREQ(reason_sentence(BPIO_REASON_SWITCHED_OFF), event.reason);
	ASSERT_EQ(0, switch_bypass("Y"));
	EXPECT_NEXT("support");
	EXPECT_STREQ("full", event.support);
	close(fd);
	/* nothing is enabled, so nothing changes */
	ASSERT_EQ(0, switch_bypass("N"));
	ASSERT_EQ(0, switch_bypass("Y"));
	EXPECT_NOTHING_ELSE();
}

/* How often a user was refused; of all processes. */
static _Atomic uint64_t *refusals;

/* All that a user may do to a file that is vetoed; what causes events most often. */
static void be_refused(int node)
{
	struct fs_bpio_output out;
	int i, fd;

	for (i = 0; ; i = (i + 1) % SECRETS) {
		fd = file_open_direct(file_path("secret", i));
		if (fs_enable(node, fd) == -EACCES)
			++*refusals;
		if (!(i % 16)) {
			fs_op(node, FS_BPIO_OP_QUERY, fd, &out);
			fs_op(node, FS_BPIO_OP_STREAM_PAUSE, fd, &out);
		}
		close(fd);
	}
}

/* All that a user may do to a file that is not. */
static void arm_and_change(int node)
{
	struct fs_bpio_output out;
	const char *path;
	int i, fd;

	for (i = 0; ; i = (i + 1) % OWNED) {
		path = file_path("mine", i);
		fd = file_open_direct(path);
		fs_op_flags(node, FS_BPIO_OP_ENABLE, fd, FS_BPIO_INFL_ARM,
			    &out);
		fs_op(node, FS_BPIO_OP_STREAM_PAUSE, fd, &out);
		fs_op(node, FS_BPIO_OP_STREAM_RESUME, fd, &out);
		fs_op(node, FS_BPIO_OP_VOLUME_STACK_PAUSE, fd, &out);
		fs_op(node, FS_BPIO_OP_QUERY, fd, &out);
		chmod(path, i & 1 ? 0644 : 0640);
		fs_op(node, FS_BPIO_OP_DISABLE, fd, &out);
		fs_op_flags(node, FS_BPIO_OP_ENABLE, fd, FS_BPIO_INFL_ARM,
			    &out);
		close(fd);
	}
}

static pid_t start_user(void (*act)(int node))
{
	pid_t pid = fork();
	int node;

	if (pid)
		return pid;
	if (become_nobody())
		_exit(1);
	node = open("/dev/" BPIO_NODE_NAME, O_RDWR);
	if (node < 0)
		_exit(1);
	act(node);
	_exit(0);
}

static int end_user(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	return waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) &&
	       WTERMSIG(status) == SIGKILL ? 0 : -EIO;
}

struct counts {
	uint64_t	events;		/* of files */
	uint64_t	pauses;
	uint64_t	resumes;
	uint64_t	lost;
	bool		ordered;	/* pauses and resumes in turn */
};

static void count_event(struct counts *counts, const struct uevent *event)
{
	if (!strcmp(event->name, "lost")) {
		counts->lost += event->count;
	} else if (event->inode) {
		counts->events++;
	} else if (!strcmp(event->name, "pause")) {
		counts->ordered &= counts->pauses == counts->resumes;
		counts->pauses++;
	} else if (!strcmp(event->name, "resume")) {
		counts->resumes++;
		counts->ordered &= counts->pauses == counts->resumes;
	}
}

/* Whether more was refused than can have been sent; a slow machine may not. */
static bool flooded(uint64_t begun)
{
	return *refusals > 2 * SENT_MAX(now_ms() - begun);
}

/* Pause and resume, and look at the memory. Returns the most there was. */
static uint64_t administer(struct __test_metadata *_metadata, uint64_t begun,
			   uint64_t *pauses)
{
	uint64_t most = 0, now;

	for (*pauses = 0; now_ms() < begun + FLOOD_MS ||
	     (!flooded(begun) && now_ms() < begun + FLOOD_MAX_MS); ++*pauses) {
		EXPECT_EQ(0, pause_volume(true));
		EXPECT_EQ(0, pause_volume(false));
		now = kernel_memory();
		most = now > most ? now : most;
		usleep(100000);
	}
	return most;
}

TEST_F(event, users_who_do_all_they_can_cost_little_memory_and_no_other_event)
{
	struct counts counts = { .ordered = true };
	uint64_t before, most, begun, pauses, milliseconds;
	struct uevent event;
	pid_t users[2];
	bool flood;
	int fd;

	refusals = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)refusals);
	ASSERT_EQ(0, tell_filter("file_veto *.secret 13 Keep away."));
	before = kernel_memory();
	begun = now_ms();
	users[0] = start_user(be_refused);
	users[1] = start_user(arm_and_change);
	most = administer(_metadata, begun, &pauses);
	flood = flooded(begun);
	EXPECT_EQ(0, end_user(users[0]));
	EXPECT_EQ(0, end_user(users[1]));
	milliseconds = now_ms() - begun;
	EXPECT_LE(most, before + GROWTH_MAX);

	/* events still held back are sent, then the loss */
	while (!uevent_next(self->socket, &event, 2000))
		count_event(&counts, &event);
	diag("%llu refusals in %llu ms: %llu events of files, %llu lost; memory grew by %lld KiB",
	     (unsigned long long)*refusals, (unsigned long long)milliseconds,
	     (unsigned long long)counts.events, (unsigned long long)counts.lost,
	     (long long)(most - before));
	EXPECT_LT(0u, counts.events);
	EXPECT_GE(SENT_MAX(milliseconds), counts.events);
	EXPECT_EQ(true, !flood || counts.lost);
	EXPECT_EQ(pauses, counts.pauses);
	EXPECT_EQ(pauses, counts.resumes);
	EXPECT_EQ(true, counts.ordered);

	/* and then it is as if nothing had been */
	fd = file_open_direct(file_path("mine", 0));
	ASSERT_EQ(0, node_enable(self->node, fd));
	EXPECT_NEXT("arm");
	close(fd);
	EXPECT_EQ(0, tell_filter("file_allow *.secret"));
}

PROGRAM_MAIN
