/* SPDX-License-Identifier: (GPL-2.0-only OR LGPL-2.1-or-later) */
/*
 * The sentence for each enum bpio_reason of <linux/dm-bpio.h>.
 *
 * Kept in one place because the kernel module, libbpio, the command, its JSON
 * and its man page must use the same words for the same number. Included with
 * BPIO_REASON(NAME, token, sentence) defined as the includer needs it: NAME
 * completes BPIO_REASON_NAME, the token is for machines, the sentence fits
 * BPIO_REASON_TEXT_MAX bytes (asserted where the table is built).
 */
BPIO_REASON(NONE, "none",
	    "Nothing stands in the way.")
BPIO_REASON(NOT_REGULAR_FILE, "not-regular-file",
	    "BypassIO is for regular files; this is a directory or a special file.")
BPIO_REASON(NOT_READABLE, "not-readable",
	    "The descriptor is not open for reading; open the file with O_RDONLY | O_DIRECT.")
BPIO_REASON(NOT_DIRECT, "not-direct",
	    "The descriptor is not open with O_DIRECT; only reads with O_DIRECT go direct.")
BPIO_REASON(OTHER_VOLUME, "other-volume",
	    "The file is not on this volume.")
BPIO_REASON(FILE_SYSTEM, "file-system",
	    "The file system does not take part in BypassIO; ext4 and XFS do.")
BPIO_REASON(VERITY, "verity",
	    "The file is protected by fs-verity, which must check every byte read.")
BPIO_REASON(ENCRYPTED, "encrypted",
	    "The file is encrypted by its file system, which must decrypt it.")
BPIO_REASON(COMPRESSED, "compressed",
	    "The file is compressed by its file system, which must decompress it.")
BPIO_REASON(DAX, "dax",
	    "The file is accessed by DAX, which uses no block I/O.")
BPIO_REASON(SWAP_FILE, "swap-file",
	    "The file is used for swapping.")
BPIO_REASON(NOT_NVME, "not-nvme",
	    "The storage device is not NVMe.")
BPIO_REASON(ZONED, "zoned",
	    "The storage device is zoned.")
BPIO_REASON(METADATA, "metadata",
	    "The storage device carries metadata with each block.")
BPIO_REASON(LAYER_UNAWARE, "layer-unaware",
	    "A layer of the stack does not take part in BypassIO.")
BPIO_REASON(LAYER_VETO, "layer-veto",
	    "A layer of the stack vetoed BypassIO for the volume.")
BPIO_REASON(FILE_VETO, "file-veto",
	    "A layer of the stack vetoed BypassIO for this file.")
BPIO_REASON(QUERY_SKIPPED, "query-skipped",
	    "The storage stack was not queried, because the caller asked to skip it.")
BPIO_REASON(NOT_ARMED, "not-armed",
	    "The extent map of the file is still being built.")
BPIO_REASON(WRITER, "writer",
	    "The file is open for writing or mapped shared and writable.")
BPIO_REASON(REVOKED, "revoked",
	    "The file was opened for writing or changed a moment ago.")
BPIO_REASON(LEASE, "lease",
	    "Another process holds a lease on the file, or asked for one a moment ago.")
BPIO_REASON(DIRTY_PAGES, "dirty-pages",
	    "The page cache holds data of the file that is not yet on the device.")
BPIO_REASON(UNMAPPED, "unmapped",
	    "The range is a hole, preallocated, or stored inside the inode.")
BPIO_REASON(MAP_LIMIT, "map-limit",
	    "The extent maps of all files have reached their memory limit.")
BPIO_REASON(UNALIGNED, "unaligned",
	    "Offset, length or buffer is not aligned as the device needs it.")
BPIO_REASON(VOLUME_SUSPENDED, "volume-suspended",
	    "The volume or a layer below it is suspended, was replaced, or is gone.")
BPIO_REASON(VOLUME_PAUSED, "volume-paused",
	    "BypassIO of the volume is paused.")
BPIO_REASON(STREAM_PAUSED, "stream-paused",
	    "BypassIO of the file is paused.")
BPIO_REASON(DISABLED, "disabled",
	    "BypassIO was disabled for this open file.")
BPIO_REASON(DEVICE_ERROR, "device-error",
	    "The direct read failed on the device.")
BPIO_REASON(NO_MEMORY, "no-memory",
	    "There is not enough memory for the extent map or the read.")
BPIO_REASON(NO_WAIT, "no-wait",
	    "The polled read found no free request, and could not wait for one.")
BPIO_REASON(SWITCHED_OFF, "switched-off",
	    "BypassIO is switched off by the module parameter.")
BPIO_REASON(REALTIME, "realtime",
	    "The file lies on the realtime device of its file system.")
BPIO_REASON(NOT_READ_ONLY, "not-read-only",
	    "The descriptor is open for writing; open the file with O_RDONLY | O_DIRECT.")
BPIO_REASON(KERNEL_PAUSED, "kernel-paused",
	    "Kernel code paused BypassIO of the file, and only that can resume it.")
BPIO_REASON(LOCKED, "locked",
	    "The file system holds the lock of the file, which all reads wait for.")
BPIO_REASON(SHUT_DOWN, "shut-down",
	    "The file system was shut down and serves no reads.")
BPIO_REASON(PEER_MEMORY, "peer-memory",
	    "The buffer is memory of a PCI device that a device of the route cannot write to.")
