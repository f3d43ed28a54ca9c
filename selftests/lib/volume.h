/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The devices of a test: mapped devices, file systems on them, mounts.
 *
 * All functions return 0 or a negative errno, after printing what went wrong.
 */
#ifndef SELFTESTS_VOLUME_H
#define SELFTESTS_VOLUME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define MIB_SECTORS(mib)	((uint64_t)(mib) * 2048)

/* Every mapped device of a test starts with this, so that all can be removed. */
#define DM_PREFIX		"bpio-test-"

/*
 * The devices that tests may destroy. They are named by the environment
 * (BPIO_NVME_A1, BPIO_NVME_A2: NVMe namespaces; BPIO_NVME_C1: one that several
 * controllers reach; BPIO_SCRATCH: a disk that is not NVMe) or, with
 * BPIO_TEST_DEVICES=1, found. A name is NULL when there is no such device.
 */
struct devices {
	const char	*nvme;
	const char	*nvme2;
	const char	*multipath;
	const char	*scratch;
};

/* NULL, or a sentence that says why no test can run. */
const char *devices_find(struct devices *devices);

/* One line of a device-mapper table. */
struct dm_line {
	uint64_t	start;
	uint64_t	sectors;
	const char	*type;
	const char	*params;
};

/* Suppress the messages of libdevmapper, for a call that may fail, or print them again. */
void dm_quiet(bool quiet);

/* @name without DM_PREFIX. With @quiet an error is expected. */
int dm_create(const char *name, const struct dm_line *lines, unsigned int count,
	      bool quiet);
int dm_reload(const char *name, const struct dm_line *lines,
	      unsigned int count);
int dm_remove(const char *name);
int dm_suspend(const char *name);
int dm_resume(const char *name);
/* The same, but udev does not read from the device, in case that is slow. */
int dm_reload_unseen(const char *name, const struct dm_line *lines,
		     unsigned int count);
int dm_resume_unseen(const char *name);

/* Size of a block device in sectors of 512 bytes; 0 when it has none. */
uint64_t device_sectors(const char *path);

/* A mapped device with one bpio target, and its file system. */
struct volume {
	char		name[32];	/* without DM_PREFIX */
	char		node[96];	/* of the mapped device */
	char		mount[64];	/* "" when not mounted */
	int		fd;		/* the mapped device, O_RDONLY, or -1 */
	dev_t		dev;
};

/*
 * Map @sectors from @start of @device (0 sectors: to the end), with
 * @features behind the offset ("" for none).
 */
int volume_create(struct volume *volume, const char *name, const char *device,
		  uint64_t start, uint64_t sectors, const char *features);
/* A table of several lines. Operations on volume->fd use the control node. */
int volume_create_lines(struct volume *volume, const char *name,
			const struct dm_line *lines, unsigned int count);
/* Run the mkfs command, to which the node is appended. */
int volume_format(struct volume *volume, const char *mkfs);
int volume_mount(struct volume *volume, const char *type, const char *options);
int volume_umount(struct volume *volume);
/* Unmount if mounted, close, remove. Does nothing for a zeroed volume. */
int volume_remove(struct volume *volume);

/* Create, format by @mkfs and mount as @type; on failure, undo all of that. */
int volume_make(struct volume *volume, const char *name, const char *device,
		uint64_t start, uint64_t sectors, const char *mkfs,
		const char *type);
/* A file system among those that a program reads from. */
struct layout {
	const char	*name;		/* of the volume */
	const char	*mkfs;
	const char	*type;
	unsigned int	block;		/* bytes */
	unsigned int	piece;		/* the least that is allocated, in bytes */
	bool		extents;	/* the file system knows unwritten ones */
};

/* A volume for each of @count layouts, one after the other on @device. */
int volumes_make(struct volume *volumes, const struct layout *layouts,
		 unsigned int count, const char *device);
int volumes_remove(struct volume *volumes, unsigned int count);

/* The usual stack: bpio on NVMe with ext4, 4 KiB blocks. */
int volume_ext4(struct volume *volume, const char *name, const char *device,
		uint64_t start, uint64_t sectors);

/*
 * Format and mount a volume that exists: ext4 without a journal or background work, so
 * that only the test reads and writes. Create "file" of @bytes on it.
 */
int volume_ext4_file(struct volume *volume, uint64_t bytes);

/*
 * The file system that a test runs on: ext4, or what the environment variable
 * BPIO_TEST_FS names. The options are for its mkfs and begin with a blank.
 */
const char *volume_fs_type(void);
int volume_fs(struct volume *volume, const char *name, const char *device,
	      uint64_t start, uint64_t sectors, const char *ext4_options,
	      const char *xfs_options);

/*
 * Fill the file system with the file VOLUME_FILLER, except @spare bytes, so that a file
 * that needs blocks gets those that another one has just freed. Returns 0 or a negative
 * errno.
 */
#define VOLUME_FILLER	"filler"
int volume_fill_up(const struct volume *volume, uint64_t spare);

/* The smallest size that mkfs.xfs accepts, in MiB. */
#define XFS_MIB	300

/* mkfs commands for volume_format(). */
#define MKFS_XFS	"mkfs.xfs -q -f -K"
#define MKFS_EXT_OPTIONS " -q -F -m 0 -E nodiscard,lazy_itable_init=1"
#define MKFS_EXT	"mkfs.ext4" MKFS_EXT_OPTIONS ",lazy_journal_init=1"
#define MKFS_EXT4	MKFS_EXT " -b 4096"
/*
 * For tests that replay the journal: this overwrites it. If mkfs left an old journal's
 * blocks in place, they could be taken for those of the new one when it ends in the middle
 * of a commit.
 */
#define MKFS_EXT4_FOR_RECOVERY "mkfs.ext4" MKFS_EXT_OPTIONS " -b 4096"
#define MKFS_EXT2	"mkfs.ext2" MKFS_EXT_OPTIONS " -b 4096"

/*
 * Send an operation on the volume itself through the control node, whatever its table.
 * Returns 0 or a negative errno. Prints nothing.
 */
struct fs_bpio_output;
struct fs_bpio_info;
int volume_op(const struct volume *volume, uint32_t operation,
	      struct fs_bpio_output *out);
int volume_info(const struct volume *volume, struct fs_bpio_info *info);

/* Path of a file on the volume, in one of a few static buffers. */
const char *volume_path(const struct volume *volume, const char *file);

/* Remove all mounts and mapped devices that an earlier test left behind. */
int volumes_sweep(void);

#endif /* SELFTESTS_VOLUME_H */
