/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libbpio: read files of a bpio volume past the file system and the layers
 * below it. The kernel's interface, on which this builds, is described in
 * <linux/dm-bpio.h>; see also libbpio(3) and dm-bpio(4).
 *
 * BypassIO is enabled for an open file, and the program keeps its descriptor: from then
 * on, O_DIRECT reads of it go direct, while the file system still handles all other
 * operations. The last close of the open file disables BypassIO.
 *
 * Requests go to the control node, /dev/bpio, which requires only permission to read
 * the file. If the module has no such node, the library opens the mapped device of the
 * file instead, which requires permission to open that device.
 *
 * Rules for all functions:
 *
 * - The return value is 0, or a descriptor, or a negative errno. errno itself
 *   has no meaning after a call.
 * - There is no hidden state: every function may be called from several threads
 *   at once, even with the same descriptors.
 * - Descriptors that are returned have close-on-exec set and belong to the
 *   caller.
 * - While the mapped device is being suspended the kernel returns EAGAIN. The
 *   library repeats the call for up to BPIO_RETRY_MILLISECONDS before it
 *   returns -EAGAIN.
 * - Structures with a size member grow at their end. Set the member to the
 *   sizeof of the structure before the call; no more is written.
 */
#ifndef BPIO_H
#define BPIO_H

#include <linux/dm-bpio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How long a call is repeated while the mapped device is being suspended. */
#define BPIO_RETRY_MILLISECONDS	2000

/* The control node. */
#define BPIO_NODE		"/dev/" BPIO_NODE_NAME

/* bpio_open: return the open file even if BypassIO cannot be enabled. */
#define BPIO_FALLBACK		0x1U
/* bpio_open, bpio_enable, bpio_enable_on: build the extent map at once. */
#define BPIO_ARM		0x2U
/* All calls with flags: do not query the storage stack, only the file's part. */
#define BPIO_SKIP_STORAGE	0x4U

/**
 * struct bpio_verdict - the verdict about a file or volume
 *
 * Passing NULL for it is allowed everywhere.
 *
 * @size: In: sizeof(struct bpio_verdict).
 * @support: enum bpio_support.
 * @op_status: 0, or the negative errno of the objection.
 * @reason: enum bpio_reason.
 * @out_flags: FS_BPIO_OUTFL_*.
 * @volume_major: Device number of the volume, 0 when none was found.
 * @volume_minor: See @volume_major.
 * @obstacle: enum bpio_reason. After BypassIO was enabled: why reads cannot go
 *	direct at this moment, BPIO_REASON_NONE if they can; with BPIO_ARM, this is
 *	the result of arming. After a query of a file: the same for the open files of
 *	it that are enabled. BPIO_REASON_NOT_DIRECT: the descriptor lacks O_DIRECT,
 *	which fcntl(2) can set.
 * @driver: Target type, file system or driver that objected; may be empty.
 * @reason_text: One English sentence; may be empty.
 */
struct bpio_verdict {
	__u32	size;
	__u32	support;
	__s32	op_status;
	__u32	reason;
	__u32	out_flags;
	__u32	volume_major;
	__u32	volume_minor;
	__u32	obstacle;
	char	driver[40];
	char	reason_text[136];
};

#define BPIO_VERDICT_INIT	{ .size = sizeof(struct bpio_verdict) }

/**
 * struct bpio_volume_info - counters and storage device of a volume
 *
 * @size: In: sizeof(struct bpio_volume_info).
 * @out_flags: FS_BPIO_OUTFL_*.
 * @active_files: Open files with BypassIO enabled.
 * @storage_major: Device where reads enter the stack, 0 when there is none.
 * @storage_minor: See @storage_major.
 * @volume_major: Device number of the volume itself.
 * @volume_minor: See @volume_major.
 * @flags: BPIO_INFO_*.
 * @direct_reads: O_DIRECT reads of enabled files that went direct.
 * @direct_bytes: Bytes these returned.
 * @fallback_reads: O_DIRECT reads of enabled files that the file system served.
 * @fallback_bytes: Bytes these returned.
 * @mapped_reads: Reads of the mapped device itself that skipped the layers below
 *	because of bpio_volume_enable().
 * @bmap_steps: How often a part of a file had to be mapped block by block.
 * @storage_driver: Driver of the storage device.
 */
