#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Arguments and messages that the target bpio-filter refuses, with a reason.
# shellcheck source=lib.sh
. "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/lib.sh"

SIZE=$((32 * 2048))
LONGEST=128	# bytes of a reason
LONGEST_PAUSE=64

need_filter()
{
	modprobe -q dm-bpio-filter || skip "there is no module dm-bpio-filter"
}

# x N: a word of so many bytes
x()
{
	printf 'x%.0s' $(seq "$1")
}

# refused TEXT PARAMS...: no such layer is made
refused()
{
	says_why "$1" create bad "0 $SIZE bpio-filter ${*:2}"
	[ ! -e "$(node bad)" ] || fail "left a device behind: ${*:2}"
}

bad_tables()
{
	need_filter
	refused "Invalid argument count" ""
	refused "Invalid argument count" "$NVME"
	refused "Device lookup failed" "/dev/there-is-none 0"
	refused "Invalid offset" "$NVME x"
	refused "Invalid offset" "$NVME 8x"
	refused "Invalid number of option words" "$NVME 0 x"
	refused "Invalid number of option words" "$NVME 0 3"
	refused "Option is incomplete" "$NVME 0 1 veto"
	refused "Option is incomplete" "$NVME 0 2 veto 13"
	refused "Option is incomplete" "$NVME 0 3 file_veto name 13"
	refused "Unknown option" "$NVME 0 3 object 13 No."
	refused "Unknown option" "$NVME 0 4 veto 13 No. more"
	refused "Too many arguments" "$NVME 0 3 veto 13 No. more"
	refused "Too many arguments" "$NVME 0 0 veto 13 No."
	refused "Invalid errno" "$NVME 0 3 veto 0 No."
	refused "Invalid errno" "$NVME 0 3 veto -13 No."
	refused "Invalid errno" "$NVME 0 3 veto 4096 No."
	refused "Invalid errno" "$NVME 0 3 veto EIO No."
	refused "A veto needs a reason" "$NVME 0 3 veto 13 \"\""
	refused "Reason too long" "$NVME 0 3 veto 13 $(x $((LONGEST + 1)))"
	refused "Reason too long" "$NVME 0 4 file_veto name 13 $(x $((LONGEST + 1)))"
	refused "must not hold double quotes" "$NVME 0 3 veto 13 a\"b"
	refused "Option is incomplete" "$NVME 0 2 striped 2"
	refused "Invalid stripe count" "$NVME 0 3 striped 0 8"
	refused "Invalid stripe count" "$NVME 0 3 striped x 8"
	refused "Invalid chunk_size" "$NVME 0 3 striped 1 0"
	refused "Invalid chunk_size" "$NVME 0 3 striped 1 4294967296"
	refused "Not enough destinations" "$NVME 0 4 striped 2 8 $NVME"
	refused "Not enough destinations" \
		"$NVME 0 5 striped 4294967295 8 $NVME $SIZE"
	refused "not divisible by number of stripes" \
		"$NVME 0 7 striped 3 8 $NVME $SIZE $NVME $SIZE"
	refused "not divisible by chunk size" "$NVME 0 5 striped 2 24 $NVME $SIZE"
	refused "Invalid offset" "$NVME 0 5 striped 2 8 $NVME x"
	refused "Device lookup failed" "$NVME 0 5 striped 2 8 /dev/there-is-none 0"
	refused "given twice" "$NVME 0 6 striped 1 8 striped 1 8"
	refused "too small for target" \
		"$NVME 0 5 striped 2 8 $NVME $(sectors "$NVME")"
	# nothing holds the device open now
	create last "0 $SIZE bpio $NVME 0"
	dm remove --retry "${PREFIX}last"
}

# unmoved ERROR TEXT MESSAGE...: refused, and the layer is as before
unmoved()
{
	local before

	before=$(dm table "${PREFIX}layer"; dm status "${PREFIX}layer")
	says_why "$2" dm message "${PREFIX}layer" 0 "${@:3}"
	[[ $error == *"$1"* ]] || fail "${*:3}: expected '$1', found '$error'"
	same "the layer after ${*:3}" "$before" \
		"$(dm table "${PREFIX}layer"; dm status "${PREFIX}layer")"
}

bad_messages()
{
	need_filter
	create layer "0 $SIZE bpio-filter $NVME 0 8 veto 13 \"One reason.\" file_veto f* 5 \"Two.\""
	unmoved "Invalid argument" "unknown message 'object'" object
	unmoved "Invalid argument" "unknown message 'allow'" allow me
	unmoved "Invalid argument" "unknown message 'resume'" resume now
	unmoved "Invalid argument" "message 'veto' is incomplete" veto
	unmoved "Invalid argument" "message 'veto' is incomplete" veto 13
	unmoved "Invalid argument" "message 'file_veto' is incomplete" file_veto name 13
	unmoved "Invalid argument" "message 'pause' is incomplete" pause
	unmoved "Invalid argument" "Invalid errno" veto 0 No.
	unmoved "Invalid argument" "Invalid errno" veto 4096 No.
	unmoved "Invalid argument" "Invalid errno" file_veto name x No.
	unmoved "No data available" "A veto needs a reason" veto 13 '""'
	unmoved "No data available" "A pause needs a reason" pause '""'
	unmoved "Argument list too long" "at most $LONGEST bytes" \
		veto 13 "$(x $((LONGEST + 1)))"
	unmoved "Argument list too long" "at most $LONGEST_PAUSE bytes" \
		pause "$(x $((LONGEST_PAUSE + 1)))"
	unmoved "No such file" "there is no file_veto 'g*'" file_allow 'g*'
	dm suspend "${PREFIX}layer"
	unmoved "Resource temporarily unavailable" "while suspended" pause Work.
	dm resume "${PREFIX}layer"
}

