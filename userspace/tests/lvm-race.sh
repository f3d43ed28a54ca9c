#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# bpio adopt and release while LVM's own commands work on the same volume, and while
# others adopt and release it. Runs as root in a guest of selftests/vm in which this
# project is installed, from where "make stage" put it, and overwrites the devices of
# the guest.
#
# BPIO_TEST_ROUNDS says how often each command of LVM is run (default 1).
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")/userspace
# shellcheck source=volumes.sh
. "$here/volumes.sh"
# shellcheck source=lvm-volume.sh
. "$here/lvm-volume.sh"

: "${BPIO_TEST_ROUNDS:=1}"
udevadm control --reload

# Why a swap may fail, with the exit status: LVM has turned the volume into another
# kind, or a device below it is gone.
REFUSED=(11 'is a RAID|is a mirror|is the origin of a snapshot')
DEVICE_GONE=(1 'the kernel does not take the new table of vg-data')

small()
{
	lvcreate -qq -y -W n -n data -L 64M vg "$BPIO_NVME_A1"
	lvextend -qq -L +32M vg/data "$BPIO_NVME_A1"
}

# The file system's device, whatever its name is now
name()
{
	dmsetup info -c --noheadings -o name "$(findmnt -no SOURCE "$mnt")"
}

# swap_on WORD STATUS PATTERN VERB...: the verbs in turn until the file "stop" is there.
# A swap may end with STATUS and a message that matches PATTERN; what must not happen is
# written to WORD.odd.
swap_on()
{
	local word=$1 may=$2 pattern=$3 verb status count=0

	shift 3
	: >"$word.odd"
	until [ -e stop ]; do
		for verb; do
			status=0
			# shellcheck disable=SC2086 # a verb and its options
			timeout 120 bpio $verb "$mnt" >"$word.out" 2>&1 || status=$?
			case $status in
			0) count=$((count + 1)) ;;
			"$may") grep -qE "$pattern" "$word.out" && continue ;;&
			*) echo "bpio $verb: status $status: $(<"$word.out")" \
				>>"$word.odd" ;;
			esac
		done
	done
	echo "$count" >"$word.count"
}

# Some are killed, wherever they are.
kill_on()
{
	local verb count=0

	until [ -e stop ]; do
		for verb in adopt release; do
			timeout -s KILL "0.$((RANDOM % 9 + 1))" bpio "$verb" -q "$mnt" \
				>/dev/null 2>&1 || count=$((count + 1))
		done
	done
	echo "$count" >kill.count
}

# shellcheck disable=SC2317 # called on exit
stop_all()
{
	touch stop
	wait "${swappers[@]}" || true
	kill "$watcher" "$digester" || true
	kill_load
}

# A reader that verifies a file of others by its digest
read_digests()
{
	local count=0

	: >digest.odd
	until [ -e stop ]; do
		bpio run -q -- dd if="$mnt/file" iflag=direct bs=256k \
			status=none | md5sum | cut -d ' ' -f 1 >digest.got
		[ "$(<digest.got)" = "$(cut -d ' ' -f 1 <"$WORK/digest")" ] ||
			echo "wrong digest: $(<digest.got)" >>digest.odd
		count=$((count + 1))
	done
	echo "$count" >digest.count
}

