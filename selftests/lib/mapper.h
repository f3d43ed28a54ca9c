/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Mapped devices below a volume, and queries about them.
 *
 * Names are without DM_PREFIX. Functions that return int return 0 or a negative
 * errno, after printing what went wrong, unless their comment says otherwise.
 */
#ifndef SELFTESTS_MAPPER_H
#define SELFTESTS_MAPPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "volume.h"

/* "/dev/mapper/<prefix><name>" in one of a few static buffers. */
const char *dm_node(const char *name);

/*
 * Write the parameters of a target that passes all I/O to @device from @start. @type is
 * "linear", "bpio", "bpio-filter" or "bpio-probe", with @options at the end; "striped" or
 * "bpio-striped" (one stripe); "crypt"; or "delay" (of @options ms, or 0 if "").
 */
int dm_params(char *params, size_t size, const char *type, const char *device,
	      uint64_t start, const char *options);

/* Create a mapped device with one such target. */
int dm_create_one(const char *name, const char *type, const char *device,
		  uint64_t start, uint64_t sectors, const char *options);
/* Replace its table by another such table. */
int dm_reload_one(const char *name, const char *type, const char *device,
		  uint64_t start, uint64_t sectors, const char *options);

/* The driver of stock targets, or NULL if it has no name because it is built in. */
const char *dm_driver(void);

/*
 * Create a "delay" of reads only, of @ms, on @device from @start, or replace the table of
 * the one that is there.
 */
int dm_slow_reads(const char *name, const char *device, uint64_t start,
		  uint64_t sectors, unsigned int ms, bool create);

/* Try to create a device with one target and remove it again. Prints nothing. */
int dm_try_one(const char *type, const char *params);

/*
 * Send a message to the target at sector 0. Prints nothing. The answer, if any, is
 * written to @answer, which may be NULL.
 */
int dm_message(const char *name, char *answer, size_t size, const char *fmt,
	       ...) __attribute__((format(printf, 4, 5)));

/* Status or table parameters of target number @index. */
int dm_status(const char *name, unsigned int index, char *status, size_t size);
int dm_table(const char *name, unsigned int index, char *table, size_t size);

/* The reads in flight on a block device, or a negative errno. */
int device_in_flight(const char *path);
/* The reads that a block device has completed; UINT64_MAX if it does not exist. */
uint64_t device_reads(const char *path);

/* The reads that a bpio-filter has seen; UINT64_MAX when it cannot be queried. */
uint64_t filter_reads(const char *name);
uint64_t filter_writes(const char *name);
/* The reads that a "delay" holds now; UINT64_MAX when it cannot be queried. */
uint64_t delay_reads(const char *name);

/* Load a module that is installed, or lies beside the test program. */
int module_load(const char *name);
/* The file that module_load() would load. */
int module_path(const char *name, char *path, size_t size);

#endif /* SELFTESTS_MAPPER_H */
