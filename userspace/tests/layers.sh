#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# bpio with layers, pauses, and bypass of unmodified reads. Runs
# as root in a guest of selftests/vm in which this project is installed, from
# where "make stage" put it, and overwrites the devices of the guest.
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")/userspace
# shellcheck source=volumes.sh
. "$here/volumes.sh"

filters=no
if modprobe -q dm-bpio-filter; then
	filters=yes
fi

# with_filters SENTENCE COMMAND...: a test that takes layers with a mind
with_filters()
{
	if [ "$filters" = yes ]; then
		it "$@"
	else
		skip "$1" "there is no module dm-bpio-filter"
	fi
}

# Keep a file enabled, in a separate process: hold FILE
hold()
{
	coproc HOLD { command hold "$1" 2>&1; }
	# Saved, for bash forgets them when the process ends.
	hold_out=${HOLD[0]} hold_in=${HOLD[1]} hold_pid=$!
	reads direct
}

# The next read of that file is "direct", or served for another reason
reads()
{
	local got

	echo >&"$hold_in"
	read -r -t 60 got <&"$hold_out"
	[ "$got" = "$1" ] ||
		complain "expected the read to be \"$1\", but it was \"$got\""
}

release()
{
	eval "exec $hold_in>&-"
	wait "$hold_pid"
}

# Replace the table of a live device: reload NAME TABLE
reload()
{
	dmsetup load "$1" --table "$2"
	dmsetup suspend "$1"
	dmsetup resume "$1"
}

# member FILE POINTER
member()
{
	json-get "$2" <"$1"
}

stack_full()
{
	expect 0 bpio stack "$mnt/file"
	says out "BypassIo on \"$mnt/file\" is currently supported."
	grep -qE "^LAYER +TARGET +PART +VERDICT +READS +BYPASSED +REASON$" out
	grep -qE "^/dev/mapper/vol +bpio +yes +agrees +[0-9]+ +[0-9]+ +-$" out
	grep -qE "^  /dev/mapper/mid +bpio(-filter)? +yes +agrees +[0-9]+ +[0-9]+ +-$" out
	grep -qE "^    $BPIO_NVME_A1 +nvme +yes +agrees +[0-9]+ +- +-$" out
	refute grep 'Full if' out
	[ "$(wc -l <out)" -eq 5 ]
	expect 0 bpio stack --json vol
	json out /layers/0/type bpio
	json out /layers/1/node /dev/mapper/mid
	json out /layers/1/depth 1
	json out /layers/1/takes_part true
	json out /layers/1/verdict agrees
	json out /layers/2/storage true
	json out /layers/2/node "$BPIO_NVME_A1"
	json out /full_if '[ ]'
	json out /exit_status 0
	refute member out /layers/3
}

stack_partial()
{
	linear_below
	expect 10 bpio stack upper
	cp out text
	expect 10 bpio stack --json upper
	remove_both
	grep -qE "^/dev/mapper/upper +bpio +yes +agrees " text
	grep -qE "^  /dev/mapper/lower +linear +no +layer-unaware +[0-9]+ +- +A layer of the stack does not take part" text
	grep -qE "^    $BPIO_NVME_B1 +nvme +- +not-asked +[0-9]+ +- +A layer above" text
	says text 'Full only without linear (/dev/mapper/lower), which does not take part.'
	json out /layers/1/verdict layer-unaware
	json out /layers/1/takes_part false
	json out /layers/2/asked false
	refute member out /layers/2/takes_part
	json out /full_if/0 'linear (/dev/mapper/lower)'
	json out /support partial
}

# What lies below an unaware layer would have to agree as well.
stack_several()
{
	dmsetup create bottom --table \
		"0 $(sectors "$BPIO_NVME_B1") linear $BPIO_NVME_B1 0"
	dmsetup create lower --table "0 $(sectors "$BPIO_NVME_B1") crypt \
cipher_null-ecb - 0 /dev/mapper/bottom 0"
	new_volume upper /dev/mapper/lower
	expect 10 bpio stack upper
	remove_both
	dmsetup remove bottom
	says out 'Full only without crypt (/dev/mapper/lower) and linear (/dev/mapper/bottom), which do not take part.'
}

