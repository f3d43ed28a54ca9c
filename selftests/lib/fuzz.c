// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/aio_abi.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "access.h"
#include "content.h"
#include "control.h"
#include "fuzz.h"
#include "util.h"

#define READS	6

struct slot {
	int		fd;
	uint32_t	file;		/* number of its content, 0 if unknown */
	bool		enabled;
};

struct fuzz {
	const struct fuzz_place	*place;
	struct fuzz_shared	*shared;
	uint64_t		random;
	/* the mapped device, -1 if the user may not open it */
	int			volume;
	int			node;
	bool			nobody;
	struct slot		slots[FUZZ_SLOTS];
	char			*buffer;	/* FUZZ_BYTES */
	/* two pages, of which only the first is mapped */
	char			*edge;
};

uint64_t fuzz_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static uint32_t pick(struct fuzz *fuzz, uint32_t count)
{
	return fuzz_random(&fuzz->random) % count;
}

static struct slot *any_slot(struct fuzz *fuzz)
{
	return &fuzz->slots[pick(fuzz, FUZZ_SLOTS)];
}

/* Where to send an operation of the file level. */
static int door(struct fuzz *fuzz)
{
	return fuzz->nobody || pick(fuzz, 2) ? fuzz->node : fuzz->volume;
}

static void fuzz_fails(struct fuzz *fuzz, const char *why)
{
	snprintf(fuzz->shared->why, sizeof(fuzz->shared->why), "%s", why);
	fuzz->shared->failed = true;
}

