/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * BypassIO for Linux: the user-space interface of the device-mapper target
 * "bpio" and of its control node, /dev/bpio.
 *
 * What it is for
 * --------------
 * A volume is a mapped device whose table consists of "bpio" targets; a file
 * system is mounted from it. A program enables BypassIO for one open file: the
 * open file description that open(2) creates and that dup(2) and fork(2) share.
 * From then on, O_DIRECT reads of this open file skip the file system and all
 * layers of the volume and go straight to the NVMe device. The program keeps
 * using its descriptor; the file system still handles all other operations on it
 * (locks, mmap, fstat, reads without O_DIRECT, splice).
 *
 * When a read cannot go direct at the moment (another process has the file open
 * for writing, the volume is suspended, the range is a hole), the file system
 * serves it instead. Such a fall-back is counted together with its reason, and
 * bypass resumes by itself. A read of an enabled file always returns the bytes
 * that the file system would return.
 *
 * The operations and structures follow the control codes
 * FSCTL_MANAGE_BYPASS_IO (one file) and IOCTL_STORAGE_MANAGE_BYPASS_IO (the
 * storage below a volume) of BypassIO on Windows, with errno values instead of
 * status codes, UTF-8 instead of UTF-16, and file descriptors added.
 *
 * How to call it
 * --------------
 * 1. Open the file with O_RDONLY | O_DIRECT, and /dev/bpio with O_RDWR.
 * 2. Fill a struct fs_bpio_input (operation FS_BPIO_OP_ENABLE, fd the file)
 *    and send FSCTL_MANAGE_BYPASS_IO to /dev/bpio with a struct bpio_ioctl that
 *    points to this input and to a struct fs_bpio_output.
 * 3. The ioctl also returns 0 when bypass was refused. In that case
 *    fs_bpio_output.support is BPIO_SUPPORT_NONE and .enable gives the reason.
 * 4. Read the file as before. FS_BPIO_INFL_ARM with ENABLE, or later
 *    BPIO_IOC_FILE_ARM on the file itself, waits until reads can go direct;
 *    reads are correct without it. BPIO_IOC_FILE_INFO on the file returns its
 *    counters.
 * 5. Close the file. The last close of the open file, also by the exit of a
 *    killed process, disables BypassIO.
 *
 * The same operations can be sent to the mapped device of the volume if its
 * table has a single line: device-mapper passes ioctls to no other table. For a
 * volume of several segments, use /dev/bpio.
 *
 * Permissions
 * -----------
 * "file" stands for a descriptor that is open for reading: permission to read a
 * file is permission to bypass it. "device" stands for a descriptor of the
 * mapped device. "admin" is CAP_SYS_ADMIN in the initial user namespace. The
 * mode in which /dev/bpio itself was opened makes no difference.
 *
 *	operation		sent to /dev/bpio	sent to the device
 *	ENABLE, DISABLE		file			file
 *	QUERY, GET_INFO		file, directory,	any or no file
 *				or device
 *	STREAM_PAUSE, _RESUME	file, and admin		device open for writing,
 *							or admin
 *	VOLUME_STACK_PAUSE,	device open for		device open for writing,
 *	_RESUME			writing, or admin	or admin
 *	storage QUERY		device			any
 *	storage ENABLE,		device open for		device open for writing,
 *	DISABLE			writing, or admin	or admin
 *	BPIO_IOC_TALLY		any			-
 *	BPIO_IOC_FILE_ARM, _INFO: sent to the enabled file, any
 *
 * A process that may open the mapped device can read every block of the volume,
 * whatever the permissions of its files. /dev/bpio gives no such access.
 *
 * Errors of the ioctls (the call had no effect):
 *
 *	EINVAL	   unknown operation or flag, a reserved field that is not zero,
 *		   an unknown version; FS_BPIO_INFL_ARM on the mapped device
 *	EMSGSIZE   the input buffer is shorter than its structure
 *	ERANGE	   the output buffer is shorter than its structure
 *	EOPNOTSUPP the operation is not available
 *	EXDEV	   mapped device only: the descriptor is not a file of this volume;
 *		   the output names this reason
 *	ENXIO	   /dev/bpio only: the descriptor is neither a bpio volume nor on one
 *	EBADF	   no such descriptor, or one opened with O_PATH
 *	EACCES	   /dev/bpio only: the descriptor is not open for reading (QUERY,
 *		   GET_INFO)
 *	EPERM	   the caller lacks a permission listed in the table above
 *	EFAULT	   a buffer cannot be read or written
 *	EAGAIN	   the volume is suspended, or is being suspended, or its table was
 *		   replaced while one of its files is enabled; try again
 *	ENOTTY	   not a bpio volume, or its table has more than one line; a file
 *		   that was never enabled
 *
 * Rules for all structures: sizes and lengths are in bytes; fields have a fixed
 * width; padding is explicit; fields named reserved must be zero on input and
 * are zero on output; layouts are the same for 32-bit and 64-bit programs.
 * Strings are UTF-8, not NUL-terminated; a separate field has their length in
 * bytes.
 */