# Two legs on one device
stack_shared()
{
	local size=65536

	dmsetup create leg0 --table "0 $size linear $BPIO_NVME_B1 0"
	dmsetup create leg1 --table "0 $size linear $BPIO_NVME_B1 $size"
	dmsetup create lower --table "0 $size mirror core 2 1024 nosync \
2 /dev/mapper/leg0 0 /dev/mapper/leg1 0"
	new_volume upper /dev/mapper/lower
	bpio state upper >shared.state || [ $? -eq 10 ]
	bpio state --json upper >shared.json || [ $? -eq 10 ]
	bpio info upper >shared.info || [ $? -eq 10 ]
	bpio list >shared.list
	bpio stack upper >shared.stack || [ $? -eq 10 ]
	remove_both
	dmsetup remove leg0
	dmsetup remove leg1
	[ "$(grep -c 'Storage device' shared.state)" -eq 1 ]
	[ "$(grep -c 'Storage device' shared.info)" -eq 1 ]
	json shared.json /bottom/0/node "$BPIO_NVME_B1"
	refute member shared.json /bottom/1
	[ "$(grep -c "^ *$BPIO_NVME_B1 " shared.stack)" -eq 1 ]
	grep -qE "/dev/mapper/upper +$BPIO_NVME_B1 +partial" shared.list
	# The second leg is not storage, although no layer is shown below it.
	grep -q '^    /dev/mapper/leg1 ' shared.stack
}

stack_other_storage()
{
	new_volume upper "$BPIO_SCRATCH"
	expect 10 bpio stack --json upper
	dmsetup remove upper
	json out /layers/1/verdict not-nvme
	json out /layers/1/takes_part false
	json out /layers/1/storage true
	json out /layers/1/node "$BPIO_SCRATCH"
}

stack_unprivileged()
{
	local group

	group=$(stat -L -c %g /dev/mapper/vol)
	expect 3 setpriv --reuid=65534 --clear-groups bpio stack vol
	says err '"stack" takes read permission on it, or on a directory where it is mounted'
	expect 0 setpriv --reuid=65534 --regid=65534 --groups="$group" \
		bpio stack /dev/mapper/vol
	[ "$(grep -c ' agrees ' out)" -eq 3 ]
}

# reads_of POINTER of the layers of "vol"
reads_of()
{
	bpio stack --json vol >reads.json
	member reads.json "$1"
}

# reads_are POINTER RELATION NUMBER
reads_are()
{
	local count

	count=$(reads_of "$1")
	test "$count" "$2" "$3" || complain "expected $1 $2 $3, but got $count"
}

stack_counts()
{
	local vol mid seen bottom

	vol=$(reads_of /layers/0/reads_bypassed)
	mid=$(reads_of /layers/1/reads_bypassed)
	seen=$(reads_of /layers/1/reads_seen)
	bottom=$(reads_of /layers/2/reads_seen)
	hold "$mnt/file"
	for _ in 2 3 4 5; do
		reads direct
	done
	reads_are /layers/0/reads_bypassed -eq $((vol + 5))
	reads_are /layers/1/reads_bypassed -eq $((mid + 5))
	reads_are /layers/2/reads_seen -ge $((bottom + 5))
	reads_are /layers/1/reads_seen -eq "$seen"
	json reads.json /layers/1/bypassed_now true
	release
	json <(bpio stack --json vol) /layers/1/bypassed_now false
	# What is not bypassed is seen.
	dd if="$mnt/file" iflag=direct of=/dev/null bs=64k count=5 status=none
	reads_are /layers/1/reads_seen -ge $((seen + 5))
}

