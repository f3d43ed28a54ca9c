// SPDX-License-Identifier: GPL-2.0-only
/*
 * An enabled file behaves like any other: all system calls and ioctls that make sense
 * on a regular file that is open for reading have the same results and effects on an
 * enabled open file as on one that never was enabled. Those that read, wait and watch
 * are in same_read_test.
 *
 * Each row of the table is a function that makes calls. Its account of the calls on a
 * plain open file is compared with that on one that is enabled and armed, and on one
 * that was disabled again; with and without O_DIRECT. A row also has a line that its
 * account must contain, which proves that the calls worked.
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/fiemap.h>
#include <linux/fscrypt.h>
#include <linux/fsverity.h>
#include <linux/hdreg.h>
#include <linux/kcmp.h>
#include <linux/loop.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <termios.h>

#include "access.h"
#include "mapper.h"
#include "program.h"
#include "same.h"

/* Of ext4, which exports it in no header. */
#define EXT4_IOC_PRECACHE_EXTENTS	_IO('f', 18)
/* Of kernels newer than the headers. */
#ifndef FS_IOC_GETFSUUID
#define FS_IOC_GETFSUUID		_IOR(0x15, 0, char[17])
#endif

static struct volume volume;

static int program_setup(void)
{
	return volume_fs(&volume, "same", devices.nvme, 2048,
			 MIB_SECTORS(XFS_MIB), "", "");
}

static int program_cleanup(void)
{
	return volume_remove(&volume);
}

/* --- locks and leases --- */

static void flock_locks(struct same_file *f)
{
	NOTE(flock(f->fd, LOCK_SH));
	NOTE(flock(f->plain, LOCK_SH));
	NOTE(flock(f->fd, LOCK_EX | LOCK_NB));
	NOTE(flock(f->plain, LOCK_UN));
	NOTE(flock(f->fd, LOCK_EX | LOCK_NB));
	NOTE(flock(f->plain, LOCK_SH | LOCK_NB));
	NOTE(flock(f->fd, LOCK_UN));
	NOTE(flock(f->plain, LOCK_EX | LOCK_NB));
	NOTE(flock(f->fd, LOCK_SH | LOCK_NB));
	NOTE(flock(f->plain, LOCK_UN));
	NOTE(flock(f->fd, 77));
}

static void note_lock(struct same_file *f, const struct flock *lock)
{
	same_note(f, "type %d from %ld, %ld bytes, of %s", lock->l_type,
		  (long)lock->l_start, (long)lock->l_len,
		  lock->l_pid == getppid() ? "the parent" :
		  lock->l_pid == -1 ? "an open file" : "nobody");
}