#ifndef _UAPI_LINUX_DM_BPIO_H
#define _UAPI_LINUX_DM_BPIO_H

#include <linux/ioctl.h>
#include <linux/types.h>

/**
 * BPIO_ABI_VERSION - version of this interface
 *
 * Raised when operations, flags or reasons are added. Existing ones never
 * change their meaning. BPIO_IOC_GET_VERSION returns what a kernel offers.
 */
#define BPIO_ABI_VERSION	2

/* Longest driver name and failure reason, in bytes. Longer ones are refused. */
#define BPIO_DRIVER_NAME_MAX	32
#define BPIO_REASON_TEXT_MAX	128

/**
 * enum fs_bpio_operations - operations of FSCTL_MANAGE_BYPASS_IO
 *
 * @FS_BPIO_OP_ENABLE: Enable BypassIO for one open file, which must be a regular
 *	file open read-only. Enabling it twice has no further effect. A refusal or
 *	veto is not an error of the ioctl; it is in the results.
 * @FS_BPIO_OP_DISABLE: Disable BypassIO for one open file; its direct reads have
 *	drained when this returns. Fails only if the task is killed meanwhile;
 *	ignored when not enabled. The file can be enabled again.
 * @FS_BPIO_OP_QUERY: Answer as ENABLE would and change nothing. Also for
 *	directories and for the volume itself (fd is the mapped device, or -1).
 * @FS_BPIO_OP_VOLUME_STACK_PAUSE: Stop the bypass of the volume and storage
 *	stack for all files of the volume; direct reads have drained when it
 *	returns. May be sent repeatedly. Fails only if the task is killed
 *	meanwhile. Reads do not drain while a device below is suspended: only this
 *	call waits for them. It sets the pause before it waits.
 * @FS_BPIO_OP_VOLUME_STACK_RESUME: End the pause, however often PAUSE was sent.
 *	The stack is queried again and bypass resumes if no layer objects. Never
 *	fails.
 * @FS_BPIO_OP_STREAM_PAUSE: Pause one file, for all open files that have enabled
 *	it: their direct reads have drained when this returns. Ignored when not
 *	enabled. The pause ends with the last close of the file. A pause by kernel
 *	code is separate, see FS_BPIO_OUTFL_STREAM_KERNEL_PAUSED.
 * @FS_BPIO_OP_STREAM_RESUME: End the pause of one file, however often PAUSE was
 *	sent. Ignored when not paused.
 * @FS_BPIO_OP_GET_INFO: Number of open files with BypassIO enabled on the
 *	volume, name of the storage driver, and counters. Changes nothing.
 */
enum fs_bpio_operations {
	FS_BPIO_OP_ENABLE		= 1,
	FS_BPIO_OP_DISABLE		= 2,
	FS_BPIO_OP_QUERY		= 3,
	FS_BPIO_OP_VOLUME_STACK_PAUSE	= 4,
	FS_BPIO_OP_VOLUME_STACK_RESUME	= 5,
	FS_BPIO_OP_STREAM_PAUSE		= 6,
	FS_BPIO_OP_STREAM_RESUME	= 7,
	FS_BPIO_OP_GET_INFO		= 8,
};

/**
 * enum bpio_operations - operations of IOCTL_STORAGE_MANAGE_BYPASS_IO
 *
 * @BPIO_OP_ENABLE: Let all reads of the mapped device, from any program or file
 *	system, skip the layers below it while these agree. Needs write access to
 *	the mapped device or CAP_SYS_ADMIN. Stays in force until DISABLE or until
 *	the device is removed. Not part of fs_bpio_info.active_count.
 * @BPIO_OP_DISABLE: Undo BPIO_OP_ENABLE. Ignored when not enabled; needs the same
 *	permission.
 * @BPIO_OP_QUERY: Query the stack below the volume and change nothing.
 */
enum bpio_operations {
	BPIO_OP_ENABLE	= 1,
	BPIO_OP_DISABLE	= 2,
	BPIO_OP_QUERY	= 3,
};

/*
 * fs_bpio_input.in_flags, with ENABLE and QUERY: do not send the query to the
 * storage stack. The answer then covers only the file and the file system, and
 * support is at most BPIO_SUPPORT_PARTIAL, even if reads go straight to storage.
 */