# Pausing by each name of a volume: pause_volume PATH
pause_volume()
{
	local before after

	hold "$mnt/file"
	before=$(date +%s)
	expect 0 bpio pause "$1"
	after=$(date +%s)
	says out 'is paused.'
	expect 12 bpio state "$mnt/file"
	says out "BypassIo on \"$mnt/file\" is currently paused."
	says out '    Reason: Paused by a command.'
	says out '    Paused at: bpio (/dev/mapper/vol)'
	expect 12 bpio state --json vol
	json out /volume_paused true
	json out /file_paused false
	json out /file_paused_by_kernel false
	json out /reason/token volume-paused
	json out /exit_status 12
	expect 12 bpio stack vol
	says out 'Full if bpio (/dev/mapper/vol) resumed.'
	grep -qE "^/dev/mapper/vol +bpio +yes +volume-paused " out
	expect 12 bpio info --json "$mnt"
	json out /pauses/0/why 'Paused by a command.'
	json out /pauses/0/layer/node /dev/mapper/vol
	member out /pauses/0/who | grep -qE '^bpio\[[0-9]+\]$'
	[ "$(member out /pauses/0/since)" -ge "$before" ]
	[ "$(member out /pauses/0/since)" -le "$after" ]
	[ "$(member out /pauses/0/seconds)" -lt 60 ]
	expect 12 bpio info vol
	grep -qE '^    Paused since: 20[0-9-]{8} [0-9:]{8} [+-][0-9]{4} \([0-9]+ s\)$' out
	grep -qE '^    Paused by: bpio\[[0-9]+\]$' out
	expect 0 bpio list
	grep -qE '/dev/mapper/vol .* paused ' out
	# The file system is skipped, the layers below are not.
	reads direct
	json <(bpio stack --json vol) /layers/1/bypassed_now false
	# Not counted
	expect 0 bpio pause vol
	expect 0 bpio resume "$1"
	says out 'is resumed and currently supported.'
	expect 0 bpio info --json vol
	json out /pauses '[ ]'
	reads direct
	json <(bpio stack --json vol) /layers/1/bypassed_now true
	release
}

pause_idle()
{
	expect 0 bpio pause vol
	expect 12 bpio state vol
	hold_paused
	expect 0 bpio resume --json vol
	json out /scope volume
	json out /support full
	json out /command resume
	expect 0 bpio resume -q vol
	[ ! -s out ]
	expect 0 bpio state vol
}

# Enabling while the volume is paused skips the file system only.
hold_paused()
{
	hold "$mnt/file"
	json <(bpio stack --json vol) /layers/0/bypassed_now false
	release
}

pause_file()
{
	cp "$mnt/file" "$mnt/other"
	sync
	hold "$mnt/file"
	expect 0 bpio pause "$mnt/file"
	says out "BypassIo on the file \"$mnt/file\" is paused."
	reads stream-paused
	expect 12 bpio state "$mnt/file"
	says out 'is currently paused.'
	says out '    Reason: BypassIO of the file is paused.'
	expect 12 bpio state --json "$mnt/file"
	json out /file_paused true
	json out /file_paused_by_kernel false
	json out /volume_paused false
	expect 0 bpio state "$mnt/other"
	expect 0 bpio state vol
	expect 0 bpio pause --json "$mnt/file"
	json out /scope file
	expect 0 bpio resume "$mnt/file"
	says out 'is resumed and currently supported.'
	reads direct
	expect 0 bpio resume "$mnt/file"
	release
	rm "$mnt/other"
}

pause_file_idle()
{
	expect 1 bpio pause "$mnt/file"
	says err "nothing was paused: no program has BypassIO enabled for \"$mnt/file\""
	expect 0 bpio resume "$mnt/file"
	expect 0 bpio state "$mnt/file"
}

ambiguous()
{
	local verb

	mkdir -p "$mnt/dir" elsewhere
	mkfifo "$mnt/fifo"
	mount --bind "$mnt/dir" elsewhere
	for verb in pause resume enable disable; do
		for path in "$mnt/dir" "$mnt/fifo" elsewhere; do
			expect 2 bpio "$verb" "$path"
			says err "\"$path\" is a directory or a special file; the volume it is on is /dev/mapper/vol, mounted on "
		done
	done
	umount elsewhere
	for verb in enable disable; do
		expect 2 bpio "$verb" "$mnt/file"
		says err "expected a mapped device or a mount point, but \"$mnt/file\" is a regular file"
	done
	rm -r "$mnt/dir" "$mnt/fifo"
	expect 0 bpio state vol
}

# Without root, as the group of the device, with what MODE lets it do:
# as_group STATUS MODE COMMAND...
as_group()
{
	local node mode status=$1

	node=$(readlink -f /dev/mapper/vol)
	mode=$(stat -c %a "$node")
	chmod "$2" "$node"
	shift 2
	expect "$status" setpriv --reuid=65534 --regid=65534 \
		--groups="$(stat -c %g "$node")" "$@"
	chmod "$mode" "$node"
}

