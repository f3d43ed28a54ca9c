// SPDX-License-Identifier: GPL-2.0-only
/*
 * See stack.h.
 */
#include <blkid/blkid.h>
#include <dirent.h>
#include <errno.h>
#include <json-c/json.h>
#include <libdevmapper.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cli.h"
#include "mapped.h"
#include "stack.h"

/* A stack deeper than this is taken for a loop in the tables. */
#define DEPTH_MAX	64

__attribute__((__format__(printf, 5, 6)))
static void drop_message(int level, const char *file, int line, int error,
			 const char *format, ...)
{
	(void)level;
	(void)file;
	(void)line;
	(void)error;
	(void)format;
}

void stack_quiet(void)
{
	dm_log_with_errno_init(drop_message);
}

static struct layer *add_layer(struct stack *stack, dev_t dev,
			       unsigned int depth)
{
	struct layer *grown;

	grown = reallocarray(stack->layers, stack->count + 1, sizeof(*grown));
	if (!grown)
		return NULL;
	stack->layers = grown;
	grown += stack->count++;
	*grown = (struct layer) { .dev = dev, .depth = depth };
	return grown;
}

static int describe_mapped(struct layer *layer)
{
	struct mapped mapped;
	int ret = mapped_read(layer->dev, false, &mapped);

	if (ret)
		return ret;
	layer->mapped = true;
	layer->suspended = mapped.suspended;
	layer->name = strdup(mapped.name);
	layer->type = table_types(&mapped.table);
	layer->table = table_text(&mapped.table);
	mapped_free(&mapped);
	return 0;
}

/* The last component of the target of the symbolic link @path */
static bool link_word(const char *path, char *word, size_t size)
{
	char target[PATH_MAX];
	ssize_t length = readlink(path, target, sizeof(target) - 1);
	const char *slash;

	if (length <= 0)
		return false;
	target[length] = '\0';
	slash = strrchr(target, '/');
	slash = slash ? slash + 1 : target;
	if (strlen(slash) >= size)
		return false;
	memcpy(word, slash, strlen(slash) + 1);
	return true;
}

/* The name under which the driver of @number registered */
static bool major_name(unsigned int number, char *word, size_t size)
{
	FILE *devices = fopen("/proc/devices", "re");
	bool block = false, found = false;
	char line[128], name[64];
	unsigned int at;

	if (!devices)
		return false;
	while (!found && fgets(line, sizeof(line), devices)) {
		if (!strncmp(line, "Block", 5))
			block = true;
		else if (block && sscanf(line, "%u %63s", &at, name) == 2)
			found = at == number;
	}
	fclose(devices);
	if (found)
		snprintf(word, size, "%s", name);
	return found;
}

/* The subsystem of a device that is not a mapped device */
static char *plain_type(dev_t dev)
{
	char base[64], path[128], word[NAME_MAX + 1] = "";

	snprintf(base, sizeof(base), "/sys/dev/block/%u:%u", major(dev),
		 minor(dev));
	snprintf(path, sizeof(path), "%s/partition", base);
	if (!access(path, F_OK))
		strncat(base, "/..", sizeof(base) - strlen(base) - 1);
	snprintf(path, sizeof(path), "%s/device/subsystem", base);
	if (!link_word(path, word, sizeof(word)) &&
	    !major_name(major(dev), word, sizeof(word)))
		return strdup("unknown");
	/* The class of a multipath NVMe device is "nvme-subsystem". */
	if (!strncmp(word, "nvme", 4))
		return strdup("nvme");
	return strdup(word);
}

static int describe_plain(struct layer *layer)
{
	char path[64], word[NAME_MAX + 1];

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u", major(layer->dev),
		 minor(layer->dev));
	if (!link_word(path, word, sizeof(word)))
		return -ENXIO;
	layer->name = strdup(word);
	layer->type = plain_type(layer->dev);
	return 0;
}

static int walk(dev_t dev, unsigned int depth, struct stack *stack);

/* Adds @dev, which is below layer number @above, unless it is already listed. */
static int walk_below(size_t above, dev_t dev, unsigned int depth,
		      struct stack *stack)
{
	stack->layers[above].has_below = true;
	return stack_find(stack, dev) ? 0 : walk(dev, depth, stack);
}

