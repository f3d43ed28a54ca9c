# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Common parts of the test scripts. Sourced, never run.
#
# A script calls "plan N", then "it NAME FUNCTION" for each test. A test is a
# function that returns 0, or prints why it failed and returns another value; "skip
# SENTENCE" in it ends it as skipped. It runs in a subshell with "set -e", so that no
# failed command is overlooked.
set -euo pipefail

HERE=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
PREFIX=bpio-test-
MNT_PREFIX=/run/$PREFIX

for helpers in "$HERE/../kselftest/ktap_helpers.sh" \
	"${KSELFTEST_SRC:-/nonexistent}/kselftest/ktap_helpers.sh"; do
	[ -e "$helpers" ] || continue
	# shellcheck source=/dev/null
	. "$helpers"
	break
done
[ -n "${KTAP_TESTNO-}" ] || {
	echo "Bail out! kselftest/ktap_helpers.sh is not found"
	exit 1
}

SKIP_STATUS=4

# bounded COMMAND...: run a command that could wait for a device, with a time limit
bounded()
{
	local status=0

	timeout --kill-after=5 240 "$@" || status=$?
	case $status in
	124 | 137) echo "stopped after 240 s: $*" >&2 ;;
	esac
	return "$status"
}

dm()
{
	bounded dmsetup "$@"
}

diagnose()
{
	sed 's/^/# /'
}

# shellcheck disable=SC2317 # called by the tests
skip()
{
	printf '%s' "$*" >"$SKIP_FILE"
	exit "$SKIP_STATUS"
}

# Remove what a test has left behind.
sweep()
{
	"$HERE/sweep" 2>&1 | diagnose
}

finish()
{
	local status=$?

	rm -f "$SKIP_FILE"
	if ! sweep; then
		echo "Bail out! what a test made cannot be taken down"
		status=1
	fi
	exit "$status"
}

plan()
{
	ktap_print_header
	[ "$(id -u)" -eq 0 ] || { ktap_skip_all "the tests need root"; exit 4; }
	[ -n "${BPIO_NVME_A1-}" ] || [ "${BPIO_TEST_DEVICES-}" = 1 ] || {
		ktap_skip_all "the tests destroy the contents of NVMe devices;" \
			"allow it with BPIO_TEST_DEVICES=1 or name one in BPIO_NVME_A1"
		exit 4
	}
	find_devices
	[ -n "$NVME" ] || { ktap_skip_all "there is no NVMe namespace"; exit 4; }
	SKIP_FILE=$(mktemp)
	trap finish EXIT
	sweep
	ktap_set_plan "$1"
}

find_devices()
{
	local all=(/dev/nvme[0-9]n[0-9])

	[ -e "${all[0]}" ] || all=()
	NVME=${BPIO_NVME_A1:-${all[0]-}}
	NVME2=${BPIO_NVME_A2:-${all[1]-}}
	export NVME NVME2
}

# it NAME FUNCTION
it()
{
	local status=0 log

	log=$(mktemp)
	# without a pipe or "if", because both would disable "set -e" in the test
	set +e
	(
		set -eE
		# "[" prints nothing when it fails
		trap 'echo "${BASH_SOURCE##*/} line $LINENO: $BASH_COMMAND" >&2' ERR
		"$2"
	) >"$log" 2>&1
	status=$?
	set -e
	diagnose <"$log"
	rm -f "$log"
	sweep || status=1
	case $status in
	0) ktap_test_pass "$1" ;;
	"$SKIP_STATUS")
		# ktap_test_skip() has no room for a reason
		__ktap_test ok "$1" "SKIP $(cat "$SKIP_FILE")"
		KTAP_CNT_SKIP=$((KTAP_CNT_SKIP + 1))
		;;
	*) ktap_test_fail "$1" ;;
	esac
}

# Sentences for the log of a failed test.
fail()
{
	printf '%s\n' "$*"
	return 1
}

# says_why TEXT COMMAND...: expect the command to fail and the kernel's log to contain
# TEXT; its output is in $error
says_why()
{
	local text=$1 mark
	shift

	mark="bpio-test $RANDOM$RANDOM"
	echo "$mark" >/dev/kmsg
	# shellcheck disable=SC2034 # for the caller
	if error=$("$@" 2>&1); then
		fail "accepted: $*"
	fi
	dmesg | sed "0,/$mark/d" | grep -q -F -e "$text" || {
		dmesg | sed "0,/$mark/d"
		fail "refused without the words '$text': $*"
	}
}

# same WHAT EXPECTED FOUND
same()
{
	[ "$2" = "$3" ] || fail "$1: expected '$2', found '$3'"
}

# eventually SECONDS COMMAND...: repeat the command until it succeeds
eventually()
{
	local deadline=$((SECONDS + $1))
	shift

	until "$@"; do
		[ "$SECONDS" -lt "$deadline" ] || return 1
		sleep 0.05
	done
}

sectors()
{
	bounded blockdev --getsz "$1"
}

# create NAME LINE...: create a mapped device with these lines as its table
create()
{
	local name=$1
	shift

	printf '%s\n' "$@" | dm create "$PREFIX$name"
}

node()
{
	printf '/dev/mapper/%s%s' "$PREFIX" "$1"
}

# make_fs NAME: make ext4 on a mapped device, and mount it
make_fs()
{
	bounded mkfs.ext4 -q -F -m 0 -b 4096 \
		-E nodiscard,lazy_itable_init=1,lazy_journal_init=1 "$(node "$1")"
	mkdir -p "$MNT_PREFIX$1"
	bounded mount -t ext4 "$(node "$1")" "$MNT_PREFIX$1"
}

# start_reader NAME FILE: run reader.c on a file of a volume
start_reader()
{
	reader_dir=$(mktemp -d)
	mkfifo "$reader_dir/in" "$reader_dir/out"
	"$HERE/reader" read "$(node "$1")" "$2" \
		<"$reader_dir/in" >"$reader_dir/out" &
	reader_pid=$!
	trap kill_reader EXIT
	exec {reader_out}>"$reader_dir/in" {reader_in}<"$reader_dir/out"
	rm -r "$reader_dir"
	same "the reader's start" moves "$(reader_line)"
}

kill_reader()
{
	kill -KILL "$reader_pid" 2>/dev/null || true
	wait "$reader_pid" 2>/dev/null || true
}

reader_line()
{
	local line

	IFS= read -r -t 90 -u "$reader_in" line || {
		echo "(the reader gives no answer)"
		return 0
	}
	printf '%s' "$line"
}

# ask QUESTION: print the reader's answer, one line
ask()
{
	printf '%s\n' "$*" >&"$reader_out"
	reader_line
}

# End the reader; fails if a read was wrong.
stop_reader()
{
	local status=0

	trap - EXIT
	exec {reader_out}>&-
	wait "$reader_pid" || status=$?
	exec {reader_in}<&-
	[ "$status" -eq 0 ] || fail "a read was wrong, see above"
}
