// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "control.h"
#include "job.h"

#define WORD	sizeof(uint64_t)

void job_fill(const struct job *job)
{
	const size_t chunk = 1 << 20;
	uint64_t *words = scattered_memory(chunk);
	uint64_t done;
	size_t i;
	int fd = open(job->path, O_WRONLY | O_CREAT | O_DIRECT | O_CLOEXEC, 0600);

	if (fd < 0)
		die("%s: %s", job->path, strerror(errno));
	if (job->size % chunk)
		die("--fill wants a --size in whole MiB");
	for (done = 0; done < job->size; done += chunk) {
		for (i = 0; i < chunk / WORD; i++)
			words[i] = done + i * WORD;
		if (pwrite(fd, words, chunk, job->base + done) != (ssize_t)chunk)
			die("%s: write: %s", job->path, strerror(errno));
	}
	if (fsync(fd))
		die("%s: fsync: %s", job->path, strerror(errno));
	close(fd);
	munmap(words, chunk);
}

static void get_tally(const struct job *job, struct tally *tally)
{
	struct bpio_file_info file;
	struct fs_bpio_info volume;
	int ret = 0;

	memset(tally, 0, sizeof(*tally));
	if (job->expect == EXPECT_MAPPED) {
		ret = fs_info(job->volume_fd, &volume);
		tally->direct = volume.mapped_reads;
	} else if (job->volume) {
		ret = file_info(job->reader.fd, &file);
		tally->direct = file.direct_reads;
		tally->fallback = file.fallback_reads;
		tally->support = file.support;
		tally->extents = file.extents;
		memcpy(tally->reasons, file.fallback_reason,
		       sizeof(tally->reasons));
	}
	if (ret)
		die("%s: counters: %s", job->path, strerror(-ret));
}

/* Whether reads are served as the job expects. */
static bool is_ready(const struct job *job, const struct bpio_file_arm *arm)
{
	if (job->expect == EXPECT_UNCOUNTED)
		return arm->armed || arm->reason == BPIO_REASON_NOT_DIRECT;
	return arm->armed || job->expect == EXPECT_FALLBACK;
}

static void arm(const struct job *job)
{
	struct bpio_file_arm arm;
	int ret = file_arm(job->reader.fd, &arm);

	if (ret)
		die("%s: ARM: %s", job->path, strerror(-ret));
	if (!is_ready(job, &arm))
		die("%s: not armed: %s", job->path, reason_sentence(arm.reason));
}

/*
 * A file of very many extents is mapped in parts, each when a read needs it. Map all
 * of them. The file has no holes and is mapped from its start.
 */
static void map_all(const struct job *job)
{
	static char block[4096] __attribute__((aligned(4096)));
	struct bpio_file_info info;
	int ret;

	for (;;) {
		ret = file_info(job->reader.fd, &info);
		if (ret)
			die("%s: FILE_INFO: %s", job->path, strerror(-ret));
		if (info.mapped_bytes >= job->size)
			return;
		if (pread(job->reader.fd, block, sizeof(block),
			  info.mapped_bytes) < 0)
			die("%s: read: %s", job->path, strerror(errno));
		usleep(1000);
	}
}

static void storage(const struct job *job, uint32_t operation)
{
	struct bpio_output out;
	int ret = storage_op(job->volume_fd, operation, &out);

	if (!ret)
		ret = out.enable.op_status;
	if (ret)
		die("%s: storage operation %u: %s: %.*s", job->path, operation,
		    strerror(-ret), out.enable.failure_reason_len,
		    out.enable.failure_reason);
}

/* Device-mapper passes ioctls only to tables of a single line. */
static int enable_by_node(int fd)
{
	int node = node_open();
	int ret = node < 0 ? node : fs_enable(node, fd);

	close(node);
	return ret;
}

static void open_volume(struct job *job)
{
	const char *path = job->volume ? job->volume : job->path;
	int ret;

	job->volume_fd = open(path, O_RDONLY | O_CLOEXEC);
	if (job->volume_fd < 0)
		die("%s: %s", path, strerror(errno));
	if (!job->volume) {
		storage(job, BPIO_OP_ENABLE);
		return;
	}
	ret = fs_enable(job->volume_fd, job->reader.fd);
	if (ret == -ENOTTY)
		ret = enable_by_node(job->reader.fd);
	if (ret)
		die("%s: ENABLE: %s", job->path, strerror(-ret));
	if (job->arm)
		arm(job);
	if (job->arm && !job->verify)
		map_all(job);
}

void job_open(struct job *job)
{
	struct reader *reader = &job->reader;
	unsigned int i;

	/* passthrough uses a character device, which has no O_DIRECT */
	reader->fd = open(job->path, O_RDONLY | O_CLOEXEC |
			  (job->engine->direct ? O_DIRECT : 0));
	if (reader->fd < 0)
		die("%s: %s", job->path, strerror(errno));
	job->volume_fd = -1;
	if (job->volume || job->expect == EXPECT_MAPPED)
		open_volume(job);
	for (i = 0; i < reader->depth; i++)
		reader->buffers[i] = scattered_memory(reader->bs);
	job->offsets = calloc(job->reads, sizeof(*job->offsets));
	if (!job->offsets)
		die("no memory");
	job->engine->open(reader);
}

