/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What "bpio run" and the preload library in the processes of the command share.
 *
 * The files and reads are counted by the kernel, in the tally: "bpio run" opens
 * the control node, and all processes enable BypassIO through this descriptor. They
 * inherit it, at a number that programs do not use. A program that closes it gets
 * it back from "bpio run" by pidfd_getfd(2). Where that is not permitted, because
 * it has changed its user, it opens a node of its own, and the files are counted
 * in struct share only.
 *
 * struct share is in a memfd of "bpio run", which the processes inherit and get
 * back likewise, so that nothing is left behind however things end.
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
 * @outside: Files enabled through a node of the process's own.
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
