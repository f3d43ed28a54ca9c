#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# /etc/bpiotab: its faults, the units made from it, and the properties for udev.
# Needs no volume.
# shellcheck source=tap.sh
. "$(dirname "${BASH_SOURCE[0]}")/tap.sh"

# Each line is an argument: table LINE...
table()
{
	printf '%s\n' "$@" >tab
}

# fault LINE SENTENCE: what is said of a table of that line
fault()
{
	table "$1"
	expect 1 bpio tab tab
	[ "$(<err)" = "bpio: tab:1: $2" ] || {
		cat err
		complain "expected \"$2\""
	}
}

fields()
{
	fault 'data' 'expected NAME DEVICE [OPTIONS], but found only "data"'
	fault 'data # /dev/sda' \
		'expected NAME DEVICE [OPTIONS], but found only "data"'
	fault 'data /dev/sda nofail noauto' \
		'expected the end of the line after the options, but found "noauto"; options are separated by commas without blanks'
	printf 'data\0 /dev/sda\n' >tab
	expect 1 bpio tab tab
	says err 'tab:1: expected text, but found a NUL byte'
	printf 'x\033[m /dev/sda\n' >tab
	expect 1 bpio tab tab
	says err 'but found "x?[m"'
}

names()
{
	local long

	long=$(printf '%0128d' 0)
	fault 'a/b /dev/sda' \
		'expected a name of letters, digits and #+-.:=@_, but found "a/b"'
	fault "$long /dev/sda" \
		'expected a name of at most 127 characters, but found one of 128'
	fault 'control /dev/sda' \
		'"control" cannot be the name of a mapped device; choose another name'
	fault '.. /dev/sda' \
		'".." cannot be the name of a mapped device; choose another name'
	table 'data /dev/none1' '' 'data /dev/none2'
	expect 1 bpio tab tab
	says err 'tab:3: the name "data" is used by line 1 already; choose another name'
}

devices()
{
	local device

	for device in sda a/b/c ../sda /etc/fstab /dev/ /dev/x/../../etc UUID= \
		ID=x /sda; do
		fault "data $device" "expected UUID=, PARTUUID=, LABEL=, PARTLABEL=, a path in /dev or VG/LV as the device, but found \"$device\""
	done
	table 'data UUID=none' 'more UUID=none'
	expect 1 bpio tab tab
	says err 'tab:2: the device "UUID=none" is used by line 1 already; a device can be below one volume only'
}

options()
{
	local size

	fault 'data /dev/sda nofail,foo' \
		'unknown option "foo"; see bpiotab(5) for the options'
	fault 'data /dev/sda nofail=1' \
		'unknown option "nofail=1"; see bpiotab(5) for the options'
	fault 'data /dev/sda x-systemd.device-timout=5' \
		'unknown option "x-systemd.device-timout=5"; see bpiotab(5) for the options'
	fault 'data /dev/sda x-systemd.device-timeout=' \
		'option "x-systemd.device-timeout" needs a value, but found none'
	fault 'data /dev/sda dm-uuid=x' \
		'option "dm-uuid" can only be used with "adopt"'
	fault 'data vg/lv adopt,size=1M' \
		'option "size" cannot be used with "adopt", which keeps what the device has'
	fault 'data vg/lv adopt,readonly' \
		'option "readonly" cannot be used with "adopt", which keeps what the device has'
	for size in '' 0 -512 5 1X 1MM 513 99999999999999999999 16777216T x; do
		fault "data /dev/sda size=$size" \
			"expected a number of bytes above 0 that is a multiple of 512, optionally with a suffix K, M, G or T, but found \"size=$size\""
	done
}

all_at_once()
{
	table 'bad' 'data sda foo,size=1' 'good /dev/none'
	expect 1 bpio tab tab
	[ "$(grep -c '^bpio: tab:' err)" -eq 4 ]
	says out 'good  /dev/none  made  no-device'
	expect 1 bpio tab --json tab
	json out /errors/0 'tab:1: expected NAME DEVICE [OPTIONS], but found only "bad"'
	json out /volumes/0/name good
	json out /volumes/0/line 3
}

