// SPDX-License-Identifier: GPL-2.0-only
/*
 * The options, the threads, and the verdict in the end.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "control.h"
#include "shares.h"
#include "stress.h"

/* How often to print progress; how long a read or a thread may take to end. */
#define SAY_MS		5000
#define STANDSTILL_MS	60000
/* How much longer a slow machine may need until the run proves something. */
#define LONGER_MS	90000
/* Percentage of direct reads to aim for, by changing files less or more often. */
#define SHARE_WANTED	65
#define MOST_PACE_MS	10000
/* The percentage of fewer reads means nothing. */
#define PACE_READS	50

static const struct {
	void		*(*run)(void *name);
	const char	*name;
} threads[] = {
	{ read_pread, "pread" },
	{ read_pread, "pread too" },
	{ read_uring, "io_uring" },
	{ read_polled, "io_uring polled" },
	{ read_aio, "libaio" },
	{ read_mapping, "mapping" },
	{ change_files, "changer" },
	{ change_files, "second changer" },
	{ change_by_open, "truncation" },
	{ change_stack, "stack" },
	{ change_policy, "policy" },
	{ hold_leases, "leases" },
	{ fork_beside_reads, "fork" },
};

#define THREADS (sizeof(threads) / sizeof(*threads))

static unsigned int percent(uint64_t part, uint64_t rest_of_it)
{
	return part + rest_of_it ? part * 100 / (part + rest_of_it) : 0;
}

/*
 * Change files more often while there are many direct reads, less often while there
 * are few. Returns false if there are too few reads yet, as may be within a second on
 * a slow machine.
 */
static bool keep_pace(uint64_t direct, uint64_t fallback)
{
	unsigned int share = percent(direct, fallback), pace = stress.pace_ms;

	if (direct + fallback < PACE_READS)
		return false;
	if (share < SHARE_WANTED - 5)
		pace = pace * 3 / 2;
	else if (share > SHARE_WANTED + 5)
		pace = pace * 3 / 4;
	stress.pace_ms = pace < 20 ? 20 : pace > MOST_PACE_MS ? MOST_PACE_MS : pace;
	return true;
}

static void say_progress(uint64_t direct, uint64_t fallback)
{
	struct counters *c = &stress.counters;

	diag("%llu s: %llu reads, %u %% direct, %llu changes, %llu suspends, "
	     "%llu reloads, %llu violations (pace %u ms)",
	     (unsigned long long)elapsed_ms() / 1000,
	     (unsigned long long)(direct + fallback), percent(direct, fallback),
	     (unsigned long long)c->changes, (unsigned long long)c->suspends,
	     (unsigned long long)c->reloads, (unsigned long long)c->violations,
	     stress.pace_ms);
}

/* Sums may drop: they lack reads of a replaced file until its last holder puts it. */
static uint64_t progress(uint64_t now, uint64_t last)
{
	return now > last ? now - last : 0;
}

/* The reason for a failure, or NULL. */
static const char *judge(uint64_t direct, uint64_t fallback)
{
	struct counters *c = &stress.counters;

	if (c->violations)
		return "reads were wrong";
	if (stress.broken)
		return "it could not go on";
	if (percent(direct, fallback) < stress.share)
		return "too few reads were direct to prove anything";
	if (!c->changes || !c->refills || !c->moves)
		return "nothing moved";
	if (!c->leases || (shares_blocks() && !c->shares))
		return "no file was leased or shared";
	if (c->unknown * 10 > c->judged)
		return "too few reads could be judged";
	return NULL;
}

static bool is_over(uint64_t end, uint64_t direct, uint64_t fallback)
{
	if (!goes_on())
		return true;
	if (judge(direct, fallback))
		end += LONGER_MS;
	return now_ms() >= end;
}

static void watch(void)
{
	uint64_t direct = 0, fallback = 0, reasons[BPIO_REASON_SLOTS];
	uint64_t end = stress.started + stress.seconds * 1000ull;
	uint64_t say = stress.started + SAY_MS, moved = stress.started;
	uint64_t seen = 0, last_direct = 0, last_fallback = 0;

	while (!is_over(end, direct, fallback)) {
		rest(1000);
		reads_so_far(&direct, &fallback, reasons);
		if (keep_pace(progress(direct, last_direct),
			      progress(fallback, last_fallback))) {
			last_direct = direct;
			last_fallback = fallback;
		}
		if (stress.counters.judged != seen)
			moved = now_ms();
		seen = stress.counters.judged;
		if (now_ms() > moved + STANDSTILL_MS)
			broken("no read ends any more");
		if (now_ms() >= say) {
			say += SAY_MS;
			say_progress(direct, fallback);
		}
	}
	stress.stop = true;
}

static void say_reasons(const uint64_t reasons[BPIO_REASON_SLOTS], char *text,
			size_t size)
{
	size_t used = 0;
	unsigned int i;

	text[0] = 0;
	for (i = 0; i < BPIO_REASON_COUNT && used < size; i++)
		if (reasons[i])
			used += snprintf(text + used, size - used, "%s%s %llu",
					 used ? ", " : "", reason_token(i),
					 (unsigned long long)reasons[i]);
}

