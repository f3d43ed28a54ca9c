// SPDX-License-Identifier: GPL-2.0-only
/*
 * /proc/PID/fdinfo/FD, which also has lines of locks and of other file systems.
 */
#include "../bpio/process.c"

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fdinfo info;
	FILE *in;

	if (!size)
		return 0;
	in = fmemopen((void *)data, size, "r");
	if (!in)
		abort();
	fdinfo_parse(in, &info);
	fclose(in);
	touch(info.obstacle);
	if (info.armed && (!info.enabled || info.obstacle[0]))
		abort();
	return 0;
}