struct bpio_volume_info {
	__u32	size;
	__u32	out_flags;
	__u32	active_files;
	__u32	storage_major;
	__u32	storage_minor;
	__u32	volume_major;
	__u32	volume_minor;
	__u32	flags;
	__u64	direct_reads;
	__u64	direct_bytes;
	__u64	fallback_reads;
	__u64	fallback_bytes;
	__u64	mapped_reads;
	__u64	bmap_steps;
	char	storage_driver[40];
};

#define BPIO_VOLUME_INFO_INIT	{ .size = sizeof(struct bpio_volume_info) }

/**
 * struct bpio_volume - one entry of bpio_volume_foreach()
 *
 * Allocated by the library, so that it can grow. Valid during the callback.
 *
 * @name: Name of the mapped device, as in dmsetup(8).
 * @major: Device number of the mapped device.
 * @minor: See @major.
 * @suspended: Not zero when the mapped device is suspended.
 */
struct bpio_volume {
	const char	*name;
	__u32		major;
	__u32		minor;
	int		suspended;
};

/**
 * struct bpio_layer - one entry of bpio_layer_foreach()
 *
 * Allocated by the library, so that it can grow. Valid during the callback.
 *
 * @major: Device number of the mapped device the layer is part of, or of the
 *	storage device.
 * @minor: See @major.
 * @flags: BPIO_LAYER_*.
 * @depth: 0 for the volume, 1 for the layer below it, and so on.
 * @op_status: 0 when the layer agrees, else a negative errno.
 * @reason: enum bpio_reason.
 * @bypassed_reads: Reads that skipped the layer.
 * @paused_since: Seconds since the epoch, 0 when the layer is not paused.
 * @name: Name under which the layer registered, or the driver of the device.
 * @reason_text: One English sentence; may be empty.
 * @paused_by: The layer or command that paused it; empty when it is not paused.
 * @paused_why: The reason for the pause, as text; may be empty.
 */
struct bpio_layer {
	__u32	major;
	__u32	minor;
	__u32	flags;
	__u32	depth;
	__s32	op_status;
	__u32	reason;
	__u64	bypassed_reads;
	__u64	paused_since;
	char	name[40];
	char	reason_text[136];
	char	paused_by[40];
	char	paused_why[72];
};

/**
 * bpio_open() - open a file for reading with BypassIO
 * @path: The file.
 * @flags: BPIO_FALLBACK, BPIO_ARM, BPIO_SKIP_STORAGE.
 * @verdict: Out: the verdict.
 *
 * Opens the file with O_RDONLY | O_DIRECT and enables BypassIO for it. Closing the
 * descriptor undoes both.
 *
 * With BPIO_FALLBACK, a descriptor is returned even if BypassIO is refused or not
 * permitted, or if the file is on no bpio volume. verdict.support is then
 * BPIO_SUPPORT_NONE.
 *
 * Return: a descriptor of the file. Negative: the error of open(2), or those of
 * bpio_enable().
 */
int bpio_open(const char *path, unsigned int flags,
	      struct bpio_verdict *verdict);

/**
 * bpio_enable() - enable BypassIO for an open file
 * @fd: The file, open with O_RDONLY.
 * @flags: BPIO_ARM, BPIO_SKIP_STORAGE.
 * @verdict: Out: the verdict.
 *
 * Stays enabled for @fd and all its duplicates, in this process and others, until the
 * last of them is closed. Only O_DIRECT reads go direct; O_DIRECT may also be set later
 * with fcntl(2). Enabling it again has no effect, except after bpio_disable().
 *
 * Return: 0. When BypassIO is refused, the negative verdict.op_status.
 * -ENOTTY: the file is on no bpio volume. -EBADF: @fd is not open, or with
 * O_PATH only. -EACCES, -EPERM: neither the control node nor, where there is
 * none, the mapped device may be opened. Otherwise the error of the ioctl.
 */
int bpio_enable(int fd, unsigned int flags, struct bpio_verdict *verdict);

