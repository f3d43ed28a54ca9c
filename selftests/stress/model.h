/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What reads of a file may return.
 *
 * The changes of a file are numbered. Before a change begins, what it will leave in
 * each block is noted under its number; when the change has ended, its number is
 * noted as done. A read may return what was there when it began, or what is left by
 * any change that was not done when the read began and had begun when it ended.
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
	struct content_sector	first;	/* the first sector of the block */
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

/* A read, and the changes that may show in it. */
struct window {
	uint64_t	done;		/* last change done when it began */
	uint64_t	offset;
	size_t		bytes;
};

void model_init(struct model *model, uint32_t file);

/*
 * Note a change. Between these two calls, the functions below note what it will
 * leave. The change may begin when the second call has returned.
 */
void model_begin(struct model *model);
void model_go(struct model *model);
/* The change has ended, and has done all that was noted. */
void model_done(struct model *model);

void model_write(struct model *model, unsigned int first, unsigned int count);
void model_zero(struct model *model, unsigned int first, unsigned int count);
/* The @count blocks from @to get the contents of those from @from. */
void model_move(struct model *model, unsigned int to, unsigned int from,
		unsigned int count);
/* The first @count blocks get those of @from, whose change lock the caller holds. */
void model_copy(struct model *model, const struct model *from,
		unsigned int count);
void model_size(struct model *model, uint64_t bytes);

/* Only for the thread that changes the file. */
uint64_t model_bytes(const struct model *model);
const struct content_sector *model_block(const struct model *model,
					 unsigned int block);

/*
 * Choose a range of at most @bytes to read: if possible one that holds data, or did
 * so before the change that is in progress.
 */
void model_choose(struct model *model, unsigned int random, size_t bytes,
		  struct window *window);

/*
 * Judge what a read returned. Returns 0 if it is correct, -1 with the reason in @why
 * if it is wrong, or 1 if the history of changes is too short to tell.
 */
int model_judge(struct model *model, const struct window *window,
		const void *buffer, ssize_t result, char *why, size_t size);

#endif /* STRESS_MODEL_H */
