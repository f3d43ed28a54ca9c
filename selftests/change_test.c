// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ways in which a file can change, one per row, while it is armed and has reads in
 * flight: what reads may return during the change, for which reason they fall back, and
 * that bypass resumes afterwards.
 */
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "change.h"
#include "mapper.h"
#include "peer.h"
#include "program.h"

#define FS_START	2048

static struct volume volume;

/* With what repairs and exchanges need, if the kernel knows that. */
static int mount_xfs(void)
{
	static const char mkfs[] = MKFS_XFS " -m rmapbt=1";
	int ret = volume_format(&volume, mkfs);

	/* Debian's mkfs.xfs does not know the feature "exchange", 0x40 */
	ret = ret ?: shell("old=$(xfs_db -r -c 'sb 0' -c 'p features_incompat' %s) && "
			   "xfs_db -x -c 'sb 0' -c \"write -d features_incompat $((${old##* } | 0x40))\" %s",
			   volume.node, volume.node);
	if (!ret && !volume_mount(&volume, "xfs", ""))
		return 0;
	return volume_format(&volume, mkfs) ?: volume_mount(&volume, "xfs", "");
}

static int mount_ext4(void)
{
	return volume_format(&volume, MKFS_EXT4 " -O verity") ?:
	       volume_mount(&volume, "ext4", "");
}

static int program_setup(void)
{
	int ret = volume_create(&volume, "change", devices.nvme, FS_START,
				MIB_SECTORS(XFS_MIB), "");

	if (!ret)
		ret = strcmp(volume_fs_type(), "xfs") ? mount_ext4() :
							mount_xfs();
	return ret ?: change_init(&volume, devices.nvme);
}

static int program_cleanup(void)
{
	return volume_remove(&volume);
}

/* Writers: the descriptor stays open until a read was served because of it. */
static int write_with(struct change *c, int flags)
{
	int fd = open(c->path, O_WRONLY | flags | O_CLOEXEC);

	return change_end_writer(c, fd, change_write(c, fd));
}

static int write_buffered(struct change *c)
{
	return write_with(c, 0);
}

static int write_direct(struct change *c)
{
	return write_with(c, O_DIRECT);
}

static int write_synced(struct change *c)
{
	return write_with(c, O_DSYNC);
}

static int write_mapped(struct change *c)
{
	int fd = open(c->path, O_RDWR | O_CLOEXEC), ret;
	char *map = mmap(NULL, CHANGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
			 fd, 0);

	close(fd);
	if (map == MAP_FAILED)
		return -errno;
	c->readers.newest++;
	content_fill(map, CHANGE_BYTES, CHANGE_FILE, 0, c->readers.newest);
	c->readers.oldest++;
	/* the mapping alone is the writer now */
	ret = change_wait_counted(c, BPIO_REASON_WRITER);
	munmap(map, CHANGE_BYTES);
	return ret;
}

/*
 * The reads of a program that has only peer memory: it is told to wait while there
 * is a writer, and need not do anything to go on.
 */
static int write_beside_a_reader_into_peer_memory(struct change *c)
{
	uint64_t deadline = now_ms() + DEADLINE_MS;
	int fd, ret;
	char *peer;

	c->cannot = peer_missing();
	if (c->cannot)
		return 0;
	peer = peer_map(NULL, CHANGE_BYTES);
	fd = open(c->path, O_WRONLY | O_CLOEXEC);
	ret = change_write(c, fd);
	if (!ret && (pread(c->fd, peer, CHANGE_BYTES, 0) >= 0 ||
		     errno != EREMOTEIO))
		ret = -EPROTO;
	ret = change_end_writer(c, fd, ret);
	while (!ret && pread(c->fd, peer, CHANGE_BYTES, 0) != CHANGE_BYTES)
		ret = errno != EREMOTEIO || !poll_again(deadline) ? -errno : 0;
	ret = ret ?: peer_is(peer, CHANGE_BYTES, 0, CHANGE_FILE,
			     c->readers.newest);
	munmap(peer, CHANGE_BYTES);
	return ret;
}

