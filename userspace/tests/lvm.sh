#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Adopted volumes of LVM with several segments and stripes, and what LVM's own
# commands do to adopted volumes. Runs as root in a guest of selftests/vm in which
# this project is installed, from where "make stage" put it, and overwrites the
# devices of the guest.
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")/userspace
# shellcheck source=volumes.sh
. "$here/volumes.sh"
# shellcheck source=lvm-volume.sh
. "$here/lvm-volume.sh"

udevadm control --reload

segments()
{
	lvcreate -qq -y -W n -n data -L 96M vg "$BPIO_NVME_A1"
	lvextend -qq -L +96M vg/data "$BPIO_NVME_B1"
	lvextend -qq -L +128M vg/data "$BPIO_NVME_A1"
	[ "$(dmsetup table vg-data | wc -l)" -eq 3 ]
}

stripes()
{
	lvcreate -qq -y -W n -n data -L 160M -i 2 -I "$1" vg
	# concatenated stripes of another size, and a linear segment
	lvextend -qq -L +80M -i 2 -I 64k vg/data
	lvextend -qq -L +80M -i 1 vg/data "$BPIO_NVME_A1"
	[ "$(dmsetup table vg-data | wc -l)" -eq 3 ]
}

stripes_4k()
{
	stripes 4k
}

stripes_1m()
{
	stripes 1m
}

# Over four physical volumes on three namespaces of two controllers, two of them on
# partitions of odd sizes; then others over two of them and over one
stripes_over_four()
{
	lvcreate -qq -y -W n -n data -L 160M -i 4 -I "$1" vg
	lvextend -qq -L +80M -i 2 -I 256k vg/data "${pvs[@]:1:2}"
	lvextend -qq -L +80M -i 1 vg/data "${pvs[3]}"
	[ "$(dmsetup table vg-data | wc -l)" -eq 3 ]
	dmsetup table vg-data | grep -q ' striped 4 .* '
}

four_4k()
{
	stripes_over_four 4k
}

four_512k()
{
	stripes_over_four 512k
}

make_partitions()
{
	addpart "$BPIO_NVME_A1" 1 2048 1234567
	addpart "$BPIO_NVME_A1" 2 1300000 1345679
	udevadm settle
	pvs=("${BPIO_NVME_A1}p1" "${BPIO_NVME_A1}p2" "$BPIO_NVME_A2"
		"$BPIO_NVME_B1")
}

counterpart_of()
{
	sed -e 's/ linear / bpio /' -e 's/ striped / bpio-striped /'
}

# The whole file system is filled, so that files lie on every segment.
adopt_whole()
{
	local before i

	before=$(dmsetup table vg-data)
	for i in 1 2 3 4 5 6; do
		head -c 28M /dev/urandom >"$mnt/part$i"
	done
	sync
	expect 0 bpio adopt "$mnt"
	says out "is adopted: BypassIo on it is currently supported."
	says out "Adopted: /dev/mapper/vg-data, 3 segments from "
	[ "$(dmsetup table vg-data)" = "$(counterpart_of <<<"$before")" ]
	for i in 1 2 3 4 5 6; do
		expect 0 bpio run --json --summary sum dd if="$mnt/part$i" \
			iflag=direct bs=1M of=dd
		cmp dd "$mnt/part$i"
		json sum /direct_reads 28
	done
	expect 0 bpio list --json
	json out /volumes/0/name vg-data
	json out /volumes/0/segments 3
	json out /volumes/0/adopted true
	# the volume, and each device below it once
	expect 0 bpio stack --json "$mnt"
	[ -z "$(jq -r '.layers[].node' out | sort | uniq -d)" ]
	[ "$(jq '.layers | length' out)" -eq \
		$((1 + $(dmsetup deps vg-data | cut -d ' ' -f 1))) ]
	expect 0 bpio enable vg-data
	expect 0 bpio disable vg-data
	expect 0 bpio pause vg-data
	expect 0 bpio resume vg-data
	expect 0 bpio release "$mnt"
	[ "$(dmsetup table vg-data)" = "$before" ]
	clean vg-data
}

kind()
{
	make_volume "$1" "$2"
	it "$1, $2: All of it is adopted, read direct, and released" adopt_whole
	it "$1, $2: Verified reads and writes go on while it is adopted and released" \
		fresh under_load
	remove_volume
}

