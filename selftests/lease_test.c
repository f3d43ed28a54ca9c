// SPDX-License-Identifier: GPL-2.0-only
/*
 * The leases by which dm-bpio notices changes: other holders that conflict with them,
 * and that they disturb no other holder. Leases of other processes are granted, kept
 * and broken on an enabled file as on a plain one.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "mapper.h"
#include "program.h"
#include "readers.h"
#include "same.h"
#include "stack.h"

#define BYTES	(64 * 1024)
/* Of one read, in ms: many times what arming takes. */
#define DELAY	"50"
#define TIMES	5

/* How long a holder that ignores the break of its lease may delay others. */
#define BREAK_TIME	"/proc/sys/fs/lease-break-time"

static struct stack slow;
static struct volume volume;
static char break_time[16];

/* Tells the module to take a lease. */
#define MODULE	"lease-module"

static int program_setup(void)
{
	return module_load("bpio-probe") ?:
	       dm_create_one(MODULE, "bpio-probe", devices.nvme, 0, 8, "") ?:
	       stack_ext4(&slow, "lease-slow", "delay", devices.nvme, 2048,
			  MIB_SECTORS(64)) ?:
	       volume_fs(&volume, "lease", devices.nvme,
			 2048 + MIB_SECTORS(64), MIB_SECTORS(XFS_MIB), "",
			 "") ?:
	       read_line(BREAK_TIME, break_time, sizeof(break_time)) ?:
	       shell("echo 1 >" BREAK_TIME);
}

static int program_cleanup(void)
{
	return (*break_time ? shell("echo %s >" BREAK_TIME, break_time) : 0) ?:
	       volume_remove(&volume) ?: stack_remove(&slow) ?:
	       dm_remove(MODULE);
}

static int take_time(const char *ms)
{
	return stack_reload(&slow, 0, "delay", ms);
}

/* They hold the inode lock shared, one or the other, all the time. */
TEST(a_file_is_armed_at_the_first_attempt_beside_three_readers_of_a_slow_device)
{
	const char *path = volume_path(&slow.volume, "busy");
	struct readers readers = {
		.file = 1, .bytes = BYTES, .largest = 4096, .oldest = 1,
		.newest = 1,
	};
	struct bpio_file_arm arm;
	int fd, i;

	ASSERT_EQ(0, file_create(path, BYTES, 1));
	ASSERT_EQ(0, take_time(DELAY));
	readers.fd = file_open_direct(path);
	ASSERT_EQ(0, readers_start(&readers));
	fd = file_open_direct(path);
	ASSERT_EQ(0, fs_enable(slow.volume.fd, fd));
	for (i = 0; i < TIMES; i++) {
		EXPECT_EQ(0, readers_progress(&readers, READERS));
		EXPECT_EQ(0, file_arm(fd, &arm));
		EXPECT_EQ(1u, arm.armed)
			TH_LOG("%s", reason_token(arm.reason));
		/* takes the lease away */
		EXPECT_EQ(0, chmod(path, 0600));
	}
	EXPECT_EQ(0, readers_progress(&readers, READERS));
	EXPECT_EQ(0, readers_stop(&readers));
	ASSERT_EQ(0, take_time("0"));
	close(fd);
	close(readers.fd);
	EXPECT_EQ(0, unlink(path));
}

/* --- a holder of a lease, and what others do meanwhile --- */

struct holder {
	pid_t	pid;
	int	control;	/* closed to end it */
	int	ready;		/* written to when it has tried */
};

/* Lives until the other end of @control is closed. */
static void hold(struct same_file *f, int type, bool obeys, int control,
		 int ready)
{
	int fd = type == F_RDLCK ? open(f->path, O_RDONLY | O_CLOEXEC) : f->fd;
	struct pollfd polled[2] = { { .events = POLLIN }, { .events = POLLIN } };
	struct signalfd_siginfo info;
	bool told = false;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGIO);
	sigprocmask(SIG_BLOCK, &set, NULL);
	polled[0].fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	polled[1].fd = control;
	NOTE(fcntl(fd, F_SETLEASE, type));
	if (write(ready, "", 1) != 1)
		f->failed = true;
	for (;;) {
		poll(polled, 2, -1);
		if (read(polled[0].fd, &info, sizeof(info)) > 0) {
			told = true;
			if (obeys)
				fcntl(fd, F_SETLEASE, F_UNLCK);
		} else if (polled[1].revents) {
			break;
		}
	}
	same_note(f, "the holder is %s, and holds %d", told ? "told" : "left alone",
		  fcntl(fd, F_GETLEASE));
	/* closing f->fd would not do, which the parent has open as well */
	fcntl(fd, F_SETLEASE, F_UNLCK);
	_exit(0);
}

