/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A control group (version 2) that confines processes, and the kernel memory used
 * inside and outside of it.
 *
 * Functions that return int return 0 or a negative errno, after printing what went
 * wrong, unless their comment says otherwise.
 */
#ifndef SELFTESTS_CGROUP_H
#define SELFTESTS_CGROUP_H

#include <stdbool.h>
#include <stdint.h>

/* NULL, or a sentence that says why there can be no group with memory limits. */
const char *cgroup_unavailable(void);

/* Whether groups can be given a share of the CPUs. */
bool cgroup_has_cpu(void);

/* Make an empty group below the root; a group left by an earlier test is removed. */
int cgroup_create(const char *name);
/* Remove the group, which must be empty or become so soon. */
int cgroup_remove(const char *name);

/* Write @value to file @file of the group. */
int cgroup_set(const char *name, const char *file, const char *value);

/* Move the calling process, which has one thread, into the group. Prints nothing. */
int cgroup_join(const char *name);

/* Freeze all processes of the group in user mode, where they hold no locks; or thaw them. */
int cgroup_freeze(const char *name, bool freeze);

/* Kill all processes of the group and wait until they are gone. */
int cgroup_kill(const char *name);

/*
 * Kernel memory that cannot be reclaimed (slabs, per-CPU memory, page tables, vmalloc()),
 * in KiB: of the whole machine, and charged to the group.
 */
uint64_t kernel_memory(void);
uint64_t cgroup_kernel_memory(const char *name);

#endif /* SELFTESTS_CGROUP_H */
