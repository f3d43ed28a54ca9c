// SPDX-License-Identifier: GPL-2.0-only
/*
 * For the scripts: make a file with known content, and read it continuously with
 * BypassIO while a script changes the stack.
 *
 *	reader create FILE BYTES
 *	reader read VOLUME FILE
 *
 * "read" prints "moves" when its reads have begun. Then each line on its standard
 * input asks for one line on its standard output:
 *
 *	counts	DIRECT FALLBACK reads so far
 *	direct	"direct" as soon as a read goes direct, or "no: WHY"
 *	move	"moves" as soon as some reads have completed, or "stands"
 *	fallbacks TOKEN	reads served by the file system for that reason
 *
 * At the end of its input it stops; its exit status is 1 when any read was
 * wrong, and standard error says how.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control.h"
#include "files.h"
#include "readers.h"
#include "util.h"

#define FILE_ID	1

static void answer_direct(int fd)
{
	void *buffer = dio_alloc(4096);
	struct bpio_file_info info;

	if (!file_wait_direct(fd, buffer, 4096, 0))
		printf("direct\n");
	else if (!file_info(fd, &info))
		printf("no: %s\n", reason_token(info.reason));
	else
		printf("no: the file does not answer\n");
	free(buffer);
}

static void answer_fallbacks(int fd, const char *token)
{
	uint32_t reason;

	for (reason = 0; reason < BPIO_REASON_COUNT; reason++)
		if (!strcmp(token, reason_token(reason)))
			break;
	if (reason == BPIO_REASON_COUNT)
		printf("no reason is called %s\n", token);
	else
		printf("%llu\n",
		       (unsigned long long)file_fallbacks(fd, reason));
}

static void answer(struct readers *readers, const char *line)
{
	struct bpio_file_info info;

	if (!strcmp(line, "counts") && !file_info(readers->fd, &info))
		printf("%llu %llu\n", (unsigned long long)info.direct_reads,
		       (unsigned long long)info.fallback_reads);
	else if (!strcmp(line, "direct"))
		answer_direct(readers->fd);
	else if (!strcmp(line, "move"))
		printf("%s\n", readers_progress(readers, 20) ? "stands" : "moves");
	else if (!strncmp(line, "fallbacks ", 10))
		answer_fallbacks(readers->fd, line + 10);
	else
		printf("cannot answer '%s'\n", line);
	fflush(stdout);
}

static int read_all_the_time(const char *volume, const char *file)
{
	struct readers readers = {
		.file = FILE_ID, .largest = 64 * 1024, .oldest = 1, .newest = 1,
	};
	int volume_fd = open(volume, O_RDONLY | O_CLOEXEC);
	int fd = file_open_direct(file);
	struct stat st;
	char line[128];
	int ret;

	if (volume_fd < 0 || fd < 0 || fstat(fd, &st))
		return 1;
	readers.bytes = st.st_size;
	readers.fd = fd;
	ret = fs_enable(volume_fd, fd);
	if (ret) {
		diag("ENABLE: %s", strerror(-ret));
		return 1;
	}
	/* or the volume could not be removed while a script tries to */
	close(volume_fd);
	if (file_armed(fd) || readers_start(&readers))
		return 1;
	answer(&readers, "move");
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = 0;
		answer(&readers, line);
	}
	return readers_stop(&readers) ? 1 : 0;
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "create"))
		return file_create(argv[2], strtoull(argv[3], NULL, 0),
				   FILE_ID) ? 1 : 0;
	if (argc == 4 && !strcmp(argv[1], "read"))
		return read_all_the_time(argv[2], argv[3]);
	fprintf(stderr, "usage: reader create FILE BYTES | read VOLUME FILE\n");
	return 2;
}