pause_rights()
{
	local verb

	for verb in pause resume enable disable; do
		as_group 3 640 bpio "$verb" /dev/mapper/vol
		says err "cannot $verb \"/dev/mapper/vol\": Operation not permitted; it requires write permission on /dev/mapper/vol"
		as_group 0 660 bpio "$verb" /dev/mapper/vol
	done
	expect 0 bpio state vol
}

# Permission to read a file is not permission to pause it for others.
pause_file_rights()
{
	local verb

	chmod 755 "$WORK" "$mnt"
	chmod 644 "$mnt/file"
	hold "$mnt/file"
	for verb in pause resume; do
		expect 3 setpriv --reuid=65534 --clear-groups \
			bpio "$verb" "$mnt/file"
		says err "cannot open /dev/mapper/vol: Permission denied; \"$verb\" takes permission on the mapped device"
		as_group 3 640 bpio "$verb" "$mnt/file"
		says err "cannot $verb \"$mnt/file\": Operation not permitted; it requires write permission on /dev/mapper/vol"
	done
	reads direct
	as_group 0 660 bpio pause "$mnt/file"
	reads stream-paused
	as_group 0 660 bpio resume "$mnt/file"
	reads direct
	release
}

# Reads of the mapped device that the layer below has seen
enable_volume()
{
	local seen mapped

	seen=$(reads_of /layers/1/reads_seen)
	mapped=$(member <(bpio info --json vol) /mapped_reads)
	expect 0 bpio enable vol
	says out 'is enabled for all reads and currently supported.'
	dd if=/dev/mapper/vol iflag=direct of=/dev/null bs=64k count=6 status=none
	expect 0 bpio info --json vol
	[ "$(member out /mapped_reads)" -ge $((mapped + 6)) ]
	json out /active_files 0
	reads_are /layers/1/reads_seen -eq "$seen"
	expect 0 bpio disable "$mnt"
	says out 'is for files only.'
	dd if=/dev/mapper/vol iflag=direct of=/dev/null bs=64k count=6 status=none
	reads_are /layers/1/reads_seen -ge $((seen + 6))
	expect 0 bpio disable --json vol
	json out /command disable
}

enable_partial()
{
	linear_below
	expect 0 bpio enable upper
	expect 0 bpio disable upper
	expect 0 bpio enable --json upper
	remove_both
	json out /support partial
	json out /reason/token layer-unaware
}

# The switch of the module: state, info, stack, list tell, in text and JSON
switched_off()
{
	local off=/sys/module/dm_bpio/parameters/bypass

	hold "$mnt/file"
	echo N >$off
	reads switched-off
	for path in "$mnt/file" "$mnt" vol; do
		expect 12 bpio state "$path"
		says out 'is currently switched off.'
		says out '    Reason: BypassIO is switched off by the module parameter.'
	done
	expect 12 bpio state --json "$mnt/file"
	json out /reason/token switched-off
	json out /exit_status 12
	expect 12 bpio info --json vol
	json out /reason/token switched-off
	expect 12 bpio stack vol
	says out 'is currently switched off.'
	expect 0 bpio list
	grep -qE '/dev/mapper/vol .* switched-off ' out
	expect 0 bpio list --json
	json out /volumes/0/state switched-off
	json out /volumes/0/reason/token switched-off
	expect 0 bpio list --files --json "$mnt"
	json out /files/0/armed false
	json out /files/0/reason/token switched-off
	[[ $(dmsetup status vol) = *none ]]
	# Files can be enabled, and reads of the whole device do not skip layers.
	release
	hold_switched_off
	echo Y >$off
	expect 0 bpio state "$mnt/file"
	[[ $(dmsetup status vol) = *none ]]
}

hold_switched_off()
{
	local mapped

	coproc HOLD { command hold "$mnt/file" 2>&1; }
	hold_out=${HOLD[0]} hold_in=${HOLD[1]} hold_pid=$!
	reads switched-off
	expect 0 bpio enable vol
	says out 'is enabled for all reads and currently switched off.'
	mapped=$(member <(bpio info --json vol) /mapped_reads)
	dd if=/dev/mapper/vol iflag=direct of=/dev/null bs=64k count=6 status=none
	[ "$(member <(bpio info --json vol) /mapped_reads)" -eq "$mapped" ]
	echo Y >/sys/module/dm_bpio/parameters/bypass
	dd if=/dev/mapper/vol iflag=direct of=/dev/null bs=64k count=6 status=none
	[ "$(member <(bpio info --json vol) /mapped_reads)" -ge $((mapped + 6)) ]
	bpio disable -q vol
	wait_for reads direct
	release
}

