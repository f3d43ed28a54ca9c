#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Volumes of /etc/bpiotab: bpio tab, up and down, and udev's links. Runs as root in a
# guest of selftests/vm in which this project is installed, from where "make stage"
# put it, and overwrites the devices of the guest.
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")/userspace
# shellcheck source=volumes.sh
. "$here/volumes.sh"
# shellcheck source=lvm-volume.sh
. "$here/lvm-volume.sh"

udevadm control --reload
FIRST=$BPIO_NVME_A1 SECOND=$BPIO_NVME_A2
UUID=8c4a3d0e-5f0c-4b66-9b0c-2f6d1c0b7a11

# Each line is an argument: table LINE...
table()
{
	printf '%s\n' "$@" >/etc/bpiotab
}

# As at boot: udev looks at every device again.
coldplug()
{
	udevadm trigger --settle --subsystem-match=block
}

# leads LINK DEVICE
leads()
{
	[ "$(realpath "$1")" = "$(realpath "$2")" ] || {
		ls -l "$1"
		complain "$1 does not lead to $2"
	}
}

# A test that begins without volumes and table: alone COMMAND...
alone()
{
	local name

	umount -q "$mnt" || true
	rm -f /etc/bpiotab
	for name in data more good; do
		! dmsetup info "$name" >/dev/null 2>&1 ||
			dmsetup remove --retry "$name"
	done
	coldplug
	"$@"
}

mkfs.ext4 -q -F -U "$UUID" -L 'my data' "$FIRST"
mkfs.xfs -q -f "$SECOND"
mkdir -p "$mnt"

up_and_down()
{
	table "# volumes" "" "data $1 ${2-}"
	expect 0 bpio tab --check
	says out "data  "
	says out "made  down"
	expect 0 bpio up data
	says out '"data" is up now: /dev/mapper/data.'
	[ "$(dmsetup info -c --noheadings -o uuid data)" = BPIO-data ]
	expect 0 bpio up
	says out '"data" is up already: /dev/mapper/data.'
	expect 0 bpio tab --check
	says out "made  up"
	mount /dev/mapper/data "$mnt"
	head -c 1M /dev/urandom >"$mnt/file"
	sync
	expect 0 bpio state "$mnt/file"
	expect 0 bpio up --json
	json out /volumes/0/up true
	json out /volumes/0/changed false
	json out /volumes/0/below/node "$FIRST"
	expect 1 bpio down data
	says err "/etc/bpiotab:3: \"data\" is mounted on \"$mnt\"; unmount it first"
	umount "$mnt"
	expect 0 bpio down data
	says out '"data" is down.'
	refute dmsetup info data
	expect 0 bpio down
	says out '"data" is down already.'
}

by_size()
{
	table "data $FIRST size=16M"
	expect 0 bpio up
	[ "$(blockdev --getsize64 /dev/mapper/data)" -eq 16777216 ]
	expect 0 bpio down
	table "data $FIRST size=9T"
	expect 1 bpio up
	says err "/etc/bpiotab:1: expected \"$FIRST\" to have at least size=9895604649984 bytes, but it has "
}

readonly_volume()
{
	table "data $FIRST readonly"
	expect 0 bpio up
	[ "$(blockdev --getro /dev/mapper/data)" = 1 ]
	expect 0 bpio down
}

options()
{
	table "data $BPIO_SCRATCH any_storage,enable"
	expect 0 bpio up
	dmsetup table data | grep -q ' bpio .* 0 1 any_storage$'
	dmsetup status data | grep -q ' full$'
	expect 0 bpio disable data
	dmsetup status data | grep -q ' none$'
	expect 0 bpio up
	dmsetup status data | grep -q ' full$'
	expect 0 bpio down
}

# The links are those of the table, in both orders.
links()
{
	table "data UUID=$UUID"
	coldplug
	[ ! -e "/dev/disk/by-uuid/$UUID" ]
	[ ! -e '/dev/disk/by-label/my\x20data' ]
	leads /dev/disk/by-bpio/data "$FIRST"
	find /dev/disk/by-id -lname "*/${FIRST##*/}" | grep -q .
	expect 0 bpio up
	leads "/dev/disk/by-uuid/$UUID" /dev/mapper/data
	leads '/dev/disk/by-label/my\x20data' /dev/mapper/data
	coldplug
	leads "/dev/disk/by-uuid/$UUID" /dev/mapper/data
	mount "UUID=$UUID" "$mnt"
	expect 0 bpio state "$mnt"
	umount "$mnt"
	expect 0 bpio down
	udevadm settle
	[ ! -e "/dev/disk/by-uuid/$UUID" ]
	# Without the table the link is back. A volume that is made takes it over, though
	# udev has not looked at the device since the table was written.
	rm /etc/bpiotab
	coldplug
	leads "/dev/disk/by-uuid/$UUID" "$FIRST"
	table "data $FIRST"
	expect 0 bpio up
	leads "/dev/disk/by-uuid/$UUID" /dev/mapper/data
}