static void holder_start(struct same_file *f, struct holder *holder, int type,
			 bool obeys)
{
	int control[2], ready[2];
	char byte;

	if (pipe2(control, O_CLOEXEC) || pipe2(ready, O_CLOEXEC))
		f->failed = true;
	holder->pid = fork();
	if (!holder->pid) {
		close(control[1]);
		hold(f, type, obeys, control[0], ready[1]);
	}
	close(control[0]);
	close(ready[1]);
	holder->control = control[1];
	if (read(ready[0], &byte, 1) != 1)
		f->failed = true;
	close(ready[0]);
}

static void holder_end(struct same_file *f, struct holder *holder)
{
	int status;

	close(holder->control);
	if (waitpid(holder->pid, &status, 0) != holder->pid || status)
		f->failed = true;
}

static int open_and_close(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);

	return fd < 0 ? -1 : close(fd);
}

static void note_open_to_write(struct same_file *f)
{
	NOTE(open_and_close(f->path, O_WRONLY));
}

static void note_open_to_write_at_once(struct same_file *f)
{
	NOTE(open_and_close(f->path, O_RDWR | O_NONBLOCK));
}

static void note_open_to_read(struct same_file *f)
{
	NOTE(open_and_close(f->path, O_RDONLY | O_NONBLOCK));
}

static void note_open_to_truncate(struct same_file *f)
{
	NOTE(open_and_close(f->path, O_RDONLY | O_TRUNC));
}

static void note_open_to_truncate_at_once(struct same_file *f)
{
	NOTE(open_and_close(f->path, O_RDONLY | O_TRUNC | O_NONBLOCK));
}

static void note_truncate(struct same_file *f)
{
	NOTE(truncate(f->path, 4096));
}

static void note_chmod(struct same_file *f)
{
	NOTE(chmod(f->path, 0640));
}

static void note_names(struct same_file *f)
{
	NOTE(link(f->path, f->other));
	NOTE(unlink(f->path));
	NOTE(rename(f->other, f->path));
}

static const same_calls actions[] = {
	note_open_to_write, note_open_to_write_at_once, note_open_to_read,
	note_open_to_truncate, note_open_to_truncate_at_once, note_truncate,
	note_chmod, note_names,
};

/* As overlayfs changes the file below, it cannot wait for a delegation. */
static void through_an_overlay(struct same_file *f)
{
	char upper[256], merged[256], options[1024];
	const char *mount_point = f->volume->mount;
	struct holder holder;

	snprintf(upper, sizeof(upper), "%s/upper/same", mount_point);
	snprintf(merged, sizeof(merged), "%s/merged/same", mount_point);
	snprintf(options, sizeof(options),
		 "lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work",
		 mount_point, mount_point, mount_point);
	NOTE(shell("cd %s && mkdir lower upper work merged", mount_point));
	NOTE(link(f->path, upper));
	NOTE(shell("mount -t overlay none -o %s %s/merged", options,
		   mount_point));
	same_arm(f);
	holder_start(f, &holder, F_RDLCK, true);
	NOTE(chmod(merged, 0640));
	NOTE(utimensat(AT_FDCWD, merged, NULL, 0));
	holder_end(f, &holder);
	NOTE(shell("umount %s/merged", mount_point));
	NOTE(shell("cd %s && rm -r lower upper work merged", mount_point));
}

/* --- the tests --- */

FIXTURE(holder) {
	struct same_file	*files;
};

FIXTURE_VARIANT(holder) {
	same_calls	calls;
};

/* That of a lease which is there: an attempt to arm fails, and says why. */
static void expect_no_arming(struct same_file *f)
{
	struct bpio_file_arm arm;

	if (f->state != SAME_ENABLED)
		return;
	if (!file_arm(f->fd, &arm) && !arm.armed &&
	    arm.reason == BPIO_REASON_LEASE)
		return;
	diag("armed %u beside a lease, reason %s", arm.armed,
	     reason_token(arm.reason));
	f->failed = true;
}

static void beside_a_holder(struct same_file *f, int type, bool obeys,
			    bool first)
{
	struct holder holder;
	unsigned int i;

	/* a lease to write needs the file to itself */
	if (type == F_WRLCK)
		close(f->plain);
	for (i = 0; i < ARRAY_SIZE(actions); i++) {
		if (!first)
			same_arm(f);
		holder_start(f, &holder, type, obeys);
		if (first)
			expect_no_arming(f);
		NOTE(pread(f->fd, f->buffer, 4096, 0));
		same_content(f, f->buffer, 4096, 0);
		actions[i](f);
		holder_end(f, &holder);
		same_write(f, 0, SAME_BYTES);
	}
}

#define HOLDER(name, lease, yields, early)				\
	static void name(struct same_file *f)				\
	{								\
		beside_a_holder(f, lease, yields, early);		\
	}								\
	FIXTURE_VARIANT_ADD(holder, name) { .calls = name }

