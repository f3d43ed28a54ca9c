// SPDX-License-Identifier: GPL-2.0-only
/*
 * The tables of device-mapper and the files of sysfs and /proc about block devices: the
 * walk from a device to all devices below it.
 */
#include <blkid/blkid.h>
#include <dirent.h>
#include <errno.h>
#include <json-c/json.h>
#include <libdevmapper.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"

/* Mapped devices have this major number. */
#define MAPPED	253

static struct dm_task *fake_task_create(int type);
static int fake_set_major_minor(struct dm_task *task, int major, int minor,
				int allow_default);
static int fake_task_run(struct dm_task *task);
static void fake_task_destroy(struct dm_task *task);
static int fake_task_get_info(struct dm_task *task, struct dm_info *info);
static const char *fake_task_get_name(const struct dm_task *task);
static const char *fake_task_get_uuid(const struct dm_task *task);
static struct dm_deps *fake_task_get_deps(struct dm_task *task);
static void *fake_next_target(struct dm_task *task, void *next, uint64_t *start,
			      uint64_t *length, char **type, char **params);
static ssize_t fake_readlink(const char *path, char *to, size_t size);
static FILE *fake_fopen(const char *path, const char *mode);
static struct dirent *fake_readdir(DIR *dir);

#define dm_is_dm_major(number)	((number) == MAPPED)
#define dm_task_create		fake_task_create
#define dm_task_set_major_minor	fake_set_major_minor
#define dm_task_run		fake_task_run
#define dm_task_destroy		fake_task_destroy
#define dm_task_get_info	fake_task_get_info
#define dm_task_get_name	fake_task_get_name
#define dm_task_get_uuid	fake_task_get_uuid
#define dm_task_get_deps	fake_task_get_deps
#define dm_get_next_target	fake_next_target
#define dm_device_get_name(...) 0
#define blkid_devno_to_devname(...) NULL
#define readlink		fake_readlink
#define access(...)		(input_byte() & 1 ? (errno = EACCES, -1) : 0)
#define fopen			fake_fopen
#define opendir(...)		((DIR *)(input_byte() & 1 ? &input : NULL))
#define readdir			fake_readdir
#define closedir(dir)		((void)(dir))

#include "../bpio/mapped.c"
#include "../bpio/stack.c"

struct dm_task {
	char *lines[4];
	unsigned int count;
	struct dm_deps *deps;
};

static int fake_set_major_minor(struct dm_task *task, int major, int minor,
				int allow_default)
{
	return task ? 1 : 0;
}

static struct dm_task *fake_task_create(int type)
{
	struct dm_task *task = calloc(1, sizeof(*task));

	(void)type;
	return task;
}

static int fake_task_run(struct dm_task *task)
{
	(void)task;
	return input_byte() < 250;
}

static void fake_task_destroy(struct dm_task *task)
{
	unsigned int i;

	for (i = 0; i < task->count; i++)
		free(task->lines[i]);
	free(task->deps);
	free(task);
}

static int fake_task_get_info(struct dm_task *task, struct dm_info *info)
{
	(void)task;
	*info = (struct dm_info) { .exists = 1, .suspended = input_byte() & 1 };
	return 1;
}

static const char *fake_task_get_name(const struct dm_task *task)
{
	(void)task;
	return "volume";
}

static const char *fake_task_get_uuid(const struct dm_task *task)
{
	(void)task;
	return "LVM-volume";
}

/* A target is a line "type params"; an empty line ends the table. */
static void *fake_next_target(struct dm_task *task, void *next, uint64_t *start,
			      uint64_t *length, char **type, char **params)
{
	char *line = task->count < ARRAY_SIZE(task->lines) ?
		     input_line_or_null() : NULL;

	(void)next;
	*start = 0;
	*length = UINT64_MAX;
	*type = NULL;
	*params = NULL;
	if (!line)
		return NULL;
	task->lines[task->count++] = line;
	*type = strsep(&line, " ");
	*params = line ? line : "";
	return input.left ? task : NULL;
}

/* At most two, and none when the input has ended, so that the walk ends. */
static struct dm_deps *fake_task_get_deps(struct dm_task *task)
{
	unsigned int count = input.left ? input_byte() % 3 : 0, i;

	task->deps = calloc(1, sizeof(*task->deps) + 2 * sizeof(uint64_t));
	if (!task->deps)
		abort();
	task->deps->count = count;
	for (i = 0; i < count; i++)
		task->deps->device[i] = makedev(input_byte() & 1 ? MAPPED : 8,
						input_byte());
	return task->deps;
}

static ssize_t fake_readlink(const char *path, char *to, size_t size)
{
	char *line = input_line();
	size_t length = strlen(line);

	(void)path;
	if (length > size)
		length = size;
	memcpy(to, line, length);
	free(line);
	return length ? (ssize_t)length : -1;
}

/* /proc/devices ends with an empty line, a device number with its line. */
static FILE *fake_fopen(const char *path, const char *mode)
{
	char *line = NULL, *text;
	size_t size;
	FILE *out = open_memstream(&text, &size), *file;

	(void)mode;
	do {
		free(line);
		line = input_line();
		fprintf(out, "%s\n", line);
	} while (*line && !strncmp(path, "/proc", 5));
	free(line);
	fclose(out);
	file = fmemopen(NULL, size + 1, "w+");
	if (!file)
		abort();
	fwrite(text, 1, size, file);
	rewind(file);
	free(text);
	return file;
}

static struct dirent *fake_readdir(DIR *dir)
{
	static struct dirent entry;
	char *name = input_line_or_null();

	(void)dir;
	if (!name)
		return NULL;
	snprintf(entry.d_name, sizeof(entry.d_name), "%s", name);
	free(name);
	return &entry;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct stack stack;
	size_t i;

	input_begin(data, size);
	if (stack_walk(makedev(MAPPED, 0), &stack))
		return 0;
	for (i = 0; i < stack.count; i++) {
		touch(stack.layers[i].name);
		touch(stack.layers[i].type);
		if (stack.layers[i].table)
			touch(stack.layers[i].table);
		stack_is_bottom(&stack, i);
	}
	json_object_put(stack_to_json(&stack));
	stack_free(&stack);
	return 0;
}
