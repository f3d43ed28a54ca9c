#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Every layer of a stack is suspended, reloaded and replaced in turn while fio reads and
# verifies. No read fails or is wrong, reads go direct before and afterwards, and the
# layers see only reads that do not skip them.
#
# BPIO_TEST_SECONDS: the time for which fio reads in each test (default 15).
# shellcheck source=lib.sh
. "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/lib.sh"

DURATION=${BPIO_TEST_SECONDS:-15}
MIB=2048	# sectors
SIZE=$((48 * MIB))
LAYERS=4
FILE_MIB=8
FILE=${MNT_PREFIX}vol/file
OTHER=${MNT_PREFIX}vol/other

# A layer is a number from 0, at the top, to LAYERS - 1, or "vol" above them.
name_of()
{
	[ "$1" = vol ] && echo vol || echo "layer$1"
}

# What a layer stands on, as the parameters of a target name it.
below()
{
	case $1 in
	vol) echo "$(node layer0) 0" ;;
	$((LAYERS - 1))) echo "$NVME $((8 * MIB))" ;;
	*) echo "$(node "layer$(($1 + 1))") 0" ;;
	esac
}

# Tables that lead to the same sectors: table LAYER KIND
table()
{
	local where device start half=$((SIZE / 2 + 8))

	where=$(below "$1")
	read -r device start <<<"$where"
	case $1,$2 in
	vol,usual) echo "0 $SIZE bpio $where" ;;
	vol,*) echo "0 $SIZE bpio $where 1 any_storage" ;;
	*,usual) echo "0 $SIZE bpio-filter $where" ;;
	*,stock) echo "0 $SIZE linear $where" ;;
	*,halves)
		echo "0 $half bpio-filter $where"
		echo "$half $((SIZE - half)) bpio-filter $device $((start + half))"
		;;
	esac
}

# reload LAYER KIND
reload()
{
	local name

	name=$PREFIX$(name_of "$1")
	table "$1" "$2" | dm load "$name"
	dm resume "$name"
}

# Reads that each layer has seen, in one line.
seen()
{
	local i

	for ((i = 0; i < LAYERS; i++)); do
		dm status --noflush "${PREFIX}layer$i" | awk '{ n += $4 }
			END { printf "%d ", n }'
	done
}

# Field of the volume's status: 5 direct reads, 7 reads that fell back, 9 support
status_field()
{
	dm status --noflush "${PREFIX}vol" | cut -d' ' -f"$1"
}

mapped_reads()
{
	bounded bpio info --json "$(node vol)" | jq .mapped_reads
}

at_least()
{
	[ "$("${@:2}")" -ge "$1" ]
}

# So many reads more skip all layers, and none is seen by one.
nothing_is_seen()
{
	local before

	before=$(seen)
	eventually 60 at_least $(($("$@") + 200)) "$@" ||
		fail "reads do not go past the layers"
	same "the reads that the layers have seen" "$before" "$(seen)"
}

# Reads of a file that is not enabled.
others_are_seen()
{
	local blocks=32 before expected i

	before=$(seen)
	expected=$(for i in $before; do printf '%d ' $((i + blocks)); done)
	bounded dd if="$OTHER" of=/dev/null bs=4k count="$blocks" \
		iflag=direct status=none
	same "the reads of another file that the layers have seen" "$expected" \
		"$(seen)"
}

set_up()
{
	local i

	modprobe -q dm-bpio-filter || skip "there is no module dm-bpio-filter"
	for i in bpio fio jq; do
		command -v "$i" >/dev/null || skip "there is no $i"
	done
	work=$(mktemp -d)
	for ((i = LAYERS - 1; i >= 0; i--)); do
		create "layer$i" "$(table "$i" usual)"
	done
	create vol "$(table vol usual)"
	make_fs vol
	# or it would read and write in the background
	bounded mount -o remount,noinit_itable "${MNT_PREFIX}vol"
	bounded fio --name=reads --filename="$FILE" --size=${FILE_MIB}m --bs=4k \
		--rw=write --direct=1 --iodepth=16 --ioengine=io_uring \
		--verify=crc32c --do_verify=0 --verify_state_save=0 \
		--output=/dev/null
	bounded dd if=/dev/urandom of="$OTHER" bs=4k count=64 status=none
	sync
	bounded udevadm settle
}

