// SPDX-License-Identifier: GPL-2.0-only
/*
 * The cost of operations of BypassIO other than reads: ENABLE and close, QUERY,
 * GET_INFO, arming, mapping more of a file, revoking a file and arming it again after
 * a writer, suspending the volume, and the memory of an enabled file.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <libgen.h>
#include <linux/dm-ioctl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench.h"
#include "control.h"
#include "crowd.h"
#include "stopwatch.h"

/* Room for more layers than any stack has. */
#define MAX_LAYERS	64

/**
 * struct place - where an operation is sent
 * @volume: the mapped device
 * @node: the control node
 * @mapper: device-mapper's control node, to suspend the volume
 * @name: name of the volume for @mapper
 * @path: path of a file on the volume
 * @file: the file, open with O_RDONLY | O_DIRECT
 * @bytes: size of the file
 * @extents: extents that the last operation mapped
 * @before: bytes of kernel memory in use before; 0 when no longer needed
 * @memory: bytes of kernel memory for an armed file
 * @crowd: other files on the volume that are enabled too
 */
struct place {
	int		volume;
	int		node;
	int		mapper;
	char		name[DM_NAME_LEN];
	const char	*path;
	int		file;
	uint64_t	bytes;
	uint64_t	extents;
	int64_t		before;
	int64_t		memory;
	struct crowd	crowd;
};

/**
 * struct operation - one kind of figure
 * @name: as on the command line
 * @prepare: called before each run; not part of the figure
 * @run: do it once, or die
 * @undo: undo it; not part of the figure
 * @armed: needs the file enabled and armed
 * @waits: it waits for ticks, grace periods or kernel workers, so the figure is the CPU
 *	time of the process and of such workers
 * @per_block: also give the figure per block of 4 KiB of the file
 * @per_extent: also give the figure per extent that was mapped
 */
struct operation {
	const char	*name;
	void		(*prepare)(struct place *place);
	void		(*run)(struct place *place);
	void		(*undo)(struct place *place);
	bool		armed;
	bool		waits;
	bool		per_block;
	bool		per_extent;
};

