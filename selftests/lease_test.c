// SPDX-License-Identifier: GPL-2.0-only
/*
 * The leases by which dm-bpio notices changes: who may be in the way of them.
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "program.h"
#include "readers.h"
#include "stack.h"

#define BYTES	(64 * 1024)
/* Of one read, in ms: many times what arming takes. */
#define DELAY	"50"
#define TIMES	5

static struct stack slow;

static int program_setup(void)
{
	return stack_ext4(&slow, "lease", "delay", devices.nvme, 2048,
			  MIB_SECTORS(64));
}

static int program_cleanup(void)
{
	return stack_remove(&slow);
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

PROGRAM_MAIN
