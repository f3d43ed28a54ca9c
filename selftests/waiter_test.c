// SPDX-License-Identifier: GPL-2.0-only
/*
 * A task that waits until no direct read of a file is in flight, without having broken
 * a lease before, makes progress while others read the file continuously; see the top
 * of dm-bpio/file.c. It holds the inode lock during the wait, so otherwise all other
 * users of the file would hang as well.
 *
 * The layers below delay reads by different times, so that there are always some in
 * flight.
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "load.h"
#include "mapper.h"
#include "program.h"

#define BYTES		(1024 * 1024)
#define DISKS		8
#define CHUNK_SECTORS	32
#define DISK_SECTORS	(MIB_SECTORS(XFS_MIB + 20) / DISKS)
/* What is in flight takes a tenth of a second. */
#define PATIENCE_MS	25000

/* Of XFS, which exports it in no header of the kernel. */
struct xfs_eofblocks {
	uint32_t	version;
	uint32_t	flags;
	uint32_t	ids[3];
	uint32_t	pad;
	uint64_t	min_file_size;
	uint64_t	pad64[12];
};

#define XFS_FREE_EOFBLOCKS	_IOR('X', 58, struct xfs_eofblocks)
#define XFS_EOF_SYNC		1

/* A volume above stripes over slow disks. */
struct scene {
	const char	*type;
	const char	*mkfs;
	uint64_t	start;
	struct volume	volume;
	char		path[192];
};

static struct scene ext4 = { .type = "ext4", .mkfs = MKFS_EXT4, .start = 2048 };
static struct scene xfs = {
	.type = "xfs", .mkfs = MKFS_XFS, .start = 2048 + DISKS * DISK_SECTORS,
};

static const char *disk_name(const struct scene *scene, unsigned int disk)
{
	static char name[40];

	snprintf(name, sizeof(name), "%s-disk%u", scene->type, disk);
	return name;
}

/* Only reads take @ms. */
static int disk_table(const struct scene *scene, unsigned int disk,
		      unsigned int ms, bool create)
{
	return dm_slow_reads(disk_name(scene, disk), devices.nvme,
			     scene->start + disk * DISK_SECTORS, DISK_SECTORS,
			     ms, create);
}

static int scene_stripes(const struct scene *scene)
{
	char params[DISKS * 64];
	struct dm_line line = {
		.sectors = DISKS * DISK_SECTORS, .type = "striped",
		.params = params,
	};
	unsigned int i;
	int ret = 0, n;

	n = snprintf(params, sizeof(params), "%u %u", DISKS, CHUNK_SECTORS);
	for (i = 0; i < DISKS && !ret; i++) {
		ret = disk_table(scene, i, 0, true);
		n += snprintf(params + n, sizeof(params) - n, " %s 0",
			      dm_node(disk_name(scene, i)));
	}
	return ret ?: dm_create(scene->type, &line, 1, false);
}

static int scene_create(struct scene *scene)
{
	char name[32];
	unsigned int i;
	int ret;

	snprintf(name, sizeof(name), "waiter-%s", scene->type);
	ret = scene_stripes(scene) ?:
	      volume_make(&scene->volume, name, dm_node(scene->type), 0, 0,
			  scene->mkfs, scene->type);
	for (i = 0; i < DISKS && !ret; i++)
		ret = disk_table(scene, i, 37 + 9 * i, false);
	snprintf(scene->path, sizeof(scene->path), "%s",
		 volume_path(&scene->volume, "file"));
	return ret;
}

static int scene_remove(struct scene *scene)
{
	unsigned int i;
	int ret = volume_remove(&scene->volume) ?: dm_remove(scene->type);

	for (i = 0; i < DISKS && !ret; i++)
		ret = dm_remove(disk_name(scene, i));
	return ret;
}

static int program_setup(void)
{
	return scene_create(&ext4) ?: scene_create(&xfs);
}

static int program_cleanup(void)
{
	return scene_remove(&ext4) | scene_remove(&xfs);
}

FIXTURE(waiter) {
	struct load	load;
	int		fd;		/* of the file, enabled */
	int		other;		/* of the file, plain */
};

/* All return 0 or a negative errno; @fd is open read-only. */
FIXTURE_VARIANT(waiter) {
	struct scene	*scene;
	int		(*prepare)(int fd);	/* before anybody reads */
	int		(*wait)(int fd);	/* -EOPNOTSUPP: not in this kernel */
	int		(*undo)(int fd);
};

static int change_flag(int fd, int flag, bool set)
{
	int flags;

	if (ioctl(fd, FS_IOC_GETFLAGS, &flags))
		return -errno;
	flags = set ? flags | flag : flags & ~flag;
	return ioctl(fd, FS_IOC_SETFLAGS, &flags) ? -errno : 0;
}

static int make_immutable(int fd)
{
	return change_flag(fd, FS_IMMUTABLE_FL, true);
}

static int make_mutable(int fd)
{
	return change_flag(fd, FS_IMMUTABLE_FL, false);
}

static int journal_its_data(int fd)
{
	return change_flag(fd, FS_JOURNAL_DATA_FL, true);
}

