// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fault.h"
#include "util.h"

#define DEBUGFS	"/sys/kernel/debug/"
#define NTH	"/proc/thread-self/fail-nth"

static int nth_fd = -1;
static pid_t nth_thread;

const char *fault_unavailable(void)
{
	if (access(NTH, W_OK))
		return "the kernel injects no faults (CONFIG_FAULT_INJECTION)";
	if (access(DEBUGFS "failslab/probability", W_OK) ||
	    access(DEBUGFS "fail_page_alloc/probability", W_OK))
		return "no allocation fails on demand (CONFIG_FAILSLAB, CONFIG_FAIL_PAGE_ALLOC)";
	return NULL;
}

int fault_set(const char *capability, const char *file, const char *fmt, ...)
{
	char path[192], text[64];
	va_list args;
	int fd, n, ret = 0;

	va_start(args, fmt);
	n = vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	snprintf(path, sizeof(path), DEBUGFS "%s/%s", capability, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, n) != n) {
		ret = -errno;
		diag("%s to %s: %s", text, path, strerror(errno));
	}
	if (fd >= 0)
		close(fd);
	return ret;
}

long fault_get(const char *capability, const char *file)
{
	char path[192], line[64];
	int ret;

	snprintf(path, sizeof(path), DEBUGFS "%s/%s", capability, file);
	ret = read_line(path, line, sizeof(line));
	return ret ?: strtol(line, NULL, 0);
}

int fault_setup(void)
{
	return fault_set("failslab", "probability", "0") ?:
	       fault_set("failslab", "cache-filter", "N") ?:
	       fault_set("failslab", "ignore-gfp-wait", "N") ?:
	       fault_set("failslab", "verbose", "0") ?:
	       fault_set("fail_page_alloc", "probability", "0") ?:
	       fault_set("fail_page_alloc", "ignore-gfp-wait", "N") ?:
	       fault_set("fail_page_alloc", "min-order", "0") ?:
	       fault_set("fail_page_alloc", "verbose", "0") ?:
	       fault_set("fail_usercopy", "verbose", "0");
}

void fault_cleanup(void)
{
	fault_set("failslab", "ignore-gfp-wait", "Y");
	fault_set("failslab", "verbose", "2");
	fault_set("fail_page_alloc", "ignore-gfp-wait", "Y");
	fault_set("fail_page_alloc", "min-order", "1");
	fault_set("fail_page_alloc", "verbose", "2");
	fault_set("fail_usercopy", "verbose", "2");
}

/* The file names the thread that opened it, so each thread opens its own. */
static int nth_open(void)
{
	if (nth_thread == gettid())
		return nth_fd;
	if (nth_fd >= 0)
		close(nth_fd);
	nth_fd = open(NTH, O_RDWR | O_CLOEXEC);
	nth_thread = gettid();
	return nth_fd;
}

int fault_arm(unsigned int nth)
{
	char text[16];
	int fd = nth_open(), n = snprintf(text, sizeof(text), "%u", nth);

	if (fd >= 0 && pwrite(fd, text, n, 0) == n)
		return 0;
	diag("%s: %s", NTH, strerror(errno));
	return -errno;
}

bool fault_disarm(void)
{
	char text[16] = "";
	/* If this very read is what fails, nothing has failed before. */
	bool failed = pread(nth_fd, text, sizeof(text) - 1, 0) > 0 &&
		      !atoi(text);
	int i;

	for (i = 0; i < 3 && pwrite(nth_fd, "0", 1, 0) != 1; i++)
		;
	return failed;
}

/* Where the module's functions lie, as /proc/kallsyms tells root. */
static int text_of(const char *module, uint64_t *first, uint64_t *last)
{
	FILE *file = fopen("/proc/kallsyms", "re");
	char line[512], owner[64], type;
	uint64_t address;

	*first = UINT64_MAX;
	*last = 0;
	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%lx %c %*s [%63[^]]]", &address, &type,
			   owner) != 3 ||
		    (type != 't' && type != 'T') || strcmp(owner, module))
			continue;
		if (address < *first)
			*first = address;
		if (address > *last)
			*last = address;
	}
	if (file)
		fclose(file);
	if (*last)
		return 0;
	diag("no function of %s in /proc/kallsyms", module);
	return -ENOENT;
}

/* Only what is asked for below a function of the module may fail in that way. */
static int set_below(const char *capability, const char *module)
{
	uint64_t first, last;

	if (!module)
		return fault_set(capability, "stacktrace-depth", "0");
	/* a function's length is not told: this is more than the last one's */
	return text_of(module, &first, &last) ?:
	       fault_set(capability, "require-start", "0x%lx", first) ?:
	       fault_set(capability, "require-end", "0x%lx", last + 1024) ?:
	       fault_set(capability, "stacktrace-depth", "32");
}

int fault_below(const char *module)
{
	return set_below("failslab", module) ?:
	       set_below("fail_page_alloc", module) ?:
	       set_below("fail_usercopy", module);
}

int fault_module(const char *module, unsigned int times)
{
	int ret = fault_set("failslab", "probability", "0");

	if (ret || !times)
		return ret ?: set_below("failslab", NULL);
	return set_below("failslab", module) ?:
	       fault_set("failslab", "task-filter", "N") ?:
	       fault_set("failslab", "interval", "1") ?:
	       fault_set("failslab", "space", "0") ?:
	       fault_set("failslab", "times", "%u", times) ?:
	       fault_set("failslab", "probability", "100");
}
