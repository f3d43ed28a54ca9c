#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# bpio attach, detach and list --files with processes that run. As root in a guest
# of selftests/vm; see guest.sh.
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")/userspace
# shellcheck source=volumes.sh
. "$here/volumes.sh"

NOBODY=(setpriv --reuid=65534 --regid=65534 --clear-groups)

# start [COMMAND...]: the program that does what it is asked, started by COMMAND,
# with its number in pid
start()
{
	rm -f orders answers
	mkfifo -m 666 orders answers
	"$@" obey <orders >answers 2>/dev/null &
	pid=$!
	exec 8>orders 9<answers
	# the program itself, not what starts it
	[ "$(ask dup 0)" -gt 2 ]
}

# ask WORD...: the answer to an order
ask()
{
	local answer

	echo "$*" >&8
	read -r -t 30 answer <&9
	echo "$answer"
}

# Let it end.
stop()
{
	exec 8>&- 9<&-
	wait "$pid"
}

direct_reads()
{
	bpio info --json vol | json-get /direct_reads
}

# direct COMMAND...: how many reads went direct while it ran
direct()
{
	local before

	before=$(direct_reads)
	"$@" >/dev/null
	echo $(($(direct_reads) - before))
}

is_enabled()
{
	grep -q ^bpio-armed: "/proc/$1/fdinfo/$2"
}

running_static()
{
	local fd

	start
	fd=$(ask open "$mnt/file" direct)
	[ "$(ask read "$fd" 8)" -eq 8 ]
	refute is_enabled "$pid" "$fd"
	[ "$(direct ask read "$fd" 8)" -eq 0 ]
	expect 0 bpio attach "$pid"
	says out "bpio attach: process $pid (obey), 1 file enabled."
	says out "    Descriptor $fd: $mnt/file: direct from now on"
	[ "$(direct ask read "$fd" 8)" -eq 8 ]
	stop
}

not_affected()
{
	local fd

	start
	fd=$(ask open "$mnt/file" direct)
	expect 0 bpio attach -q "$pid"
	[ ! -s out ] && [ ! -s err ]
	# what attach itself had open is closed
	[ "$(ask close "$fd")" -eq 0 ]
	expect 0 bpio info --json vol
	json out /active_files 0
	stop
}

json_members()
{
	local fd

	start
	fd=$(ask open "$mnt/file" direct)
	ask open "$WORK/orders" path >/dev/null
	expect 0 bpio attach --json "$pid"
	json out /command attach
	json out /pid "$pid"
	json out /program obey
	json out /exit_status 0
	json out /files/0/path "$mnt/file"
	json out /files/0/descriptors/0 "$fd"
	json out /files/0/result enabled
	json out /files/0/support full
	json out /files/0/direct true
	refute json-get /files/1 <out
	stop
}

again()
{
	local fd

	start
	fd=$(ask open "$mnt/file" direct)
	expect 0 bpio attach "$pid"
	expect 0 bpio attach --json "$pid"
	json out /files/0/result enabled
	[ "$(direct ask read "$fd" 4)" -eq 4 ]
	stop
}

shared_descriptors()
{
	local first second apart

	start
	first=$(ask open "$mnt/file" direct)
	second=$(ask dup "$first")
	apart=$(ask open "$mnt/file" direct)
	expect 0 bpio attach "$pid"
	says out "2 files enabled"
	says out "    Descriptors $first, $second: $mnt/file: direct"
	says out "    Descriptor $apart: $mnt/file: direct"
	stop
}

globs()
{
	local fd other

	cp "$mnt/file" "$mnt/other"
	sync
	start
	fd=$(ask open "$mnt/file" direct)
	other=$(ask open "$mnt/other" direct)
	expect 0 bpio attach --file "$mnt/ot*" "$pid"
	says out "$mnt/other"
	refute grep "$mnt/file" out
	[ "$(direct ask read "$fd" 4)" -eq 0 ]
	[ "$(direct ask read "$other" 4)" -eq 4 ]
	cd "$mnt"
	expect 0 bpio attach -f nothing -f 'fi*' --json "$pid"
	json out /files/0/path "$mnt/file"
	rm out err
	expect 1 bpio attach -f '/mnt*/nothing' "$pid"
	says err "nothing was enabled: process $pid (obey) has no regular file open that matches"
	rm out err
	expect 2 bpio attach -f '' "$pid"
	says err 'expected a pattern for paths, but got ""'
	rm out err other
	cd "$WORK"
	stop
}