#define FS_BPIO_INFL_SKIP_STORAGE_STACK_QUERY	(1U << 0)
/*
 * fs_bpio_input.in_flags, with QUERY only: query all layers, including those below
 * a layer that objects, and report each. The output buffer then holds a struct
 * fs_bpio_stack. Not part of the original protocol.
 */
#define FS_BPIO_INFL_ALL_LAYERS			(1U << 16)
/*
 * fs_bpio_input.in_flags, with ENABLE sent to /dev/bpio only: arm the file before
 * returning, as BPIO_IOC_FILE_ARM does; fs_bpio_output.obstacle has the result.
 * The mapped device returns EINVAL, because device-mapper would make a suspend wait
 * for the file-system I/O of arming.
 */
#define FS_BPIO_INFL_ARM			(1U << 17)
#define FS_BPIO_INFL_ALL	(FS_BPIO_INFL_SKIP_STORAGE_STACK_QUERY | \
				 FS_BPIO_INFL_ALL_LAYERS | FS_BPIO_INFL_ARM)

/* fs_bpio_output.out_flags: the volume's stack is paused. */
#define FS_BPIO_OUTFL_VOLUME_STACK_BYPASS_PAUSED	(1U << 0)
/* fs_bpio_output.out_flags: this file is paused, by STREAM_PAUSE or kernel code. */
#define FS_BPIO_OUTFL_STREAM_BYPASS_PAUSED		(1U << 1)
/*
 * fs_bpio_output.out_flags: a layer that was inserted after ENABLE blocks the
 * bypass. Set when the volume queries its stack again: at once if the layer takes
 * part in BypassIO, otherwise with the next read of an enabled file.
 */
#define FS_BPIO_OUTFL_FILTER_ATTACH_BLOCKED		(1U << 2)
/* fs_bpio_output.out_flags: the storage device can be read directly. */
#define FS_BPIO_OUTFL_COMPATIBLE_STORAGE_DRIVER		(1U << 3)

/*
 * fs_bpio_output.out_flags: BPIO_OP_ENABLE is in force, for all reads of the
 * mapped device. Not part of the original protocol.
 */
#define FS_BPIO_OUTFL_ALL_READS_ENABLED			(1U << 16)
/*
 * fs_bpio_output.out_flags: kernel code has paused this file; neither STREAM_RESUME
 * nor the last close ends this pause. Not part of the original protocol.
 */
#define FS_BPIO_OUTFL_STREAM_KERNEL_PAUSED		(1U << 17)

/**
 * enum bpio_support - how much of the path a read may skip
 *
 * @BPIO_SUPPORT_NONE: Nothing; reads go through the file system.
 * @BPIO_SUPPORT_PARTIAL: The file system and the layers above the layer that
 *	objected. Reads enter the stack at that layer. The results name it.
 * @BPIO_SUPPORT_FULL: Everything down to the storage device.
 */
enum bpio_support {
	BPIO_SUPPORT_NONE	= 0,
	BPIO_SUPPORT_PARTIAL	= 1,
	BPIO_SUPPORT_FULL	= 2,
};

