// SPDX-License-Identifier: GPL-2.0-only
/*
 * Those who change files. Almost all of the file system is in use, and who frees
 * blocks lets another file have them at once.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stress.h"

/* Of ext4, which exports it in no header. */
struct move_extent {
	uint32_t	reserved;
	uint32_t	donor_fd;
	uint64_t	orig_start;
	uint64_t	donor_start;
	uint64_t	len;
	uint64_t	moved_len;
};

#define EXT4_IOC_MOVE_EXT	_IOWR('f', 15, struct move_extent)

/* Blocks that no file has, of those that the files may share. */
static atomic_int spare;

void spare_give(unsigned int blocks)
{
	spare += blocks;
}

static unsigned int spare_take(unsigned int blocks)
{
	int left = spare, take;

	do {
		take = left < (int)blocks ? left : (int)blocks;
		if (take <= 0)
			return 0;
	} while (!atomic_compare_exchange_weak(&spare, &left, left - take));
	return take;
}

/* Blocks of a range are the file's, or are not any more; returns how many. */
static unsigned int unmap(struct file *file, unsigned int first,
			  unsigned int count)
{
	unsigned int i, freed = 0;

	for (i = first; i < first + count; i++) {
		freed += file->model.blocks[i].mapped;
		file->model.blocks[i].mapped = false;
	}
	return freed;
}

static unsigned int blocks_of(const struct file *file)
{
	return model_bytes(&file->model) / BLOCK;
}

/* Some of the file's blocks; false when it is empty. */
static bool some_blocks(struct file *file, struct dice *dice,
			unsigned int *first, unsigned int *count)
{
	unsigned int blocks = blocks_of(file);

	if (!blocks)
		return false;
	*first = roll(dice, 2) ? 0 : roll(dice, blocks);
	*count = 1 + roll(dice, blocks - *first);
	return true;
}

/* The way back when nobody knows what the file holds. */
static unsigned int reset(struct file *file)
{
	stress.counters.no_space++;
	if (truncate(file->path, 0)) {
		broken("truncate of %s: %s", file->path, strerror(errno));
		return 0;
	}
	model_begin(&file->model);
	model_zero(&file->model, 0, BLOCKS);
	model_size(&file->model, 0);
	model_go(&file->model);
	model_done(&file->model);
	return unmap(file, 0, BLOCKS);
}

static int open_for_change(struct file *file, int flags)
{
	int fd = open(file->path, flags | O_CLOEXEC);

	if (fd < 0)
		broken("open of %s: %s", file->path, strerror(errno));
	return fd;
}

/* Through a shared mapping; the file is long enough. */
static int write_mapped(int fd, const char *buffer, size_t bytes, off_t offset)
{
	char *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			 offset);

	if (map == MAP_FAILED)
		return -errno;
	memcpy(map, buffer, bytes);
	return munmap(map, bytes);
}

/* What the model says these blocks hold. */
static char *content_of(struct file *file, unsigned int first,
			unsigned int count)
{
	char *buffer = dio_alloc((size_t)count * BLOCK);
	unsigned int i;

	for (i = 0; i < count; i++) {
		const struct content_sector *now =
			model_block(&file->model, first + i);

		if (now->file)
			content_fill(buffer + i * BLOCK, BLOCK, now->file,
				     now->offset, now->generation);
		else
			memset(buffer + i * BLOCK, 0, BLOCK);
	}
	return buffer;
}

/* Returns blocks that were freed because there was no room. */
static unsigned int store_blocks(struct file *file, unsigned int first,
				 unsigned int count, int how)
{
	size_t bytes = (size_t)count * BLOCK;
	off_t offset = (off_t)first * BLOCK;
	char *buffer = content_of(file, first, count);
	unsigned int i;
	ssize_t n;
	int fd;

	for (i = first; i < first + count; i++)
		file->model.blocks[i].mapped = true;
	/* a mapping is for blocks that are there: else there is a signal */
	fd = open_for_change(file, how == MAP_SHARED ? O_RDWR : O_WRONLY | how);
	n = fd < 0 ? -1 : how == MAP_SHARED ?
	    (write_mapped(fd, buffer, bytes, offset) ? -1 : (ssize_t)bytes) :
	    pwrite(fd, buffer, bytes, offset);
	close(fd);
	free(buffer);
	if (n != (ssize_t)bytes)
		return reset(file);
	model_done(&file->model);
	return 0;
}