/* In another process: may it write to bytes 100 to 109? */
static void ask_in_a_child(struct same_file *f)
{
	struct flock lock = { .l_type = F_WRLCK, .l_start = 100, .l_len = 10 };
	pid_t pid = fork();
	int fd;

	if (!pid) {
		fd = open(f->path, O_RDWR | O_CLOEXEC);
		NOTE(fcntl(fd, F_SETLK, &lock));
		NOTE(fcntl(fd, F_GETLK, &lock));
		note_lock(f, &lock);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

static void posix_locks(struct same_file *f)
{
	struct flock lock = { .l_type = F_RDLCK, .l_start = 100, .l_len = 50 };

	ask_in_a_child(f);
	NOTE(fcntl(f->fd, F_SETLK, &lock));
	ask_in_a_child(f);
	NOTE(fcntl(f->fd, F_SETLKW, &lock));
	lock.l_type = F_WRLCK;
	NOTE(fcntl(f->fd, F_SETLK, &lock));
	NOTE(fcntl(f->fd, F_GETLK, &lock));
	lock.l_type = F_UNLCK;
	NOTE(fcntl(f->fd, F_SETLK, &lock));
	ask_in_a_child(f);
}

/* A process that closes any descriptor of the file loses its locks. */
static void posix_locks_and_close(struct same_file *f)
{
	struct flock lock = { .l_type = F_RDLCK };

	NOTE(fcntl(f->fd, F_SETLK, &lock));
	ask_in_a_child(f);
	close(open(f->path, O_RDONLY | O_CLOEXEC));
	ask_in_a_child(f);
}

static void lockf_locks(struct same_file *f)
{
	NOTE(lockf(f->fd, F_TLOCK, 10));
	NOTE(lockf(f->fd, F_LOCK, 10));
	NOTE(lockf(f->fd, F_TEST, 10));
	NOTE(lockf(f->fd, F_ULOCK, 10));
}

static void locks_of_open_files(struct same_file *f)
{
	struct flock lock = { .l_type = F_RDLCK, .l_start = 100, .l_len = 50 };
	struct flock other = { .l_type = F_WRLCK, .l_start = 100, .l_len = 1 };
	int fd;

	NOTE(fcntl(f->fd, F_OFD_SETLK, &lock));
	fd = NOTE_FD(open(f->path, O_RDWR | O_CLOEXEC));
	NOTE(fcntl(fd, F_OFD_SETLK, &other));
	NOTE(fcntl(fd, F_OFD_GETLK, &other));
	note_lock(f, &other);
	lock.l_type = F_UNLCK;
	NOTE(fcntl(f->fd, F_OFD_SETLKW, &lock));
	other = (struct flock) { .l_type = F_WRLCK, .l_start = 100, .l_len = 1 };
	NOTE(fcntl(fd, F_OFD_SETLK, &other));
	lock.l_type = F_RDLCK;
	NOTE(fcntl(f->fd, F_OFD_SETLK, &lock));
	lock.l_type = F_WRLCK;
	NOTE(fcntl(f->fd, F_OFD_SETLK, &lock));
	close(fd);
}

/* The signals that the holder of a lease is sent, and what they tell. */
static void note_signal(struct same_file *f, const sigset_t *set)
{
	struct timespec wait = { .tv_sec = 5 };
	siginfo_t info;
	int number = sigtimedwait(set, &info, &wait);

	same_note(f, "signal %s of descriptor %s",
		  number == SIGRTMIN ? "SIGRTMIN" :
		  number < 0 ? "NONE" : strsignal(number),
		  number > 0 && info.si_fd == f->fd ? "f->fd" : "OTHER");
}

static void a_lease_and_a_writer(struct same_file *f)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	sigaddset(&set, SIGIO);
	sigprocmask(SIG_BLOCK, &set, NULL);
	NOTE(fcntl(f->fd, F_SETSIG, SIGRTMIN));
	NOTE(fcntl(f->fd, F_GETLEASE));
	NOTE(fcntl(f->fd, F_SETLEASE, F_RDLCK));
	NOTE(fcntl(f->fd, F_GETLEASE));
	NOTE_FD(open(f->path, O_WRONLY | O_NONBLOCK | O_CLOEXEC));
	note_signal(f, &set);
	NOTE(fcntl(f->fd, F_GETLEASE));
	NOTE(fcntl(f->fd, F_SETLEASE, F_UNLCK));
	fd = NOTE_FD(open(f->path, O_WRONLY | O_NONBLOCK | O_CLOEXEC));
	NOTE(fcntl(f->fd, F_SETLEASE, F_RDLCK));
	close(fd);
	NOTE(fcntl(f->fd, F_SETLEASE, F_RDLCK));
	NOTE(fcntl(f->fd, F_SETLEASE, F_RDLCK));
	NOTE(fcntl(f->fd, F_SETLEASE, F_UNLCK));
	NOTE(fcntl(f->fd, F_SETLEASE, F_UNLCK));
}

/* A truncation waits until the holder releases the lease. */
static void a_lease_and_what_breaks_it(struct same_file *f)
{
	sigset_t set;
	pid_t pid;
	int status;

	sigemptyset(&set);
	sigaddset(&set, SIGIO);
	sigprocmask(SIG_BLOCK, &set, NULL);
	NOTE(fcntl(f->fd, F_SETLEASE, F_RDLCK));
	pid = fork();
	if (!pid)
		_exit(truncate(f->path, 4096) ? errno : 0);
	same_note(f, "signal %s",
		  sigtimedwait(&set, NULL, &(struct timespec) { .tv_sec = 5 }) ==
		  SIGIO ? "SIGIO" : "NONE");
	NOTE(fcntl(f->fd, F_GETLEASE));
	NOTE(fcntl(f->fd, F_SETLEASE, F_UNLCK));
	waitpid(pid, &status, 0);
	same_note(f, "truncate ends with status %#x", status);
	NOTE(lseek(f->fd, 0, SEEK_END));
}

/* Only its holder may have the file open. */
static void a_lease_that_needs_the_only_opener(struct same_file *f)
{
	close(f->plain);
	NOTE(fcntl(f->fd, F_SETLEASE, F_WRLCK));
	NOTE(fcntl(f->fd, F_GETLEASE));
	NOTE(pread(f->fd, f->buffer, 4096, 0));
	same_content(f, f->buffer, 4096, 0);
	NOTE(fcntl(f->fd, F_SETLEASE, F_RDLCK));
	NOTE(fcntl(f->fd, F_SETLEASE, F_WRLCK));
	NOTE(fcntl(f->fd, F_SETLEASE, F_UNLCK));
}

/* A writer that does not want to wait need not. */
static void a_writer_that_does_not_wait(struct same_file *f)
{
	int fd = NOTE_FD(open(f->path, O_WRONLY | O_NONBLOCK | O_CLOEXEC));

	close(fd);
	fd = NOTE_FD(open(f->path, O_RDWR | O_NONBLOCK | O_TRUNC | O_CLOEXEC));
	NOTE(lseek(f->fd, 0, SEEK_END));
	NOTE(lseek(f->fd, 0, SEEK_SET));
	NOTE(read(f->fd, f->buffer, 4096));
	close(fd);
	f->spoiled = true;
}

/* --- to the device --- */

/* Sectors written to the volume so far. */
static unsigned long long sectors_written(void)
{
	unsigned long long sectors = 0;
	char path[80], line[256] = "";

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/stat",
		 major(volume.dev), minor(volume.dev));
	if (read_line(path, line, sizeof(line)) ||
	    sscanf(line, "%*u %*u %*u %*u %*u %*u %llu", &sectors) != 1)
		diag("there is no %s", path);
	return sectors;
}

/* Dirty pages of the file, or of another one, are on the device afterwards. */
static void sync_one(struct same_file *f, const char *path,
		     int (*sync)(int fd), const char *name)
{
	unsigned long long before = sectors_written();
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	file_write(fd, 0, SAME_BLOCKS * 4096, SAME_FILE, 1);
	same_result(f, name, sync(f->fd));
	same_note(f, "written: %s", sectors_written() - before >=
		  SAME_BLOCKS * 8 ? "yes" : "NO");
	close(fd);
}

static void fsync_writes(struct same_file *f)
{
	sync_one(f, f->path, fsync, "fsync");
}

static void fdatasync_writes(struct same_file *f)
{
	sync_one(f, f->path, fdatasync, "fdatasync");
}

static void syncfs_writes_other_files(struct same_file *f)
{
	sync_one(f, f->other, syncfs, "syncfs");
	unlink(f->other);
}

static int sync_all_of_it(int fd)
{
	return sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WAIT_BEFORE |
			       SYNC_FILE_RANGE_WRITE |
			       SYNC_FILE_RANGE_WAIT_AFTER);
}

static void sync_file_range_writes(struct same_file *f)
{
	sync_one(f, f->path, sync_all_of_it, "sync_file_range");
	NOTE(sync_file_range(f->fd, -1, 0, 0));
	NOTE(sync_file_range(f->fd, 0, 4096, 0x1000));
}

/* --- what the file and its file system say about themselves --- */

