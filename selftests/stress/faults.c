// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two processes that use files through mappings. While the device serves a page
 * fault, the fault holds the lock that a truncation needs. They are separate
 * processes because a fault also holds the lock of its address space for as long as
 * the file system is frozen, and the thread that thaws it may need that lock. They
 * are forked before any thread reads, see fork_spares_reads().
 *
 * What the reader finds is not judged: the kernel does not promise that a mapping
 * sees direct writes that happen at the same time.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stress.h"

static struct {
	_Atomic uint32_t	any;	/* number of a file */
	_Atomic uint32_t	hunted;	/* of one about to be shortened, or 0 */
	char			content[FILE_BYTES];	/* for the writer */
} *mailbox;

/* What the writer must write. Its answer is 0 or a negative errno. */
struct order {
	int	fd;	/* of the parent process */
	size_t	bytes;
	off_t	offset;
};

static pthread_mutex_t writer_lock = PTHREAD_MUTEX_INITIALIZER;
static int writer_socket;
static pid_t reader, writer;

static void fault(int fd, off_t size, unsigned int random)
{
	off_t page = (random >> 4) % (size / BLOCK) * BLOCK;
	struct iovec local, remote;
	char buffer[64];
	char *map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);

	if (map == MAP_FAILED)
		return;
	madvise(map, size, MADV_RANDOM);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	local = (struct iovec) { buffer, sizeof(buffer) };
	remote = (struct iovec) { map + page, sizeof(buffer) };
	/* beyond the end of the file this returns an error, without SIGBUS */
	process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
	munmap(map, size);
}

static void fault_once(unsigned int random)
{
	uint32_t id = mailbox->hunted ?: mailbox->any;
	char path[128];
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "%s/%u", stress.volume.mount, id);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && !fstat(fd, &st) && st.st_size >= BLOCK)
		fault(fd, st.st_size, random);
	if (fd >= 0)
		close(fd);
	if (!mailbox->hunted)
		usleep(20000);
}

static void read_for_ever(int unused)
{
	struct dice dice;

	(void)unused;
	dice_init(&dice, "faults");
	for (;;)
		fault_once(roll(&dice, 1u << 30));
}

static int write_order(const struct order *order)
{
	char path[64], *map;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", getppid(), order->fd);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	map = mmap(NULL, order->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		   order->offset);
	close(fd);
	if (map == MAP_FAILED)
		return -errno;
	memcpy(map, mailbox->content, order->bytes);
	return munmap(map, order->bytes);
}

static void write_for_ever(int socket)
{
	struct order order;
	int answer;

	while (read(socket, &order, sizeof(order)) == sizeof(order)) {
		answer = write_order(&order);
		if (write(socket, &answer, sizeof(answer)) != sizeof(answer))
			break;
	}
	_exit(0);
}

static pid_t start(void (*run)(int socket), int socket)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	run(socket);
	abort();
}

int faults_start(void)
{
	int sockets[2];

	mailbox = mmap(NULL, sizeof(*mailbox), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (mailbox == MAP_FAILED)
		return -1;
	reader = start(read_for_ever, -1);
	if (reader < 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets))
		return -1;
	writer_socket = sockets[0];
	writer = start(write_for_ever, sockets[1]);
	/* keep it open only in the writer, so that its death is noticed */
	close(sockets[1]);
	return writer < 0 ? -1 : 0;
}

static void stop(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

void faults_stop(void)
{
	stop(reader);
	stop(writer);
}

int faults_write(int fd, const char *buffer, size_t bytes, off_t offset)
{
	struct order order = { .fd = fd, .bytes = bytes, .offset = offset };
	int answer = -EIO;

	pthread_mutex_lock(&writer_lock);
	memcpy(mailbox->content, buffer, bytes);
	if (send(writer_socket, &order, sizeof(order), MSG_NOSIGNAL) < 0 ||
	    read(writer_socket, &answer, sizeof(answer)) != sizeof(answer))
		broken("the process that writes through mappings is gone");
	pthread_mutex_unlock(&writer_lock);
	return answer;
}

void faults_hunt(const struct file *file)
{
	mailbox->hunted = file ? file->id : 0;
}

void *read_mapping(void *name)
{
	struct dice dice;

	dice_init(&dice, name);
	while (goes_on()) {
		struct file *file = file_for_reader(&dice);

		mailbox->any = file->id;
		file_put(file);
		rest(100);
	}
	return NULL;
}

void *fork_beside_reads(void *name)
{
	struct dice dice;

	dice_init(&dice, name);
	while (goes_on() && fork_spares_reads()) {
		fork_once();
		rest(roll(&dice, 500));
	}
	return NULL;
}
