// SPDX-License-Identifier: GPL-2.0-only
/*
 * See unit.h. The rules are in systemd.unit(5), "String Escaping for Inclusion in
 * Unit Names".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#define KEPT	"abcdefghijklmnopqrstuvwxyz"	\
		"ABCDEFGHIJKLMNOPQRSTUVWXYZ"	\
		"0123456789:_."

static void escape_char(FILE *out, char c, int first)
{
	if (c == '/')
		fputc('-', out);
	else if (c && strchr(KEPT, c) && !(first && c == '.'))
		fputc(c, out);
	else
		fprintf(out, "\\x%02x", (unsigned char)c);
}

char *unit_escape(const char *text)
{
	char *escaped = NULL;
	size_t size, i;
	FILE *out = open_memstream(&escaped, &size);

	if (!out)
		abort();
	for (i = 0; text[i]; i++)
		escape_char(out, text[i], i == 0);
	fclose(out);
	return escaped;
}

/* Without a slash at either end, and with single ones between */
static char *simplify(const char *path)
{
	char *simple = calloc(1, strlen(path) + 1), *to = simple;

	if (!simple)
		abort();
	for (; *path; path++)
		if (*path != '/' || (to > simple && to[-1] != '/'))
			*to++ = *path;
	if (to > simple && to[-1] == '/')
		*--to = '\0';
	return simple;
}

char *unit_escape_path(const char *path)
{
	char *simple = simplify(path), *escaped;

	escaped = unit_escape(*simple ? simple : "/");
	free(simple);
	return escaped;
}

char *unit_instance(const char *prefix, const char *name, const char *suffix)
{
	char *escaped = unit_escape(name), *unit;

	if (asprintf(&unit, "%s@%s.%s", prefix, escaped, suffix) < 0)
		abort();
	free(escaped);
	return unit;
}

char *unit_device(const char *path)
{
	char *escaped = unit_escape_path(path), *unit;

	if (asprintf(&unit, "%s.device", escaped) < 0)
		abort();
	free(escaped);
	return unit;
}