/*
 * Write blocks that are the file's, or will be; they are taken from what is
 * spare.
 */
static unsigned int write_blocks(struct file *file, unsigned int first,
				 unsigned int count, int how)
{
	struct model *model = &file->model;
	uint64_t end = (uint64_t)(first + count) * BLOCK;

	model_begin(model);
	model_write(model, first, count);
	if (end > model_bytes(model))
		model_size(model, end);
	model_go(model);
	return store_blocks(file, first, count, how);
}

/*
 * Into the first gap that @file has: at most @count blocks, that are spare.
 * Returns how many.
 */
static unsigned int fill_gap(struct file *file, unsigned int count, int how)
{
	unsigned int first = 0, length = 0;

	while (first < BLOCKS && file->model.blocks[first].mapped)
		first++;
	while (first + length < BLOCKS && length < count &&
	       !file->model.blocks[first + length].mapped)
		length++;
	length = spare_take(length);
	if (length)
		spare += write_blocks(file, first, length, how);
	return length;
}

/* @freed blocks that were @victim's: another file gets them now. */
static void refill(struct file *victim, struct dice *dice, unsigned int freed)
{
	unsigned int tries = 2 * FILES;

	spare += freed;
	while (freed && tries-- && goes_on()) {
		struct file *file = file_get(roll(dice, FILES));

		if (file != victim && !pthread_mutex_trylock(&file->change)) {
			freed -= fill_gap(file, freed, O_DIRECT);
			file->changed_at = now_ms();
			stress.counters.refills++;
			pthread_mutex_unlock(&file->change);
		}
		file_put(file);
	}
}

static unsigned int overwrite(struct file *file, struct dice *dice, int how)
{
	unsigned int first, count, i = 0;

	if (!some_blocks(file, dice, &first, &count))
		return 0;
	while (i < count && file->model.blocks[first + i].mapped)
		i++;
	return i ? write_blocks(file, first, i, how) : 0;
}

static unsigned int overwrite_buffered(struct file *file, struct dice *dice)
{
	return overwrite(file, dice, 0);
}

static unsigned int overwrite_direct(struct file *file, struct dice *dice)
{
	return overwrite(file, dice, O_DIRECT);
}

static unsigned int overwrite_mapped(struct file *file, struct dice *dice)
{
	return overwrite(file, dice, MAP_SHARED);
}

static unsigned int overwrite_synced(struct file *file, struct dice *dice)
{
	return overwrite(file, dice, O_DSYNC);
}

static unsigned int grow(struct file *file, struct dice *dice)
{
	fill_gap(file, 1 + roll(dice, BLOCKS), roll(dice, 2) ? O_DIRECT : 0);
	return 0;
}

/* The file ends at block @blocks from now on, by @how of the three ways. */
static unsigned int shorten(struct file *file, unsigned int blocks, int how)
{
	struct model *model = &file->model;
	off_t bytes = (off_t)blocks * BLOCK;
	int fd, ret;

	model_begin(model);
	model_zero(model, blocks, BLOCKS - blocks);
	model_size(model, bytes);
	model_go(model);
	if (how == O_TRUNC) {
		fd = open_for_change(file, O_RDONLY | O_TRUNC);
		ret = fd < 0 ? -1 : close(fd);
	} else if (how) {
		ret = truncate(file->path, bytes);
	} else {
		fd = open_for_change(file, O_WRONLY);
		ret = ftruncate(fd, bytes);
		close(fd);
	}
	if (ret)
		return reset(file);
	model_done(model);
	return unmap(file, blocks, BLOCKS - blocks);
}

static unsigned int empty(struct file *file, struct dice *dice)
{
	return shorten(file, 0, roll(dice, 2));
}

/*
 * A truncation waits for the reads in flight, then for page faults, and only then
 * makes the file short. Between the two waits, which may be long on a slow device,
 * nothing but a lease that was broken keeps reads from beginning.
 */