static void fstat_tells(struct same_file *f)
{
	struct stat mine = { 0 }, plain = { 0 };

	NOTE(fstat(f->fd, &mine));
	NOTE(fstat(f->plain, &plain));
	same_bytes(f, "stat", &mine, &plain, sizeof(mine));
	same_note(f, "%ld bytes, %ld blocks, mode %o, %u links", mine.st_size,
		  mine.st_blocks, mine.st_mode, (unsigned int)mine.st_nlink);
	same_write(f, SAME_BYTES / 512 * 512, 4096);
	NOTE(fstat(f->fd, &mine));
	same_note(f, "%ld bytes", mine.st_size);
}

#define STATX_EVERYTHING	(STATX_ALL | 0xffff)

static void statx_tells(struct same_file *f)
{
	struct statx mine = { 0 }, plain = { 0 };

	NOTE(statx(f->fd, "", AT_EMPTY_PATH, STATX_EVERYTHING, &mine));
	NOTE(statx(f->plain, "", AT_EMPTY_PATH, STATX_EVERYTHING, &plain));
	same_bytes(f, "statx", &mine, &plain, sizeof(mine));
	same_note(f, "mask %#x, size %llu", mine.stx_mask,
		  (unsigned long long)mine.stx_size);
	NOTE(statx(f->fd, "", AT_EMPTY_PATH | AT_STATX_FORCE_SYNC, STATX_ALL,
		   &mine));
	NOTE(statx(f->fd, "", 0, STATX_ALL, &mine));
	NOTE(statx(f->fd, "x", 0, STATX_ALL, &mine));
}

static void fstatfs_tells(struct same_file *f)
{
	struct statfs mine = { 0 }, plain = { 0 };
	struct statvfs vfs = { 0 };

	NOTE(fstatfs(f->fd, &mine));
	NOTE(fstatfs(f->plain, &plain));
	same_note(f, "type %#lx, blocks of %ld, %ld of them: %s", mine.f_type,
		  mine.f_bsize, (long)mine.f_blocks,
		  mine.f_blocks == plain.f_blocks &&
		  !memcmp(&mine.f_fsid, &plain.f_fsid, sizeof(mine.f_fsid)) ?
		  "as by the other" : "DIFFERENT");
	NOTE(fstatvfs(f->fd, &vfs));
	same_note(f, "%lu blocks of %lu, names of %lu", (long)vfs.f_blocks,
		  vfs.f_bsize, vfs.f_namemax);
}

static void fionread_follows_the_file(struct same_file *f)
{
	int bytes = -1;

	NOTE(ioctl(f->fd, FIONREAD, &bytes));
	same_note(f, "%d bytes", bytes);
	same_write(f, SAME_BYTES / 512 * 512, 64 * 1024);
	NOTE(ioctl(f->fd, FIONREAD, &bytes));
	same_note(f, "%d bytes", bytes);
	NOTE(lseek(f->fd, 8192, SEEK_SET));
	NOTE(ioctl(f->fd, FIONREAD, &bytes));
	same_note(f, "%d bytes", bytes);
}

static void lseek_finds(struct same_file *f)
{
	int fd = open(f->path, O_WRONLY | O_CLOEXEC);

	fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 32768, 65536);
	close(fd);
	same_arm(f);
	NOTE(lseek(f->fd, 0, SEEK_HOLE));
	NOTE(lseek(f->fd, 40000, SEEK_DATA));
	NOTE(lseek(f->fd, 100000, SEEK_HOLE));
	NOTE(lseek(f->fd, SAME_BYTES, SEEK_DATA));
	NOTE(lseek(f->fd, SAME_BYTES, SEEK_HOLE));
	NOTE(lseek(f->fd, 0, SEEK_END));
	NOTE(lseek(f->fd, -5, SEEK_CUR));
	NOTE(lseek(f->fd, 1L << 40, SEEK_SET));
	NOTE(lseek(f->fd, -1, SEEK_SET));
	NOTE(lseek(f->fd, 0, 9));
	NOTE(lseek(f->fd, 0, SEEK_CUR));
}

static void links_and_names(struct same_file *f)
{
	char link[64], name[256] = "";
	struct stat stat;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", f->fd);
	NOTE(readlink(link, name, sizeof(name)));
	same_note(f, "%s", strcmp(name, f->path) ? "ANOTHER NAME" : "its name");
	NOTE(rename(f->path, f->other));
	memset(name, 0, sizeof(name));
	NOTE(readlink(link, name, sizeof(name)));
	same_note(f, "%s", strcmp(name, f->other) ? "ANOTHER NAME" : "its name");
	NOTE(rename(f->other, f->path));
	NOTE(linkat(f->fd, "", AT_FDCWD, f->other, AT_EMPTY_PATH));
	NOTE(fstat(f->fd, &stat));
	same_note(f, "%u links", (unsigned int)stat.st_nlink);
	NOTE(unlink(f->other));
	NOTE(linkat(AT_FDCWD, link, AT_FDCWD, f->other, AT_SYMLINK_FOLLOW));
	NOTE(unlink(f->other));
	NOTE(linkat(f->fd, "", f->plain, "x", AT_EMPTY_PATH));
	NOTE(unlink(f->path));
	NOTE(fstat(f->fd, &stat));
	same_note(f, "%u links", (unsigned int)stat.st_nlink);
	NOTE(linkat(f->fd, "", AT_FDCWD, f->other, AT_EMPTY_PATH));
	NOTE(pread(f->fd, f->buffer, 4096, 4096));
	same_content(f, f->buffer, 4096, 4096);
}