/**
 * bpio_enable_on() - bpio_enable() through a descriptor that is already open
 * @door: The control node, from bpio_node_open(), or the mapped device of the
 *	file, from bpio_volume_open().
 * @fd: The file, open with O_RDONLY.
 * @flags: BPIO_ARM, BPIO_SKIP_STORAGE.
 * @verdict: Out: the verdict.
 *
 * For programs that open many files, for programs that drop the permission to open
 * @door after having opened it, and to count files together: see bpio_node_tally().
 *
 * Return: as bpio_enable(). -EXDEV: the file is not on the volume @door.
 */
int bpio_enable_on(int door, int fd, unsigned int flags,
		   struct bpio_verdict *verdict);

/**
 * bpio_disable() - disable BypassIO for an open file
 * @fd: The file.
 *
 * Direct reads of the open file have ended when this returns; the file system serves
 * later ones. Has no effect when BypassIO is not enabled.
 *
 * Return: 0, -ENOTTY when the file is on no bpio volume, or another negative
 * errno.
 */
int bpio_disable(int fd);

/**
 * bpio_pause() - make the file system serve all reads of a file for a while
 * @fd: The file, open in any mode.
 * @verdict: Out: FS_BPIO_OUTFL_STREAM_BYPASS_PAUSED in out_flags is set if the file
 *	is now paused.
 *
 * Applies to all open files of it with BypassIO, in all processes; direct reads of it
 * have ended when this returns. Pauses do not nest: one bpio_resume() ends them. Has no
 * effect when no open file of it is enabled. The pause ends with the last close of an
 * enabled open file.
 *
 * Requires CAP_SYS_ADMIN or write permission on the mapped device. That is opened for
 * writing only if necessary, because udev probes a device again when it is closed.
 *
 * Return: 0. -EPERM: neither of the two permissions. -ENOTTY: on no bpio volume.
 * Otherwise a negative errno.
 */
int bpio_pause(int fd, struct bpio_verdict *verdict);

/**
 * bpio_resume() - end bpio_pause()
 * @fd: The file, open in any mode.
 * @verdict: Out: the new verdict of the layers. A layer that objects keeps the file
 *	from being bypassed; it is no longer paused.
 *
 * Has no effect when the file is not paused.
 *
 * Return: as bpio_pause().
 */
int bpio_resume(int fd, struct bpio_verdict *verdict);

/**
 * bpio_query() - query whether BypassIO would be possible
 * @path: A file, a directory, a mount point, or the node of a mapped device.
 * @flags: BPIO_SKIP_STORAGE.
 * @verdict: Out: the verdict.
 *
 * Changes nothing. Requires permission to read @path.
 *
 * Return: 0 when the query was answered, whatever the verdict is. -ENOTTY: not on a
 * bpio volume. Otherwise the error of open(2) or of the ioctl.
 */
int bpio_query(const char *path, unsigned int flags,
	       struct bpio_verdict *verdict);

/**
 * bpio_query_fd() - bpio_query() for an open file
 * @fd: The file, directory or mapped device, open for reading.
 * @flags: BPIO_SKIP_STORAGE.
 * @verdict: Out: the verdict.
 *
 * Return: as bpio_query(). -EACCES: @fd is not open for reading.
 */
int bpio_query_fd(int fd, unsigned int flags, struct bpio_verdict *verdict);

/**
 * bpio_query_on() - bpio_query_fd() through a descriptor that is already open
 * @door: As for bpio_enable_on().
 * @fd: As for bpio_query_fd(); -1 stands for @door, if that is a mapped device.
 * @flags: BPIO_SKIP_STORAGE.
 * @verdict: Out: the verdict.
 *
 * Return: as bpio_query_fd(). -EXDEV: the file is not on the volume @door.
 */
int bpio_query_on(int door, int fd, unsigned int flags,
		  struct bpio_verdict *verdict);

/**
 * bpio_file_arm() - build the extent map of an enabled file now
 * @fd: The file.
 * @arm: Out, may be NULL: see <linux/dm-bpio.h>; size is set by the library.
 *
 * Reads are correct without it. Waits until dirty pages of the file are written.
 *
 * Return: 0 when O_DIRECT reads go direct now. -EBUSY: they cannot, because of
 * arm.reason. -ENOTTY: BypassIO was never enabled for @fd. Otherwise a negative errno.
 */
