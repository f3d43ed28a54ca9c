// SPDX-License-Identifier: GPL-2.0-only
/*
 * An enabled file behaves like any other, continued: all ways of reading, of waiting
 * for, and of watching it. See same_file_test.
 */
#include <fcntl.h>
#include <liburing.h>
#include <limits.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "program.h"
#include "same.h"

/* Bytes of whole blocks, and offset of the tail. */
#define WHOLE	(SAME_BLOCKS * 4096)

/* Of kernels newer than the headers. */
#ifndef RWF_NOAPPEND
#define RWF_NOAPPEND	0x20
#endif
#define RWF_ATOMIC_READ	0x40
#define RWF_UNCACHED	0x80

static struct volume volume;

static int program_setup(void)
{
	return volume_fs(&volume, "same-read", devices.nvme, 2048,
			 MIB_SECTORS(XFS_MIB), "", "");
}

static int program_cleanup(void)
{
	return volume_remove(&volume);
}

/* One read and what it has brought. */
static void note_read(struct same_file *f, char *to, size_t bytes,
		      int64_t offset)
{
	ssize_t n;

	memset(f->buffer, 0xa5, SAME_BYTES);
	errno = 0;
	n = pread(f->fd, to, bytes, offset);
	same_note(f, "%zu bytes at %lld to %lu", bytes, (long long)offset,
		  (unsigned long)(to - f->buffer));
	same_result(f, "pread", n);
	if (n > 0)
		same_content(f, to, n, offset);
	/* nothing behind it was touched */
	if (n >= 0 && to + n < f->buffer + SAME_BYTES)
		same_note(f, "behind it %#x", (unsigned char)to[n]);
}

static void reads_anywhere(struct same_file *f)
{
	static const struct {
		size_t	bytes;
		int64_t	offset;
	} reads[] = {
		{ 4096, 0 }, { 512, 512 }, { 8192, 4096 - 512 }, { WHOLE, 0 },
		{ SAME_BYTES, 0 }, { 4096, WHOLE }, { 8192, WHOLE - 4096 },
		{ 512, WHOLE + 512 }, { 512, WHOLE + 1024 }, { 4096, 1L << 40 },
		{ 1, 0 }, { 4096, 1 }, { 100, 4096 }, { 4095, 4096 },
		{ 1000, WHOLE }, { 0, 0 }, { 0, 1 }, { 0, -1 }, { 4096, -1 },
		{ 4096, -4096 }, { 4096, INT64_MAX }, { 4096, INT64_MAX - 4095 },
		{ 512, WHOLE + 500 },
	};
	size_t most = SSIZE_MAX;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(reads); i++)
		note_read(f, f->buffer, reads[i].bytes, reads[i].offset);
	NOTE(syscall(SYS_pread64, f->fd, f->buffer, most + 1, 0));
	NOTE(syscall(SYS_pread64, f->fd, f->buffer, most, 1L << 40));
}

static void reads_to_memory_of_any_alignment(struct same_file *f)
{
	static const int shifts[] = { 1, 2, 3, 4, 8, 64, 256, 512, 513, 4095 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(shifts); i++)
		note_read(f, f->buffer + shifts[i], 4096, 8192);
}

static void reads_to_memory_that_is_not_there(struct same_file *f)
{
	char *end = guarded_pages(PROT_READ | PROT_WRITE);
	char *locked = guarded_pages(PROT_READ);
	char *nothing = NULL;
	int fd;

	NOTE(pread(f->fd, nothing, 4096, 0));
	NOTE(pread(f->fd, (char *)~0xfffUL, 4096, 0));
	NOTE(pread(f->fd, end, 4096, 0));
	NOTE(pread(f->fd, end - 4096, 8192, 0));
	NOTE(pread(f->fd, end - 4096, 4096, 0));
	same_content(f, end - 4096, 4096, 0);
	NOTE(pread(f->fd, locked - 4096, 4096, 0));
	fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	NOTE(pread(fd, f->buffer, 10, (long)end - 10));
	close(fd);
}

/* A read moves the position of the open file as far as it has read. */
static void the_position(struct same_file *f)
{
	char *nothing = NULL;
	ssize_t n;

	for (n = 1; n > 0; same_result(f, "read", n)) {
		off_t at = lseek(f->fd, 0, SEEK_CUR);

		n = read(f->fd, f->buffer, 12288);
		if (n > 0)
			same_content(f, f->buffer, n, at);
	}
	NOTE(lseek(f->fd, 0, SEEK_CUR));
	NOTE(lseek(f->fd, 4096, SEEK_SET));
	NOTE(pread(f->fd, f->buffer, 4096, 0));
	NOTE(read(f->fd, nothing, 4096));
	NOTE(read(f->fd, f->buffer, 0));
	NOTE(lseek(f->fd, 0, SEEK_CUR));
}

