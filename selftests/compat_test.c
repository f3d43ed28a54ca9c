// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a 32-bit program can do: nothing with the mapped device, for which
 * device-mapper has no compatible ioctls, but all with a handle it inherits.
 */
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>

#include "program.h"

#define BYTES	65536
/* As the shell says that it cannot run a program. */
#define CANNOT_RUN	126

static struct volume volume;

static int program_setup(void)
{
	return volume_ext4(&volume, "compat", devices.nvme, 2048,
			   MIB_SECTORS(64));
}

static int program_cleanup(void)
{
	return volume_remove(&volume);
}

/*
 * Run caller32 with @args, which %d in it names @fd. What it says goes to
 * @answer. Returns its exit status, or -1 when it did not say @bytes.
 */
static int caller32(const char *args, int fd, void *answer, size_t bytes)
{
	char path[PATH_MAX] = "", call[128], command[PATH_MAX + 256];
	char more;
	size_t got;
	FILE *from;
	int status;

	if (readlink("/proc/self/exe", path, sizeof(path) - 1) < 0)
		return -1;
	snprintf(call, sizeof(call), args, fd);
	snprintf(command, sizeof(command), "exec timeout 60 \"%s/caller32\" %s",
		 dirname(path), call);
	from = popen(command, "r");
	if (!from)
		return -1;
	got = fread(answer, 1, bytes, from);
	got += fread(&more, 1, 1, from);
	status = pclose(from);
	if (!WIFEXITED(status) || (!WEXITSTATUS(status) && got != bytes))
		return -1;
	return WEXITSTATUS(status);
}

FIXTURE(caller) {
	char	path[192];
	int	fd;
	int	handle;
	char	*buffer;
};

FIXTURE_SETUP(caller)
{
#ifndef __x86_64__
	SKIP(return, "there is a 32-bit program for x86 only");
#endif
	snprintf(self->path, sizeof(self->path), "%s",
		 volume_path(&volume, "file"));
	ASSERT_EQ(0, file_create(self->path, 2 * BYTES, 1));
	self->fd = file_open_direct(self->path);
	ASSERT_LE(0, self->fd);
	self->handle = fs_enable(volume.fd, self->fd);
	ASSERT_LE(0, self->handle);
	self->buffer = dio_alloc(BYTES);
	ASSERT_EQ(0, fcntl(self->handle, F_SETFD, 0));
	ASSERT_EQ(0, fcntl(volume.fd, F_SETFD, 0));
	if (caller32("", -1, self->buffer, BYTES) == CANNOT_RUN)
		SKIP(return, "this kernel runs no 32-bit programs");
}

FIXTURE_TEARDOWN(caller)
{
	close(self->handle);
	close(self->fd);
	EXPECT_EQ(0, unlink(self->path));
	EXPECT_EQ(0, active_count(volume.fd));
}

TEST_F(caller, of_32_bits_gets_ENOTTY_from_the_mapped_device)
{
	EXPECT_EQ(ENOTTY, caller32("version %d", volume.fd, self->buffer,
				   sizeof(struct bpio_version)));
	EXPECT_EQ(ENOTTY, caller32("query %d", volume.fd, self->buffer,
				   sizeof(struct fs_bpio_output)));
}

TEST_F(caller, of_32_bits_arms_a_handle_it_inherited)
{
	struct bpio_handle_arm theirs, ours = { .size = sizeof(ours) };

	ASSERT_EQ(0, caller32("arm %d", self->handle, &theirs, sizeof(theirs)));
	EXPECT_EQ(1u, theirs.armed);
	ASSERT_EQ(0, handle_arm(self->handle, &ours));
	EXPECT_EQ(0, memcmp(&ours, &theirs, sizeof(ours)));
	EXPECT_EQ(2u * BYTES, theirs.mapped_bytes);
}

TEST_F(caller, of_32_bits_is_told_the_same_about_a_handle)
{
	struct bpio_handle_info theirs, ours = { .size = sizeof(ours) };

	ASSERT_EQ(0, handle_armed(self->handle));
	ASSERT_EQ(BYTES, pread(self->handle, self->buffer, BYTES, 0));
	ASSERT_EQ(0, caller32("info %d", self->handle, &theirs, sizeof(theirs)));
	ASSERT_EQ(0, handle_info(self->handle, &ours));
	EXPECT_EQ(0, memcmp(&ours, &theirs, sizeof(ours)));
	EXPECT_EQ(1u, theirs.direct_reads);
	EXPECT_EQ((uint64_t)BYTES, theirs.direct_bytes);
}

TEST_F(caller, of_32_bits_reads_direct_on_a_handle_it_inherited)
{
	ASSERT_EQ(0, handle_armed(self->handle));
	ASSERT_EQ(0, caller32("read %d 65536 65536", self->handle, self->buffer,
			      BYTES));
	EXPECT_EQ(0, content_is(self->buffer, BYTES, BYTES, 1, 1));
	EXPECT_EQ(1u, handle_direct(self->handle));
}

TEST_F(caller, of_32_bits_gets_ENOTTY_for_what_a_handle_does_not_know)
{
	EXPECT_EQ(ENOTTY, caller32("version %d", self->handle, self->buffer,
				   sizeof(struct bpio_version)));
}

PROGRAM_MAIN
