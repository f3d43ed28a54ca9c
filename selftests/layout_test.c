// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files and file systems with special layouts of their data.
 */
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "program.h"

#define KIB	1024
#define MIB	(1024 * KIB)
#define GIB	(1024ll * MIB)
#define BYTES	(512 * KIB)

static int program_setup(void)
{
	return 0;
}

static int program_cleanup(void)
{
	return 0;
}

/* A separate file system for each test. */
FIXTURE(layout) {
	struct volume	volume;
	char		path[192];
	int		fd;
	char		*buffer;
};

FIXTURE_SETUP(layout)
{
	self->fd = -1;
	self->buffer = dio_alloc(MIB);
}

FIXTURE_TEARDOWN(layout)
{
	close(self->fd);
	EXPECT_EQ(0, volume_remove(&self->volume));
}

#define MAKE(mkfs, type, options) do {					\
	ASSERT_EQ(0, volume_create(&self->volume, "layout", devices.nvme, \
				   MIB_SECTORS(8), MIB_SECTORS(128), "")); \
	ASSERT_EQ(0, volume_format(&self->volume, mkfs));		\
	ASSERT_EQ(0, volume_mount(&self->volume, type, options));	\
	snprintf(self->path, sizeof(self->path), "%s",			\
		 volume_path(&self->volume, "file"));			\
} while (0)

#define OPEN_ENABLED() do {						\
	self->fd = file_open_direct(self->path);			\
	ASSERT_LE(0, self->fd);						\
	ASSERT_EQ(0, fs_enable(self->volume.fd, self->fd));		\
} while (0)

#define EXPECT_CONTENT(bytes, offset, generation) do {			\
	memset(self->buffer, 0xa5, bytes);				\
	EXPECT_EQ(bytes, pread(self->fd, self->buffer, bytes, offset));	\
	EXPECT_EQ(0, content_is(self->buffer, bytes, offset, 1,		\
				generation));				\
} while (0)

TEST_F(layout, data_inside_the_inode_is_read_by_the_file_system)
{
	struct bpio_file_info info;

	MAKE(MKFS_EXT4 " -I 256 -O inline_data", "ext4", "");
	ASSERT_EQ(0, file_create(self->path, 60, 1));
	OPEN_ENABLED();
	ASSERT_EQ(0, file_armed(self->fd));
	ASSERT_EQ(60, pread(self->fd, self->buffer, 4096, 0));
	EXPECT_EQ(0, content_is(self->buffer, 60, 0, 1, 1));
	ASSERT_EQ(0, file_info(self->fd, &info));
	EXPECT_EQ(0u, info.direct_reads);
	EXPECT_EQ(0u, info.mapped_bytes);
	/* grown out of the inode, it has a block like any other file */
	ASSERT_EQ(0, file_create(self->path, BYTES, 1));
	ASSERT_EQ(0, file_wait_direct(self->fd, self->buffer, 4096, 0));
	EXPECT_CONTENT(BYTES, 0, 1);
}

/* What was written last may be in the journal only. */
TEST_F(layout, data_that_went_through_the_journal_is_read_from_its_place)
{
	uint32_t generation;

	MAKE(MKFS_EXT4, "ext4", "data=journal");
	ASSERT_EQ(0, file_create(self->path, BYTES, 1));
	OPEN_ENABLED();
	for (generation = 2; generation < 6; generation++) {
		int fd = open(self->path, O_WRONLY | O_CLOEXEC);

		ASSERT_EQ(0, file_write(fd, 0, BYTES, 1, generation));
		if (generation % 2)
			ASSERT_EQ(0, fsync(fd));
		close(fd);
		EXPECT_CONTENT(BYTES, 0, generation);
		ASSERT_EQ(0, file_armed(self->fd));
		EXPECT_CONTENT(BYTES, 0, generation);
	}
	EXPECT_LT(0u, file_direct(self->fd));
}

TEST_F(layout, files_of_clusters_are_read_right)
{
	MAKE(MKFS_EXT4 " -O bigalloc -C 65536", "ext4", "");
	ASSERT_EQ(0, file_create_fragmented(self->path, 4, 65536, 1));
	OPEN_ENABLED();
	ASSERT_EQ(0, file_armed(self->fd));
	EXPECT_CONTENT(4 * 65536, 0, 1);
	EXPECT_CONTENT(8192, 61440, 1);
	EXPECT_EQ(2u, file_direct(self->fd));
}

TEST_F(layout, ext3_takes_part)
{
	MAKE("mkfs.ext3 -q -F -m 0 -b 4096", "ext3", "");
	ASSERT_EQ(0, file_create(self->path, BYTES, 1));
	OPEN_ENABLED();
	ASSERT_EQ(0, file_armed(self->fd));
	EXPECT_CONTENT(BYTES, 0, 1);
	EXPECT_EQ(1u, file_direct(self->fd));
}