static int walk_deps(dev_t dev, unsigned int depth, struct stack *stack)
{
	struct dm_task *task = mapped_task(DM_DEVICE_DEPS, dev);
	size_t above = stack->count - 1;
	struct dm_deps *deps;
	int ret = 0;
	uint32_t i;

	if (!task)
		return -ENXIO;
	deps = dm_task_get_deps(task);
	/* Device-mapper returns them in the reverse order of the table. */
	for (i = deps ? deps->count : 0; i > 0 && !ret; i--)
		ret = walk_below(above, deps->device[i - 1], depth, stack);
	dm_task_destroy(task);
	return ret;
}

/* The devices of an md array; other devices have no entries there. */
static int walk_slaves(dev_t dev, unsigned int depth, struct stack *stack)
{
	char path[64], file[sizeof(path) + NAME_MAX + 8];
	size_t above = stack->count - 1;
	unsigned int maj, min;
	struct dirent *entry;
	int ret = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/slaves", major(dev),
		 minor(dev));
	dir = opendir(path);
	if (!dir)
		return 0;
	while (!ret && (entry = readdir(dir))) {
		FILE *number;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(file, sizeof(file), "%s/%s/dev", path, entry->d_name);
		number = fopen(file, "re");
		if (!number)
			continue;
		if (fscanf(number, "%u:%u", &maj, &min) == 2)
			ret = walk_below(above, makedev(maj, min), depth,
					 stack);
		fclose(number);
	}
	closedir(dir);
	return ret;
}

static int walk(dev_t dev, unsigned int depth, struct stack *stack)
{
	struct layer *layer;
	int ret;

	if (depth > DEPTH_MAX)
		return -ELOOP;
	layer = add_layer(stack, dev, depth);
	if (!layer)
		return -ENOMEM;
	ret = dm_is_dm_major(major(dev)) ? describe_mapped(layer) :
					   describe_plain(layer);
	if (ret)
		return ret;
	return layer->mapped ? walk_deps(dev, depth + 1, stack) :
			       walk_slaves(dev, depth + 1, stack);
}

int stack_walk(dev_t dev, struct stack *stack)
{
	int ret;

	*stack = (struct stack) { 0 };
	ret = walk(dev, 0, stack);
	if (ret)
		stack_free(stack);
	return ret;
}

void stack_free(struct stack *stack)
{
	size_t i;

	for (i = 0; i < stack->count; i++) {
		free(stack->layers[i].name);
		free(stack->layers[i].type);
		free(stack->layers[i].table);
	}
	free(stack->layers);
	*stack = (struct stack) { 0 };
}

const struct layer *stack_find(const struct stack *stack, dev_t dev)
{
	size_t i;

	for (i = 0; i < stack->count; i++)
		if (stack->layers[i].dev == dev)
			return &stack->layers[i];
	return NULL;
}

bool stack_is_bottom(const struct stack *stack, size_t i)
{
	return !stack->layers[i].has_below;
}

/* The usual node of a mapped device: /dev/mapper/NAME */
static char *mapper_node(dev_t dev)
{
	char name[NAME_MAX + 1], *node;
	struct stat st;

	if (!dm_is_dm_major(major(dev)) ||
	    !dm_device_get_name(major(dev), minor(dev), 0, name, sizeof(name)))
		return NULL;
	if (asprintf(&node, "%s/%s", dm_dir(), name) < 0)
		abort();
	if (!stat(node, &st) && S_ISBLK(st.st_mode) && st.st_rdev == dev)
		return node;
	free(node);
	return NULL;
}

char *device_node(dev_t dev)
{
	char *node = mapper_node(dev);

	if (!node)
		node = blkid_devno_to_devname(dev);
	if (!node && asprintf(&node, "%u:%u", major(dev), minor(dev)) < 0)
		abort();
	return node;
}

struct json_object *device_to_json(dev_t dev)
{
	struct json_object *json = json_object_new_object();
	char *node = device_node(dev);

	json_object_object_add(json, "node", json_object_new_string(node));
	json_object_object_add(json, "major", json_object_new_int(major(dev)));
	json_object_object_add(json, "minor", json_object_new_int(minor(dev)));
	free(node);
	return json;
}

struct json_object *stack_to_json(const struct stack *stack)
{
	struct json_object *list = json_object_new_array();
	size_t i;

	for (i = 0; i < stack->count; i++) {
		const struct layer *layer = &stack->layers[i];
		struct json_object *json = device_to_json(layer->dev);

		json_object_object_add(json, "name",
				       json_object_new_string(layer->name));
		json_object_object_add(json, "type",
				       json_object_new_string(layer->type));
		json_object_object_add(json, "depth",
				       json_object_new_int(layer->depth));
		json_object_object_add(json, "suspended",
				       json_object_new_boolean(layer->suspended));
		json_object_array_add(list, json);
	}
	return list;
}
