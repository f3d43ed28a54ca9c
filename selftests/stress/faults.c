// SPDX-License-Identifier: GPL-2.0-only
/*
 * A process that reads files through mappings. A page fault holds the lock that a
 * truncation needs for as long as the device takes. It is a process of its own
 * because a fault also holds the lock of the address space it is in.
 *
 * What it finds is not judged: the kernel does not promise that a mapping sees
 * what is written past the cache at the same time.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stress.h"

static struct {
	_Atomic uint32_t	any;	/* number of a file */
	_Atomic uint32_t	hunted;	/* of one that is to be shortened now */
} *mailbox;

static pid_t child;

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
	/* beyond the end this is an error, and no signal */
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

int faults_start(void)
{
	struct dice dice;

	mailbox = mmap(NULL, sizeof(*mailbox), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (mailbox == MAP_FAILED)
		return -1;
	dice_init(&dice, "faults");
	child = fork();
	if (child)
		return child < 0 ? -1 : 0;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		fault_once(roll(&dice, 1u << 30));
}

void faults_stop(void)
{
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
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
