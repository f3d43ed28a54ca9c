// SPDX-License-Identifier: GPL-2.0-only
/*
 * Programs that "bpio run" is to start: ELF headers and "#!" lines.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"

static int fake_open(const char *path, int flags);

#define open fake_open
#include "../bpio/program.c"
#undef open

static int memory;
static unsigned int opens;

/* Every file opened is the input, except bpio itself. */
static int fake_open(const char *path, int flags)
{
	if (!strcmp(path, "/proc/self/exe"))
		return open(path, flags);
	touch(path);
	opens++;
	return dup(memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *why;

	if (!memory)
		memory = memfd_create("program", MFD_CLOEXEC);
	if (ftruncate(memory, 0) ||
	    pwrite(memory, data, size, 0) != (ssize_t)size)
		abort();
	opens = 0;
	why = program_obstacle("program");
	if (why)
		touch(why);
	free(why);
	/* A script that is its own interpreter */
	if (opens > SCRIPT_DEPTH + 1)
		abort();
	return 0;
}
