// SPDX-License-Identifier: GPL-2.0-only
/*
 * See catalogue.h. The advice must never suggest giving up protection of the data:
 * encryption, integrity and verity are worth more than a bypass.
 */
#include "bpio.h"
#include "catalogue.h"
#include "cli.h"

static const struct {
	const char *meaning;
	const char *advice;
} entries[BPIO_REASON_COUNT] = {
	[BPIO_REASON_NONE] = {
		"Nothing objected; reads skip the file system and every layer "
		"below it.",
		"Nothing to do.",
	},
	[BPIO_REASON_NOT_REGULAR_FILE] = {
		"Only the data of regular files is bypassed.",
		"Ask about a file.",
	},
	[BPIO_REASON_NOT_READABLE] = {
		"Only reading is bypassed, and the descriptor is not open for "
		"reading.",
		"Open the file with O_RDONLY | O_DIRECT.",
	},
	[BPIO_REASON_NOT_DIRECT] = {
		"Reads without O_DIRECT are served from the page cache, where "
		"there is nothing to bypass.",
		"Open the file with O_RDONLY | O_DIRECT, or set O_DIRECT later "
		"with fcntl(2); most programs have an option for direct I/O.",
	},
	[BPIO_REASON_OTHER_VOLUME] = {
		"The file belongs to another file system than the mapped device "
		"that was asked.",
		"Ask the mapped device that the file's own mount is on; \"bpio "
		"state FILE\" finds it.",
	},
	[BPIO_REASON_FILE_SYSTEM] = {
		"Only file systems that announce every move of a file's blocks "
		"can take part. XFS takes part only on a kernel with "
		"CONFIG_EXPORTFS_BLOCK_OPS.",
		"Keep the files that are to be read directly on a file system "
		"that takes part; \"bpio info\" lists them.",
	},
	[BPIO_REASON_VERITY] = {
		"fs-verity checks each block of the file against its signed "
		"digest; a bypass would skip the check.",
		"Nothing: the check is worth more. Reads go on as usual.",
	},
	[BPIO_REASON_ENCRYPTED] = {
		"The file is stored encrypted by its file system; a bypass "
		"would return ciphertext.",
		"Nothing: reads go on as usual. Where the drive encrypts by "
		"itself, BypassIO is not affected.",
	},
	[BPIO_REASON_COMPRESSED] = {
		"The file is stored compressed by its file system; a bypass "
		"would return compressed data.",
		"Store this one file uncompressed if its reads matter more than "
		"its size.",
	},
	[BPIO_REASON_DAX] = {
		"Files in DAX mode are accessed as memory; no block I/O takes "
		"place that could be bypassed.",
		"Nothing: DAX is already the shorter path.",
	},
	[BPIO_REASON_SWAP_FILE] = {
		"The kernel owns the blocks of a swap file while it is in use.",
		"Nothing.",
	},
	[BPIO_REASON_NOT_NVME] = {
		"The device at the bottom of the stack is not driven by NVMe.",
		"Put the volume on an NVMe device. For tests the table option "
		"any_storage admits any device.",
	},
	[BPIO_REASON_ZONED] = {
		"Zoned devices are not supported.",
		"Put the volume on a device with ordinary block addressing.",
	},
	[BPIO_REASON_METADATA] = {
		"The device stores integrity data with each block, and a direct "
		"read would not check it.",
		"Nothing: the check is worth more. Reads go on as usual.",
	},
	[BPIO_REASON_LAYER_UNAWARE] = {
		"A device below the volume has a type that does not support "
		"BypassIO, so only it knows where the data is. Reads skip the "
		"file system and the layers above that device, and enter the "
		"stack there.",
		"For full support, keep the device out of the path. A linear "
		"target can be replaced, while it is in use, by the target "
		"\"bpio\" with the same device and offset (dmsetup load, suspend, "
		"resume). Targets that encrypt, mirror or check data must stay.",
	},
	[BPIO_REASON_LAYER_VETO] = {
		"A layer that supports BypassIO objected for the whole volume, "
		"with the status and the text shown. Reads enter the stack at "
		"that layer.",
		"Read the text of the layer; it must stay in the path as long as "
		"it has to see the data.",
	},
	[BPIO_REASON_FILE_VETO] = {
		"A layer that supports BypassIO objected for this file, with the "
		"status and the text shown.",
		"Read the text of the layer. Other files of the volume are not "
		"affected.",
	},
	[BPIO_REASON_QUERY_SKIPPED] = {
		"The caller asked only about the file and the file system.",
		"Query again without skipping the storage stack.",
	},
	[BPIO_REASON_NOT_ARMED] = {
		"The map from file offsets to disk blocks is built shortly "
		"after BypassIO is enabled; until then the file system serves "
		"the reads.",
		"Wait a moment, or arm the file at once (BPIO_ARM, "
		"bpio_file_arm(3)).",
	},
	[BPIO_REASON_WRITER] = {
		"A process has the file open for writing, or mapped shared and "
		"writable. Bypass comes back by itself after the last of these "
		"is gone.",
		"End the writer when it is done; fuser(1) finds it.",
	},
	[BPIO_REASON_REVOKED] = {
		"The file was opened for writing, truncated, renamed, linked, "
		"unlinked or its attributes changed. Bypass comes back by "
		"itself.",
		"Nothing, if it happens rarely. If it happens all the time, make "
		"the programs read and write different files.",
	},
	[BPIO_REASON_LEASE] = {
		"Bypass needs a lease that reports changes of the file, and gives "
		"way to the leases of others, which it might disturb. It comes "
		"back by itself a second after the other lease is gone.",
		"/proc/locks shows which process holds a lease; file servers do.",
	},
	[BPIO_REASON_DIRTY_PAGES] = {
		"The file was written through the page cache and part of it is "
		"not on the device yet. Bypass comes back by itself.",
		"Sync the file after writing it.",
	},
	[BPIO_REASON_UNMAPPED] = {
		"There is no block on the device that has the data: a hole reads "
		"as zeros, and only the file system can read preallocated ranges "
		"and inline data.",
		"Nothing; other ranges of the file go direct. A completely "
		"written file has no such ranges.",
	},
	[BPIO_REASON_MAP_LIMIT] = {
		"The locations of the blocks are kept in memory, and the enabled "
		"files are so fragmented that they would need more of it than "
		"the parameter \"map_memory\" of the module dm_bpio allows.",
		"Copy the file, so that it has fewer extents (filefrag counts "
		"them), or raise /sys/module/dm_bpio/parameters/map_memory.",
	},
	[BPIO_REASON_UNALIGNED] = {
		"Direct reads need offset, length and buffer aligned to the "
		"logical block size or the memory alignment of the device.",
		"Align reads to 4096 bytes.",
	},
	[BPIO_REASON_VOLUME_SUSPENDED] = {
		"A table of the volume or below it is being replaced. Bypass "
		"comes back by itself after the resume.",
		"If it lasts, see \"dmsetup info\" for a device that was left "
		"suspended.",
	},
	[BPIO_REASON_VOLUME_PAUSED] = {
		"The bypass of the volume was paused, for instance while a "
		"snapshot is made or data is moved.",
		"Wait until that is done. \"bpio info\" shows what paused it; "
		"\"bpio resume\" ends the pause of a volume.",
	},
	[BPIO_REASON_STREAM_PAUSED] = {
		"The bypass of this file was paused, for instance while its "
		"blocks are moved.",
		"Wait until that is done; \"bpio resume\" with the file ends the "
		"pause.",
	},
	[BPIO_REASON_KERNEL_PAUSED] = {
		"A driver paused the bypass of this file while it works on it. "
		"The pause lasts whether or not the file is open.",
		"Wait until the driver is done; \"bpio resume\" does not end "
		"this pause.",
	},
	[BPIO_REASON_DISABLED] = {
		"BypassIO was disabled for this open file, which stayed open.",
		"Enable it again.",
	},
	[BPIO_REASON_DEVICE_ERROR] = {
		"The device failed a direct read. The file system repeated the "
		"read, and either got the data from another place or returned "
		"the error.",
		"See the kernel log for errors of the device.",
	},
	[BPIO_REASON_NO_MEMORY] = {
		"There was no memory for the map of the file or for the read.",
		"Free memory; a very fragmented file needs a large map.",
	},
	[BPIO_REASON_NO_WAIT] = {
		"A polled read found no free request, and could not wait for one.",
		"Nothing; Linux 6.2 and later wait.",
	},
	[BPIO_REASON_SWITCHED_OFF] = {
		"The administrator switched the bypass off with the parameter "
		"\"bypass\" of the module dm_bpio.",
		"Ask the administrator: /sys/module/dm_bpio/parameters/bypass.",
	},
	[BPIO_REASON_REALTIME] = {
		"The blocks of the file are on the realtime device of its file "
		"system, which is not the volume.",
		"Copy the file to one that is not on the realtime device "
		"(xfs_io -c \"chattr -r\" on the copy while it is empty).",
	},
	[BPIO_REASON_NOT_READ_ONLY] = {
		"Only descriptors that cannot write are bypassed, so that the "
		"reader of a file is never its writer.",
		"Open the file with O_RDONLY | O_DIRECT, in addition to the "
		"descriptor for writing if there is one.",
	},
	[BPIO_REASON_LOCKED] = {
		"Flags of the file were being changed (chattr), or the file system "
		"was checking it; reads wait until that is done, with or without "
		"BypassIO.",
		"Nothing; bypass continues by itself.",
	},
	[BPIO_REASON_SHUT_DOWN] = {
		"The file system was shut down, by its administrator, after an "
		"error, or because its device is gone; all reads fail.",
		"See the kernel log for the cause, and unmount and mount it again.",
	},
	[BPIO_REASON_PEER_MEMORY] = {
		"The read was into memory of a PCI device, such as a GPU. The "
		"driver of a device at which reads enter the stack cannot "
		"transfer to such memory, or the same read was also into ordinary "
		"memory. The file system failed it with EREMOTEIO.",
		"Read into ordinary memory and copy, or make all layers down to "
		"NVMe take part (\"bpio stack\").",
	},
};

const char *catalogue_meaning(unsigned int reason)
{
	if (reason >= ARRAY_SIZE(entries) || !entries[reason].meaning)
		return "This reason is newer than this command.";
	return entries[reason].meaning;
}

const char *catalogue_advice(unsigned int reason)
{
	if (reason >= ARRAY_SIZE(entries) || !entries[reason].advice)
		return "Update the command to the version of the kernel module.";
	return entries[reason].advice;
}
