#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# libbpio and bpio on real volumes. Runs as root in a guest of
# selftests/vm in which this project is installed, from where "make stage" put
# it, and overwrites the devices of the guest.
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")/userspace
# shellcheck source=volumes.sh
. "$here/volumes.sh"

# bpio run with the summary in sum: summary COMMAND [ARG...]
summary()
{
	expect 0 bpio run --json --summary sum "$@"
}

# As in a container without the node: without_node COMMAND...
without_node()
{
	trap 'mv /dev/bpio.away /dev/bpio' EXIT
	mv /dev/bpio /dev/bpio.away
	"$@"
}

no_node_to_ask()
{
	local path

	for path in "$mnt/file" "$mnt" vol; do
		expect 0 bpio state "$path"
		says out 'is currently supported.'
		expect 0 bpio stack "$path"
		expect 0 bpio info "$path"
	done
	expect 0 bpio list
	grep -q "^$mnt " out
	expect 0 bpio pause "$mnt"
	expect 0 bpio resume "$mnt"
	expect 126 bpio run true
	readable
	as_nobody 3 bpio state "$mnt/file"
	says err 'cannot open /dev/mapper/vol: Permission denied; "state" takes read permission on it, because there is no /dev/bpio'
}

state_full()
{
	expect 0 bpio state "$mnt/file"
	says out "BypassIo on \"$mnt/file\" is currently supported."
	says out "    Storage device: $BPIO_NVME_A1 "
	says out '    Storage driver: nvme (BypassIO compatible)'
	refute grep Reason out
}

state_of_everything()
{
	local path

	for path in "$mnt/file" "$mnt" "$mnt/lost+found" /dev/mapper/vol vol \
		"$(readlink -f /dev/mapper/vol)"; do
		expect 0 bpio state "$path"
		says out 'is currently supported.'
		expect 0 bpio state --json "$path"
		json out /support full
		json out /storage/driver nvme
		json out /volume/node /dev/mapper/vol
		json out /exit_status 0
		json out /stack/0/type bpio
		json out /stack/1/type nvme
		expect 0 bpio state -q "$path"
		[ ! -s out ]
	done
	cd "$mnt"
	expect 0 bpio state file
	rm out err
}

state_special()
{
	mkfifo "$mnt/fifo"
	mknod "$mnt/null" c 1 3
	for path in "$mnt/fifo" "$mnt/null"; do
		expect 11 bpio state "$path"
		says out "BypassIo on \"$path\" is not currently supported."
		says out '    Status: 95 (Operation not supported)'
		says out '    Reason: BypassIO is for regular files;'
		says out 'Storage driver: nvme (BypassIO compatible)'
	done
	rm "$mnt/fifo" "$mnt/null"
}

state_refused()
{
	printf 'data' >"$mnt/swap"
	fallocate -l 1M "$mnt/swap"
	dd if=/dev/zero of="$mnt/swap" bs=1M count=1 status=none
	chmod 600 "$mnt/swap"
	mkswap -q "$mnt/swap"
	swapon "$mnt/swap"
	expect 11 bpio state --json "$mnt/swap"
	swapoff "$mnt/swap"
	rm "$mnt/swap"
	json out /support none
	json out /reason/token swap-file
	json out /driver ext4
}

# As an unprivileged user: as_nobody STATUS COMMAND...
as_nobody()
{
	expect "$1" setpriv --reuid=65534 --regid=65534 --clear-groups \
		"${@:2}"
}

readable()
{
	chmod 755 "$WORK" "$mnt"
	chmod 644 "$mnt/file"
}

