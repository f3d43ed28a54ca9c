# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# The scene of "make demo" about logical volumes that are mounted and in use. Sourced
# by "guest", whose functions it uses.
: "${WORK:?}" "${FILE:?}" "${SIZE_MIB:?}"
FAST=/mnt/fast

# Member $2 of what "bpio info" says of the volume of $1.
lvm_info()
{
	bpio info --json "$1" | jq ".$2"
}

lvm_direct_reads()
{
	lvm_info /mnt direct_reads
}

lvm_volume_reads()
{
	disk_reads /dev/mapper/vg-data
}

# Types of the targets of a live table
lvm_targets()
{
	dmsetup table "$1" | cut -d ' ' -f 3 | paste -s -d ' '
}

lvm_make()
{
	headline "Logical volumes: one of two segments on two devices, one of two stripes"
	# as an installation does
	udevadm control --reload
	wipefs -q -a "$BPIO_NVME_A1" "$BPIO_NVME_B1"
	show pvcreate -q -y "$BPIO_NVME_A1" "$BPIO_NVME_B1"
	show vgcreate -q vg "$BPIO_NVME_A1" "$BPIO_NVME_B1"
	show lvcreate -q -y -W n -n data -L 48M vg "$BPIO_NVME_A1"
	show lvextend -q -L +96M vg/data "$BPIO_NVME_B1"
	show lvcreate -q -y -W n -n fast -L 96M -i 2 -I 64k vg
	show mkfs.ext4 -q /dev/vg/data
	show mkfs.ext4 -q /dev/vg/fast
	show mount /dev/vg/data /mnt
	mkdir $FAST
	show mount /dev/vg/fast $FAST
	show dmsetup table
	timeout 120 fio --name=fill "--filename=$FILE" "--size=${SIZE_MIB}M" \
		--rw=write --bs=64k --verify=crc32c --verify_interval=4k \
		--do_verify=0 --end_fsync=1 --output="$WORK/fill"
	cp "$FILE" $FAST/file
	sync
}

# A reader and a writer that know nothing of bypass; both verify what they read, for
# which fio needs one pass only, that of the reader in seven minutes
lvm_start_users()
{
	local common=(--direct=1 --bs=4k --verify=crc32c --verify_fatal=1
		--time_based --runtime=400 --output-format=json)

	echo
	echo "A user who owns nothing reads, and root writes:"
	echo "$ fio --name=reader --filename=$FILE --rw=randread --verify=crc32c ... &"
	setpriv --reuid=65534 --regid=65534 --clear-groups \
		fio --name=reader "--filename=$FILE" --rw=randread --thread \
		--rate_iops=40 --output="$WORK/nobody/reader.fio" \
		"${common[@]}" &
	lvm_reader=$!
	echo "# fio --name=writer --filename=/mnt/other --rw=randrw --verify=crc32c ... &"
	fio --name=writer --filename=/mnt/other --size=4M --rw=randrw \
		--verify_backlog=32 --thinktime=2000 \
		--output="$WORK/writer.fio" "${common[@]}" &
	lvm_writer=$!
	await_growth lvm_volume_reads 100
}

lvm_adopt()
{
	local status=0

	headline "They are adopted, while they are read and written"
	show bpio state "$FILE" || status=$?
	prove "before, they are no bpio volumes" "4, linear linear, striped" \
		"$status, $(lvm_targets vg-data), $(lvm_targets vg-fast)"
	show bpio adopt --keep /mnt
	show bpio adopt --keep $FAST
	prove "now they are" "bpio bpio, bpio-striped" \
		"$(lvm_targets vg-data), $(lvm_targets vg-fast)"
	echo "The user gives the program that is running already bypass:"
	echo "$ bpio attach $lvm_reader"
	as_nobody bpio attach "$lvm_reader"
	prove "its reads go direct" yes \
		"$(await_growth lvm_direct_reads 200 && echo yes)"
	show bpio list
}

# lvm_read_all FILE NAME: as the user
lvm_read_all()
{
	local bypass

	bypass=$(FILE=$1 as_nobody bpio run --json \
		--summary "$WORK/nobody/$2.run" -- bash -c digest)
	mv "$WORK/nobody/$2.run" "$WORK/$2.run"
	prove "the user reads all of $1, direct" \
		"$(FILE=$1 digest), $((SIZE_MIB << 20)) bytes direct, 0 by the file system" \
		"$bypass, $(ran "$2" direct_bytes) bytes direct, $(ran "$2" fallback_bytes) by the file system"
}

lvm_extend()
{
	local deadline=$((SECONDS + 60))

	headline "LVM loads its own table when it extends the volume"
	show lvextend -q -L +32M vg/data "$BPIO_NVME_A1"
	until [ "$(lvm_targets vg-data)" = "bpio bpio bpio" ] ||
		[ "$SECONDS" -ge "$deadline" ]; do
		sleep 0.1
	done
	show resize2fs /dev/vg/data 2>/dev/null
	prove "it was adopted again by itself" "bpio bpio bpio" \
		"$(lvm_targets vg-data)"
	prove "and the reader's reads go direct again" yes \
		"$(await_growth lvm_direct_reads 200 && echo yes)"
}

lvm_release()
{
	local status=0 name

	headline "They are given back to LVM"
	show bpio release /mnt
	show bpio release $FAST
	prove "LVM's own tables are live" "linear linear linear, striped" \
		"$(lvm_targets vg-data), $(lvm_targets vg-fast)"
	await_growth lvm_volume_reads 200
	kill -INT "$lvm_reader" "$lvm_writer"
	wait "$lvm_reader" "$lvm_writer" || status=$?
	mv "$WORK/nobody/reader.fio" "$WORK/reader.fio"
	for name in reader writer; do
		prove "the $name noticed nothing: fio's errors" 0 \
			"$(fio_error $name)"
	done
	umount $FAST
	show lvs -q -o name,size,seg_size,segtype vg
	show e2fsck -f -n /dev/vg/fast
}

logical_volumes()
{
	lvm_make
	lvm_start_users
	lvm_adopt
	lvm_read_all "$FILE" data
	lvm_read_all $FAST/file fast
	lvm_extend
	lvm_release
	umount /mnt
	vgremove -qq -ff -y vg
}