links_by_path()
{
	local path

	path=$(find /dev/disk/by-id -lname "*/${FIRST##*/}" | head -n 1)
	table "data ${path:-$FIRST}"
	coldplug
	[ ! -e "/dev/disk/by-uuid/$UUID" ]
	leads /dev/disk/by-bpio/data "$FIRST"
	[ -z "$path" ] || leads "$path" "$FIRST"
}

# A mount by UUID starts the volume, though the table does not have that UUID.
names_from_udev()
{
	local unit name

	PATH=$PATH:/usr/lib/systemd/system-generators
	PATH=$PATH:/usr/local/lib/systemd/system-generators
	table "data $FIRST"
	coldplug
	mkdir units
	bpio-generator units
	for name in "by-uuid/$UUID" 'by-label/my\x20data'; do
		# as systemd-escape does, which the guest lacks
		unit=$(sed -e 's/\\/\\x5c/g' -e 's/-/\\x2d/g' -e 's,/,-,g' \
			<<<"dev/disk/$name")
		[ -L "units/$unit.device.requires/bpio@data.service" ]
		grep -qxF "Before=blockdev@$unit.target" units/bpio@data.service
	done
	[ "$(find units -name '*.device.requires' | wc -l)" -eq 3 ]
	# once, and only of the file system that is there
	table "data UUID=$UUID" "more $SECOND"
	coldplug
	bpio-generator units
	[ "$(grep -c '^Before=blockdev@dev-disk-by.*uuid' \
		units/bpio@data.service)" -eq 1 ]
	refute grep label units/bpio@more.service
}

faults()
{
	table 'data' "more $FIRST bogus" "good $SECOND"
	expect 1 bpio tab
	says err 'bpio: /etc/bpiotab:1: expected NAME DEVICE [OPTIONS], but found only "data"'
	says err 'bpio: /etc/bpiotab:2: unknown option "bogus"'
	# The others are made, in spite of these.
	expect 1 bpio up
	says out '"good" is up now'
	expect 1 bpio down
	says out '"good" is down.'
	expect 0 bpio up good
	expect 0 bpio down good
	expect 2 bpio up data
	says err 'expected the name of a volume in /etc/bpiotab, but found "data"'
	rm /etc/bpiotab
	expect 1 bpio up
	says err 'cannot read "/etc/bpiotab": No such file or directory'
}

missing()
{
	table "data UUID=11111111-2222-3333-4444-555555555555" \
		"more /dev/none" "rest vg/none nofail"
	expect 1 bpio tab --check
	says err '/etc/bpiotab:1: expected a device that is "UUID=11111111-2222-3333-4444-555555555555", but there is none'
	says err '/etc/bpiotab:2: expected a block device, but "/dev/none" cannot be looked up: No such file or directory'
	refute grep bpiotab:3 err
	expect 1 bpio up
	says out '"rest" is left out, because its device is not there.'
	expect 1 bpio up rest
	says err '/etc/bpiotab:3: expected a block device, but "/dev/vg/none"'
}

mounted()
{
	mount "$FIRST" "$mnt"
	table "data $FIRST"
	expect 1 bpio tab --check
	says err "/etc/bpiotab:1: $FIRST is mounted on \"$mnt\" and would be used at the same time as the volume \"data\"; unmount it, and mount the volume instead"
	expect 1 bpio up
	says err "$FIRST is mounted on"
	refute dmsetup info data
}

name_in_use()
{
	dmsetup create data --table "0 2048 linear $SECOND 0"
	table "data $FIRST"
	expect 1 bpio tab --check
	says err '/etc/bpiotab:1: the name "data" is in use: expected a mapped device with the table "0 '
	expect 1 bpio up
	says err 'choose another name, or remove that device'
	expect 1 bpio down
	says err '/etc/bpiotab:1: expected "data" to be a bpio volume, but it has another table'
	dmsetup table data | grep -q linear
}

device_in_use()
{
	dmsetup create more --table "0 2048 linear $FIRST 0"
	table "data $FIRST"
	expect 1 bpio up
	says err "$FIRST is used by dm-"
}

open_volume()
{
	table "data $FIRST"
	expect 0 bpio up
	exec 5</dev/mapper/data
	expect 1 bpio down
	exec 5<&-
	says err '"data" is in use, with an open count of 1; "fuser /dev/mapper/data"'
	expect 0 bpio down
}

not_automatic()
{
	table "data $FIRST noauto" "more $SECOND x-initrd.attach"
	expect 0 bpio up
	refute dmsetup info data
	expect 0 bpio up -- data
	expect 0 bpio down more
	expect 0 bpio down
	dmsetup info data >/dev/null
	expect 0 bpio down data
	echo 'wrong' >>/etc/bpiotab
	expect 0 bpio up --initrd
	says err '/etc/bpiotab:3: expected NAME DEVICE'
	refute grep data out
	dmsetup info more >/dev/null
}

