// SPDX-License-Identifier: GPL-2.0-only
/*
 * The cost of opening a file, reading all of it once, and closing it.
 *
 * Prints the instructions, including those of kernel workers. Of a large file only
 * some pieces are read, spread over the whole file, and each omitted piece counts as
 * the median of those that were read. Costs of the file as a whole count once.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench.h"
#include "control.h"
#include "engine.h"
#include "stopwatch.h"

/* Number of reads that are timed together; a multiple of the depth. */
#define PIECE		128
/* Limits to what is read of a file. */
#define MAX_READS	8192
#define MAX_BYTES	(1ULL << 30)

static const char usage_text[] =
	"usage: oncebench [option]... FILE\n"
	"\n"
	"  --name NAME     what to call the figure\n"
	"  --engine E      how to read, one of:\n"
	"                  %s\n"
	"  --bs BYTES      bytes of one read (4K)\n"
	"  --depth N       reads in flight, submitted together (1)\n"
	"  --random        read the blocks in random order, each of them once\n"
	"  --enable        enable and arm FILE after it is opened\n"
	"  --batches N     how often, to take the median of\n";

/**
 * struct once - one figure
 * @name: its name in the output
 * @path: the file
 * @node: the control node to enable it, or -1
 * @random: read in random order
 * @batches: see struct measurement
 * @engine: how to read
 * @reader: for the engine
 * @depth: reads in flight, unless fewer are left
 * @reads: number of reads in the whole file
 * @pieces: number of pieces in the whole file
 * @measured: number of pieces that are read
 * @costs: the cost of each of them
 */
struct once {
	const char		*name;
	const char		*path;
	int			node;
	bool			random;
	unsigned int		batches;
	const struct engine	*engine;
	struct reader		reader;
	unsigned int		depth;
	uint64_t		reads;
	uint64_t		pieces;
	uint64_t		measured;
	double			*costs;
};

static uint64_t min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Returns each number below once->reads exactly once: a generator of full period. */
static uint64_t next_random(const struct once *once, uint64_t *state)
{
	uint64_t mask = 1;

	while (mask < once->reads)
		mask = mask << 1;
	do {
		*state = (*state * 1664525 + 1013904223) & (mask - 1);
	} while (*state >= once->reads);
	return *state;
}

static void prepare(struct once *once)
{
	struct reader *reader = &once->reader;
	struct stat file;
	unsigned int i;

	if (stat(once->path, &file))
		die("%s: %s", once->path, strerror(errno));
	if (!reader->bs || !file.st_size || file.st_size % reader->bs)
		die("%s: its size is no multiple of --bs %zu", once->path,
		    reader->bs);
	if (!once->depth || PIECE % once->depth ||
	    once->depth > once->engine->max_depth)
		die("--depth %u is not for engine %s", once->depth,
		    once->engine->name);
	once->reads = file.st_size / reader->bs;
	once->pieces = (once->reads + PIECE - 1) / PIECE;
	once->measured = min(once->pieces,
			     min(MAX_READS, MAX_BYTES / reader->bs) / PIECE);
	once->costs = calloc(once->measured, sizeof(*once->costs));
	if (!once->costs)
		die("no memory");
	for (i = 0; i < once->depth; i++)
		reader->buffers[i] = scattered_memory(reader->bs);
	reader->depth = once->depth;
	once->engine->open(reader);
	/* More for a small file, whose figure a timer tick would change. */
	if (!once->batches)
		once->batches = file.st_size < 4 << 20 ? 15 : 3;
}

static void read_piece(struct once *once, uint64_t first, uint64_t *state)
{
	uint64_t left = min(PIECE, once->reads - first);
	struct reader *reader = &once->reader;
	uint64_t offsets[ENGINE_MAX_DEPTH];
	unsigned int i;

	while (left) {
		reader->depth = min(once->depth, left);
		for (i = 0; i < reader->depth; i++)
			offsets[i] = reader->bs *
				     (once->random ? next_random(once, state) :
						     first++);
		once->engine->read(reader, offsets);
		left -= reader->depth;
	}
}

/* Return: the estimated cost of the pieces that were not read. */
static double read_file(struct once *once)
{
	uint64_t i, start, state = 0;

	for (i = 0; i < once->measured; i++) {
		start = now();
		read_piece(once, i * once->pieces / once->measured * PIECE,
			   &state);
		once->costs[i] = now() - start;
	}
	return (once->pieces - once->measured) *
	       measure(once->costs, once->measured).median;
}