TEST_F(layout, a_file_system_mounted_read_only_takes_part)
{
	MAKE(MKFS_EXT4, "ext4", "");
	ASSERT_EQ(0, file_create(self->path, BYTES, 1));
	ASSERT_EQ(0, mount(NULL, self->volume.mount, NULL,
			   MS_REMOUNT | MS_RDONLY, NULL));
	OPEN_ENABLED();
	ASSERT_EQ(0, file_armed(self->fd));
	EXPECT_CONTENT(BYTES, 0, 1);
	EXPECT_EQ(1u, file_direct(self->fd));
	ASSERT_EQ(0, mount(NULL, self->volume.mount, NULL, MS_REMOUNT, NULL));
	EXPECT_CONTENT(BYTES, 0, 1);
}

/* Returns a second mount of the file system, and in @path that of the file there. */
static const char *mount_again(struct __test_metadata *_metadata,
			       const struct volume *volume, char *path,
			       size_t size)
{
	const char *dir = volume_path(volume, "bound");

	ASSERT_EQ(0, mkdir(dir, 0700));
	ASSERT_EQ(0, mount(volume->mount, dir, NULL, MS_BIND, NULL));
	snprintf(path, size, "%s/file", dir);
	return dir;
}

TEST_F(layout, a_file_seen_through_a_bind_mount_takes_part)
{
	const char *dir;
	char path[256];

	MAKE(MKFS_EXT4, "ext4", "");
	ASSERT_EQ(0, file_create(self->path, BYTES, 1));
	dir = mount_again(_metadata, &self->volume, path, sizeof(path));
	self->fd = file_open_direct(path);
	EXPECT_EQ(0, fs_enable_armed(self->volume.fd, self->fd));
	EXPECT_CONTENT(BYTES, 0, 1);
	EXPECT_EQ(1u, file_direct(self->fd));
	close(self->fd);
	self->fd = -1;
	EXPECT_EQ(0, umount2(dir, 0));
}

/* The lease needs an open file, opened by the path of the first enabled one. */
TEST_F(layout, a_mount_is_free_when_the_enabled_files_on_it_are_closed)
{
	uint64_t deadline = now_ms() + DEADLINE_MS;
	int fd, ret;
	const char *dir;
	char path[256];

	MAKE(MKFS_EXT4, "ext4", "");
	ASSERT_EQ(0, file_create(self->path, BYTES, 1));
	dir = mount_again(_metadata, &self->volume, path, sizeof(path));
	fd = file_open_direct(path);
	ASSERT_EQ(0, fs_enable_armed(self->volume.fd, fd));
	OPEN_ENABLED();
	close(fd);
	do
		ret = umount2(dir, 0);
	while (ret && errno == EBUSY && poll_again(deadline));
	EXPECT_EQ(0, ret);
	ASSERT_EQ(0, file_wait_direct(self->fd, self->buffer, 4096, 0));
	EXPECT_CONTENT(BYTES, 0, 1);
}

