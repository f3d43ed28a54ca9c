// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "model.h"

#define SECTORS	(BLOCK / CONTENT_SECTOR)

void model_init(struct model *model, uint32_t file)
{
	unsigned int i;

	memset(model, 0, sizeof(*model));
	pthread_mutex_init(&model->lock, NULL);
	model->file = file;
	/* the size and all blocks are zero at first */
	for (i = 0; i < BLOCKS; i++)
		model->blocks[i].count = 1;
	model->size_count = 1;
}

void model_begin(struct model *model)
{
	pthread_mutex_lock(&model->lock);
	model->begun++;
}

void model_go(struct model *model)
{
	pthread_mutex_unlock(&model->lock);
}

void model_done(struct model *model)
{
	pthread_mutex_lock(&model->lock);
	model->done = model->begun;
	pthread_mutex_unlock(&model->lock);
}

static const struct version *block_last(const struct block *block)
{
	return &block->versions[(block->count - 1) % HISTORY];
}

static void block_push(struct model *model, unsigned int number,
		       struct content_sector first)
{
	struct block *block = &model->blocks[number];
	struct version *version;

	version = &block->versions[block->count++ % HISTORY];
	version->change = model->begun;
	version->first = first;
}

void model_write(struct model *model, unsigned int first, unsigned int count)
{
	unsigned int i;

	model->generation++;
	for (i = first; i < first + count; i++) {
		struct content_sector sector = {
			.file = model->file, .generation = model->generation,
			.offset = (uint64_t)i * BLOCK,
		};

		block_push(model, i, sector);
	}
}

void model_zero(struct model *model, unsigned int first, unsigned int count)
{
	struct content_sector zeroes = { 0 };
	unsigned int i;

	for (i = first; i < first + count; i++)
		if (block_last(&model->blocks[i])->first.file)
			block_push(model, i, zeroes);
}

void model_move(struct model *model, unsigned int to, unsigned int from,
		unsigned int count)
{
	struct content_sector moved[BLOCKS];
	unsigned int i;

	for (i = 0; i < count; i++)
		moved[i] = block_last(&model->blocks[from + i])->first;
	for (i = 0; i < count; i++)
		block_push(model, to + i, moved[i]);
}

void model_copy(struct model *model, const struct model *from,
		unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++)
		block_push(model, i, block_last(&from->blocks[i])->first);
}

void model_size(struct model *model, uint64_t bytes)
{
	struct size_version *size;

	size = &model->sizes[model->size_count++ % HISTORY];
	size->change = model->begun;
	size->bytes = bytes;
}

uint64_t model_bytes(const struct model *model)
{
	return model->sizes[(model->size_count - 1) % HISTORY].bytes;
}

const struct content_sector *model_block(const struct model *model,
					 unsigned int block)
{
	return &block_last(&model->blocks[block])->first;
}

/* Whether a wrong read would show: it has data, or had before the change in progress. */
static bool held_data(const struct model *model, unsigned int number)
{
	const struct block *block = &model->blocks[number];
	unsigned int i = block->count, kept = 0;

	while (i-- && kept++ < HISTORY) {
		const struct version *version = &block->versions[i % HISTORY];

		if (version->first.file)
			return true;
		if (version->change <= model->done)
			break;
	}
	return false;
}

static uint64_t held_bytes(const struct model *model)
{
	unsigned int i = model->size_count, kept = 0;
	uint64_t most = 0;

	while (i-- && kept++ < HISTORY) {
		const struct size_version *size = &model->sizes[i % HISTORY];

		most = size->bytes > most ? size->bytes : most;
		if (size->change <= model->done)
			break;
	}
	return most;
}

void model_choose(struct model *model, unsigned int random, size_t bytes,
		  struct window *window)
{
	unsigned int blocks, first, count, want, tries = 4;
	uint64_t size;

	pthread_mutex_lock(&model->lock);
	window->done = model->done;
	size = held_bytes(model);
	blocks = size / BLOCK ?: 1;
	first = (random >> 4) % blocks;
	while (tries-- && !held_data(model, first))
		first = (first + 7) % blocks;
	want = bytes / BLOCK ?: 1;
	for (count = 1; count < want && first + count < BLOCKS; count++)
		if (first + count >= blocks || !held_data(model, first + count))
			break;
	pthread_mutex_unlock(&model->lock);

