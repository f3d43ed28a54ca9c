// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the operations of BypassIO cost, apart from reading: ENABLE and close,
 * QUERY, GET_INFO, arming, and giving up and coming back when a writer was there.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "control.h"

/* Room for a stack of more layers than anybody has. */
#define MAX_LAYERS	64

/**
 * struct place - where an operation is sent
 * @volume: the mapped device
 * @node: the control node
 * @path: name of a file of the volume
 * @file: the file, open as bypass wants it
 * @bytes: size of the file
 * @extents: of the map, as last armed
 * @before: bytes of the kernel that were in use; 0 when no longer needed
 * @memory: those that being armed takes
 */
struct place {
	int		volume;
	int		node;
	const char	*path;
	int		file;
	uint64_t	bytes;
	uint64_t	extents;
	int64_t		before;
	int64_t		memory;
};

/**
 * struct operation - one kind of figure
 * @name: as on the command line
 * @prepare: before each time, not part of the figure
 * @run: do it once, or die
 * @undo: what it leaves, not part of the figure
 * @armed: needs the file enabled and armed
 * @waits: for ticks, grace periods or a worker of the kernel: what counts is what
 *	the process and such workers work
 * @per_block: the figure is for each block of 4 KiB of the file too
 */
struct operation {
	const char	*name;
	void		(*prepare)(struct place *place);
	void		(*run)(struct place *place);
	void		(*undo)(struct place *place);
	bool		armed;
	bool		waits;
	bool		per_block;
};

/**
 * struct stopwatch - when an operation began
 * @time: of the clock that counts
 * @workers: what the workers of the kernel had worked
 */
