// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <libdevmapper.h>
#include <linux/dm-ioctl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <syslog.h>
#include <unistd.h>

#include "control.h"
#include "files.h"
#include "util.h"
#include "volume.h"

#define MOUNT_DIR "/run/" DM_PREFIX
/* From <xfs/xfs_fs.h>; the argument is two words of 64 bits. */
#define XFS_IOC_SET_RESBLKS	_IOWR('X', 114, uint64_t[2])

static bool is_block_device(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISBLK(st.st_mode);
}

/* The @index-th NVMe namespace of the machine, by name. */
static const char *find_nvme(int index)
{
	static char found[2][32];
	int ctrl, ns;

	for (ctrl = 0; ctrl < 8; ctrl++) {
		for (ns = 1; ns < 8; ns++) {
			char *path = found[index];

			snprintf(path, sizeof(found[0]), "/dev/nvme%dn%d", ctrl,
				 ns);
			if (is_block_device(path) && !index--)
				return path;
		}
	}
	return NULL;
}

const char *devices_find(struct devices *devices)
{
	const char *consent = getenv("BPIO_TEST_DEVICES");
	bool may_find = consent && !strcmp(consent, "1");

	devices->nvme = getenv("BPIO_NVME_A1");
	devices->nvme2 = getenv("BPIO_NVME_A2");
	devices->multipath = getenv("BPIO_NVME_C1");
	devices->scratch = getenv("BPIO_SCRATCH");
	if (!devices->nvme && !may_find)
		return "the tests destroy the contents of NVMe devices; allow it "
		       "with BPIO_TEST_DEVICES=1 or name one in BPIO_NVME_A1";
	if (!devices->nvme) {
		devices->nvme = find_nvme(0);
		devices->nvme2 = find_nvme(1);
	}
	if (!devices->nvme || !is_block_device(devices->nvme))
		return "there is no NVMe namespace to test with";
	if (!devices->scratch && may_find)
		devices->scratch = "/dev/disk/by-id/virtio-scratch";
	if (devices->scratch && !is_block_device(devices->scratch))
		devices->scratch = NULL;
	if (devices->nvme2 && !is_block_device(devices->nvme2))
		devices->nvme2 = NULL;
	return NULL;
}

static void dm_log(int level, const char *file, int line, int dm_errno,
		   const char *fmt, ...)
{
	char text[512];
	va_list args;

	(void)file;
	(void)line;
	(void)dm_errno;
	/* the low three bits; the others are flags */
	if ((level & 7) > LOG_WARNING)
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	diag("libdevmapper: %s", text);
}

static void dm_log_nothing(int level, const char *file, int line, int dm_errno,
			   const char *fmt, ...)
{
	(void)level;
	(void)file;
	(void)line;
	(void)dm_errno;
	(void)fmt;
}

void dm_quiet(bool quiet)
{
	dm_log_with_errno_init(quiet ? dm_log_nothing : dm_log);
}

/* With these flags of a command, udev does not read from the device. */
#define UNSEEN	(DM_UDEV_DISABLE_SUBSYSTEM_RULES_FLAG |		\
		 DM_UDEV_DISABLE_DISK_RULES_FLAG |		\
		 DM_UDEV_DISABLE_OTHER_RULES_FLAG)

/* Run a device-mapper command. @udev: wait for udev, because the node may change. */
static int dm_command_flags(int type, const char *name,
			    const struct dm_line *lines, unsigned int count,
			    bool udev, uint16_t flags)
{
	char full[DM_NAME_LEN];
	struct dm_task *task;
	uint32_t cookie = 0;
	unsigned int i;
	int ret = 0;

	snprintf(full, sizeof(full), DM_PREFIX "%s", name);
	task = dm_task_create(type);
	if (!task || !dm_task_set_name(task, full))
		ret = -ENOMEM;
	for (i = 0; !ret && i < count; i++)
		if (!dm_task_add_target(task, lines[i].start, lines[i].sectors,
					lines[i].type, lines[i].params))
			ret = -ENOMEM;
	/* udev opens a device for a moment after each close of a writer */
	if (!ret && type == DM_DEVICE_REMOVE)
		dm_task_retry_remove(task);
	if (!ret && udev && !dm_task_set_cookie(task, &cookie, flags))
		ret = -EIO;
	if (!ret && !dm_task_run(task))
		ret = -(dm_task_get_errno(task) ?: EIO);
	if (udev)
		dm_udev_wait(cookie);
	if (task)
		dm_task_destroy(task);
	return ret;
}

static int dm_command(int type, const char *name, const struct dm_line *lines,
		      unsigned int count, bool udev)
{
	return dm_command_flags(type, name, lines, count, udev, 0);
}