int bpio_file_arm(int fd, struct bpio_file_arm *arm);

/**
 * bpio_file_info() - read the counters of an enabled file
 * @fd: The file.
 * @info: Out: see <linux/dm-bpio.h>; size is set by the library.
 *
 * Return: 0, -ENOTTY when BypassIO was never enabled for @fd, or another
 * negative errno.
 */
int bpio_file_info(int fd, struct bpio_file_info *info);

/**
 * bpio_node_open() - open the control node
 *
 * Each call creates a separate tally.
 *
 * Return: a descriptor. -ENOENT, -ENXIO, -ENODEV: there is no such node, because
 * the module is not loaded or is too old. Otherwise the error of open(2).
 */
int bpio_node_open(void);

/**
 * bpio_node_tally() - read the sums over all files enabled through a node
 * @node: From bpio_node_open().
 * @tally: Out: see <linux/dm-bpio.h>; size is set by the library.
 *
 * Counts the files that any process enabled with this descriptor and bpio_enable_on(),
 * even after they were closed or the process was killed.
 *
 * Return: 0, -ENOTTY when @node is not the control node, or another negative
 * errno.
 */
int bpio_node_tally(int node, struct bpio_tally *tally);

/**
 * bpio_volume_open() - open the mapped device of a path
 * @path: A file, a directory, a mount point, or the node of a mapped device.
 *
 * Return: a descriptor. -ENOTTY: not on a bpio volume. -EACCES, -EPERM: the caller may
 * not open the mapped device.
 */
int bpio_volume_open(const char *path);

/**
 * bpio_volume_open_fd() - bpio_volume_open() for an open file
 * @fd: A file, a directory, or a mapped device.
 *
 * Return: as bpio_volume_open().
 */
int bpio_volume_open_fd(int fd);

/**
 * bpio_volume_open_dev() - bpio_volume_open() for a device number
 * @major: Major number of the mapped device.
 * @minor: Minor number of the mapped device.
 *
 * Return: as bpio_volume_open().
 */
int bpio_volume_open_dev(unsigned int major, unsigned int minor);

/**
 * bpio_volume_info() - read the counters of a volume
 * @fd: The mapped device, or a file or directory on it, open for reading.
 * @info: Out: the counters.
 *
 * Return: 0 or a negative errno. -ENOTTY: neither a bpio volume nor on one.
 */
int bpio_volume_info(int fd, struct bpio_volume_info *info);

/**
 * bpio_volume_enable() - let all reads of the mapped device skip the layers below
 * @volume: The mapped device, open for reading, and also for writing unless the
 *	caller has CAP_SYS_ADMIN.
 * @verdict: Out: the verdict; support says how much is now skipped.
 *
 * Works for unmodified programs and any file system. Stays in force until
 * bpio_volume_disable() or until the device is removed. Calls do not nest, and are
 * independent of the files that programs enable.
 *
 * Return: 0. -EPERM: neither of the two permissions. -ENOTTY: not a bpio volume.
 * Otherwise the error of the ioctl.
 */
int bpio_volume_enable(int volume, struct bpio_verdict *verdict);

/**
 * bpio_volume_disable() - undo bpio_volume_enable()
 * @volume: As for bpio_volume_enable().
 *
 * Reads that skipped the layers have ended when this returns. Has no effect when it is
 * not enabled. Files with BypassIO enabled are not affected.
 *
 * Return: as bpio_volume_enable().
 */
int bpio_volume_disable(int volume);

/**
 * bpio_volume_pause() - make reads enter the stack at the volume for a while
 * @volume: As for bpio_volume_enable().
 * @verdict: Out: out_flags shows that the volume is paused.
 *
 * Reads that skipped the layers below have ended when this returns. Reads of enabled
 * files still skip the file system. Pauses do not nest: one bpio_volume_resume() ends
 * them.
 *
 * Return: as bpio_volume_enable().
 */
int bpio_volume_pause(int volume, struct bpio_verdict *verdict);

/**
 * bpio_volume_resume() - end bpio_volume_pause()
 * @volume: As for bpio_volume_enable().
 * @verdict: Out: the new verdict of the layers.
 *
 * When the volume is not paused, this only queries the layers.
 *
 * Return: as bpio_volume_enable().
 */
