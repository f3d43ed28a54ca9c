#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# A volume or a layer below it is suspended, replaced, moved, resized or removed while
# an enabled file is read. No read may be wrong, no suspend may hang, and bypass resumes
# by itself.
# shellcheck source=lib.sh
. "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/lib.sh"

BYTES=$((4 << 20))
MIB=2048	# sectors

# A volume of 32 MiB on the first NVMe namespace with a file, and a reader.
set_up()
{
	create vol "0 $((32 * MIB)) bpio $NVME $((8 * MIB))"
	make_fs vol
	"$HERE/reader" create "${MNT_PREFIX}vol/file" "$BYTES"
	start_reader vol "${MNT_PREFIX}vol/file"
}

# Bypass is back, everything read was right, and the stack can be taken down.
tear_down()
{
	same "bypass" direct "$(ask direct)"
	same "the readers" moves "$(ask move)"
	stop_reader
	bounded umount "${MNT_PREFIX}vol"
	dm remove --retry "${PREFIX}vol"
}

suspend_in_a_loop()
{
	local i

	set_up
	for ((i = 0; i < 40; i++)); do
		dm suspend "${PREFIX}vol"
		dm resume "${PREFIX}vol"
		[ $((i % 10)) -ne 0 ] || same "bypass" direct "$(ask direct)"
	done
	tear_down
}

suspend_without_flush_or_freeze()
{
	local flags i

	set_up
	for flags in --noflush --nolockfs "--noflush --nolockfs"; do
		for ((i = 0; i < 10; i++)); do
			# shellcheck disable=SC2086 # two flags
			dm suspend $flags "${PREFIX}vol"
			dm resume "${PREFIX}vol"
		done
		same "bypass after suspend $flags" direct "$(ask direct)"
	done
	tear_down
}

# Completed requests of the device below; the sum of all kinds.
requests()
{
	awk '{ print $1 + $5 + $12 + $16 }' "/sys/class/block/${NVME##*/}/stat"
}

nothing_while_suspended()
{
	local before

	set_up
	dm suspend "${PREFIX}vol"
	# what was in flight has drained: the counters stand still from now on
	before=$(requests)
	sleep 0.5
	same "requests at the device below" "$before" "$(requests)"
	dm resume "${PREFIX}vol"
	tear_down
}

counted_as_suspended()
{
	local i counted

	set_up
	for ((i = 0; i < 20; i++)); do
		dm suspend "${PREFIX}vol"
		dm resume "${PREFIX}vol"
		counted=$(ask fallbacks volume-suspended)
		[ "$counted" -eq 0 ] || break
	done
	[ "$counted" -gt 0 ] || fail "no read was counted as volume-suspended"
	tear_down
}

reload_same_table()
{
	local i

	set_up
	for ((i = 0; i < 20; i++)); do
		dm table "${PREFIX}vol" | dm load "${PREFIX}vol"
		dm resume "${PREFIX}vol"
		[ $((i % 5)) -ne 0 ] || same "bypass" direct "$(ask direct)"
	done
	tear_down
}

# The volume moves to other sectors; what it left is overwritten at once. A
# route into the old place would read that.
move_volume()
{
	local i from=8 to=64 swap

	set_up
	for ((i = 0; i < 6; i++)); do
		echo "0 $((32 * MIB)) bpio $NVME $((to * MIB))" |
			dm load "${PREFIX}vol"
		dm suspend "${PREFIX}vol"
		bounded dd if="$NVME" of="$NVME" bs=1M skip="$from" seek="$to" \
			count=32 iflag=direct oflag=direct conv=notrunc status=none
		dm resume "${PREFIX}vol"
		bounded dd if=/dev/urandom of="$NVME" bs=1M seek="$from" \
			count=32 oflag=direct iflag=fullblock conv=notrunc \
			status=none
		same "bypass" direct "$(ask direct)"
		swap=$from from=$to to=$swap
	done
	tear_down
}

grow_volume()
{
	set_up
	echo "0 $((64 * MIB)) bpio $NVME $((8 * MIB))" | dm load "${PREFIX}vol"
	dm resume "${PREFIX}vol"
	bounded resize2fs "$(node vol)" >/dev/null 2>&1
	"$HERE/reader" create "${MNT_PREFIX}vol/more" $((24 << 20))
	tear_down
}

# The route ends at a stock target, which is suspended itself.
suspend_below()
{
	local i

	create lower "0 $((48 * MIB)) linear $NVME $((8 * MIB))"
	create vol "0 $((32 * MIB)) bpio $(node lower) $((8 * MIB))"
	make_fs vol
	"$HERE/reader" create "${MNT_PREFIX}vol/file" "$BYTES"
	start_reader vol "${MNT_PREFIX}vol/file"
	for ((i = 0; i < 20; i++)); do
		dm suspend "${PREFIX}lower"
		dm resume "${PREFIX}lower"
		dm suspend "${PREFIX}vol"
		dm resume "${PREFIX}vol"
	done
	tear_down
	dm remove --retry "${PREFIX}lower"
}

