/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libbpio: read files of a bpio volume past the file system and the layers
 * below it. The kernel's interface, on which this builds, is described in
 * <linux/dm-bpio.h>; see also libbpio(3) and dm-bpio(4).
 *
 * BypassIO is enabled for an open file, and the program keeps its descriptor:
 * O_DIRECT reads of it go direct from then on, everything else that can be done
 * with it stays the file system's. The last close of the open file disables
 * BypassIO.
 *
 * Questions and requests go to the control node, /dev/bpio. It takes the
 * permission to read the file and nothing more. Where the module has no such
 * node the library opens the mapped device of the file instead, which takes the
 * permission to open that.
 *
 * Rules for all functions:
 *
 * - The return value is 0, or a descriptor, or a negative errno. errno itself
 *   has no meaning after a call.
 * - There is no hidden state: every function may be called from several threads
 *   at once, also with the same descriptors.
 * - Descriptors that are returned have close-on-exec set and belong to the
 *   caller.
 * - While the mapped device is being suspended the kernel answers EAGAIN. The
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

/* bpio_open: return the open file also when BypassIO cannot be enabled. */
#define BPIO_FALLBACK		0x1U
/* bpio_open, bpio_enable, bpio_enable_on: build the extent map at once. */
#define BPIO_ARM		0x2U
/* All calls with flags: do not ask the storage stack, only the file's part. */
#define BPIO_SKIP_STORAGE	0x4U

/**
 * struct bpio_verdict - what was decided about a file or volume, and by whom
 *
 * Passing NULL for it is allowed everywhere.
 *
 * @size: In: sizeof(struct bpio_verdict).
 * @support: enum bpio_support.
 * @op_status: 0, or the negative errno of whoever objected.
 * @reason: enum bpio_reason.
 * @out_flags: FS_BPIO_OUTFL_*.
 * @volume_major: Device number of the volume, 0 when none was found.
 * @volume_minor: See @volume_major.
 * @obstacle: enum bpio_reason. After BypassIO was enabled: what keeps reads from
 *	going direct at this moment, BPIO_REASON_NONE when nothing does. With
 *	BPIO_ARM, whether arming worked. After a query of a file: the same for
 *	those who have it enabled. BPIO_REASON_NOT_DIRECT: the descriptor lacks
 *	O_DIRECT, which fcntl(2) can set.
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
 * @depth: 0 for the volume, 1 for what lies below it, and so on.
 * @op_status: 0 when the layer agrees, else a negative errno.
 * @reason: enum bpio_reason.
 * @bypassed_reads: Reads that went past the layer.
 * @paused_since: Seconds since the epoch, 0 when the layer is not paused.
 * @name: What the layer calls itself, or the driver of the device.
 * @reason_text: One English sentence; may be empty.
 * @paused_by: Who paused it; empty when it is not paused.
 * @paused_why: Why, in words; may be empty.
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
 * @verdict: Out: what was decided.
 *
 * Opens the file with O_RDONLY | O_DIRECT and enables BypassIO for it. Closing
 * the descriptor ends both.
 *
 * With BPIO_FALLBACK a file that can be opened is always opened: when BypassIO
 * is refused, not permitted, or the file is on no bpio volume, the descriptor is
 * returned all the same. verdict.support is then BPIO_SUPPORT_NONE.
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
 * @verdict: Out: what was decided.
 *
 * Holds for the open file, that is, for @fd and all its duplicates, in this
 * process and others, until the last of them is closed. Only O_DIRECT reads go
 * direct; O_DIRECT may also be set later with fcntl(2). Enabling it again changes
 * nothing, except after bpio_disable(), which it undoes.
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
 * @verdict: Out: what was decided.
 *
 * For programs that open many files, for those that give up the permission to
 * open @door after they did, and to count files together: see
 * bpio_node_tally().
 *
 * Return: as bpio_enable(). -EXDEV: the file is not on the volume @door.
 */
int bpio_enable_on(int door, int fd, unsigned int flags,
		   struct bpio_verdict *verdict);

/**
 * bpio_disable() - disable BypassIO for an open file
 * @fd: The file.
 *
 * Direct reads of the open file have ended when this returns; the file system
 * serves the following ones. Nothing happens when BypassIO is not enabled.
 *
 * Return: 0, -ENOTTY when the file is on no bpio volume, or another negative
 * errno.
 */
int bpio_disable(int fd);

/**
 * bpio_pause() - let the file system serve all reads of a file for a while
 * @fd: The file, in whatever way it is open.
 * @verdict: Out: FS_BPIO_OUTFL_STREAM_BYPASS_PAUSED in out_flags tells whether
 *	the file is paused now.
 *
 * Holds for everybody who has the file enabled, in all processes; direct reads
 * of it have ended when this returns. Not counted: one bpio_resume() ends it.
 * Nothing happens when nobody has the file enabled, and the pause is forgotten
 * with the last close of an enabled one.
 *
 * Takes CAP_SYS_ADMIN or write permission on the mapped device, which is opened
 * for writing only when it must be: udev reads a device again when that is
 * closed.
 *
 * Return: 0. -EPERM: neither of the two rights. -ENOTTY: on no bpio volume.
 * Otherwise a negative errno.
 */
int bpio_pause(int fd, struct bpio_verdict *verdict);

/**
 * bpio_resume() - end bpio_pause()
 * @fd: The file, in whatever way it is open.
 * @verdict: Out: what the layers say now. A layer that objects keeps the file
 *	from being bypassed; it is not paused any more.
 *
 * Nothing happens when the file is not paused.
 *
 * Return: as bpio_pause().
 */
int bpio_resume(int fd, struct bpio_verdict *verdict);