static void a_file_handle_finds_it(struct same_file *f)
{
	struct {
		struct file_handle	handle;
		unsigned char		room[MAX_HANDLE_SZ];
	} mine = { 0 }, plain = { 0 };
	int mount, other, fd;

	mine.handle.handle_bytes = MAX_HANDLE_SZ;
	plain.handle.handle_bytes = MAX_HANDLE_SZ;
	NOTE(name_to_handle_at(f->fd, "", &mine.handle, &mount, AT_EMPTY_PATH));
	NOTE(name_to_handle_at(f->plain, "", &plain.handle, &other,
			       AT_EMPTY_PATH));
	same_bytes(f, "file handle", &mine, &plain, sizeof(mine));
	same_bytes(f, "mount", &mount, &other, sizeof(mount));
	fd = NOTE_FD(open_by_handle_at(f->fd, &mine.handle,
				       O_RDONLY | O_CLOEXEC));
	NOTE(pread(fd, f->buffer, 4096, 0));
	same_content(f, f->buffer, 4096, 0);
	close(fd);
}

/* --- attributes --- */

static void extended_attributes(struct same_file *f)
{
	char value[32] = "", names[128] = "";

	NOTE(flistxattr(f->fd, names, sizeof(names)));
	NOTE(fgetxattr(f->fd, "user.one", value, sizeof(value)));
	NOTE(fsetxattr(f->fd, "user.one", "value", 6, XATTR_CREATE));
	NOTE(fsetxattr(f->fd, "user.one", "value", 6, XATTR_CREATE));
	NOTE(fgetxattr(f->fd, "user.one", value, sizeof(value)));
	same_note(f, "%s", value);
	NOTE(fgetxattr(f->plain, "user.one", NULL, 0));
	NOTE(flistxattr(f->fd, names, sizeof(names)));
	same_note(f, "%s", names);
	NOTE(fgetxattr(f->fd, "user.one", value, 1));
	NOTE(fremovexattr(f->fd, "user.one"));
	NOTE(fgetxattr(f->fd, "user.one", value, sizeof(value)));
	NOTE(fgetxattr(f->fd, "system.posix_acl_access", value, sizeof(value)));
	NOTE(fsetxattr(f->fd, "trusted.two", "2", 1, 0));
	NOTE(fgetxattr(f->fd, "trusted.two", value, sizeof(value)));
}

static void note_owner_and_times(struct same_file *f)
{
	struct stat stat;

	NOTE(fstat(f->plain, &stat));
	same_note(f, "mode %o, owner %u:%u, read %ld.%09ld, changed %ld",
		  stat.st_mode, stat.st_uid, stat.st_gid, stat.st_atim.tv_sec,
		  stat.st_atim.tv_nsec, stat.st_mtim.tv_sec);
}

static void mode_owner_and_times(struct same_file *f)
{
	struct timespec times[2] = { { 1000, 5 }, { 2000, 6 } };

	NOTE(futimens(f->fd, times));
	NOTE(fchmod(f->fd, 0640));
	NOTE(fchown(f->fd, 3, 4));
	note_owner_and_times(f);
	NOTE(fchmodat(f->fd, "", 0600, AT_EMPTY_PATH));
	NOTE(fchownat(f->fd, "", 0, 0, AT_EMPTY_PATH));
	NOTE(utimensat(f->fd, "", times, AT_EMPTY_PATH));
	NOTE(futimens(f->fd, times));
	note_owner_and_times(f);
	NOTE(faccessat(f->fd, "", R_OK, AT_EMPTY_PATH));
	NOTE(faccessat(f->fd, "", X_OK, AT_EMPTY_PATH));
}

static void as_somebody_else(struct same_file *f)
{
	struct timespec times[2] = { { 1000, 5 }, { 2000, 6 } };
	int flags = 0;

	setresuid(NOBODY, NOBODY, NOBODY);
	NOTE(fchmod(f->fd, 0777));
	NOTE(fchown(f->fd, NOBODY, -1));
	NOTE(futimens(f->fd, times));
	NOTE(fsetxattr(f->fd, "user.one", "value", 6, 0));
	NOTE(ioctl(f->fd, FS_IOC_SETFLAGS, &flags));
	NOTE(fcntl(f->fd, F_SETLEASE, F_RDLCK));
	NOTE(fcntl(f->fd, F_SETFL, O_NOATIME));
	NOTE(linkat(f->fd, "", AT_FDCWD, f->other, AT_EMPTY_PATH));
	NOTE(syncfs(f->fd));
	NOTE(pread(f->fd, f->buffer, 4096, 0));
	same_content(f, f->buffer, 4096, 0);
}

/* --- ioctls --- */

static void inode_flags(struct same_file *f)
{
	struct fsxattr mine = { 0 }, plain = { 0 };
	int flags = 0, version = 0, other = 0;

	NOTE(ioctl(f->fd, FS_IOC_GETFLAGS, &flags));
	same_note(f, "flags %#x", flags);
	flags |= FS_NODUMP_FL;
	NOTE(ioctl(f->fd, FS_IOC_SETFLAGS, &flags));
	NOTE(ioctl(f->plain, FS_IOC_GETFLAGS, &flags));
	same_note(f, "flags %#x", flags);
	NOTE(ioctl(f->fd, FS_IOC_GETVERSION, &version));
	NOTE(ioctl(f->plain, FS_IOC_GETVERSION, &other));
	same_bytes(f, "version", &version, &other, sizeof(version));
	NOTE(ioctl(f->fd, FS_IOC_FSGETXATTR, &mine));
	NOTE(ioctl(f->plain, FS_IOC_FSGETXATTR, &plain));
	same_bytes(f, "fsxattr", &mine, &plain, sizeof(mine));
	same_note(f, "xflags %#x, %u extents", mine.fsx_xflags,
		  mine.fsx_nextents);
	mine.fsx_xflags &= ~FS_XFLAG_NODUMP;
	NOTE(ioctl(f->fd, FS_IOC_FSSETXATTR, &mine));
	NOTE(ioctl(f->fd, FS_IOC_GETFLAGS, &flags));
	same_note(f, "flags %#x", flags);
}

#define EXTENTS	8

