// SPDX-License-Identifier: GPL-2.0-only
/*
 * See process.h. Between any two of these calls a process may end, and a descriptor may
 * be closed or reused for another file.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "process.h"

/* PF_KTHREAD of the kernel, in field 9 of /proc/PID/stat */
#define KERNEL_THREAD	0x00200000

/* The value of the line "@name:<blanks>VALUE", or NULL for another line */
static const char *value_of(const char *line, const char *name)
{
	size_t length = strlen(name);

	if (strncmp(line, name, length) || line[length] != ':')
		return NULL;
	return line + length + 1 + strspn(line + length + 1, " \t");
}

static void parse_counter(const char *value, uint64_t *reads, uint64_t *bytes)
{
	if (sscanf(value, "%" SCNu64 " reads %" SCNu64 " bytes", reads,
		   bytes) != 2)
		*bytes = 0;
}

/* "TOKEN NUMBER TOKEN NUMBER ..." */
static void parse_reasons(const char *value, struct fdinfo *info)
{
	char token[32];
	uint64_t count;
	int used, reason;

	while (sscanf(value, "%31s %" SCNu64 "%n", token, &count, &used) == 2) {
		reason = bpio_reason_from_token(token);
		if (reason >= 0)
			info->reasons[reason] = count;
		value += used;
	}
}

static void parse_bypass(const char *line, struct fdinfo *info)
{
	unsigned int maj, min;
	const char *value;

	value = value_of(line, "bpio-volume");
	if (value && sscanf(value, "%u:%u", &maj, &min) == 2)
		info->volume = makedev(maj, min);
	value = value_of(line, "bpio-armed");
	if (value) {
		info->enabled = true;
		info->armed = !strcmp(value, "yes");
		snprintf(info->obstacle, sizeof(info->obstacle), "%s",
			 info->armed ? "" : value);
	}
	value = value_of(line, "bpio-direct");
	if (value)
		parse_counter(value, &info->direct_reads, &info->direct_bytes);
	value = value_of(line, "bpio-fallback");
	if (value)
		parse_counter(value, &info->fallback_reads,
			      &info->fallback_bytes);
	value = value_of(line, "bpio-reasons");
	if (value)
		parse_reasons(value, info);
}

static void parse_line(const char *line, struct fdinfo *info)
{
	const char *value = value_of(line, "flags");

	if (value)
		info->flags = strtol(value, NULL, 8);
	value = value_of(line, "mnt_id");
	if (value)
		info->mount = strtol(value, NULL, 10);
	value = value_of(line, "ino");
	if (value)
		info->inode = strtoull(value, NULL, 10);
	if (!strncmp(line, "bpio-", 5))
		parse_bypass(line, info);
}

void fdinfo_parse(FILE *in, struct fdinfo *info)
{
	char *line = NULL;
	size_t size = 0;

	*info = (struct fdinfo) { .flags = -1 };
	while (getline(&line, &size, in) >= 0) {
		line[strcspn(line, "\n")] = '\0';
		parse_line(line, info);
	}
	free(line);
}

int fdinfo_read(pid_t pid, int fd, struct fdinfo *info)
{
	char path[64];
	FILE *in;
	int ret;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", (int)pid, fd);
	in = fopen(path, "re");
	if (!in)
		return errno == ESRCH ? -ENOENT : -errno;
	fdinfo_parse(in, info);
	/* The text is empty if the descriptor has been closed. */
	ret = info->flags < 0 ? -ENOENT : 0;
	fclose(in);
	return ret;
}

/* Reads a small file; false when it is not there */
static bool read_file(pid_t pid, const char *name, char *text, size_t size)
{
	char path[64];
	ssize_t got;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	got = read(fd, text, size - 1);
	close(fd);
	if (got < 0)
		return false;
	text[got] = '\0';
	return true;
}

pid_t process_of_thread(pid_t tid)
{
	char text[4096];
	const char *line;

	if (!read_file(tid, "status", text, sizeof(text)))
		return 0;
	line = strstr(text, "\nTgid:");
	return line ? atoi(line + strlen("\nTgid:")) : 0;
}

enum process_kind process_kind(pid_t pid)
{
	unsigned int flags;
	char text[1024];
	char state;
	char *rest;

	if (!read_file(pid, "stat", text, sizeof(text)))
		return PROCESS_GONE;
	/* The command, in parentheses, may contain any character. */
	rest = strrchr(text, ')');
	if (!rest || sscanf(rest, ") %c %*d %*d %*d %*d %*d %u", &state,
			    &flags) != 2)
		return PROCESS_GONE;
	if (state == 'Z' || state == 'X')
		return PROCESS_ENDED;
	if (flags & KERNEL_THREAD)
		return PROCESS_KERNEL_THREAD;
	return process_of_thread(pid) == pid ? PROCESS_RUNS : PROCESS_IS_THREAD;
}

void process_command(pid_t pid, char *command, size_t size)
{
	if (!read_file(pid, "comm", command, size) || !*command)
		snprintf(command, size, "?");
	command[strcspn(command, "\n")] = '\0';
}

static int compare(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* The names of a directory that are numbers, in ascending order; to be freed */
static int read_numbers(const char *path, int **numbers, size_t *count)
{
	struct dirent *entry;
	int *grown;
	DIR *dir;

	*numbers = NULL;
	*count = 0;
	dir = opendir(path);
	if (!dir)
		return errno == ESRCH ? -ENOENT : -errno;
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] < '0' || entry->d_name[0] > '9')
			continue;
		grown = reallocarray(*numbers, *count + 1, sizeof(*grown));
		if (!grown)
			abort();
		*numbers = grown;
		grown[(*count)++] = atoi(entry->d_name);
	}
	closedir(dir);
	if (*count)
		qsort(*numbers, *count, sizeof(**numbers), compare);
	return 0;
}

int process_list(int **pids, size_t *count)
{
	return read_numbers("/proc", pids, count);
}

int process_list_fds(pid_t pid, int **fds, size_t *count)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	return read_numbers(path, fds, count);
}

bool process_file_path(pid_t pid, int fd, char *path, size_t size)
{
	char link[64];
	ssize_t length;

	snprintf(link, sizeof(link), "/proc/%d/fd/%d", (int)pid, fd);
	length = readlink(link, path, size - 1);
	if (length < 0)
		return false;
	path[length] = '\0';
	return true;
}