void job_close(struct job *job)
{
	job->engine->close(&job->reader);
	close(job->reader.fd);
	if (job->expect == EXPECT_MAPPED)
		storage(job, BPIO_OP_DISABLE);
}

/* Random offsets, in the same sequence in every run. */
static uint64_t next_random(void)
{
	static uint64_t state = 88172645463325252ULL;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static void choose_offsets(struct job *job)
{
	uint64_t blocks = job->size / job->reader.bs;
	unsigned int i;

	for (i = 0; i < job->reads; i++)
		job->offsets[i] = job->base +
				  next_random() % blocks * job->reader.bs;
}

static void verify(const struct job *job, const uint64_t *offsets)
{
	const struct reader *reader = &job->reader;
	uint64_t word, expected;
	unsigned int i;
	size_t at;

	for (i = 0; i < reader->depth; i++) {
		for (at = 0; at < reader->bs; at += WORD) {
			memcpy(&word, reader->buffers[i] + at, WORD);
			expected = offsets[i] - job->base + at;
			if (word != expected)
				die("%s: wrong bytes at offset %llu: %#llx, not %#llx",
				    job->path,
				    (unsigned long long)(offsets[i] + at),
				    (unsigned long long)word,
				    (unsigned long long)expected);
		}
		memset(reader->buffers[i], 0, reader->bs);
	}
}

static void fill_cache(struct job *job)
{
	uint64_t offset;

	for (offset = 0; offset < job->size; offset += job->reader.bs) {
		uint64_t where = job->base + offset;

		job->engine->read(&job->reader, &where);
	}
}

void job_warm_up(struct job *job)
{
	unsigned int batch, i;

	if (job->engine->cached)
		fill_cache(job);
	for (batch = 0; batch < 2; batch++) {
		choose_offsets(job);
		for (i = 0; i < job->reads; i += job->reader.depth) {
			job->engine->read(&job->reader, job->offsets + i);
			if (job->verify)
				verify(job, job->offsets + i);
		}
	}
}

void job_batch_begins(void)
{
	/* only its address matters; keep calls from being optimised away */
	asm volatile("");
}

static struct measurement measure_batches(struct job *job)
{
	double *costs = calloc(job->batches, sizeof(*costs));
	struct measurement result;
	unsigned int batch, i;
	uint64_t start;

	if (!costs)
		die("no memory");
	for (batch = 0; batch < job->batches; batch++) {
		choose_offsets(job);
		job_batch_begins();
		start = now();
		for (i = 0; i < job->reads; i += job->reader.depth)
			job->engine->read(&job->reader, job->offsets + i);
		costs[batch] = (double)(now() - start) / job->reads;
	}
	result = measure(costs, job->batches);
	free(costs);
	return result;
}

static void print_reasons(const struct tally *tally)
{
	uint32_t reason;

	for (reason = 0; reason < BPIO_REASON_COUNT; reason++)
		if (tally->reasons[reason])
			fprintf(stderr, "%llu reads: %s\n",
				(unsigned long long)tally->reasons[reason],
				reason_sentence(reason));
}

/* Check that the reads were served as expected, else the figure is invalid. */
static void judge(const struct job *job, const struct tally *tally)
{
	uint64_t all = (uint64_t)job->batches * job->reads;
	bool none = job->expect == EXPECT_UNCOUNTED;
	uint64_t direct = none || job->expect == EXPECT_FALLBACK ? 0 : all;
	uint64_t fallback = job->expect == EXPECT_FALLBACK ? all : 0;
	uint32_t support = job->expect == EXPECT_FULL ? BPIO_SUPPORT_FULL :
						       BPIO_SUPPORT_PARTIAL;

	if (job->expect == EXPECT_ANY)
		return;
	if (tally->direct != direct || tally->fallback != fallback) {
		print_reasons(tally);
		die("%s: of %llu reads %llu were direct and %llu fell back, not %llu and %llu",
		    job->path, (unsigned long long)all,
		    (unsigned long long)tally->direct,
		    (unsigned long long)tally->fallback,
		    (unsigned long long)direct, (unsigned long long)fallback);
	}
	if (direct && job->volume && tally->support != support)
		die("%s: support is %u, not %u", job->path, tally->support,
		    support);
}

struct measurement job_run(struct job *job, struct tally *tally)
{
	struct measurement result;
	struct tally before;
	unsigned int i;

	get_tally(job, &before);
	result = measure_batches(job);
	get_tally(job, tally);
	tally->direct -= before.direct;
	tally->fallback -= before.fallback;
	for (i = 0; i < BPIO_REASON_SLOTS; i++)
		tally->reasons[i] -= before.reasons[i];
	judge(job, tally);
	return result;
}
