#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# bpio adopt and release on volumes of LVM that are mounted and in use. Runs as root
# in a guest of selftests/vm in which this project is installed, from where "make
# stage" put it, and overwrites the devices of the guest.
#
# BPIO_TEST_SWAPS says how often the table is swapped under verified load (default 20:
# 200 take five to fifteen minutes in an emulated machine).
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")/userspace
# shellcheck source=volumes.sh
. "$here/volumes.sh"

# shellcheck source=lvm-volume.sh
. "$here/lvm-volume.sh"
: "${BPIO_TEST_SWAPS:=20}"

adopt_and_release()
{
	local before

	before=$(dmsetup table vg-data)
	expect 4 bpio state "$mnt/file"
	expect 0 bpio adopt --dry-run "$mnt"
	[ "$(<out)" = "vg-data: ${before/linear/bpio}" ]
	[ "$(dmsetup table vg-data)" = "$before" ]
	clean vg-data
	blockdev --setra 1024 /dev/vg/data

	expect 0 bpio adopt "$mnt"
	says out "\"$mnt\" is adopted: BypassIo on it is currently supported."
	says out "Adopted: /dev/mapper/vg-data, 1 segment from linear to bpio, in "
	says out "Storage device: $BPIO_NVME_A1"
	[ "$(dmsetup table vg-data)" = "${before/linear/bpio}" ]
	[ "$(blockdev --getra /dev/vg/data)" = 1024 ]
	clean vg-data
	expect 0 bpio state "$mnt/file"
	same_content
	expect 0 bpio run --json --summary sum dd if="$mnt/file" \
		iflag=direct bs=1M of=dd
	cmp dd "$mnt/file"
	json sum /direct_reads 8

	expect 0 bpio adopt "$mnt"
	says out 'is adopted already'
	expect 0 bpio release "$mnt"
	says out "\"$mnt\" is released: its reads go through every layer."
	[ "$(dmsetup table vg-data)" = "$before" ]
	[ "$(blockdev --getra /dev/vg/data)" = 1024 ]
	clean vg-data
	expect 0 bpio release "$mnt"
	says out 'is not adopted, so there is nothing to release'
	same_content
}

every_name()
{
	local name

	for name in "$mnt" "$mnt/file" /dev/mapper/vg-data vg-data vg/data \
		/dev/vg/data; do
		expect 0 bpio adopt --json "$name"
		json out /devices/0/name vg-data
		json out /devices/0/changed true
		json out /support full
		json out /kept false
		adopted vg-data
		expect 0 bpio release --json "$name"
		json out /devices/0/changed true
		stock vg-data
	done
}

# Though the module still knows it, by the file that is enabled
not_a_volume()
{
	expect 4 bpio state "$mnt/file"
	says err "\"bpio adopt $mnt/file\" makes it one"
	for verb in info stack pause enable; do
		expect 4 bpio "$verb" "$mnt"
	done
	expect 4 bpio attach $BASHPID
	expect 0 bpio list --json
	refute json-get /volumes/0 <out
	chmod 755 "$WORK" "$mnt"
	expect 0 setpriv --reuid=65534 --regid=65534 --clear-groups bpio list --json
	refute json-get /volumes/0 <out
}

# A file that is enabled goes direct, falls back, and goes direct again.
enabled_files()
{
	expect 0 bpio adopt "$mnt"
	exec 5<"$mnt/file"
	expect 0 bpio attach $BASHPID
	expect 0 bpio release "$mnt"
	says out 'Enabled files: 1, whose reads the file system serves from now on'
	dd iflag=direct bs=1M status=none <&5 | cmp - "$mnt/file"
	not_a_volume
	expect 0 bpio adopt "$mnt"
	dd iflag=direct,skip_bytes skip=0 if=/dev/fd/5 bs=1M status=none \
		of=/dev/null
	expect 0 bpio release "$mnt"
	exec 5<&-
}

# interfere HOW AT COMMAND...
interfere()
{
	local how=$1 at=$2

	shift 2
	INTERFERE=$how INTERFERE_AT=$at LD_PRELOAD=$here/tests/interfere.so \
		timeout 60 "$@" >out 2>err
}

