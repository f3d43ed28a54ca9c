# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# The part of machine_test that runs in the machine. Sourced there, by bash with "set -e".

IN=/in
DIGESTS=/root/digests
VOLUMES=(data whole linear striped kept)

fail()
{
	printf '%s\n' "$*" >&2
	return 1
}

same()
{
	[ "$2" = "$3" ] || fail "$1: expected '$2', found '$3'"
}

# namespace SERIAL NSID: print the device of a namespace of the NVMe controller SERIAL
namespace()
{
	local disk serial nsid

	for disk in /sys/block/nvme*n*; do
		read -r serial <"$disk/device/serial"
		read -r nsid <"$disk/nsid"
		[ "$serial-$nsid" != "$1-$2" ] || printf '/dev/%s\n' "${disk##*/}"
	done
}

# The module was signed by DKMS with a key that the firmware does not know.
check_refused()
{
	local out

	mokutil --sb-state | grep -x 'SecureBoot enabled'
	modinfo -F signer dm-bpio | grep -x 'DKMS module signing key'
	printf 'refused  %s\n' "$(namespace bpio-c 1)" >/etc/bpiotab
	! out=$(bpio up refused 2>&1) || fail "the module was loaded"
	grep '/etc/bpiotab:1: cannot load the module dm-bpio, although it is installed; dmesg shows why, and dm-bpio(4) what Secure Boot requires$' <<<"$out" ||
		fail "bpio said: $out"
	rm /etc/bpiotab
	! out=$(modprobe dm-bpio 2>&1) || fail "the module was loaded"
	grep 'Key was rejected by service' <<<"$out"
	same "mapped devices" "No devices found" "$(dmsetup ls)"
}

check_trusted()
{
	mokutil --sb-state | grep -x 'SecureBoot enabled'
	mokutil --test-key /var/lib/dkms/mok.pub | grep 'is already'
	modprobe dm-bpio
	modprobe -r dm-bpio
}

# Make a partition, two linear LVM volumes and a striped one, and a file system on each of
# them and on a whole disk. /etc/fstab mounts all by UUID.
make_disks()
{
	local a1 a2 b1

	a1=$(namespace bpio-a 1)
	a2=$(namespace bpio-a 2)
	b1=$(namespace bpio-b 1)
	sfdisk -q "$a1" <<-END
	label: gpt
	size=300M
	type=lvm
	END
	udevadm settle
	mkfs.ext4 -q "${a1}p1"
	mkfs.xfs -q "$b1"
	pvcreate -q "${a1}p2" "$a2"
	vgcreate -q vg "${a1}p2" "$a2"
	lvcreate -q -y -n linear -L 200M vg "${a1}p2"
	lvcreate -q -y -n kept -L 100M vg "${a1}p2"
	lvcreate -q -y -n striped -i 2 -I 64k -L 400M vg
	mkfs.ext4 -q /dev/vg/linear
	mkfs.ext4 -q /dev/vg/kept
	mkfs.xfs -q /dev/vg/striped
	udevadm settle
	{
		entry data "${a1}p1"
		entry whole "$b1"
		entry linear /dev/vg/linear
		entry striped /dev/vg/striped
		entry kept /dev/vg/kept
	} >>/etc/fstab
	systemctl daemon-reload
}

entry()
{
	mkdir -p "/srv/$1"
	printf 'UUID=%s /srv/%s %s defaults 0 2\n' \
		"$(blkid -p -s UUID -o value "$2")" "$1" \
		"$(blkid -p -s TYPE -o value "$2")"
}

# Type in "From installation to the first direct read" of README.md, for /srv/data.
first_read()
{
	local a1

	a1=$(namespace bpio-a 1)
	udevadm settle
	mount /srv/data
	BPIO_HOST=yes BPIO_NVME_A1=$a1 BPIO_NVME_A2=$(namespace bpio-a 2) \
		BPIO_NVME_B1=$(namespace bpio-b 1) BPIO_SCRATCH=/dev/vdb \
		"$IN/host/docs_test.sh" "$IN/host/README.md" | tee /run/typed
	grep '^ok 1 - README.md' /run/typed
	rm /srv/data/first
}

# Add lines to bpiotab as a user would. "whole" is named by the UUID of its file system,
# like in fstab.
write_table()
{
	local uuid

	uuid=$(findmnt --fstab -n -o SOURCE /srv/whole)
	cat >>/etc/bpiotab <<-END
	whole    $uuid
	linear   vg/linear   adopt
	striped  vg/striped  adopt
	END
}