struct stopwatch {
	uint64_t	time;
	uint64_t	workers;
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

/* For comparison: the same where nothing is enabled. */
static void run_close(struct place *place)
{
	close_file(place);
}

static void run_enable_node(struct place *place)
{
	int ret = node_enable(place->node, place->file);

	if (ret)
		die("%s: ENABLE with ARM: %s", place->path, strerror(-ret));
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

/* A writer that comes and goes; the file is armed again afterwards. */
static void run_writer(struct place *place)
{
	write_open(place);
	arm(place);
}

/* Bytes that the kernel has allocated for itself. */
static int64_t kernel_memory(void)
{
	FILE *meminfo = fopen("/proc/meminfo", "re");
	long long kib, sum = 0;
	char line[128];

	if (!meminfo)
		die("/proc/meminfo: %s", strerror(errno));
	while (fgets(line, sizeof(line), meminfo))
		if (sscanf(line, "SUnreclaim: %lld", &kib) == 1 ||
		    sscanf(line, "VmallocUsed: %lld", &kib) == 1)
			sum += kib << 10;
	fclose(meminfo);
	return sum;
}

/* Nanoseconds that this process was on a processor; to ask takes a system call. */
static uint64_t process_worked(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* The first word of a file of a process, or nothing when there is none now. */
static void read_word(const char *pid, const char *file, char *word, size_t size)
{
	char path[64];
	FILE *stream;

	*word = '\0';
	snprintf(path, sizeof(path), "/proc/%.16s/%s", pid, file);
	stream = fopen(path, "re");
	if (!stream)
		return;
	if (fgets(word, size, stream))
		strtok(word, "\n ");
	fclose(stream);
}

/* Nanoseconds that all workers of the kernel were. */
static uint64_t workers_worked(void)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	uint64_t sum = 0;
	char word[64];

	if (!proc)
		die("/proc: %s", strerror(errno));
	while ((entry = readdir(proc))) {
		if (*entry->d_name < '1' || *entry->d_name > '9')
			continue;
		read_word(entry->d_name, "comm", word, sizeof(word));
		if (strncmp(word, "kworker/", 8))
			continue;
		read_word(entry->d_name, "schedstat", word, sizeof(word));
		sum += strtoull(word, NULL, 10);
	}
	closedir(proc);
	return sum;
}

static void start_clock(struct stopwatch *watch, const struct operation *operation)
{
	watch->workers = operation->waits ? workers_worked() : 0;
	watch->time = operation->waits ? process_worked() : now();
}

static uint64_t stop_clock(const struct stopwatch *watch,
			   const struct operation *operation)
{
	uint64_t time = operation->waits ? process_worked() : now();

	time -= watch->time;
	return operation->waits ? time + workers_worked() - watch->workers : time;
}

/* The first open file that is enabled, until its reads go direct. */
static void run_arm(struct place *place)
{
	enable(place);
	arm(place);
}

static void undo_arm(struct place *place)
{
	/* only the first time: memory is given back some time after the close */
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
	{ .name = "enable-arm-node", .prepare = open_file,
	  .run = run_enable_node, .undo = close_file, .waits = true },
	{ .name = "query", .run = run_query },
	{ .name = "query-layers", .run = run_query_layers },
	{ .name = "get-info", .run = run_get_info },
	{ .name = "arm", .prepare = open_file, .run = run_arm,
	  .undo = undo_arm, .waits = true, .per_block = true },
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

	fputs("usage: opbench [--name NAME] [--batches N] [--warm-up N] OPERATION DEVICE FILE\n"
	      "\n"
	      "Does OPERATION with FILE on the volume DEVICE and prints what one costs.\n"
	      "Operations:\n", to);
	for (i = 0; i < ARRAY_SIZE(operations); i++)
		fprintf(to, "  %s\n", operations[i].name);
}

static struct place open_place(const char *device, const char *path,
			       const struct operation *operation)
{
	struct place place = { .path = path, .file = -1 };
	struct stat file;

	place.volume = open(device, O_RDONLY | O_CLOEXEC);
	if (place.volume < 0)
		die("%s: %s", device, strerror(errno));
	place.node = node_open();
	if (place.node < 0)
		die("/dev/%s: %s", BPIO_NODE_NAME, strerror(-place.node));
	if (stat(path, &file))
		die("%s: %s", path, strerror(errno));
	place.bytes = file.st_size;
	if (!operation->prepare)
		open_file(&place);
	if (operation->armed) {
		enable(&place);
		arm(&place);
	}
	place.before = kernel_memory();
	return place;
}

static unsigned int parse_count(const char *option, const char *text)
{
	uint64_t count = parse_bytes(option, text);

	if (count > 1000000)
		die("%s wants a smaller number than '%s'", option, text);
	return count;
}

static void report(const char *name, const struct operation *operation,
		   const struct place *place, const struct measurement *result)
{
	printf("{\"name\": \"%s\", \"value\": %.0f, \"min\": %.0f, \"max\": %.0f, "
	       "\"unit\": \"instructions/call\", \"calls\": %u",
	       name, result->median, result->min, result->max, result->batches);
	if (operation->per_block)
		printf(", \"extents\": %llu, \"per_block\": %.2f, "
		       "\"per_extent\": %.1f, \"memory\": %lld",
		       (unsigned long long)place->extents,
		       result->median * 4096 / place->bytes,
		       result->median / place->extents,
		       (long long)place->memory);
	puts("}");
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "name", required_argument, NULL, 'n' },
		{ "batches", required_argument, NULL, 'B' },
		{ "warm-up", required_argument, NULL, 'w' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	unsigned int batches = 31, warm_up = 3, i;
	const struct operation *operation;
	struct measurement result;
	struct place place;
	const char *name = NULL;
	struct stopwatch watch;
	double *costs;
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
		default:
			usage(option == 'h' ? stdout : stderr);
			return option == 'h' ? 0 : 2;
		}
	}
	if (optind != argc - 3 || !batches)
		die("OPERATION, DEVICE and FILE are needed; see --help");
	operation = find(argv[optind]);
	place = open_place(argv[optind + 1], argv[optind + 2], operation);
	costs = calloc(batches, sizeof(*costs));
	if (!costs)
		die("no memory");
	for (i = 0; i < warm_up + batches; i++) {
		if (operation->prepare)
			operation->prepare(&place);
		start_clock(&watch, operation);
		operation->run(&place);
		if (i >= warm_up)
			costs[i - warm_up] = stop_clock(&watch, operation);
		if (operation->undo)
			operation->undo(&place);
	}
	result = measure(costs, batches);
	report(name ? name : operation->name, operation, &place, &result);
	return 0;
}