/* There is no sync: the blocks are allocated when the file is armed again. */
static int append(struct change *c)
{
	int fd = open(c->path, O_WRONLY | O_APPEND | O_CLOEXEC);

	return change_end_writer(c, fd, file_write(fd, CHANGE_BYTES,
						   CHANGE_BYTES, CHANGE_FILE, 1));
}

static int append_direct(struct change *c)
{
	int fd = open(c->path, O_WRONLY | O_DIRECT | O_CLOEXEC);

	return change_end_writer(c, fd, file_write(fd, CHANGE_BYTES,
						   CHANGE_BYTES, CHANGE_FILE, 1));
}

static void will_grow(struct change *c)
{
	c->readers.bytes = 2 * CHANGE_BYTES;
}

static int truncate_down_and_up(struct change *c)
{
	if (truncate(c->path, CHANGE_BYTES / 2) ||
	    truncate(c->path, CHANGE_BYTES))
		return -errno;
	return 0;
}

static int open_with_o_trunc(struct change *c)
{
	int fd = open(c->path, O_RDONLY | O_TRUNC | O_CLOEXEC), ret;

	if (fd < 0)
		return -errno;
	close(fd);
	fd = open(c->path, O_WRONLY | O_CLOEXEC);
	ret = change_write(c, fd);
	close(fd);
	return ret;
}

/* fallocate() through a descriptor that stays open as those of writers do. */
static int allocate(struct change *c, int mode, off_t offset, off_t length)
{
	int fd = open(c->path, O_RDWR | O_CLOEXEC);
	int ret = fallocate(fd, mode, offset, length) ? -errno : 0;

	return change_end_writer(c, fd, ret);
}

static int punch_hole(struct change *c)
{
	return allocate(c, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			CHANGE_BYTES / 4, CHANGE_BYTES / 4);
}

static int zero_range(struct change *c)
{
	return allocate(c, FALLOC_FL_ZERO_RANGE, CHANGE_BYTES / 4,
			CHANGE_BYTES / 4);
}

static int collapse_range(struct change *c)
{
	int ret;

	c->readers.moved_to = CHANGE_BYTES / 4;
	ret = allocate(c, FALLOC_FL_COLLAPSE_RANGE, 0, CHANGE_BYTES / 4);
	c->readers.moved_from = CHANGE_BYTES / 4;
	return ret;
}

static int insert_range(struct change *c)
{
	int ret;

	c->readers.moved_to = -(CHANGE_BYTES / 4);
	ret = allocate(c, FALLOC_FL_INSERT_RANGE, 0, CHANGE_BYTES / 4);
	c->readers.moved_from = -(CHANGE_BYTES / 4);
	return ret;
}

static int preallocate_behind_the_end(struct change *c)
{
	return allocate(c, FALLOC_FL_KEEP_SIZE, CHANGE_BYTES, CHANGE_BYTES);
}

static void with_a_hole(struct change *c)
{
	int fd = open(c->path, O_RDWR | O_CLOEXEC);

	fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		  CHANGE_BYTES / 2, CHANGE_BYTES / 4);
	close(fd);
}

static void preallocated(struct change *c)
{
	int fd = open(c->path, O_RDWR | O_CLOEXEC);

	fallocate(fd, FALLOC_FL_ZERO_RANGE, CHANGE_BYTES / 2, CHANGE_BYTES / 4);
	close(fd);
}

/* Without a sync, so that the blocks are allocated late. */
static int plug(struct change *c)
{
	int fd = open(c->path, O_WRONLY | O_CLOEXEC);

	return change_end_writer(c, fd, file_write(fd, CHANGE_BYTES / 2,
						   CHANGE_BYTES / 4,
						   CHANGE_FILE, 1));
}

/* Changes of other things than content: again and again until one is counted. */
static int change_mode(struct change *c)
{
	return chmod(c->path, 0600) ? -errno : 0;
}

static int set_attribute(struct change *c)
{
	return setxattr(c->path, "user.test", "value", 5, 0) ? -errno : 0;
}

static int rename_it(struct change *c)
{
	return rename(c->path, c->other) || rename(c->other, c->path) ?
	       -errno : 0;
}