# Let each request of VERB go wrong: each_request HOW VERB BEFORE AFTER
each_request()
{
	local how=$1 verb=$2 before=$3 after=$4 at status seen=0

	for ((at = 1; ; at++)); do
		"$before" vg-data || bpio "$([ "$verb" = adopt ] &&
			echo release || echo adopt)" -q "$mnt"
		status=0
		interfere "$how" "$at" bpio "$verb" "$mnt" || status=$?
		case $how-$status in
		*-0) ;;
		kill*-137) seen=$((seen + 1)) ;;
		fail*-[13])
			seen=$((seen + 1))
			"$before" vg-data || complain "left after request $at"
			clean vg-data
			;;
		*) complain "status $status at request $at" ;;
		esac
		[ "$(dmsetup info -c --noheadings -o suspended vg-data)" = \
			Active ] || complain "left suspended by request $at"
		dd if="$mnt/file" iflag=direct bs=1M status=none |
			cmp - "$mnt/file"
		bpio "$verb" -q "$mnt"
		"$after" vg-data || complain "no $verb after request $at"
		clean vg-data
		# Beyond the last one nothing happens.
		[ "$status" -ne 0 ] || [ "$at" -lt 12 ] || break
	done
	echo "# $seen of $at requests" >&2
	[ "$seen" -ge 6 ]
}

interfered()
{
	each_request "$1" adopt stock adopted
	each_request "$1" release adopted stock
	same_content
}

# Begins an adoption, of process $pid, that waits for a lock which descriptor 6 holds.
adopt_behind_lvm()
{
	exec 6>>/run/lock/lvm/V_vg
	flock 6
	bpio adopt "$mnt" >out 2>err 6>&- &
	pid=$!
	wait_for grep -q 'flock\|locks_lock' "/proc/$pid/stack"
	stock vg-data
}

# A signal while it waits for LVM's lock, or for I/O
signalled()
{
	local pid

	adopt_behind_lvm
	kill -INT "$pid"
	refute wait "$pid"
	exec 6>&-
	says err "cannot take LVM's lock of volume group vg: Interrupted system call"
	stock vg-data
	clean vg-data
}

waits_for_lvm()
{
	local pid

	adopt_behind_lvm
	exec 6>&-
	wait "$pid"
	adopted vg-data
	bpio release -q "$mnt"
}

# Another program is about to replace the table.
others_table()
{
	local table

	table=$(dmsetup table vg-data)
	dmsetup load vg-data --table "${table/linear/delay} 0"
	expect 1 bpio adopt "$mnt"
	says err 'another program has loaded a table for vg-data and not made it live yet'
	dmsetup table --inactive vg-data | grep -q delay
	stock vg-data
	dmsetup clear vg-data
	dmsetup suspend --nolockfs vg-data
	expect 1 bpio adopt vg-data
	dmsetup resume vg-data
	says err 'vg-data is suspended; try again after "dmsetup resume vg-data"'
	clean vg-data
}

read_only()
{
	umount "$mnt"
	lvchange -qq -p r vg/data
	mount -o ro /dev/vg/data "$mnt"
	expect 0 bpio adopt "$mnt"
	[ "$(blockdev --getro /dev/vg/data)" = 1 ]
	same_content
	expect 0 bpio release "$mnt"
	[ "$(blockdev --getro /dev/vg/data)" = 1 ]
	umount "$mnt"
	lvchange -qq -p rw vg/data
	mount /dev/vg/data "$mnt"
}

# refused TARGET CLAUSE: adopt of it, by name
refused()
{
	expect 11 bpio adopt "$1"
	says err "cannot adopt \""
	says err "$2"
}

