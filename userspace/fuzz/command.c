// SPDX-License-Identifier: GPL-2.0-only
/*
 * The command line, one word per line; and the words that "explain" accepts.
 */
#define main bpio_main
#include "../bpio/main.c"
#undef main

#include "fuzz.h"

#define WORDS	32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *globs[WORDS + 1];
	struct command_line line = { .globs = globs };
	char *argv[WORDS + 2] = { "bpio" }, *words[WORDS];
	int argc = 1, i;

	input_begin(data, size);
	while (input.left && argc <= WORDS) {
		argv[argc] = input_line();
		words[argc - 1] = argv[argc];
		argc++;
	}
	if (!parse(&line, argc, argv)) {
		for (i = 0; i < line.argc; i++)
			touch(line.argv[i]);
		if (line.help)
			help_for_verb(line.verb);
		else if (line.verb == &verbs[VERB_EXPLAIN] ||
			 line.verb == &verbs[VERB_HELP])
			handlers[line.verb - verbs](&line);
	}
	/* getopt_long() has moved them. */
	for (i = 0; i < argc - 1; i++)
		free(words[i]);
	return 0;
}
