#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The target as a device-mapper target: its table and status, the tables it refuses, and
# that every kind of request passes through it as through "linear", to the right
# sectors.
# shellcheck source=lib.sh
. "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/lib.sh"

MIB=2048	# sectors
START=$((8 * MIB))
SIZE=$((32 * MIB))

create_volume()
{
	create vol "0 $SIZE bpio $NVME $START"
}

round_trip()
{
	local name params table
	local lines=("bpio $NVME 0" "bpio $NVME $START"
		     "bpio $NVME $START 1 any_storage"
		     "bpio-striped 2 128 $NVME 0 $NVME $SIZE"
		     "bpio-striped 1 16384 $NVME 8 1 any_storage")

	for params in "${lines[@]}"; do
		create one "0 $SIZE $params"
		table=$(dm table "${PREFIX}one")
		create two "$table"
		same "the table of $params, loaded again" "$table" \
			"$(dm table "${PREFIX}two")"
		dm load "${PREFIX}one" --table "$table"
		dm resume "${PREFIX}one"
		same "the table of $params, reloaded" "$table" \
			"$(dm table "${PREFIX}one")"
		for name in one two; do
			dm remove --retry "$PREFIX$name"
		done
	done
}

# "0 features" is what a program may write that always counts.
feature_counts()
{
	create vol "0 $SIZE bpio $NVME $START 0"
	same "the table" "0 $SIZE bpio $(stat -c '%Hr:%Lr' "$NVME") $START" \
		"$(dm table "${PREFIX}vol")"
}

status_line()
{
	local before after file=${MNT_PREFIX}vol/file

	create_volume
	make_fs vol
	"$HERE/reader" create "$file" $((1 << 20))
	before=$(dm status "${PREFIX}vol")
	[[ $before =~ ^0\ $SIZE\ bpio\ 0\ 0\ 0\ 0\ 0\ [a-z]+ ]] ||
		fail "status of a fresh volume: $before"
	start_reader vol "$file"
	same "bypass" direct "$(ask direct)"
	after=$(dm status "${PREFIX}vol")
	[[ $after =~ ^0\ $SIZE\ bpio\ 1\ [1-9][0-9]*\ [1-9][0-9]*\ [0-9]+\ [0-9]+\ full ]] ||
		fail "status while a file is read: $after"
	stop_reader
	after=$(dm status "${PREFIX}vol")
	[[ $after =~ ^0\ $SIZE\ bpio\ 0\ [1-9] ]] ||
		fail "status after that: $after"
	bounded umount "${MNT_PREFIX}vol"
}

# refused TEXT TABLE-LINE...: the table does not load, and the log says why
refused()
{
	says_why "$1" create bad "${@:2}"
	[ ! -e "$(node bad)" ] || fail "left a device behind: ${*:2}"
}