HOLDER(to_read, F_RDLCK, true, false);
HOLDER(to_read_who_ignores, F_RDLCK, false, false);
HOLDER(to_read_who_came_first, F_RDLCK, true, true);
HOLDER(to_write, F_WRLCK, true, false);
HOLDER(to_write_who_ignores, F_WRLCK, false, false);
HOLDER(to_write_who_came_first, F_WRLCK, true, true);

FIXTURE_SETUP(holder)
{
	self->files = same_files(2);
	ASSERT_NE(NULL, self->files);
}

FIXTURE_TEARDOWN(holder)
{
	EXPECT_EQ(0, active_count(volume.fd));
	unlink(volume_path(&volume, "same"));
	unlink(volume_path(&volume, "other"));
}

static void expect_same(struct __test_metadata *_metadata,
			struct same_file *files, same_calls calls)
{
	struct same_file *plain = &files[0], *enabled = &files[1];

	*plain = *enabled = (struct same_file) {
		.volume = &volume, .flags = O_DIRECT,
	};
	enabled->state = SAME_ENABLED;
	ASSERT_EQ(0, same_run(plain, calls));
	ASSERT_EQ(0, same_run(enabled, calls));
	EXPECT_EQ(0, same_compare(plain, enabled));
	EXPECT_EQ(NULL, strstr(plain->account, "F_SETLEASE, type) = E"));
}

TEST_F(holder, of_a_lease_and_others_notice_no_difference_beside_an_enabled_file)
{
	expect_same(_metadata, self->files, variant->calls);
	EXPECT_NE(NULL, strstr(self->files[0].account, "the holder is told"));
}

FIXTURE(file) {
	struct same_file	*files;
};

FIXTURE_SETUP(file)
{
	self->files = same_files(2);
	ASSERT_NE(NULL, self->files);
}

FIXTURE_TEARDOWN(file)
{
	EXPECT_EQ(0, active_count(volume.fd));
	unlink(volume_path(&volume, "same"));
}

TEST_F(file, of_which_another_holds_a_lease_can_be_changed_through_an_overlay)
{
	if (shell("modprobe -q overlay"))
		SKIP(return, "there is no overlayfs");
	expect_same(_metadata, self->files, through_an_overlay);
	EXPECT_NE(NULL, strstr(self->files[0].account,
			       "chmod(merged, 0640) = 0"));
}

static int lease_as_nobody(const char *path)
{
	pid_t pid = fork();
	int fd, status;

	if (!pid) {
		if (become_nobody())
			_exit(1);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		_exit(fd < 0 || fcntl(fd, F_SETLEASE, F_RDLCK) != -1 ||
		      errno != EACCES);
	}
	return waitpid(pid, &status, 0) == pid && !status ? 0 : -1;
}

TEST_F(file, stays_armed_when_somebody_asks_for_a_lease_who_may_not_have_it)
{
	const char *path = volume_path(&volume, "same");
	struct bpio_file_info info;
	int fd;

	ASSERT_EQ(0, file_create(path, BYTES, 1));
	fd = file_open_direct(path);
	ASSERT_EQ(0, fs_enable_armed(volume.fd, fd));
	EXPECT_EQ(0, lease_as_nobody(path));
	ASSERT_EQ(0, file_info(fd, &info));
	EXPECT_EQ(1u, info.armed);
	EXPECT_EQ(0u, info.revokes);
	close(fd);
}

/*
 * The kernel announces a lease some time before it grants it. One that comes so
 * late that the file is armed again is as one that was never announced.
 */
TEST_F(file, a_lease_that_was_not_announced_lets_those_go_on_who_need_not_break_it)
{
	const char *path = volume_path(&volume, "same");
	char *buffer = dio_alloc(BYTES);
	struct bpio_file_info info;
	int fd;

	ASSERT_EQ(0, file_create(path, BYTES, 1));
	fd = file_open_direct(path);
	ASSERT_EQ(0, fs_enable_armed(volume.fd, fd));
	ASSERT_EQ(0, dm_message(MODULE, NULL, 0, "lease %s", path));
	ASSERT_EQ(0, file_info(fd, &info));
	EXPECT_EQ(1u, info.armed);
	EXPECT_EQ(0, open_and_close(path, O_RDONLY | O_TRUNC))
		TH_LOG("%s", strerror(errno));
	EXPECT_EQ(0, pread(fd, buffer, BYTES, 0));
	EXPECT_EQ(-1, open_and_close(path, O_WRONLY | O_NONBLOCK));
	EXPECT_EQ(EWOULDBLOCK, errno);
	ASSERT_EQ(0, dm_message(MODULE, NULL, 0, "unlease"));
	ASSERT_EQ(0, file_create(path, BYTES, 1));
	EXPECT_EQ(0, file_wait_direct(fd, buffer, BYTES, 0));
	EXPECT_EQ(0, content_is(buffer, BYTES, 0, 1, 1));
	close(fd);
	free(buffer);
}

PROGRAM_MAIN
