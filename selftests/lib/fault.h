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

/* NULL, or a sentence why nothing can be made to fail. */
const char *fault_unavailable(void);

/* Let allocations that may sleep fail too, and keep that out of the log. */
int fault_setup(void);
/* As it was at boot. */
void fault_cleanup(void);

/*
 * From now on, the @nth request of this thread to the kernel that may fail (an
 * allocation, a copy from or to user space) fails. Prints nothing except on misuse.
 */
int fault_arm(unsigned int nth);
/*
 * Restrict failures to requests below a function of the module, given by its name in
 * /proc/kallsyms; NULL ends the restriction.
 */
int fault_below(const char *module);
/* The same of one function; fault_below(NULL) ends it. */
int fault_below_function(const char *function);
/*
 * Exclude requests below that function of the kernel, because it logs failures;
 * fault_spare(NULL) ends the exclusion.
 */
int fault_spare(const char *function);
/* Nothing fails from now on. Returns whether something did. */
bool fault_disarm(void);

/* Write one number or word to "<capability>/<file>" of debugfs. */
int fault_set(const char *capability, const char *file, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* What is there, or a negative errno. */
long fault_get(const char *capability, const char *file);

/*
 * Let @times allocations fail, in whatever task, once @bytes have been asked for;
 * 0 and 0 end that. Only with fault_below() or fault_below_function(), or
 * everything does.
 */
int fault_any_task(unsigned int bytes, unsigned int times);

#endif /* SELFTESTS_FAULT_H */