good()
{
	table '# comment' '   # another' '' $' \tdata\tUUID=none  # why' \
		'#x /dev/none' \
		'more	PARTLABEL="none"	defaults,nofail,x-gvfs-show,size=4K' \
		'a.b+c=d@e:f_g#h-i LABEL=no\040ne _netdev' \
		'lv vg-1/lv.2 adopt,any_storage,enable,noauto,dm-uuid=LVM-x' \
		$'last /dev/none1 readonly,x-initrd.attach\r'
	expect 0 bpio tab tab
	[ "$(wc -l <out)" -eq 6 ]
	[ ! -s err ]
	: >tab
	expect 0 bpio tab tab
}

checked()
{
	table 'data /dev/none' 'more /dev/none2 nofail' 'special /dev/null'
	expect 0 bpio tab tab
	expect 1 bpio tab --check tab
	says err 'tab:1: expected a block device, but "/dev/none" cannot be looked up: No such file or directory'
	says err 'tab:3: expected a block device, but "/dev/null" is not one'
	[ "$(wc -l <err)" -eq 2 ]
	table 'data /dev/none' 'bad' 'more /dev/none3'
	expect 1 bpio tab --check tab
	# in the order of the lines, whenever they were found
	[ "$(cut -d: -f3 err | tr -d '\n')" = 123 ]
	expect 1 bpio tab none
	says err 'cannot read "none": No such file or directory; bpiotab(5) describes its contents'
}

# generate: units of the table, in the folder units
generate()
{
	rm -rf units kmsg
	mkdir units
	expect 0 env "BPIO_TAB=$PWD/tab" BPIO_KMSG=kmsg \
		bpio-generator units early late
}

where=$(sed -n 's/^ExecStart=\(.*\) up -- data$/\1/p' < <(cd "$WORK" &&
	mkdir where && echo 'data /dev/x' >where/tab &&
	BPIO_TAB=where/tab bpio-generator where && cat where/bpio@data.service))

# unit ORDER: the service of volume "data", by what is between its device and stop
unit()
{
	cat <<END
# Made by bpio-generator

[Unit]
Description=BypassIO Volume %I
Documentation=man:bpiotab(5) man:bpio(1)
SourcePath=$PWD/tab
DefaultDependencies=no
IgnoreOnIsolate=yes
After=systemd-udevd-kernel.socket
BindsTo=$1
After=$1
$2
[Service]
Type=oneshot
RemainAfterExit=yes
TimeoutSec=0
ExecStart=$where up -- data
ExecStop=$where down -- data
END
}

BLOCKDEV='Wants=blockdev@dev-mapper-%i.target
Before=blockdev@dev-mapper-%i.target'
LOCAL='Wants=local-fs-pre.target
Before=local-fs-pre.target'
UMOUNT='Conflicts=umount.target
Before=umount.target'

# generated LINE DEVICE-UNIT ORDER: the service is exactly that
generated()
{
	table "$1"
	generate
	unit "$2" "$3" | diff - units/bpio@data.service
}