# Do what bpiotab(5) says must follow a change of the table; and adopt a volume by hand.
bring_up()
{
	bpio tab --check
	systemctl daemon-reload
	udevadm trigger --subsystem-match=block
	udevadm settle
	systemctl start bpio.target
	mount --all
	bpio adopt --keep /srv/kept
}

make_files()
{
	local name

	for name in "${VOLUMES[@]}"; do
		head -c 8M /dev/urandom >"/srv/$name/file"
		chmod 644 "/srv/$name/file"
	done
	sync
	sha256sum /srv/*/file >"$DIGESTS"
}

# source_of NAME: print the device that /srv/NAME is mounted from
source_of()
{
	findmnt -n -o SOURCE "/srv/$1" || fail "/srv/$1 is not mounted"
}

# All are mounted through volumes: every line of their tables has a target of bpio.
check_mounted()
{
	local name device table

	for name in "${VOLUMES[@]}"; do
		device=$(source_of "$name")
		table=$(dmsetup table "$device") ||
			fail "/srv/$name is mounted from $device"
		! grep -v -E '^[0-9]+ [0-9]+ bpio(-striped)? ' <<<"$table" ||
			fail "/srv/$name is on $device, which is no bpio volume"
	done
}

# All are mounted without volumes: no line of any table has a target of bpio.
check_plain()
{
	local name device

	for name in "${VOLUMES[@]}"; do
		device=$(source_of "$name")
		! dmsetup table "$device" 2>/dev/null | grep bpio ||
			fail "/srv/$name is on $device, still a bpio volume"
	done
	! dmsetup table | grep bpio || fail "volumes are left"
	[ ! -d /sys/module/dm_bpio ] || fail "the module is still loaded"
}

# An unprivileged user's reads are all direct and return what the file system returns.
check_direct()
{
	local name report copy=/home/reader/copy

	for name in "${VOLUMES[@]}"; do
		bpio state -q "/srv/$name/file" || {
			bpio state "/srv/$name/file" || true
			fail "bypass on /srv/$name is not fully supported"
		}
		rm -f "$copy"
		report=$(runuser -u reader -- bpio run -- dd "if=/srv/$name/file" \
			"of=$copy" iflag=direct bs=1M status=none 2>&1) ||
			fail "/srv/$name/file cannot be read by bpio run: $report"
		[[ $report =~ "Direct reads: 8"$'\n' && \
		   $report =~ "Fall-back reads: 0"$'\n' ]] ||
			fail "/srv/$name/file was not read direct: $report"
		cmp "$copy" "/srv/$name/file"
	done
	rm -f "$copy"
}

check_digests()
{
	echo 3 >/proc/sys/vm/drop_caches
	sha256sum --quiet -c "$DIGESTS"
}

check_units()
{
	local failed

	failed=$(systemctl --failed --plain --no-legend)
	if [ -n "$failed" ]; then
		awk '{ print $1 }' <<<"$failed" |
			xargs systemctl status --no-pager -n 20 || true
		fail "failed units: $failed"
	fi
	same "the system's state" running "$(systemctl is-system-running)"
}

# check_journal [BOOT]: the kernel's log has no faults and the journal no errors; BOOT is
# as for journalctl -b
check_journal()
{
	local boot=${1:-0} found

	# what was logged just now
	journalctl --sync
	sed -e 's/#.*//' -e '/^ *$/d' "$IN/host/log-patterns" >/run/patterns
	found=$(journalctl -q -b "$boot" -k -o cat | grep -E -f /run/patterns) || true
	[ -z "$found" ] || fail "faults in the kernel's log: $found"
	sed -e 's/#.*//' -e '/^ *$/d' "$IN/host/harmless" >/run/harmless
	found=$(journalctl -q -b "$boot" -p err -o short-monotonic |
		grep -v -E -f /run/harmless) || true
	[ -z "$found" ] || fail "errors in the journal: $found"
}