static void fiemap_tells(struct same_file *f)
{
	struct {
		struct fiemap		map;
		struct fiemap_extent	extents[EXTENTS];
	} mine = { .map = { .fm_length = SAME_BYTES, .fm_extent_count = EXTENTS,
			    .fm_flags = FIEMAP_FLAG_SYNC } }, plain = mine;
	int block = 0, other = 0, size = 0;

	NOTE(ioctl(f->fd, FS_IOC_FIEMAP, &mine));
	NOTE(ioctl(f->plain, FS_IOC_FIEMAP, &plain));
	same_bytes(f, "extents", &mine, &plain, sizeof(mine));
	same_note(f, "%u extents", mine.map.fm_mapped_extents);
	mine.map.fm_flags = 0x10000;
	NOTE(ioctl(f->fd, FS_IOC_FIEMAP, &mine));
	NOTE(ioctl(f->fd, FIBMAP, &block));
	NOTE(ioctl(f->plain, FIBMAP, &other));
	same_bytes(f, "block", &block, &other, sizeof(block));
	NOTE(ioctl(f->fd, FIGETBSZ, &size));
	same_note(f, "blocks of %d", size);
}

static void ioctls_of_the_vfs(struct same_file *f)
{
	int one = 1, zero = 0;
	loff_t size = 0;

	NOTE(ioctl(f->fd, FIONBIO, &one));
	NOTE(fcntl(f->fd, F_GETFL) & O_NONBLOCK);
	NOTE(ioctl(f->fd, FIONBIO, &zero));
	NOTE(fcntl(f->fd, F_GETFL) & O_NONBLOCK);
	NOTE(ioctl(f->fd, FIOASYNC, &one));
	NOTE(fcntl(f->fd, F_GETFL) & O_ASYNC);
	NOTE(ioctl(f->fd, FIOASYNC, &zero));
	NOTE(ioctl(f->fd, FIONCLEX));
	NOTE(fcntl(f->fd, F_GETFD));
	NOTE(ioctl(f->fd, FIOCLEX));
	NOTE(fcntl(f->fd, F_GETFD));
	NOTE(ioctl(f->fd, FIOQSIZE, &size));
	same_note(f, "%lld bytes", (long long)size);
}

static void ioctls_of_the_file_system(struct same_file *f)
{
	struct fscrypt_policy_v1 policy;
	char mine[256] = "", plain[256] = "";

	NOTE(ioctl(f->fd, FS_IOC_GETFSLABEL, mine));
	NOTE(ioctl(f->fd, FS_IOC_GETFSUUID, mine));
	NOTE(ioctl(f->plain, FS_IOC_GETFSUUID, plain));
	same_bytes(f, "uuid", mine, plain, sizeof(mine));
	NOTE(ioctl(f->fd, FS_IOC_GET_ENCRYPTION_POLICY, &policy));
	NOTE(ioctl(f->fd, FS_IOC_MEASURE_VERITY, mine));
	NOTE(ioctl(f->fd, EXT4_IOC_PRECACHE_EXTENTS));
	NOTE(ioctl(f->fd, EXT4_IOC_MOVE_EXT, mine));
	NOTE(ioctl(f->fd, FIFREEZE, 0));
	NOTE(ioctl(f->fd, FITHAW, 0));
	NOTE(ioctl(f->fd, FITHAW, 0));
}

/* Extents that another file shares are not known by address. */
static void cloning(struct same_file *f)
{
	struct file_clone_range range = { .src_fd = f->fd, .src_length = 8192 };
	int fd = open(f->other, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	NOTE(ioctl(f->fd, FICLONE, fd));
	NOTE(ioctl(fd, FICLONE, f->fd));
	NOTE(lseek(fd, 0, SEEK_END));
	NOTE(ioctl(fd, FICLONERANGE, &range));
	NOTE(pread(f->fd, f->buffer, 8192, 0));
	same_content(f, f->buffer, 8192, 0);
	NOTE(pread(fd, f->buffer, 4096, 4096));
	close(fd);
	f->spoiled = true;
}

static void deduplication(struct same_file *f)
{
	int fd, plain;

	if (file_create(f->other, SAME_BYTES, SAME_FILE))
		return;
	fd = open(f->other, O_RDONLY | O_CLOEXEC);
	plain = open(f->other, O_RDONLY | O_CLOEXEC);
	NOTE(file_dedupe(f->fd, fd, 16384));
	NOTE(file_dedupe(plain, f->fd, 16384));
	NOTE(pread(f->fd, f->buffer, 32768, 0));
	same_content(f, f->buffer, 32768, 0);
	f->spoiled = true;
}

/* Of others: also of the volume and of the control node, in any state. */
static void foreign_ioctls(struct same_file *f)
{
	static const unsigned int others[] = {
		BLKGETSIZE64, BLKROGET, BLKFLSBUF, BLKSSZGET, BLKRRPART, TCGETS,
		TIOCGWINSZ, SIOCGIFCONF, HDIO_GETGEO, LOOP_GET_STATUS64,
		_IO('q', 77), _IO(0xfd, 0), 0, ~0u,
		FSCTL_MANAGE_BYPASS_IO, IOCTL_STORAGE_MANAGE_BYPASS_IO,
		BPIO_IOC_GET_VERSION, BPIO_IOC_TALLY, _IO(BPIO_IOC_TYPE, 0x7f),
		_IO(BPIO_IOC_TYPE, 0x10), _IO(BPIO_IOC_TYPE, 0x11),
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(others); i++) {
		same_note(f, "number %#x", others[i]);
		memset(f->buffer, 0, 4096);
		NOTE(ioctl(f->fd, others[i], f->buffer));
		NOTE(ioctl(f->fd, others[i], NULL));
	}
}

/* --- the descriptor --- */

static void status_flags(struct same_file *f)
{
	static const int flags[] = {
		O_NOATIME | O_SYNC | O_NONBLOCK, O_APPEND, O_ASYNC, O_DIRECT,
		O_DIRECT | O_NOATIME, O_NONBLOCK, O_RDWR | O_TRUNC, 0,
	};
	unsigned int i;

	NOTE(fcntl(f->fd, F_GETFL));
	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		NOTE(fcntl(f->fd, F_SETFL, flags[i]));
		NOTE(fcntl(f->fd, F_GETFL));
		NOTE(pread(f->fd, f->buffer, 4096, 8192));
		same_content(f, f->buffer, 4096, 8192);
	}
}

