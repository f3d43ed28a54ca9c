// SPDX-License-Identifier: GPL-2.0-only
/*
 * Events of the kernel for "bpio watch": NAME=VALUE, one per line.
 */
#include <libudev.h>

#include "fuzz.h"
#include "tables.h"

static const char *fake_property(struct udev_device *event, const char *name);

#define udev_device_get_property_value fake_property
#include "../bpio/watch.c"

static char *lines[16];
static size_t line_count;

char *__wrap_blkid_devno_to_devname(dev_t dev)
{
	return major(dev) & 1 ? strdup("/dev/nvme0n1") : NULL;
}

static const char *fake_property(struct udev_device *event, const char *name)
{
	size_t length = strlen(name), i;

	(void)event;
	for (i = 0; i < line_count; i++)
		if (!strncmp(lines[i], name, length) && lines[i][length] == '=')
			return lines[i] + length + 1;
	return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct command_line line = { .verb = &verbs[VERB_WATCH] };
	size_t i;

	input_begin(data, size);
	line.json = input_byte() & 1;
	for (line_count = 0; input.left && line_count < ARRAY_SIZE(lines);)
		lines[line_count++] = input_line();
	print_event(&line, NULL);
	for (i = 0; i < line_count; i++)
		free(lines[i]);
	return 0;
}