# The reason why reads of a file cannot go direct, although no layer objects
obstacle()
{
	hold "$mnt/file"
	exec 7>>"$mnt/file"
	wait_for reads writer
	expect 0 bpio state "$mnt/file"
	says out '    At the moment: The file is open for writing or mapped shared and writable.'
	expect 0 bpio state --json "$mnt/file"
	json out /obstacle/token writer
	expect 0 bpio state --json vol
	refute member out /obstacle
	release
	# and of one that is not enabled
	expect 0 bpio state --json "$mnt/file"
	json out /obstacle/token writer
	exec 7>&-
	expect 0 bpio state --json "$mnt/file"
	refute member out /obstacle
}

suspended()
{
	local verb

	new_volume second "$BPIO_NVME_B1"
	dmsetup suspend second
	for verb in pause resume enable disable stack; do
		expect 1 bpio "$verb" second
		says err 'is suspended'
	done
	dmsetup resume second
	dmsetup remove second
}

# Without udev, or in a container
no_node()
{
	local node number

	node=$(readlink -f /dev/mapper/vol)
	number=$(dmsetup info -c --noheadings -o major,minor vol)
	rm /dev/mapper/vol "$node"
	expect 1 bpio pause "$mnt"
	says err "cannot open the mapped device $number: expected a node for it in /dev, but there is none; \"dmsetup mknodes\" makes it"
	dmsetup mknodes vol
	expect 0 bpio pause "$mnt"
	expect 0 bpio resume "$mnt"
	rm /dev/mapper/vol
	mknod "$node" b "${number%:*}" "${number#*:}"
	chgrp disk "$node"
	chmod 660 "$node"
	ln -s "../${node##*/}" /dev/mapper/vol
}

stock_above()
{
	local verb

	new_volume lower "$BPIO_NVME_B1"
	dmsetup create upper --table \
		"0 $(sectors "$BPIO_NVME_B1") linear /dev/mapper/lower 0"
	for verb in pause resume enable disable stack info; do
		expect 4 bpio "$verb" upper
		# without root the tables cannot be read
		expect 4 setpriv --reuid=65534 --regid=65534 \
			--groups="$(stat -L -c %g /dev/mapper/upper)" \
			bpio "$verb" /dev/mapper/upper
		says err '"/dev/mapper/upper" is not a bpio volume'
	done
	expect 0 bpio state lower
	remove_both
}

# start_watch [OPTION...]: its output goes to the file events
start_watch()
{
	bpio watch "$@" >events 2>watch.err &
	watch_pid=$!
	listening "$watch_pid"
}

# It ends by itself, with success
finish_watch()
{
	timeout 60 tail --pid="$watch_pid" -f /dev/null || {
		cat events
		kill "$watch_pid"
		complain "bpio watch has not ended"
	}
	wait "$watch_pid"
}

# Line N of the events, as the file event
event()
{
	sed -n "$1p" events >event
	[ -s event ] || complain "no event $1"
}

watch_json()
{
	local inode

	inode=$(stat -c %i "$mnt/file")
	start_watch --json --count 9
	hold "$mnt/file"
	bpio pause -q "$mnt/file"
	bpio resume -q "$mnt/file"
	reads direct
	# Opened for writing, which ends the bypass until it is closed
	: >>"$mnt/file"
	reads direct
	bpio pause -q vol
	bpio resume -q vol
	finish_watch
	release
	[ ! -s watch.err ]
	[ "$(wc -l <events)" -eq 9 ]
	event 1
	json event /command watch
	json event /event arm
	json event /device/node /dev/mapper/vol
	json event /inode "$inode"
	event 2
	json event /event pause
	json event /inode "$inode"
	json event /reason/token stream-paused
	event 3
	json event /event resume
	event 4
	json event /event revoke
	json event /inode "$inode"
	event 6
	json event /event pause
	member event /driver | grep -qE '^bpio\[[0-9]+\]$'
	refute member event /inode
	event 7
	json event /event support
	json event /support partial
	json event /layer/node /dev/mapper/vol
	json event /reason/text 'Paused by a command.'
	event 8
	json event /event resume
	event 9
	json event /event support
	json event /support full
	refute member event /reason
}

