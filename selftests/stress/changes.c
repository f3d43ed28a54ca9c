// SPDX-License-Identifier: GPL-2.0-only
/*
 * Threads that change files.
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

#include "blocks.h"
#include "files.h"
#include "shares.h"
#include "spare.h"

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

static unsigned int empty(struct file *file, struct dice *dice)
{
	return shorten(file, 0, roll(dice, 2));
}

/*
 * A truncation waits first for the reads in flight, then for page faults, and only
 * then shortens the file. The second wait may be long on a slow device, and during
 * it only the broken lease keeps new direct reads from starting. Start some then.
 */
static unsigned int empty_by_open(struct file *file, struct dice *dice)
{
	unsigned int freed;

	(void)dice;
	if (!file_chase(file))
		return shorten(file, 0, O_TRUNC);
	faults_hunt(file);
	rest(10);
	file_chase_from(15);
	freed = shorten(file, 0, O_TRUNC);
	faults_hunt(NULL);
	file_chase_end();
	return freed;
}

static unsigned int cut_off(struct file *file, struct dice *dice)
{
	return shorten(file, roll(dice, blocks_of(file) + 1), roll(dice, 2));
}

/* Extend the file by a hole. */
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

/* XFS may replace the blocks of the range by others. */
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

/* Change names and attributes, but not the content. */
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
	if (ret && errno == ENOSPC)
		stress.counters.no_space++;
	else if (ret)
		broken("rename of %s: %s", file->path, strerror(errno));
	return 0;
}

/*
 * Unlink a file and put a new one in its slot. Readers that hold the old one keep
 * reading its blocks until they put it.
 */
