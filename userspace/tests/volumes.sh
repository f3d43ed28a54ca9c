# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Helpers for volumes in guest tests. Source it with "here" set to the folder
# of the parts.
: "${here:?the folder of the parts}"
export BUILD=$here TMPDIR=${TMPDIR:-/tmp}
# shellcheck source=tap.sh
. "$here/tap.sh"

: "${BPIO_NVME_A1:?a device to overwrite}" "${BPIO_NVME_B1:?another one}"
: "${BPIO_SCRATCH:?one that is not NVMe}"
mnt=$WORK/mnt

modprobe dm-bpio

# Also the targets that tests before have left loaded
unload_modules()
{
	[ ! -d /sys/module/bpio_probe ] || rmmod bpio-probe
	modprobe -r dm-bpio-filter dm-bpio
}

sectors()
{
	blockdev --getsz "$1"
}

# new_volume NAME DEVICE [FEATURES]
new_volume()
{
	dmsetup create "$1" --table \
		"0 $(sectors "$2") bpio $2 0${3:+ $3}"
}

# The volume "vol" on DEVICE, with a file system and a file: set_up DEVICE
set_up()
{
	new_volume vol "$1"
	mkfs.ext4 -q /dev/mapper/vol
	mkdir "$mnt"
	# or it would read and write in the background, and be counted
	mount -o noinit_itable,no_prefetch_block_bitmaps /dev/mapper/vol "$mnt"
	dd if=/dev/urandom of="$mnt/file" bs=1M count=4 status=none
	sync
}

tear_down()
{
	umount "$mnt"
	dmsetup remove vol
}

# The volume "upper" on the stock target "lower"
linear_below()
{
	dmsetup create lower --table \
		"0 $(sectors "$BPIO_NVME_B1") linear $BPIO_NVME_B1 0"
	new_volume upper /dev/mapper/lower
}

remove_both()
{
	dmsetup remove upper
	dmsetup remove lower
}
