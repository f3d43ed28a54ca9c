/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The frame of a test program.
 *
 * Mapped devices and file systems are made once for each program, because a
 * test that makes its own takes seconds in an emulated machine; every test of
 * the program has its own files. A program defines
 *
 *	static int program_setup(void);
 *	static int program_cleanup(void);
 *
 * and ends with PROGRAM_MAIN instead of TEST_HARNESS_MAIN. The program fails
 * when the clean-up does, whatever its tests said: a file system that cannot be
 * unmounted or a device that cannot be removed is a finding.
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
 * Every test runs in an emulated machine too, with a kernel that checks all it
 * does: some take minutes there. What hangs in the kernel is found sooner.
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
