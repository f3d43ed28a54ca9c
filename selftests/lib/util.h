/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Small helpers that every test program needs.
 *
 * Functions that return int return 0 or a negative errno, after printing what
 * went wrong, unless their comment says otherwise.
 */
#ifndef SELFTESTS_UTIL_H
#define SELFTESTS_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* Deadline for operations that take milliseconds on a real machine. */
#define DEADLINE_MS	30000

/* Size of a page of memory. */
#define PAGE		4096

/* Print a diagnostic line of TAP. */
void diag(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Milliseconds of a clock that never jumps. */
uint64_t now_ms(void);

/* Sleep briefly in a poll loop: true until @deadline (of now_ms()) has passed. */
bool poll_again(uint64_t deadline);

/*
 * Run a shell command, at most four minutes; its output is shown when it fails.
 * Returns its exit status, or a negative errno when it could not be run.
 */
int shell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The number of open descriptors of this process. */
int count_fds(void);

/* Give up one capability (CAP_*), effective and permitted. */
int drop_capability(int capability);

/* Drop all other capabilities. Those kept are effective too. */
int keep_capability(int capability);

/* Become the user nobody, without any capability. */
int become_nobody(void);

/* The first line of a file, without its newline. */
int read_line(const char *path, char *line, size_t size);

/* Memory for direct I/O of @bytes, aligned to a page. Never NULL. */
void *dio_alloc(size_t bytes);

/*
 * Fill in one vector for each page of @memory, in such an order that no vector is
 * followed by that of the next page. @pages must not be a multiple of 7.
 */
void dio_scatter(struct iovec *vectors, unsigned int pages, char *memory);

/*
 * Map two zeroed pages behind which nothing is mapped, with @protection as for mmap().
 * Returns the address of their end. Never NULL.
 */
void *guarded_pages(int protection);

bool kernel_is_at_least(unsigned int version, unsigned int patchlevel);

/*
 * Whether O_DIRECT reads may be in flight when the process forks. Before 6.5 the kernel
 * takes references to the memory instead of pinning it: if the file system or dm-bpio
 * needs a page again after a fork(), for the second bio of a read, it gets a copy, and
 * the data of the first bio is lost. open(2) warns of that.
 */
bool fork_spares_reads(void);

/* Fork a child that does nothing: a fork() write-protects all memory once. */
void fork_once(void);

#endif /* SELFTESTS_UTIL_H */
