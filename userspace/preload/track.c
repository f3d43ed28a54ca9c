// SPDX-License-Identifier: GPL-2.0-only
/*
 * See track.h and share.h.
 *
 * The table of descriptors is private to the process and needs no lock: an entry
 * is one word. It is written for a descriptor only while the descriptor cannot
 * be given to anybody else: after it was opened, before it is closed.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bpio.h"
#include "share.h"
#include "track.h"

/* The highest number of descriptors that the kernel allows by default. */
#define TABLE_SIZE	0x100000U

/* Entry of the table: generation above, number of the slot plus 1 below. */
#define ENTRY(generation, slot)	((__u64)(generation) << 32 | ((slot) + 1))
#define ENTRY_SLOT(entry)	((__u32)(entry) - 1)
#define ENTRY_GENERATION(entry)	((__u32)((entry) >> 32))

static struct share *share;
static const char *globs;
static _Atomic __u64 *table;
static _Atomic int highest = -1;
/* Differs from getpid() in a child of vfork(), which runs in our memory. */
static _Atomic pid_t owner;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static struct share *map_share(const char *path)
{
	struct share *map = MAP_FAILED;
	struct stat st;
	int fd;

	/* Not open(), which is ours. */
	fd = syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	if (!fstat(fd, &st) && st.st_size == sizeof(*map))
		map = mmap(NULL, sizeof(*map), PROT_READ | PROT_WRITE,
			   MAP_SHARED, fd, 0);
	syscall(SYS_close, fd);
	if (map == MAP_FAILED)
		return NULL;
	if (map->magic == SHARE_MAGIC && map->version == SHARE_VERSION)
		return map;
	munmap(map, sizeof(*map));
	return NULL;
}

/* Descriptors are about to be shared with a child. */
static void before_fork(void)
{
	int fd;

	for (fd = 0; fd <= highest; fd++) {
		__u64 entry = table[fd];

		if (entry)
			share->slots[ENTRY_SLOT(entry)].shared = 1;
	}
}

static void after_fork_in_child(void)
{
	owner = getpid();
	share->processes++;
}

static void set_up(void)
{
	const char *path = getenv(SHARE_ENV);
	void *map;

	globs = getenv(SHARE_GLOBS_ENV);
	if (globs)
		globs = strdup(globs);
	if (!path)
		return;
	map = mmap(NULL, TABLE_SIZE * sizeof(*table), PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (map == MAP_FAILED)
		return;
	table = map;
	owner = getpid();
	share = map_share(path);
	if (!share)
		return;
	share->processes++;
	pthread_atfork(before_fork, NULL, after_fork_in_child);
}

struct share *track_share(void)
{
	pthread_once(&once, set_up);
	return share;
}

const char *track_globs(void)
{
	pthread_once(&once, set_up);
	return globs;
}

static bool take_slot(__u32 *number)
{
	__u32 start = share->hint, i;

	for (i = 0; i < SHARE_SLOTS; i++) {
		__u32 free_slot = 0, at = (start + i) % SHARE_SLOTS;

		if (!atomic_compare_exchange_strong(&share->slots[at].used,
						    &free_slot, 1))
			continue;
		share->hint = at + 1;
		*number = at;
		return true;
	}
	return false;
}

/* Adds what a handle that nobody else has counted to the totals. */
static void give_back(__u64 entry)
{
	struct share_slot *slot = &share->slots[ENTRY_SLOT(entry)];
	int i;

	if (slot->shared)
		return;
	slot->generation++;
	for (i = 0; i < SHARE_COUNTERS; i++)
		share->totals[i] += atomic_exchange(&slot->counters[i], 0);
	slot->reported = 0;
	slot->used = 0;
}

static void raise_to(_Atomic __u64 *counter, __u64 value)
{
	__u64 seen = *counter;

	while (seen < value &&
	       !atomic_compare_exchange_weak(counter, &seen, value))
		;
}

static bool read_counters(int fd, __u64 entry)
{
	struct share_slot *slot = &share->slots[ENTRY_SLOT(entry)];
	struct bpio_handle_info info;
	int i;

	if (slot->generation != ENTRY_GENERATION(entry) ||
	    bpio_handle_info(fd, &info))
		return false;
	raise_to(&slot->counters[SHARE_DIRECT_READS], info.direct_reads);
	raise_to(&slot->counters[SHARE_DIRECT_BYTES], info.direct_bytes);
	raise_to(&slot->counters[SHARE_FALLBACK_READS], info.fallback_reads);
	raise_to(&slot->counters[SHARE_FALLBACK_BYTES], info.fallback_bytes);
	for (i = 0; i < BPIO_REASON_SLOTS; i++)
		raise_to(&slot->counters[SHARE_BY_REASON + i],
			 info.fallback_reason[i]);
	slot->reported = 1;
	return true;
}

static __u64 entry_of(int fd)
{
	if (!share || fd < 0 || fd > highest)
		return 0;
	return table[fd];
}

static void set_entry(int fd, __u64 entry)
{
	int seen = highest;

	table[fd] = entry;
	while (seen < fd && !atomic_compare_exchange_weak(&highest, &seen, fd))
		;
}

void track_open(int fd)
{
	__u32 number;

	if (!track_share())
		return;
	share->handles++;
	if (fd >= (int)TABLE_SIZE || !take_slot(&number)) {
		share->untracked++;
		return;
	}
	set_entry(fd, ENTRY(share->slots[number].generation, number));
}

void track_read(int fd)
{
	__u64 entry = entry_of(fd);

	if (entry)
		read_counters(fd, entry);
}

void track_close(int fd)
{
	__u64 entry = entry_of(fd);

	if (!entry)
		return;
	read_counters(fd, entry);
	/* The memory of another process, which still has the descriptor */
	if (owner != getpid()) {
		share->slots[ENTRY_SLOT(entry)].shared = 1;
		return;
	}
	if (atomic_exchange(&table[fd], 0) == entry)
		give_back(entry);
}

void track_close_range(unsigned int first, unsigned int last)
{
	unsigned int fd;

	if (!share)
		return;
	for (fd = first; (int)fd <= highest && fd <= last; fd++)
		track_close(fd);
}

void track_dup(int fd, int copy)
{
	__u64 entry = entry_of(fd), replaced = entry_of(copy);

	if ((!entry && !replaced) || fd == copy || owner != getpid())
		return;
	if (entry)
		share->slots[ENTRY_SLOT(entry)].shared = 1;
	if (copy >= (int)TABLE_SIZE)
		return;
	set_entry(copy, entry);
	if (replaced)
		give_back(replaced);
}

void track_read_all(bool ending)
{
	int fd;

	if (!share)
		return;
	for (fd = 0; fd <= highest; fd++) {
		if (!table[fd])
			continue;
		if (ending && owner == getpid())
			track_close(fd);
		else
			track_read(fd);
	}
}