static void vectors(struct same_file *f)
{
	struct iovec iov[UIO_MAXIOV + 1] = {
		{ f->buffer + 8192, 4096 }, { f->buffer, 0 },
		{ f->buffer, 4096 }, { f->buffer + 4096, 4096 },
	}, *nothing = NULL;

	NOTE(preadv(f->fd, iov, 4, 16384));
	same_content(f, f->buffer + 8192, 4096, 16384);
	same_content(f, f->buffer, 8192, 20480);
	NOTE(readv(f->fd, iov, 4));
	NOTE(lseek(f->fd, 0, SEEK_CUR));
	NOTE(preadv2(f->fd, iov, 4, -1, 0));
	same_content(f, f->buffer, 8192, 16384);
	NOTE(lseek(f->fd, 0, SEEK_CUR));
	iov[1] = (struct iovec) { f->buffer + 20000, 100 };
	NOTE(preadv(f->fd, iov, 4, 0));
	iov[1] = (struct iovec) { f->buffer + 20480, 512 };
	iov[2].iov_base = f->buffer + 1;
	NOTE(preadv(f->fd, iov, 3, 0));
	iov[2].iov_base = NULL;
	NOTE(preadv(f->fd, iov, 3, 0));
	NOTE(preadv(f->fd, iov, 0, 0));
	NOTE(preadv(f->fd, iov, UIO_MAXIOV, 32768));
	NOTE(preadv(f->fd, iov, UIO_MAXIOV + 1, 0));
	NOTE(preadv(f->fd, nothing, 1, 0));
	NOTE(preadv(f->fd, iov, 1, -4096));
	iov[0].iov_len = -1;
	NOTE(preadv(f->fd, iov, 1, 0));
}

static void flags_of_preadv2(struct same_file *f)
{
	struct iovec iov = { f->buffer, 4096 };

	/* that nothing needs to be looked up on the device first */
	NOTE(pread(f->fd, f->buffer, WHOLE, 0));
	NOTE(preadv2(f->fd, &iov, 1, 4096, RWF_HIPRI));
	same_content(f, f->buffer, 4096, 4096);
	NOTE(preadv2(f->fd, &iov, 1, 8192, RWF_NOWAIT));
	NOTE(preadv2(f->fd, &iov, 1, 8192, RWF_NOWAIT | RWF_HIPRI));
	NOTE(preadv2(f->fd, &iov, 1, 4096, RWF_DSYNC));
	NOTE(preadv2(f->fd, &iov, 1, 4096, RWF_SYNC));
	NOTE(preadv2(f->fd, &iov, 1, 4096, RWF_APPEND));
	NOTE(preadv2(f->fd, &iov, 1, 4096, RWF_NOAPPEND));
	NOTE(preadv2(f->fd, &iov, 1, 4096, RWF_ATOMIC_READ));
	NOTE(preadv2(f->fd, &iov, 1, 4096, RWF_UNCACHED));
	NOTE(preadv2(f->fd, &iov, 1, 4096, 0x40000000));
	NOTE(preadv2(f->fd, &iov, 1, 4097, RWF_HIPRI));
	NOTE(preadv2(f->fd, &iov, 1, WHOLE + 4096, RWF_NOWAIT));
}

/* A program that reads the odd rest of a file without O_DIRECT. */
static void o_direct_cleared_for_the_tail(struct same_file *f)
{
	NOTE(pread(f->fd, f->buffer, WHOLE, 0));
	same_content(f, f->buffer, WHOLE, 0);
	NOTE(fcntl(f->fd, F_SETFL, 0));
	NOTE(pread(f->fd, f->buffer + 1, 999, WHOLE + 1));
	same_content(f, f->buffer + 1, 999, WHOLE + 1);
	NOTE(pread(f->fd, f->buffer + 3, 777, 4097));
	same_content(f, f->buffer + 3, 777, 4097);
	NOTE(fcntl(f->fd, F_SETFL, O_DIRECT));
	NOTE(pread(f->fd, f->buffer, 777, 4097));
	NOTE(pread(f->fd, f->buffer, 4096, 4096));
	same_content(f, f->buffer, 4096, 4096);
}