static int link_it(struct change *c)
{
	return link(c->path, c->other) || unlink(c->other) ? -errno : 0;
}

/* What the name's blocks could be taken for is there at once. */
static int unlink_it(struct change *c)
{
	int i, ret = unlink(c->path) ? -errno : 0;

	for (i = 0; !ret && i < 4; i++)
		ret = file_create(c->other, 4 * CHANGE_BYTES, CHANGE_FILE + 1);
	return ret;
}

static int change_flags(struct change *c, int flags)
{
	int fd = open(c->path, O_RDONLY | O_CLOEXEC), old, ret = 0, i;

	if (ioctl(fd, FS_IOC_GETFLAGS, &old))
		ret = -errno;
	for (i = 0; !ret && i < 2; i++) {
		int now = i ? old : old ^ flags;

		ret = ioctl(fd, FS_IOC_SETFLAGS, &now) ? -errno : 0;
		ret = ret ?: readers_progress(&c->readers, 20);
	}
	close(fd);
	return ret;
}

static int make_immutable_and_mutable(struct change *c)
{
	return change_flags(c, FS_IMMUTABLE_FL);
}

static int make_append_only_and_not(struct change *c)
{
	return change_flags(c, FS_APPEND_FL | FS_SYNC_FL | FS_NOATIME_FL);
}

/* What is written then goes through the journal first. */
static int journal_its_data(struct change *c)
{
	int fd = open(c->path, O_RDONLY | O_CLOEXEC), flags;
	int ret = ioctl(fd, FS_IOC_GETFLAGS, &flags) ? -errno : 0;

	flags ^= FS_JOURNAL_DATA_FL;
	ret = ret ?: ioctl(fd, FS_IOC_SETFLAGS, &flags) ? -errno : 0;
	close(fd);
	return ret ?: write_with(c, 0);
}

