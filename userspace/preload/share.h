/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shared by "bpio run" and the preload library in the processes of the command.
 *
 * The kernel counts the files and reads, in the tally: "bpio run" opens the control
 * node, and all processes enable BypassIO through this descriptor. They inherit it, at
 * a number that programs do not use. A process that has closed it copies it from "bpio
 * run" with pidfd_getfd(2). If that is not permitted, because the process has changed
 * its user, it opens the node itself, and its files are counted only in struct share.
 *
 * struct share is in a memfd of "bpio run", which the processes inherit and copy back
 * in the same way, so that nothing is left behind even after a kill.
 */
#ifndef BPIO_SHARE_H
#define BPIO_SHARE_H

#include <linux/types.h>
#include <stdatomic.h>

#define SHARE_MAGIC	0x6f697062
#define SHARE_VERSION	2

/* "PID:TALLY:SHARE": the process "bpio run" and the numbers of both descriptors */
#define TALLY_ENV	"BPIO_RUN_TALLY"
/* Globs of --file, one per line; not set: all files */
#define SHARE_GLOBS_ENV	"BPIO_RUN_FILES"

/**
 * struct share - counters that the kernel does not have
 *
 * @magic: SHARE_MAGIC.
 * @version: SHARE_VERSION.
 * @programs: Programs that loaded the preload library; exec counts again.
 * @outside: Files enabled through a node that the process itself has opened.
 * @failed: Matching opens whose ENABLE failed, other than by a refusal.
 * @last_error: errno of the last of these.
 */
struct share {
	_Atomic __u32 magic;
	_Atomic __u32 version;
	_Atomic __u64 programs;
	_Atomic __u64 outside;
	_Atomic __u64 failed;
	_Atomic __u64 last_error;
};

#endif /* BPIO_SHARE_H */
