// SPDX-License-Identifier: GPL-2.0-only
/*
 * See report.h.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "report.h"
#include "tables.h"

struct report {
	const struct command_line *line;
	struct json_object *json;
	FILE *stream;
	bool compact;
	/* The text, built in memory so that --quiet and errors print nothing. */
	char *text;
	size_t text_size;
	FILE *out;
};

static void no_memory(void)
{
	fputs("bpio: out of memory\n", stderr);
	exit(STATUS_FAILURE);
}

struct report *report_new(const struct command_line *line)
{
	struct report *report = calloc(1, sizeof(*report));

	if (!report)
		no_memory();
	report->line = line;
	report->stream = stdout;
	report->json = json_object_new_object();
	report->out = open_memstream(&report->text, &report->text_size);
	if (!report->json || !report->out)
		no_memory();
	report_json(report, "schema", json_object_new_int(JSON_SCHEMA));
	report_json(report, "command",
		    json_object_new_string(line->verb->name));
	return report;
}

void report_to(struct report *report, FILE *stream)
{
	report->stream = stream;
}

void report_compact(struct report *report)
{
	report->compact = true;
}

/*
 * Names and sentences come from tables, other programs and file names: replace
 * characters in them that could end a line or control a terminal.
 */
static char *printable(char *text)
{
	char *at;

	for (at = text; *at; at++)
		if ((unsigned char)*at < ' ' || *at == '\177')
			*at = '?';
	return text;
}

static char *format_text(const char *format, va_list args)
{
	char *text;

	if (vasprintf(&text, format, args) < 0)
		no_memory();
	return text;
}

void report_heading(struct report *report, const char *format, ...)
{
	va_list args;
	char *text;

	va_start(args, format);
	text = format_text(format, args);
	va_end(args);
	fprintf(report->out, "%s\n", printable(text));
	free(text);
}

void report_json(struct report *report, const char *key,
		 struct json_object *value)
{
	json_object_object_add(report->json, key, value);
}

static void add_line(struct report *report, const char *label,
		     const char *value)
{
	if (label)
		fprintf(report->out, "    %s: %s\n", label, value);
}

void report_text(struct report *report, const char *key, const char *label,
		 const char *format, ...)
{
	va_list args;
	char *value;

	va_start(args, format);
	value = format_text(format, args);
	va_end(args);
	if (key)
		report_json(report, key, json_object_new_string(value));
	add_line(report, label, printable(value));
	free(value);
}

void report_flag(struct report *report, const char *key, const char *label,
		 bool value)
{
	if (key)
		report_json(report, key, json_object_new_boolean(value));
	add_line(report, label, value ? "yes" : "no");
}

void report_number(struct report *report, const char *key, const char *label,
		   unsigned long long value, const char *unit)
{
	char text[80];

	if (key)
		report_json(report, key, json_object_new_uint64(value));
	snprintf(text, sizeof(text), "%llu%s%s", value, unit ? " " : "",
		 unit ? unit : "");
	add_line(report, label, text);
}

void report_bytes(struct report *report, const char *key, const char *label,
		  unsigned long long value)
{
	static const char * const units[] = { "KiB", "MiB", "GiB", "TiB" };
	double scaled = value / 1024.0;
	char text[80];
	size_t i = 0;

	if (key)
		report_json(report, key, json_object_new_uint64(value));
	while (scaled >= 1024 && i < ARRAY_SIZE(units) - 1) {
		scaled /= 1024;
		i++;
	}
	if (value < 1024)
		snprintf(text, sizeof(text), "%llu bytes", value);
	else
		snprintf(text, sizeof(text), "%llu bytes (%.1f %s)", value,
			 scaled, units[i]);
	add_line(report, label, text);
}

void report_reads(struct report *report, struct reads reads)
{
	report_number(report, "direct_reads", "Direct reads", reads.direct, NULL);
	report_bytes(report, "direct_bytes", "Direct data", reads.direct_bytes);
	report_number(report, "fallback_reads", "Fall-back reads",
		      reads.fallback, NULL);
	report_bytes(report, "fallback_bytes", "Fall-back data",
		     reads.fallback_bytes);
}

void reads_to_json(struct json_object *json, struct reads reads)
{
	json_object_object_add(json, "direct_reads",
			       json_object_new_uint64(reads.direct));
	json_object_object_add(json, "direct_bytes",
			       json_object_new_uint64(reads.direct_bytes));
	json_object_object_add(json, "fallback_reads",
			       json_object_new_uint64(reads.fallback));
	json_object_object_add(json, "fallback_bytes",
			       json_object_new_uint64(reads.fallback_bytes));
}

char *report_cell(bool told, unsigned long long number)
{
	char *text;

	if (!told)
		return strdup("-");
	if (asprintf(&text, "%llu", number) < 0)
		abort();
	return text;
}

void report_table(struct report *report, char ***rows, size_t row_count,
		  size_t columns)
{
	size_t row, column, i, width;

	for (row = 0; row < row_count; row++)
		for (column = 0; column < columns; column++)
			printable(rows[row][column]);
	for (row = 0; row < row_count; row++) {
		for (column = 0; column + 1 < columns; column++) {
			width = 0;
			for (i = 0; i < row_count; i++)
				if (strlen(rows[i][column]) > width)
					width = strlen(rows[i][column]);
			fprintf(report->out, "%-*s  ", (int)width,
				rows[row][column]);
		}
		fprintf(report->out, "%s\n", rows[row][columns - 1]);
	}
}

int report_finish(struct report *report, int status)
{
	int flags = JSON_C_TO_STRING_NOSLASHESCAPE;

	if (!report->compact)
		flags |= JSON_C_TO_STRING_PRETTY;
	if (fclose(report->out))
		no_memory();
	if (!report->line->quiet || report->stream != stdout) {
		if (report->line->json)
			fprintf(report->stream, "%s\n",
				json_object_to_json_string_ext(report->json,
							       flags));
		else
			fputs(report->text, report->stream);
	}
	json_object_put(report->json);
	free(report->text);
	free(report);
	return status;
}