# Start a unit that reads all files in a loop and one that writes. Units outlive the
# command that starts them. The pauses leave time of the emulated CPUs for other tasks.
start_load()
{
	# shellcheck disable=SC2016 # expanded by the units' shells
	systemd-run -q --unit=load --uid=reader -p KillMode=control-group \
		bash -c '
		while true; do
			for name in data whole linear striped kept; do
				bpio run -- dd "if=/srv/$name/file" of=/dev/null \
					iflag=direct bs=64k status=none
				sleep 0.5
			done
		done'
	# shellcheck disable=SC2016
	systemd-run -q --unit=writer bash -c '
		while true; do
			for name in data whole linear striped kept; do
				head -c 1M /dev/urandom >"/srv/$name/written"
				sync -f "/srv/$name"
				sleep 0.5
			done
		done'
	sleep 5
	systemctl is-active -q load writer
}

# Start a process that has a file enabled, so that the module cannot be unloaded.
hold_file()
{
	local pid

	systemd-run -q --unit=holder \
		bash -c 'exec 5</srv/data/file; exec sleep infinity'
	pid=$(systemctl show -P MainPID holder)
	until [ -e "/proc/$pid/fd/5" ]; do
		sleep 0.2
	done
	bpio attach "$pid"
}

# Replace the module while another process writes to all volumes.
replace_module()
{
	systemctl is-active -q load writer holder || fail "the load has stopped"
	systemctl stop load holder
	bpio upgrade
	grep -x 99.0.0 /sys/module/dm_bpio/version
	systemctl is-active -q writer || fail "the writer has stopped"
	systemctl stop writer
	systemctl reset-failed load writer holder 2>/dev/null || true
}

# Mounting a file system whose volume is down starts the volume instead of using the
# device below it. The table names "whole" by the UUID that fstab has, and "data" by its
# partition.
mount_starts_volume()
{
	local name

	for name in whole data; do
		systemctl stop "srv-$name.mount"
		systemctl stop "bpio@$name.service"
		[ ! -e "/dev/mapper/$name" ] || fail "the volume is still there"
		# systemd would wait 90 s for a link that does not appear
		timeout 60 systemctl start "srv-$name.mount" ||
			fail "/srv/$name cannot be mounted"
	done
	check_mounted
}

# Lines that make no volume: without a name, with the name of another line, of a device
# that is missing, and of one that is mounted.
spoil_table()
{
	cp /etc/bpiotab /root/bpiotab
	cat >>/etc/bpiotab <<-END
	no!name  /dev/vdy
	whole    /dev/vdz
	missing  /dev/disk/by-id/none         x-systemd.device-timeout=5s
	mounted  /dev/disk/by-id/virtio-root  any_storage
	END
}

# said WHAT PATTERN: a line of standard input matches
said()
{
	grep -E "$2" || fail "there is no sentence about $1"
}

# systemd goes on without them, and reports each, some more than once.
check_bad_lines()
{
	local failed first

	first=$(wc -l </root/bpiotab)
	dmesg --notime >/run/kernel
	said 'the wrong name' \
		"^bpio-generator: /etc/bpiotab:$((first + 1)): expected a name of letters, digits and .*, but found \"no!name\"$" \
		</run/kernel
	said 'the name of another line' \
		"^bpio-generator: /etc/bpiotab:$((first + 2)): the name \"whole\" is used by line [0-9]+ already; choose another name$" \
		</run/kernel
	journalctl -q -b -u bpio@missing -o cat | said 'the missing device' \
		'Dependency failed for bpio@missing.service'
	journalctl -q -b -u bpio@mounted -o cat | said 'the mounted device' \
		'bpio: /etc/bpiotab:[0-9]+: .* is mounted on "/" and would be used at the same time as the volume "mounted"'
	failed=$(systemctl --failed --plain --no-legend | awk '{ print $1 }')
	same "failed units" bpio@mounted.service "$failed"
}

mend_table()
{
	mv /root/bpiotab /etc/bpiotab
	bpio tab --check
	systemctl daemon-reload
	systemctl reset-failed
	check_units
}

# LVM loads its own table when a volume grows; the udev rule adopts the volume again.
grow_adopted()
{
	local name deadline

	for name in linear kept; do
		lvextend -q -r -L +16M "vg/$name"
		udevadm settle
		deadline=$((SECONDS + 30))
		until dmsetup table "vg-$name" | grep -q ' bpio '; do
			[ "$SECONDS" -lt "$deadline" ] ||
				fail "vg/$name is not adopted again"
			sleep 0.2
		done
	done
}

