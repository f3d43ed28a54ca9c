/* SPDX-License-Identifier: GPL-2.0-only */
/* Common parts of the benchmark's programs. */
#ifndef BENCH_H
#define BENCH_H

#include <stddef.h>
#include <stdint.h>

#define ARRAY_SIZE(array)	(sizeof(array) / sizeof(*(array)))

/*
 * A figure is measured in batches, and their median is reported. A timer tick or a
 * background thread that runs during one batch does not change it, and unlike the
 * minimum it is what a typical batch costs.
 */
struct measurement {
	unsigned int batches;
	double median;
	double min;
	double max;
};

/* Print "<program>: <sentence>" on stderr and exit with status 1. */
void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

/* Nanoseconds; in a guest that counts instructions, instructions. */
uint64_t now(void);

/* @costs: the cost of one operation in each batch; will be sorted. */
struct measurement measure(double *costs, unsigned int batches);

/*
 * Allocate memory to read into, or die. No two of its pages are physically contiguous:
 * the cost of a large read depends on how many are, which would differ by chance from
 * row to row.
 */
void *scattered_memory(size_t bytes);

/* Parse a number of bytes with an optional suffix K, M or G, or die. */
uint64_t parse_bytes(const char *option, const char *text);

/* "4K", "64K", "1M": @text has room for 24 characters. */
void print_bytes(uint64_t bytes, char *text);

#endif /* BENCH_H */