static void flags_of_open(struct same_file *f)
{
	NOTE(fcntl(f->fd, F_GETFL) & O_NOATIME);
	NOTE(fcntl(f->fd, F_GETFL) & O_SYNC);
	NOTE(fcntl(f->fd, F_GETFL) & O_NONBLOCK);
	NOTE(fcntl(f->fd, F_GETFL) & O_ACCMODE);
	NOTE(fcntl(f->fd, F_GETFL));
}

static void commands_of_fcntl(struct same_file *f)
{
	struct f_owner_ex owner = { .type = F_OWNER_TID, .pid = getpid() };
	uint64_t hint = RWH_WRITE_LIFE_SHORT;

	NOTE(fcntl(f->fd, F_SETSIG, SIGUSR1));
	NOTE(fcntl(f->fd, F_GETSIG));
	NOTE(fcntl(f->fd, F_SETOWN, getpid()));
	NOTE(fcntl(f->fd, F_GETOWN) == getpid());
	NOTE(fcntl(f->fd, F_SETOWN_EX, &owner));
	NOTE(fcntl(f->fd, F_GETOWN_EX, &owner));
	NOTE(fcntl(f->fd, F_NOTIFY, DN_ACCESS));
	NOTE(fcntl(f->fd, F_ADD_SEALS, F_SEAL_WRITE));
	NOTE(fcntl(f->fd, F_GET_SEALS));
	NOTE(fcntl(f->fd, F_SETPIPE_SZ, 65536));
	NOTE(fcntl(f->fd, F_GETPIPE_SZ));
	NOTE(fcntl(f->fd, F_SET_RW_HINT, &hint));
	NOTE(fcntl(f->fd, F_GET_RW_HINT, &hint));
	same_note(f, "hint %llu", (unsigned long long)hint);
	NOTE(fcntl(f->fd, F_SET_FILE_RW_HINT, &hint));
	NOTE(fcntl(f->fd, F_GET_FILE_RW_HINT, &hint));
	NOTE(fcntl(f->fd, F_SETFD, 0));
	NOTE(fcntl(f->fd, F_GETFD));
	NOTE(fcntl(f->fd, 9999));
}

static int kcmp_files(int a, int b)
{
	return syscall(SYS_kcmp, getpid(), getpid(), KCMP_FILE, a, b);
}

static void duplicates(struct same_file *f)
{
	int pidfd = syscall(SYS_pidfd_open, getpid(), 0);
	int copies[5], i;

	copies[0] = NOTE_FD(dup(f->fd));
	copies[1] = NOTE_FD(dup2(f->fd, 60));
	copies[2] = NOTE_FD(fcntl(f->fd, F_DUPFD, 70));
	copies[3] = NOTE_FD(dup3(f->fd, 80, O_CLOEXEC));
	copies[4] = NOTE_FD(syscall(SYS_pidfd_getfd, pidfd, f->fd, 0));
	NOTE(lseek(f->fd, 4096, SEEK_SET));
	for (i = 0; i < 5; i++) {
		NOTE(kcmp_files(f->fd, copies[i]));
		NOTE(read(copies[i], f->buffer, 4096));
		same_content(f, f->buffer, 4096, (i + 1) * 4096);
		NOTE(lseek(f->fd, 0, SEEK_CUR));
	}
	NOTE(kcmp_files(f->fd, f->plain) != 0);
	NOTE(close(copies[0]));
	NOTE(close(copies[0]));
	NOTE(close_range(60, 90, 0));
	NOTE(lseek(copies[1], 0, SEEK_CUR));
}

/* Descriptors of another open file of the file, from its name in /proc. */
static void reopening(struct same_file *f)
{
	static const int flags[] = {
		O_RDONLY, O_RDONLY | O_DIRECT, O_RDWR, O_WRONLY | O_NONBLOCK,
		O_PATH, O_RDONLY | O_DIRECTORY, O_RDONLY | O_NOFOLLOW,
	};
	struct bpio_file_info info;
	unsigned int i;
	char link[64];
	int fd;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", f->fd);
	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		fd = NOTE_FD(open(link, flags[i] | O_CLOEXEC));
		if (fd < 0)
			continue;
		NOTE(fcntl(fd, F_GETFL));
		NOTE(pread(fd, f->buffer, 4096, 4096));
		NOTE(file_info(fd, &info));
		NOTE(kcmp_files(f->fd, fd) != 0);
		close(fd);
	}
	NOTE_FD(openat(f->fd, "x", O_RDONLY));
	NOTE(fchdir(f->fd));
	NOTE(syscall(SYS_getdents64, f->fd, f->buffer, 4096));
	fd = NOTE_FD(syscall(SYS_open_tree, f->fd, "", AT_EMPTY_PATH));
	close(fd);
	NOTE(truncate(link, SAME_BYTES - 500));
	NOTE(lseek(f->fd, 0, SEEK_END));
}

/* All of it, but what ENABLE adds and what differs from file to file. */
static void fdinfo_tells(struct same_file *f)
{
	char path[64], line[256];
	FILE *file;

	NOTE(lseek(f->fd, 4096, SEEK_SET));
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", f->fd);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = 0;
		if (strncmp(line, "bpio-", 5) && strncmp(line, "ino:", 4))
			same_note(f, "%s", line);
	}
	if (file)
		fclose(file);
}

static void who_keeps_the_mount_busy(struct same_file *f)
{
	/* nothing else of this process is on the volume */
	close(f->plain);
	close(f->dir);
	NOTE(shell("fuser -s -m %s", f->volume->mount));
	NOTE(shell("fuser -s %s", f->path));
	NOTE(umount(f->volume->mount));
}