static unsigned int empty_by_open(struct file *file, struct dice *dice)
{
	unsigned int freed;

	(void)dice;
	faults_hunt(file);
	rest(10);
	freed = shorten(file, 0, O_TRUNC);
	faults_hunt(NULL);
	return freed;
}

static unsigned int cut_off(struct file *file, struct dice *dice)
{
	return shorten(file, roll(dice, blocks_of(file) + 1), roll(dice, 2));
}

/* Longer, by a hole. */
static unsigned int stretch(struct file *file, struct dice *dice)
{
	unsigned int blocks = blocks_of(file);

	if (blocks == BLOCKS)
		return 0;
	model_begin(&file->model);
	blocks += 1 + roll(dice, BLOCKS - blocks);
	model_size(&file->model, (uint64_t)blocks * BLOCK);
	model_go(&file->model);
	if (truncate(file->path, (off_t)blocks * BLOCK))
		return reset(file);
	model_done(&file->model);
	return 0;
}

static int do_fallocate(struct file *file, int mode, unsigned int first,
			unsigned int count)
{
	int fd = open_for_change(file, O_RDWR), ret;

	if (fd < 0)
		return -1;
	ret = fallocate(fd, mode, (off_t)first * BLOCK, (off_t)count * BLOCK);
	close(fd);
	return ret;
}

static unsigned int punch_by(struct file *file, struct dice *dice, int fd)
{
	unsigned int first, count;

	if (!some_blocks(file, dice, &first, &count))
		return 0;
	model_begin(&file->model);
	model_zero(&file->model, first, count);
	model_go(&file->model);
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		      (off_t)first * BLOCK, (off_t)count * BLOCK))
		return reset(file);
	model_done(&file->model);
	return unmap(file, first, count);
}

static unsigned int punch(struct file *file, struct dice *dice)
{
	int fd = open_for_change(file, O_RDWR);
	unsigned int freed = punch_by(file, dice, fd);

	close(fd);
	return freed;
}

/* XFS may do it by other blocks than were there. */
static unsigned int zero(struct file *file, struct dice *dice)
{
	unsigned int first, count, i = 0;

	if (!some_blocks(file, dice, &first, &count))
		return 0;
	while (i < count && file->model.blocks[first + i].mapped)
		i++;
	if (!i)
		return 0;
	model_begin(&file->model);
	model_zero(&file->model, first, i);
	model_go(&file->model);
	if (do_fallocate(file, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, first,
			 i))
		return reset(file);
	model_done(&file->model);
	return 0;
}

static unsigned int collapse(struct file *file, struct dice *dice)
{
	unsigned int first, count, blocks = blocks_of(file), freed, i;
	struct model *model = &file->model;

	if (!some_blocks(file, dice, &first, &count) || first + count >= blocks)
		return 0;
	model_begin(model);
	model_move(model, first, first + count, blocks - first - count);
	model_zero(model, blocks - count, count);
	model_size(model, (uint64_t)(blocks - count) * BLOCK);
	model_go(model);
	if (do_fallocate(file, FALLOC_FL_COLLAPSE_RANGE, first, count))
		return reset(file);
	model_done(model);
	freed = unmap(file, first, count);
	for (i = first; i + count < blocks; i++)
		model->blocks[i].mapped = model->blocks[i + count].mapped;
	for (; i < blocks; i++)
		model->blocks[i].mapped = false;
	return freed;
}

static unsigned int insert(struct file *file, struct dice *dice)
{
	unsigned int first, count, blocks = blocks_of(file), i;
	struct model *model = &file->model;

	if (!blocks || blocks == BLOCKS)
		return 0;
	first = roll(dice, blocks);
	count = 1 + roll(dice, BLOCKS - blocks);
	model_begin(model);
	model_move(model, first + count, first, blocks - first);
	model_zero(model, first, count);
	model_size(model, (uint64_t)(blocks + count) * BLOCK);
	model_go(model);
	for (i = blocks; i-- > first; )
		model->blocks[i + count].mapped = model->blocks[i].mapped;
	for (i = first; i < first + count; i++)
		model->blocks[i].mapped = false;
	if (do_fallocate(file, FALLOC_FL_INSERT_RANGE, first, count))
		return reset(file);
	model_done(model);
	return 0;
}

