// SPDX-License-Identifier: GPL-2.0-only
/*
 * The cost of one read.
 *
 * Reads blocks at random offsets of a file, enabled or not, or of a device, and
 * prints the cost of one read in nanoseconds, which in a guest that
 * counts instructions are instructions. It is an error if a read of the measured
 * loop was served in another way than expected.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "engine.h"
#include "job.h"

static const char usage_text[] =
	"usage: readbench [option]... PATH\n"
	"\n"
	"  --name NAME     what to call the figure\n"
	"  --engine E      how to read, one of:\n"
	"                  %s\n"
	"  --bs BYTES      bytes of one read (4K)\n"
	"  --depth N       reads in flight, submitted together (1)\n"
	"  --size BYTES    range of PATH to read at random (64M)\n"
	"  --base BYTES    where that range starts (0)\n"
	"  --lba BYTES     logical block of an NVMe character device (4K)\n"
	"  --batches N     batches to take the median of\n"
	"  --reads N       reads of one batch, a multiple of the depth\n"
	"  --volume DEVICE enable PATH, a file on this volume\n"
	"  --expect E      fail unless all reads were served like this: full or partial\n"
	"                  (direct), fallback, uncounted (without O_DIRECT), mapped (PATH\n"
	"                  is a volume, which is sent BPIO_OP_ENABLE), any (count only)\n"
	"  --no-arm        do not wait for the file to be armed, do not warm up\n"
	"  --blank         the range was not filled: do not look at its bytes\n"
	"  --fill          fill the range instead of reading it\n";

static unsigned int parse_count(const char *option, const char *text)
{
	uint64_t count = parse_bytes(option, text);

	if (!count || count > 1 << 24)
		die("%s wants a number from 1 to 16M, not '%s'", option, text);
	return count;
}

static enum expect parse_expect(const char *text)
{
	static const char *const names[] = {
		[EXPECT_ANY] = "any",
		[EXPECT_FULL] = "full",
		[EXPECT_PARTIAL] = "partial",
		[EXPECT_FALLBACK] = "fallback",
		[EXPECT_UNCOUNTED] = "uncounted",
		[EXPECT_MAPPED] = "mapped",
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(names[i], text))
			return i;
	die("--expect wants full, partial, fallback, uncounted, mapped or any, not '%s'",
	    text);
}

static void set_read_option(struct job *job, int option)
{
	switch (option) {
	case 'e':
		job->engine = engine_find(optarg);
		break;
	case 'b':
		job->reader.bs = parse_bytes("--bs", optarg);
		break;
	case 'd':
		job->reader.depth = parse_count("--depth", optarg);
		break;
	case 's':
		job->size = parse_bytes("--size", optarg);
		break;
	case 'o':
		job->base = parse_bytes("--base", optarg);
		break;
	case 'l':
		job->reader.lba = parse_bytes("--lba", optarg);
		break;
	case 'B':
		job->batches = parse_count("--batches", optarg);
		break;
	case 'r':
		job->reads = parse_count("--reads", optarg);
		break;
	}
}

static void set_option(struct job *job, int option, bool *fill)
{
	switch (option) {
	case 'n':
		job->name = optarg;
		break;
	case 'v':
		job->volume = optarg;
		break;
	case 'x':
		job->expect = parse_expect(optarg);
		break;
	case 'a':
		job->arm = false;
		break;
	case 'k':
		job->verify = false;
		break;
	case 'f':
		*fill = true;
		break;
	case 'h':
		printf(usage_text, engine_names());
		exit(0);
	case '?':
		fprintf(stderr, usage_text, engine_names());
		exit(2);
	default:
		set_read_option(job, option);
	}
}

/*
 * A batch must be shorter than a timer tick, so that the median contains none, and long
 * enough to include work that is done only every few reads.
 */