static int freeze_and_thaw(struct change *c)
{
	int fd = open(volume.mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int ret = ioctl(fd, FIFREEZE, 0) ? -errno : 0;

	if (!ret) {
		ret = readers_progress(&c->readers, 20);
		ret = ioctl(fd, FITHAW, 0) ? -errno : ret;
	}
	close(fd);
	return ret;
}

static int remount_read_only_and_back(struct change *c)
{
	int ret = shell("mount -o remount,ro %s", volume.mount);

	ret = ret ?: readers_progress(&c->readers, 20);
	return shell("mount -o remount,rw %s", volume.mount) ?: ret;
}

static int grow_the_file_system(struct change *c)
{
	uint64_t sectors = device_sectors(volume.node) + MIB_SECTORS(16);
	int ret = dm_reload_one("change", "bpio", devices.nvme, FS_START,
				sectors, "");

	ret = ret ?: readers_progress(&c->readers, 20);
	if (!strcmp(volume_fs_type(), "xfs"))
		return ret ?: shell("xfs_growfs %s", volume.mount);
	return ret ?: shell("resize2fs %s", volume.node);
}

FIXTURE(change) {
	struct change	change;
};

FIXTURE_VARIANT(change) {
	int		(*make)(struct change *change);
	/* before it is enabled */
	void		(*prepare)(struct change *change);
	/* that a read has to be counted for; the change is made until it is */
	enum bpio_reason reason;
	/* it cannot be made again; it revokes, whether a read meets that or not */
	bool		once;
	/* why no read goes direct ever after */
	enum bpio_reason ends;
	bool		stays;		/* all reads go direct */
	bool		shrinks;	/* the readers may see a short file */
	bool		zeroes;		/* and zeroes */
	const char	*only;		/* the file system that has it */
};

#define WRITER	.reason = BPIO_REASON_WRITER
#define REVOKED	.reason = BPIO_REASON_REVOKED

FIXTURE_VARIANT_ADD(change, write_buffered) {
	.make = write_buffered, WRITER,
};

FIXTURE_VARIANT_ADD(change, write_direct) {
	.make = write_direct, WRITER,
};

FIXTURE_VARIANT_ADD(change, write_synced) {
	.make = write_synced, WRITER,
};

FIXTURE_VARIANT_ADD(change, write_mapped) {
	.make = write_mapped, WRITER,
};

FIXTURE_VARIANT_ADD(change, write_beside_a_reader_into_peer_memory) {
	.make = write_beside_a_reader_into_peer_memory, WRITER,
};

FIXTURE_VARIANT_ADD(change, append) {
	.make = append, WRITER, .prepare = will_grow, .shrinks = true,
	.zeroes = true,
};

FIXTURE_VARIANT_ADD(change, append_direct) {
	.make = append_direct, WRITER, .prepare = will_grow, .shrinks = true,
	.zeroes = true,
};

FIXTURE_VARIANT_ADD(change, truncate_down_and_up) {
	.make = truncate_down_and_up, REVOKED, .shrinks = true, .zeroes = true,
};

FIXTURE_VARIANT_ADD(change, open_with_o_trunc) {
	.make = open_with_o_trunc, REVOKED, .shrinks = true, .zeroes = true,
};

FIXTURE_VARIANT_ADD(change, punch_hole) {
	.make = punch_hole, WRITER, .zeroes = true,
};

FIXTURE_VARIANT_ADD(change, zero_range) {
	.make = zero_range, WRITER, .zeroes = true,
};

FIXTURE_VARIANT_ADD(change, collapse_range) {
	.make = collapse_range, WRITER, .shrinks = true, .zeroes = true,
};

FIXTURE_VARIANT_ADD(change, insert_range) {
	.make = insert_range, WRITER, .zeroes = true,
};

FIXTURE_VARIANT_ADD(change, preallocate_behind_the_end) {
	.make = preallocate_behind_the_end, WRITER,
};

FIXTURE_VARIANT_ADD(change, plug_a_hole) {
	.make = plug, WRITER, .prepare = with_a_hole, .zeroes = true,
};

FIXTURE_VARIANT_ADD(change, write_where_it_was_preallocated) {
	.make = plug, WRITER, .prepare = preallocated, .zeroes = true,
};

FIXTURE_VARIANT_ADD(change, change_mode) {
	.make = change_mode, REVOKED,
};

FIXTURE_VARIANT_ADD(change, set_attribute) {
	.make = set_attribute, REVOKED,
};

FIXTURE_VARIANT_ADD(change, rename_it) {
	.make = rename_it, REVOKED,
};

FIXTURE_VARIANT_ADD(change, link_it) {
	.make = link_it, REVOKED,
};

FIXTURE_VARIANT_ADD(change, unlink_it) {
	.make = unlink_it, .once = true,
};

FIXTURE_VARIANT_ADD(change, make_immutable_and_mutable) {
	.make = make_immutable_and_mutable, .stays = true,
};

FIXTURE_VARIANT_ADD(change, make_append_only_and_not) {
	.make = make_append_only_and_not, .stays = true,
};

FIXTURE_VARIANT_ADD(change, journal_its_data) {
	.make = journal_its_data, WRITER, .only = "ext4",
};

FIXTURE_VARIANT_ADD(change, freeze_and_thaw) {
	.make = freeze_and_thaw, .stays = true,
};

FIXTURE_VARIANT_ADD(change, remount_read_only_and_back) {
	.make = remount_read_only_and_back, .stays = true,
};

FIXTURE_VARIANT_ADD(change, grow_the_file_system) {
	.make = grow_the_file_system, .reason = BPIO_REASON_VOLUME_SUSPENDED,
};

FIXTURE_VARIANT_ADD(change, clone_it) {
	.make = change_clone_from, REVOKED, .only = "xfs",
};

FIXTURE_VARIANT_ADD(change, clone_another_over_it) {
	.make = change_clone_over, WRITER, .only = "xfs",
};

FIXTURE_VARIANT_ADD(change, swap_its_extents) {
	.make = change_swap_extents, WRITER, .only = "xfs",
};

FIXTURE_VARIANT_ADD(change, exchange_a_range) {
	.make = change_exchange, WRITER, .only = "xfs",
};

FIXTURE_VARIANT_ADD(change, repair_its_map) {
	.make = change_repair, REVOKED, .only = "xfs",
};

FIXTURE_VARIANT_ADD(change, defragment_it) {
	.make = change_defragment, WRITER, .prepare = change_in_pieces,
};

FIXTURE_VARIANT_ADD(change, switch_verity_on) {
	.make = change_verity, .only = "ext4", .ends = BPIO_REASON_VERITY,
};

FIXTURE_VARIANT_ADD(change, swap_to_it) {
	.make = change_swapon, .prepare = change_swap_header,
	.reason = BPIO_REASON_SWAP_FILE,
};

FIXTURE_VARIANT_ADD(change, dirty_pages_pinned_by_direct_io) {
	.make = change_pinned_by_direct_io, .reason = BPIO_REASON_DIRTY_PAGES,
};

FIXTURE_VARIANT_ADD(change, dirty_pages_pinned_by_a_registered_buffer) {
	.make = change_pinned_by_ring, .reason = BPIO_REASON_DIRTY_PAGES,
};

FIXTURE_SETUP(change)
{
	struct change *c = &self->change;

	if (variant->only && strcmp(variant->only, volume_fs_type()))
		SKIP(return, "only %s has it", variant->only);
	ASSERT_EQ(0, change_create(c));
	if (variant->prepare)
		variant->prepare(c);
	c->readers.shrinks = variant->shrinks;
	c->readers.zeroes = variant->zeroes;
	ASSERT_EQ(0, change_begin(c, &volume));
}

FIXTURE_TEARDOWN(change)
{
	change_end(&self->change);
	EXPECT_EQ(0, active_count(volume.fd));
}

static void expect_revoked(struct __test_metadata *_metadata, struct change *c)
{
	struct bpio_file_info now;

	ASSERT_EQ(0, file_info(c->fd, &now));
	EXPECT_LT(c->before.revokes, now.revokes);
}

/* Reads that fell back, but not those that found the file locked meanwhile. */
static uint64_t fallbacks_but_locked(const struct bpio_file_info *info)
{
	return info->fallback_reads - info->fallback_reason[BPIO_REASON_LOCKED];
}

/* A way that no read may leave for longer than the file is locked. */
static void expect_untouched(struct __test_metadata *_metadata,
			     struct change *c)
{
	struct bpio_file_info now;

	ASSERT_EQ(0, file_info(c->fd, &now));
	EXPECT_EQ(c->before.revokes, now.revokes);
	EXPECT_EQ(fallbacks_but_locked(&c->before), fallbacks_but_locked(&now));
	EXPECT_LT(c->before.direct_reads, now.direct_reads);
}

static void expect_ended(struct __test_metadata *_metadata, struct change *c,
			 enum bpio_reason reason)
{
	struct bpio_file_arm arm;

	ASSERT_EQ(0, file_arm(c->fd, &arm));
	EXPECT_EQ(0u, arm.armed);
	EXPECT_STREQ(reason_token(reason), reason_token(arm.reason));
	EXPECT_EQ(0, change_wait_counted(c, reason));
}

TEST_F(change, reads_in_flight_are_right_and_bypass_is_there_afterwards)
{
	uint64_t deadline = now_ms() + DEADLINE_MS;
	struct change *c = &self->change;
	int ret;

	do
		ret = variant->make(c);
	while (!ret && !change_counted(c, variant->reason) &&
	       poll_again(deadline));
	if (c->cannot) {
		EXPECT_EQ(0, readers_stop(&c->readers));
		SKIP(return, "%s", c->cannot);
	}
	ASSERT_EQ(0, ret) TH_LOG("%s: %s", strerror(-ret), c->readers.why);
	EXPECT_TRUE(change_counted(c, variant->reason))
		TH_LOG("no read was counted as %s",
		       reason_token(variant->reason));
	EXPECT_EQ(0, readers_progress(&c->readers, 20));
	if (variant->once)
		expect_revoked(_metadata, c);
	if (variant->stays)
		expect_untouched(_metadata, c);
	if (variant->ends)
		expect_ended(_metadata, c, variant->ends);
	else
		EXPECT_EQ(0, change_wait_direct(c));
	EXPECT_EQ(0, readers_stop(&c->readers));
	/* by now both ways have to bring the same */
	EXPECT_EQ(0, change_compare(c));
}

PROGRAM_MAIN