/* Names and attributes; the content stays. */
static unsigned int rename_it(struct file *file, struct dice *dice)
{
	char other[160];
	int ret;

	snprintf(other, sizeof(other), "%s.other", file->path);
	switch (roll(dice, 3)) {
	case 0:
		ret = rename(file->path, other) ?: rename(other, file->path);
		break;
	case 1:
		ret = link(file->path, other) ?: unlink(other);
		break;
	default:
		ret = chmod(file->path, 0640) ?: chmod(file->path, 0600);
	}
	if (ret)
		broken("rename of %s: %s", file->path, strerror(errno));
	return 0;
}

/*
 * The last name goes; readers of the handle go on with what is there until they
 * have given it up.
 */
static unsigned int recreate(struct file *file, struct dice *dice)
{
	struct file *new = file_new(file->slot);

	(void)dice;
	if (!new) {
		broken("no memory");
		return 0;
	}
	fill_gap(new, BLOCKS / 8, O_DIRECT);
	file_enable(new);
	if (unlink(file->path))
		broken("unlink of %s: %s", file->path, strerror(errno));
	file->orphaned = unmap(file, 0, BLOCKS);
	file_replace(file, new);
	return 0;
}

/* A writer that stays for a while before it changes something. */
static unsigned int linger(struct file *file, struct dice *dice)
{
	int fd = open_for_change(file, O_RDWR);
	unsigned int freed;

	rest(200 + roll(dice, 400));
	freed = punch_by(file, dice, fd);
	close(fd);
	return freed;
}

/*
 * Into the cache, in long reads: what the kernel does page by page would take for
 * ever on a slow device, with the file locked.
 */
static void prefetch(int fd, unsigned int blocks)
{
	size_t bytes = (size_t)blocks * BLOCK;
	char *buffer = malloc(bytes);

	posix_fadvise(fd, 0, bytes, POSIX_FADV_SEQUENTIAL);
	if (pread(fd, buffer, bytes, 0) != (ssize_t)bytes)
		stress.counters.no_space++;
	free(buffer);
}