# begin_race: readers, a writer, an observer, and two who adopt and release, one of
# whom keeps it
begin_race()
{
	rm -f stop ./*.odd ./*.count
	echo 'other UUID=0a3407de-014b-458b-b5c1-848e92a327a3 noauto' >/etc/bpiotab
	bpio watch >events 2>watch.err &
	watcher=$!
	listening "$watcher"
	bpio adopt -q "$mnt"
	start_load
	read_digests &
	digester=$!
	swap_on first "${REFUSED[@]}" 'adopt -q' 'release -q' &
	swappers=($!)
	swap_on second "${REFUSED[@]}" 'release -q' 'adopt -q --keep' &
	swappers+=($!)
	trap stop_all EXIT
}

# The mapped devices of the volume group, in any state
mapped()
{
	dmsetup info -c --noheadings -o name,tables_loaded,suspended -S 'uuid=~LVM-'
}

# No table waits to become live, and nothing is suspended.
all_clean()
{
	refute grep -v ':Live:Active$' < <(mapped)
}

as_stock()
{
	sed -e 's/ bpio / linear /' -e 's/ bpio-striped / striped /' \
		-e 's/ 1 any_storage$//'
}

# The last that was told of the support of the volume: told WORDS
told()
{
	grep '  support  ' events | tail -n 1 | grep -qE "  support  .*  $1"
}

# What bpio says of a volume is so.
tells_the_truth()
{
	local device lines

	device=$(name)
	lines=$(dmsetup table "$device" | wc -l)
	if adopted "$device"; then
		expect 0 bpio state "$mnt/file"
		expect 0 bpio list --json
		json out /volumes/0/name "$device"
		json out /volumes/0/adopted true
		json out /volumes/0/segments "$lines"
		json out /volumes/0/mounts/0/mount_point "$mnt"
		expect 0 bpio stack --json "$mnt"
		[ -z "$(jq -r '.layers[].node' out | sort | uniq -d)" ]
		[ "$(jq -r '.layers[0].node' out)" = "/dev/mapper/$device" ]
		wait_for told 'full$'
	else
		stock "$device"
		expect 4 bpio state "$mnt/file"
		says err "\"bpio adopt $mnt/file\" makes it one"
		expect 0 bpio list --json
		refute json-get /volumes/0 <out
		wait_for told 'none: '
	fi
	[ ! -s watch.err ]
}

# What the udev rule has begun
background()
{
	pgrep -f 'bpio adopt (--kept|-q|--quiet)'
}

no_background()
{
	udevadm settle
	refute background
}

# Those who read and write end, and have seen nothing wrong.
end_race()
{
	stop_load
	kill "$watcher"
	wait "$watcher" || true
	trap - EXIT
	cat ./*.odd
	[ -z "$(cat ./*.odd)" ]
	echo "# $(cat first.count) and $(cat second.count) swaps, $(cat digest.count) digests" >&2
	[ "$(cat first.count)" -gt 0 ]
	[ "$(cat second.count)" -gt 0 ]
	[ "$(cat digest.count)" -gt 0 ]
	same_content
}

# In the middle of it: those who swap have ended, those who read and write go on.
judge()
{
	local device table

	touch stop
	wait "${swappers[@]}" "$digester"
	wait_for no_background
	device=$(name)
	# a process that was killed may have left a table that does no harm
	[ ! -e kill.count ] || bpio adopt -q "$mnt"
	all_clean
	table=$(dmsetup table "$device")
	[ -n "$table" ]
	tells_the_truth
	# released for good, and what is then there is what LVM itself loads
	expect 0 bpio release "$mnt"
	wait_for no_background
	stock "$device"
	all_clean
	tells_the_truth
	[ "$(dmsetup table "$device")" = "$(as_stock <<<"$table")" ]
	lvm_does lvchange --refresh "vg/${device#vg-}"
	[ "$(dmsetup table "$device")" = "$(as_stock <<<"$table")" ]
	[ "$(grep -cv '^#' /etc/bpiotab)" -eq 1 ]
	grep -q '^other ' /etc/bpiotab
}

lvm_does()
{
	"$@" >lvm.out 2>lvm.err || {
		cat lvm.out lvm.err
		complain "LVM failed: $*"
	}
}

# race FUNCTION...: have LVM do something
race()
{
	local round each

	begin_race
	for ((round = 0; round < BPIO_TEST_ROUNDS; round++)); do
		for each; do
			"$each"
		done
	done
	judge
	end_race
}

sizes()
{
	lvm_does lvextend -y -L +16M vg/data "$BPIO_NVME_B1"
	lvm_does lvreduce -f -y -L -16M vg/data
}

refreshes()
{
	lvm_does lvchange --refresh vg/data
	lvm_does lvchange --refresh vg
}

moves()
{
	lvm_does pvmove -i 1 -n data "$BPIO_NVME_A1" "$BPIO_NVME_B1"
	lvm_does pvmove -i 1 -n data "$BPIO_NVME_B1" "$BPIO_NVME_A1"
}

# It may have moved a part.
aborted_moves()
{
	lvm_does pvmove -b -i 1 -n data "$BPIO_NVME_A1" "$BPIO_NVME_B1"
	lvm_does pvmove --abort
	! lvs --noheadings -o devices vg/data | grep -q "$BPIO_NVME_B1" ||
		lvm_does pvmove -i 1 -n data "$BPIO_NVME_B1" "$BPIO_NVME_A1"
}

snapshots()
{
	lvm_does lvcreate -y -s -n snap -L 16M vg/data
	lvm_does lvremove -y vg/snap
}

names()
{
	lvm_does lvrename vg data other
	lvm_does vgrename vg new
	lvm_does vgrename new vg
	lvm_does lvrename vg other data
}

# It is slow beside other I/O, unless it is told not to be.
mirrors()
{
	modprobe md-mod
	echo 100000 >/proc/sys/dev/raid/speed_limit_min
	lvm_does lvconvert -y --type raid1 -m 1 vg/data "$BPIO_NVME_B1"
	lvm_does lvconvert -y -m 0 vg/data "$BPIO_NVME_B1"
}

# It is refused, because the file system is mounted.
deactivations()
{
	refute vgchange -an vg
	refute lvchange -an vg/data
}

waits()
{
	sleep "$BPIO_TEST_SECONDS"
}

waits_beside_killed_ones()
{
	kill_on &
	swappers+=($!)
	sleep "$BPIO_TEST_SECONDS"
}

# reads_of_vanishing OFFSET: a MiB of the file is right
reads_of_vanishing()
{
	dd if="$mnt/file" iflag=direct,skip_bytes skip="$1" bs=1M count=1 \
		status=none | cmp -n 1048576 -i "0:$1" - "$WORK/copy"
}

# No physical volume is missing.
all_there()
{
	[ "$(vgs --noheadings -o vg_missing_pv_count vg)" -eq 0 ]
}

# Give the device the name that other tests know, which is free as soon as nobody, udev
# included, keeps the device that had it.
back_by_name()
{
	udevadm settle
	echo "${device##*/}" >"$driver/unbind"
	echo "${device##*/}" >"$driver/bind"
	for _ in {1..100}; do
		[ ! -b "$BPIO_NVME_B1" ] || return 0
		sleep 0.1
	done
	return 1
}