# Remove all volumes by blkdeactivate, which runs at shutdown, and bring them back.
deactivate()
{
	blkdeactivate -u
	same "mapped devices" "No devices found" "$(dmsetup ls)"
	vgchange -q -ay vg
	udevadm settle
	bpio up
	mount --all
}

# Make a logical volume for the root file system, and print where it begins on its disk.
make_root_volume()
{
	local c1

	c1=$(namespace bpio-c 1)
	{
		pvcreate -q "$c1"
		vgcreate -q sys "$c1"
		lvcreate -q -y -n root -L 6G sys
	} >&2
	sed -i 's:^/dev/disk/by-id/virtio-root :/dev/mapper/sys-root :' /etc/fstab
	# the machine boots from that disk, so /boot stays on it
	mkdir /old-root
	cat >>/etc/fstab <<-END
	/dev/disk/by-id/virtio-root /old-root ext4 defaults 0 2
	/old-root/boot /boot none bind,x-systemd.requires-mounts-for=/old-root 0 0
	END
	pvs --noheadings --units b --nosuffix -o pe_start "$c1"
}

adopt_root()
{
	bpio adopt --keep /
	check_root sys-root
}

# The root is mounted from mapped device $1, and read direct.
check_root()
{
	local report

	same "the root" "/dev/mapper/$1" "$(findmnt -n -o SOURCE /)"
	dmsetup table "$1" | grep ' bpio '
	report=$(runuser -u reader -- bpio run -- dd if=/bin/bash of=/dev/null \
		iflag=direct bs=64k count=8 status=none 2>&1)
	[[ $report =~ "Direct reads: 8"$'\n' ]] ||
		fail "a file of the root was not read direct: $report"
}

# The link by which the initramfs finds the whole disk for the root.
root_disk()
{
	local links

	read -r -a links < <(udevadm info -q symlink "$(namespace bpio-c 1)")
	printf '/dev/%s\n' "${links[@]}" | grep -m 1 '/by-id/nvme-QEMU'
}

# From the next boot on, the root is on a volume that the initramfs makes.
prepare_root_on_volume()
{
	bpio release /
	printf 'root  %s  x-initrd.attach\n' "$(root_disk)" >>/etc/bpiotab
	sed -i 's:^/dev/mapper/sys-root :/dev/mapper/root :' /etc/fstab
	update-initramfs -u
}

# Without the package the machine would not find its root.
refuse_removal()
{
	local out

	! out=$(DEBIAN_FRONTEND=noninteractive apt-get -q -y remove bpio 2>&1) ||
		fail "the package is removed"
	grep 'the initramfs makes "root"' <<<"$out"
	bpio version
	dpkg --configure -a
}

# Prints the device that has the root from the next boot on.
prepare_root_on_disk()
{
	local disk

	disk=$(root_disk)
	{
		sed -i '/^root .*x-initrd.attach/d' /etc/bpiotab
		sed -i "s:^/dev/mapper/root :$disk :" /etc/fstab
		update-initramfs -u
	} >&2
	printf '%s\n' "$disk"
}

# notices CHECK...: succeeds if CHECK fails. In a separate shell, because "if" would
# disable "set -e" in a function.
notices()
{
	local out

	if out=$(bash -eEc '. /in/host/guest.sh; "$@"' bash "$@" 2>&1); then
		fail "$1 did not notice"
	fi
	printf '%s noticed: %s\n' "$1" "${out%%$'\n'*}"
}

# Break volumes in ways that the checks must notice, and repair them.
plant_volume_faults()
{
	chmod 600 /dev/bpio
	notices check_direct
	chmod 666 /dev/bpio
	systemctl stop srv-data.mount
	systemctl stop bpio@data.service
	mount "$(namespace bpio-a 1)p1" /srv/data
	notices check_mounted
	notices check_direct
	umount /srv/data
	systemctl start srv-data.mount
	check_mounted
	check_direct
}

# The same for files, units and the journal. The faults stay in the journal.
plant_faults()
{
	cp /srv/data/file /root/file
	printf planted | dd of=/srv/data/file conv=notrunc status=none
	notices check_digests
	cp /root/file /srv/data/file
	check_digests
	systemd-run -q --wait --unit=planted false || true
	notices check_units
	systemctl reset-failed planted
	check_units
	# journald takes what is in front of the first colon for the sender's name
	echo '<4>planted: WARNING: planted' >/dev/kmsg
	notices check_journal
}
