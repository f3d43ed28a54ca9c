// SPDX-License-Identifier: GPL-2.0-only
/*
 * The stack, and the thread that changes it:
 *
 *	file system, almost full
 *	stress		lines of bpio and bpio-striped in turn, like the segments of a
 *			logical volume; at times the stock linear and striped instead
 *	stress-upper	bpio-filter, at times linear
 *	stress-lower	bpio-filter, one line for each slice of it
 *	NVMe, at one of two places, or "delay" on it: stress-slow, stress-slower
 *
 * Because of the delays, reads are in flight while something changes. A slice is
 * moved to its other place while stress-lower is suspended, and its former place is
 * overwritten.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "control.h"
#include "mapper.h"
#include "stress.h"

#define SLICE		MIB_SECTORS(2)
#define MOST_SLICES	160
#define MOST_SEGMENTS	64
/* Chunk size of the stripes, in sectors. */
#define CHUNK		16
#define PLACE_A		2048
/* Room for the extent maps of files when extents are split. */
#define SPARE_BYTES	(512 * 1024)
/* As few allocation groups as possible, without blocks reserved for more inodes. */
#define MKFS_XFS_STRESS	MKFS_XFS " -d agcount=2 -m finobt=0,rmapbt=0"
/* The file number in the sectors that a slice has left; no file has it. */
#define POISON		0xdeadu

enum speed { FAST, SLOW, SLOWER, SPEEDS };

/* Delays of reads; writes are not delayed. */
static const unsigned int delays_ms[SPEEDS] = { 0, 60, 300 };

static struct {
	uint64_t		sectors;
	unsigned int		segment;	/* sectors of one segment of the volume */
	unsigned int		segments;
	unsigned int		slices;
	bool			elsewhere[MOST_SLICES];
	atomic_int		speed[MOST_SLICES];	/* enum speed */
	int			nvme;
} ground = { .nvme = -1 };

static bool on_xfs(void)
{
	return !strcmp(stress.fs, "xfs");
}

static enum speed choose_speed(struct dice *dice)
{
	/* deduplication on XFS compares page by page, and needs fast slices */
	unsigned int fast = on_xfs() ? 65 : 40;
	unsigned int n = roll(dice, 100);

	return n < fast ? FAST : n < fast + 15 ? SLOW : SLOWER;
}

static uint64_t place(unsigned int slice, bool elsewhere)
{
	return PLACE_A + (elsewhere ? ground.sectors : 0) + slice * SLICE;
}

static const char *speed_name(enum speed speed)
{
	return speed == SLOW ? "stress-slow" : "stress-slower";
}

/* Where a slice lies: on the NVMe device itself or on a slow device. */
static void slice_params(unsigned int slice, char *params, size_t size)
{
	enum speed speed = ground.speed[slice];
	uint64_t start = place(slice, ground.elsewhere[slice]);

	dm_params(params, size, "bpio-filter",
		  speed == FAST ? stress.nvme : dm_node(speed_name(speed)),
		  start, "");
}

static int lower_load(bool create)
{
	static char params[MOST_SLICES][96];
	static struct dm_line lines[MOST_SLICES];
	unsigned int i;

	for (i = 0; i < ground.slices; i++) {
		slice_params(i, params[i], sizeof(params[i]));
		lines[i] = (struct dm_line) {
			.start = i * SLICE, .sectors = SLICE,
			.type = "bpio-filter", .params = params[i],
		};
	}
	return create ? dm_create("stress-lower", lines, ground.slices, false) :
			dm_reload_unseen("stress-lower", lines,
					 ground.slices);
}

/* Load a table of one line: @type on @below. */
static int load_one(const char *name, const char *type, const char *below)
{
	char params[128];
	struct dm_line line = {
		.sectors = ground.sectors, .type = type, .params = params,
	};

	return dm_params(params, sizeof(params), type, dm_node(below), 0, "") ?:
	       dm_reload_unseen(name, &line, 1);
}

/* Where a segment of the volume lies below: each kind lies there in reverse order. */
static unsigned int segment_below(unsigned int segment)
{
	unsigned int last = ground.segments - 1;

	return segment % 2 ? last - !(last % 2) + 1 - segment :
			     last - last % 2 - segment;
}