bad_lines()
{
	local whole

	whole=$(sectors "$NVME")
	refused "Invalid argument count" "0 $SIZE bpio"
	refused "Invalid argument count" "0 $SIZE bpio $NVME"
	refused "Device lookup failed" "0 $SIZE bpio /dev/there-is-none 0"
	refused "Device lookup failed" "0 $SIZE bpio /dev/null 0"
	refused "Invalid offset" "0 $SIZE bpio $NVME x"
	refused "Invalid offset" "0 $SIZE bpio $NVME 12x"
	refused "Invalid offset" "0 $SIZE bpio $NVME 18446744073709553664"
	refused "Unknown feature" "0 $SIZE bpio $NVME 0 1 no_storage"
	refused "Invalid number of features" "0 $SIZE bpio $NVME 0 x"
	refused "Invalid number of features" "0 $SIZE bpio $NVME 0 99 any_storage"
	refused "Invalid number of features" "0 $SIZE bpio $NVME 0 1"
	refused "Too many arguments" "0 $SIZE bpio $NVME 0 1 any_storage more"
	refused "Too many arguments" "0 $SIZE bpio $NVME 0 0 any_storage"
	refused "too small for target" "0 $((whole + 8)) bpio $NVME 0"
	refused "too small for target" "0 $SIZE bpio $NVME $((whole - SIZE + 8))"
	refused "too small for target" "0 $SIZE bpio $NVME 0" \
		"$SIZE $SIZE bpio $NVME $whole"
	refused "Unknown feature" "0 $SIZE bpio $NVME 0" \
		"$SIZE $SIZE bpio $NVME $SIZE 1 no_storage"
	refused "Not enough arguments" "0 $SIZE bpio-striped 2"
	refused "Invalid stripe count" "0 $SIZE bpio-striped 0 8"
	refused "Invalid stripe count" "0 $SIZE bpio-striped x 8 $NVME 0"
	refused "Invalid chunk_size" "0 $SIZE bpio-striped 1 0 $NVME 0"
	refused "Invalid chunk_size" "0 $SIZE bpio-striped 1 4294967296 $NVME 0"
	refused "Not enough destinations" "0 $SIZE bpio-striped 2 8 $NVME 0"
	refused "Not enough destinations" \
		"0 $SIZE bpio-striped 4294967295 8 $NVME 0"
	refused "not divisible by number of stripes" \
		"0 $((SIZE + 1)) bpio-striped 2 8 $NVME 0 $NVME $SIZE"
	refused "not divisible by chunk size" \
		"0 $SIZE bpio-striped 2 24 $NVME 0 $NVME $SIZE"
	refused "Invalid offset" "0 $SIZE bpio-striped 2 8 $NVME 0 $NVME x"
	refused "Device lookup failed" \
		"0 $SIZE bpio-striped 2 8 $NVME 0 /dev/there-is-none 0"
	refused "Invalid number of features" \
		"0 $SIZE bpio-striped 2 8 $NVME 0 $NVME $SIZE 2"
	refused "Unknown feature" \
		"0 $SIZE bpio-striped 2 8 $NVME 0 $NVME $SIZE 1 no_storage"
	refused "too small for target" \
		"0 $SIZE bpio-striped 2 8 $NVME 0 $NVME $whole"
	# nothing holds the device open now
	create last "0 $whole linear $NVME 0"
	dm remove --retry "${PREFIX}last"
}

zoned_refused()
{
	local name

	# seen by the trap, which outlives this function
	dir=/sys/kernel/config/nullb/bpio-test
	bounded modprobe null_blk nr_devices=0 2>/dev/null ||
		skip "the kernel has no null_blk"
	mkdir "$dir"
	trap 'echo 0 >"$dir/power"; rmdir "$dir"' EXIT
	echo 256 >"$dir/size"
	echo 1 >"$dir/memory_backed"
	echo 1 >"$dir/zoned" 2>/dev/null || skip "null_blk cannot be zoned here"
	echo 64 >"$dir/zone_size"
	echo 1 >"$dir/power"
	name=/dev/nullb$(cat "$dir/index")
	[ -e "$name" ] || name=/dev/bpio-test
	refused "Zoned devices are not supported" "0 $SIZE bpio $name 0"
}

# A device for DAX: the machine was started with memmap=<size>!<address>.
dax_refused()
{
	bounded modprobe -a nd_e820 nd_pmem 2>/dev/null || true
	eventually 5 test -e /dev/pmem0 ||
		skip "there is no /dev/pmem0; start with memmap=64M!1G"
	refused "DAX devices are not supported" "0 $((8 * MIB)) bpio /dev/pmem0 0"
}

# Some kernels have limits that cannot be read.
limit()
{
	cat "$1" 2>/dev/null || echo none
}

# limits_like TARGET ARGUMENT...: those of bpio's form are those of the kernel's own
limits_like()
{
	local name bpio linear file differ=0 ours=bpio

	[ "$1" = linear ] || ours=bpio-$1
	create vol "0 $SIZE $ours ${*:2}"
	create lin "0 $SIZE $1 ${*:2}"
	bpio=/sys/class/block/$(basename "$(readlink -f "$(node vol)")")/queue
	linear=/sys/class/block/$(basename "$(readlink -f "$(node lin)")")/queue
	for file in "$linear"/*; do
		name=${file##*/}
		{ [ -f "$file" ] && [ -r "$file" ]; } || continue
		if [ "$(limit "$file")" != "$(limit "$bpio/$name")" ]; then
			echo "$name: $1 $(limit "$file"), bpio $(limit "$bpio/$name")"
			differ=1
		fi
	done
	same "number of queue limits that differ" 0 "$differ"
	[ "$(cat "$bpio/discard_max_bytes")" -gt 0 ] || fail "no discard"
	[ "$(cat "$bpio/write_zeroes_max_bytes")" -gt 0 ] || fail "no write-zeroes"
}

limits() { limits_like linear "$NVME" "$START"; }
striped_limits()
{
	limits_like striped 2 256 "$NVME" "$START" "$NVME" "$SIZE"
}