# Settings made by messages are in the table, which can be loaded again.
round_trip()
{
	local table number

	need_filter
	number=$(stat -c '%Hr:%Lr' "$NVME")
	create layer "0 $SIZE bpio-filter $NVME 8"
	same "the table" "0 $SIZE bpio-filter $number 8" \
		"$(dm table "${PREFIX}layer")"
	dm message "${PREFIX}layer" 0 veto 13 "Scans what is read."
	dm message "${PREFIX}layer" 0 file_veto 'k*.[ab]' 1 "$(x $LONGEST)"
	dm message "${PREFIX}layer" 0 file_veto 12 5 Number.
	table=$(dm table "${PREFIX}layer")
	[[ $table == *' veto 13 "Scans what is read."'* ]] || fail "$table"
	[[ $table == *" file_veto k*.[ab] 1 \"$(x $LONGEST)\""* ]] || fail "$table"
	create again "$table"
	same "the same table, loaded" "$table" "$(dm table "${PREFIX}again")"
	dm load "${PREFIX}again" --table \
		"0 $SIZE bpio-filter $NVME 8 8 veto 13 No. striped 2 64 $NVME $SIZE"
	dm resume "${PREFIX}again"
	dm table "${PREFIX}again" | dm load "${PREFIX}again"
	dm resume "${PREFIX}again"
	same "the table of stripes, reloaded" \
		"0 $SIZE bpio-filter $number 8 8 striped 2 64 $number $SIZE veto 13 \"No.\"" \
		"$(dm table "${PREFIX}again")"
	dm load "${PREFIX}layer" --table "$table"
	dm resume "${PREFIX}layer"
	same "the same table, reloaded" "$table" "$(dm table "${PREFIX}layer")"
	dm message "${PREFIX}layer" 0 allow
	dm message "${PREFIX}layer" 0 file_allow 12
	table=$(dm table "${PREFIX}layer")
	[[ $table != *Scans* && $table != *Number* ]] || fail "$table"
}

# digest NAME BYTES: of the whole device, in reads of so many bytes
digest()
{
	bounded dd if="$(node "$1")" bs="$2" iflag=direct status=none | sha256sum
}

# limits NAME: those that follow from stripes
limits()
{
	local queue

	queue=/sys/class/block/$(basename "$(readlink -f "$(node "$1")")")/queue
	(cd "$queue" && grep . chunk_sectors minimum_io_size optimal_io_size)
}

# flushes DEVICE: how many it has completed
flushes()
{
	awk '{ print $16 }' "/sys/class/block/${1##*/}/stat"
}

# One leg on each of two devices, if there are two, and a third one, written and read in
# pieces that cross chunks.
striped_as_by_the_kernel()
{
	local size=$((3 * 24 * 400)) other=${NVME2:-$NVME}
	local more="$other $SIZE $NVME $((2 * SIZE))"

	need_filter
	create stock "0 $size striped 3 24 $NVME 8 $more"
	create layer "0 $size bpio-filter $NVME 8 7 striped 3 24 $more"
	bounded dd if=/dev/urandom of="$(node stock)" bs=90k oflag=direct \
		count=160 iflag=fullblock status=none
	same "what the kernel wrote" "$(digest stock 1M)" "$(digest layer 100k)"
	bounded dd if=/dev/urandom of="$(node layer)" bs=90k oflag=direct \
		count=160 iflag=fullblock status=none
	same "what the filter wrote" "$(digest layer 1M)" "$(digest stock 100k)"
	same "the limits" "$(limits stock)" "$(limits layer)"
	# by writes, because the filter supports nothing else
	bounded blkdiscard -f -z "$(node layer)"
	same "zeroes" "$(head -c $((size * 512)) /dev/zero | sha256sum)" \
		"$(digest stock 1M)"
	! bounded blkdiscard -f "$(node layer)" 2>/dev/null ||
		fail "discards are not supported, but one succeeded"
}

stripes_are_flushed()
{
	local first second

	need_filter
	[ -n "$NVME2" ] || skip "there is only one NVMe namespace"
	grep -q "write back" "/sys/class/block/${NVME2##*/}/queue/write_cache" ||
		skip "the device has no volatile cache to flush"
	create layer "0 $SIZE bpio-filter $NVME 0 5 striped 2 64 $NVME2 0"
	first=$(flushes "$NVME")
	second=$(flushes "$NVME2")
	bounded dd if=/dev/zero of="$(node layer)" bs=4k count=1 conv=fsync,notrunc \
		status=none
	[ "$(flushes "$NVME")" -gt "$first" ] || fail "the first leg is not flushed"
	[ "$(flushes "$NVME2")" -gt "$second" ] || fail "the second leg is not flushed"
}

modules_stay()
{
	need_filter
	create layer "0 $SIZE bpio-filter $NVME 0"
	if bounded rmmod dm-bpio-filter 2>/dev/null; then
		fail "the module of a live layer was unloaded"
	fi
	# the other module needs it
	if bounded rmmod dm-bpio 2>/dev/null; then
		fail "the module that others need was unloaded"
	fi
	dm remove --retry "${PREFIX}layer"
	bounded rmmod dm-bpio-filter
	modprobe dm-bpio-filter
}

plan 6
it "tables that cannot be right are refused with a sentence and leave nothing" \
	bad_tables
it "messages that cannot be right are refused with a sentence and change nothing" \
	bad_messages
it "the table tells what was told by messages, and can be loaded again" round_trip
it "a striped filter puts each sector where the kernel's own stripes have it" \
	striped_as_by_the_kernel
it "a flush of a striped filter reaches every leg" stripes_are_flushed
it "a module is not unloaded while a layer is live" modules_stay
ktap_finished