static void choose_counts(struct job *job)
{
	unsigned int depth = job->reader.depth;
	uint64_t batches;

	if (!job->reads) {
		job->reads = (512 << 10) / job->reader.bs;
		if (job->reads > 128)
			job->reads = 128;
		job->reads = (job->reads + depth - 1) / depth * depth;
		if (!job->reads)
			job->reads = depth;
	}
	if (!job->batches) {
		batches = (256ULL << 20) / (job->reads * job->reader.bs);
		job->batches = batches > 63 ? 63 : batches < 15 ? 15 : batches;
	}
}

static void check(const struct job *job)
{
	const struct reader *reader = &job->reader;
	bool mapped = job->expect == EXPECT_MAPPED;
	bool any = job->expect == EXPECT_ANY;

	if (reader->depth > job->engine->max_depth)
		die("engine %s takes a depth of %u at most, not %u",
		    job->engine->name, job->engine->max_depth, reader->depth);
	if (job->reads % reader->depth)
		die("--reads %u is not a multiple of --depth %u", job->reads,
		    reader->depth);
	if (!reader->bs || reader->bs % 512 || job->size < reader->bs)
		die("--bs %zu is not a multiple of 512 or larger than --size",
		    reader->bs);
	if (!any && mapped == !!job->volume)
		die("--volume and --expect do not go together like this");
}

static void parse(struct job *job, int argc, char **argv, bool *fill)
{
	static const struct option options[] = {
		{ "name", required_argument, NULL, 'n' },
		{ "engine", required_argument, NULL, 'e' },
		{ "bs", required_argument, NULL, 'b' },
		{ "depth", required_argument, NULL, 'd' },
		{ "size", required_argument, NULL, 's' },
		{ "base", required_argument, NULL, 'o' },
		{ "lba", required_argument, NULL, 'l' },
		{ "batches", required_argument, NULL, 'B' },
		{ "reads", required_argument, NULL, 'r' },
		{ "volume", required_argument, NULL, 'v' },
		{ "expect", required_argument, NULL, 'x' },
		{ "no-arm", no_argument, NULL, 'a' },
		{ "blank", no_argument, NULL, 'k' },
		{ "fill", no_argument, NULL, 'f' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	int option;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1)
		set_option(job, option, fill);
	if (optind != argc - 1)
		die("one PATH is needed; see --help");
	job->path = argv[optind];
	choose_counts(job);
	check(job);
}

static void report(const struct job *job, const struct measurement *result,
		   const struct tally *tally)
{
	char bs[24];

	print_bytes(job->reader.bs, bs);
	printf("{\"name\": \"%s/%s/%s/%u\", \"value\": %.2f, \"min\": %.2f, \"max\": %.2f, "
	       "\"unit\": \"instructions/read\", \"reads\": %llu",
	       job->name, job->engine->name, bs, job->reader.depth,
	       result->median, result->min, result->max,
	       (unsigned long long)job->batches * job->reads);
	if (job->volume)
		printf(", \"direct\": %llu, \"fallback\": %llu, "
		       "\"support\": \"%s\", \"extents\": %llu",
		       (unsigned long long)tally->direct,
		       (unsigned long long)tally->fallback,
		       tally->support == 2 ? "full" :
		       tally->support == 1 ? "partial" : "none",
		       (unsigned long long)tally->extents);
	puts("}");
}

int main(int argc, char **argv)
{
	struct job job = {
		.name = "read",
		.size = 64 << 20,
		.arm = true,
		.verify = true,
		.engine = engine_find("pread"),
		.reader = { .bs = 4096, .depth = 1, .lba = 4096 },
	};
	struct measurement result;
	struct tally tally;
	bool fill = false;

	parse(&job, argc, argv, &fill);
	if (fill) {
		job_fill(&job);
		return 0;
	}
	job_open(&job);
	if (job.arm)
		job_warm_up(&job);
	result = job_run(&job, &tally);
	report(&job, &result, &tally);
	job_close(&job);
	return 0;
}
