// SPDX-License-Identifier: GPL-2.0-only
/*
 * The patterns of "bpio run --file", from the command line through the environment to
 * the preload library: a path, then one pattern per line.
 */
#define PRELOAD_PATH "/nowhere"
#include "../bpio/run.c"
#include "../preload/bypass.c"

#include "fuzz.h"
#include "tables.h"

#define GLOBS	8

bool tally_exists(void)
{
	return false;
}

const char *tally_globs(void)
{
	return getenv(SHARE_GLOBS_ENV);
}

int tally_open(struct tally *tally)
{
	(void)tally;
	return -ENOENT;
}

void tally_close(const struct tally *tally)
{
	(void)tally;
}

void tally_count_outside(void)
{
}

void tally_count_failure(int error)
{
	(void)error;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *globs[GLOBS];
	struct command_line line = {
		.verb = &verbs[VERB_RUN], .globs = globs,
	};
	char *path, *lines[GLOBS];
	size_t i;

	input_begin(data, size);
	path = input_line();
	while (input.left && line.glob_count < GLOBS) {
		lines[line.glob_count] = input_line();
		globs[line.glob_count] = lines[line.glob_count];
		line.glob_count++;
	}
	/* -1 resolves to no path, so only the path as written is matched. */
	if (!set_globs(&line))
		wanted(-1, path);
	for (i = 0; i < line.glob_count; i++)
		free(lines[i]);
	free(path);
	return 0;
}