without_o_direct()
{
	local fd

	start
	fd=$(ask open "$mnt/file" cached)
	expect 0 bpio attach "$pid"
	says out "$mnt/file: enabled, but only reads with O_DIRECT go direct, and it is not set"
	expect 0 bpio attach --json "$pid"
	json out /files/0/direct false
	json out /files/0/obstacle/token not-direct
	[ "$(direct ask read "$fd" 4)" -eq 0 ]
	[ "$(ask direct "$fd")" -eq 0 ]
	[ "$(direct ask read "$fd" 4)" -eq 4 ]
	stop
}

refused()
{
	local fd

	start
	fd=$(ask open "$mnt/file" both)
	expect 11 bpio attach "$pid"
	says out "0 files enabled"
	says out "    Descriptor $fd: $mnt/file: refused: "
	says out "The descriptor is open for writing"
	expect 11 bpio attach --json "$pid"
	json out /exit_status 11
	json out /files/0/result refused
	json out /files/0/reason/token not-read-only
	# one that can be enabled is enough
	ask open "$mnt/lost+found/../file" direct >/dev/null
	expect 0 bpio attach --json "$pid"
	stop
}

not_direct_yet()
{
	local fd

	start
	fd=$(ask open "$mnt/file" direct)
	exec 7>>"$mnt/file"
	expect 0 bpio attach --json "$pid"
	exec 7>&-
	json out /files/0/result enabled
	json out /files/0/direct false
	json out /files/0/obstacle/token writer
	stop
}

partial()
{
	linear_below
	mkfs.ext4 -q /dev/mapper/upper
	mkdir -p upper
	mount /dev/mapper/upper upper
	head -c 65536 /dev/urandom >upper/file
	sync
	start
	ask open "$WORK/upper/file" direct >/dev/null
	expect 0 bpio attach --json "$pid"
	cp out partial
	expect 0 bpio attach "$pid"
	stop
	umount upper
	remove_both
	json partial /files/0/support partial
	json partial /files/0/reason/token layer-unaware
	says out 'file: direct from now on (partial: '
}

elsewhere()
{
	: >elsewhere
	start
	ask open "$WORK/elsewhere" cached >/dev/null
	expect 4 bpio attach "$pid"
	says err "nothing was enabled: process $pid (obey) has no file open on a bpio volume"
	expect 4 bpio attach --json "$pid"
	json out /error/exit_status 4
	ask open "$mnt/file" path >/dev/null
	expect 4 bpio attach "$pid"
	stop
}

no_number()
{
	local word verb

	for verb in attach detach; do
		for word in x '' 0 -1 1x 4294967297 99999999999999999999; do
			expect 2 bpio "$verb" -- "$word"
			says err "expected the number of a process, but got \"$word\""
		done
	done
	expect 2 bpio attach
	says err '"attach" expects PID, but got nothing'
}

no_process()
{
	local gone verb

	true &
	gone=$!
	wait "$gone"
	for verb in attach detach; do
		expect 1 bpio "$verb" "$gone"
		says err "there is no process $gone"
	done
	expect 1 bpio attach --follow "$gone"
	says err "there is no process $gone"
}

kernel_thread()
{
	expect 1 bpio attach 2
	says err 'process 2 (kthreadd) is a thread of the kernel, which has no files'
}

other_tasks()
{
	local thread zombie

	start
	thread=$(ask thread)
	expect 1 bpio attach "$thread"
	says err "$thread (obey) is a thread of process $pid; name the process"
	zombie=$(ask zombie)
	expect 1 bpio attach "$zombie"
	says err "process $zombie (obey) has ended, or its first thread has"
	ask leave >/dev/null
	wait_for grep -q '^State:.Z' "/proc/$pid/status"
	expect 1 bpio attach "$pid"
	says err "process $pid (obey) has ended, or its first thread has"
	stop
}

