/* SPDX-License-Identifier: GPL-2.0-only */
/* Many enabled files on a volume, during a measurement. */
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

/* Create @count files of one block in the directory of the file @path, and open them. */
void crowd_open(struct crowd *crowd, const char *path, unsigned int count);

/* Enable and arm all of them through the control node. */
void crowd_enable(const struct crowd *crowd, int node);

#endif /* CROWD_H */
