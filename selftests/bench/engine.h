/* SPDX-License-Identifier: GPL-2.0-only */
/* Ways to read: one system call after the other, io_uring, libaio. */
#ifndef ENGINE_H
#define ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ENGINE_MAX_DEPTH	256

/**
 * struct reader - what an engine reads, and into which buffers
 * @fd: file or device
 * @bs: bytes of one read
 * @lba: logical block size of an NVMe character device, else unused
 * @depth: number of reads that are submitted, and waited for, together
 * @buffers: one for each of them
 * @state: private to the engine
 */
struct reader {
	int		fd;
	size_t		bs;
	size_t		lba;
	unsigned int	depth;
	char		*buffers[ENGINE_MAX_DEPTH];
	void		*state;
};

/**
 * struct engine - a way to read
 * @name: as on the command line
 * @max_depth: 1 if it waits for each read
 * @direct: open the file with O_DIRECT
 * @cached: read from the page cache, into which the file is read first
 * @open: prepare the engine, or die
 * @read: read reader->depth blocks at these offsets, or die; a short read is an
 *	error
 * @close: undo @open
 */
struct engine {
	const char	*name;
	unsigned int	max_depth;
	bool		direct;
	bool		cached;
	void		(*open)(struct reader *reader);
	void		(*read)(struct reader *reader, const uint64_t *offsets);
	void		(*close)(struct reader *reader);
};

/* Dies if there is no engine of that name. */
const struct engine *engine_find(const char *name);

/* The names of all engines, separated by blanks. */
const char *engine_names(void);

#endif /* ENGINE_H */