static unsigned int recreate(struct file *file, struct dice *dice)
{
	struct file *new = file_new(file->slot);

	(void)dice;
	if (!new) {
		stress.counters.no_space++;
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

/* Have the file open for writing for a while before changing it. */
static unsigned int linger(struct file *file, struct dice *dice)
{
	int fd = open_for_change(file, O_RDWR);
	unsigned int freed;

	rest(200 + roll(dice, 400));
	freed = punch_by(file, dice, fd);
	close(fd);
	return freed;
}

/* Empty the file while there is another lease, which O_RDONLY | O_TRUNC does not break. */
static unsigned int lease(struct file *file, struct dice *dice)
{
	int fd = open_for_change(file, O_RDONLY);
	unsigned int freed;

	if (fcntl(fd, F_SETLEASE, F_RDLCK) && errno != EAGAIN)
		broken("lease on %s: %s", file->path, strerror(errno));
	rest(roll(dice, 100));
	freed = empty_by_open(file, dice);
	close(fd);
	return freed;
}

/* Defragment: move the bytes to other blocks, and free the old ones. */
static unsigned int move_extents(struct file *file, struct dice *dice)
{
	struct move_extent move = { 0 };
	unsigned int blocks = first_blocks(file, BLOCKS / 16);
	char donor[160];
	int fd, donor_fd, ret;

	blocks = blocks ? spare_take(1 + roll(dice, blocks)) : 0;
	if (!blocks)
		return 0;
	snprintf(donor, sizeof(donor), "%s.donor", file->path);
	fd = open_for_change(file, O_RDWR);
	donor_fd = open(donor, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
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
 * Let @run change another file as well, whose change lock is held. Returns how many
 * blocks were freed.
 */
static unsigned int with_other(struct file *file, struct dice *dice,
			       unsigned int (*run)(struct file *file,
						   struct file *other,
						   struct dice *dice))
{
	unsigned int tries = FILES, freed = 0;
	bool done = false;

	while (!done && tries--) {
		struct file *other = file_get(roll(dice, FILES));

		if (other != file && !pthread_mutex_trylock(&other->change)) {
			done = !access(other->path, F_OK);
			freed = done ? run(file, other, dice) : 0;
			other->changed_at = now_ms();
			pthread_mutex_unlock(&other->change);
		}
		file_put(other);
	}
	return freed;
}

static unsigned int dedupe(struct file *file, struct dice *dice)
{
	return with_other(file, dice, share_by_dedupe);
}

static unsigned int unshare_blocks(struct file *file, struct dice *dice)
{
	unsigned int blocks = first_blocks(file, BLOCKS / 4);

	(void)dice;
	if (blocks && do_fallocate(file, FALLOC_FL_UNSHARE_RANGE, 0, blocks))
		stress.counters.no_space++;
	return 0;
}

/* A random change of one of two files that share blocks. */
static unsigned int change_shared(struct file *file, struct dice *dice)
{
	static unsigned int (*const ways[])(struct file *file,
					    struct dice *dice) = {
		overwrite_direct, overwrite_buffered, overwrite_mapped, punch,
		zero, collapse, insert, cut_off, empty, unshare_blocks,
		recreate,
	};

	return ways[roll(dice, sizeof(ways) / sizeof(*ways))](file, dice);
}

/*
 * Share blocks, change either file while both are read, then empty the other one. The
 * space that sharing saves stays free as long as this lasts, so keep it short.
 */
static unsigned int share_for_a_while(struct file *file, struct file *other,
				      struct dice *dice)
{
	unsigned int changes = 1 + roll(dice, 3);

	if (!share_by_clone(file, other))
		return 0;
	file->changed_at = now_ms();
	other->changed_at = now_ms();
	while (changes-- && goes_on()) {
		struct file *victim = roll(dice, 2) ? file : other;

		rest(100 + roll(dice, 300));
		if (!access(victim->path, F_OK))
			refill(victim, dice, change_shared(victim, dice));
	}
	rest(roll(dice, 300));
	return access(other->path, F_OK) ? 0 : shorten(other, 0, 1);
}

static unsigned int share(struct file *file, struct dice *dice)
{
	return shares_blocks() ? with_other(file, dice, share_for_a_while) : 0;
}

/* Change only a flag: ext4 then waits for reads in flight, with the file locked. */
static unsigned int set_flags(struct file *file, struct dice *dice)
{
	int fd = open_for_change(file, O_RDONLY), flags = 0, ret;

	ret = ioctl(fd, FS_IOC_GETFLAGS, &flags);
	flags |= FS_IMMUTABLE_FL;
	ret = ret ?: ioctl(fd, FS_IOC_SETFLAGS, &flags);
	rest(roll(dice, 50));
	flags &= ~FS_IMMUTABLE_FL;
	ret = ret ?: ioctl(fd, FS_IOC_SETFLAGS, &flags);
	if (ret)
		broken("flags of %s: %s", file->path, strerror(errno));
	close(fd);
	return 0;
}

/* Let XFS check the extent map, on kernels that can: it waits for reads, too. */
static unsigned int scrub(struct file *file, struct dice *dice)
{
	struct xfs_scrub check = { .type = XFS_SCRUB_DATA_FORK };
	int fd = open_for_change(file, O_RDONLY);

	(void)dice;
	if (!ioctl(fd, XFS_IOC_SCRUB_METADATA, &check) && check.flags)
		broken("XFS finds the map of %s wrong", file->path);
	close(fd);
	return 0;
}

struct way {
	const char	*name;
	unsigned int	weight;
	unsigned int	(*run)(struct file *file, struct dice *dice);
	const char	*fs;
	bool		moves_only;	/* does not change the bytes */
};

static const struct way ways[] = {
	{ "overwrite_buffered", 4, overwrite_buffered, NULL, false },
	{ "overwrite_direct", 4, overwrite_direct, NULL, false },
	{ "overwrite_mapped", 3, overwrite_mapped, NULL, false },
	{ "overwrite_synced", 2, overwrite_synced, NULL, false },
	{ "grow", 8, grow, NULL, false },
	{ "empty", 6, empty, NULL, false },
	{ "empty_by_open", 4, empty_by_open, NULL, false },
	{ "cut_off", 4, cut_off, NULL, false },
	{ "stretch", 1, stretch, NULL, false },
	{ "punch", 6, punch, NULL, false },
	{ "zero", 2, zero, NULL, false },
	{ "collapse", 4, collapse, NULL, false },
	{ "insert", 1, insert, NULL, false },
	{ "rename", 2, rename_it, NULL, false },
	{ "recreate", 4, recreate, NULL, false },
	{ "linger", 3, linger, NULL, false },
	{ "lease", 2, lease, NULL, false },
	{ "set_flags", 3, set_flags, NULL, false },
	{ "move_extents", 6, move_extents, "ext4", true },
	{ "dedupe", 20, dedupe, "xfs", true },
	{ "share", 8, share, "xfs", false },
	{ "scrub", 3, scrub, "xfs", false },
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

/* Change a file in @way, or in a random one if @way is NULL. */
static void change_one(struct file *file, const struct way *way,
		       struct dice *dice)
{
	unsigned int freed;

	if (pthread_mutex_trylock(&file->change))
		return;
	/* it may have been replaced before it was locked */
	if (!access(file->path, F_OK)) {
		way = way ?: choose_way(dice);
		freed = way->run(file, dice);
		refill(file, dice, freed);
		/* give readers time for wrong reads from the old blocks */
		if (way->moves_only)
			rest(500);
		file->changed_at = now_ms();
		stress.counters.changes++;
	}
	pthread_mutex_unlock(&file->change);
}

void *change_files(void *name)
{
	struct dice dice;

	dice_init(&dice, name);
	while (goes_on()) {
		struct file *file = file_for_changer(&dice);

		change_one(file, NULL, &dice);
		file_put(file);
		rest(stress.pace_ms / 4 + roll(&dice, stress.pace_ms / 4));
	}
	return NULL;
}

/* A delay that is long enough to give the freed blocks to another file. */
#define LONG_MS	200

/* If possible a large file on a slow device, for which a chase is worthwhile. */
static struct file *file_to_empty(struct dice *dice)
{
	unsigned int tries = 2 * FILES;
	struct file *file = file_get(roll(dice, FILES));

	while (tries-- && (blocks_of(file) < BLOCKS / 2 ||
			   ground_delay_ms(file) < LONG_MS)) {
		file_put(file);
		file = file_get(roll(dice, FILES));
	}
	return file;
}

void *change_by_open(void *name)
{
	static const struct way way = { .run = empty_by_open };
	struct dice dice;

	dice_init(&dice, name);
	while (goes_on()) {
		struct file *file = file_to_empty(&dice);

		change_one(file, &way, &dice);
		file_put(file);
		rest(300 + roll(&dice, stress.pace_ms));
	}
	return NULL;
}
