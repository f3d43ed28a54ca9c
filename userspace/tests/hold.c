// SPDX-License-Identifier: GPL-2.0-only
/*
 * hold FILE: keep a file open with BypassIO enabled. For each line on standard
 * input the file is armed and its first block read; printed is "direct", or why
 * the read was not. Ends with its input.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bpio.h"

#define BLOCK	4096

/* Whether a read went direct since @before, and why not */
static const char *explain(const struct bpio_file_info *before,
			   const struct bpio_file_info *after)
{
	unsigned int i;

	if (after->direct_reads > before->direct_reads)
		return "direct";
	for (i = 0; i < BPIO_REASON_COUNT; i++)
		if (after->fallback_reason[i] > before->fallback_reason[i])
			return bpio_reason_token(i);
	return "not counted";
}

int main(int argc, char **argv)
{
	struct bpio_file_info before, after;
	char line[64];
	void *block;
	int fd;

	if (argc != 2 || posix_memalign(&block, BLOCK, BLOCK))
		return 2;
	fd = bpio_open(argv[1], 0, NULL);
	if (fd < 0) {
		fprintf(stderr, "hold: %s: %s\n", argv[1], strerror(-fd));
		return 1;
	}
	while (fgets(line, sizeof(line), stdin)) {
		bpio_file_arm(fd, NULL);
		if (bpio_file_info(fd, &before) ||
		    pread(fd, block, BLOCK, 0) != BLOCK ||
		    bpio_file_info(fd, &after))
			return 1;
		puts(explain(&before, &after));
		fflush(stdout);
	}
	return 0;
}