refusals()
{
	refused "$BPIO_NVME_A2" "$BPIO_NVME_A2 is nvme, a plain disk or partition without a table"
	refused / 'is on no block device'
	lvcreate -qq -y -W n -n r -L 8M --type raid1 -m1 vg
	refused vg/r '/dev/mapper/vg-r is a RAID (target raid)'
	lvremove -qq -y vg/r
	lvcreate -qq -y -W n -n m -L 8M --type mirror --mirrorlog core -m1 vg
	refused vg/m '/dev/mapper/vg-m is a mirror'
	lvremove -qq -y vg/m
	lvcreate -qq -y -W n -n t -L 32M -T vg/pool -V 32M
	refused vg/t '/dev/mapper/vg-t is a thin volume'
	refused vg-pool-tpool 'is a thin pool'
	lvremove -qq -y vg/pool
	lvcreate -qq -y -n snap -s -L 8M vg/data
	refused vg/data '/dev/mapper/vg-data is the origin of a snapshot'
	refused "$mnt" 'adopt it when the snapshot is removed'
	refused vg/snap 'is a snapshot'
	lvremove -qq -y vg/snap
	lvcreate -qq -y -W n -n cached -L 16M vg "$BPIO_NVME_A1"
	lvcreate -qq -y -an -n fast -L 16M vg "$BPIO_NVME_B1"
	lvconvert -qq -y --type writecache --cachevol fast vg/cached
	refused vg/cached 'a volume with a write cache'
	lvconvert -qq -y --splitcache vg/cached
	expect 0 bpio adopt vg/cached
	expect 0 bpio release vg/cached
	lvremove -qq -y vg/fast
	lvcreate -qq -y -an -n fast -L 16M vg "$BPIO_NVME_B1"
	lvconvert -qq -y --type cache --cachevol fast vg/cached
	refused vg/cached 'is a cached volume, whose newest blocks may be in the cache only; detach the cache (lvconvert --uncache)'
	lvremove -qq -y vg/cached
	dmsetup create flawed --table "0 16384 flakey $BPIO_NVME_A2 0 10 0"
	refused flawed 'has a target flakey, for which dm-bpio has no counterpart'
	dmsetup remove flawed
	expect 0 bpio adopt "$mnt"
	expect 0 bpio release "$mnt"
}

# What is no volume of LVM's
refusals_beside_lvm()
{
	local size=65536 disk hash

	dmsetup create data --table "0 $size linear $BPIO_NVME_A2 0"
	dmsetup create hashes --table "0 $size linear $BPIO_NVME_A2 $size"
	hash=$(veritysetup format /dev/mapper/data /dev/mapper/hashes |
		awk '/^Root hash:/ { print $3 }')
	veritysetup open /dev/mapper/data verified /dev/mapper/hashes "$hash"
	refused verified '/dev/mapper/verified is verified (target verity), and verification is never skipped'
	veritysetup close verified
	dmsetup create crypted --table \
		"0 $size crypt cipher_null-ecb - 0 /dev/mapper/data 0"
	refused crypted 'is encrypted (target crypt), and encryption is never skipped'
	dmsetup remove --retry crypted
	modprobe dm-multipath
	modprobe dm-round-robin
	# by bios: the device below takes no requests
	dmsetup create paths --table "0 $size multipath 2 queue_mode bio 0 1 1 \
		round-robin 0 1 0 /dev/mapper/data"
	refused paths 'is a multipath map, which chooses a path for each request; for NVMe use the driver'
	dmsetup remove --retry paths
	# with the one below it left alone
	stock data
	mdadm --create /dev/md/legs --run --level=1 --raid-devices=2 \
		--metadata=1.2 --assume-clean /dev/mapper/data \
		/dev/mapper/hashes >/dev/null 2>&1
	disk=$(realpath /dev/md/legs)
	refused "$disk" "$disk is an md array, which is not a mapped device; make a volume above it"
	mdadm --stop "$disk" >/dev/null 2>&1
	dmsetup remove --retry data
	dmsetup remove --retry hashes
	# a partition, also when something is mounted on it
	addpart "$BPIO_NVME_A2" 1 2048 131072
	udevadm settle
	disk=${BPIO_NVME_A2}p1
	refused "$disk" "$disk is nvme, a plain disk or partition without a table that could be swapped; unmount it and mount it through a bpio volume, see bpiotab(5)"
	mkfs.ext4 -q "$disk"
	mkdir plain
	mount "$disk" plain
	refused plain "$disk is nvme, a plain disk or partition"
	expect 4 bpio state plain
	says err 'it cannot be adopted: '
	umount plain
	delpart "$BPIO_NVME_A2" 1
	dd if=/dev/zero of="$BPIO_NVME_A2" bs=1M count=70 status=none
}

