/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reads information about processes and their descriptors from /proc.
 */
#ifndef BPIO_PROCESS_H
#define BPIO_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "bpio.h"

/* Room for the name of a command; the kernel's own has 15 characters. */
#define COMMAND_MAX	64

/* Room for a sentence of the kernel */
#define SENTENCE_MAX	160

/**
 * struct fdinfo - /proc/PID/fdinfo/FD
 *
 * @flags: Flags of open(2), negative when they are not there.
 * @mount: Number of the mount.
 * @inode: Number of the inode, 0 when the kernel does not print it.
 * @enabled: BypassIO was enabled for the open file; the rest is set then.
 * @volume: The volume.
 * @armed: Its direct reads can skip the file system now.
 * @obstacle: Why they cannot, in the kernel's words; empty when they can.
 * @direct_reads: Reads that went direct.
 * @direct_bytes: Bytes these returned.
 * @fallback_reads: Reads that the file system served.
 * @fallback_bytes: Bytes these returned.
 * @reasons: Number of these reads, by enum bpio_reason.
 */
struct fdinfo {
	int flags;
	int mount;
	uint64_t inode;
	bool enabled;
	dev_t volume;
	bool armed;
	char obstacle[SENTENCE_MAX];
	uint64_t direct_reads;
	uint64_t direct_bytes;
	uint64_t fallback_reads;
	uint64_t fallback_bytes;
	__u64 reasons[BPIO_REASON_COUNT];
};

/* Reads one from its text */
void fdinfo_parse(FILE *in, struct fdinfo *info);

/* 0 or a negative errno: -ENOENT when the descriptor or the process is gone */
int fdinfo_read(pid_t pid, int fd, struct fdinfo *info);

/* The kind of a process, as far as it matters for copying its descriptors */
enum process_kind {
	PROCESS_RUNS,
	PROCESS_GONE,
	PROCESS_ENDED,
	PROCESS_KERNEL_THREAD,
	PROCESS_IS_THREAD,
};

enum process_kind process_kind(pid_t pid);

/* The name of its command, "?" when it is gone */
void process_command(pid_t pid, char *command, size_t size);

/* The process that a thread is part of, or 0 */
pid_t process_of_thread(pid_t tid);

/*
 * The numbers of all processes, or of the descriptors of one, in ascending order;
 * to be freed, also after an error. 0 or a negative errno: -EACCES when the
 * process may not be inspected, -ENOENT when it is gone.
 */
int process_list(int **pids, size_t *count);
int process_list_fds(pid_t pid, int **fds, size_t *count);

/* The path of an open file from readlink(2); false when that fails */
bool process_file_path(pid_t pid, int fd, char *path, size_t size);

#endif /* BPIO_PROCESS_H */
