// SPDX-License-Identifier: GPL-2.0-only
/*
 * A library to preload that interferes with one request to device-mapper's control
 * node, the number of which is in INTERFERE_AT, counted from 1 without those that
 * only ask for the version. INTERFERE is what happens:
 *
 *	fail		it fails with EIO and is not done
 *	fail-after	it is done and fails with EIO all the same
 *	kill		the process is killed before it is done
 *	kill-after	the process is killed when it is done
 */
#include <dlfcn.h>
#include <errno.h>
#include <linux/dm-ioctl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

static const char *what(void)
{
	static unsigned long count;
	const char *how = getenv("INTERFERE"), *at = getenv("INTERFERE_AT");

	if (!how || !at || ++count != strtoul(at, NULL, 10))
		return "";
	return how;
}

int ioctl(int fd, unsigned long request, ...)
{
	int (*next)(int fd, unsigned long request, ...);
	const char *how = "";
	va_list args;
	void *arg;
	int ret;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	next = dlsym(RTLD_NEXT, "ioctl");
	if (_IOC_TYPE(request) == DM_IOCTL && request != DM_VERSION)
		how = what();
	if (!strcmp(how, "kill"))
		raise(SIGKILL);
	if (!strcmp(how, "fail")) {
		errno = EIO;
		return -1;
	}
	ret = next(fd, request, arg);
	if (!strcmp(how, "kill-after"))
		raise(SIGKILL);
	if (!strcmp(how, "fail-after")) {
		errno = EIO;
		return -1;
	}
	return ret;
}
