/* SPDX-License-Identifier: GPL-2.0-only */
/* What the programs of the benchmark share. */
#ifndef BENCH_H
#define BENCH_H

#include <stddef.h>
#include <stdint.h>

#define ARRAY_SIZE(array)	(sizeof(array) / sizeof(*(array)))

/*
 * A figure is taken in batches. The median of the batches is what is reported:
 * a timer tick or a background thread that lands in one of them does not move
 * it, and unlike the minimum it is what most batches cost.
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

/* @costs: what each batch took for one operation; sorted by this. */
struct measurement measure(double *costs, unsigned int batches);

/*
 * Memory to read into, or die. No page of it lies behind its neighbour: how many of
 * them do by chance decides what a large read costs, and would differ from row to
 * row.
 */
void *scattered_memory(size_t bytes);

/* A number of bytes with an optional K, M or G, or die. */
uint64_t parse_bytes(const char *option, const char *text);

/* "4K", "64K", "1M": @text has room for 24 characters. */
void print_bytes(uint64_t bytes, char *text);

#endif /* BENCH_H */