	/* occasionally read on across holes and the end of the file */
	if (random % 32 == 0)
		count = want;
	window->offset = (uint64_t)first * BLOCK;
	window->bytes = (size_t)count * BLOCK;
	if (random % 8 == 1) {
		window->offset += CONTENT_SECTOR;
		window->bytes -= CONTENT_SECTOR;
	}
}

static uint64_t cut(const struct window *window, uint64_t size)
{
	if (window->offset >= size)
		return 0;
	size -= window->offset;
	return size < window->bytes ? size : window->bytes;
}

/* A read may be short only where the file may have ended. */
static int judge_length(struct model *model, const struct window *window,
			uint64_t begun, uint64_t result, char *why, size_t room)
{
	uint64_t least = UINT64_MAX, most = 0, bytes;
	unsigned int i = model->size_count, kept = 0;
	const struct size_version *size;

	while (i-- && kept++ < HISTORY) {
		size = &model->sizes[i % HISTORY];
		if (size->change > begun)
			continue;
		bytes = cut(window, size->bytes);
		least = bytes < least ? bytes : least;
		most = bytes > most ? bytes : most;
		if (size->change <= window->done)
			break;
	}
	if (kept > HISTORY)
		return 1;
	if (result >= least && result <= most)
		return 0;
	snprintf(why, room, "%llu bytes were read, of %llu to %llu",
		 (unsigned long long)result, (unsigned long long)least,
		 (unsigned long long)most);
	return -1;
}

/* Returns how many there are, or 0 if the history does not reach back far enough. */
static unsigned int legal_versions(struct block *block, uint64_t done,
				   uint64_t begun,
				   struct content_sector legal[HISTORY])
{
	unsigned int i = block->count, count = 0, kept = 0;

	while (i-- && kept++ < HISTORY) {
		const struct version *version = &block->versions[i % HISTORY];

		if (version->change > begun)
			continue;
		legal[count++] = version->first;
		if (version->change <= done)
			return count;
	}
	return 0;
}

static int judge_block(struct model *model, const struct window *window,
		       uint64_t begun, const char *buffer, uint64_t offset,
		       size_t bytes, char *why, size_t size)
{
	struct content_sector legal[HISTORY], here[HISTORY];
	unsigned int number = offset / BLOCK, count, i;
	size_t done;
	char what[600];

	pthread_mutex_lock(&model->lock);
	count = legal_versions(&model->blocks[number], window->done, begun,
			       legal);
	pthread_mutex_unlock(&model->lock);
	if (!count)
		return 1;
	for (done = 0; done < bytes; done += CONTENT_SECTOR) {
		memcpy(here, legal, sizeof(here));
		for (i = 0; i < count; i++)
			here[i].offset += (offset + done) % BLOCK;
		if (!content_check_sector(buffer + done, here, count, count > 1,
					  what, sizeof(what)))
			continue;
		snprintf(why, size, "at %llu %s",
			 (unsigned long long)(offset + done), what);
		return -1;
	}
	return 0;
}

int model_judge(struct model *model, const struct window *window,
		const void *buffer, ssize_t result, char *why, size_t size)
{
	uint64_t begun, offset = window->offset, end;
	size_t part;
	int ret;

	if (result < 0) {
		snprintf(why, size, "it failed: %s", strerror(-result));
		return -1;
	}
	pthread_mutex_lock(&model->lock);
	begun = model->begun;
	ret = judge_length(model, window, begun, result, why, size);
	pthread_mutex_unlock(&model->lock);
	end = offset + result;
	for (; !ret && offset < end; offset += part) {
		part = BLOCK - offset % BLOCK;
		if (part > end - offset)
			part = end - offset;
		if (offset / BLOCK >= BLOCKS)
			break;
		ret = judge_block(model, window, begun,
				  (const char *)buffer + (offset - window->offset),
				  offset, part, why, size);
	}
	return ret;
}
