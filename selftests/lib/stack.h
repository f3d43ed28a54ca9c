/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A volume above layers, each a mapped device with one target:
 *
 *	file system
 *	volume		bpio		<name>
 *	layer[0]	types[0]	<name>-0
 *	...
 *	layer[count-1]			<name>-<count-1>
 *	device
 *
 * Functions return 0, or a negative errno after printing what went wrong.
 */
#ifndef SELFTESTS_STACK_H
#define SELFTESTS_STACK_H

#include "mapper.h"
#include "volume.h"

#define STACK_LAYERS	8

struct stack_layer {
	char		name[40];
	const char	*type;
};

struct stack {
	struct volume		volume;
	const char		*device;
	uint64_t		start;
	uint64_t		sectors;
	unsigned int		count;
	struct stack_layer	layer[STACK_LAYERS];
};

/*
 * @types are blank-separated names of targets, top to bottom, at most
 * STACK_LAYERS. Nothing is formatted. @features are those of the volume.
 */
int stack_create(struct stack *stack, const char *name, const char *types,
		 const char *device, uint64_t start, uint64_t sectors,
		 const char *features);
/*
 * Format the volume with ext4 and mount it so that only the test reads from it: neither
 * the file system in the background nor udev.
 */
int volume_quiet_ext4(struct volume *volume);

/* Create a stack with such a file system. */
int stack_ext4(struct stack *stack, const char *name, const char *types,
	       const char *device, uint64_t start, uint64_t sectors);

/* The device below layer number @index, and the sector there at which it starts. */
const char *stack_below(const struct stack *stack, unsigned int index,
			uint64_t *start);

/* Load another table for a layer: of @type, on the same device as now. */
int stack_reload(struct stack *stack, unsigned int index, const char *type,
		 const char *options);

/* Remove everything, top to bottom. Does nothing for a zeroed stack. */
int stack_remove(struct stack *stack);

/* reads[i] is the number of reads that layer i, a bpio-filter, has seen so far. */
void stack_reads(const struct stack *stack, uint64_t reads[STACK_LAYERS]);

#endif /* SELFTESTS_STACK_H */