/* --- memory --- */

/* The mapping of the file that starts at @at, as /proc tells. */
static void note_mapping(struct same_file *f, const void *at)
{
	char line[512], *name;
	FILE *file = fopen("/proc/self/maps", "re");

	while (file && fgets(line, sizeof(line), file)) {
		if (strtoul(line, NULL, 16) != (unsigned long)at)
			continue;
		line[strcspn(line, "\n")] = 0;
		name = strchr(line, '/');
		same_note(f, "%.4s of %s", strchr(line, ' ') + 1,
			  name && !strcmp(name, f->path) ? "the file" : "OTHER");
	}
	if (file)
		fclose(file);
}

static char *map(struct same_file *f, int protection, int flags)
{
	char *memory = mmap(NULL, SAME_BYTES, protection, flags, f->fd, 0);

	same_result(f, "mmap", memory == MAP_FAILED ? -1 : 0);
	return memory == MAP_FAILED ? NULL : memory;
}

static void mappings(struct same_file *f, int flags)
{
	char *memory = map(f, PROT_READ, flags);
	unsigned char resident[SAME_BLOCKS + 1];

	if (!memory)
		return;
	note_mapping(f, memory);
	same_content(f, memory, SAME_BYTES, 0);
	NOTE(mprotect(memory, 4096, PROT_READ | PROT_WRITE));
	NOTE(mprotect(memory, 4096, PROT_READ | PROT_EXEC));
	NOTE(madvise(memory, SAME_BYTES, MADV_WILLNEED));
	NOTE(madvise(memory, SAME_BYTES, MADV_POPULATE_READ));
	NOTE(mincore(memory, SAME_BYTES, resident));
	same_note(f, "resident %d", resident[3] & 1);
	NOTE(madvise(memory, SAME_BYTES, MADV_DONTNEED));
	NOTE(madvise(memory, 4096, MADV_REMOVE));
	NOTE(msync(memory, SAME_BYTES, MS_SYNC));
	NOTE(mlock(memory, SAME_BYTES));
	same_content(f, memory, SAME_BYTES, 0);
	/* the mapping outlives the descriptor */
	NOTE(close(f->fd));
	f->fd = -1;
	same_content(f, memory, SAME_BYTES, 0);
	NOTE(munlock(memory, SAME_BYTES));
	NOTE(munmap(memory, SAME_BYTES));
}

static void private_mappings(struct same_file *f)
{
	mappings(f, MAP_PRIVATE);
}

static void shared_mappings(struct same_file *f)
{
	mappings(f, MAP_SHARED | MAP_POPULATE);
}