/**
 * enum bpio_reason - why something is not bypassed
 *
 * The same numbers are used for refusals of a file, for vetoes, and for single
 * reads that the file system served. Numbers are stable; new ones are appended.
 *
 * Refusals of a file (ENABLE and QUERY):
 * @BPIO_REASON_NONE: Nothing prevents bypass.
 * @BPIO_REASON_NOT_REGULAR_FILE: Directories, devices, pipes and sockets.
 * @BPIO_REASON_NOT_READABLE: The descriptor is not open for reading.
 * @BPIO_REASON_NOT_DIRECT: The descriptor is not open with O_DIRECT. Not a
 *	refusal: reads go direct once O_DIRECT is set with fcntl(2).
 * @BPIO_REASON_OTHER_VOLUME: The file is not on this volume.
 * @BPIO_REASON_FILE_SYSTEM: The file system does not take part. XFS takes part only
 *	if built with CONFIG_EXPORTFS_BLOCK_OPS: without it, its online repair breaks
 *	no lease.
 * @BPIO_REASON_VERITY: fs-verity must check every byte of the file.
 * @BPIO_REASON_ENCRYPTED: The file system must decrypt the file.
 * @BPIO_REASON_COMPRESSED: The file system must decompress the file.
 * @BPIO_REASON_DAX: The file is accessed by DAX, without block I/O.
 * @BPIO_REASON_SWAP_FILE: The file is used for swapping.
 *
 * The stack below the volume (ENABLE, QUERY, and reads):
 * @BPIO_REASON_NOT_NVME: The storage device is not NVMe.
 * @BPIO_REASON_ZONED: The storage device is zoned.
 * @BPIO_REASON_METADATA: The storage device carries metadata (integrity data)
 *	with each block.
 * @BPIO_REASON_LAYER_UNAWARE: A layer does not take part in BypassIO.
 * @BPIO_REASON_LAYER_VETO: A layer vetoed the volume; it chose status and text.
 * @BPIO_REASON_FILE_VETO: A layer vetoed this file; it chose status and text.
 * @BPIO_REASON_QUERY_SKIPPED: FS_BPIO_INFL_SKIP_STORAGE_STACK_QUERY was set.
 *
 * Reads served by the file system for now:
 * @BPIO_REASON_NOT_ARMED: The extent map is not built yet.
 * @BPIO_REASON_WRITER: The file is open for writing or shared writable mapped.
 * @BPIO_REASON_REVOKED: The file was opened for writing, truncated, renamed,
 *	linked, unlinked, or its attributes changed a moment ago.
 * @BPIO_REASON_LEASE: Another process or a file server holds a lease or delegation
 *	on the file, or asked for one less than a second ago; or leases are disabled
 *	(/proc/sys/fs/leases-enable).
 * @BPIO_REASON_DIRTY_PAGES: The page cache holds data not yet on the device.
 * @BPIO_REASON_UNMAPPED: The range is a hole, preallocated, or stored inline.
 * @BPIO_REASON_MAP_LIMIT: The extent map lacks the range, because the maps of all
 *	files together have reached their memory limit.
 * @BPIO_REASON_UNALIGNED: Offset, length or buffer is not aligned to the
 *	logical block size or to the memory alignment of the device.
 * @BPIO_REASON_VOLUME_SUSPENDED: The volume or a layer below it is suspended,
 *	was replaced, or is gone.
 * @BPIO_REASON_VOLUME_PAUSED: VOLUME_STACK_PAUSE is in force.
 * @BPIO_REASON_STREAM_PAUSED: STREAM_PAUSE is in force.
 * @BPIO_REASON_DISABLED: BypassIO was disabled for this open file.
 * @BPIO_REASON_DEVICE_ERROR: The direct read failed on the device.
 * @BPIO_REASON_NO_MEMORY: No memory for the extent map or for the read.
 * @BPIO_REASON_NO_WAIT: A polled read found no free request, and could not wait for
 *	one (before Linux 6.2).
 * @BPIO_REASON_SWITCHED_OFF: The module parameter "bypass" is off. ENABLE and QUERY
 *	return this reason too, with BPIO_SUPPORT_PARTIAL and -EAGAIN: files can be
 *	enabled, and their reads go direct when the parameter is on again.
 * @BPIO_REASON_REALTIME: The file lies on the realtime device of XFS, which is not
 *	the volume.
 * @BPIO_REASON_NOT_READ_ONLY: The descriptor is open for writing; ENABLE and QUERY
 *	refuse it.
 * @BPIO_REASON_KERNEL_PAUSED: Kernel code has paused the file.
 * @BPIO_REASON_LOCKED: The file system holds the inode lock, to change the flags of
 *	the file or to check it. Reads wait for that lock with or without BypassIO.
 * @BPIO_REASON_SHUT_DOWN: The file system was shut down, by its administrator or
 *	after an error, and fails all reads.
 * @BPIO_REASON_PEER_MEMORY: The buffer is peer memory, but the devices below cannot
 *	transfer to it (BPIO_INFO_PEER_MEMORY is not set), or the same read has other
 *	memory too. The file system fails such reads with EREMOTEIO.
 * @BPIO_REASON_COUNT: One more than the highest reason of this header.
 */
enum bpio_reason {
	BPIO_REASON_NONE		= 0,
	BPIO_REASON_NOT_REGULAR_FILE	= 1,
	BPIO_REASON_NOT_READABLE	= 2,
	BPIO_REASON_NOT_DIRECT		= 3,
	BPIO_REASON_OTHER_VOLUME	= 4,
	BPIO_REASON_FILE_SYSTEM		= 5,
	BPIO_REASON_VERITY		= 6,
	BPIO_REASON_ENCRYPTED		= 7,
	BPIO_REASON_COMPRESSED		= 8,
	BPIO_REASON_DAX			= 9,
	BPIO_REASON_SWAP_FILE		= 10,
	BPIO_REASON_NOT_NVME		= 11,
	BPIO_REASON_ZONED		= 12,
	BPIO_REASON_METADATA		= 13,
	BPIO_REASON_LAYER_UNAWARE	= 14,
	BPIO_REASON_LAYER_VETO		= 15,
	BPIO_REASON_FILE_VETO		= 16,
	BPIO_REASON_QUERY_SKIPPED	= 17,
	BPIO_REASON_NOT_ARMED		= 18,
	BPIO_REASON_WRITER		= 19,
	BPIO_REASON_REVOKED		= 20,
	BPIO_REASON_LEASE		= 21,
	BPIO_REASON_DIRTY_PAGES		= 22,
	BPIO_REASON_UNMAPPED		= 23,
	BPIO_REASON_MAP_LIMIT		= 24,
	BPIO_REASON_UNALIGNED		= 25,
	BPIO_REASON_VOLUME_SUSPENDED	= 26,
	BPIO_REASON_VOLUME_PAUSED	= 27,
	BPIO_REASON_STREAM_PAUSED	= 28,
	BPIO_REASON_DISABLED		= 29,
	BPIO_REASON_DEVICE_ERROR	= 30,
	BPIO_REASON_NO_MEMORY		= 31,
	BPIO_REASON_NO_WAIT		= 32,
	BPIO_REASON_SWITCHED_OFF	= 33,
	BPIO_REASON_REALTIME		= 34,
	BPIO_REASON_NOT_READ_ONLY	= 35,
	BPIO_REASON_KERNEL_PAUSED	= 36,
	BPIO_REASON_LOCKED		= 37,
	BPIO_REASON_SHUT_DOWN		= 38,
	BPIO_REASON_PEER_MEMORY		= 39,
	BPIO_REASON_COUNT
};

