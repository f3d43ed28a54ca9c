/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Results that are printed as text or as JSON, described once.
 *
 * Each field has a key for JSON and a label for text; either may be NULL, and
 * the field is then left out of that form.
 */
#ifndef BPIO_REPORT_H
#define BPIO_REPORT_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct command_line;
struct report;

/**
 * struct reads - how reads of enabled files went
 *
 * @direct: Reads that went direct.
 * @direct_bytes: Bytes these returned.
 * @fallback: Reads that the file system served.
 * @fallback_bytes: Bytes these returned.
 */
struct reads {
	uint64_t direct;
	uint64_t direct_bytes;
	uint64_t fallback;
	uint64_t fallback_bytes;
};

/* Of any structure that counts them */
#define READS_OF(of) ({						\
	const __typeof__(of) of_ = (of);			\
								\
	(struct reads) {					\
		of_->direct_reads, of_->direct_bytes,		\
		of_->fallback_reads, of_->fallback_bytes,	\
	};							\
})

/* A report on standard output that begins with the schema and the verb */
struct report *report_new(const struct command_line *line);

/* Print elsewhere; the caller closes @stream after report_finish() */
void report_to(struct report *report, FILE *stream);

/* JSON on one line instead of many */
void report_compact(struct report *report);

/* The first line of the text */
void report_heading(struct report *report, const char *format, ...)
	__attribute__((__format__(printf, 2, 3)));

void report_text(struct report *report, const char *key, const char *label,
		 const char *format, ...)
	__attribute__((__format__(printf, 4, 5)));
void report_flag(struct report *report, const char *key, const char *label,
		 bool value);
void report_number(struct report *report, const char *key, const char *label,
		   unsigned long long value, const char *unit);
void report_bytes(struct report *report, const char *key, const char *label,
		  unsigned long long value);

void report_reads(struct report *report, struct reads reads);

/* As report_reads() does, for an object that is part of a list */
void reads_to_json(struct json_object *json, struct reads reads);

/* JSON only; takes the reference */
void report_json(struct report *report, const char *key,
		 struct json_object *value);

/* Text only: rows of @columns cells, aligned. The first row is the heading */
void report_table(struct report *report, char ***rows, size_t row_count,
		  size_t columns);

/* A cell with a number, or with "-" unless it is @told; to be freed */
char *report_cell(bool told, unsigned long long number);

/* Print unless --quiet, free, and return @status */
int report_finish(struct report *report, int status);

#endif /* BPIO_REPORT_H */