not_permitted()
{
	local verb

	start
	ask open "$mnt/file" direct >/dev/null
	for verb in attach detach 'attach --follow'; do
		# shellcheck disable=SC2086 # two words
		expect 3 "${NOBODY[@]}" bpio $verb "$pid"
		says err "not permitted to take descriptors of process $pid (obey): it requires the permission for ptrace(2), CAP_SYS_PTRACE or the same user"
	done
	expect 0 bpio info --json vol
	json out /active_files 0
	stop
}

set_scope()
{
	[ ! -e /proc/sys/kernel/yama/ptrace_scope ] ||
		echo "$1" >/proc/sys/kernel/yama/ptrace_scope
}

own_process()
{
	local fd

	chmod 755 "$WORK" "$mnt"
	chmod 644 "$mnt/file"
	set_scope 0
	start "${NOBODY[@]}"
	fd=$(ask open "$mnt/file" direct)
	expect 0 "${NOBODY[@]}" bpio attach "$pid"
	[ "$(direct ask read "$fd" 8)" -eq 8 ]
	stop
}

restricted_ptrace()
{
	start "${NOBODY[@]}"
	ask open "$mnt/file" direct >/dev/null
	set_scope 1
	expect 3 "${NOBODY[@]}" bpio attach "$pid"
	set_scope 0
	says err 'or the same user, whom kernel.yama.ptrace_scope restricts: it is 1'
	stop
}

detach()
{
	local fd

	start
	fd=$(ask open "$mnt/file" direct)
	expect 1 bpio detach "$pid"
	says err "nothing was disabled: process $pid (obey) has no file open for which BypassIO is enabled"
	expect 0 bpio attach "$pid"
	ask read "$fd" 8 >/dev/null
	expect 1 bpio detach -f '*/nothing' "$pid"
	says err "has no file open that matches for which BypassIO is enabled"
	expect 0 bpio detach "$pid"
	says out "bpio detach: process $pid (obey), 1 file disabled."
	says out "    Descriptor $fd: $mnt/file: disabled; it had 8 direct reads and 0 fall-back reads"
	[ "$(direct ask read "$fd" 8)" -eq 0 ]
	expect 1 bpio detach "$pid"
	expect 0 bpio attach "$pid"
	[ "$(direct ask read "$fd" 8)" -eq 8 ]
	expect 0 bpio detach --json "$pid"
	json out /command detach
	json out /files/0/result disabled
	json out /files/0/direct_reads 16
	json out /files/0/fallback_reads 8
	stop
}

# follow [OPTION...]: bpio attach --follow in the background, output in followed
follow()
{
	# or followed_says would find the output of the test before
	: >followed
	setsid env --default-signal=INT bpio attach --follow "$@" "$pid" \
		>followed 2>&1 8>&- 9<&- &
	follower=$!
}

followed_says()
{
	wait_for grep -qF -- "$1" followed || complain "$(<followed)"
}

follow_later()
{
	local first second

	start
	follow
	first=$(ask open "$mnt/file" direct)
	followed_says "    Descriptor $first: $mnt/file: direct from now on"
	[ "$(direct ask read "$first" 8)" -eq 8 ]
	second=$(ask open "$mnt/file" direct)
	followed_says "    Descriptor $second: $mnt/file: direct from now on"
	[ "$(direct ask read "$second" 4)" -eq 4 ]
	# the same number, another open file
	ask close "$second" >/dev/null
	[ "$(ask open "$mnt/file" direct)" -eq "$second" ]
	wait_for is_enabled "$pid" "$second"
	[ "$(direct ask read "$second" 4)" -eq 4 ]
	stop
	wait "$follower"
	[ "$(grep -c 'direct from now on' followed)" -eq 3 ]
	says followed "bpio attach: process $pid (obey) ended."
	says followed '    Direct reads: 16'
	says followed '    Fall-back reads: 0'
}

