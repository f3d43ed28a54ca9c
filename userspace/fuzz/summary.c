// SPDX-License-Identifier: GPL-2.0-only
/*
 * The sources of the summary of "bpio run": the kernel's tally, the memory to which
 * every process of the command can write, and the programs that were seen.
 */
#include <errno.h>

#include "../bpio/summary.c"

#include "fuzz.h"
#include "tables.h"

int __wrap_ioctl(int fd, unsigned long request, void *arg)
{
	(void)fd;
	(void)request;
	input_bytes(arg, sizeof(struct bpio_tally));
	if (input_byte() < 250)
		return 0;
	errno = ENOTTY;
	return -1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct command_line line = {
		.verb = &verbs[VERB_RUN],
		.argv = (char *[]) { "program", NULL }, .argc = 1,
	};
	struct executable programs[2] = { 0 };
	struct descendants seen = { .programs = programs };
	static FILE *nowhere;
	struct share share;

	if (!nowhere)
		nowhere = fopen("/dev/null", "we");
	input_begin(data, size);
	line.json = input_byte() & 1;
	input_bytes(&share, sizeof(share));
	for (seen.count = 0; seen.count < ARRAY_SIZE(programs); seen.count++)
		programs[seen.count].path = input_line_or_null();
	run_summary(&line, 0, &share, &seen, (int)input_byte(), nowhere);
	free(programs[0].path);
	free(programs[1].path);
	return 0;
}