/*
 * The segments are linear and striped in turn; a striped one lies on halves of two
 * places. They are short, so that files have blocks in several, but not so many that
 * a reload is slow.
 */
static void volume_lines(struct dm_line lines[MOST_SEGMENTS], bool stock)
{
	static char params[MOST_SEGMENTS][128];
	const char *upper = dm_node("stress-upper");
	unsigned int i;

	for (i = 0; i < ground.segments; i++) {
		unsigned int first = i * ground.segment;
		unsigned int below = segment_below(i) * ground.segment;
		bool striped = i % 2;

		if (striped)
			snprintf(params[i], sizeof(params[i]), "2 %u %s %u %s %u",
				 CHUNK, upper, first, upper,
				 below + ground.segment / 2);
		else
			snprintf(params[i], sizeof(params[i]), "%s %u", upper,
				 below);
		lines[i] = (struct dm_line) {
			.start = first, .sectors = ground.segment,
			.type = stock ? striped ? "striped" : "linear" :
				striped ? "bpio-striped" : "bpio",
			.params = params[i],
		};
	}
}

static int ground_create_volume(void)
{
	struct dm_line lines[MOST_SEGMENTS];

	volume_lines(lines, false);
	return volume_create_lines(&stress.volume, "stress", lines,
				   ground.segments);
}

static int load_volume(bool stock)
{
	struct dm_line lines[MOST_SEGMENTS];

	volume_lines(lines, stock);
	return dm_reload_unseen("stress", lines, ground.segments);
}

/* Where a sector of the volume lies below it. */
static uint64_t sector_below(uint64_t sector)
{
	unsigned int segment = sector / ground.segment;
	unsigned int offset = sector % ground.segment, chunk = offset / CHUNK;
	unsigned int on_leg = chunk / 2 * CHUNK + offset % CHUNK;
	uint64_t below = (uint64_t)segment_below(segment) * ground.segment;

	if (!(segment % 2))
		return below + offset;
	return chunk % 2 ? below + ground.segment / 2 + on_leg :
			   (uint64_t)segment * ground.segment + on_leg;
}

static int upper_load(const char *type)
{
	return load_one("stress-upper", type, "stress-lower");
}

static int slow_create(enum speed speed)
{
	return dm_slow_reads(speed_name(speed), stress.nvme, 0,
			     PLACE_A + 2 * ground.sectors, delays_ms[speed],
			     true);
}

int ground_create(void)
{
	bool xfs = on_xfs();
	char mkfs[256];
	int ret;

	snprintf(mkfs, sizeof(mkfs), "%s %s", xfs ? MKFS_XFS_STRESS :
		 MKFS_EXT4 " -O ^has_journal", stress.mkfs);
	ground.sectors = MIB_SECTORS(xfs ? XFS_MIB : 64);
	ground.slices = ground.sectors / SLICE;
	ground.segment = xfs ? MIB_SECTORS(6) : MIB_SECTORS(4);
	ground.segments = ground.sectors / ground.segment;
	ground.nvme = open(stress.nvme, O_RDWR | O_DIRECT | O_CLOEXEC);
	stress.node = node_open();
	if (ground.nvme < 0 || stress.node < 0)
		return -EIO;
	ret = module_load("dm-bpio-filter") ?: slow_create(SLOW) ?:
	      slow_create(SLOWER) ?: lower_load(true) ?:
	      dm_create_one("stress-upper", "bpio-filter",
			    dm_node("stress-lower"), 0, ground.sectors, "") ?:
	      ground_create_volume() ?:
	      volume_format(&stress.volume, mkfs) ?:
	      volume_mount(&stress.volume, stress.fs, "");
	/* leave room for what the files may have together, and very little more */
	return ret ?: volume_fill_up(&stress.volume, SPARE_BYTES +
				     (FILES - SPARE_FILES) * FILE_BYTES);
}

int ground_slow_down(void)
{
	struct dice dice;
	unsigned int i;

	dice_init(&dice, "ground");
	for (i = 0; i < ground.slices; i++)
		ground.speed[i] = choose_speed(&dice);
	return lower_load(false);
}

int ground_remove(void)
{
	unsigned int i;
	int ret;

	for (i = 0; i < ground.slices; i++)
		ground.speed[i] = FAST;
	ret = lower_load(false) ?: volume_remove(&stress.volume);

	close(ground.nvme);
	close(stress.node);
	return ret ?: dm_remove("stress-upper") ?: dm_remove("stress-lower") ?:
	       dm_remove("stress-slow") ?: dm_remove("stress-slower");
}