/* Room for counters by reason; at least BPIO_REASON_COUNT. */
#define BPIO_REASON_SLOTS	64

/**
 * struct bpio_ioctl - the envelope of both control codes
 *
 * Input and output are two buffers, each with a length. They may overlap. An input
 * longer than its structure must be zero behind it and at most 4096 bytes long, else
 * EINVAL. The kernel does not touch the output buffer behind @bytes_returned.
 *
 * @size: sizeof(struct bpio_ioctl), in bytes.
 * @flags: Must be zero.
 * @in_buffer: Address of a struct fs_bpio_input or struct bpio_input.
 * @out_buffer: Address of a struct fs_bpio_output or struct bpio_output.
 * @in_length: Bytes at @in_buffer.
 * @out_length: Bytes at @out_buffer.
 * @bytes_returned: Set by the kernel: bytes written to @out_buffer.
 * @reserved: Must be zero.
 */
struct bpio_ioctl {
	__u32	size;
	__u32	flags;
	__u64	in_buffer;
	__u64	out_buffer;
	__u32	in_length;
	__u32	out_length;
	__u32	bytes_returned;
	__u32	reserved;
};

/**
 * struct fs_bpio_input - input of FSCTL_MANAGE_BYPASS_IO
 *
 * @operation: enum fs_bpio_operations.
 * @in_flags: FS_BPIO_INFL_*.
 * @reserved1: Must be zero.
 * @reserved2: Must be zero.
 * @fd: The file to operate on. On /dev/bpio it also selects the volume: it is a file
 *	or directory on the volume, or the mapped device. On the mapped device, -1
 *	stands for the volume itself in QUERY, GET_INFO and the two VOLUME_STACK
 *	operations; the last three ignore @fd.
 * @reserved3: Must be zero.
 */
struct fs_bpio_input {
	__u32	operation;
	__u32	in_flags;
	__u64	reserved1;
	__u64	reserved2;
	__s32	fd;
	__u32	reserved3;
};

/**
 * struct bpio_results - the verdict
 *
 * @op_status: 0 when nothing objected, else the negative errno of the objection.
 *	With BPIO_SUPPORT_PARTIAL it is negative too, and the other fields name the
 *	layer that keeps the bypass from being full. Exception: it is 0 when the
 *	storage stack was not queried (BPIO_REASON_QUERY_SKIPPED).
 * @failing_driver_name_len: Bytes used of @failing_driver_name.
 * @failing_driver_name: The file system, layer or driver that objected, the
 *	topmost if several did. For a target that does not take part it is the name
 *	of the device-mapper module, because the kernel does not export the target
 *	type; device-mapper's own interface returns that.
 * @failure_reason_len: Bytes used of @failure_reason.
 * @failure_reason: One English sentence, never translated.
 * @reason: enum bpio_reason.
 */
struct bpio_results {
	__s32	op_status;
	__u16	failing_driver_name_len;
	__u8	failing_driver_name[BPIO_DRIVER_NAME_MAX];
	__u16	failure_reason_len;
	__u8	failure_reason[BPIO_REASON_TEXT_MAX];
	__u32	reason;
};

/*
 * fs_bpio_info.flags and bpio_file_info.flags: direct reads may go into peer memory,
 * which is memory of a PCI device (P2PDMA), such as a GPU, that a program has
 * mapped. All devices at which reads enter the stack support P2PDMA. Whether they
 * can reach the device that owns the memory shows only when a read is sent. O_DIRECT
 * reads into peer memory that the file system serves fail with EREMOTEIO, except
 * reads of holes.
 */