state_unprivileged()
{
	local path

	readable
	refute setpriv --reuid=65534 --clear-groups test -r /dev/mapper/vol
	mkfifo "$mnt/fifo"
	for path in "$mnt/file" "$mnt" /dev/mapper/vol; do
		as_nobody 0 bpio state "$path"
		says out "BypassIo on \"$path\" is currently supported."
		says out 'Storage driver: nvme (BypassIO compatible)'
		as_nobody 0 bpio info --json "$path"
		json out /active_files 0
		json out /abi_version 2
		as_nobody 0 bpio stack "$path"
		[ "$(grep -c ' agrees ' out)" -eq 2 ]
	done
	as_nobody 11 bpio state "$mnt/fifo"
	rm "$mnt/fifo"
}

state_unreadable()
{
	local verb

	readable
	chmod 600 "$mnt/file"
	for verb in state stack; do
		as_nobody 3 bpio "$verb" "$mnt/file"
		says err "cannot open \"$mnt/file\": Permission denied; \"$verb\" takes permission to read it"
	done
	as_nobody 0 bpio info "$mnt/file"
	chmod 700 "$mnt"
	for verb in state stack info; do
		as_nobody 3 bpio "$verb" /dev/mapper/vol
		says err "cannot open /dev/mapper/vol: Permission denied; \"$verb\" takes read permission on it, or on a directory where it is mounted"
	done
	readable
}

list_unprivileged()
{
	readable
	mkdir -p second
	new_volume second "$BPIO_NVME_B1"
	mkfs.ext4 -q /dev/mapper/second
	mount /dev/mapper/second second
	as_nobody 0 bpio list
	cp out both
	as_nobody 0 bpio list --json
	cp out both.json
	chmod 700 second
	as_nobody 0 bpio list
	cp out one
	as_nobody 0 bpio list --json
	cp out one.json
	dmsetup suspend second
	as_nobody 0 bpio list
	dmsetup resume second
	umount second
	rmdir second
	dmsetup remove second
	grep -qE "^$mnt +ext4 +/dev/mapper/vol +.* full +0 +[0-9]+ +[0-9]+ +- +-$" both
	grep -qE "^$WORK/second +ext4 +/dev/mapper/second +.* full +0 +0 +0 +- +-$" both
	says both 'Only volumes with a mounted file system are listed; root sees all.'
	json both.json /complete false
	json both.json /unreadable '[ ]'
	refute grep '/dev/mapper/second' one
	says one "$WORK/second cannot be opened, so it is not known whether it is on a bpio volume: Permission denied"
	json one.json /unreadable/0/device/node /dev/mapper/second
	refute json-get /volumes/1 <one.json
}

# A mapped device of another kind
list_others()
{
	readable
	dmsetup create lower --table \
		"0 $(sectors "$BPIO_NVME_B1") linear $BPIO_NVME_B1 0"
	mkfs.ext4 -q /dev/mapper/lower
	mkdir -p second
	mount /dev/mapper/lower second
	as_nobody 0 bpio list
	umount second
	rmdir second
	dmsetup remove lower
	says out /dev/mapper/vol
	refute grep second out
}

nothing_left()
{
	expect 0 bpio info --json vol
	json out /active_files 0
}

state_disk_group()
{
	local group

	group=$(stat -L -c %g /dev/mapper/vol)
	expect 0 setpriv --reuid=65534 --regid=65534 --groups="$group" \
		bpio state "$mnt/file"
	says out 'is currently supported.'
	says out 'Storage driver: nvme (BypassIO compatible)'
}

info()
{
	expect 0 bpio info vol
	says out '/dev/mapper/vol is a bpio volume.'
	says out "    Mounted on: $mnt (ext4)"
	says out '    BypassIO: currently supported'
	says out '    Active files: 0'
	expect 0 bpio info --json "$mnt"
	json out /name vol
	json out /mounts/0/filesystem ext4
	json out /abi_version 2
}