static int open_kind(struct fuzz *fuzz, unsigned int kind, uint32_t *file)
{
	const struct fuzz_place *place = fuzz->place;
	const int direct = O_RDONLY | O_DIRECT | O_CLOEXEC;
	int pair[2] = { -1, -1 };

	*file = 0;
	switch (kind) {
	case 0:
		return open(place->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	case 1:
		if (!pipe2(pair, O_CLOEXEC))
			close(pair[1]);
		return pair[0];
	case 2:
		return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	case 3:
		return epoll_create1(EPOLL_CLOEXEC);
	case 4:
		return eventfd(0, EFD_CLOEXEC);
	case 5:
		return open(place->files[0], O_PATH | O_CLOEXEC);
	case 6:
		return open(place->other, O_RDONLY | O_CLOEXEC);
	case 7:
		return open(place->device, O_RDONLY | O_CLOEXEC);
	case 8:
		return memfd_create("fuzz", MFD_CLOEXEC);
	case 9:
		return open(place->files[0], O_RDWR | O_DIRECT | O_CLOEXEC);
	case 10:
		return open(place->files[1], O_RDONLY | O_CLOEXEC);
	case 11:
		return open(place->volume, O_RDONLY | O_CLOEXEC);
	case 12:
		return node_open();
	default:
		*file = 1 + kind % FUZZ_FILES;
		return open(place->files[*file - 1], direct);
	}
}

static void slot_set(struct slot *slot, int fd, uint32_t file)
{
	if (slot->fd >= 0)
		close(slot->fd);
	*slot = (struct slot) { .fd = fd, .file = file };
}

static bool do_open(struct fuzz *fuzz)
{
	uint32_t file;
	int fd = open_kind(fuzz, pick(fuzz, 24), &file);

	slot_set(any_slot(fuzz), fd, file);
	return fd >= 0;
}

/* A random slot with a file of known content, or NULL if none was found. */
static struct slot *known_slot(struct fuzz *fuzz, bool enabled)
{
	int i;

	for (i = 0; i < FUZZ_SLOTS; i++) {
		struct slot *slot = any_slot(fuzz);

		if (slot->fd >= 0 && slot->file && slot->enabled == enabled)
			return slot;
	}
	return NULL;
}

/* Also enables files that are already enabled, or were disabled. */
static bool do_enable(struct fuzz *fuzz)
{
	struct slot *slot = known_slot(fuzz, !pick(fuzz, 4));
	int to = door(fuzz), ret;

	if (!slot)
		return do_open(fuzz);
	if (to == fuzz->node && pick(fuzz, 2))
		ret = node_enable(to, slot->fd);
	else
		ret = fs_enable(to, slot->fd);
	slot->enabled |= !ret;
	return !ret;
}

/* Values that have broken something somewhere before. */
static uint64_t odd(struct fuzz *fuzz, uint64_t usual)
{
	static const uint64_t values[] = {
		0, 1, 2, 7, 8, 16, 0x7fffffff, 0x80000000, UINT32_MAX,
		UINT64_MAX, PAGE, PAGE - 1, PAGE + 1, 1ull << 63,
		0xffff800000000000ull, 0x7ffffffff000ull,
	};

	/* seldom, because a call has a dozen values and some calls must succeed */
	switch (pick(fuzz, 60)) {
	case 0:
		return values[pick(fuzz, sizeof(values) / sizeof(*values))];
	case 1:
		return usual + pick(fuzz, 3) - 1;
	case 2:
		return usual ^ 1ull << pick(fuzz, 64);
	default:
		return usual;
	}
}

/* Copy @bytes of @what to an address for a call, which may be partly or wholly invalid. */
static uint64_t address(struct fuzz *fuzz, const void *what, size_t bytes)
{
	char *at = fuzz->buffer + PAGE * pick(fuzz, 8);

	switch (pick(fuzz, 16)) {
	case 0:
		return odd(fuzz, 0);
	case 1:
		/* across the end of mapped memory */
		at = fuzz->edge + PAGE - pick(fuzz, bytes);
		memcpy(at, what, fuzz->edge + PAGE - at);
		return (uintptr_t)at;
	case 2:
		/* up to the last mapped byte */
		at = fuzz->edge + PAGE - bytes;
		break;
	}
	memcpy(at, what, bytes);
	return (uintptr_t)at;
}

static void scramble(struct fuzz *fuzz, void *what, size_t bytes)
{
	char *byte = what;
	unsigned int count = pick(fuzz, 4) ? 0 : 1 + pick(fuzz, 8);

	while (count--)
		byte[pick(fuzz, bytes)] = fuzz_random(&fuzz->random);
}

static bool send_any(struct fuzz *fuzz, unsigned long code, const void *in,
		     size_t in_size, size_t out_size)
{
	char zeroes[1024] = "";
	struct bpio_ioctl envelope = {
		.size = odd(fuzz, sizeof(envelope)), .flags = odd(fuzz, 0),
		.in_buffer = address(fuzz, in, in_size),
		.out_buffer = address(fuzz, zeroes, out_size),
		.in_length = odd(fuzz, in_size),
		.out_length = odd(fuzz, out_size),
		.reserved = odd(fuzz, 0),
	};
	int fd = pick(fuzz, 8) ? door(fuzz) : any_slot(fuzz)->fd;

	scramble(fuzz, &envelope, sizeof(envelope));
	return !ioctl(fd, code,
		      address(fuzz, &envelope, sizeof(envelope)));
}

static bool do_fs_ioctl(struct fuzz *fuzz)
{
	struct slot *slot = known_slot(fuzz, pick(fuzz, 2));
	struct fs_bpio_input in = {
		.operation = odd(fuzz, pick(fuzz, 10)),
		.in_flags = pick(fuzz, 3) ? 0 : odd(fuzz, FS_BPIO_INFL_ALL),
		.reserved1 = odd(fuzz, 0), .reserved3 = odd(fuzz, 0),
		.fd = odd(fuzz, slot && pick(fuzz, 3) ? slot->fd :
						any_slot(fuzz)->fd),
	};

	/* slot->enabled is not set for files that this enables; reads are judged anyway */
	scramble(fuzz, &in, sizeof(in));
	return send_any(fuzz, FSCTL_MANAGE_BYPASS_IO, &in, sizeof(in),
			pick(fuzz, 2) ? sizeof(struct fs_bpio_output) : 1000);
}

static bool do_storage_ioctl(struct fuzz *fuzz)
{
	struct bpio_input in = {
		.version = odd(fuzz, BPIO_INPUT_VERSION),
		.size = odd(fuzz, sizeof(in)),
		.operation = odd(fuzz, pick(fuzz, 5)),
		.in_flags = odd(fuzz, 0), .reserved2 = odd(fuzz, 0),
		.fd = pick(fuzz, 2) ? 0 : any_slot(fuzz)->fd,
	};

	scramble(fuzz, &in, sizeof(in));
	return send_any(fuzz, IOCTL_STORAGE_MANAGE_BYPASS_IO, &in, sizeof(in),
			sizeof(struct bpio_output));
}

static bool do_version(struct fuzz *fuzz)
{
	struct bpio_version version = {
		.size = odd(fuzz, sizeof(version)),
	};
	int fd = pick(fuzz, 2) ? door(fuzz) : any_slot(fuzz)->fd;

	return !ioctl(fd, BPIO_IOC_GET_VERSION,
		      address(fuzz, &version, sizeof(version)));
}

/* Send ARM or INFO, mostly to enabled files. */
static bool do_file_ioctl(struct fuzz *fuzz)
{
	bool arms = pick(fuzz, 2);
	size_t bytes = arms ? sizeof(struct bpio_file_arm) :
			      sizeof(struct bpio_file_info);
	struct slot *slot = known_slot(fuzz, true);
	struct bpio_file_info info = {
		.size = odd(fuzz, bytes), .flags = odd(fuzz, 0),
	};

	if (!slot || !pick(fuzz, 8))
		slot = any_slot(fuzz);
	scramble(fuzz, &info, bytes);
	return !ioctl(slot->fd, arms ? BPIO_IOC_FILE_ARM : BPIO_IOC_FILE_INFO,
		      address(fuzz, &info, bytes));
}

/* Query the tally, or start another one while files of the old one are open. */
static bool do_tally(struct fuzz *fuzz)
{
	struct bpio_tally tally = {
		.size = odd(fuzz, sizeof(tally)), .flags = odd(fuzz, 0),
	};
	int fd = pick(fuzz, 8) ? fuzz->node : any_slot(fuzz)->fd;

	if (!pick(fuzz, 16)) {
		close(fuzz->node);
		fuzz->node = node_open();
		return fuzz->node >= 0;
	}
	scramble(fuzz, &tally, sizeof(tally));
	return !ioctl(fd, BPIO_IOC_TALLY,
		      address(fuzz, &tally, sizeof(tally)));
}

static void judge(struct fuzz *fuzz, const char *buffer, ssize_t got,
		  uint64_t offset, uint32_t file)
{
	struct content_rule rule = {
		.file = file, .oldest = 1, .newest = 1,
	};

	if (got > 0 && content_check(buffer, got, offset, &rule,
				     fuzz->shared->why,
				     sizeof(fuzz->shared->why)))
		fuzz->shared->failed = true;
}

static bool read_judged(struct fuzz *fuzz, int fd, uint32_t file)
{
	uint64_t offset = 512 * pick(fuzz, FUZZ_BYTES / 512);
	size_t bytes = 512 * (1 + pick(fuzz, 64));
	ssize_t got = pread(fd, fuzz->buffer, bytes, offset);

	judge(fuzz, fuzz->buffer, got, offset, file);
	return got > 0;
}

static bool do_read(struct fuzz *fuzz)
{
	struct slot *slot = known_slot(fuzz, true);
	uint64_t direct;
	bool good;

	if (!slot)
		return do_enable(fuzz);
	direct = file_direct(slot->fd);
	good = read_judged(fuzz, slot->fd, slot->file);
	if (file_direct(slot->fd) > direct)
		fuzz->shared->direct[fuzz->nobody]++;
	return good;
}

/* Read into memory that is unmapped, unaligned, or partly mapped. */
static bool do_bad_read(struct fuzz *fuzz)
{
	struct slot *slot = known_slot(fuzz, true) ?: any_slot(fuzz);
	char *at = fuzz->edge + pick(fuzz, 2 * PAGE);

	if (!pick(fuzz, 4))
		at = (char *)(uintptr_t)odd(fuzz, 0);
	return pread(slot->fd, at, odd(fuzz, 2 * PAGE),
		     odd(fuzz, 512 * pick(fuzz, 64))) > 0;
}

static bool do_close(struct fuzz *fuzz)
{
	struct slot *from = any_slot(fuzz), *to = any_slot(fuzz);

	if (pick(fuzz, 2) || from == to || from->fd < 0 || to->fd < 0) {
		slot_set(from, -1, 0);
		return true;
	}
	if (dup2(from->fd, to->fd) < 0)
		return false;
	to->file = from->file;
	to->enabled = from->enabled;
	return true;
}

/* Clear O_DIRECT, and mostly set it again. */
static bool do_flags(struct fuzz *fuzz)
{
	struct slot *slot = known_slot(fuzz, pick(fuzz, 2));
	int flags = pick(fuzz, 2) ? O_NONBLOCK : 0;
	bool good;

	if (!slot)
		return false;
	good = !fcntl(slot->fd, F_SETFL, flags) &&
	       read_judged(fuzz, slot->fd, slot->file);
	if (pick(fuzz, 8))
		fcntl(slot->fd, F_SETFL, flags | O_DIRECT);
	return good;
}

/* Read by a mapping; sometimes the descriptor is closed first. */
static bool do_map(struct fuzz *fuzz)
{
	struct slot *slot = known_slot(fuzz, true);
	uint64_t offset = PAGE * pick(fuzz, FUZZ_BYTES / PAGE);
	uint32_t file;
	char *map;

	if (!slot)
		return false;
	file = slot->file;
	map = mmap(NULL, PAGE, PROT_READ, pick(fuzz, 2) ? MAP_SHARED :
		   MAP_PRIVATE, slot->fd, offset);
	if (map == MAP_FAILED)
		return false;
	if (!pick(fuzz, 3))
		slot_set(slot, -1, 0);
	judge(fuzz, map, PAGE, offset, file);
	munmap(map, PAGE);
	return true;
}

/* Let a child inherit the files and exit, or execute another program. */
static bool do_fork(struct fuzz *fuzz)
{
	struct slot *slot = known_slot(fuzz, true);
	unsigned int how = pick(fuzz, 3);
	pid_t pid = fork();

	if (!pid) {
		if (slot && how)
			read_judged(fuzz, slot->fd, slot->file);
		if (slot && how == 2)
			fcntl(slot->fd, F_SETFD, 0);
		if (how == 2)
			execl("/bin/true", "true", NULL);
		_exit(0);
	}
	if (pid > 0 && !pick(fuzz, 4))
		kill(pid, SIGKILL);
	return pid > 0 && waitpid(pid, NULL, 0) == pid;
}

/* Pass a file through a socket, or close the socket with the file in it. */
static bool do_pass(struct fuzz *fuzz)
{
	struct slot *slot = known_slot(fuzz, true);
	bool good = false;
	int pair[2], fd;

	if (!slot || socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair))
		return false;
	if (!send_fd(pair[0], slot->fd)) {
		good = true;
		fd = pick(fuzz, 2) ? receive_fd(pair[1]) : -1;
		if (fd >= 0) {
			uint32_t file = slot->file;

			slot_set(slot, -1, 0);
			good = read_judged(fuzz, fd, file);
			close(fd);
		}
	}
	close(pair[0]);
	close(pair[1]);
	return good;
}