#define BPIO_INFO_PEER_MEMORY	(1U << 0)

/**
 * struct fs_bpio_info - answer to FS_BPIO_OP_GET_INFO
 *
 * Counters run from the creation of the mapped device and wrap at 2^64.
 *
 * @active_count: Open files of the volume with BypassIO enabled.
 * @storage_driver_name_len: Bytes used of @storage_driver_name.
 * @storage_driver_name: Driver of the device where the reads of the volume
 *	enter the stack: "nvme", or the driver that prevents full bypass.
 * @flags: BPIO_INFO_* of the path that direct reads would take now.
 * @storage_major: Device number of that device, 0 when there is none now.
 * @storage_minor: See @storage_major.
 * @volume_major: Device number of the volume that answered. A stock target above a
 *	volume may pass the ioctl down, so this can differ from the device it was
 *	sent to.
 * @volume_minor: See @volume_major.
 * @direct_reads: O_DIRECT reads of enabled files that went direct.
 * @direct_bytes: Bytes that these returned.
 * @fallback_reads: O_DIRECT reads of enabled files that the file system served.
 * @fallback_bytes: As in struct bpio_file_info.
 * @mapped_reads: Reads of the mapped device itself that skipped the layers below
 *	because of BPIO_OP_ENABLE.
 * @bmap_steps: How often a part of a file had to be mapped block by block with
 *	bmap(), which is slow, because the faster method gave no answer.
 */
struct fs_bpio_info {
	__u32	active_count;
	__u16	storage_driver_name_len;
	__u8	storage_driver_name[BPIO_DRIVER_NAME_MAX];
	__u16	flags;
	__u32	storage_major;
	__u32	storage_minor;
	__u32	volume_major;
	__u32	volume_minor;
	__u64	direct_reads;
	__u64	direct_bytes;
	__u64	fallback_reads;
	__u64	fallback_bytes;
	__u64	mapped_reads;
	__u64	bmap_steps;
};

/**
 * struct fs_bpio_output - output of FSCTL_MANAGE_BYPASS_IO
 *
 * @operation: The operation this answers.
 * @out_flags: FS_BPIO_OUTFL_*.
 * @reserved1: Zero.
 * @reserved2: Zero.
 * @enable: Verdict of ENABLE.
 * @query: Verdict of QUERY.
 * @volume_stack_resume: Verdict of the query that VOLUME_STACK_RESUME made.
 * @stream_resume: Verdict of the query that STREAM_RESUME made.
 * @get_info: Answer to GET_INFO.
 * @support: enum bpio_support. Zero after DISABLE, the PAUSEs and GET_INFO.
 * @obstacle: enum bpio_reason. After ENABLE: what keeps reads from going direct
 *	at this moment, BPIO_REASON_NONE when nothing does. After QUERY of a file:
 *	the same for the open files of it that are enabled, or BPIO_REASON_NOT_DIRECT
 *	when the queried descriptor lacks O_DIRECT. Otherwise zero.
 */
struct fs_bpio_output {
	__u32	operation;
	__u32	out_flags;
	__u64	reserved1;
	__u64	reserved2;
	union {
		struct bpio_results	enable;
		struct bpio_results	query;
		struct bpio_results	volume_stack_resume;
		struct bpio_results	stream_resume;
		struct fs_bpio_info	get_info;
		__u64			space[24];
	};
	__u32	support;
	__u32	obstacle;
};

/* bpio_layer_info.flags: the layer takes part in BypassIO. */
#define BPIO_LAYER_TAKES_PART	(1U << 0)
/* bpio_layer_info.flags: this is the storage device at the end of the stack. */
#define BPIO_LAYER_STORAGE	(1U << 1)
/* bpio_layer_info.flags: reads of files with bypass skip it now. */
#define BPIO_LAYER_BYPASSED	(1U << 2)
/* bpio_layer_info.flags: the layer is paused; see paused_since, who and why. */
#define BPIO_LAYER_PAUSED	(1U << 3)

/* Longest explanation of a pause, in bytes. */
#define BPIO_PAUSE_TEXT_MAX	64

/**
 * struct bpio_layer_info - one layer of the stack
 *
 * @major: Device number of the mapped device the layer is part of, or of the
 *	storage device.
 * @minor: See @major.
 * @flags: BPIO_LAYER_*.
 * @depth: 0 for the volume, 1 for what lies below it, and so on.
 * @bypassed_reads: Reads that went past the layer.
 * @paused_since: Seconds since the epoch, 0 when not paused.
 * @name_len: Bytes used of @name.
 * @who_len: Bytes used of @who.
 * @why_len: Bytes used of @why.
 * @reserved: Zero.
 * @name: Name under which the layer registered, or the driver of the device.
 * @who: What paused it: a layer, or a command with its process ID.
 * @why: The reason for the pause, as text.
 * @verdict: Answer of the layer; op_status is 0 when it agrees. In a query of a
 *	file, a veto of that file takes precedence over one of the volume.
 * @reserved2: Zero.
 */