static int verdict(void)
{
	uint64_t direct, fallback, reasons[BPIO_REASON_SLOTS];
	struct counters *c = &stress.counters;
	const char *why;
	char text[800];

	reads_so_far(&direct, &fallback, reasons);
	say_reasons(reasons, text, sizeof(text));
	why = judge(direct, fallback);
	printf("# VERDICT %s: %s%s%s: %llu s, %llu reads, %llu direct (%u %%), "
	       "fall-backs: %s; %llu judged, %llu not; %llu changes, "
	       "%llu refills, %llu without room; %llu suspends, %llu reloads, "
	       "%llu moves, %llu pauses, %llu vetoes, %llu shares, %llu leases; "
	       "%llu violations\n",
	       stress.fs, why ? "FAILED" : "passed", why ? ", " : "", why ?: "",
	       (unsigned long long)elapsed_ms() / 1000,
	       (unsigned long long)(direct + fallback),
	       (unsigned long long)direct, percent(direct, fallback), text,
	       (unsigned long long)c->judged, (unsigned long long)c->unknown,
	       (unsigned long long)c->changes, (unsigned long long)c->refills,
	       (unsigned long long)c->no_space, (unsigned long long)c->suspends,
	       (unsigned long long)c->reloads, (unsigned long long)c->moves,
	       (unsigned long long)c->pauses, (unsigned long long)c->vetoes,
	       (unsigned long long)c->shares, (unsigned long long)c->leases,
	       (unsigned long long)c->violations);
	fflush(stdout);
	return c->violations ? 1 : why ? 3 : 0;
}

static int files_create(void)
{
	unsigned int i;

	for (i = 0; i < FILES; i++) {
		stress.slots[i] = file_new(i);
		if (!stress.slots[i])
			return -ENOMEM;
	}
	fill_all();
	return stress.broken ? -EIO : 0;
}

static bool ends(pthread_t thread)
{
	struct timespec deadline;

	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += STANDSTILL_MS / 1000;
	return !pthread_timedjoin_np(thread, NULL, &deadline);
}

static int run(void)
{
	pthread_t ids[THREADS];
	unsigned int i;
	int ret;

	stress.started = now_ms();
	for (i = 0; i < THREADS; i++)
		if (pthread_create(&ids[i], NULL, threads[i].run,
				   (void *)threads[i].name))
			abort();
	watch();
	for (i = 0; i < THREADS; i++)
		if (!ends(ids[i])) {
			broken("a thread does not end");
			exit(verdict());
		}
	ret = verdict();
	for (i = 0; i < FILES; i++)
		file_put(stress.slots[i]);
	return ret;
}

static void usage(FILE *to)
{
	fprintf(to,
		"usage: oracle [option]...\n\n"
		"Changes files and the stack below them in every way at once, reads the files\n"
		"with bypass and judges every byte. The last line begins with \"# VERDICT\".\n\n"
		"  --seconds N   run this long (60), and up to 90 longer to prove something\n"
		"  --fs TYPE     ext4 or xfs (ext4)\n"
		"  --mkfs WORDS  more options for mkfs, such as \"-m reflink=0\"\n"
		"  --seed N      do what a run with this seed did; its first line has the seed\n"
		"  --share N     fail if less than N percent of the reads were direct (50)\n"
		"  --go-on       do not stop after a wrong read\n\n"
		"Exit status: 1 if a read was wrong, 2 if the stack cannot be set up or taken\n"
		"down, 3 if nothing was proved, 4 without a device to test on.\n");
}

static void parse(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seconds", required_argument, NULL, 't' },
		{ "fs", required_argument, NULL, 'f' },
		{ "mkfs", required_argument, NULL, 'm' },
		{ "seed", required_argument, NULL, 's' },
		{ "share", required_argument, NULL, 'd' },
		{ "go-on", no_argument, NULL, 'g' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 }
	};
	int option;

	stress.seed = time(NULL) ^ getpid();
	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (option) {
		case 't':
			stress.seconds = strtoul(optarg, NULL, 10);
			break;
		case 'f':
			stress.fs = optarg;
			break;
		case 'm':
			stress.mkfs = optarg;
			break;
		case 's':
			stress.seed = strtoul(optarg, NULL, 10);
			break;
		case 'd':
			stress.share = strtoul(optarg, NULL, 10);
			break;
		case 'g':
			stress.go_on = true;
			break;
		default:
			usage(option == 'h' ? stdout : stderr);
			exit(option == 'h' ? 0 : 2);
		}
	}
}

int main(int argc, char **argv)
{
	struct devices devices;
	const char *why;
	int ret;

	setvbuf(stdout, NULL, _IOLBF, 0);
	/* the test holds leases only briefly, so it ignores that one is broken */
	signal(SIGIO, SIG_IGN);
	parse(argc, argv);
	diag("seed %u, %s, %u s", stress.seed, stress.fs, stress.seconds);
	why = devices_find(&devices);
	if (why) {
		diag("%s", why);
		return 4;
	}
	stress.nvme = devices.nvme;
	ret = volumes_sweep() ?: ground_create() ?: faults_start() ?:
	      files_create() ?: ground_slow_down();
	if (ret) {
		diag("the stack cannot be set up: %s", strerror(-ret));
		volumes_sweep();
		return 2;
	}
	ret = run();
	faults_stop();
	if (ground_remove()) {
		diag("the stack cannot be taken down");
		return 2;
	}
	return ret;
}
