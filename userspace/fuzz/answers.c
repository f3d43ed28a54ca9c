// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel's answers to the ioctls: libbpio parses them, bpio prints them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "bpio.h"
#include "cli.h"
#include "fuzz.h"
#include "layers.h"
#include "report.h"
#include "tables.h"
#include "verdict.h"

/* Of the volume */
#define MAJOR	253
#define MINOR	0

/* A descriptor of /dev/null, which stands for the volume or a file on it */
static int volume;

char *__wrap_blkid_devno_to_devname(dev_t dev)
{
	return major(dev) & 1 ? strdup("/dev/nvme0n1") : NULL;
}

/* Usually there is a node. */
int __wrap_bpio_node_open(void)
{
	if (input_byte() < 250)
		return dup(volume);
	return -ENOENT;
}

int __wrap_fstat(int fd, struct stat *st)
{
	*st = (struct stat) { .st_mode = S_IFCHR };
	if (fd != volume)
		return 0;
	st->st_mode = input_byte() & 1 ? S_IFREG : S_IFBLK;
	st->st_dev = makedev(MAJOR, MINOR);
	st->st_rdev = makedev(MAJOR, MINOR);
	return 0;
}

static void fill_output(const struct bpio_ioctl *envelope)
{
	const struct fs_bpio_input *in =
		(const void *)(unsigned long)envelope->in_buffer;
	struct fs_bpio_output *out = (void *)(unsigned long)envelope->out_buffer;

	input_bytes(out, envelope->out_length);
	if (in->operation != FS_BPIO_OP_GET_INFO)
		return;
	/* Usually the queried volume; with another one, the program stops there. */
	if (input_byte() < 250) {
		out->get_info.volume_major = MAJOR;
		out->get_info.volume_minor = MINOR;
	}
}

int __wrap_ioctl(int fd, unsigned long request, void *arg)
{
	static const int errors[] = { EXDEV, ENXIO, EPERM, EBADF };
	unsigned int result = input_byte();

	(void)fd;
	if (request == FSCTL_MANAGE_BYPASS_IO ||
	    request == IOCTL_STORAGE_MANAGE_BYPASS_IO)
		fill_output(arg);
	else
		input_bytes(arg, _IOC_SIZE(request));
	if (result < 200)
		return 0;
	errno = errors[result % ARRAY_SIZE(errors)];
	return -1;
}

static int visit(const struct bpio_layer *layer, void *arg)
{
	(void)arg;
	touch(layer->name);
	touch(layer->reason_text);
	touch(layer->paused_by);
	touch(layer->paused_why);
	touch(bpio_reason_text(layer->reason));
	touch(bpio_reason_token(layer->reason));
	return 0;
}

static void touch_verdict(const struct bpio_verdict *verdict)
{
	touch(verdict->driver);
	touch(verdict->reason_text);
	touch(bpio_support_token(verdict->support));
}

/* As of a program that was built with an older or a newer library */
static void ask_info(void)
{
	size_t size = sizeof(__u32) + input_byte();
	struct bpio_volume_info *info = calloc(1, size);

	if (!info)
		abort();
	info->size = size;
	if (!bpio_volume_info(volume, info) && size >= sizeof(*info))
		touch(info->storage_driver);
	free(info);
}

static void ask_library(void)
{
	struct bpio_verdict verdict = BPIO_VERDICT_INIT;
	struct bpio_file_info info;
	struct bpio_tally tally;

	bpio_enable(volume, BPIO_ARM, &verdict);
	touch_verdict(&verdict);
	bpio_enable_on(volume, volume, BPIO_ARM, &verdict);
	touch_verdict(&verdict);
	bpio_query_on(volume, -1, BPIO_SKIP_STORAGE, &verdict);
	touch_verdict(&verdict);
	bpio_query_fd(volume, 0, &verdict);
	touch_verdict(&verdict);
	bpio_resume(volume, &verdict);
	touch_verdict(&verdict);
	bpio_volume_resume(volume, &verdict);
	touch_verdict(&verdict);
	bpio_volume_enable(volume, &verdict);
	touch_verdict(&verdict);
	bpio_layer_foreach_on(volume, volume, &verdict, visit, NULL);
	touch_verdict(&verdict);
	bpio_file_info(volume, &info);
	bpio_node_tally(volume, &tally);
	ask_info();
}

static void print_layers(const struct command_line *line, FILE *nowhere)
{
	struct place place = {
		.path = "/dev/null", .is_device = true,
		.dev = makedev(MAJOR, MINOR),
	};
	struct report *report;
	struct layers layers;

	if (layers_ask(&place, volume, &layers))
		return;
	report = report_new(line);
	report_to(report, nowhere);
	verdict_report(report, &layers);
	layers_report_pauses(report, &layers);
	layers_report_objections(report, &layers, true);
	report_heading(report, "%s", verdict_phrase(&layers.verdict));
	report_finish(report, 0);
	layers_free(&layers);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct command_line line = { .verb = &verbs[VERB_STATE] };
	static FILE *nowhere;

	if (!nowhere) {
		nowhere = fopen("/dev/null", "we");
		volume = open("/dev/null", O_RDONLY | O_CLOEXEC);
	}
	input_begin(data, size);
	line.json = input_byte() & 1;
	if (input_byte() & 1)
		ask_library();
	else
		print_layers(&line, nowhere);
	return 0;
}
