// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control.h"
#include "spare.h"
#include "stress.h"

/* How long to wait for the end of reads in flight, and to start new ones. */
#define CHASE_WAIT_MS	600
#define CHASE_MS	100

static atomic_uint next_id = 1;

/* Retry while the volume is suspended or has a table of stock targets. */
static int enable(int fd)
{
	uint64_t deadline = now_ms() + DEADLINE_MS;
	int ret;

	pthread_mutex_lock(&stress.policy);
	do
		ret = fs_enable(stress.node, fd);
	while ((ret == -EAGAIN || ret == -ENXIO) && poll_again(deadline));
	pthread_mutex_unlock(&stress.policy);
	return ret;
}

struct file *file_new(unsigned int slot)
{
	struct file *file = calloc(1, sizeof(*file));
	int fd;

	if (!file)
		return NULL;
	file->id = next_id++;
	file->slot = slot;
	file->holders = 1;
	file->changed_at = now_ms();
	model_init(&file->model, file->id);
	pthread_mutex_init(&file->change, NULL);
	snprintf(file->path, sizeof(file->path), "%s/%u", stress.volume.mount,
		 file->id);
	fd = open(file->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0) {
		if (errno != ENOSPC)
			broken("no new file %s: %s", file->path, strerror(errno));
		free(file);
		return NULL;
	}
	close(fd);
	file->fd = open(file->path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (file->fd < 0)
		broken("no new file %s: %s", file->path, strerror(errno));
	return file;
}

void file_enable(struct file *file)
{
	int ret = enable(file->fd);

	if (ret)
		broken("%s cannot be enabled: %s", file->path, strerror(-ret));
}

struct file *file_get(unsigned int slot)
{
	struct file *file;

	pthread_mutex_lock(&stress.slots_lock);
	file = stress.slots[slot];
	file->holders++;
	pthread_mutex_unlock(&stress.slots_lock);
	return file;
}

static void add_reads(const struct file *file, uint64_t *direct,
		      uint64_t *fallback, uint64_t reasons[BPIO_REASON_SLOTS])
{
	struct bpio_file_info info;
	unsigned int i;

	if (file_info(file->fd, &info))
		return;
	*direct += info.direct_reads;
	*fallback += info.fallback_reads;
	for (i = 0; i < BPIO_REASON_SLOTS; i++)
		reasons[i] += info.fallback_reason[i];
}

void file_put(struct file *file)
{
	uint64_t direct = 0, fallback = 0, reasons[BPIO_REASON_SLOTS] = { 0 };
	unsigned int i;

	if (--file->holders)
		return;
	add_reads(file, &direct, &fallback, reasons);
	stress.counters.direct += direct;
	stress.counters.fallback += fallback;
	for (i = 0; i < BPIO_REASON_SLOTS; i++)
		stress.counters.reasons[i] += reasons[i];
	close(file->fd);
	spare_give(file->orphaned);
	free(file);
}

void file_replace(struct file *old, struct file *new)
{
	pthread_mutex_lock(&stress.slots_lock);
	stress.slots[old->slot] = new;
	pthread_mutex_unlock(&stress.slots_lock);
	file_put(old);
}

void reads_so_far(uint64_t *direct, uint64_t *fallback,
		  uint64_t reasons[BPIO_REASON_SLOTS])
{
	unsigned int i;

	*direct = stress.counters.direct;
	*fallback = stress.counters.fallback;
	for (i = 0; i < BPIO_REASON_SLOTS; i++)
		reasons[i] = stress.counters.reasons[i];
	for (i = 0; i < FILES; i++) {
		struct file *file = file_get(i);

		add_reads(file, direct, fallback, reasons);
		file_put(file);
	}
}

bool file_chase(struct file *file)
{
	struct chase *chase = &stress.chase;
	unsigned int tries = CHASE_WAIT_MS / 2;

	if (pthread_mutex_trylock(&chase->lock))
		return false;
	chase->from = UINT64_MAX;
	chase->slot = file->slot;
	while (file->in_flight && tries-- && goes_on())
		usleep(2000);
	return true;
}

void file_chase_from(unsigned int ms)
{
	stress.chase.from = now_ms() + ms;
}

void file_chase_end(void)
{
	stress.chase.slot = FILES;
	pthread_mutex_unlock(&stress.chase.lock);
}

/* A slot for a reader, but not one that must be left alone for now. */
static unsigned int slot_for_reader(struct dice *dice)
{
	const struct chase *chase = &stress.chase;
	unsigned int slot = roll(dice, FILES), chased = chase->slot;
	uint64_t from = chase->from, now = now_ms();

	if (chased == FILES)
		return slot;
	/* only for a while: a task that waits for all reads to end waits for these too */
	if (now >= from && now - from < CHASE_MS)
		return chased;
	return slot == chased ? (slot + 1) % FILES : slot;
}

/* Mostly the one of a few files whose last change is the oldest. */
struct file *file_for_reader(struct dice *dice)
{
	struct file *best = file_get(slot_for_reader(dice)), *file;
	unsigned int tries = roll(dice, 8) ? 4 : 1;

	while (tries-- && best->slot != stress.chase.slot) {
		file = file_get(slot_for_reader(dice));
		if (model_bytes(&file->model) &&
		    (file->changed_at < best->changed_at ||
		     !model_bytes(&best->model))) {
			file_put(best);
			best = file;
		} else {
			file_put(file);
		}
	}
	return best;
}

/* Mostly the one of a few files with most reads in flight: a mistake shows there. */
struct file *file_for_changer(struct dice *dice)
{
	struct file *best = file_get(roll(dice, FILES)), *file;
	unsigned int tries = roll(dice, 4) ? 4 : 0;

	while (tries--) {
		file = file_get(roll(dice, FILES));
		if (file->in_flight > best->in_flight) {
			file_put(best);
			best = file;
		} else {
			file_put(file);
		}
	}
	return best;
}
