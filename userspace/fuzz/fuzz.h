/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Common parts of the harnesses. Each is a program for libFuzzer. It includes the
 * source file whose parser it calls, to reach static functions, and replaces the calls
 * to the outside world by functions that return the input.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Replacements, through the linker's --wrap, for the functions that a harness defines. */
int __wrap_ioctl(int fd, unsigned long request, void *arg);
int __wrap_fstat(int fd, struct stat *st);
int __wrap_bpio_node_open(void);
char *__wrap_blkid_devno_to_devname(dev_t dev);

/**
 * struct input - the rest of the input
 *
 * @at: The next byte.
 * @left: Bytes left. Zeroes are returned behind the end.
 */
struct input {
	const uint8_t *at;
	size_t left;
};

static struct input input;

static inline void input_begin(const uint8_t *data, size_t size)
{
	input.at = data;
	input.left = size;
}

static inline void input_bytes(void *to, size_t size)
{
	size_t part = size < input.left ? size : input.left;

	memset(to, 0, size);
	if (part)
		memcpy(to, input.at, part);
	input.at += part;
	input.left -= part;
}

static inline unsigned int input_byte(void)
{
	uint8_t byte;

	input_bytes(&byte, 1);
	return byte;
}

/* Up to the next newline, which is dropped; to be freed */
static inline char *input_line(void)
{
	const uint8_t *end = input.left ? memchr(input.at, '\n', input.left) :
					  NULL;
	size_t length = end ? (size_t)(end - input.at) : input.left;
	char *line = malloc(length + 1);

	if (!line)
		abort();
	input_bytes(line, length);
	line[length] = '\0';
	if (end)
		input_byte();
	return line;
}

/* NULL for an empty line or none; else to be freed */
static inline char *input_line_or_null(void)
{
	char *line = input_line();

	if (*line)
		return line;
	free(line);
	return NULL;
}

/* Reads every byte of a string, so that the sanitizer does */
static inline void touch(const char *text)
{
	if (strlen(text) == SIZE_MAX)
		abort();
}

#endif /* FUZZ_H */