/* Submit reads to a ring; cancel them, or remove the ring, descriptor or memory. */
static bool do_ring(struct fuzz *fuzz)
{
	char *memory = mmap(NULL, READS * 8 * PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct slot *slot = known_slot(fuzz, true);
	struct io_uring_cqe *cqe;
	struct io_uring ring;
	unsigned int i;
	bool good;

	if (!slot || io_uring_queue_init(4 * READS, &ring, 0)) {
		munmap(memory, READS * 8 * PAGE);
		return false;
	}
	for (i = 0; i < READS; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

		io_uring_prep_read(sqe, slot->fd, memory + i * 8 * PAGE,
				   8 * PAGE, PAGE * pick(fuzz, 32));
		sqe->user_data = i;
		if (!pick(fuzz, 3))
			sqe->flags |= IOSQE_ASYNC;
		if (!pick(fuzz, 3))
			io_uring_prep_cancel64(io_uring_get_sqe(&ring), i, 0);
	}
	good = io_uring_submit(&ring) > 0;
	if (!pick(fuzz, 3))
		slot_set(slot, -1, 0);
	if (pick(fuzz, 2))
		munmap(memory, READS * 8 * PAGE);
	else
		mprotect(memory, PAGE, PROT_READ);
	if (pick(fuzz, 2))
		io_uring_wait_cqe(&ring, &cqe);
	io_uring_queue_exit(&ring);
	return good;
}

static bool do_aio(struct fuzz *fuzz)
{
	struct iocb iocbs[READS], *pointers[READS];
	struct slot *slot = known_slot(fuzz, true);
	aio_context_t context = 0;
	bool good;
	int i;

	if (!slot || syscall(SYS_io_setup, READS, &context))
		return false;
	for (i = 0; i < READS; i++) {
		iocbs[i] = (struct iocb) {
			.aio_lio_opcode = IOCB_CMD_PREAD,
			.aio_fildes = slot->fd,
			.aio_buf = (uintptr_t)fuzz->buffer,
			.aio_nbytes = 8 * PAGE,
			.aio_offset = odd(fuzz, PAGE * pick(fuzz, 32)),
		};
		pointers[i] = &iocbs[i];
	}
	good = syscall(SYS_io_submit, context, READS, pointers) > 0;
	syscall(SYS_io_destroy, context);
	return good;
}

static void *read_in_thread(void *arg)
{
	static __thread char buffer[2 * PAGE] __attribute__((aligned(PAGE)));
	int fd = *(int *)arg, i;

	for (i = 0; i < 4; i++)
		if (pread(fd, buffer, sizeof(buffer), 0) < 0)
			break;
	return NULL;
}

/* Close, disable or pause a file while a thread reads it. */
static bool do_close_under_reader(struct fuzz *fuzz)
{
	struct slot *slot = known_slot(fuzz, true);
	struct fs_bpio_output out;
	pthread_t thread;
	int fd;

	if (!slot)
		return false;
	fd = slot->fd;
	if (pthread_create(&thread, NULL, read_in_thread, &fd))
		return false;
	if (pick(fuzz, 2))
		slot_set(slot, -1, 0);
	else
		fs_op(door(fuzz), pick(fuzz, 2) ? FS_BPIO_OP_DISABLE :
		      FS_BPIO_OP_STREAM_PAUSE, fd, &out);
	pthread_join(thread, NULL);
	if (slot->fd >= 0)
		fs_op(door(fuzz), FS_BPIO_OP_STREAM_RESUME, fd, &out);
	return true;
}

/* Enable a file while a thread reads it, which replaces its file operations. */
static bool do_enable_under_reader(struct fuzz *fuzz)
{
	struct slot *slot = known_slot(fuzz, false);
	pthread_t thread;
	bool good;

	if (!slot || pthread_create(&thread, NULL, read_in_thread, &slot->fd))
		return false;
	good = !fs_enable(door(fuzz), slot->fd);
	slot->enabled |= good;
	pthread_join(thread, NULL);
	return good;
}

/* Open a file for writing: that revokes it even if nothing is written. */
static bool do_revoke(struct fuzz *fuzz)
{
	const char *path = fuzz->place->files[pick(fuzz, FUZZ_FILES)];
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd >= 0 && !close(fd);
}

/* Try to pause without privilege, which would affect files of other processes. */
static bool do_forbidden_pause(struct fuzz *fuzz)
{
	uint32_t operation = FS_BPIO_OP_VOLUME_STACK_PAUSE + pick(fuzz, 4);
	struct slot *slot = known_slot(fuzz, pick(fuzz, 2));
	struct fs_bpio_output out;

	if (!slot)
		return false;
	if (!fs_op(fuzz->node, operation, slot->fd, &out))
		fuzz_fails(fuzz, "somebody without privilege has paused or resumed");
	return false;
}

static bool do_pause(struct fuzz *fuzz)
{
	struct fs_bpio_output out;
	int ret;

	if (fuzz->nobody)
		return do_forbidden_pause(fuzz);
	ret = fs_op(fuzz->volume, FS_BPIO_OP_VOLUME_STACK_PAUSE, -1, &out);
	if (pick(fuzz, 8))
		do_read(fuzz);
	fs_op(fuzz->volume, FS_BPIO_OP_VOLUME_STACK_RESUME, -1, &out);
	return !ret;
}

static const struct {
	const char	*name;
	bool		(*call)(struct fuzz *fuzz);
	unsigned int	weight;
} kinds[FUZZ_KINDS] = {
	{ "open", do_open, 6 },
	{ "enable", do_enable, 8 },
	{ "fs ioctl", do_fs_ioctl, 24 },
	{ "storage ioctl", do_storage_ioctl, 8 },
	{ "version ioctl", do_version, 3 },
	{ "file ioctl", do_file_ioctl, 12 },
	{ "tally", do_tally, 4 },
	{ "read", do_read, 24 },
	{ "bad read", do_bad_read, 4 },
	{ "close, dup2", do_close, 4 },
	{ "flags", do_flags, 2 },
	{ "mmap", do_map, 2 },
	{ "fork, exec", do_fork, 1 },
	{ "SCM_RIGHTS", do_pass, 3 },
	{ "io_uring", do_ring, 3 },
	{ "libaio", do_aio, 3 },
	{ "close under reader", do_close_under_reader, 2 },
	{ "enable under reader", do_enable_under_reader, 2 },
	{ "revoke", do_revoke, 1 },
	{ "pause", do_pause, 1 },
};

const char *fuzz_kind(unsigned int kind)
{
	return kinds[kind].name;
}

static void act(struct fuzz *fuzz)
{
	unsigned int total = 0, kind;
	uint32_t which;

	for (kind = 0; kind < FUZZ_KINDS; kind++)
		total += kinds[kind].weight;
	which = pick(fuzz, total);
	for (kind = 0; which >= kinds[kind].weight; kind++)
		which -= kinds[kind].weight;
	fuzz->shared->calls[kind]++;
	if (kinds[kind].call(fuzz))
		fuzz->shared->good[kind]++;
}

void fuzz_process(const struct fuzz_place *place, struct fuzz_shared *shared,
		  uint64_t seed, uint64_t deadline, bool nobody)
{
	struct fuzz fuzz = {
		.place = place, .shared = shared, .random = seed,
		.nobody = nobody, .buffer = dio_alloc(FUZZ_BYTES),
		.edge = guarded_pages(PROT_READ | PROT_WRITE) - PAGE,
	};
	bool opened;
	int i;

	if (nobody && become_nobody())
		fuzz_fails(&fuzz, "a process cannot give up its privileges");
	/* set it again, because a change of credentials clears it */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (i = 0; i < FUZZ_SLOTS; i++)
		fuzz.slots[i].fd = -1;
	fuzz.volume = open(place->volume, O_RDONLY | O_CLOEXEC);
	fuzz.node = node_open();
	opened = fuzz.volume >= 0;
	if (fuzz.node < 0 || opened == nobody)
		fuzz_fails(&fuzz, "a process opens what it may not, or cannot open what it may");
	for (i = 0; i < FUZZ_SLOTS; i++)
		do_open(&fuzz);
	while (now_ms() < deadline && !shared->failed)
		act(&fuzz);
	_exit(0);
}