list_two()
{
	new_volume second "$BPIO_NVME_B1"
	expect 0 bpio list
	grep -qE "^MOUNTPOINT +FSTYPE +DEVICE +BOTTOM +STATE +ACTIVE +DIRECT +FALLBACK +SEGMENTS +MADE$" out
	grep -qE "^$mnt +ext4 +/dev/mapper/vol +$BPIO_NVME_A1 +full +0 " out
	grep -qE "^- +- +/dev/mapper/second +$BPIO_NVME_B1 +full +0 +0 +0 +1 +by-hand$" out
	dmsetup suspend second
	expect 0 bpio list
	grep -qE "^- +- +/dev/mapper/second +$BPIO_NVME_B1 +suspended +- +- +- +1 +by-hand$" out
	expect 0 bpio list --json
	dmsetup resume second
	dmsetup remove second
	# in the order of device-mapper, by name
	json out /volumes/0/name second
	json out /volumes/0/state suspended
	json out /volumes/0/segments 1
	json out /volumes/0/stripes 1
	json out /volumes/0/adopted false
	refute json-get /volumes/0/direct_reads <out
	json out /volumes/1/name vol
	json out /volumes/1/mounts/0/mount_point "$mnt"
}

suspended()
{
	new_volume second "$BPIO_NVME_B1"
	dmsetup suspend second
	expect 1 bpio state second
	dmsetup resume second
	says err '/dev/mapper/second is suspended and cannot be queried'
	dmsetup remove second
}

# The library repeats the question while a suspend lasts a moment.
short_suspend()
{
	local where=

	new_volume second "$BPIO_NVME_B1"
	dmsetup suspend second
	bpio state second >out 2>err &
	# It asked at least once when it sleeps between two questions. No command
	# looks: on a slow machine two seconds are over with a few of them.
	until [[ $where == *nanosleep* ]]; do
		kill -0 $! || complain "bpio ended"
		# no newline ends the word
		read -r where <"/proc/$!/wchan" || true
	done
	dmsetup resume second
	wait $!
	dmsetup remove second
	says out 'is currently supported.'
}

partial_linear()
{
	linear_below
	expect 10 bpio state -v upper
	cp out text
	expect 10 bpio state --json upper
	remove_both
	says text 'BypassIo on "/dev/mapper/upper" is partially supported.'
	says text '    Driver: linear (/dev/mapper/lower)'
	says text '    Reason: A layer of the stack does not take part'
	says text '    Reads enter at: /dev/mapper/lower (linear)'
	says text "    Storage device: $BPIO_NVME_B1 "
	says text '    Hint: '
	json out /support partial
	json out /reason/token layer-unaware
	json out /layer_type linear
	json out /layer/node /dev/mapper/lower
	json out /bottom/0/node "$BPIO_NVME_B1"
}

partial_crypt()
{
	dmsetup create lower --table "0 $(sectors "$BPIO_NVME_B1") crypt \
cipher_null-ecb - 0 $BPIO_NVME_B1 0"
	new_volume upper /dev/mapper/lower
	expect 10 bpio state -v upper
	remove_both
	says out '    Driver: crypt (/dev/mapper/lower)'
	refute grep -iE 'remove|decrypt|disable' out
}

partial_other_storage()
{
	new_volume upper "$BPIO_SCRATCH"
	expect 10 bpio state upper
	dmsetup remove upper
	says out 'Reason: The storage device is not NVMe.'
	says out "Storage device: $BPIO_SCRATCH "
	says out '(not BypassIO compatible)'
	new_volume upper "$BPIO_SCRATCH" "1 any_storage"
	expect 0 bpio state upper
	dmsetup remove upper
}

# The guest's NVMe driver can where the kernel can, a mapped device cannot.
peer_memory()
{
	local can=false who='no reads'

	if [ -n "${BPIO_PEER_MEMORY-}" ]; then
		can=true
		who='direct reads'
	fi
	new_volume second "$BPIO_NVME_B1"
	expect 0 bpio state --json second
	cp out full
	expect 0 bpio state -v second
	dmsetup remove second
	says out "    Peer memory: $who can go into memory of PCI devices"
	json full /storage/peer_memory "$can"
	linear_below
	expect 10 bpio state --json upper
	remove_both
	json out /storage/peer_memory false
}