# Each answer of the kernel is printed once, however often it is looked at.
follow_refused()
{
	: >"$mnt/written"
	start
	ask open "$mnt/written" both >/dev/null
	follow
	followed_says 'refused: '
	ask open "$mnt/file" direct >/dev/null
	followed_says 'direct from now on'
	sleep 1
	stop
	wait "$follower"
	rm "$mnt/written"
	[ "$(grep -c 'refused: ' followed)" -eq 1 ]
	says followed '    Refused: 1 not-read-only'
}

# A file that was detached stays disabled.
follow_detached()
{
	local fd

	start
	fd=$(ask open "$mnt/file" direct)
	follow
	followed_says 'direct from now on'
	expect 0 bpio detach "$pid"
	sleep 1
	[ "$(direct ask read "$fd" 8)" -eq 0 ]
	stop
	wait "$follower"
	[ "$(grep -c 'direct from now on' followed)" -eq 1 ]
}

follow_signals()
{
	local signal fd

	start
	fd=$(ask open "$mnt/file" direct)
	for signal in INT TERM; do
		follow
		followed_says 'Descriptor'
		ask read "$fd" 4 >/dev/null
		kill -"$signal" "$follower"
		wait "$follower" || complain "SIG$signal: status $?"
		says followed "bpio attach: process $pid (obey) goes on."
	done
	# what was enabled stays so
	[ "$(direct ask read "$fd" 4)" -eq 4 ]
	stop
}

follow_killed()
{
	local fd

	start
	fd=$(ask open "$mnt/file" direct)
	follow
	followed_says 'Descriptor'
	ask read "$fd" 8 >/dev/null
	kill -9 "$pid"
	wait "$follower"
	says followed '    Direct reads: 8'
	stop || true
}

# It waits for what the process opens, and for signals.
follows()
{
	[ -n "$(find "/proc/$follower/fd" -lname '*signalfd*')" ]
}

follow_nothing()
{
	start
	follow
	wait_for follows
	kill "$follower"
	wait "$follower" && complain "status 0"
	says followed "nothing was enabled: process $pid (obey) has no regular file open"
	stop
}

follow_json()
{
	local fd

	start
	fd=$(ask open "$mnt/file" direct)
	follow --json
	followed_says '"enabled"'
	ask read "$fd" 8 >/dev/null
	stop
	wait "$follower"
	[ "$(wc -l <followed)" -eq 2 ]
	head -n 1 followed >first
	tail -n 1 followed >last
	json first /command attach
	json first /file/path "$mnt/file"
	json first /file/descriptors/0 "$fd"
	json first /file/result enabled
	json last /pid "$pid"
	json last /ended true
	json last /exit_status 0
	json last /direct_reads 8
	json last /fallback_reads 0
}

# However the process and bpio meet, bpio says what happened.
# dd opens the file at another number first and then moves it to 0, and is seen
# before, between and after.
ends_meanwhile()
{
	local i status

	for ((i = 0; i < 30; i++)); do
		dd if="$mnt/file" iflag=direct of=/dev/null bs=4k \
			count=$((i * 20)) status=none &
		status=0
		timeout 60 bpio attach $! >out 2>err || status=$?
		wait $!
		case $status in
		0) grep -qE "Descriptors? [0-9, ]+: $mnt/file: direct" out ;;
		1) grep -qE 'there is no process|has ended|no regular file' err ;;
		4) says err 'on a bpio volume' ;;
		*) complain "status $status: $(<err)" ;;
		esac
	done
	expect 0 bpio info --json vol
	json out /active_files 0
}