# fill DEVICE BYTE FIRST COUNT: sectors of one byte
fill()
{
	head -c $(($4 * 512)) /dev/zero | tr '\0' "$2" |
		bounded dd of="$1" bs=1M iflag=fullblock oflag=seek_bytes,direct \
			seek=$(($3 * 512)) conv=notrunc status=none
}

# digest DEVICE FIRST COUNT
digest()
{
	bounded dd if="$1" bs=64k iflag=direct,skip_bytes,count_bytes \
		skip=$(($2 * 512)) count=$(($3 * 512)) status=none | sha256sum
}

# Three neighbours of 1 MiB on the raw device, the middle one changed through
# the volume by COMMAND, which is given the offset and the length in bytes.
changes_only_its_range()
{
	local command=$1 expected=$2 before after

	fill "$NVME" a $((START + 4 * MIB)) $((3 * MIB))
	before=$(digest "$NVME" $((START + 4 * MIB)) "$MIB")
	after=$(digest "$NVME" $((START + 6 * MIB)) "$MIB")
	"$command" $((5 << 20)) $((1 << 20))
	same "the sectors before" "$before" \
		"$(digest "$NVME" $((START + 4 * MIB)) "$MIB")"
	same "the sectors behind" "$after" \
		"$(digest "$NVME" $((START + 6 * MIB)) "$MIB")"
	# what a discarded sector reads as is up to the device
	[ -n "$expected" ] || return 0
	same "the sectors themselves" \
		"$(head -c $((1 << 20)) /dev/zero | tr '\0' "$expected" | sha256sum)" \
		"$(digest "$NVME" $((START + 5 * MIB)) "$MIB")"
	same "the sectors, read through the volume" \
		"$(digest "$NVME" $((START + 5 * MIB)) "$MIB")" \
		"$(digest "$(node vol)" $((5 * MIB)) "$MIB")"
}

by_write() { fill "$(node vol)" b $(($1 / 512)) $(($2 / 512)); }
by_zeroout() { bounded blkdiscard -f -z -o "$1" -l "$2" "$(node vol)"; }
by_punching() { bounded fallocate -p -o "$1" -l "$2" "$(node vol)"; }
by_zero_range() { bounded fallocate -z -o "$1" -l "$2" "$(node vol)"; }
by_discard() { bounded blkdiscard -f -o "$1" -l "$2" "$(node vol)"; }

right_sectors()
{
	create_volume
	changes_only_its_range by_write b
	changes_only_its_range by_zeroout '\0'
	changes_only_its_range by_punching '\0'
	changes_only_its_range by_zero_range '\0'
	changes_only_its_range by_discard ''
}

# stat FIELD of the device below; 12 and 16 are discards and flushes completed
stat_below()
{
	awk -v field="$1" '{ print $field }' "/sys/class/block/${NVME##*/}/stat"
}

requests_reach_the_device()
{
	local before

	create_volume
	before=$(stat_below 12)
	bounded blkdiscard -f -o 0 -l $((1 << 20)) "$(node vol)"
	[ "$(stat_below 12)" -gt "$before" ] || fail "no discard came through"
	grep -q "write back" "/sys/class/block/${NVME##*/}/queue/write_cache" ||
		skip "the device has no volatile cache to flush"
	before=$(stat_below 16)
	bounded dd if=/dev/zero of="$(node vol)" bs=4k count=1 conv=fsync,notrunc \
		status=none
	[ "$(stat_below 16)" -gt "$before" ] || fail "no flush came through"
}

# random_io NAME ENGINE [OPTION...]: fio's own verification, over all of it
random_io()
{
	local name=$1 engine=$2
	shift 2

	timeout 120 fio --name=verify --filename="$(node "$name")" --direct=1 \
		--rw=randwrite --bsrange=4k-256k --size=16m --verify=crc32c \
		--verify_fatal=1 --verify_state_save=0 --ioengine="$engine" \
		--iodepth=16 --output-format=terse "$@" >/dev/null
}

verified_io()
{
	create_volume
	random_io vol psync
	random_io vol libaio
	random_io vol io_uring
}