struct bpio_layer_info {
	__u32	major;
	__u32	minor;
	__u32	flags;
	__u32	depth;
	__u64	bypassed_reads;
	__u64	paused_since;
	__u16	name_len;
	__u16	who_len;
	__u16	why_len;
	__u16	reserved;
	__u8	name[BPIO_DRIVER_NAME_MAX];
	__u8	who[BPIO_DRIVER_NAME_MAX];
	__u8	why[BPIO_PAUSE_TEXT_MAX];
	struct bpio_results	verdict;
	__u32	reserved2;
};

/**
 * struct fs_bpio_stack - output of QUERY with FS_BPIO_INFL_ALL_LAYERS
 *
 * @output: As without the flag.
 * @layers: Number of layers in the stack, which may be more than fit the buffer.
 * @written: Number of entries in @layer.
 * @layer: The layers, top to bottom.
 */
struct fs_bpio_stack {
	struct fs_bpio_output	output;
	__u32			layers;
	__u32			written;
	struct bpio_layer_info	layer[];
};

/* bpio_input.version and bpio_output.version. */
#define BPIO_INPUT_VERSION	1
#define BPIO_OUTPUT_VERSION	1

/**
 * struct bpio_input - input of IOCTL_STORAGE_MANAGE_BYPASS_IO
 *
 * @version: BPIO_INPUT_VERSION.
 * @size: sizeof(struct bpio_input), in bytes.
 * @operation: enum bpio_operations.
 * @in_flags: Must be zero.
 * @fd: On /dev/bpio: a descriptor of the mapped device. On the mapped device: zero.
 * @reserved1: Must be zero.
 * @reserved2: Must be zero.
 */
struct bpio_input {
	__u32	version;
	__u32	size;
	__u32	operation;
	__u32	in_flags;
	__s32	fd;
	__u32	reserved1;
	__u64	reserved2;
};

/**
 * struct bpio_output - output of IOCTL_STORAGE_MANAGE_BYPASS_IO
 *
 * @version: BPIO_OUTPUT_VERSION.
 * @size: sizeof(struct bpio_output), in bytes.
 * @operation: The operation this answers.
 * @out_flags: Those FS_BPIO_OUTFL_* that describe the volume.
 * @reserved1: Zero.
 * @reserved2: Zero.
 * @enable: Verdict of ENABLE.
 * @query: Verdict of QUERY.
 * @support: enum bpio_support.
 * @reserved3: Zero.
 */
struct bpio_output {
	__u32	version;
	__u32	size;
	__u32	operation;
	__u32	out_flags;
	__u64	reserved1;
	__u64	reserved2;
	union {
		struct bpio_results	enable;
		struct bpio_results	query;
		__u64			space[24];
	};
	__u32	support;
	__u32	reserved3;
};

/**
 * struct bpio_version - answer to BPIO_IOC_GET_VERSION
 *
 * @size: In: size of the caller's buffer, 24 to 4096 bytes, else EINVAL. Out: size
 *	of the kernel's structure. The kernel sets the rest of the buffer to zero.
 * @abi_version: BPIO_ABI_VERSION of the kernel.
 * @features: BPIO_FEATURE_* the kernel offers.
 * @fs_operations: Bit n is set when FSCTL operation n is available.
 * @storage_operations: Bit n is set when storage operation n is available to
 *	user space.
 */
struct bpio_version {
	__u32	size;
	__u32	abi_version;
	__u64	features;
	__u32	fs_operations;
	__u32	storage_operations;
};

/* bpio_version.features: files of ext4 (also ext2 and ext3 mounted by it). */
#define BPIO_FEATURE_EXT4	(1ULL << 0)
/* bpio_version.features: files of XFS. */
#define BPIO_FEATURE_XFS	(1ULL << 1)

/**
 * struct bpio_file_arm - argument of BPIO_IOC_FILE_ARM
 *
 * Arming takes the lease and builds the extent map. The kernel does so soon after
 * ENABLE, and again after each revoke; this call arms now and waits. It may write
 * back dirty pages of the file. A signal ends the wait with EINTR.
 *
 * @size: sizeof(struct bpio_file_arm), in bytes.
 * @flags: Must be zero.
 * @armed: Out: 1 when O_DIRECT reads of mapped ranges go direct now, else 0.
 * @reason: Out: enum bpio_reason; why not, when @armed is 0.
 * @extents: Out: extents in the map.
 * @mapped_bytes: Out: bytes of the file that the map covers.
 */