files()
{
	local fd

	expect 0 bpio list --files
	says out 'No visible process has BypassIO enabled for a file.'
	start
	fd=$(ask open "$mnt/file" direct)
	expect 0 bpio attach "$pid"
	ask read "$fd" 8 >/dev/null
	expect 0 bpio list --files
	grep -qE "^FILE +DEVICE +HOLDERS +DIRECT +FALLBACK +STATE$" out
	grep -qE "^$mnt/file +/dev/mapper/vol +obey\[$pid\]:$fd +8 +0 +armed$" out
	expect 0 bpio list --files --json "$mnt"
	json out /files/0/path "$mnt/file"
	json out /files/0/volume/node /dev/mapper/vol
	json out /files/0/holders/0/pid "$pid"
	json out /files/0/holders/0/command obey
	json out /files/0/holders/0/descriptor "$fd"
	json out /files/0/armed true
	json out /files/0/direct_reads 8
	json out /files/0/direct_bytes 32768
	json out /files/0/fallback_reads 0
	json out /hidden_processes 0
	refute json-get /files/1 <out
	stop
}

# What list --files says of its only file: armed_is PATH VALUE
armed_is()
{
	bpio list --files --json "$1" >armed
	[ "$(json-get /files/0/armed <armed)" = "$2" ]
}

files_not_armed()
{
	local fd

	start
	fd=$(ask open "$mnt/file" direct)
	expect 0 bpio attach "$pid"
	exec 7>>"$mnt/file"
	wait_for armed_is "$mnt" false
	ask read "$fd" 3 >/dev/null
	expect 0 bpio list --files
	cp out text
	expect 0 bpio list --files --json
	exec 7>&-
	stop
	says text 'The file is open for writing or mapped shared and writable. Fell back: '
	json-get /files/0/fallback_by_reason <out | grep -q '"\(writer\|revoked\)": *[0-9]'
	json out /files/0/armed false
	json out /files/0/reason/token writer
}

# A file without a block: each read is the file system's.
files_fell_back()
{
	local fd

	truncate -s 64K "$mnt/hole"
	sync
	start
	fd=$(ask open "$mnt/hole" direct)
	expect 0 bpio attach "$pid"
	wait_for armed_is "$mnt" true
	ask read "$fd" 3 >/dev/null
	expect 0 bpio list --files
	cp out text
	expect 0 bpio list --files --json
	stop
	rm "$mnt/hole"
	says text ' armed; fell back: 3 unmapped'
	json out /files/0/fallback_by_reason/unmapped 3
}

files_shared()
{
	local fd child copy

	start
	fd=$(ask open "$mnt/file" direct)
	copy=$(ask dup "$fd")
	ask open "$mnt/file" direct >/dev/null
	expect 0 bpio attach "$pid"
	child=$(ask fork)
	expect 0 bpio list --files --json
	json out /files/0/holders/0/descriptor "$fd"
	json out /files/0/holders/1/descriptor "$copy"
	json out /files/0/holders/2/pid "$child"
	json out /files/0/holders/3/pid "$child"
	refute json-get /files/0/holders/4 <out
	json out /files/1/holders/1/pid "$child"
	refute json-get /files/2 <out
	kill "$child"
	stop
}

# bpio inherits the open file too, but must not list itself as a holder.
files_own()
{
	exec 7<"$mnt/file"
	expect 0 bpio attach "$BASHPID"
	says out "    Descriptor 7: $mnt/file: enabled"
	expect 0 bpio list --files "$mnt"
	exec 7<&-
	says out "[$BASHPID]:7"
	refute grep 'bpio\[' out
}

# A mapping keeps the open file enabled when no descriptor leads to it.
files_not_found()
{
	local fd

	start
	fd=$(ask open "$mnt/file" direct)
	expect 0 bpio attach "$pid"
	[ "$(ask map "$fd")" -eq 0 ]
	expect 0 bpio list --files "$mnt"
	refute grep 'not found' out
	ask close "$fd" >/dev/null
	expect 0 bpio list --files "$mnt"
	says out 'No visible process has BypassIO enabled'
	says out 'Enabled open files of this volume that were not found: 1; see bpio(1).'
	expect 0 bpio list --files --json "$mnt"
	json out /active_files 1
	stop
}

