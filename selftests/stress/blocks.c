// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which file has which blocks. Almost all of the file system is in use, and blocks
 * that one file frees are given to another at once.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "blocks.h"
#include "spare.h"

unsigned int unmap(struct file *file, unsigned int first,
		   unsigned int count)
{
	unsigned int i, freed = 0;

	for (i = first; i < first + count; i++) {
		freed += file->model.blocks[i].mapped;
		file->model.blocks[i].mapped = false;
	}
	return freed;
}

unsigned int blocks_of(const struct file *file)
{
	return model_bytes(&file->model) / BLOCK;
}

bool some_blocks(struct file *file, struct dice *dice,
		 unsigned int *first, unsigned int *count)
{
	unsigned int blocks = blocks_of(file);

	if (!blocks)
		return false;
	*first = roll(dice, 2) ? 0 : roll(dice, blocks);
	*count = 1 + roll(dice, blocks - *first);
	return true;
}

unsigned int first_blocks(const struct file *file, unsigned int most)
{
	unsigned int delay = ground_delay_ms(file), blocks = 0;

	if (delay && most > 1000 / delay)
		most = 1000 / delay;
	while (blocks < most && file->model.blocks[blocks].mapped)
		blocks++;
	return blocks;
}

unsigned int reset(struct file *file)
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

int open_for_change(struct file *file, int flags)
{
	int fd = open(file->path, flags | O_CLOEXEC);

	if (fd < 0)
		broken("open of %s: %s", file->path, strerror(errno));
	return fd;
}

/* The bytes that these blocks hold according to the model. */
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

unsigned int store_blocks(struct file *file, unsigned int first,
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
	/* callers map only blocks that exist: others would raise SIGBUS */
	fd = open_for_change(file, how == MAP_SHARED ? O_RDWR : O_WRONLY | how);
	n = fd < 0 ? -1 : how == MAP_SHARED ?
	    (faults_write(fd, buffer, bytes, offset) ? -1 : (ssize_t)bytes) :
	    pwrite(fd, buffer, bytes, offset);
	close(fd);
	free(buffer);
	if (n != (ssize_t)bytes)
		return reset(file);
	model_done(&file->model);
	return 0;
}

unsigned int write_blocks(struct file *file, unsigned int first,
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

unsigned int fill_gap(struct file *file, unsigned int count, int how)
{
	unsigned int first = 0, length = 0;

	while (first < BLOCKS && file->model.blocks[first].mapped)
		first++;
	while (first + length < BLOCKS && length < count &&
	       !file->model.blocks[first + length].mapped)
		length++;
	length = spare_take(length);
	if (length)
		spare_give(write_blocks(file, first, length, how));
	return length;
}

void refill(struct file *victim, struct dice *dice, unsigned int freed)
{
	unsigned int tries = 2 * FILES;

	spare_give(freed);
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

unsigned int shorten(struct file *file, unsigned int blocks, int how)
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

void fill_all(void)
{
	unsigned int i;

	spare_give((FILES - SPARE_FILES) * BLOCKS);
	for (i = 0; i < FILES; i++) {
		fill_gap(stress.slots[i], BLOCKS, O_DIRECT);
		file_enable(stress.slots[i]);
	}
}
