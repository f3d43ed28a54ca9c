#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# bpio upgrade: the module is replaced below file systems that are mounted. Runs as
# root in a guest of selftests/vm in which this project is installed, from where
# "make stage" put it, and overwrites the devices of the guest.
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")/userspace
# shellcheck source=volumes.sh
. "$here/volumes.sh"
# shellcheck source=lvm-volume.sh
. "$here/lvm-volume.sh"

module=$(modinfo -F filename dm-bpio)
cp "$module" "$WORK/module"
loaded=/sys/module/dm_bpio/srcversion
mkdir "$WORK/made"
# Modules of other tests would keep it.
unload_modules
modprobe dm-bpio

# Another build of the same module, as far as anybody can tell. It need not be signed.
# install_other LETTER
install_other()
{
	LC_ALL=C sed "s/srcversion=[0-9A-F]*/srcversion=$(printf "%023d" 0 |
		tr 0 "$1")/" "$WORK/module" >"$module"
	[ "$(modinfo -F srcversion dm-bpio)" != "$(<"$loaded")" ]
}

# The installed module is the loaded one.
upgraded()
{
	[ "$(modinfo -F srcversion dm-bpio)" = "$(<"$loaded")" ]
}

tables()
{
	dmsetup table
	dmsetup info -c --noheadings -o name,tables_loaded,suspended,uuid
}

nothing_to_do()
{
	expect 0 bpio upgrade
	says out 'The module dm-bpio that is loaded is the installed one.'
	expect 0 bpio upgrade --json
	json out /changed false
}

# refused STATUS SENTENCE: upgrade, with the tables as they were, and the old module
refused()
{
	local before

	before=$(tables)
	expect "$1" bpio upgrade
	says err "$2"
	[ "$(tables)" = "$before" ]
	refute upgraded
}

enabled_files()
{
	install_other A
	exec 5<"$mnt/file"
	expect 0 bpio attach $BASHPID
	refused 1 "is kept by processes with files that have BypassIO enabled: "
	says err "[$BASHPID]"
	exec 5<&-
	start_load
	goes_direct
	refused 1 'fio['
	stop_load
}

paused()
{
	install_other A
	expect 0 bpio pause data
	refused 12 'the bypass of data is paused'
	expect 0 bpio resume data
}

other_targets()
{
	install_other A
	modprobe dm-bpio-filter
	dmsetup create filter --table "0 8192 bpio-filter $BPIO_SCRATCH 0"
	refused 11 'filter has a target bpio-filter, for which there is no stock target; remove it first'
	dmsetup remove filter
}

not_root()
{
	install_other A
	expect 3 setpriv --reuid=65534 --regid=65534 --clear-groups bpio upgrade
}

# Under verified writes to one volume, and reads of another that is enabled as a whole
in_use()
{
	local before writer

	install_other B
	before=$(tables)
	echo 12345678 >/sys/module/dm_bpio/parameters/map_memory
	fio --name=write --filename="$mnt/written" --size=4M --rw=randrw \
		--direct=1 --ioengine=libaio --bs=4k --verify=crc32c \
		--verify_state_save=0 --verify_fatal=1 --time_based --runtime=600 \
		--iodepth=4 --verify_backlog=32 --thinktime=500 \
		--output-format=json --output=write.json &
	writer=$!
	wait_for fuser -s "$mnt/written"
	expect 0 bpio enable data
	expect 0 bpio upgrade
	says out 'The module dm-bpio '
	says out '    Volume: /dev/mapper/data'
	says out '    Volume: /dev/mapper/vg-data'
	upgraded
	[ "$(tables)" = "$before" ]
	[ "$(</sys/module/dm_bpio/parameters/map_memory)" = 12345678 ]
	dmsetup status data | grep -q ' full$'
	kill -0 "$writer" || complain "the writer has ended"
	kill -INT "$writer"
	wait "$writer" || true
	sed -i '/^fio:/d' write.json
	jq -e '.jobs[0].error == 0 and .jobs[0].write.total_ios > 0' write.json
	same_content
	expect 0 bpio state "$mnt/file"
	expect 0 bpio state made/file
	expect 0 bpio run --json --summary sum dd if="$mnt/file" \
		iflag=direct bs=1M of=dd
	json sum /direct_reads 8
	expect 0 bpio list --json
	json out /volumes/0/adopted false
	json out /volumes/1/adopted true
	expect 0 bpio disable data
}

cannot_load()
{
	local before

	before=$(tables)
	echo broken >"$module"
	# modinfo cannot read it either
	expect 1 bpio upgrade
	says err 'the module dm-bpio is not installed for the running kernel'
	[ "$(tables)" = "$before" ]
	# what it cannot see before
	install_other C
	echo 'install dm-bpio /bin/false' >/etc/modprobe.d/none.conf
	expect 1 bpio upgrade
	rm /etc/modprobe.d/none.conf
	says err 'cannot load the module dm-bpio, although it is installed; dmesg shows why, and dm-bpio(4) what Secure Boot requires; the volumes have stock tables'
	same_content
	[ -e made/file ]
	expect 0 bpio up
	says out '"data" is up now'
	expect 0 bpio adopt "$mnt"
	upgraded
	[ "$(tables)" = "$before" ]
}

not_loaded()
{
	umount made "$mnt"
	expect 0 bpio down data
	expect 0 bpio release vg/data
	unload_modules
	expect 0 bpio upgrade
	says out 'The module dm-bpio is not loaded, so there is none to replace.'
	modprobe dm-bpio
	mount /dev/vg/data "$mnt"
}

make_volume ext4
bpio adopt -q "$mnt"
mkfs.xfs -q -f "$BPIO_NVME_A2"
echo "data $BPIO_NVME_A2" >/etc/bpiotab
bpio up -q
mount /dev/mapper/data "$WORK/made"
head -c 1M /dev/urandom >"$WORK/made/file"
sync
it "Nothing happens when the module is the installed one" nothing_to_do
it "It takes root" not_root
it "It is refused with the names of processes that have files enabled" enabled_files
it "A volume that is paused is left alone" paused
it "A target without a stock one is left alone" other_targets
it "The module is replaced below mounted file systems, and nothing else changes" in_use
it "When the new module cannot be loaded, the file systems go on" cannot_load
it "Without the module there is nothing to do" not_loaded
cp "$WORK/module" "$module"
remove_volume
unload_modules
modprobe dm-bpio
finish