# A stock target passes the ioctls of the volume below on.
stock_above()
{
	new_volume lower "$BPIO_NVME_B1"
	dmsetup create upper --table \
		"0 $(sectors "$BPIO_NVME_B1") linear /dev/mapper/lower 0"
	mkfs.ext4 -q /dev/mapper/upper
	mkdir -p upper
	mount /dev/mapper/upper upper
	expect 4 bpio state upper/lost+found
	expect 4 bpio state /dev/mapper/upper
	cp err text
	dd if=/dev/zero of=upper/file bs=4096 count=1 conv=fsync status=none
	summary -- dd if=upper/file iflag=direct of=/dev/null
	json sum /files 0
	json sum /not_on_volume 1
	umount upper
	remove_both
	says text '"/dev/mapper/upper" is not a bpio volume: expected a mapped device with a bpio target, but it is a linear target'
}

other_filesystem()
{
	new_volume second "$BPIO_NVME_B1"
	"mkfs.$1" "${@:2}" /dev/mapper/second >/dev/null 2>&1
	mkdir -p second
	mount -t "$1" /dev/mapper/second second
	echo data >second/file
	sync
	expect 11 bpio state --json second/file
	umount second
	dmsetup remove second
	json out /reason/token file-system
	json out /driver "$1"
	# the file is refused, not the storage
	json out /storage/compatible true
}

xfs_takes_part()
{
	new_volume second "$BPIO_NVME_B1"
	mkfs.xfs -q -f /dev/mapper/second
	mkdir -p second
	mount /dev/mapper/second second
	head -c 65536 /dev/urandom >second/file
	sync
	expect 0 bpio state --json second/file
	json out /support full
	summary dd if=second/file of=copy bs=64K iflag=direct
	json sum /direct_reads 1
	cmp copy second/file
	umount second
	dmsetup remove second
}

not_here()
{
	expect 4 bpio state /
	expect 4 bpio state "$BPIO_NVME_B1"
	says err 'but it is a nvme device'
}

set_up "$BPIO_NVME_A1"
# its own TAP, as one test of this one
it "The library does on a volume what its header says" \
	volume "$mnt" /dev/mapper/vol
it "Without the control node it does so by the mapped device" \
	without_node volume "$mnt" /dev/mapper/vol
it "bpio works without the node for who may open the mapped device" \
	without_node no_node_to_ask
it "state has the shape of fsutil for a file that is supported" state_full
it "state takes file, directory, mount point, mapped device, its bare name" \
	state_of_everything
it "state refuses special files without opening them" state_special
it "state names the reason for a file that is refused" state_refused
it "state, info and stack work for a user who may only read the file" \
	state_unprivileged
it "Of what may not be read they say so in a sentence" state_unreadable
it "list shows such a user what is mounted and readable, and names the rest" \
	list_unprivileged
it "list passes over mapped devices of other kinds" list_others
it "state needs no more than permission to open the mapped device" \
	state_disk_group
it "info shows mounts, support and counters" info
it "list shows every volume, also suspended ones" list_two
it "A suspended volume is an error that says so" suspended
it "A suspend that lasts a moment is waited for" short_suspend
it "A linear target below is named and makes support partial" partial_linear
it "The state tells whether reads can go into memory of PCI devices" peer_memory
it "A crypt target below is named, and the hint leaves encryption alone" \
	partial_crypt
it "Storage that is not NVMe is partial, or full with any_storage" \
	partial_other_storage
it "A stock target above a volume is not taken for a volume" stock_above
it "A file of btrfs is refused by the name of its file system" \
	other_filesystem btrfs -q -f
it "A file of XFS takes part" xfs_takes_part
it "Paths beside the volume are not on a volume" not_here
it "In the end nothing is left enabled" nothing_left
tear_down
finish
