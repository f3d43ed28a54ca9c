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
	/* if this read is itself the request that fails, none has failed before */
	bool failed = pread(nth_fd, text, sizeof(text) - 1, 0) > 0 &&
		      !atoi(text);
	int i;

	for (i = 0; i < 3 && pwrite(nth_fd, "0", 1, 0) != 1; i++)
		;
	return failed;
}

struct text {
	uint64_t	first;
	uint64_t	end;
};

/* The kernel's default. */
static const struct text everywhere = { .end = UINT64_MAX };

/* A function in /proc/kallsyms. */
struct symbol {
	uint64_t	address;
	char		name[256];
	char		owner[64];	/* a module, or empty for the kernel */
};

static bool next_function(FILE *file, struct symbol *symbol)
{
	char line[512], type;

	while (fgets(line, sizeof(line), file)) {
		symbol->owner[0] = '\0';
		if (sscanf(line, "%lx %c %255s [%63[^]]]", &symbol->address,
			   &type, symbol->name, symbol->owner) >= 3 &&
		    (type == 't' || type == 'T'))
			return true;
	}
	return false;
}

/* All functions of a module. */
static bool text_of_module(FILE *file, const char *module, struct text *text)
{
	struct symbol symbol;

	text->first = UINT64_MAX;
	text->end = 0;
	while (next_function(file, &symbol)) {
		if (strcmp(symbol.owner, module))
			continue;
		if (symbol.address < text->first)
			text->first = symbol.address;
		/* kallsyms has no lengths; the last function is shorter than this */
		if (symbol.address + 1024 > text->end)
			text->end = symbol.address + 1024;
	}
	return text->end;
}

/* A function up to the next one; those of a module are not sorted. */
static bool text_of_function(FILE *file, const char *function,
			     struct text *text)
{
	struct symbol symbol;
	bool found = false;

	while (!found && next_function(file, &symbol))
		found = !strcmp(symbol.name, function);
	text->first = symbol.address;
	text->end = UINT64_MAX;
	rewind(file);
	while (found && next_function(file, &symbol))
		if (symbol.address > text->first && symbol.address < text->end)
			text->end = symbol.address;
	return found;
}

static int text_of(bool (*find)(FILE *file, const char *name, struct text *text),
		   const char *name, struct text *text)
{
	FILE *file = fopen("/proc/kallsyms", "re");
	bool found = file && find(file, name, text);

	if (file)
		fclose(file);
	if (found)
		return 0;
	diag("no function of %s in /proc/kallsyms", name);
	return -ENOENT;
}

/*
 * Let only requests of those functions fail. The depth to which the kernel searches
 * stack traces is not changed: with a depth of 0 nothing would fail.
 */
static int set_below(const char *capability, const struct text *text)
{
	return fault_set(capability, "require-start", "0x%lx", text->first) ?:
	       fault_set(capability, "require-end", "0x%lx", text->end);
}

static int set_all_below(const struct text *text)
{
	return set_below("failslab", text) ?:
	       set_below("fail_page_alloc", text) ?:
	       set_below("fail_usercopy", text);
}

int fault_below(const char *module)
{
	struct text text = everywhere;
	int ret = module ? text_of(text_of_module, module, &text) : 0;

	return ret ?: set_all_below(&text);
}

int fault_below_function(const char *function)
{
	struct text text;

	return text_of(text_of_function, function, &text) ?: set_all_below(&text);
}

static int set_spared(const char *capability, const struct text *text)
{
	return fault_set(capability, "reject-start", "0x%lx", text->first) ?:
	       fault_set(capability, "reject-end", "0x%lx", text->end);
}

int fault_spare(const char *function)
{
	struct text text = {};
	int ret = 0;

	if (function)
		ret = text_of(text_of_function, function, &text);
	return ret ?: set_spared("failslab", &text) ?:
	       set_spared("fail_page_alloc", &text);
}

int fault_any_task(unsigned int bytes, unsigned int times)
{
	int ret = fault_set("failslab", "probability", "0") ?:
		  fault_set("failslab", "space", "%u", bytes);

	if (ret || !times)
		return ret;
	return fault_set("failslab", "task-filter", "N") ?:
	       fault_set("failslab", "interval", "1") ?:
	       fault_set("failslab", "times", "%u", times) ?:
	       fault_set("failslab", "probability", "100");
}