int dm_create(const char *name, const struct dm_line *lines, unsigned int count,
	      bool quiet)
{
	int ret;

	dm_quiet(quiet);
	ret = dm_command(DM_DEVICE_CREATE, name, lines, count, true);
	dm_quiet(false);
	if (ret && !quiet)
		diag("cannot create the mapped device %s%s: %s", DM_PREFIX,
		     name, strerror(-ret));
	return ret;
}

int dm_reload(const char *name, const struct dm_line *lines, unsigned int count)
{
	int ret = dm_command(DM_DEVICE_RELOAD, name, lines, count, false);

	return ret ?: dm_resume(name);
}

int dm_remove(const char *name)
{
	return dm_command(DM_DEVICE_REMOVE, name, NULL, 0, true);
}

int dm_suspend(const char *name)
{
	return dm_command(DM_DEVICE_SUSPEND, name, NULL, 0, false);
}

int dm_resume(const char *name)
{
	return dm_command(DM_DEVICE_RESUME, name, NULL, 0, true);
}

int dm_resume_unseen(const char *name)
{
	return dm_command_flags(DM_DEVICE_RESUME, name, NULL, 0, true, UNSEEN);
}

int dm_reload_unseen(const char *name, const struct dm_line *lines,
		     unsigned int count)
{
	int ret = dm_command(DM_DEVICE_RELOAD, name, lines, count, false);

	return ret ?: dm_resume_unseen(name);
}

uint64_t device_sectors(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint64_t bytes = 0;

	if (fd < 0)
		return 0;
	if (ioctl(fd, BLKGETSIZE64, &bytes))
		bytes = 0;
	close(fd);
	return bytes / 512;
}

int volume_create_lines(struct volume *volume, const char *name,
			const struct dm_line *lines, unsigned int count)
{
	struct stat st;
	int ret;

	memset(volume, 0, sizeof(*volume));
	snprintf(volume->name, sizeof(volume->name), "%s", name);
	snprintf(volume->node, sizeof(volume->node), "/dev/mapper/" DM_PREFIX "%s",
		 name);
	volume->fd = -1;
	ret = dm_create(name, lines, count, false);
	if (ret)
		return ret;
	volume->fd = open(volume->node, O_RDONLY | O_CLOEXEC);
	if (volume->fd < 0 || fstat(volume->fd, &st)) {
		ret = -errno;
		diag("cannot open %s: %s", volume->node, strerror(-ret));
		volume_remove(volume);
		return ret;
	}
	volume->dev = st.st_rdev;
	return 0;
}

int volume_create(struct volume *volume, const char *name, const char *device,
		  uint64_t start, uint64_t sectors, const char *features)
{
	char params[160];
	struct dm_line line = { .type = "bpio", .params = params };

	line.sectors = sectors ?: device_sectors(device) - start;
	snprintf(params, sizeof(params), "%s %llu%s%s", device,
		 (unsigned long long)start, *features ? " " : "", features);
	return volume_create_lines(volume, name, &line, 1);
}

int volume_format(struct volume *volume, const char *mkfs)
{
	return shell("%s %s", mkfs, volume->node) ? -EIO : 0;
}

int volume_mount(struct volume *volume, const char *type, const char *options)
{
	char dir[sizeof(volume->mount)];
	int ret;

	snprintf(dir, sizeof(dir), MOUNT_DIR "%s", volume->name);
	if (mkdir(dir, 0755) && errno != EEXIST) {
		ret = -errno;
		diag("cannot create %s: %s", dir, strerror(-ret));
		return ret;
	}
	if (mount(volume->node, dir, type, 0, options)) {
		ret = -errno;
		diag("cannot mount %s as %s with options '%s': %s",
		     volume->node, type, options ?: "", strerror(-ret));
		return ret;
	}
	memcpy(volume->mount, dir, sizeof(dir));
	return 0;
}

int volume_umount(struct volume *volume)
{
	int ret;

	if (umount2(volume->mount, 0)) {
		ret = -errno;
		diag("cannot unmount %s: %s", volume->mount, strerror(-ret));
		return ret;
	}
	rmdir(volume->mount);
	volume->mount[0] = 0;
	return 0;
}

int volume_op(const struct volume *volume, uint32_t operation,
	      struct fs_bpio_output *out)
{
	int node = node_open(), ret;

	if (node < 0)
		return node;
	ret = fs_op(node, operation, volume->fd, out);
	close(node);
	return ret;
}

int volume_info(const struct volume *volume, struct fs_bpio_info *info)
{
	struct fs_bpio_output out;
	int ret = volume_op(volume, FS_BPIO_OP_GET_INFO, &out);

	*info = out.get_info;
	return ret;
}

/* "run" adds these up. A suspended volume does not answer. */
static void volume_say_reads(const struct volume *volume)
{
	struct fs_bpio_info info;

	if (volume->fd >= 0 && !volume_info(volume, &info) && info.direct_reads)
		diag("direct reads: %llu", (unsigned long long)info.direct_reads);
}

