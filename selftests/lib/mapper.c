// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <inttypes.h>
#include <libdevmapper.h>
#include <linux/dm-ioctl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "mapper.h"
#include "util.h"

/* Any key will do, but it must be the same for each device. */
#define CRYPT "aes-xts-plain64 " \
	"00112233445566778899aabbccddeeffffeeddccbbaa99887766554433221100 0"

const char *dm_node(const char *name)
{
	static char nodes[8][96];
	static unsigned int next;
	char *node = nodes[next++ % 8];

	snprintf(node, sizeof(nodes[0]), "/dev/mapper/" DM_PREFIX "%s", name);
	return node;
}

int dm_params(char *params, size_t size, const char *type, const char *device,
	      uint64_t start, const char *options)
{
	const char *before = strstr(type, "striped") ? "1 128 " :
			     !strcmp(type, "crypt") ? CRYPT " " : "";
	const char *behind = !strcmp(type, "delay") && !*options ? "0" : options;
	int n = snprintf(params, size, "%s%s %" PRIu64 "%s%s", before, device,
			 start, *behind ? " " : "", behind);

	return n < 0 || (size_t)n >= size ? -E2BIG : 0;
}

int dm_create_one(const char *name, const char *type, const char *device,
		  uint64_t start, uint64_t sectors, const char *options)
{
	char params[1024];
	struct dm_line line = {
		.sectors = sectors, .type = type, .params = params,
	};

	return dm_params(params, sizeof(params), type, device, start, options) ?:
	       dm_create(name, &line, 1, false);
}

int dm_reload_one(const char *name, const char *type, const char *device,
		  uint64_t start, uint64_t sectors, const char *options)
{
	char params[1024];
	struct dm_line line = {
		.sectors = sectors, .type = type, .params = params,
	};

	return dm_params(params, sizeof(params), type, device, start, options) ?:
	       dm_reload(name, &line, 1);
}

const char *dm_driver(void)
{
	return access("/sys/module/dm_mod/initstate", F_OK) ? NULL : "dm_mod";
}

int dm_slow_reads(const char *name, const char *device, uint64_t start,
		  uint64_t sectors, unsigned int ms, bool create)
{
	char params[256];
	struct dm_line line = {
		.sectors = sectors, .type = "delay", .params = params,
	};

	snprintf(params, sizeof(params), "%s %" PRIu64 " %u %s %" PRIu64 " 0",
		 device, start, ms, device, start);
	return create ? dm_create(name, &line, 1, false) :
			dm_reload_unseen(name, &line, 1);
}

int dm_try_one(const char *type, const char *params)
{
	struct dm_line line = {
		.sectors = 2048, .type = type, .params = params,
	};
	int ret = dm_create("try", &line, 1, true);

	return ret ?: dm_remove("try");
}

static struct dm_task *task_create(int type, const char *name)
{
	struct dm_task *task = dm_task_create(type);
	char full[DM_NAME_LEN];

	snprintf(full, sizeof(full), DM_PREFIX "%s", name);
	if (task && !dm_task_set_name(task, full)) {
		dm_task_destroy(task);
		task = NULL;
	}
	return task;
}

int dm_message(const char *name, char *answer, size_t size, const char *fmt,
	       ...)
{
	struct dm_task *task = task_create(DM_DEVICE_TARGET_MSG, name);
	const char *reply;
	char text[1024];
	va_list args;
	int ret = 0;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (!task)
		return -ENOMEM;
	dm_quiet(true);
	if (!dm_task_set_sector(task, 0) || !dm_task_set_message(task, text))
		ret = -ENOMEM;
	else if (!dm_task_run(task))
		ret = -(dm_task_get_errno(task) ?: EIO);
	dm_quiet(false);
	reply = ret ? NULL : dm_task_get_message_response(task);
	if (answer)
		snprintf(answer, size, "%s", reply ?: "");
	dm_task_destroy(task);
	return ret;
}

static int target_line(int type, const char *name, unsigned int index,
		       char *line, size_t size)
{
	struct dm_task *task = task_create(type, name);
	char *target_type, *params = NULL;
	uint64_t start, length;
	void *next = NULL;
	int ret = -ENXIO;

	if (!task)
		return -ENOMEM;
	/* without a flush, which might wait */
	dm_task_no_flush(task);
	if (!dm_task_run(task)) {
		ret = -(dm_task_get_errno(task) ?: EIO);
	} else {
		do {
			next = dm_get_next_target(task, next, &start, &length,
						  &target_type, &params);
		} while (next && index--);
		if (params) {
			snprintf(line, size, "%s", params);
			ret = 0;
		}
	}
	if (ret)
		diag("%s%s has no such line: %s", DM_PREFIX, name,
		     strerror(-ret));
	dm_task_destroy(task);
	return ret;
}

int dm_status(const char *name, unsigned int index, char *status, size_t size)
{
	return target_line(DM_DEVICE_STATUS, name, index, status, size);
}

int dm_table(const char *name, unsigned int index, char *table, size_t size)
{
	return target_line(DM_DEVICE_TABLE, name, index, table, size);
}

/* The first number in a file in sysfs of a device. */
static int device_number_in(const char *device, const char *file,
			    uint64_t *number)
{
	char path[64], line[256];
	struct stat st;
	int ret;

	if (stat(device, &st))
		return -errno;
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s",
		 major(st.st_rdev), minor(st.st_rdev), file);
	ret = read_line(path, line, sizeof(line));
	/* in "inflight" and "stat" that is the number of reads */
	*number = ret ? 0 : strtoull(line, NULL, 10);
	return ret;
}

int device_in_flight(const char *path)
{
	uint64_t reads;
	int ret = device_number_in(path, "inflight", &reads);

	return ret ?: (int)reads;
}

uint64_t device_reads(const char *path)
{
	uint64_t reads;

	return device_number_in(path, "stat", &reads) ? UINT64_MAX : reads;
}

/* One of the two numbers at the start of a target's status. */
static uint64_t status_number(const char *name, int which)
{
	uint64_t numbers[2];
	char status[256];

	if (dm_status(name, 0, status, sizeof(status)) ||
	    sscanf(status, "%" SCNu64 " %" SCNu64, &numbers[0],
		   &numbers[1]) != 2)
		return UINT64_MAX;
	return numbers[which];
}

uint64_t filter_reads(const char *name)
{
	return status_number(name, 0);
}

uint64_t filter_writes(const char *name)
{
	return status_number(name, 1);
}

/*
 * Not by the device's number of requests in flight, which device-mapper changes
 * on whatever processor it is at and may leave wrong by one.
 */
uint64_t delay_reads(const char *name)
{
	return status_number(name, 0);
}

int module_load(const char *name)
{
	return shell("m=%s; d=$(dirname \"$(readlink /proc/%d/exe)\"); "
		     "[ -d \"/sys/module/$(echo $m | tr - _)\" ] || "
		     "modprobe -q $m || insmod \"$d/$m.ko\"",
		     name, getpid()) ? -ENOENT : 0;
}

int module_path(const char *name, char *path, size_t size)
{
	char command[256];
	FILE *from;

	snprintf(command, sizeof(command),
		 "modinfo -n %s 2>/dev/null || "
		 "echo $(dirname \"$(readlink /proc/%d/exe)\")/%s.ko",
		 name, getpid(), name);
	from = popen(command, "re");
	if (!from || !fgets(path, size, from))
		*path = '\0';
	if (from)
		pclose(from);
	path[strcspn(path, "\n")] = '\0';
	return access(path, R_OK) ? -errno : 0;
}
