/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What reads of a file may return.
 *
 * All changes of a file have numbers, one after the other. Before a change begins,
 * what it will leave in each block is noted under its number; when it has ended,
 * the number is known to be done. A read may return what was there when it began,
 * or what any change leaves that was not done then and had begun when it ended.
 */
#ifndef STRESS_MODEL_H
#define STRESS_MODEL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "content.h"

#define BLOCK		4096u
#define BLOCKS		256u		/* of the largest file */
#define HISTORY		16u

struct version {
	uint64_t		change;
	struct content_sector	first;	/* sector of the block */
};

struct block {
	struct version		versions[HISTORY];
	unsigned int		count;
	bool			mapped;	/* for changers only */
};

struct size_version {
	uint64_t		change;
	uint64_t		bytes;
};

struct model {
	pthread_mutex_t		lock;	/* all of the below */
	uint64_t		begun;
	uint64_t		done;
	uint32_t		file;
	uint32_t		generation;
	struct block		blocks[BLOCKS];
	struct size_version	sizes[HISTORY];
	unsigned int		size_count;
};

/* A read. */
struct window {
	uint64_t	done;		/* when it began */
	uint64_t	offset;
	size_t		bytes;
};

void model_init(struct model *model, uint32_t file);

/*
 * Note a change: between these two calls the functions below tell what it will
 * leave. It may begin when the second has returned.
 */
void model_begin(struct model *model);
void model_go(struct model *model);
/* It has ended, and has done all of what was noted. */
void model_done(struct model *model);

void model_write(struct model *model, unsigned int first, unsigned int count);
void model_zero(struct model *model, unsigned int first, unsigned int count);
/* Blocks from @to on get what stands from @from on; @count of them. */
void model_move(struct model *model, unsigned int to, unsigned int from,
		unsigned int count);
/* The first @count blocks get what stands in @from, which nobody changes. */
void model_copy(struct model *model, const struct model *from,
		unsigned int count);
void model_size(struct model *model, uint64_t bytes);

/* For the changer only. */
uint64_t model_bytes(const struct model *model);
const struct content_sector *model_block(const struct model *model,
					 unsigned int block);

/*
 * Choose @bytes at most for a read, which hold data or did so before the change
 * that goes on, if there are any.
 */
void model_choose(struct model *model, unsigned int random, size_t bytes,
		  struct window *window);

/*
 * Judge what a read has returned. Returns 0, -1 and says why in @why, or 1 when
 * too much has happened meanwhile to know.
 */
int model_judge(struct model *model, const struct window *window,
		const void *buffer, ssize_t result, char *why, size_t size);

#endif /* STRESS_MODEL_H */
