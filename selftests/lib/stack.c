// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "stack.h"
#include "util.h"

/* Constants, because a stack keeps pointers to the names of its types. */
static const char *const known_types[] = {
	"linear", "striped", "crypt", "delay", "bpio", "bpio-striped",
	"bpio-filter", "bpio-probe",
};

/* The entry of known_types for word @index of @types; NULL behind the last word. */
static const char *type_of(const char *types, unsigned int index)
{
	size_t length, i;

	types += strspn(types, " ");
	while (index--) {
		types += strcspn(types, " ");
		types += strspn(types, " ");
	}
	length = strcspn(types, " ");
	for (i = 0; i < sizeof(known_types) / sizeof(*known_types); i++)
		if (strlen(known_types[i]) == length &&
		    !strncmp(known_types[i], types, length))
			return known_types[i];
	if (length)
		diag("no test can make a target '%.*s'", (int)length, types);
	return NULL;
}

const char *stack_below(const struct stack *stack, unsigned int index,
			uint64_t *start)
{
	bool last = index + 1 == stack->count;

	*start = last ? stack->start : 0;
	return last ? stack->device : dm_node(stack->layer[index + 1].name);
}

static int create_layers(struct stack *stack)
{
	unsigned int i;
	int ret = 0;

	for (i = stack->count; i-- && !ret; ) {
		const struct stack_layer *layer = &stack->layer[i];
		uint64_t start;
		const char *below = stack_below(stack, i, &start);

		ret = dm_create_one(layer->name, layer->type, below, start,
				    stack->sectors, "");
	}
	return ret;
}

int stack_create(struct stack *stack, const char *name, const char *types,
		 const char *device, uint64_t start, uint64_t sectors,
		 const char *features)
{
	const char *type;
	int ret;

	memset(stack, 0, sizeof(*stack));
	stack->volume.fd = -1;
	stack->device = device;
	stack->start = start;
	stack->sectors = sectors;
	while (stack->count < STACK_LAYERS &&
	       (type = type_of(types, stack->count))) {
		struct stack_layer *layer = &stack->layer[stack->count];

		snprintf(layer->name, sizeof(layer->name), "%s-%u", name,
			 stack->count++);
		layer->type = type;
	}

	ret = create_layers(stack);
	if (!ret && stack->count)
		ret = volume_create(&stack->volume, name,
				    dm_node(stack->layer[0].name), 0, sectors,
				    features);
	else if (!ret)
		ret = volume_create(&stack->volume, name, device, start,
				    sectors, features);
	if (ret)
		volumes_sweep();
	return ret;
}

int volume_quiet_ext4(struct volume *volume)
{
	return volume_format(volume, MKFS_EXT4) ?:
	       volume_mount(volume, "ext4",
			    "noinit_itable,no_prefetch_block_bitmaps") ?:
	       (shell("udevadm settle --timeout=30") ? -ETIMEDOUT : 0);
}

int stack_ext4(struct stack *stack, const char *name, const char *types,
	       const char *device, uint64_t start, uint64_t sectors)
{
	return stack_create(stack, name, types, device, start, sectors, "") ?:
	       volume_quiet_ext4(&stack->volume);
}

int stack_reload(struct stack *stack, unsigned int index, const char *type,
		 const char *options)
{
	uint64_t start;
	const char *below = stack_below(stack, index, &start);

	return dm_reload_one(stack->layer[index].name, type, below, start,
			     stack->sectors, options);
}

int stack_remove(struct stack *stack)
{
	unsigned int i;
	int ret = volume_remove(&stack->volume);

	for (i = 0; i < stack->count && !ret; i++)
		ret = dm_remove(stack->layer[i].name);
	if (!ret)
		stack->count = 0;
	return ret;
}

void stack_reads(const struct stack *stack, uint64_t reads[STACK_LAYERS])
{
	unsigned int i;

	for (i = 0; i < stack->count; i++)
		reads[i] = filter_reads(stack->layer[i].name);
}