# A physical volume on a mapped device of another kind, and on a volume by hand
deep()
{
	local filter="devices { global_filter=[\"r|^$BPIO_NVME_A2\$|\"] }"

	dmsetup create low --table "0 409600 linear $BPIO_NVME_A2 0"
	pvcreate -qq -y --config "$filter" /dev/mapper/low
	vgcreate -qq --config "$filter" deep /dev/mapper/low
	lvcreate -qq -y -W n --config "$filter" -n lv -L 32M deep
	expect 0 bpio adopt deep/lv
	says out 'is currently supported'
	adopted deep-lv
	adopted low
	says out 'Adopted: /dev/mapper/low, '
	expect 0 bpio release deep/lv
	stock deep-lv
	stock low
	clean low

	# The one below was made by hand, so it stays.
	dmsetup load low --table "0 409600 bpio $BPIO_NVME_A2 0"
	dmsetup resume low
	expect 0 bpio adopt deep/lv
	refute grep '/dev/mapper/low' out
	expect 0 bpio release deep/lv
	stock deep-lv
	adopted low
	expect 0 bpio release low
	stock low
	# udev may be looking at them
	dmsetup remove --retry deep-lv
	dmsetup remove --retry low
	dd if=/dev/zero of="$BPIO_NVME_A2" bs=1M count=2 status=none
}

# More of them without a pause, and how long each held I/O back
# swaps COUNT: under a load that lasts that long
swaps()
{
	local i

	start_load
	for ((i = 0; i < $1; i += 2)); do
		bpio release --json "$mnt" >swap.json
		jq .devices[0].pause_us swap.json >>pauses
		bpio adopt --json "$mnt" >swap.json
		jq .devices[0].pause_us swap.json >>pauses
	done
	goes_direct
	stop_load
}

many_swaps()
{
	local began=$SECONDS count

	bpio adopt -q "$mnt"
	: >pauses
	while count=$(wc -l <pauses) && [ "$count" -lt "$BPIO_TEST_SWAPS" ]; do
		swaps 20
	done
	echo "# $count swaps in $((SECONDS - began)) s, which held I/O back for $(sort -n pauses | sed -n "$((count / 2))p") us (median), $(sort -n pauses | tail -n 1) us at most" >&2
	same_content
	clean vg-data
	bpio release -q "$mnt"
}

unprivileged()
{
	local status=0

	setpriv --reuid=65534 --regid=65534 --clear-groups \
		bpio adopt "$mnt" >out 2>err || status=$?
	[ "$status" -eq 3 ]
	stock vg-data
}

tests()
{
	make_volume "$1"
	it "$1: A mounted logical volume is adopted and released" \
		fresh adopt_and_release
	it "$1: Enabled files fall back when it is released, and are counted" \
		fresh enabled_files
	it "$1: Verified reads and writes go on while it is adopted and released" \
		fresh under_load
}

tests ext4
it "$BPIO_TEST_SWAPS swaps lose no verified read or write" fresh many_swaps
it "Any name of a volume will do" fresh every_name
it "What cannot be adopted is refused by name" fresh refusals
it "So is what is no volume of LVM's" fresh refusals_beside_lvm
it "Mapped devices below are adopted and released as well, but not those made by hand" \
	fresh deep
it "A read-only volume stays read-only" fresh read_only
it "It takes root" fresh unprivileged
it "LVM's lock is waited for" fresh waits_for_lvm
it "A signal ends the wait, and nothing has changed" fresh signalled
it "A table that another program has loaded is left alone" fresh others_table
for how in fail fail-after; do
	it "When a request fails ($how), the old table is live and no other one is loaded" \
		fresh interfered $how
done
for how in kill kill-after; do
	it "When it is killed at a request ($how), no harm is done, and the next one goes on" \
		fresh interfered $how
done
remove_volume
tests xfs
remove_volume
finish