watch_text()
{
	start_watch --count 2
	bpio pause -q vol
	bpio resume -q vol
	finish_watch
	grep -qE '^20[0-9-]{8} [0-9:]{8}\.[0-9]{3}  pause    /dev/mapper/vol  bpio\[[0-9]+\]' events
	grep -qE '^20[0-9-]{8} [0-9:]{8}\.[0-9]{3}  resume   /dev/mapper/vol  bpio\[[0-9]+\]' events
}

watch_unprivileged()
{
	setpriv --reuid=65534 --clear-groups bpio watch --count 2 >events &
	watch_pid=$!
	listening "$watch_pid"
	bpio pause -q vol
	bpio resume -q vol
	finish_watch
	says events '  resume   '
}

# Each event is there at once: the reader ends it with the first line.
watch_pipe()
{
	mkfifo fifo
	bpio watch >fifo 2>watch.err &
	watch_pid=$!
	exec 8<fifo
	listening "$watch_pid"
	bpio pause -q vol
	read -r -t 60 _ <&8
	exec 8<&-
	bpio resume -q vol
	finish_watch
	[ ! -s watch.err ]
}

# A table that is replaced, and the switch of the module
watch_support()
{
	hold "$mnt/file"
	start_watch
	reload vol "0 $(sectors /dev/mapper/vol) bpio /dev/mapper/mid 0"
	wait_for grep -q '  support  /dev/mapper/vol  full$' events
	says events '  support  /dev/mapper/vol  none: The volume or a layer below it is suspended, was replaced, or is gone.'
	echo N >/sys/module/dm_bpio/parameters/bypass
	wait_for grep -q '  support  /dev/mapper/vol  none: BypassIO is switched off' events
	echo Y >/sys/module/dm_bpio/parameters/bypass
	kill "$watch_pid"
	finish_watch
	reads direct
	release
}

# message NAME WORD...: tell the filter
message()
{
	dmsetup message "$1" 0 "${@:2}"
}

veto_volume()
{
	hold "$mnt/file"
	message mid veto 13 'Scans what is read.'
	expect 10 bpio state "$mnt/file"
	cp out text
	expect 10 bpio state --json "$mnt/file"
	cp out json
	expect 10 bpio stack vol
	cp out stack
	reads direct
	message mid allow
	reads direct
	expect 0 bpio state "$mnt/file"
	release
	says text '    Status: 13 (Permission denied)'
	says text '    Driver: bpio-filter (/dev/mapper/mid)'
	says text '    Reason: Scans what is read.'
	json json /reason/token layer-veto
	json json /layer/node /dev/mapper/mid
	json json /objections/0/reason/text 'Scans what is read.'
	json json /objections/0/status_name EACCES
	says stack 'Full if bpio-filter (/dev/mapper/mid) agreed.'
	grep -qE "^  /dev/mapper/mid +bpio-filter +yes +layer-veto +[0-9]+ +[0-9]+ +Scans what is read.$" stack
}

# The storage below the veto is asked all the same.
veto_all()
{
	dmsetup create lowest --table \
		"0 $(sectors "$BPIO_NVME_B1") bpio-filter $BPIO_NVME_B1 0"
	dmsetup create lower --table \
		"0 $(sectors "$BPIO_NVME_B1") bpio-filter /dev/mapper/lowest 0"
	new_volume upper /dev/mapper/lower
	message lower veto 1 'First.'
	message lowest veto 2 'Second.'
	expect 10 bpio state --all upper
	cp out all
	expect 10 bpio state upper
	cp out first
	expect 10 bpio state --json upper
	cp out json
	expect 10 bpio stack upper
	remove_both
	dmsetup remove lowest
	says all '    Objection: bpio-filter (/dev/mapper/lower): First.'
	says all '    Objection: bpio-filter (/dev/mapper/lowest): Second.'
	says first '    Reason: First.'
	refute grep Second first
	json json /objections/1/reason/text 'Second.'
	refute member json /objections/2
	says out 'Full if bpio-filter (/dev/mapper/lower) and bpio-filter (/dev/mapper/lowest) agreed.'
}