services()
{
	generated 'data /dev/nvme0n1p1' dev-nvme0n1p1.device "Before=bpio.target
$BLOCKDEV
$LOCAL
$UMOUNT
"
	[ "$(readlink units/bpio.target.requires/bpio@data.service)" = \
		../bpio@data.service ]
	[ -L units/dev-mapper-data.device.requires/bpio@data.service ]
	[ -L units/sysinit.target.wants/bpio.target ]
	[ -f units/bpio.target ]
	generated 'data UUID=ab-cd' 'dev-disk-by\x2dbpio-data.device' \
		"Before=bpio.target
$BLOCKDEV
Before=blockdev@dev-disk-by\\x2duuid-ab\\x2dcd.target
$LOCAL
$UMOUNT
"
	[ -L 'units/dev-disk-by\x2duuid-ab\x2dcd.device.requires/bpio@data.service' ]
	generated 'data PARTUUID=ab-cd nofail' \
		'dev-disk-by\x2dpartuuid-ab\x2dcd.device' "$BLOCKDEV
$UMOUNT
"
	[ -L units/bpio.target.wants/bpio@data.service ]
	[ ! -e units/bpio.target.requires ]
	generated 'data vg/lv noauto' dev-vg-lv.device "$BLOCKDEV
$UMOUNT
"
	[ ! -e units/bpio.target.requires ]
	[ -L units/dev-mapper-data.device.requires/bpio@data.service ]
	generated 'data /dev/sda _netdev' dev-sda.device "$BLOCKDEV
${LOCAL//local/remote}
$UMOUNT
"
	[ -L units/remote-fs.target.requires/bpio@data.service ]
	generated 'data /dev/sda x-initrd.attach' dev-sda.device \
		"Before=bpio.target
$BLOCKDEV
$LOCAL
"
}

adopting_services()
{
	generated 'data vg/lv adopt' dev-vg-lv.device "Before=bpio.target
"
	[ ! -e units/dev-mapper-data.device.requires ]
	generated 'data UUID=x adopt' 'dev-disk-by\x2duuid-x.device' \
		"Before=bpio.target
"
	generated 'data vg/lv adopt,nofail,dm-uuid=LVM-x' \
		'dev-disk-by\x2did-dm\x2duuid\x2dLVM\x2dx.device' ''
}

timeout_of_device()
{
	table 'data LABEL=a\040b x-systemd.device-timeout=5s'
	generate
	grep -qx JobRunningTimeoutSec=5s \
		'units/dev-disk-by\x2dbpio-data.device.d/50-bpio-timeout.conf'
}

# The name of the file is systemd's for each character a name may have.
escaped()
{
	local name

	command -v systemd-escape >/dev/null || {
		echo "not compared with systemd-escape" >&2
		return 0
	}
	for name in data a-b .a a.b -x '-' 'a#b' a+b a:b a=b a@b a_b A9 '=-'; do
		table "$name /dev/disk/by-id//a-b.c/"
		generate
		[ -f "units/$(systemd-escape --template=bpio@.service \
			-- "$name")" ] || complain "no unit of $name"
		[ -d "units/$(systemd-escape --path \
			"/dev/mapper/$name").device.requires" ] ||
			complain "no device unit of $name"
		grep -qxF "BindsTo=$(systemd-escape --path \
			/dev/disk/by-id//a-b.c/).device" units/bpio@*
	done
}

faults_in_log()
{
	table 'bad' 'data /dev/sda' 'more /dev/sdb foo'
	generate
	diff kmsg - <<END
<3>bpio-generator: $PWD/tab:1: expected NAME DEVICE [OPTIONS], but found only "bad"
<3>bpio-generator: $PWD/tab:3: unknown option "foo"; see bpiotab(5) for the options
END
	[ -f units/bpio@data.service ]
	[ ! -e units/bpio@more.service ]
}

harmless()
{
	rm -f tab
	generate
	[ -z "$(ls units)" ]
	[ ! -e kmsg ]
	: >tab
	generate
	[ -z "$(ls units)" ]
	table 'data /dev/sda'
	expect 0 env BPIO_TAB=tab BPIO_KMSG=kmsg bpio-generator /nowhere
	says kmsg 'cannot create /nowhere/./bpio@data.service: No such file or directory'
	expect 1 bpio-generator
}

verified()
{
	table 'data UUID=ab-cd' 'a-b /dev/sda nofail,x-systemd.device-timeout=5s' \
		'lv vg/lv adopt' 'net /dev/sdb _netdev'
	generate
	# It must find what the units start.
	sed -i "s|=$where |=$(command -v bpio) |" units/*.service
	systemd-analyze verify --man=no units/bpio.target units/*.service \
		>verified 2>&1
	[ ! -s verified ] || {
		cat verified
		complain "systemd-analyze has something to say"
	}
}

# With mounts of the volumes by each name, as systemd makes them from fstab
no_cycle()
{
	local fstab

	fstab=$(pkg-config --variable=systemdsystemgeneratordir \
		systemd)/systemd-fstab-generator
	[ -x "$fstab" ] || {
		echo "there is no $fstab" >&2
		return 0
	}
	table 'data UUID=ab-cd' 'more /dev/sda nofail' 'rare LABEL=x noauto' \
		'root /dev/sdb x-initrd.attach' 'lv vg/lv adopt' \
		'net /dev/sdc _netdev'
	generate
	sed -i "s|=$where |=$(command -v bpio) |" units/*.service
	printf '%s\n' 'UUID=ab-cd /data ext4 defaults 0 2' \
		'/dev/mapper/more /more ext4 nofail 0 2' \
		'LABEL=x /rare xfs defaults 0 2' '/dev/vg/lv /lv xfs' \
		'/dev/sdx /boot ext4 defaults 0 2' \
		'/dev/mapper/net /net xfs _netdev 0 0' >fstab
	mkdir mounts
	SYSTEMD_FSTAB=$PWD/fstab "$fstab" mounts mounts mounts
	[ -e mounts/data.mount ]
	SYSTEMD_UNIT_PATH=$PWD/units:$PWD/mounts: systemd-analyze verify \
		--man=no multi-user.target local-fs.target remote-fs.target \
		>verified 2>&1
	[ ! -s verified ] || {
		cat verified
		complain "systemd-analyze has something to say"
	}
}

# claim WANTED NAME=VALUE...: the properties that a device with these ones gets
claim()
{
	local wanted=$1

	shift
	expect 0 env "$@" bpio tab --claims tab
	[ "$(<out)" = "$wanted" ] || {
		cat out
		complain "expected \"$wanted\" of $*"
	}
}

claims()
{
	local links='/dev/disk/by-id/nvme-x /dev/disk/by-uuid/ab-cd /dev/disk/by-label/a\x20b'
	local wanted='BPIO_BELOW=data
BPIO_LINKS=disk/by-bpio/data disk/by-id/nvme-x'

	table 'data UUID=ab-cd'
	claim "$wanted" DEVNAME=/dev/sda ID_FS_UUID_ENC=ab-cd "DEVLINKS=$links"
	claim '' DEVNAME=/dev/sda ID_FS_UUID_ENC=ab-ce "DEVLINKS=$links"
	claim '' DEVNAME=/dev/sda
	claim '' DEVNAME=/dev/dm-3 DM_UUID=BPIO-data ID_FS_UUID_ENC=ab-cd
	claim 'BPIO_BELOW=data
BPIO_LINKS=disk/by-bpio/data' DEVNAME=/dev/dm-3 DM_UUID=LVM-x \
		ID_FS_UUID_ENC=ab-cd
	table 'data LABEL=a\040b'
	claim "$wanted" DEVNAME=/dev/sda 'ID_FS_LABEL_ENC=a\x20b' "DEVLINKS=$links"
	table 'data PARTUUID=AB-cd'
	claim "$wanted" DEVNAME=/dev/sda ID_PART_ENTRY_UUID=ab-cd "DEVLINKS=$links"
	table 'data PARTLABEL=x'
	claim "$wanted" DEVNAME=/dev/sda ID_PART_ENTRY_NAME=x "DEVLINKS=$links"
	table 'data /dev/sda'
	claim "$wanted" DEVNAME=/dev/sda "DEVLINKS=$links"
	table 'data /dev/disk/by-id/nvme-x'
	claim "$wanted" DEVNAME=/dev/sda "DEVLINKS=$links"
	claim '' DEVNAME=/dev/sda DEVLINKS=/dev/disk/by-id/nvme-xy
	table 'data UUID=ab-cd adopt'
	claim '' DEVNAME=/dev/sda ID_FS_UUID_ENC=ab-cd "DEVLINKS=$links"
}

# What is in /etc of this machine is none of the test's business.
named()
{
	[ -e /etc/bpiotab ] && return
	expect 1 bpio up
	says err 'cannot read "/etc/bpiotab": No such file or directory; bpiotab(5) describes its contents'
	expect 1 bpio down x
}

it "A field too few or too many is reported with the line's number" fields
it "A name that device-mapper does not take, or twice, is quoted" names
it "What is no device, or a device twice, is quoted" devices
it "An option that is unknown, wrong, or wrong beside another is quoted" options
it "All faults are reported at once, and good lines are shown" all_at_once
it "Comments, quotes, octal escapes and all options are understood" good
it "With --check a missing device is a fault, unless the line says nofail" checked
it "The generator makes the service of a line exactly" services
it "The service of an adopted device orders nothing behind it" adopting_services
it "A timeout becomes that of the device's unit" timeout_of_device
it "Names of units are those of systemd-escape" escaped
it "Faults go to the kernel log, and the other units are made" faults_in_log
it "Without a table there are no units, and the generator never fails" harmless
if command -v systemd-analyze >/dev/null; then
	it "systemd-analyze finds nothing wrong with the units" verified
	it "The units and those of fstab have no ordering cycle" no_cycle
else
	skip "systemd-analyze finds nothing wrong with the units" \
		"there is no systemd-analyze"
	skip "The units and those of fstab have no ordering cycle" \
		"there is no systemd-analyze"
fi
it "The device below a volume is recognised by any of its names" claims
it "Without a table up and down say so" named
finish