module_loaded()
{
	unload_modules
	table "data $FIRST"
	expect 0 bpio up
	[ -e /sys/module/dm_bpio ]
	expect 0 bpio down
	# For a table, the kernel asks for it by itself.
	unload_modules
	new_volume more "$SECOND"
	[ -e /sys/module/dm_bpio ]
}

two_the_same()
{
	dd if="$FIRST" of="$SECOND" bs=1M count=8 status=none
	udevadm settle
	table "data UUID=$UUID"
	expect 1 bpio up
	mkfs.xfs -q -f "$SECOND"
	says err "/etc/bpiotab:1: expected one device that is \"UUID=$UUID\", but both "
}

# The rest is about volumes of LVM.
adopt_line()
{
	table "lv $1 adopt"
	expect 0 bpio tab --check
	says out "adopted  down"
	expect 0 bpio up
	says out '"lv" is up now: /dev/mapper/vg-data.'
	adopted vg-data
	expect 0 bpio state "$mnt/file"
	expect 0 bpio up
	says out '"lv" is up already: /dev/mapper/vg-data.'
	expect 0 bpio down
	says out '"lv" is down.'
	stock vg-data
	udevadm settle
	stock vg-data
	# It stays down, also for LVM.
	lvchange -qq --refresh vg/data
	udevadm settle
	stock vg-data
	expect 0 bpio up lv
	lvchange -qq --refresh vg/data
	wait_for adopted vg-data
	same_content
	expect 0 bpio down
	rm /etc/bpiotab
}

# The file of an administrator keeps its comments, order and mode.
keep_edits()
{
	table '# mine' '' "other /dev/none	nofail # why" '# end'
	cp /etc/bpiotab before
	chmod 600 /etc/bpiotab
	expect 0 bpio adopt --keep "$mnt"
	says out 'Kept: adopted again when its table is replaced, by /etc/bpiotab'
	head -n 4 /etc/bpiotab | cmp - before
	sed -n 5p /etc/bpiotab | grep -q '^vg-data vg/data adopt,nofail,dm-uuid=LVM-[^ ]*$'
	[ "$(stat -c %a /etc/bpiotab)" = 600 ]
	expect 0 bpio adopt --keep "$mnt"
	[ "$(wc -l </etc/bpiotab)" -eq 5 ]
	expect 0 bpio tab
	expect 0 bpio down vg-data
	stock vg-data
	expect 0 bpio up vg-data
	expect 0 bpio release "$mnt"
	cmp /etc/bpiotab before
	table "vg-data $SECOND"
	expect 1 bpio adopt --keep "$mnt"
	says err 'cannot change /etc/bpiotab: the name "vg-data" is that of another line'
	stock vg-data
	rm /etc/bpiotab
}

on_volume_of_lvm()
{
	umount "$mnt"
	table "data vg/data"
	coldplug
	expect 0 bpio up
	[ "$(dmsetup deps -o devname data)" = "1 dependencies	: (vg-data)" ]
	mount /dev/mapper/data "$mnt"
	same_content
	umount "$mnt"
	expect 0 bpio down
	rm /etc/bpiotab
	coldplug
	mount /dev/vg/data "$mnt"
}

it "A volume is made from a path, and removed, once and again" \
	alone up_and_down "$FIRST"
it "A volume is made from a UUID" alone up_and_down "UUID=$UUID"
it "A volume is made from a label with a blank" \
	alone up_and_down 'LABEL=my\040data'
it "size= is how long the volume is, and never more than the device" \
	alone by_size
it "A volume can be read-only" alone readonly_volume
it "any_storage and enable do what the table's feature and the verb do" \
	alone options
it "Links by UUID and label lead to the volume, before and after it is made" \
	alone links
it "So they do when the table names the device by a link" alone links_by_path
it "Units that need a volume by the UUID or label that udev has found start it" \
	alone names_from_udev
it "Each fault is reported with its line, and the other volumes are made" alone faults
it "A missing device is a fault unless the line says nofail" alone missing
it "A device that is mounted is refused" alone mounted
it "A name in use is refused" alone name_in_use
it "A device in use is refused" alone device_in_use
it "A volume that is open is not removed" alone open_volume
it "noauto waits for its name, and --initrd takes only what the initramfs needs" \
	alone not_automatic
it "The module is loaded when it is needed" alone module_loaded
it "A UUID that two devices have is refused" alone two_the_same
alone true
dd if=/dev/zero of="$FIRST" bs=1M count=2 status=none
make_volume ext4
it "A line with adopt adopts and releases a mounted logical volume" \
	fresh adopt_line vg/data
it "So it does by /dev/mapper" fresh adopt_line /dev/mapper/vg-data
it "adopt --keep adds a line to the table, and release removes it" \
	fresh keep_edits
it "A volume is made above a logical volume" fresh on_volume_of_lvm
remove_volume
finish