polled_io()
{
	local queue

	create_volume
	queue=/sys/class/block/$(basename "$(readlink -f "$(node vol)")")/queue
	[ "$(cat "/sys/class/block/${NVME##*/}/queue/io_poll")" = 1 ] ||
		skip "the NVMe driver has no poll queues; load it with poll_queues=2"
	same "io_poll of the volume" 1 "$(cat "$queue/io_poll")"
	random_io vol io_uring --hipri=1
}

busy_while_mounted()
{
	local message

	create_volume
	make_fs vol
	message=$(dm remove "${PREFIX}vol" 2>&1) &&
		fail "a mounted volume was removed"
	[[ $message == *busy* ]] || fail "not because it is busy: $message"
	bounded umount "${MNT_PREFIX}vol"
	dm remove --retry "${PREFIX}vol"
}

# Lazily unmounted: only the open file keeps the file system and the volume.
busy_while_a_file_is_enabled()
{
	create_volume
	make_fs vol
	"$HERE/reader" create "${MNT_PREFIX}vol/file" $((1 << 20))
	start_reader vol "${MNT_PREFIX}vol/file"
	bounded umount -l "${MNT_PREFIX}vol"
	dm remove "${PREFIX}vol" 2>/dev/null && fail "removed under an enabled file"
	same "bypass" direct "$(ask direct)"
	stop_reader
	eventually 20 dm remove "${PREFIX}vol" 2>/dev/null ||
		fail "not removable after the last close"
}

messages()
{
	create_volume
	dm message "${PREFIX}vol" 0 no-such-message 2>/dev/null &&
		fail "an unknown message was accepted"
	dm message "${PREFIX}vol" 0 "" 2>/dev/null &&
		fail "an empty message was accepted"
	return 0
}

renamed()
{
	create_volume
	make_fs vol
	"$HERE/reader" create "${MNT_PREFIX}vol/file" $((1 << 20))
	start_reader vol "${MNT_PREFIX}vol/file"
	dm rename "${PREFIX}vol" "${PREFIX}new"
	same "bypass" direct "$(ask direct)"
	stop_reader
	bounded umount "${MNT_PREFIX}vol"
	dm remove --retry "${PREFIX}new"
}

read_only()
{
	create vol "0 $SIZE bpio $NVME $START"
	bounded mkfs.ext4 -q -F -E nodiscard "$(node vol)"
	dm remove --retry "${PREFIX}vol"
	echo "0 $SIZE bpio $NVME $START" | dm create -r "${PREFIX}vol"
	same "read-only" 1 "$(bounded blockdev --getro "$(node vol)")"
	bounded dd if=/dev/zero of="$(node vol)" bs=4k count=1 oflag=direct \
		2>/dev/null && fail "a read-only volume was written to"
	mkdir -p "${MNT_PREFIX}vol"
	bounded mount -o ro,noload "$(node vol)" "${MNT_PREFIX}vol"
	bounded umount "${MNT_PREFIX}vol"
}

many_times()
{
	local i

	for ((i = 0; i < 30; i++)); do
		create_volume
		dm remove --retry "${PREFIX}vol"
	done
}

module_users()
{
	cat /sys/module/dm_bpio/refcnt
}

unload_refused()
{
	local message

	create_volume
	[ "$(module_users)" -gt 0 ] || fail "the module says that nobody uses it"
	message=$(bounded rmmod dm_bpio 2>&1) &&
		fail "the module was unloaded under a volume"
	[[ $message == *"in use"* ]] || fail "not because it is in use: $message"
	dm remove --retry "${PREFIX}vol"
	# what is left are modules on top of it
	eventually 10 users_are_modules ||
		fail "users left after the last volume: $(module_users)"
}

users_are_modules()
{
	local holders=(/sys/module/dm_bpio/holders/*)

	[ -e "${holders[0]}" ] || holders=()
	[ "$(module_users)" -eq "${#holders[@]}" ]
}

plan 19
it "a table that is printed loads again" round_trip
it "a table may say that it has no features" feature_counts
it "the status line counts what happens" status_line
it "bad table lines are refused with a reason" bad_lines
it "zoned devices are refused" zoned_refused
it "DAX devices are refused" dax_refused
it "the queue limits are those of linear" limits
it "the queue limits of stripes are those of striped" striped_limits
it "writes, zeroes and discards change their own sectors only" right_sectors
it "discards and flushes reach the device" requests_reach_the_device
it "random I/O is verified by each engine" verified_io
it "polled I/O is verified" polled_io
it "a mounted volume cannot be removed" busy_while_mounted
it "a volume under an enabled file cannot be removed" busy_while_a_file_is_enabled
it "unknown messages are refused" messages
it "a volume may be renamed under an enabled file" renamed
it "a volume may be read-only" read_only
it "create and remove, many times" many_times
it "the module cannot be unloaded under a volume" unload_refused
ktap_finished