veto_file()
{
	cp "$mnt/file" "$mnt/other"
	sync
	message mid file_veto "$(stat -c %i "$mnt/file")" 1 'Keeps this one.'
	expect 11 bpio state --all "$mnt/file"
	cp out text
	expect 11 bpio state --json "$mnt/file"
	cp out json
	expect 11 bpio stack "$mnt/file"
	cp out stack
	message mid veto 13 'Scans what is read.'
	expect 11 bpio stack "$mnt/file"
	cp out both
	expect 10 bpio state "$mnt/other"
	message mid allow
	expect 0 bpio state "$mnt/other"
	message mid file_allow "$(stat -c %i "$mnt/file")"
	rm "$mnt/other"
	expect 0 bpio state "$mnt/file"
	says text 'is not currently supported.'
	says text '    Driver: bpio-filter (/dev/mapper/mid)'
	says text '    Reason: Keeps this one.'
	says text '    Objection: bpio-filter (/dev/mapper/mid): Keeps this one.'
	[ "$(grep -c Objection text)" -eq 1 ]
	json json /layer/node /dev/mapper/mid
	json json /objections/0/reason/token file-veto
	refute member json /objections/1
	says stack '    The file itself is refused: bpio-filter: Keeps this one.'
	says stack 'Full if bpio-filter (/dev/mapper/mid) agreed.'
	grep -qE "^  /dev/mapper/mid +bpio-filter +yes +file-veto +[0-9]+ +[0-9]+ +Keeps this one.$" stack
	[ "$(grep -c ' agrees ' stack)" -eq 2 ]
	grep -qE "^  /dev/mapper/mid .* file-veto .* Keeps this one.$" both
}

# A third-party layer that uses only the interface of this project
third_party()
{
	local size

	size=$(sectors "$BPIO_NVME_A1")
	[ -d /sys/module/bpio_probe ] || insmod "$here/../bpio-probe.ko"
	reload mid "0 $size bpio-probe $BPIO_NVME_A1 0 2 name scanner"
	expect 0 bpio state "$mnt/file"
	message mid storage_veto 16 Reads_along_with_you.
	expect 10 bpio state "$mnt/file"
	cp out volume
	expect 10 bpio state --json vol
	cp out json
	message mid allow
	message mid file_veto 13 Keeps_a_secret.
	expect 11 bpio state "$mnt/file"
	cp out file
	expect 0 bpio state vol
	message mid allow
	expect 0 bpio state "$mnt/file"
	reload mid "0 $size $middle $BPIO_NVME_A1 0"
	says volume "BypassIo on \"$mnt/file\" is partially supported."
	says volume '    Status: 16 (Device or resource busy)'
	says volume '    Driver: bpio-probe (/dev/mapper/mid)'
	says volume '    Reason: Reads along with you.'
	json json /driver scanner
	json json /reason/text 'Reads along with you.'
	says file "BypassIo on \"$mnt/file\" is not currently supported."
	says file '    Status: 13 (Permission denied)'
	says file '    Driver: bpio-probe (/dev/mapper/mid)'
	says file '    Reason: Keeps a secret.'
}

pause_layer()
{
	hold "$mnt/file"
	message mid pause 'Takes a snapshot.'
	expect 12 bpio state vol
	expect 12 bpio info vol
	cp out text
	expect 12 bpio stack --json vol
	cp out json
	expect 0 bpio resume vol
	cp out resumed
	expect 12 bpio state vol
	message mid resume
	expect 0 bpio state vol
	reads direct
	release
	says text '    Paused at: bpio-filter (/dev/mapper/mid)'
	says text '    Paused by: bpio-filter'
	says text '    Paused because: Takes a snapshot.'
	json json /layers/1/pause/why 'Takes a snapshot.'
	json json /layers/1/verdict volume-paused
	says resumed 'is resumed and currently paused.'
	says resumed 'Takes a snapshot.'
}