static void writable_mappings(struct same_file *f)
{
	char *memory;

	map(f, PROT_READ | PROT_WRITE, MAP_SHARED);
	map(f, PROT_READ, MAP_SHARED_VALIDATE | MAP_SYNC);
	memory = map(f, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	if (!memory)
		return;
	memory[4096] ^= 1;
	same_content(f, memory + 8192, 4096, 8192);
	NOTE(pread(f->fd, f->buffer, 4096, 4096));
	same_content(f, f->buffer, 4096, 4096);
}

static void a_mapping_sees_a_writer(struct same_file *f)
{
	char *memory = map(f, PROT_READ, MAP_SHARED);
	int fd = open(f->path, O_WRONLY | O_CLOEXEC);

	if (!memory)
		return;
	same_content(f, memory, SAME_BYTES, 0);
	NOTE(pwrite(fd, "written", 7, 100));
	same_note(f, "%.7s", memory + 100);
	close(fd);
	same_arm(f);
	NOTE(pread(f->fd, f->buffer, 4096, 0));
	same_note(f, "%.7s", f->buffer + 100);
}

/* --- what the kernel itself reads of a file it is given --- */

static void run_it(struct same_file *f, const char *name, int fd)
{
	char *const none[] = { NULL, NULL };
	pid_t pid = fork();
	int status;

	if (!pid) {
		execveat(fd, "", none, none, AT_EMPTY_PATH);
		_exit(errno);
	}
	waitpid(pid, &status, 0);
	same_note(f, "%s ends with status %#x", name, status);
}

static void executing(struct same_file *f)
{
	run_it(f, "it", f->fd);
	NOTE(fchmod(f->fd, 0700));
	same_arm(f);
	run_it(f, "it", f->fd);
}

/* A program on the volume, in the state of the file. */
static void executing_a_program(struct same_file *f)
{
	int fd;

	NOTE(shell("cp /bin/true %s", f->other));
	fd = open(f->other, O_RDONLY | f->flags | O_CLOEXEC);
	same_state(f, fd);
	run_it(f, "true", fd);
	close(fd);
}

static void loading_as_a_module(struct same_file *f)
{
	NOTE(syscall(SYS_finit_module, f->fd, "", 0));
	NOTE(syscall(SYS_finit_module, f->fd, "", 0x1000));
}

/* A loop device reads by the open file that it is given. */
static void loop_device(struct same_file *f)
{
	uint64_t deadline = now_ms() + DEADLINE_MS;
	int control, loop, number;
	char node[32];

	NOTE(module_load("loop"));
	control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	number = ioctl(control, LOOP_CTL_GET_FREE);
	snprintf(node, sizeof(node), "/dev/loop%d", number);
	loop = NOTE_FD(open(node, O_RDONLY | O_DIRECT | O_CLOEXEC));
	NOTE(ioctl(loop, LOOP_SET_FD, f->fd));
	NOTE(pread(loop, f->buffer, SAME_BLOCKS * 4096, 0));
	same_content(f, f->buffer, SAME_BLOCKS * 4096, 0);
	NOTE(ioctl(loop, LOOP_SET_DIRECT_IO, 1));
	NOTE(pread(loop, f->buffer, SAME_BLOCKS * 4096, 0));
	same_content(f, f->buffer, SAME_BLOCKS * 4096, 0);
	NOTE(ioctl(loop, LOOP_CLR_FD, 0));
	close(loop);
	close(control);
	/* udev may be looking at it, and reads then */
	snprintf(node, sizeof(node), "/sys/block/loop%d/loop", number);
	while (!access(node, F_OK) && poll_again(deadline))
		;
	f->spoiled = true;
}

/* --- no writing --- */

static void writing(struct same_file *f)
{
	struct iovec iov = { f->buffer, 4096 };
	int modes[] = { 0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_ZERO_RANGE,
			FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE };
	unsigned int i;

	NOTE(write(f->fd, f->buffer, 4096));
	NOTE(write(f->fd, f->buffer, 0));
	NOTE(pwrite(f->fd, f->buffer, 4096, 0));
	NOTE(writev(f->fd, &iov, 1));
	NOTE(pwritev(f->fd, &iov, 1, 0));
	NOTE(pwritev2(f->fd, &iov, 1, 0, RWF_DSYNC));
	NOTE(ftruncate(f->fd, 0));
	NOTE(ftruncate(f->fd, SAME_BYTES));
	for (i = 0; i < ARRAY_SIZE(modes); i++)
		NOTE(fallocate(f->fd, modes[i], 0, 4096));
	NOTE(copy_file_range(f->plain, NULL, f->fd, NULL, 4096, 0));
	NOTE(sendfile(f->fd, f->plain, NULL, 4096));
	NOTE(lseek(f->fd, 0, SEEK_CUR));
	NOTE(pread(f->plain, f->buffer, SAME_BYTES, 0));
	same_content(f, f->buffer, SAME_BYTES, 0);
}

/* --- the table --- */

#include "same_table.h"

COMPARE(flock_locks, .holds = "flock(f->fd, LOCK_EX | LOCK_NB) = EAGAIN");
COMPARE(posix_locks, .holds = "type 0 from 100, 50 bytes, of the parent");
COMPARE(posix_locks_and_close, .holds = "type 0 from 0, 0 bytes, of the parent");
COMPARE(lockf_locks, .holds = "lockf(f->fd, F_TEST, 10) = 0");
COMPARE(locks_of_open_files, .holds = "of an open file");
COMPARE(a_lease_and_a_writer, .holds = "signal SIGRTMIN of descriptor f->fd");
COMPARE(a_lease_and_what_breaks_it, .holds = "signal SIGIO");
COMPARE(a_lease_that_needs_the_only_opener,
	.holds = "fcntl(f->fd, F_SETLEASE, F_WRLCK) = 0");
COMPARE(a_writer_that_does_not_wait, .holds = "lseek(f->fd, 0, SEEK_END) = 0");
COMPARE(fsync_writes, .holds = "written: yes");
COMPARE(fdatasync_writes, .holds = "written: yes");
COMPARE(syncfs_writes_other_files, .holds = "written: yes");
COMPARE(sync_file_range_writes, .holds = "written: yes");
COMPARE(fstat_tells, .holds = "stat: as by the other");
COMPARE(statx_tells, .holds = "statx: as by the other");
COMPARE(fstatfs_tells, .holds = "as by the other");
COMPARE(fionread_follows_the_file, .holds = "197120 bytes");
COMPARE(lseek_finds, .holds = "lseek(f->fd, 0, SEEK_HOLE) = 32768");
COMPARE(links_and_names, .holds = "2 links");
COMPARE(a_file_handle_finds_it, .holds = "file handle: as by the other");
COMPARE(extended_attributes, .holds = "user.one");
COMPARE(mode_owner_and_times, .holds = "mode 100640, owner 3:4");
COMPARE(as_somebody_else, .holds = "fcntl(f->fd, F_SETFL, O_NOATIME) = EPERM");
COMPARE(inode_flags, .holds = "fsxattr: as by the other");
COMPARE(fiemap_tells, .holds = "1 extents");
COMPARE(ioctls_of_the_vfs, .holds = "fcntl(f->fd, F_GETFL) & O_NONBLOCK = 2048");
COMPARE(ioctls_of_the_file_system, .holds = "ioctl(f->fd, FITHAW, 0) = 0");
COMPARE(cloning, .holds = "8192 bytes of 0 are right");
COMPARE(deduplication, .holds = "32768 bytes of 0 are right");
COMPARE(foreign_ioctls, .holds = "ENOTTY");
COMPARE(status_flags, .holds = "4096 bytes of 8192 are right");
COMPARE(flags_of_open, .flags = O_NOATIME | O_SYNC | O_NONBLOCK,
	.holds = "fcntl(f->fd, F_GETFL) & O_NONBLOCK = 2048");
COMPARE(commands_of_fcntl, .holds = "fcntl(f->fd, F_NOTIFY, DN_ACCESS) = ENOTDIR");
COMPARE(duplicates, .holds = "kcmp_files(f->fd, copies[i]) = 0");
COMPARE(reopening, .holds = "file_info(fd, &info) = -25");
COMPARE(fdinfo_tells, .holds = "pos:	4096");
COMPARE(who_keeps_the_mount_busy, .holds = "umount(f->volume->mount) = EBUSY");
COMPARE(private_mappings, .holds = "r--p of the file");
COMPARE(shared_mappings, .holds = "r--s of the file");
COMPARE(writable_mappings, .holds = "mmap = EACCES");
COMPARE(a_mapping_sees_a_writer, .holds = "written");
COMPARE(executing, .holds = "it ends with status 0xd00");
COMPARE(executing_a_program, .holds = "true ends with status 0\n");
COMPARE(loading_as_a_module, .holds = "finit_module");
READING(loop_device, .holds = "ioctl(loop, LOOP_SET_FD, f->fd) = 0");
COMPARE(writing, .holds = "write(f->fd, f->buffer, 4096) = EBADF");

PROGRAM_MAIN
