// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "blocks.h"
#include "files.h"
#include "shares.h"
#include "spare.h"

bool shares_blocks(void)
{
	return !strcmp(stress.fs, "xfs") && !strstr(stress.mkfs, "reflink=0");
}

/*
 * Begin a change that leaves a copy of the first @blocks blocks of @file in @other, or
 * of fewer if there is less room. Blocks are counted as if none were shared, so that
 * there is room for them when they no longer are. Returns how many, or 0 without room.
 */
static unsigned int begin_copy(struct file *file, struct file *other,
			       unsigned int blocks)
{
	struct model *model = &other->model;

	if (!blocks)
		return 0;
	spare_give(shorten(other, 0, 1));
	blocks = spare_take(blocks);
	if (!blocks)
		return 0;
	model_begin(model);
	model_copy(model, &file->model, blocks);
	model_size(model, (uint64_t)blocks * BLOCK);
	model_go(model);
	return blocks;
}

static int clone_blocks(struct file *file, struct file *other,
			unsigned int blocks)
{
	struct file_clone_range range = {
		.src_length = (uint64_t)blocks * BLOCK,
	};
	int from = open_for_change(file, O_RDONLY);
	int to = open_for_change(other, O_WRONLY), ret;

	range.src_fd = from;
	ret = ioctl(to, FICLONERANGE, &range) ? -errno : 0;
	close(from);
	close(to);
	return ret;
}

bool share_by_clone(struct file *file, struct file *other)
{
	unsigned int blocks, i;

	blocks = begin_copy(file, other, first_blocks(file, BLOCKS));
	if (!blocks)
		return false;
	for (i = 0; i < blocks; i++)
		other->model.blocks[i].mapped = true;
	if (clone_blocks(file, other, blocks)) {
		spare_give(reset(other));
		return false;
	}
	model_done(&other->model);
	stress.counters.shares++;
	return true;
}

/* Both files are open for reading only. */
static int dedupe_blocks(struct file *file, struct file *other,
			 unsigned int blocks)
{
	int from = open_for_change(other, O_RDONLY);
	int to = open_for_change(file, O_RDONLY), ret;

	ret = file_dedupe(from, to, (uint64_t)blocks * BLOCK);
	close(from);
	close(to);
	return ret;
}

unsigned int share_by_dedupe(struct file *file, struct file *other,
			     struct dice *dice)
{
	unsigned int blocks, freed;

	(void)dice;
	blocks = begin_copy(file, other, first_blocks(file, BLOCKS / 2));
	if (!blocks)
		return 0;
	freed = store_blocks(other, 0, blocks, O_DIRECT);
	if (freed)
		return freed;
	if (ground_delay_ms(other) || dedupe_blocks(file, other, blocks))
		stress.counters.no_space++;
	/* @file then has the shared blocks to itself */
	freed = shorten(other, 0, 1);
	/* XFS reuses freed blocks only after its log is written */
	syncfs(file->fd);
	return freed;
}
