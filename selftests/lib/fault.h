/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel's fault injection.
 *
 * Functions that return int return 0 or a negative errno, after printing what went
 * wrong, unless their comment says otherwise.
 */
#ifndef SELFTESTS_FAULT_H
#define SELFTESTS_FAULT_H

#include <stdbool.h>

/* NULL, or a sentence that says why no failures can be injected. */
const char *fault_unavailable(void);

/* Let allocations that may sleep fail too, and log no failures. */
int fault_setup(void);
/* Restore the settings of the boot. */
void fault_cleanup(void);

/*
 * Let the @nth request that this thread makes in the kernel from now on fail. Requests
 * are allocations, and copies from or to user space. Prints nothing except on misuse.
 */
int fault_arm(unsigned int nth);
/*
 * Restrict failures to requests made by functions of @module, as /proc/kallsyms names
 * it, and by what they call; NULL ends the restriction.
 */
int fault_below(const char *module);
/* The same for one function; fault_below(NULL) ends it. */
int fault_below_function(const char *function);
/*
 * Exclude requests made by a function of the kernel, and by what it calls, because it
 * logs failures; fault_spare(NULL) ends the exclusion.
 */
int fault_spare(const char *function);
/* End the injection. Returns whether a request has failed. */
bool fault_disarm(void);

/* Write one number or word to "<capability>/<file>" of debugfs. */
int fault_set(const char *capability, const char *file, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* The number in "<capability>/<file>" of debugfs, or a negative errno. */
long fault_get(const char *capability, const char *file);

/*
 * Let @times allocations fail, in any task, after @bytes have been requested; 0 and 0
 * end that. Use it only with fault_below() or fault_below_function(), or allocations
 * fail everywhere.
 */
int fault_any_task(unsigned int bytes, unsigned int times);

#endif /* SELFTESTS_FAULT_H */