watch_veto()
{
	start_watch --json
	hold "$mnt/file"
	message mid veto 13 'Scans what is read.'
	message mid allow
	message mid pause 'Takes a snapshot.'
	message mid resume
	release
	wait_for grep -q '"event": *"resume"' events
	kill "$watch_pid"
	finish_watch
	grep '"event": *"veto"' events | head -n 1 >event
	json event /driver bpio-filter
	json event /layer/node /dev/mapper/mid
	json event /device/node /dev/mapper/vol
	json event /reason/text 'Scans what is read.'
	json event /status_name EACCES
	json event /support partial
	grep '"event": *"pause"' events >event
	json event /device/node /dev/mapper/mid
	json event /driver bpio-filter
	json event /reason/text 'Takes a snapshot.'
}

# What state says of the flag: blocked VALUE. A volume whose stack was suspended
# asks it again when it is read.
blocked()
{
	echo >&"$hold_in"
	read -r -t 60 _ <&"$hold_out"
	bpio state --json vol >out || [ $? -eq 10 ]
	[ "$(member out /filter_attach_blocked)" = "$1" ]
}

# A layer that was not there when bypass was enabled
attach_blocked()
{
	local size

	size=$(sectors "$BPIO_NVME_A1")
	hold "$mnt/file"
	reload mid "0 $size linear $BPIO_NVME_A1 0"
	wait_for blocked true
	json out /layer_type linear
	expect 10 bpio state vol
	cp out text
	reload mid "0 $size $middle $BPIO_NVME_A1 0"
	wait_for blocked false
	expect 0 bpio state vol
	reads direct
	release
	says text '    Blocked: a layer that appeared after BypassIO was enabled'
	says text '    Driver: linear (/dev/mapper/mid)'
}

nothing_left()
{
	expect 0 bpio info --json vol
	json out /active_files 0
	json out /pauses '[ ]'
}

middle=bpio
[ "$filters" = no ] || middle=bpio-filter
dmsetup create mid --table \
	"0 $(sectors "$BPIO_NVME_A1") $middle $BPIO_NVME_A1 0"
set_up /dev/mapper/mid
it "stack shows a row for each layer, top to bottom" stack_full
it "stack names what does not take part, what is below it, and who should agree" \
	stack_partial
it "stack counts on everybody below a layer that does not take part" \
	stack_several
it "A device below two others is shown once, and below it nothing twice" \
	stack_shared
it "stack shows storage that does not take part" stack_other_storage
it "stack needs no more than permission to open the mapped device" \
	stack_unprivileged
it "stack counts the reads that a layer saw and those that went past it" \
	stack_counts
for path in vol /dev/mapper/vol "$mnt"; do
	it "pause and resume take a volume by ${path/#$WORK\//}; state, stack, info, list tell" \
		pause_volume "$path"
done
it "A volume with nothing enabled can be paused, and stays so" pause_idle
it "pause and resume take a file, and leave the others" pause_file
it "A file that nobody enabled is not paused, which is said" pause_file_idle
it "A path that could mean two things is refused" ambiguous
it "A volume is paused and enabled by who may write it, without root" \
	pause_rights
it "A file is paused by who may do so to its volume, not by its readers" \
	pause_file_rights
it "enable lets unmodified reads skip the layers, until disable" enable_volume
it "enable tells when not all of them are skipped" enable_partial
it "The switch of the module is told by state, info, stack and list" switched_off
it "state tells what keeps reads from going direct for now" obstacle
it "A suspended volume is an error that says so" suspended
it "A mapped device without a node is an error that says what to do" no_node
it "A stock target above a volume does not pass for it" stock_above
it "watch shows events of files and volumes, one JSON object a line" watch_json
it "watch shows a line of text for each event" watch_text
it "watch shows when a volume loses its route, and when it has it back" \
	watch_support
it "watch needs no permission" watch_unprivileged
it "watch hands out each event at once, and ends with its reader" watch_pipe
with_filters "A layer that vetoes is named, with its device and its words" \
	veto_volume
with_filters "state --all has the words of all who veto, state of the first" \
	veto_all
with_filters "A layer that vetoes a file is named, and other files are not concerned" \
	veto_file
it "A module of somebody else vetoes a volume and a file in its own words" \
	third_party
with_filters "A layer that paused itself is told with its words; resume leaves it so" \
	pause_layer
with_filters "watch shows vetoes and pauses of layers with their words" \
	watch_veto
it "A stock layer that appears blocks the bypass until it is gone" \
	attach_blocked
it "In the end nothing is left enabled or paused" nothing_left
tear_down
dmsetup remove mid
finish