files_of_volume()
{
	new_volume second "$BPIO_NVME_B1"
	start
	ask open "$mnt/file" direct >/dev/null
	expect 0 bpio attach "$pid"
	expect 0 bpio list --files second
	dmsetup remove second
	says out 'No visible process has BypassIO enabled for a file of this volume.'
	expect 0 bpio list --files "$mnt/lost+found"
	says out "$mnt/file"
	expect 4 bpio list --files /
	says err '"/" is not on a bpio volume'
	expect 4 "${NOBODY[@]}" bpio list --files /
	expect 0 "${NOBODY[@]}" bpio list --files "$mnt"
	expect 1 bpio list --files /no/such/path
	expect 2 bpio list "$mnt"
	says err "\"list\" expects no argument, but got \"$mnt\" too; \"list --files\" takes a path"
	stop
}

files_unprivileged()
{
	local own

	start
	ask open "$mnt/file" direct >/dev/null
	expect 0 bpio attach "$pid"
	expect 0 "${NOBODY[@]}" bpio list --files
	says out 'No visible process has BypassIO enabled'
	grep -qE '^Processes that cannot be inspected: [1-9][0-9]*; root sees all\.$' out
	stop
	start "${NOBODY[@]}"
	ask open "$mnt/file" direct >/dev/null
	expect 0 bpio attach "$pid"
	own=$pid
	expect 0 "${NOBODY[@]}" bpio list --files --json
	json out /files/0/path "$mnt/file"
	json out /files/0/holders/0/pid "$own"
	[ "$(json-get /hidden_processes <out)" -gt 0 ]
	stop
}

no_module()
{
	unload_modules
	expect 1 bpio attach $$
	modprobe dm-bpio
	says err 'cannot open /dev/bpio: '
	says err 'is the module dm-bpio loaded?'
}

set_up "$BPIO_NVME_A1"
it "Reads of a static program that runs go direct after attach, not before" \
	running_static
it "attach leaves nothing of its own in the process or on the volume" \
	not_affected
it "attach tells of process and files as JSON" json_members
it "attach can be repeated" again
it "Descriptors that share an open file are one file of attach" \
	shared_descriptors
it "Only files that match --file are attached" globs
it "A file without O_DIRECT is enabled and goes direct when it is set" \
	without_o_direct
it "A file that is open for writing is refused with a sentence" refused
it "A file that somebody writes is enabled and not direct yet" not_direct_yet
it "What keeps an attached file from full bypass is named" partial
it "A process whose files are elsewhere is told so" elsewhere
it "What is no number of a process is quoted" no_number
it "A process that is not there is an error that says so" no_process
it "A thread of the kernel has no files" kernel_thread
it "Threads and ended processes are told from processes" other_tasks
it "attach and detach take what ptrace takes" not_permitted
it "A user attaches to a process of the same user" own_process
if [ -e /proc/sys/kernel/yama/ptrace_scope ]; then
	it "When ptrace is restricted the error says so" restricted_ptrace
else
	skip "When ptrace is restricted the error says so" "no Yama here"
fi
it "detach gives the reads back to the file system" detach
it "attach --follow enables files that are opened later, and counts" \
	follow_later
it "attach --follow prints a refusal once" follow_refused
it "attach --follow leaves alone what was detached" follow_detached
it "attach --follow ends by SIGINT and SIGTERM, and leaves files enabled" \
	follow_signals
it "attach --follow counts the reads of a process that is killed" follow_killed
it "attach --follow that never found a file says so" follow_nothing
it "attach --follow --json prints an object a line" follow_json
it "A process that ends meanwhile does not confuse attach" ends_meanwhile
it "list --files shows files, holders, reads and state" files
it "list --files tells why a file is not armed" files_not_armed
it "list --files tells why reads of an armed file have fallen back" \
	files_fell_back
it "list --files joins the descriptors that share an open file" files_shared
it "list --files leaves out the descriptors of bpio itself" files_own
it "list --files counts what no descriptor leads to" files_not_found
it "list --files takes a path on the volume" files_of_volume
it "list --files shows a user the user's own, and that there are others" \
	files_unprivileged
tear_down
it "Without the module attach says what to load" no_module
finish
