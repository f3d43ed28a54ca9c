/* SPDX-License-Identifier: GPL-2.0-only */
/* Many enabled files of a volume, beside which something is measured. */
#ifndef CROWD_H
#define CROWD_H

/**
 * struct crowd - files that are open
 * @files: descriptors
 * @count: number of these
 */
struct crowd {
	int		*files;
	unsigned int	count;
};

/* Open @count files of a block each, which are made beside the file @path. */
void crowd_open(struct crowd *crowd, const char *path, unsigned int count);

/* Enable and arm all of them through the control node. */
void crowd_enable(const struct crowd *crowd, int node);

#endif /* CROWD_H */