# after COMMAND...: LVM loads its table, and the volume is adopted again
after()
{
	"$@" 2>lvm.err >lvm.out 9>&- || {
		cat lvm.out lvm.err
		complain "LVM failed: $*"
	}
	wait_for adopted vg-data
	goes_direct
}

kept_begin()
{
	bpio adopt -q --keep "$mnt"
	grep -q '^vg-data vg/data adopt,nofail,dm-uuid=LVM-' /etc/bpiotab
	start_load
}

kept_end()
{
	stop_load
	same_content
	expect 0 bpio release "$mnt"
	stock vg-data
	refute grep '^vg-data' /etc/bpiotab
	udevadm settle
	stock vg-data
	clean vg-data
}

kept_changes()
{
	kept_begin
	after lvextend -y -L +32M vg/data
	after lvchange --refresh vg/data
	after lvreduce -f -y -L -16M vg/data
	kept_end
}

kept_snapshot()
{
	kept_begin
	lvcreate -qq -y -s -n snap -L 32M vg/data 2>/dev/null
	dmsetup table vg-data | grep -q snapshot-origin
	expect 11 bpio adopt "$mnt"
	after lvremove -y vg/snap
	kept_end
}

kept_move()
{
	kept_begin
	after pvmove -i 1 -n data "$BPIO_NVME_A1" "$BPIO_NVME_B1"
	pvmove -b -i 1 -n data "$BPIO_NVME_B1" "$BPIO_NVME_A1" >/dev/null
	after pvmove --abort
	kept_end
}

kept_names()
{
	kept_begin
	lvrename -qq vg data other
	wait_for adopted vg-other
	vgrename -qq vg new
	wait_for adopted new-other
	vgrename -qq new vg
	after lvrename vg other data
	kept_end
}

kept_activation()
{
	bpio adopt -q --keep "$mnt"
	umount "$mnt"
	vgchange -qq -an vg
	vgchange -qq -ay vg
	wait_for adopted vg-data
	mount /dev/vg/data "$mnt"
	expect 0 bpio state "$mnt/file"
	same_content
	expect 0 bpio release "$mnt"
	udevadm settle
	stock vg-data
}

# The adoption that a change begins waits for LVM's lock, and finds no line any more.
kept_no_more()
{
	local table

	table=$(dmsetup table vg-data)
	bpio adopt -q --keep "$mnt"
	exec 6>>/run/lock/lvm/V_vg
	flock 6
	dmsetup load vg-data --table "$table"
	dmsetup resume vg-data 6>&-
	wait_for pgrep -f 'adopt --kept'
	wait_for grep -q 'flock\|locks_lock' \
		"/proc/$(pgrep -f 'adopt --kept' | head -n 1)/stack"
	# as "bpio release" does, which waits for the lock, too
	sed -i /^vg-data/d /etc/bpiotab
	exec 6>&-
	wait_for refute pgrep -f 'adopt --kept'
	stock vg-data
	clean vg-data
}

links()
{
	local uuid

	dmsetup create byhand --uuid BPIO-byhand \
		--table "0 131072 bpio $BPIO_NVME_A2 0"
	mkfs.ext4 -q /dev/mapper/byhand
	uuid=$(blkid -o value -s UUID /dev/mapper/byhand)
	udevadm trigger --settle "/sys/class/block/${BPIO_NVME_A2#/dev/}"
	[ "$(realpath "/dev/disk/by-uuid/$uuid")" = \
		"$(realpath /dev/mapper/byhand)" ]
	dmsetup remove --retry byhand
}

make_volume ext4 one_segment
it "A kept volume is adopted again when it was extended, refreshed or reduced" \
	fresh kept_changes
it "A kept volume is adopted again when its snapshot is gone" \
	fresh kept_snapshot
it "A kept volume is adopted again when its data has been moved" \
	fresh kept_move
it "A kept volume is adopted again under a new name" fresh kept_names
it "A kept volume is adopted again when it is activated" \
	fresh kept_activation
it "A kept volume that was released meanwhile is not adopted again" \
	fresh kept_no_more
it "Links by UUID lead to a volume, and not to the device below" links
remove_volume
kind ext4 segments
kind xfs segments
kind ext4 stripes_4k
kind xfs stripes_1m
make_partitions
kind ext4 four_4k
kind xfs four_512k
# udev looks at what was just removed
wait_for delpart "$BPIO_NVME_A1" 1
wait_for delpart "$BPIO_NVME_A1" 2
finish