/**
 * bpio_query() - ask whether BypassIO would be possible
 * @path: A file, a directory, a mount point, or the node of a mapped device.
 * @flags: BPIO_SKIP_STORAGE.
 * @verdict: Out: what would be decided.
 *
 * Changes nothing. Takes permission to read @path.
 *
 * Return: 0 when the question was answered, whatever the answer is. -ENOTTY: not
 * on a bpio volume. Otherwise the error of open(2) or of the ioctl.
 */
int bpio_query(const char *path, unsigned int flags,
	       struct bpio_verdict *verdict);

/**
 * bpio_query_fd() - bpio_query() for an open file
 * @fd: The file, directory or mapped device, open for reading.
 * @flags: BPIO_SKIP_STORAGE.
 * @verdict: Out: what would be decided.
 *
 * Return: as bpio_query(). -EACCES: @fd is not open for reading.
 */
int bpio_query_fd(int fd, unsigned int flags, struct bpio_verdict *verdict);

/**
 * bpio_query_on() - bpio_query_fd() through a descriptor that is already open
 * @door: As for bpio_enable_on().
 * @fd: As for bpio_query_fd(); -1 stands for @door, if that is a mapped device.
 * @flags: BPIO_SKIP_STORAGE.
 * @verdict: Out: what would be decided.
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
 * Never needed for correctness. Waits for dirty pages of the file to be
 * written.
 *
 * Return: 0 when O_DIRECT reads go direct now. -EBUSY: they do not, for
 * arm.reason. -ENOTTY: BypassIO was never enabled for @fd. Otherwise a negative
 * errno.
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
 * Each call makes a tally of its own.
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
 * Counts the files that any process enabled with this descriptor and
 * bpio_enable_on(), also after they were closed and after the process was
 * killed.
 *
 * Return: 0, -ENOTTY when @node is not the control node, or another negative
 * errno.
 */
int bpio_node_tally(int node, struct bpio_tally *tally);

/**
 * bpio_volume_open() - open the mapped device that a path belongs to
 * @path: A file, a directory, a mount point, or the node of a mapped device.
 *
 * Return: a descriptor. -ENOTTY: not on a bpio volume. -EACCES, -EPERM: the
 * mapped device may not be opened.
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
 * bpio_volume_enable() - let all reads of the mapped device skip what is below
 * @volume: The mapped device, open for reading, and for writing too unless the
 *	caller has CAP_SYS_ADMIN.
 * @verdict: Out: what was decided; support tells how much is skipped now.
 *
 * For programs that know nothing of BypassIO, and for any file system. Holds
 * until bpio_volume_disable() or until the device is removed; not counted, and
 * not with the files.
 *
 * Return: 0. -EPERM: neither of the two rights. -ENOTTY: not a bpio volume.
 * Otherwise the error of the ioctl.
 */
int bpio_volume_enable(int volume, struct bpio_verdict *verdict);

/**
 * bpio_volume_disable() - end bpio_volume_enable()
 * @volume: As for bpio_volume_enable().
 *
 * Such reads have ended when this returns. Nothing happens when it is not
 * enabled. Files with BypassIO enabled are not affected.
 *
 * Return: as bpio_volume_enable().
 */
int bpio_volume_disable(int volume);

/**
 * bpio_volume_pause() - let reads enter the stack at the volume for a while
 * @volume: As for bpio_volume_enable().
 * @verdict: Out: out_flags tells that the volume is paused.
 *
 * Reads that skipped the layers below have ended when this returns. Reads of
 * enabled files go on skipping the file system. Not counted: one
 * bpio_volume_resume() ends it.
 *
 * Return: as bpio_volume_enable().
 */
int bpio_volume_pause(int volume, struct bpio_verdict *verdict);

/**
 * bpio_volume_resume() - end bpio_volume_pause()
 * @volume: As for bpio_volume_enable().
 * @verdict: Out: what the layers say now.
 *
 * Nothing but the question happens when the volume is not paused.
 *
 * Return: as bpio_volume_enable().
 */
int bpio_volume_resume(int volume, struct bpio_verdict *verdict);

/**
 * bpio_layer_foreach() - ask every layer of the stack below a path
 * @path: A file, a directory, a mount point, or the node of a mapped device.
 * @verdict: Out: what would be decided, as by bpio_query().
 * @visit: Called for each layer, top to bottom. A value other than 0 ends it.
 * @arg: Passed to @visit.
 *
 * Visits the layers of the volume also when the file itself is refused. A layer
 * that vetoes the file says so; what the others say is about the volume. What
 * lies below a layer that does not take part cannot be asked and is not visited.
 *
 * Return: 0, what @visit returned, or as bpio_query().
 */
int bpio_layer_foreach(const char *path, struct bpio_verdict *verdict,
		       int (*visit)(const struct bpio_layer *layer, void *arg),
		       void *arg);

/**
 * bpio_layer_foreach_fd() - bpio_layer_foreach() for an open file
 * @fd: The file, directory or mapped device, open for reading.
 * @verdict: Out: what would be decided, as by bpio_query_fd().
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
 * @verdict: Out: what would be decided, as by bpio_query_on().
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
 * bpio_kernel_version() - read what the kernel offers
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
 * Also visits volumes whose table has several bpio targets. Asks device-mapper,
 * which takes root (CAP_SYS_ADMIN). libdevmapper is not made for threads; calls
 * of this function wait for each other, and the program's own use of
 * libdevmapper must not run at the same time.
 *
 * Return: 0, what @visit returned, or a negative errno.
 */
int bpio_volume_foreach(int (*visit)(const struct bpio_volume *volume,
				     void *arg), void *arg);

/**
 * bpio_reason_text() - the sentence for a reason
 * @reason: enum bpio_reason.
 *
 * Return: the sentence; for a number that is unknown a sentence that says so.
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
 * bpio_support_token() - the word for a kind of support, for machines
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
