/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory that "bpio run" shares with every process of the command, and in which
 * the preload library of each leaves its counters. It is a memfd of "bpio run",
 * opened through /proc, so that nothing is left behind however things end, and
 * a crash of a process loses no more than its handles that were open then.
 *
 * The kernel counts per handle, and a handle can be shared (dup, fork). So each
 * handle has a slot that keeps the highest counters seen, and whoever closes a
 * descriptor of it updates the slot. The slot of a handle that was never shared
 * is added to the totals and given back when its only descriptor is closed.
 */
#ifndef BPIO_SHARE_H
#define BPIO_SHARE_H

#include <linux/types.h>
#include <stdatomic.h>

#include <linux/dm-bpio.h>

#define SHARE_MAGIC	0x6f697062
#define SHARE_VERSION	1
#define SHARE_SLOTS	16384

/* Path of the memfd */
#define SHARE_ENV	"BPIO_RUN_SHARE"
/* Globs of --file, one per line; not set: all files */
#define SHARE_GLOBS_ENV	"BPIO_RUN_FILES"

enum share_counter {
	SHARE_DIRECT_READS,
	SHARE_DIRECT_BYTES,
	SHARE_FALLBACK_READS,
	SHARE_FALLBACK_BYTES,
	SHARE_BY_REASON,
	SHARE_COUNTERS = SHARE_BY_REASON + BPIO_REASON_SLOTS,
};

/**
 * struct share_slot - one bypass handle
 *
 * @used: The slot is taken.
 * @generation: Goes up with each use, so that a late update is recognised.
 * @shared: More than one descriptor may refer to the handle.
 * @reported: The counters were read at least once.
 * @counters: By enum share_counter.
 */
struct share_slot {
	_Atomic __u32 used;
	_Atomic __u32 generation;
	_Atomic __u32 shared;
	_Atomic __u32 reported;
	_Atomic __u64 counters[SHARE_COUNTERS];
};

/**
 * struct share - the whole
 *
 * @magic: SHARE_MAGIC.
 * @version: SHARE_VERSION.
 * @processes: Processes that loaded the preload library.
 * @handles: Opens that got a bypass handle.
 * @not_on_volume: Matching opens of files on no bpio volume.
 * @no_permission: Matching opens for which the volume could not be opened.
 * @failed: Matching opens that failed otherwise.
 * @last_error: errno of the last of these.
 * @untracked: Handles without a slot, whose reads are not counted.
 * @refused: Matching opens that were refused, by enum bpio_reason.
 * @hint: Where to look for a free slot.
 * @totals: Counters of the slots that were given back.
 * @slots: The handles.
 */
struct share {
	__u32 magic;
	__u32 version;
	_Atomic __u64 processes;
	_Atomic __u64 handles;
	_Atomic __u64 not_on_volume;
	_Atomic __u64 no_permission;
	_Atomic __u64 failed;
	_Atomic __u64 last_error;
	_Atomic __u64 untracked;
	_Atomic __u64 refused[BPIO_REASON_SLOTS];
	_Atomic __u32 hint;
	_Atomic __u64 totals[SHARE_COUNTERS];
	struct share_slot slots[SHARE_SLOTS];
};

#endif /* BPIO_SHARE_H */