# Of fio's engines those with a queue end after one pass over the file.
write_readers()
{
	local fio="fio --name=reads --filename=$FILE --rw=randread --bs=4k"

	fio+=" --direct=1 --thread --group_reporting --verify=crc32c"
	fio+=" --verify_fatal=1 --verify_state_save=0 --output-format=json"
	cat >"$work/readers" <<END
#!/bin/bash
set -e
trap 'echo \$? >$work/status' EXIT
for ((i = 0; ; i++)); do
	$fio --ioengine=psync --numjobs=3 --time_based --runtime=8 \
		--norandommap --output=$work/fio.\$i.psync
	[ ! -e $work/stop ] || exit 0
	$fio --ioengine=io_uring --iodepth=8 --output=$work/fio.\$i.io_uring
	$fio --ioengine=libaio --iodepth=8 --output=$work/fio.\$i.libaio
done
END
	chmod 755 "$work/readers"
}

# start_fio COMMAND...: fio again and again, by COMMAND if there is one
start_fio()
{
	write_readers
	setsid "$@" "$work/readers" >"$work/log" 2>&1 &
	fio_pid=$!
	trap kill_fio EXIT
}

kill_fio()
{
	pkill -KILL --session "$fio_pid" || true
	wait "$fio_pid" 2>/dev/null || true
	cat "$work/log"
	grep -h -i verify "$work"/fio.* | head -n 5
}

# No fio has found an error or a mismatch; leaves the number of their reads.
stop_fio()
{
	touch "$work/stop"
	eventually 120 test -s "$work/status" || fail "fio does not end"
	wait "$fio_pid" || true
	same "fio's exit status" 0 "$(cat "$work/status")"
	trap - EXIT
	# other messages may precede
	sed -s -n '/^{/,$p' "$work"/fio.* >"$work/all"
	same "fio's errors" 0 "$(jq -s '[.[].jobs[].error] | add' "$work/all")"
	ios=$(jq -s '[.[].jobs[].read.total_ios] | add' "$work/all")
	[ "$ios" -ge 1000 ] || fail "fio has read too little"
}

one_turn()
{
	local name

	name=$PREFIX$(name_of "$1")
	dm suspend "$name"
	dm resume "$name"
	reload "$1" usual
	reload "$1" stock
	reload "$1" halves
	# one that never becomes live
	table "$1" stock | dm load "$name"
	dm clear "$name"
	reload "$1" usual
	changes=$((changes + 5))
}

# Each layer in turn, until the time is over; bypass returns after each: the
# argument tells how many reads went past all layers.
turns()
{
	local layer end=$((SECONDS + DURATION)) rounds=0 changes=0

	until [ "$SECONDS" -ge "$end" ]; do
		for layer in vol 0 3 1 2; do
			one_turn "$layer"
			eventually 60 at_least $(($("$@") + 20)) "$@" ||
				fail "bypass does not return after $layer"
			[ ! -e "$work/status" ] || fail "fio has ended"
		done
		rounds=$((rounds + 1))
	done
	echo "$rounds rounds, $changes suspends and changes of a live table"
}

tear_down()
{
	local i

	rm -r "$work"
	bounded umount "${MNT_PREFIX}vol"
	dm remove --retry "${PREFIX}vol"
	for ((i = 0; i < LAYERS; i++)); do
		dm remove --retry "${PREFIX}layer$i"
	done
}

full_support()
{
	[ "$(status_field 9)" = full ]
}

by_file_bypass()
{
	local direct fallback

	set_up
	start_fio bpio run --json --summary "$work/run" --
	nothing_is_seen status_field 5
	others_are_seen
	turns status_field 5
	eventually 60 full_support || fail "the stack does not agree again"
	nothing_is_seen status_field 5
	others_are_seen
	stop_fio
	direct=$(jq .direct_reads "$work/run")
	fallback=$(jq .fallback_reads "$work/run")
	echo "$ios reads, $direct direct, $fallback not, by reason:" \
		"$(jq -c .fallback_by_reason "$work/run")"
	same "reads of fio" "$ios" "$((direct + fallback))"
	tear_down
}

unmodified()
{
	local past

	set_up
	bounded bpio enable "$(node vol)"
	start_fio
	nothing_is_seen mapped_reads
	turns mapped_reads
	nothing_is_seen mapped_reads
	bounded bpio disable "$(node vol)"
	past=$(mapped_reads)
	eventually 60 seen_more "$(seen)" || fail "the layers see no reads"
	same "reads past the layers after DISABLE" "$past" "$(mapped_reads)"
	stop_fio
	echo "$ios reads, $past past the layers"
	tear_down
}

seen_more()
{
	[ "$(seen)" != "$1" ]
}

plan 2
it "fio verifies by file bypass while all layers in turn are suspended and replaced" \
	by_file_bypass
it "fio verifies by volume bypass while all layers in turn are so" unmodified
ktap_finished