# A physical volume vanishes with its device, and comes back.
vanishing()
{
	local device driver last=$((40 << 20)) table

	rm -f stop
	make_spread
	device=$(realpath "/sys/class/block/${BPIO_NVME_B1#/dev/}/device/device")
	driver=$(realpath "$device/driver")
	table=$(dmsetup table vg-data)
	bpio adopt -q "$mnt"
	exec 5<"$mnt/file"
	bpio attach -q $BASHPID
	swap_on beside "${DEVICE_GONE[@]}" 'adopt -q' 'release -q' &
	swapper=$!
	echo "${device##*/}" >"$driver/unbind"
	sleep 2
	touch stop
	wait "$swapper"
	cat beside.odd
	[ ! -s beside.odd ]
	echo "# $(<beside.count) swaps" >&2
	wait_for no_background
	all_clean
	[ "$(dmsetup table vg-data | as_stock)" = "$table" ]
	# what is left of it can still be read, the rest fails as it does without
	reads_of_vanishing 0
	refute dd if="$mnt/file" iflag=direct,skip_bytes skip=$last bs=1M \
		count=1 status=none of=/dev/null
	expect 0 bpio list --json
	bpio state "$mnt/file" >out 2>err || [ $? -ne 1 ]
	echo "${device##*/}" >"$driver/bind"
	wait_for all_there
	exec 5<&-
	umount "$mnt"
	vgchange -qq -an vg
	vgchange -qq -ay vg
	mount -o ro /dev/vg/data "$mnt"
	expect 0 bpio adopt "$mnt"
	expect 0 bpio run --json --summary sum dd if="$mnt/file" iflag=direct \
		bs=1M of=/dev/null
	json sum /direct_reads 48
	reads_of_vanishing 0
	reads_of_vanishing $last
	umount "$mnt"
	vgremove -qq -ff -y vg
	wait_for back_by_name
}

# A volume of two segments on two controllers, and a file on both
make_spread()
{
	pvcreate -qq -y -ff "$BPIO_NVME_A1" "$BPIO_NVME_B1"
	vgcreate -qq vg "$BPIO_NVME_A1" "$BPIO_NVME_B1"
	lvcreate -qq -y -W n -n data -L 24M vg "$BPIO_NVME_A1"
	lvextend -qq -L +40M vg/data "$BPIO_NVME_B1"
	mkfs.ext4 -q -O ^has_journal /dev/vg/data
	mount /dev/vg/data "$mnt"
	head -c 48M /dev/urandom >"$mnt/file"
	cp "$mnt/file" "$WORK/copy"
	sync
	umount "$mnt"
	# nobody writes to what vanishes
	mount -o ro /dev/vg/data "$mnt"
}

make_volume ext4 small
it "Those who adopt and release at the same time" fresh race waits
it "The same, some of whom are killed" fresh race waits_beside_killed_ones
it "lvextend, lvreduce, and lvchange --refresh" fresh race sizes refreshes
it "pvmove and pvmove --abort" fresh race moves aborted_moves
it "lvcreate -s, and lvremove of the snapshot" fresh race snapshots
it "lvrename and vgrename" fresh race names
it "lvconvert to RAID1 and back, and vgchange -an of what is in use" \
	fresh race mirrors deactivations
remove_volume
make_volume xfs
it "XFS: lvextend, lvreduce, a snapshot, and other names" \
	fresh race sizes snapshots names
remove_volume
it "A physical volume that vanishes" vanishing
finish