/* --- to other descriptors --- */

/* What a pipe holds; it came from @offset. */
static void empty_pipe(struct same_file *f, int fd, size_t bytes, off_t offset)
{
	size_t n = 0;
	ssize_t ret = 1;

	memset(f->buffer, 0xa5, SAME_BYTES);
	while (n < bytes && ret > 0) {
		ret = read(fd, f->buffer + n, bytes - n);
		n += ret > 0 ? ret : 0;
	}
	same_note(f, "in the pipe: %zu bytes", n);
	same_content(f, f->buffer, n, offset);
}

static void splice_and_tee(struct same_file *f)
{
	int first[2], second[2];
	off_t offset = 8192;

	if (pipe2(first, O_CLOEXEC | O_NONBLOCK) ||
	    pipe2(second, O_CLOEXEC | O_NONBLOCK))
		return;
	NOTE(splice(f->fd, NULL, first[1], NULL, 8192, 0));
	NOTE(tee(first[0], second[1], 8192, 0));
	empty_pipe(f, first[0], 8192, 0);
	empty_pipe(f, second[0], 8192, 0);
	NOTE(lseek(f->fd, 0, SEEK_CUR));
	NOTE(splice(f->fd, &offset, first[1], NULL, 4096, SPLICE_F_NONBLOCK));
	same_note(f, "offset %ld", (long)offset);
	empty_pipe(f, first[0], 4096, 8192);
	NOTE(lseek(f->fd, WHOLE, SEEK_SET));
	NOTE(splice(f->fd, NULL, first[1], NULL, 8192, SPLICE_F_MOVE));
	empty_pipe(f, first[0], SAME_TAIL, WHOLE);
	NOTE(splice(f->fd, NULL, first[1], NULL, 8192, 0));
	NOTE(lseek(f->fd, 4097, SEEK_SET));
	NOTE(splice(f->fd, NULL, first[1], NULL, 100, 0));
	NOTE(splice(f->fd, NULL, f->plain, NULL, 4096, 0));
	NOTE(tee(f->fd, first[1], 4096, 0));
	NOTE(splice(first[0], NULL, f->fd, NULL, 4096, 0));
	NOTE(vmsplice(f->fd, &(struct iovec) { f->buffer, 4096 }, 1, 0));
}

