/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The framework of a test program.
 *
 * Mapped devices and file systems are made once per program, because making them takes
 * seconds in an emulated machine; every test of the program has separate files. A
 * program defines
 *
 *	static int program_setup(void);
 *	static int program_cleanup(void);
 *
 * and ends with PROGRAM_MAIN instead of TEST_HARNESS_MAIN. The program fails if the
 * clean-up fails, even if all tests passed: a file system that cannot be unmounted, or
 * a device that cannot be removed, is a bug.
 */
#ifndef SELFTESTS_PROGRAM_H
#define SELFTESTS_PROGRAM_H

#include <kselftest_harness.h>

#include "content.h"
#include "control.h"
#include "files.h"
#include "util.h"
#include "volume.h"

/*
 * Every test also runs in an emulated machine with a debug kernel, where some take
 * minutes. The kernel detects hung tasks sooner than this timeout.
 */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 480

static struct devices devices;
static pid_t program_pid;

static int program_setup(void);
static int program_cleanup(void);

static void program_exit(void)
{
	if (getpid() != program_pid)
		return;
	if (program_cleanup()) {
		printf("Bail out! the stack of the test cannot be taken down\n");
		fflush(stdout);
		_exit(KSFT_FAIL);
	}
}

static inline int program_main(int argc, char **argv)
{
	const char *why = NULL;

	if (geteuid())
		why = "the tests create mapped devices; run them as root";
	why = why ?: devices_find(&devices);
	if (why)
		ksft_exit_skip("%s\n", why);
	program_pid = getpid();
	if (volumes_sweep() || atexit(program_exit) || program_setup())
		ksft_exit_fail_msg("the stack of the test cannot be set up\n");
	return test_harness_run(argc, argv);
}

#define PROGRAM_MAIN						\
	int main(int argc, char **argv)				\
	{							\
		return program_main(argc, argv);		\
	}

#endif /* SELFTESTS_PROGRAM_H */