/* Defragmentation: the same bytes from other blocks, and the old ones go. */
static unsigned int move_extents(struct file *file, struct dice *dice)
{
	struct move_extent move = { 0 };
	unsigned int blocks = 0;
	char donor[160];
	int fd, donor_fd, ret;

	while (blocks < BLOCKS && file->model.blocks[blocks].mapped)
		blocks++;
	blocks = blocks ? spare_take(1 + roll(dice, blocks)) : 0;
	if (!blocks)
		return 0;
	snprintf(donor, sizeof(donor), "%s.donor", file->path);
	fd = open_for_change(file, O_RDWR);
	donor_fd = open(donor, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	prefetch(fd, blocks);
	move.donor_fd = donor_fd;
	move.len = blocks;
	ret = fallocate(donor_fd, 0, 0, (off_t)blocks * BLOCK) ?:
	      ioctl(fd, EXT4_IOC_MOVE_EXT, &move);
	if (ret)
		stress.counters.no_space++;
	close(fd);
	close(donor_fd);
	unlink(donor);
	return blocks;
}

/*
 * The file's blocks are given back in favour of those of a copy, on behalf of
 * somebody who has it open for reading only.
 */
static int share_blocks(struct file *file, struct file *copy,
			unsigned int blocks)
{
	struct {
		struct file_dedupe_range	range;
		struct file_dedupe_range_info	info;
	} dedupe = {
		.range.src_length = (uint64_t)blocks * BLOCK,
		.range.dest_count = 1,
	};
	int from = open_for_change(copy, O_RDONLY);
	int to = open_for_change(file, O_RDONLY), ret;

	prefetch(from, blocks);
	prefetch(to, blocks);
	dedupe.info.dest_fd = to;
	ret = ioctl(from, FIDEDUPERANGE, &dedupe);
	close(from);
	close(to);
	return ret ?: dedupe.info.status;
}

static unsigned int dedupe_with(struct file *file, struct file *copy,
				unsigned int blocks)
{
	struct model *model = &copy->model;
	unsigned int freed;

	/* a copy that is not there yet */
	freed = shorten(copy, 0, 1);
	spare += freed;
	blocks = spare_take(blocks);
	if (!blocks)
		return 0;
	model_begin(model);
	model_copy(model, &file->model, blocks);
	model_size(model, (uint64_t)blocks * BLOCK);
	model_go(model);
	freed = store_blocks(copy, 0, blocks, O_DIRECT);
	if (freed)
		return freed;
	if (share_blocks(file, copy, blocks))
		stress.counters.no_space++;
	/* what the copy had is the file's alone now */
	return shorten(copy, 0, 1);
}

static unsigned int dedupe(struct file *file, struct dice *dice)
{
	unsigned int blocks = 0, freed = 0, tries = FILES;

	while (blocks < BLOCKS && file->model.blocks[blocks].mapped)
		blocks++;
	while (blocks && tries--) {
		struct file *copy = file_get(roll(dice, FILES));

		if (copy != file && !pthread_mutex_trylock(&copy->change)) {
			freed = dedupe_with(file, copy, blocks);
			copy->changed_at = now_ms();
			pthread_mutex_unlock(&copy->change);
			blocks = 0;
		}
		file_put(copy);
	}
	return freed;
}

/* In the beginning all that may be in use is. */
void fill_all(void)
{
	unsigned int i;

	spare += (FILES - SPARE_FILES) * BLOCKS;
	for (i = 0; i < FILES; i++) {
		fill_gap(stress.slots[i], BLOCKS, O_DIRECT);
		file_enable(stress.slots[i]);
	}
}

struct way {
	const char	*name;
	unsigned int	weight;
	unsigned int	(*run)(struct file *file, struct dice *dice);
	const char	*fs;
};

static const struct way ways[] = {
	{ "overwrite_buffered", 4, overwrite_buffered, NULL },
	{ "overwrite_direct", 4, overwrite_direct, NULL },
	{ "overwrite_mapped", 3, overwrite_mapped, NULL },
	{ "overwrite_synced", 2, overwrite_synced, NULL },
	{ "grow", 8, grow, NULL },
	{ "empty", 6, empty, NULL },
	{ "empty_by_open", 8, empty_by_open, NULL },
	{ "cut_off", 4, cut_off, NULL },
	{ "stretch", 1, stretch, NULL },
	{ "punch", 6, punch, NULL },
	{ "zero", 2, zero, NULL },
	{ "collapse", 4, collapse, NULL },
	{ "insert", 1, insert, NULL },
	{ "rename", 2, rename_it, NULL },
	{ "recreate", 4, recreate, NULL },
	{ "linger", 3, linger, NULL },
	{ "move_extents", 6, move_extents, "ext4" },
	{ "dedupe", 6, dedupe, "xfs" },
};

static const struct way *choose_way(struct dice *dice)
{
	unsigned int total = 0, i, n;

	for (i = 0; i < sizeof(ways) / sizeof(*ways); i++)
		if (!ways[i].fs || !strcmp(ways[i].fs, stress.fs))
			total += ways[i].weight;
	n = roll(dice, total);
	for (i = 0; ; i++) {
		if (ways[i].fs && strcmp(ways[i].fs, stress.fs))
			continue;
		if (n < ways[i].weight)
			return &ways[i];
		n -= ways[i].weight;
	}
}

void *change_files(void *name)
{
	struct dice dice;

	dice_init(&dice, name);
	while (goes_on()) {
		struct file *file = file_for_changer(&dice);

		if (!pthread_mutex_trylock(&file->change)) {
			const struct way *way = choose_way(&dice);
			unsigned int freed;

			/* it was replaced before it was locked */
			if (access(file->path, F_OK)) {
				pthread_mutex_unlock(&file->change);
				file_put(file);
				continue;
			}
			freed = way->run(file, &dice);
			refill(file, &dice, freed);
			file->changed_at = now_ms();
			stress.counters.changes++;
			pthread_mutex_unlock(&file->change);
		}
		file_put(file);
		rest(stress.pace_ms / 2 + roll(&dice, stress.pace_ms));
	}
	return NULL;
}
