#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# libbpio, bpio and bpio run on real volumes. Runs as root in a guest of
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

state_unprivileged()
{
	chmod 755 "$WORK" "$mnt"
	chmod 644 "$mnt/file"
	expect 3 setpriv --reuid=65534 --clear-groups bpio state "$mnt/file"
	says err 'cannot open /dev/mapper/vol: Permission denied; BypassIO takes'
	expect 3 setpriv --reuid=65534 --clear-groups bpio list
	says err 'cannot ask device-mapper for its tables: Permission denied'
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
	json out /abi_version 1
}

list_two()
{
	new_volume second "$BPIO_NVME_B1"
	expect 0 bpio list
	grep -qE "^MOUNTPOINT +FSTYPE +DEVICE +BOTTOM +STATE +ACTIVE +DIRECT +FALLBACK$" out
	grep -qE "^$mnt +ext4 +/dev/mapper/vol +$BPIO_NVME_A1 +full +0 " out
	grep -qE "^- +- +/dev/mapper/second +$BPIO_NVME_B1 +full +0 +0 +0$" out
	dmsetup suspend second
	expect 0 bpio list
	grep -qE "^- +- +/dev/mapper/second +$BPIO_NVME_B1 +suspended +- +- +-$" out
	expect 0 bpio list --json
	dmsetup resume second
	dmsetup remove second
	# in the order of device-mapper, by name
	json out /volumes/0/name second
	json out /volumes/0/state suspended
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
	says err '/dev/mapper/second is suspended and answers no question'
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
	json sum /handles 0
	json sum /refused_by_reason/other-volume 1
	umount upper
	remove_both
	says text '"/dev/mapper/upper" is not a bpio volume: expected a mapped device with one bpio target, but it is a linear target'
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

fio_engine()
{
	summary -- fio --name=r --filename="$mnt/file" --readonly --direct=1 \
		--rw=randread --bs=4k --number_ios=100 --output=fio.txt "$@"
	[ "$(json-get /handles <sum)" -ge 1 ]
	json sum /direct_reads 100
	json sum /fallback_reads 0
	json sum /uncounted_handles 0
}

fio_verify()
{
	fio --name=w --filename="$mnt/verify" --size=4m --rw=write --bs=64k \
		--verify=crc32c --do_verify=0 --output=fio.txt
	sync
	summary -- fio --name=w --filename="$mnt/verify" --size=4m --rw=read \
		--bs=64k --verify=crc32c --direct=1 --ioengine=io_uring \
		--readonly --output=fio.txt
	json sum /direct_reads 64
	json sum /fallback_reads 0
	# A byte that is wrong must be seen by what was just shown to see none.
	printf x | dd of="$mnt/verify" bs=1 seek=1000000 conv=notrunc,fsync \
		status=none
	expect 1 bpio run -q -- fio --name=w --filename="$mnt/verify" \
		--size=4m --rw=read --bs=64k --verify=crc32c --direct=1 \
		--ioengine=io_uring --readonly --output=fio.txt
	rm "$mnt/verify"
}

same_bytes()
{
	summary -- dd if="$mnt/file" iflag=direct of=copy bs=64k status=none
	cmp copy "$mnt/file"
	json sum /handles 1
	json sum /direct_bytes "$(stat -c %s "$mnt/file")"
}

inherits()
{
	summary -- sh -c "dd if=$mnt/file iflag=direct of=/dev/null bs=1M;
		exec dd if=$mnt/file iflag=direct of=/dev/null bs=1M"
	json sum /handles 2
	json sum /direct_reads 8
}

globs()
{
	cp "$mnt/file" "$mnt/other"
	sync
	summary --file "$mnt/ot*" -- sh -c "
		dd if=$mnt/file iflag=direct of=/dev/null bs=1M
		dd if=$mnt/other iflag=direct of=/dev/null bs=1M"
	json sum /handles 1
	json sum /direct_reads 4
	rm "$mnt/other"
}

fallback_reasons()
{
	exec 7>>"$mnt/file"
	summary -- dd if="$mnt/file" iflag=direct of=/dev/null bs=1M count=4
	exec 7>&-
	json sum /handles 1
	json sum /direct_reads 0
	json sum /fallback_reads 4
	json sum /fallback_by_reason/writer 4
}

run_unprivileged()
{
	chmod 755 "$WORK" "$mnt"
	chmod 644 "$mnt/file"
	expect 0 setpriv --reuid=65534 --clear-groups bpio run -- \
		dd if="$mnt/file" iflag=direct of=/dev/null bs=1M
	says err 'No permission to open the mapped device: 1'
}

# Every read counted once, whatever the program does with its descriptors
counted()
{
	local reads

	expect 0 bpio run --json --summary sum -- reader "$mnt/file" "$1"
	reads=$(cat out)
	[ "$reads" -gt 0 ]
	json sum /direct_reads "$reads"
	json sum /fallback_reads 0
	json sum /uncounted_handles 0
}

counted_killed()
{
	expect 137 bpio run --json --summary sum -- reader "$mnt/file" killed
	json sum /exit_status 137
	json sum /handles 2
	json sum /direct_reads 8
	json sum /uncounted_handles 1
}

no_handle_left()
{
	expect 0 bpio info --json vol
	json out /active_files 0
}

set_up "$BPIO_NVME_A1"
# its own TAP, as one test of this one
it "The library does on a volume what its header says" \
	volume "$mnt" /dev/mapper/vol
it "state has the shape of fsutil for a file that is supported" state_full
it "state takes file, directory, mount point, mapped device, its bare name" \
	state_of_everything
it "state refuses special files without opening them" state_special
it "state names the reason for a file that is refused" state_refused
it "state and list without permission say what it takes" state_unprivileged
it "state needs no more than permission to open the mapped device" \
	state_disk_group
it "info shows mounts, support and counters" info
it "list shows every volume, also suspended ones" list_two
it "A suspended volume is an error that says so" suspended
it "A suspend that lasts a moment is waited for" short_suspend
it "A linear target below is named and makes support partial" partial_linear
it "A crypt target below is named, and the hint leaves encryption alone" \
	partial_crypt
it "Storage that is not NVMe is partial, or full with any_storage" \
	partial_other_storage
it "A stock target above a volume is not taken for a volume" stock_above
it "A file of btrfs is refused by the name of its file system" \
	other_filesystem btrfs -q -f
it "A file of XFS takes part" xfs_takes_part
it "Paths beside the volume are not on a volume" not_here
for engine in psync pvsync2 libaio io_uring; do
	it "fio reads directly by $engine under bpio run" \
		fio_engine --ioengine="$engine" --iodepth=4
done
it "fio reads directly from threads" fio_engine --thread
it "fio reads directly with registered files and fixed buffers" \
	fio_engine --ioengine=io_uring --registerfiles --fixedbufs
it "fio's own verification finds the bytes it wrote" fio_verify
it "A program under bpio run reads the same bytes" same_bytes
it "Children and programs that replace others are bypassed too" inherits
it "Only files that match --file are bypassed" globs
it "The summary tells why reads fell back" fallback_reasons
it "Without permission the program runs as ever, and the summary says so" \
	run_unprivileged
for way in close close-range dup dup2 end-at-once exec exit fclose fork \
	quick-exit threads vfork; do
	it "Reads are counted once when a program lets go by $way" counted "$way"
done
it "Of a program that is killed the open handles are reported as not counted" \
	counted_killed
it "In the end no handle is left" no_handle_left
tear_down
finish