/* Offsets that need more than 32 bits, and a map that is not built in one go. */
TEST_F(layout, data_far_behind_in_a_sparse_file_is_read_right)
{
	static const loff_t offsets[] = { 0, 2 * GIB - 4096, 4 * GIB - 4096,
					  4 * GIB, 4 * GIB + 100 * MIB };
	unsigned int i;
	int fd;

	MAKE(MKFS_EXT4, "ext4", "");
	fd = open(self->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	for (i = 0; i < ARRAY_SIZE(offsets); i++)
		ASSERT_EQ(0, file_write(fd, offsets[i], 8192, 1, 1));
	ASSERT_EQ(0, fsync(fd));
	close(fd);
	OPEN_ENABLED();
	/* before there is a map, the file system knows */
	for (i = 0; i < ARRAY_SIZE(offsets); i++)
		EXPECT_CONTENT(8192, offsets[i], 1);
	ASSERT_EQ(0, file_armed(self->fd));
	for (i = 0; i < ARRAY_SIZE(offsets); i++)
		EXPECT_CONTENT(8192, offsets[i], 1);
	EXPECT_LE(ARRAY_SIZE(offsets), file_direct(self->fd));
	EXPECT_EQ(4096, pread(self->fd, self->buffer, 4096, 3 * GIB));
	EXPECT_EQ(0, self->buffer[0]);
	EXPECT_LE(1u, file_fallbacks(self->fd, BPIO_REASON_UNMAPPED));
}

/* Closing does not wait until the map of a huge file is complete. */
TEST_F(layout, a_huge_sparse_file_is_enabled_and_closed_at_once)
{
	uint64_t start;
	int fd;

	MAKE(MKFS_EXT4, "ext4", "");
	fd = open(self->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	ASSERT_EQ(0, file_write(fd, 0, 8192, 1, 1));
	ASSERT_EQ(0, ftruncate(fd, 8192 * GIB));
	ASSERT_EQ(0, fsync(fd));
	close(fd);
	start = now_ms();
	OPEN_ENABLED();
	/* the front of it goes direct while the rest is still unknown */
	ASSERT_EQ(0, file_wait_direct(self->fd, self->buffer, 8192, 0));
	EXPECT_CONTENT(8192, 0, 1);
	/* and the mapping does not delay a writer either */
	fd = open(self->path, O_WRONLY | O_CLOEXEC);
	ASSERT_EQ(0, file_write(fd, 0, 8192, 1, 2));
	close(fd);
	EXPECT_CONTENT(8192, 0, 2);
	ASSERT_EQ(0, file_wait_direct(self->fd, self->buffer, 8192, 0));
	close(self->fd);
	self->fd = -1;
	ASSERT_EQ(0, volume_umount(&self->volume));
	EXPECT_GT(20000u, now_ms() - start);
}

/* Probes are reads of the volume, which is suspended. */
TEST_F(layout, waiting_until_a_file_is_armed_can_be_interrupted)
{
	int writer, status;
	pid_t pid;

	MAKE(MKFS_EXT4, "ext4", "");
	ASSERT_EQ(0, file_create(self->path, 8192, 1));
	OPEN_ENABLED();
	ASSERT_EQ(0, file_armed(self->fd));
	/* so that it has to be armed anew, and not before the suspend */
	writer = open(self->path, O_WRONLY | O_CLOEXEC);
	ASSERT_EQ(0, dm_suspend(self->volume.name));
	close(writer);
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		struct bpio_file_arm arm;

		/* a signal that is ignored would not interrupt */
		signal(SIGALRM, SIG_DFL);
		ualarm(300000, 0);
		file_arm(self->fd, &arm);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(SIGALRM, WTERMSIG(status));
	ASSERT_EQ(0, dm_resume(self->volume.name));
	EXPECT_EQ(0, file_wait_direct(self->fd, self->buffer, 8192, 0));
	EXPECT_CONTENT(8192, 0, 1);
}

/*
 * Direct I/O into a mapped file writes to the page cache when it completes,
 * which may be long after the mapping and the descriptor are gone. Its pages
 * are pinned, and become dirty without any writer that could be seen.
 */
TEST_F(layout, pages_that_become_dirty_without_a_writer_are_not_read_past)
{
	struct dm_line line = { .sectors = 1024, .type = "linear" };
	char params[64], *map, *fresh = dio_alloc(64 * KIB);
	struct iocb iocb = { .aio_lio_opcode = IOCB_CMD_PREAD,
			     .aio_nbytes = 64 * KIB }, *pointer = &iocb;
	aio_context_t context = 0;
	struct io_event event;
	int fd, source;

	MAKE(MKFS_EXT4, "ext4", "");
	ASSERT_EQ(0, file_create(self->path, 64 * KIB, 1));
	/* a device that holds generation 2 and can be made to wait */
	snprintf(params, sizeof(params), "%s 2048", devices.nvme);
	line.params = params;
	ASSERT_EQ(0, dm_create("layout-slow", &line, 1, false));
	source = open("/dev/mapper/" DM_PREFIX "layout-slow",
		      O_RDWR | O_DIRECT | O_CLOEXEC);
	content_fill(fresh, 64 * KIB, 1, 0, 2);
	ASSERT_EQ(64 * KIB, pwrite(source, fresh, 64 * KIB, 0));

	fd = open(self->path, O_RDWR | O_CLOEXEC);
	map = mmap(NULL, 64 * KIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, (void *)map);
	ASSERT_EQ(0, syscall(SYS_io_setup, 1, &context));
	ASSERT_EQ(0, dm_suspend("layout-slow"));
	iocb.aio_fildes = source;
	iocb.aio_buf = (uintptr_t)map;
	EXPECT_EQ(1, syscall(SYS_io_submit, context, 1, &pointer));
	EXPECT_EQ(0, munmap(map, 64 * KIB));
	close(fd);

	OPEN_ENABLED();
	EXPECT_EQ(0, file_armed(self->fd));
	EXPECT_CONTENT(64 * KIB, 0, 1);
	EXPECT_EQ(1u, file_direct(self->fd));

	EXPECT_EQ(0, dm_resume("layout-slow"));
	EXPECT_EQ(1, syscall(SYS_io_getevents, context, 1, 1, &event, NULL));
	EXPECT_EQ(64 * KIB, event.res);
	EXPECT_CONTENT(64 * KIB, 0, 2);
	EXPECT_EQ(1u, file_direct(self->fd));
	EXPECT_EQ(1u, file_fallbacks(self->fd, BPIO_REASON_DIRTY_PAGES));
	/* that read has written the pages back: the way is free again */
	EXPECT_CONTENT(64 * KIB, 0, 2);
	EXPECT_EQ(2u, file_direct(self->fd));
	syscall(SYS_io_destroy, context);
	close(source);
	EXPECT_EQ(0, dm_remove("layout-slow"));
}

PROGRAM_MAIN