# The lower device is replaced by one of other sectors while the upper is live.
move_below()
{
	create lower "0 $((48 * MIB)) linear $NVME $((8 * MIB))"
	create vol "0 $((32 * MIB)) bpio $(node lower) $((8 * MIB))"
	make_fs vol
	"$HERE/reader" create "${MNT_PREFIX}vol/file" "$BYTES"
	start_reader vol "${MNT_PREFIX}vol/file"
	echo "0 $((48 * MIB)) linear $NVME $((64 * MIB))" | dm load "${PREFIX}lower"
	dm suspend "${PREFIX}lower"
	bounded dd if="$NVME" of="$NVME" bs=1M skip=8 seek=64 count=48 \
		iflag=direct oflag=direct conv=notrunc status=none
	dm resume "${PREFIX}lower"
	bounded dd if=/dev/urandom of="$NVME" bs=1M seek=8 count=48 \
		oflag=direct iflag=fullblock conv=notrunc status=none
	tear_down
	dm remove --retry "${PREFIX}lower"
}

read_fails_with()
{
	local error

	error=$(bounded dd if="$1" of=/dev/null bs=4k count=1 iflag=direct 2>&1) &&
		return 1
	[[ $error == *"$2"* ]]
}

# "wipe_table" puts an error target in place of the volume.
wiped_table()
{
	local table

	set_up
	stop_reader
	table=$(dm table "${PREFIX}vol")
	dm wipe_table "${PREFIX}vol"
	read_fails_with "${MNT_PREFIX}vol/file" "Input/output error" ||
		fail "a read of a wiped volume did not fail"
	echo "$table" | dm load "${PREFIX}vol"
	# nothing can be written back any more, so there is nothing to freeze
	dm resume --nolockfs --noflush "${PREFIX}vol"
	start_reader vol "${MNT_PREFIX}vol/file"
	tear_down
}

# An enabled file outlives the table that it was enabled under.
enabled_over_wiped_table()
{
	local table answer

	set_up
	table=$(dm table "${PREFIX}vol")
	dm suspend "${PREFIX}vol"
	dm load "${PREFIX}vol" --table "0 $((32 * MIB)) zero"
	# the readers wait for the resume: let them not see the zeroes
	dm clear "${PREFIX}vol"
	echo "$table" | dm load "${PREFIX}vol"
	dm resume "${PREFIX}vol"
	answer=$(ask direct)
	same "bypass" direct "$answer"
	tear_down
}

killed_while_suspended()
{
	set_up
	dm suspend "${PREFIX}vol"
	kill -KILL "$reader_pid"
	dm resume "${PREFIX}vol"
	# killed, so its status is of no interest here
	wait "$reader_pid" 2>/dev/null || true
	trap - EXIT
	bounded umount "${MNT_PREFIX}vol"
	same "open files with BypassIO" 0 "$(dm status "${PREFIX}vol" | cut -d' ' -f4)"
	dm remove --retry "${PREFIX}vol"
}

# Of two that change a device at once, device-mapper may turn one away.
suspend_by_two_at_once()
{
	local i pid

	set_up
	(
		for ((i = 0; i < 20; i++)); do
			dm suspend "${PREFIX}vol" || true
			dm resume "${PREFIX}vol" || true
		done
	) 2>/dev/null &
	pid=$!
	for ((i = 0; i < 20; i++)); do
		dm table "${PREFIX}vol" | dm load "${PREFIX}vol" || true
		dm resume "${PREFIX}vol" || true
	done 2>/dev/null
	wait "$pid"
	dm resume "${PREFIX}vol"
	tear_down
}

# The controller is pulled out while readers read. Every read may fail, none may
# be wrong, and everything can be taken down.
storage_pulled()
{
	local namespace=${BPIO_NVME_B1-} device log

	[ -n "$namespace" ] || skip "no second NVMe controller in BPIO_NVME_B1"
	device=$(realpath "/sys/class/block/${namespace##*/}/device/device")
	[ -e "$device/remove" ] || skip "the controller is not on PCI"
	create vol "0 $((32 * MIB)) bpio $namespace $((8 * MIB))"
	make_fs vol
	"$HERE/reader" create "${MNT_PREFIX}vol/file" "$BYTES"
	log=$(mktemp)
	start_reader vol "${MNT_PREFIX}vol/file" 2>"$log"
	same "bypass" direct "$(ask direct)"
	echo 1 >"$device/remove"
	same "the readers" stands "$(ask move)"
	if stop_reader >/dev/null; then
		fail "reads went on without a device"
	fi
	grep -q "Input/output error" "$log" || {
		cat "$log"
		fail "reads failed otherwise than with an I/O error"
	}
	rm "$log"
	bounded umount "${MNT_PREFIX}vol"
	dm remove --retry "${PREFIX}vol"
	echo 1 >/sys/bus/pci/rescan
	eventually 30 test -b "$namespace" || fail "the device did not come back"
}

plan 14
it "suspend and resume in a loop under readers" suspend_in_a_loop
it "suspend without flush or freeze under readers" suspend_without_flush_or_freeze
it "no request reaches the device while the volume is suspended" nothing_while_suspended
it "reads during a suspend are counted as such" counted_as_suspended
it "the same table is loaded again and again" reload_same_table
it "the volume moves to other sectors" move_volume
it "the volume grows with its file system" grow_volume
it "a stock layer below is suspended, in turn with the volume" suspend_below
it "a stock layer below moves to other sectors" move_below
it "a wiped table fails reads, and a good one brings them back" wiped_table
it "an enabled file outlives a table that was never live" enabled_over_wiped_table
it "a reader is killed while the volume is suspended" killed_while_suspended
it "suspends and reloads at the same time" suspend_by_two_at_once
it "the storage device is pulled out under readers" storage_pulled
ktap_finished
