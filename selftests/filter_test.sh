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
	local table

	need_filter
	create layer "0 $SIZE bpio-filter $NVME 8"
	same "the table" "0 $SIZE bpio-filter $(stat -c '%Hr:%Lr' "$NVME") 8" \
		"$(dm table "${PREFIX}layer")"
	dm message "${PREFIX}layer" 0 veto 13 "Scans what is read."
	dm message "${PREFIX}layer" 0 file_veto 'k*.[ab]' 1 "$(x $LONGEST)"
	dm message "${PREFIX}layer" 0 file_veto 12 5 Number.
	table=$(dm table "${PREFIX}layer")
	[[ $table == *' veto 13 "Scans what is read."'* ]] || fail "$table"
	[[ $table == *" file_veto k*.[ab] 1 \"$(x $LONGEST)\""* ]] || fail "$table"
	create again "$table"
	same "the same table, loaded" "$table" "$(dm table "${PREFIX}again")"
	dm load "${PREFIX}layer" --table "$table"
	dm resume "${PREFIX}layer"
	same "the same table, reloaded" "$table" "$(dm table "${PREFIX}layer")"
	dm message "${PREFIX}layer" 0 allow
	dm message "${PREFIX}layer" 0 file_allow 12
	table=$(dm table "${PREFIX}layer")
	[[ $table != *Scans* && $table != *Number* ]] || fail "$table"
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

plan 4
it "tables that cannot be right are refused with a sentence and leave nothing" \
	bad_tables
it "messages that cannot be right are refused with a sentence and change nothing" \
	bad_messages
it "the table tells what was told by messages, and can be loaded again" round_trip
it "a module is not unloaded while a layer is live" modules_stay
ktap_finished