static void sendfile_to_a_socket_and_a_file(struct same_file *f)
{
	int pair[2], fd = open(f->other, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	off_t offset = 4096;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		return;
	NOTE(sendfile(pair[0], f->fd, &offset, 16384));
	same_note(f, "offset %ld", (long)offset);
	empty_pipe(f, pair[1], 16384, 4096);
	NOTE(sendfile(fd, f->fd, NULL, SAME_BYTES * 2));
	NOTE(lseek(f->fd, 0, SEEK_CUR));
	NOTE(pread(fd, f->buffer, SAME_BYTES, 0));
	same_content(f, f->buffer, SAME_BYTES, 0);
	NOTE(sendfile(fd, f->fd, NULL, 4096));
	close(fd);
}

static void copy_file_range_to_another(struct same_file *f)
{
	int fd = open(f->other, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	off_t from = 0, to = 0;

	NOTE(copy_file_range(f->fd, &from, fd, &to, 8192, 0));
	same_note(f, "from %ld to %ld", (long)from, (long)to);
	NOTE(pread(fd, f->buffer, 8192, 0));
	same_content(f, f->buffer, 8192, 0);
	from = 4097;
	NOTE(copy_file_range(f->fd, &from, fd, &to, 4096, 0));
	from = SAME_BYTES;
	NOTE(copy_file_range(f->fd, &from, fd, &to, 4096, 0));
	NOTE(copy_file_range(f->fd, NULL, fd, NULL, 4096, 1));
	NOTE(copy_file_range(f->fd, NULL, f->fd, NULL, 4096, 0));
	close(fd);
	/* XFS may have made both share the blocks */
	f->spoiled = true;
}

/* --- advice --- */

static void note_resident(struct same_file *f)
{
	unsigned char pages[SAME_BLOCKS + 1];
	void *memory = mmap(NULL, SAME_BYTES, PROT_READ, MAP_SHARED, f->plain,
			    0);
	unsigned int i, n = 0;

	mincore(memory, SAME_BYTES, pages);
	for (i = 0; i < SAME_BLOCKS + 1; i++)
		n += pages[i] & 1;
	munmap(memory, SAME_BYTES);
	same_note(f, "in the page cache: %s", n ? n == SAME_BLOCKS + 1 ?
		  "all" : "some" : "nothing");
}

static void advice(struct same_file *f)
{
	int i;

	fsync(f->fd);
	for (i = 0; i <= 6; i++)
		NOTE(posix_fadvise(f->fd, 0, 0, i));
	NOTE(posix_fadvise(f->fd, 0, 0, POSIX_FADV_DONTNEED));
	note_resident(f);
	NOTE(readahead(f->fd, 0, SAME_BYTES));
	NOTE(pread(f->plain, f->buffer, SAME_BYTES, 0));
	note_resident(f);
	NOTE(posix_fadvise(f->fd, 0, 0, POSIX_FADV_DONTNEED));
	note_resident(f);
	NOTE(posix_fadvise(f->fd, 0, -1, POSIX_FADV_NORMAL));
	NOTE(readahead(f->fd, SAME_BYTES, 4096));
}

/* --- waiting and watching --- */

static void poll_select_and_epoll(struct same_file *f)
{
	struct pollfd poll_fd = { .fd = f->fd, .events = POLLIN | POLLOUT |
				  POLLPRI | POLLRDHUP };
	struct epoll_event event = { .events = EPOLLIN };
	struct timeval wait = { 0 };
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	fd_set reading, writing, special;

	NOTE(poll(&poll_fd, 1, 1000));
	same_note(f, "events %#x", (unsigned int)poll_fd.revents);
	FD_ZERO(&reading);
	FD_SET(f->fd, &reading);
	writing = reading;
	special = reading;
	NOTE(select(f->fd + 1, &reading, &writing, &special, &wait));
	same_note(f, "special: %d", FD_ISSET(f->fd, &special) != 0);
	NOTE(epoll_ctl(epoll, EPOLL_CTL_ADD, f->fd, &event));
	NOTE(epoll_ctl(f->fd, EPOLL_CTL_ADD, epoll, &event));
	close(epoll);
}

static void note_inotify(struct same_file *f, int inotify)
{
	char events[4096] __attribute__((aligned(8)));
	struct inotify_event *event;
	ssize_t n, at;

	n = read(inotify, events, sizeof(events));
	for (at = 0; at < n; at += sizeof(*event) + event->len) {
		event = (struct inotify_event *)(events + at);
		same_note(f, "event %#x", event->mask);
	}
	same_note(f, "no more");
}

static void inotify_of_reads(struct same_file *f)
{
	int inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	char link[64], *nothing = NULL;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", f->fd);
	NOTE(inotify_add_watch(inotify, link, IN_ALL_EVENTS));
	NOTE(pread(f->fd, f->buffer, 4096, 0));
	note_inotify(f, inotify);
	NOTE(pread(f->fd, f->buffer, 0, 0));
	note_inotify(f, inotify);
	NOTE(pread(f->fd, f->buffer, 4096, 1L << 40));
	note_inotify(f, inotify);
	NOTE(pread(f->fd, nothing, 4096, 0));
	note_inotify(f, inotify);
	NOTE(close(f->fd));
	f->fd = -1;
	note_inotify(f, inotify);
	close(inotify);
}

static void fanotify_of_reads(struct same_file *f)
{
	int fan = fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK,
				O_RDONLY | O_CLOEXEC);
	struct fanotify_event_metadata event;
	struct stat stat, plain;

	fstat(f->plain, &plain);
	NOTE(fanotify_mark(fan, FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_ACCESS |
			   FAN_MODIFY | FAN_CLOSE, f->fd, NULL));
	NOTE(pread(f->fd, f->buffer, 4096, 0));
	NOTE(pread(f->fd, f->buffer, 4096, 4096));
	while (read(fan, &event, sizeof(event)) == sizeof(event)) {
		fstat(event.fd, &stat);
		same_note(f, "event %#llx of %s by %s", event.mask,
			  stat.st_ino == plain.st_ino ? "the file" : "ANOTHER",
			  event.pid == getpid() ? "this process" : "ANOTHER");
		close(event.fd);
	}
	close(fan);
}

/* Whether a read of the file is noted as one. */
static void times_of_reading(struct same_file *f)
{
	struct timespec old[2] = { { 1000, 0 }, { 2000, 0 } };
	struct statx before, after;

	utimensat(AT_FDCWD, f->path, old, 0);
	same_arm(f);
	/* past the tick in which the inode has changed */
	usleep(20000);
	statx(f->plain, "", AT_EMPTY_PATH, STATX_ALL, &before);
	NOTE(before.stx_atime.tv_sec == 1000);
	NOTE(pread(f->fd, f->buffer, 4096, 0));
	statx(f->fd, "", AT_EMPTY_PATH, STATX_ALL, &after);
	same_note(f, "accessed: %s",
		  after.stx_atime.tv_sec == 1000 ? "not noted" :
		  after.stx_atime.tv_sec > 2000 ? "now" : "?");
	same_bytes(f, "modified", &before.stx_mtime, &after.stx_mtime,
		   sizeof(after.stx_mtime));
	same_bytes(f, "changed", &before.stx_ctime, &after.stx_ctime,
		   sizeof(after.stx_ctime));
	/* relatime: only once */
	before = after;
	usleep(20000);
	NOTE(pread(f->fd, f->buffer, 4096, 0));
	statx(f->fd, "", AT_EMPTY_PATH, STATX_ALL, &after);
	same_bytes(f, "accessed", &before.stx_atime, &after.stx_atime,
		   sizeof(after.stx_atime));
}

static void times_with_o_noatime(struct same_file *f)
{
	times_of_reading(f);
}

/* --- asynchronous --- */

static int aio_submit(aio_context_t context, struct same_file *f, int code,
		      size_t bytes, uint64_t offset)
{
	struct iocb iocb = {
		.aio_lio_opcode = code, .aio_fildes = f->fd,
		.aio_buf = (uintptr_t)f->buffer, .aio_nbytes = bytes,
		.aio_offset = offset,
	}, *pointer = &iocb;

	if (code == IOCB_CMD_POLL)
		iocb.aio_buf = POLLIN;
	return syscall(SYS_io_submit, context, 1, &pointer);
}

static void note_aio(struct same_file *f, aio_context_t context, int code,
		     size_t bytes, uint64_t offset)
{
	struct io_event event;
	int ret;

	errno = 0;
	ret = aio_submit(context, f, code, bytes, offset);
	same_note(f, "operation %d of %zu bytes at %llu", code, bytes,
		  (unsigned long long)offset);
	same_result(f, "io_submit", ret);
	if (ret != 1)
		return;
	syscall(SYS_io_getevents, context, 1, 1, &event, NULL);
	same_note(f, "result %lld", (long long)event.res);
	if (code == IOCB_CMD_PREAD && (int64_t)event.res > 0)
		same_content(f, f->buffer, event.res, offset);
}

static void requests_of_libaio(struct same_file *f)
{
	aio_context_t context = 0;

	if (syscall(SYS_io_setup, 4, &context))
		return;
	note_aio(f, context, IOCB_CMD_PREAD, 8192, 4096);
	note_aio(f, context, IOCB_CMD_PREAD, 8192, WHOLE - 4096);
	note_aio(f, context, IOCB_CMD_PREAD, 4096, WHOLE + 4096);
	note_aio(f, context, IOCB_CMD_PREAD, 100, 1);
	note_aio(f, context, IOCB_CMD_PWRITE, 4096, 0);
	note_aio(f, context, IOCB_CMD_FSYNC, 0, 0);
	note_aio(f, context, IOCB_CMD_FDSYNC, 0, 0);
	note_aio(f, context, IOCB_CMD_POLL, 0, 0);
	note_aio(f, context, IOCB_CMD_NOOP, 0, 0);
	syscall(SYS_io_destroy, context);
}

static void io_uring_prep_command(struct io_uring_sqe *sqe, int fd)
{
	io_uring_prep_rw(IORING_OP_URING_CMD, sqe, fd, NULL, 0, 0);
}

/* One request that has been prepared. */
static void note_request(struct same_file *f, struct io_uring *ring,
			 const char *what)
{
	struct io_uring_cqe *cqe;

	io_uring_submit(ring);
	if (io_uring_wait_cqe(ring, &cqe))
		return;
	same_note(f, "%s = %d", what, cqe->res);
	io_uring_cqe_seen(ring, cqe);
}

#define REQUEST(kind, ...) do {						\
	io_uring_prep_##kind(io_uring_get_sqe(&ring), __VA_ARGS__);	\
	note_request(f, &ring, #kind);					\
} while (0)

static void requests_of_io_uring(struct same_file *f)
{
	struct iovec iov = { f->buffer, 4096 };
	struct statx statx;
	struct io_uring ring;
	char value[16];
	int pair[2];

	if (io_uring_queue_init(4, &ring, 0) || pipe2(pair, O_CLOEXEC))
		return;
	REQUEST(read, f->fd, f->buffer, 8192, 4096);
	same_content(f, f->buffer, 8192, 4096);
	REQUEST(read, f->fd, f->buffer, 4096, WHOLE);
	REQUEST(read, f->fd, f->buffer, 4096, WHOLE + 4096);
	REQUEST(read, f->fd, f->buffer, 100, 1);
	/* where it moves the position to depends on how fast the device is */
	REQUEST(read, f->fd, f->buffer, 4096, -1);
	same_content(f, f->buffer, 4096, 0);
	REQUEST(readv, f->fd, &iov, 1, 8192);
	same_content(f, f->buffer, 4096, 8192);
	REQUEST(readv2, f->fd, &iov, 1, 8192, RWF_HIPRI);
	REQUEST(readv2, f->fd, &iov, 1, 8192, 0x40000000);
	REQUEST(write, f->fd, f->buffer, 4096, 0);
	REQUEST(fsync, f->fd, 0);
	REQUEST(fsync, f->fd, IORING_FSYNC_DATASYNC);
	REQUEST(sync_file_range, f->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
	REQUEST(fallocate, f->fd, 0, 0, 4096);
	REQUEST(fadvise, f->fd, 0, 0, POSIX_FADV_WILLNEED);
	REQUEST(statx, f->fd, "", AT_EMPTY_PATH, STATX_ALL, &statx);
	same_note(f, "size %llu", (unsigned long long)statx.stx_size);
	REQUEST(poll_add, f->fd, POLLIN);
	REQUEST(splice, f->fd, 0, pair[1], -1, 4096, 0);
	REQUEST(splice, f->fd, 100, pair[1], -1, 4096, 0);
	REQUEST(fsetxattr, f->fd, "user.one", "1", 0, 1);
	REQUEST(fgetxattr, f->fd, "user.one", value, sizeof(value));
	REQUEST(command, f->fd);
	io_uring_queue_exit(&ring);
}

/* Buffers that the kernel picks. */
static void provided_buffers(struct same_file *f)
{
	struct io_uring_sqe *sqe;
	struct io_uring ring;

	if (io_uring_queue_init(4, &ring, 0))
		return;
	REQUEST(provide_buffers, f->buffer, 4096, 4, 7, 0);
	memset(f->buffer, 0xa5, 4 * 4096);
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_read(sqe, f->fd, NULL, 4096, 12288);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = 7;
	note_request(f, &ring, "read to a provided buffer");
	same_note(f, "one of them: %d",
		  !content_is(f->buffer, 4096, 12288, SAME_FILE, 1) ||
		  !content_is(f->buffer + 3 * 4096, 4096, 12288, SAME_FILE, 1));
	io_uring_queue_exit(&ring);
}

/* --- the table --- */

#include "same_table.h"

READING(reads_anywhere, .holds = "1000 bytes of 131072 are right");
READING(reads_to_memory_of_any_alignment,
	.holds = "4096 bytes of 8192 are right");
READING(reads_to_memory_that_is_not_there,
	.holds = "pread(f->fd, nothing, 4096, 0) = EFAULT");
READING(the_position, .holds = "lseek(f->fd, 0, SEEK_CUR) = 132072");
READING(vectors, .holds = "preadv(f->fd, iov, 4, 16384) = 12288");
READING(flags_of_preadv2,
	.holds = "preadv2(f->fd, &iov, 1, 4096, RWF_HIPRI) = 4096");
READING(o_direct_cleared_for_the_tail, .holds = "999 bytes of 131073 are right");
READING(splice_and_tee, .holds = "in the pipe: 1000 bytes");
READING(sendfile_to_a_socket_and_a_file, .holds = "132072 bytes of 0 are right");
COMPARE(copy_file_range_to_another, .holds = "8192 bytes of 0 are right");
COMPARE(advice, .holds = "in the page cache: all");
COMPARE(poll_select_and_epoll,
	.holds = "epoll_ctl(epoll, EPOLL_CTL_ADD, f->fd, &event) = EPERM");
COMPARE(inotify_of_reads, .holds = "event 0x1\n");
READING(fanotify_of_reads, .holds = "event 0x1 of the file by this process");
READING(times_of_reading, .holds = "accessed: now");
READING(times_with_o_noatime, .flags = O_NOATIME,
	.holds = "accessed: not noted");
READING(requests_of_libaio, .holds = "8192 bytes of 4096 are right");
READING(requests_of_io_uring, .holds = "read = 8192");
READING(provided_buffers, .holds = "one of them: 1");

PROGRAM_MAIN
