// SPDX-License-Identifier: GPL-2.0-only
/*
 * The memory that every process of "bpio run" can write to, as the summary finds
 * it.
 */
#include "../bpio/summary.c"

#include "fuzz.h"

/* So many slots are filled, from either end. */
#define SLOTS	2

static struct share share;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct command_line line = {
		.verb = &verbs[VERB_RUN],
		.argv = (char *[]) { "program", NULL }, .argc = 1,
	};
	static FILE *nowhere;

	if (!nowhere)
		nowhere = fopen("/dev/null", "we");
	input_begin(data, size);
	line.json = input_byte() & 1;
	input_bytes(&share, offsetof(struct share, slots));
	input_bytes(share.slots, SLOTS * sizeof(share.slots[0]));
	input_bytes(share.slots + SHARE_SLOTS - SLOTS,
		    SLOTS * sizeof(share.slots[0]));
	run_summary(&line, &share, (int)input_byte(), nowhere);
	return 0;
}