static void open_file(struct place *place)
{
	place->file = open(place->path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (place->file < 0)
		die("%s: %s", place->path, strerror(errno));
}

static void close_file(struct place *place)
{
	close(place->file);
	place->file = -1;
}

static void enable(const struct place *place)
{
	int ret = fs_enable(place->volume, place->file);

	if (ret)
		die("%s: ENABLE: %s", place->path, strerror(-ret));
}

static void arm(struct place *place)
{
	struct bpio_file_arm arm;
	int ret = file_arm(place->file, &arm);

	if (ret)
		die("%s: ARM: %s", place->path, strerror(-ret));
	if (!arm.armed)
		die("%s: not armed: %s", place->path,
		    reason_sentence(arm.reason));
	place->extents = arm.extents;
}

static void run_enable_close(struct place *place)
{
	enable(place);
	close_file(place);
}

/* For comparison: close a file that is not enabled. */
static void run_close(struct place *place)
{
	close_file(place);
}

/* All three, as programs do them. */
static void run_enable_arm_close(struct place *place)
{
	int ret = node_enable(place->node, place->file);

	if (ret)
		die("%s: ENABLE with ARM: %s", place->path, strerror(-ret));
	close_file(place);
}

static void run_get_info(struct place *place)
{
	struct fs_bpio_info info;
	int ret = fs_info(place->volume, &info);

	if (ret)
		die("%s: GET_INFO: %s", place->path, strerror(-ret));
}

static void run_query(struct place *place)
{
	struct fs_bpio_output out;
	int ret = fs_op(place->volume, FS_BPIO_OP_QUERY, place->file, &out);

	if (ret)
		die("%s: QUERY: %s", place->path, strerror(-ret));
	if (out.support == BPIO_SUPPORT_NONE)
		die("%s: QUERY: %.*s", place->path, out.query.failure_reason_len,
		    out.query.failure_reason);
}

static void run_query_layers(struct place *place)
{
	static union {
		struct fs_bpio_stack	stack;
		char			room[sizeof(struct fs_bpio_stack) +
			MAX_LAYERS * sizeof(struct bpio_layer_info)];
	} answer;
	struct fs_bpio_input in = {
		.operation = FS_BPIO_OP_QUERY,
		.in_flags = FS_BPIO_INFL_ALL_LAYERS,
		.fd = place->file,
	};
	struct bpio_ioctl envelope = {
		.size = sizeof(envelope),
		.in_buffer = (uintptr_t)&in,
		.out_buffer = (uintptr_t)&answer,
		.in_length = sizeof(in),
		.out_length = sizeof(answer),
	};

	if (ioctl(place->volume, FSCTL_MANAGE_BYPASS_IO, &envelope))
		die("%s: QUERY of all layers: %s", place->path, strerror(errno));
	if (!answer.stack.written || answer.stack.written != answer.stack.layers)
		die("%s: QUERY told of %u of %u layers", place->path,
		    answer.stack.written, answer.stack.layers);
}

static void write_open(const struct place *place)
{
	int fd = open(place->path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		die("%s: %s", place->path, strerror(errno));
	close(fd);
}

/* Open the file for writing and close it; then arm it again. */
static void run_writer(struct place *place)
{
	write_open(place);
	arm(place);
}

static uint64_t mapped_bytes(const struct place *place, uint64_t *extents)
{
	struct bpio_file_info info;
	int ret = file_info(place->file, &info);

	if (ret)
		die("%s: FILE_INFO: %s", place->path, strerror(-ret));
	*extents = info.extents;
	return info.mapped_bytes;
}

/*
 * Read behind the end of the map, and wait until the worker has mapped more. The file
 * has no holes and is mapped from its start.
 */
static void run_grow(struct place *place)
{
	static char block[4096] __attribute__((aligned(4096)));
	uint64_t before, extents, end = mapped_bytes(place, &before);

	if (end == place->bytes)
		die("%s: nothing is left to be mapped", place->path);
	if (pread(place->file, block, sizeof(block), end) != sizeof(block))
		die("%s: read at %llu failed", place->path,
		    (unsigned long long)end);
	while (mapped_bytes(place, &extents) == end)
		usleep(1000);
	place->extents = extents - before;
}

static void suspend(const struct place *place, uint32_t flags)
{
	struct dm_ioctl arguments = {
		.version = { DM_VERSION_MAJOR, 0, 0 },
		.data_size = sizeof(arguments),
		.flags = flags,
	};

	memcpy(arguments.name, place->name, sizeof(place->name));
	if (ioctl(place->mapper, DM_DEV_SUSPEND, &arguments))
		die("%s: suspend or resume: %s", place->name, strerror(errno));
}

static void run_suspend_resume(struct place *place)
{
	suspend(place, DM_SUSPEND_FLAG);
	suspend(place, 0);
}

/* Bytes of memory that the kernel has allocated for itself. */
static int64_t kernel_memory(void)
{
	FILE *meminfo = fopen("/proc/meminfo", "re");
	long long kib, sum = 0;
	char line[128];

	if (!meminfo)
		die("/proc/meminfo: %s", strerror(errno));
	while (fgets(line, sizeof(line), meminfo))
		if (sscanf(line, "SUnreclaim: %lld", &kib) == 1 ||
		    sscanf(line, "VmallocUsed: %lld", &kib) == 1 ||
		    sscanf(line, "Percpu: %lld", &kib) == 1)
			sum += kib << 10;
	fclose(meminfo);
	return sum;
}

/* Enable the first open file of an inode, and wait until its reads go direct. */
static void run_arm(struct place *place)
{
	enable(place);
	arm(place);
}

static void undo_arm(struct place *place)
{
	/* only the first time, because memory is freed some time after the close */
	if (place->before)
		place->memory = kernel_memory() - place->before;
	place->before = 0;
	close_file(place);
}

/* For comparison: the same writer where nothing is enabled. */
static void run_plain_writer(struct place *place)
{
	write_open(place);
}

static const struct operation operations[] = {
	{ .name = "close", .prepare = open_file, .run = run_close,
	  .waits = true },
	{ .name = "enable-close", .prepare = open_file,
	  .run = run_enable_close, .waits = true },
	{ .name = "enable-arm-close", .prepare = open_file,
	  .run = run_enable_arm_close, .waits = true },
	{ .name = "query", .run = run_query },
	{ .name = "query-layers", .run = run_query_layers },
	{ .name = "get-info", .run = run_get_info },
	{ .name = "arm", .prepare = open_file, .run = run_arm,
	  .undo = undo_arm, .waits = true, .per_block = true,
	  .per_extent = true },
	{ .name = "grow", .run = run_grow, .armed = true, .waits = true,
	  .per_extent = true },
	{ .name = "suspend-resume", .run = run_suspend_resume, .armed = true,
	  .waits = true },
	{ .name = "open-write", .run = run_plain_writer },
	{ .name = "open-write-rearm", .run = run_writer, .armed = true,
	  .waits = true },
};

static const struct operation *find(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(operations); i++)
		if (!strcmp(operations[i].name, name))
			return &operations[i];
	die("no operation '%s'; see --help", name);
}

static void usage(FILE *to)
{
	size_t i;

	fputs("usage: opbench [option]... OPERATION DEVICE FILE\n"
	      "\n"
	      "Does OPERATION with FILE on the volume DEVICE and prints what one costs.\n"
	      "  --name NAME    what to call the figure\n"
	      "  --batches N    how often, to take the median of (31)\n"
	      "  --warm-up N    how often before that (3)\n"
	      "  --beside N     while N other files, made beside FILE, are enabled\n"
	      "Operations:\n"
	      "  memory         none: prints the bytes that each of these files takes\n",
	      to);
	for (i = 0; i < ARRAY_SIZE(operations); i++)
		fprintf(to, "  %s\n", operations[i].name);
}

static void open_volume(struct place *place, const char *device)
{
	char *copy = strdup(device);

	if (!copy)
		die("no memory");
	snprintf(place->name, sizeof(place->name), "%s", basename(copy));
	free(copy);
	place->volume = open(device, O_RDONLY | O_CLOEXEC);
	if (place->volume < 0)
		die("%s: %s", device, strerror(errno));
	place->mapper = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
	if (place->mapper < 0)
		die("/dev/mapper/control: %s", strerror(errno));
	place->node = node_open();
	if (place->node < 0)
		die("/dev/%s: %s", BPIO_NODE_NAME, strerror(-place->node));
}

static void open_place(struct place *place, const struct operation *operation)
{
	struct stat file;

	if (stat(place->path, &file))
		die("%s: %s", place->path, strerror(errno));
	place->bytes = file.st_size;
	crowd_enable(&place->crowd, place->node);
	if (!operation->prepare)
		open_file(place);
	if (operation->armed) {
		enable(place);
		arm(place);
	}
	place->before = kernel_memory();
}

static unsigned int parse_count(const char *option, const char *text)
{
	uint64_t count = parse_bytes(option, text);

	if (count > 1000000)
		die("%s wants a smaller number than '%s'", option, text);
	return count;
}

static void report(const char *name, const struct operation *operation,
		   const struct place *place, const struct measurement *result,
		   const struct measurement *waited)
{
	printf("{\"name\": \"%s\", \"value\": %.0f, \"min\": %.0f, \"max\": %.0f, "
	       "\"unit\": \"instructions/call\", \"calls\": %u",
	       name, result->median, result->min, result->max, result->batches);
	if (operation->waits)
		printf(", \"waited\": %.0f", waited->median);
	if (operation->per_block)
		printf(", \"per_block\": %.2f, \"memory\": %lld",
		       result->median * 4096 / place->bytes,
		       (long long)place->memory);
	if (operation->per_extent)
		printf(", \"extents\": %llu, \"per_extent\": %.1f",
		       (unsigned long long)place->extents,
		       result->median / place->extents);
	puts("}");
}

static struct span run_once(struct place *place,
			    const struct operation *operation)
{
	struct stopwatch watch;
	struct span span = { };
	uint64_t start;

	if (operation->waits) {
		stopwatch_start(&watch);
		operation->run(place);
		return stopwatch_stop(&watch);
	}
	start = now();
	operation->run(place);
	span.work = now() - start;
	return span;
}

static void measure_operation(struct place *place,
			      const struct operation *operation,
			      const char *name, unsigned int batches,
			      unsigned int warm_up)
{
	double *costs = calloc(batches, sizeof(*costs));
	double *waits = calloc(batches, sizeof(*waits));
	struct measurement cost, waited;
	struct span span;
	unsigned int i;

	if (!costs || !waits)
		die("no memory");
	open_place(place, operation);
	for (i = 0; i < warm_up + batches; i++) {
		if (operation->prepare)
			operation->prepare(place);
		span = run_once(place, operation);
		if (i >= warm_up) {
			costs[i - warm_up] = span.work;
			waits[i - warm_up] = span.waited;
		}
		if (operation->undo)
			operation->undo(place);
	}
	cost = measure(costs, batches);
	waited = measure(waits, batches);
	report(name ? name : operation->name, operation, place, &cost, &waited);
}

static void measure_memory(const struct place *place, const char *name)
{
	int64_t before = kernel_memory();

	if (!place->crowd.count)
		die("memory needs --beside");
	crowd_enable(&place->crowd, place->node);
	printf("{\"name\": \"%s\", \"value\": %.0f, \"unit\": \"bytes/file\", "
	       "\"files\": %u}\n", name ? name : "memory",
	       (double)(kernel_memory() - before) / place->crowd.count,
	       place->crowd.count);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "name", required_argument, NULL, 'n' },
		{ "batches", required_argument, NULL, 'B' },
		{ "warm-up", required_argument, NULL, 'w' },
		{ "beside", required_argument, NULL, 'b' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	unsigned int batches = 31, warm_up = 3, beside = 0;
	struct place place = { .file = -1 };
	const char *name = NULL;
	int option;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (option) {
		case 'n':
			name = optarg;
			break;
		case 'B':
			batches = parse_count("--batches", optarg);
			break;
		case 'w':
			warm_up = parse_count("--warm-up", optarg);
			break;
		case 'b':
			beside = parse_count("--beside", optarg);
			break;
		default:
			usage(option == 'h' ? stdout : stderr);
			return option == 'h' ? 0 : 2;
		}
	}
	if (optind != argc - 3 || !batches)
		die("OPERATION, DEVICE and FILE are needed; see --help");
	open_volume(&place, argv[optind + 1]);
	place.path = argv[optind + 2];
	crowd_open(&place.crowd, place.path, beside);
	if (!strcmp(argv[optind], "memory"))
		measure_memory(&place, name);
	else
		measure_operation(&place, find(argv[optind]), name, batches,
				  warm_up);
	return 0;
}