static int journal_it_no_more(int fd)
{
	return change_flag(fd, FS_JOURNAL_DATA_FL, false);
}

FIXTURE_VARIANT_ADD(waiter, chattr_plus_i) {
	.scene = &ext4, .wait = make_immutable, .undo = make_mutable,
};

FIXTURE_VARIANT_ADD(waiter, chattr_plus_j) {
	.scene = &ext4, .wait = journal_its_data,
};

FIXTURE_VARIANT_ADD(waiter, chattr_minus_j) {
	.scene = &ext4, .prepare = journal_its_data, .wait = journal_it_no_more,
};

/*
 * Have XFS allocate blocks behind the end of the file: it keeps them when a file
 * is closed that it has taken some back from before.
 */
static int append(int fd)
{
	static char kib[1024];
	char path[64];
	int i, writer, ret = 0;
	struct stat st;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	for (i = 0; i < 4 && !ret; i++) {
		writer = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
		if (write(writer, kib, sizeof(kib)) != sizeof(kib) ||
		    fsync(writer))
			ret = -EIO;
		close(writer);
	}
	if (ret || fstat(fd, &st))
		return -EIO;
	return st.st_blocks * 512ll > st.st_size + 4096 ? 0 : -ENODATA;
}

static int take_back_the_blocks_behind_the_end(int fd)
{
	struct xfs_eofblocks eof = { .version = 1, .flags = XFS_EOF_SYNC };
	struct stat st;

	if (ioctl(fd, XFS_FREE_EOFBLOCKS, &eof))
		return -errno;
	if (fstat(fd, &st))
		return -errno;
	return st.st_blocks * 512ll > st.st_size + 4096 ? -EBUSY : 0;
}

FIXTURE_VARIANT_ADD(waiter, trim_of_what_xfs_has_preallocated) {
	.scene = &xfs, .prepare = append,
	.wait = take_back_the_blocks_behind_the_end,
};

static int check_the_blocks(int fd)
{
	struct xfs_scrub scrub = { .type = XFS_SCRUB_DATA_FORK };

	if (ioctl(fd, XFS_IOC_SCRUB_METADATA, &scrub))
		return errno == ENOTTY ? -EOPNOTSUPP : -errno;
	return scrub.flags ? -EIO : 0;
}

FIXTURE_VARIANT_ADD(waiter, check_by_xfs_scrub) {
	.scene = &xfs, .wait = check_the_blocks,
};

FIXTURE_SETUP(waiter)
{
	struct scene *scene = variant->scene;
	int ret;

	ASSERT_EQ(0, file_create(scene->path, BYTES, 1));
	self->other = open(scene->path, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, self->other);
	ret = variant->prepare ? variant->prepare(self->other) : 0;
	if (ret == -ENODATA)
		SKIP(return, "this XFS allocates nothing behind the end");
	ASSERT_EQ(0, ret);
	self->fd = file_open_direct(scene->path);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, fs_enable_armed(scene->volume.fd, self->fd));
	self->load = load_of(self->fd, BYTES, 4096, 4096);
}

FIXTURE_TEARDOWN(waiter)
{
	if (variant->undo)
		variant->undo(self->other);
	close(self->other);
	close(self->fd);
	EXPECT_EQ(0, unlink(variant->scene->path));
	EXPECT_EQ(0, active_count(variant->scene->volume.fd));
}

/* A waiter, in a thread. */
struct waiting {
	_Atomic bool	over;
	int		(*wait)(int fd);
	int		fd;
	int		result;
};

static void *wait_for_reads(void *argument)
{
	struct waiting *waiting = argument;

	waiting->result = waiting->wait(waiting->fd);
	waiting->over = true;
	return NULL;
}

TEST_F(waiter, it_gets_through_while_others_read_and_they_go_on)
{
	struct waiting waiting = { .wait = variant->wait, .fd = self->other };
	uint64_t deadline;
	pthread_t thread;

	ASSERT_EQ(0, load_start(&self->load));
	EXPECT_EQ(0, load_direct(&self->load));
	EXPECT_EQ(0, load_progress(&self->load, 5));

	deadline = now_ms() + PATIENCE_MS;
	ASSERT_EQ(0, pthread_create(&thread, NULL, wait_for_reads, &waiting));
	while (!waiting.over && poll_again(deadline))
		;
	EXPECT_TRUE(waiting.over);
	if (waiting.over && waiting.result != -EOPNOTSUPP) {
		EXPECT_LT(0u, file_fallbacks(self->fd, BPIO_REASON_LOCKED));
		EXPECT_EQ(0, load_progress(&self->load, 5));
		EXPECT_EQ(0, load_direct(&self->load));
	}

	EXPECT_EQ(0, load_stop(&self->load));
	pthread_join(thread, NULL);
	if (waiting.result == -EOPNOTSUPP)
		SKIP(return, "the kernel's XFS cannot check itself (CONFIG_XFS_ONLINE_SCRUB)");
	EXPECT_EQ(0, waiting.result);
}

PROGRAM_MAIN
