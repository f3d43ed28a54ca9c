/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The layers below a mapped device, from device-mapper's tables and sysfs. For a layer
 * that does not take part, these have the target type, which the kernel module cannot
 * return.
 */
#ifndef BPIO_STACK_H
#define BPIO_STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct json_object;

/**
 * struct layer - one block device of a stack
 *
 * @dev: Device number.
 * @name: Name of the mapped device, or of the block device.
 * @type: Target types of a mapped device (joined by "+"), or the subsystem of
 *	any other device: "nvme", "scsi", "md", "loop".
 * @table: Live table of a mapped device, one target per line, else NULL.
 * @depth: 0 for the top.
 * @has_below: Something lies below it.
 * @mapped: It is a mapped device.
 * @suspended: It is a suspended mapped device.
 */
struct layer {
	dev_t dev;
	char *name;
	char *type;
	char *table;
	unsigned int depth;
	bool has_below;
	bool mapped;
	bool suspended;
};

/**
 * struct stack - layers from top to bottom, depth first
 *
 * @layers: The layers. A device below several others is listed once, below the first.
 * @count: Number of @layers.
 */
struct stack {
	struct layer *layers;
	size_t count;
};

/* Keep libdevmapper from printing messages of its own */
void stack_quiet(void);

/* 0, or a negative errno: -EACCES when the caller may not use device-mapper */
int stack_walk(dev_t dev, struct stack *stack);
void stack_free(struct stack *stack);

const struct layer *stack_find(const struct stack *stack, dev_t dev);
/* Whether layer number @i has none below it */
bool stack_is_bottom(const struct stack *stack, size_t i);

struct json_object *stack_to_json(const struct stack *stack);

/* Path of the node of a block device, or "major:minor"; to be freed */
char *device_node(dev_t dev);
struct json_object *device_to_json(dev_t dev);

#endif /* BPIO_STACK_H */