int bpio_volume_resume(int volume, struct bpio_verdict *verdict);

/**
 * bpio_layer_foreach() - query every layer of the stack below a path
 * @path: A file, a directory, a mount point, or the node of a mapped device.
 * @verdict: Out: the verdict, as by bpio_query().
 * @visit: Called for each layer, top to bottom. A value other than 0 ends the walk.
 * @arg: Passed to @visit.
 *
 * Visits the layers of the volume even if the file itself is refused. The answer of a
 * layer is about the volume, unless the layer vetoes the file. Layers below one that
 * does not take part cannot be queried and are not visited.
 *
 * Return: 0, what @visit returned, or as bpio_query().
 */
int bpio_layer_foreach(const char *path, struct bpio_verdict *verdict,
		       int (*visit)(const struct bpio_layer *layer, void *arg),
		       void *arg);

/**
 * bpio_layer_foreach_fd() - bpio_layer_foreach() for an open file
 * @fd: The file, directory or mapped device, open for reading.
 * @verdict: Out: the verdict, as by bpio_query_fd().
 * @visit: As for bpio_layer_foreach().
 * @arg: Passed to @visit.
 *
 * Return: as bpio_layer_foreach(). -EACCES: @fd is not open for reading.
 */
int bpio_layer_foreach_fd(int fd, struct bpio_verdict *verdict,
			  int (*visit)(const struct bpio_layer *layer,
				       void *arg), void *arg);

/**
 * bpio_layer_foreach_on() - bpio_layer_foreach_fd() through an open descriptor
 * @door: As for bpio_enable_on().
 * @fd: As for bpio_query_on().
 * @verdict: Out: the verdict, as by bpio_query_on().
 * @visit: As for bpio_layer_foreach().
 * @arg: Passed to @visit.
 *
 * Return: as bpio_layer_foreach_fd(). -EXDEV: the file is not on the volume
 * @door.
 */
int bpio_layer_foreach_on(int door, int fd, struct bpio_verdict *verdict,
			  int (*visit)(const struct bpio_layer *layer,
				       void *arg), void *arg);

/**
 * bpio_kernel_version() - read the version and features of the module
 * @door: The control node or a mapped device whose table is one bpio target.
 * @version: Out: see <linux/dm-bpio.h>; size is set by the library.
 *
 * Return: 0 or a negative errno.
 */
int bpio_kernel_version(int door, struct bpio_version *version);

/**
 * bpio_volume_foreach() - visit every bpio volume of the machine
 * @visit: Called for each volume. A value other than 0 ends the walk.
 * @arg: Passed to @visit.
 *
 * Also visits volumes whose table has several bpio targets. Uses device-mapper's
 * control node, which requires root (CAP_SYS_ADMIN). libdevmapper is not thread-safe:
 * calls of this function are serialised, and the program itself must not use
 * libdevmapper at the same time.
 *
 * Return: 0, what @visit returned, or a negative errno.
 */
int bpio_volume_foreach(int (*visit)(const struct bpio_volume *volume,
				     void *arg), void *arg);

/**
 * bpio_reason_text() - the sentence for a reason
 * @reason: enum bpio_reason.
 *
 * Return: the sentence; for an unknown number, a sentence that says so.
 */
const char *bpio_reason_text(unsigned int reason);

/**
 * bpio_reason_token() - the word for a reason, for machines
 * @reason: enum bpio_reason.
 *
 * Return: the word, lower case with hyphens; "unknown" for other numbers.
 */
const char *bpio_reason_token(unsigned int reason);

/**
 * bpio_reason_from_token() - the number for bpio_reason_token()
 * @token: The word.
 *
 * Return: enum bpio_reason, or -EINVAL when there is no such word.
 */
int bpio_reason_from_token(const char *token);

/**
 * bpio_support_token() - the word for a level of support, for machines
 * @support: enum bpio_support.
 *
 * Return: "none", "partial", "full"; "unknown" for other numbers.
 */
const char *bpio_support_token(unsigned int support);

/**
 * bpio_library_version() - version of the library that is in use
 *
 * Return: a string like "1.2.3".
 */
const char *bpio_library_version(void);

#ifdef __cplusplus
}
#endif

#endif /* BPIO_H */