/* A slice in which the file has data, or any slice if it has none. */
static unsigned int slice_of_file(const struct file *file, unsigned int random)
{
	struct {
		struct fiemap map;
		struct fiemap_extent extent[8];
	} query = {
		.map.fm_length = FIEMAP_MAX_OFFSET,
		.map.fm_extent_count = 8,
	};
	unsigned int slice = random % ground.slices, count = 0;

	if (!ioctl(file->fd, FS_IOC_FIEMAP, &query))
		count = query.map.fm_mapped_extents;
	if (count)
		slice = sector_below(query.extent[random % count].fe_physical /
				     512) / SLICE;
	return slice < ground.slices ? slice : 0;
}

unsigned int ground_delay_ms(const struct file *file)
{
	return delays_ms[ground.speed[slice_of_file(file, 0)]];
}

/* Poison the old place first: a late read then gets wrong data as early as possible. */
static int move_data(unsigned int slice, bool elsewhere)
{
	size_t bytes = SLICE * 512;
	off_t from = place(slice, !elsewhere) * 512;
	off_t to = place(slice, elsewhere) * 512;
	char *data = dio_alloc(bytes), *poison = dio_alloc(bytes);
	bool ok;

	content_fill(poison, bytes, POISON, 0, 1);
	ok = pread(ground.nvme, data, bytes, from) == (ssize_t)bytes &&
	     pwrite(ground.nvme, poison, bytes, from) == (ssize_t)bytes &&
	     pwrite(ground.nvme, data, bytes, to) == (ssize_t)bytes;
	free(data);
	free(poison);
	return ok ? 0 : -EIO;
}

static int move_slice(struct dice *dice)
{
	struct file *file = file_for_changer(dice);
	unsigned int slice = slice_of_file(file, roll(dice, 1u << 30));
	int ret;

	/* before the suspend: its close may wait for reads that wait for the resume */
	file_put(file);
	ret = dm_suspend("stress-lower");
	if (ret)
		return ret;
	ground.elsewhere[slice] = !ground.elsewhere[slice];
	ground.speed[slice] = choose_speed(dice);
	ret = move_data(slice, ground.elsewhere[slice]) ?: lower_load(false);
	stress.counters.moves++;
	stress.counters.suspends++;
	stress.counters.reloads++;
	return ret;
}

static int suspend_one(struct dice *dice)
{
	static const char *const names[] = {
		"stress", "stress-upper", "stress-lower", "stress-slow",
		"stress-slower",
	};
	const char *name = names[roll(dice, 5)];
	int ret = roll(dice, 2) ? dm_suspend(name) :
		  shell("dmsetup suspend --noflush --nolockfs " DM_PREFIX "%s",
			name);

	stress.counters.suspends++;
	rest(roll(dice, 100));
	return ret ?: dm_resume_unseen(name);
}

static int reload_one(struct dice *dice)
{
	unsigned int slice = roll(dice, ground.slices);

	stress.counters.reloads++;
	switch (roll(dice, 4)) {
	case 0:
		if (roll(dice, 2))
			return load_volume(false);
		stress.counters.reloads++;
		return load_volume(true) ?: (rest(200), 0) ?:
		       load_volume(false);
	case 1:
		return upper_load("bpio-filter");
	case 2:
		stress.counters.reloads++;
		return upper_load("linear") ?: (rest(200), 0) ?:
		       upper_load("bpio-filter");
	default:
		ground.speed[slice] = choose_speed(dice);
		return lower_load(false);
	}
}

void *change_stack(void *name)
{
	struct dice dice;
	unsigned int n;
	int ret;

	dice_init(&dice, name);
	while (goes_on()) {
		n = roll(&dice, 8);
		ret = n < 4 ? move_slice(&dice) :
		      n < 6 ? suspend_one(&dice) : reload_one(&dice);
		if (ret)
			broken("the stack cannot be changed: %s",
			       strerror(ret < 0 ? -ret : EIO));
		rest(300 + stress.pace_ms + roll(&dice, 2 * stress.pace_ms));
	}
	return NULL;
}