int volume_remove(struct volume *volume)
{
	int ret = 0;

	if (!volume->name[0])
		return 0;
	if (volume->mount[0])
		ret = volume_umount(volume);
	volume_say_reads(volume);
	if (volume->fd >= 0)
		close(volume->fd);
	volume->fd = -1;
	if (!ret)
		ret = dm_remove(volume->name);
	if (!ret)
		volume->name[0] = 0;
	return ret;
}

int volume_make(struct volume *volume, const char *name, const char *device,
		uint64_t start, uint64_t sectors, const char *mkfs,
		const char *type)
{
	int ret = volume_create(volume, name, device, start, sectors, "") ?:
		  volume_format(volume, mkfs) ?: volume_mount(volume, type, "");

	if (ret)
		volume_remove(volume);
	return ret;
}

int volumes_make(struct volume *volumes, const struct layout *layouts,
		 unsigned int count, const char *device)
{
	unsigned int i;
	int ret = 0;

	for (i = 0; !ret && i < count; i++)
		ret = volume_make(&volumes[i], layouts[i].name, device,
				  2048 + MIB_SECTORS(i * (XFS_MIB + 20)),
				  MIB_SECTORS(XFS_MIB), layouts[i].mkfs,
				  layouts[i].type);
	return ret;
}

int volumes_remove(struct volume *volumes, unsigned int count)
{
	unsigned int i;
	int ret = 0;

	for (i = 0; i < count; i++)
		ret |= volume_remove(&volumes[i]);
	return ret;
}

int volume_ext4(struct volume *volume, const char *name, const char *device,
		uint64_t start, uint64_t sectors)
{
	return volume_make(volume, name, device, start, sectors, MKFS_EXT4,
			   "ext4");
}

int volume_ext4_file(struct volume *volume, uint64_t bytes)
{
	return volume_format(volume, MKFS_EXT4 " -O ^has_journal") ?:
	       volume_mount(volume, "ext4", "noinit_itable") ?:
	       file_create(volume_path(volume, "file"), bytes, 1);
}

const char *volume_fs_type(void)
{
	const char *type = getenv("BPIO_TEST_FS");

	return type && *type ? type : "ext4";
}

int volume_fs(struct volume *volume, const char *name, const char *device,
	      uint64_t start, uint64_t sectors, const char *ext4_options,
	      const char *xfs_options)
{
	const char *type = volume_fs_type();
	char mkfs[192];

	if (!strcmp(type, "xfs"))
		snprintf(mkfs, sizeof(mkfs), MKFS_XFS "%s", xfs_options);
	else
		snprintf(mkfs, sizeof(mkfs), MKFS_EXT4 "%s", ext4_options);

	return volume_make(volume, name, device, start, sectors, mkfs, type);
}

/*
 * Reduce the number of blocks that XFS reserves for extent maps when extents are split.
 * Other file systems reserve none.
 */
#define RESERVED_BLOCKS	32

static int reserve(const struct volume *volume)
{
	struct {
		uint64_t	blocks;
		uint64_t	available;
	} reserve = { .blocks = RESERVED_BLOCKS };
	struct statfs fs;
	int fd, ret;

	if (statfs(volume->mount, &fs))
		return -errno;
	if (fs.f_type != XFS_SUPER_MAGIC)
		return 0;
	fd = open(volume->mount, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ret = ioctl(fd, XFS_IOC_SET_RESBLKS, &reserve) ? -errno : 0;
	close(fd);
	return ret;
}

/* Grow the file until less than 64 KiB are free. */
static void grow_filler(int fd)
{
	off_t size = 0, step = 8 << 20;

	while (step >= 64 * 1024)
		if (fallocate(fd, 0, size, step))
			step /= 2;
		else
			size += step;
}

int volume_fill_up(const struct volume *volume, uint64_t spare)
{
	const char *room = volume_path(volume, "room");
	int flags = O_WRONLY | O_CREAT | O_CLOEXEC;
	int fd = open(volume_path(volume, VOLUME_FILLER), flags, 0600);
	int room_fd = open(room, flags, 0600);
	int ret = fd < 0 || room_fd < 0 ? -errno : reserve(volume);

	if (!ret && fallocate(room_fd, 0, 0, spare))
		ret = -errno;
	if (!ret)
		grow_filler(fd);
	close(fd);
	close(room_fd);
	return unlink(room) && !ret ? -errno : ret;
}

const char *volume_path(const struct volume *volume, const char *file)
{
	static char paths[4][192];
	static unsigned int next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", volume->mount, file);
	return path;
}

int volumes_sweep(void)
{
	/* run the script beside this program */
	return shell("\"$(dirname \"$(readlink /proc/%d/exe)\")/sweep\"",
		     getpid()) ? -EIO : 0;
}