struct bpio_file_arm {
	__u32	size;
	__u32	flags;
	__u32	armed;
	__u32	reason;
	__u64	extents;
	__u64	mapped_bytes;
};

/**
 * struct bpio_file_info - argument of BPIO_IOC_FILE_INFO
 *
 * Counters start at the first ENABLE of the open file. Reads without O_DIRECT and
 * reads behind the end of the file are not counted.
 *
 * @size: sizeof(struct bpio_file_info), in bytes.
 * @flags: In: must be zero. Out: BPIO_INFO_* of the route in use.
 * @armed: 1 when O_DIRECT reads of mapped ranges go direct now, else 0.
 * @reason: enum bpio_reason; why not, when @armed is 0.
 * @support: enum bpio_support of the route in use.
 * @volume_major: Device number of the volume.
 * @volume_minor: See @volume_major.
 * @enabled: 1, or 0 after DISABLE.
 * @extents: Extents in the map.
 * @mapped_bytes: Bytes of the file that the map covers.
 * @revokes: How often the map of this file was given up because the file was
 *	opened for writing, truncated, renamed and the like.
 * @direct_reads: Reads of this open file that went direct.
 * @direct_bytes: Bytes these returned.
 * @fallback_reads: Reads of this open file that the file system served.
 * @fallback_bytes: Bytes these returned. For asynchronous reads, whose completion
 *	dm-bpio does not see: the bytes requested, up to the end of the file.
 * @fallback_reason: Reads served by the file system, by enum bpio_reason.
 */
struct bpio_file_info {
	__u32	size;
	__u32	flags;
	__u32	armed;
	__u32	reason;
	__u32	support;
	__u32	volume_major;
	__u32	volume_minor;
	__u32	enabled;
	__u64	extents;
	__u64	mapped_bytes;
	__u64	revokes;
	__u64	direct_reads;
	__u64	direct_bytes;
	__u64	fallback_reads;
	__u64	fallback_bytes;
	__u64	fallback_reason[BPIO_REASON_SLOTS];
};

/**
 * struct bpio_tally - argument of BPIO_IOC_TALLY
 *
 * Each open(2) of /dev/bpio creates a tally: the sums over all open files that were
 * first enabled through it, by any process, including files that have been closed.
 * Children inherit it with the descriptor.
 *
 * @size: sizeof(struct bpio_tally), in bytes.
 * @flags: Must be zero.
 * @files: Open files that were first enabled through this open of /dev/bpio.
 * @open_files: Those of them that are enabled now.
 * @direct_reads: Reads of these files, as in struct bpio_file_info.
 * @direct_bytes: See @direct_reads.
 * @fallback_reads: See @direct_reads.
 * @fallback_bytes: See @direct_reads.
 * @refused: ENABLEs that were refused or vetoed.
 * @fallback_reason: Reads served by the file system, by enum bpio_reason.
 * @refused_reason: ENABLEs that were refused, by enum bpio_reason. ENABLE of a
 *	file that is on no bpio volume fails with ENXIO and counts as
 *	BPIO_REASON_OTHER_VOLUME.
 */
struct bpio_tally {
	__u32	size;
	__u32	flags;
	__u64	files;
	__u64	open_files;
	__u64	direct_reads;
	__u64	direct_bytes;
	__u64	fallback_reads;
	__u64	fallback_bytes;
	__u64	refused;
	__u64	fallback_reason[BPIO_REASON_SLOTS];
	__u64	refused_reason[BPIO_REASON_SLOTS];
};

/* The control node. */
#define BPIO_NODE_NAME	"bpio"

#define BPIO_IOC_TYPE	0xBB

/* To /dev/bpio and to the mapped device. */
#define BPIO_IOC_GET_VERSION	_IOWR(BPIO_IOC_TYPE, 0x00, struct bpio_version)
#define FSCTL_MANAGE_BYPASS_IO	_IOWR(BPIO_IOC_TYPE, 0x01, struct bpio_ioctl)

/* To the mapped device, or to /dev/bpio. */
#define IOCTL_STORAGE_MANAGE_BYPASS_IO \
				_IOWR(BPIO_IOC_TYPE, 0x02, struct bpio_ioctl)

/* To an enabled file. */
#define BPIO_IOC_FILE_ARM	_IOWR(BPIO_IOC_TYPE, 0x10, struct bpio_file_arm)
#define BPIO_IOC_FILE_INFO	_IOWR(BPIO_IOC_TYPE, 0x11, struct bpio_file_info)

/* To /dev/bpio. */
#define BPIO_IOC_TALLY		_IOWR(BPIO_IOC_TYPE, 0x20, struct bpio_tally)

#endif /* _UAPI_LINUX_DM_BPIO_H */