static double read_once(struct once *once, double *waited)
{
	struct reader *reader = &once->reader;
	struct stopwatch watch;
	struct span span;
	double left_out;
	int ret = 0;

	stopwatch_start(&watch);
	reader->fd = open(once->path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (reader->fd < 0)
		die("%s: %s", once->path, strerror(errno));
	if (once->node >= 0)
		ret = node_enable(once->node, reader->fd);
	if (ret)
		die("%s: ENABLE with ARM: %s", once->path, strerror(-ret));
	left_out = read_file(once);
	close(reader->fd);
	span = stopwatch_stop(&watch);
	*waited = span.waited;
	return span.work + left_out;
}

/*
 * Some reads fall back while the file is still being mapped. If most do, the figure is
 * not one of bypass.
 */
static void judge(const struct once *once, const struct bpio_tally *tally)
{
	uint32_t reason;

	if (tally->direct_reads > tally->fallback_reads)
		return;
	for (reason = 0; reason < BPIO_REASON_COUNT; reason++)
		if (tally->fallback_reason[reason])
			fprintf(stderr, "%llu reads: %s\n",
				(unsigned long long)
					tally->fallback_reason[reason],
				reason_sentence(reason));
	die("%s: %llu reads were direct and %llu fell back", once->path,
	    (unsigned long long)tally->direct_reads,
	    (unsigned long long)tally->fallback_reads);
}

static void report(const struct once *once, const struct measurement *cost,
		   const struct measurement *waited)
{
	struct bpio_tally tally;
	char bs[24];
	int ret;

	print_bytes(once->reader.bs, bs);
	printf("{\"name\": \"%s/%s/%s/%u\", \"value\": %.0f, \"min\": %.0f, \"max\": %.0f, "
	       "\"unit\": \"instructions/file\", \"waited\": %.0f, "
	       "\"reads\": %llu, \"read\": %llu",
	       once->name, once->engine->name, bs, once->depth, cost->median,
	       cost->min, cost->max, waited->median,
	       (unsigned long long)once->reads,
	       (unsigned long long)min(once->reads, once->measured * PIECE));
	if (once->node >= 0) {
		ret = tally_read(once->node, &tally);
		if (ret)
			die("tally: %s", strerror(-ret));
		judge(once, &tally);
		printf(", \"direct\": %llu, \"fallback\": %llu",
		       (unsigned long long)tally.direct_reads,
		       (unsigned long long)tally.fallback_reads);
	}
	puts("}");
}

static void enable_all(struct once *once)
{
	once->node = node_open();
	if (once->node < 0)
		die("/dev/%s: %s", BPIO_NODE_NAME, strerror(-once->node));
}

static void set_option(struct once *once, int option)
{
	switch (option) {
	case 'n':
		once->name = optarg;
		break;
	case 'e':
		once->engine = engine_find(optarg);
		break;
	case 'b':
		once->reader.bs = parse_bytes("--bs", optarg);
		break;
	case 'd':
		once->depth = parse_bytes("--depth", optarg);
		break;
	case 'r':
		once->random = true;
		break;
	case 'E':
		enable_all(once);
		break;
	case 'B':
		once->batches = parse_bytes("--batches", optarg);
		break;
	default:
		fprintf(option == 'h' ? stdout : stderr, usage_text,
			engine_names());
		exit(option == 'h' ? 0 : 2);
	}
}

static void parse(struct once *once, int argc, char **argv)
{
	static const struct option options[] = {
		{ "name", required_argument, NULL, 'n' },
		{ "engine", required_argument, NULL, 'e' },
		{ "bs", required_argument, NULL, 'b' },
		{ "depth", required_argument, NULL, 'd' },
		{ "random", no_argument, NULL, 'r' },
		{ "enable", no_argument, NULL, 'E' },
		{ "batches", required_argument, NULL, 'B' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	int option;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1)
		set_option(once, option);
	if (optind != argc - 1)
		die("one FILE is needed; see --help");
	once->path = argv[optind];
}

int main(int argc, char **argv)
{
	struct once once = {
		.name = "once",
		.node = -1,
		.depth = 1,
		.engine = engine_find("pread"),
		.reader = { .bs = 4096, .fd = -1 },
	};
	struct measurement cost, waited;
	double *costs, *waits, ignored;
	unsigned int i;

	parse(&once, argc, argv);
	prepare(&once);
	costs = calloc(once.batches, sizeof(*costs));
	waits = calloc(once.batches, sizeof(*waits));
	if (!costs || !waits)
		die("no memory");
	/* Once in advance, so that inode, extents and pools are in memory. */
	read_once(&once, &ignored);
	for (i = 0; i < once.batches; i++)
		costs[i] = read_once(&once, &waits[i]);
	cost = measure(costs, once.batches);
	waited = measure(waits, once.batches);
	report(&once, &cost, &waited);
	return 0;
}
