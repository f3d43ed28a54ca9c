/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A file that changes while an enabled open file of it is read.
 *
 * Functions that return int return 0, or a negative errno after printing what
 * went wrong, unless their comment says otherwise.
 */
#ifndef SELFTESTS_CHANGE_H
#define SELFTESTS_CHANGE_H

#include <linux/dm-bpio.h>
#include <stdbool.h>

#include "readers.h"
#include "volume.h"

#define CHANGE_BYTES	(512 * 1024)
#define CHANGE_FILE	1

struct change {
	char		path[192];
	char		other[192];	/* path of another file, if the change needs one */
	const char	*device;
	int		fd;		/* enabled */
	int		plain;		/* the same file, opened without BypassIO */
	struct readers	readers;
	struct bpio_file_info before;	/* counts when the change began */
	const char	*cannot;	/* why this change is not possible here, or NULL */
	bool		reading;	/* the readers were started */
};

/* Call this first. @device is not used for anything else. */
int change_init(const struct volume *volume, const char *device);

/* Create a file of CHANGE_BYTES, generation 1, and prepare readers for it. */
int change_create(struct change *c);
/* Enable and arm the file, and start the readers. */
int change_begin(struct change *c, const struct volume *volume);
/* Undo both, however far they got. */
void change_end(struct change *c);

/* Whether a read was counted for @reason since the change began. */
bool change_counted(const struct change *c, enum bpio_reason reason);
int change_wait_counted(const struct change *c, enum bpio_reason reason);

/* Write the next generation and announce it to the readers. */
int change_write(struct change *c, int fd);
/*
 * Keep @fd open until a read fell back because of a writer, unless @ret is an error of
 * the writer. Returns @ret, or another error.
 */
int change_end_writer(struct change *c, int fd, int ret);

/* Wait until reads go direct again. */
int change_wait_direct(struct change *c);
/* Read the whole file direct and by the file system, and compare. */
int change_compare(struct change *c);

/*
 * Changes that need preparation. They set @cannot, with any return value, if the kernel
 * or the machine does not support them.
 */
int change_clone_from(struct change *c);
int change_clone_over(struct change *c);
int change_swap_extents(struct change *c);
int change_exchange(struct change *c);
int change_repair(struct change *c);
void change_in_pieces(struct change *c);
int change_defragment(struct change *c);
int change_verity(struct change *c);
void change_swap_header(struct change *c);
int change_swapon(struct change *c);
int change_pinned_by_direct_io(struct change *c);
int change_pinned_by_ring(struct change *c);

#endif /* SELFTESTS_CHANGE_H */
