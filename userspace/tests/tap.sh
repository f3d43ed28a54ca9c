# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Tests in the Test Anything Protocol. A test is a sentence and a function or
# command that fails when the sentence is not true. To be sourced.
set -euo pipefail

: "${BUILD:?the build folder of userspace}"
# Where things are; used by the tests.
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export HERE
export PATH=$BUILD:$BUILD/tests:$PATH
export LC_ALL=C.UTF-8

tap_count=0
tap_failed=0
WORK=$(mktemp -d "${TMPDIR:-$BUILD/tests}/bpio-tests.XXXXXX")
trap 'rm -rf "$WORK"' EXIT

# it SENTENCE COMMAND [ARG...]
it()
{
	local sentence=$1 status=0

	shift
	tap_count=$((tap_count + 1))
	set +e
	(
		set -eE
		# "[" says nothing when it fails
		trap 'echo "${BASH_SOURCE##*/} line $LINENO: $BASH_COMMAND" >&2' ERR
		cd "$WORK"
		"$@"
	) >"$WORK/log" 2>&1
	status=$?
	set -e
	if [ "$status" -eq 0 ]; then
		printf 'ok %d - %s\n' "$tap_count" "$sentence"
		# figures
		sed -n 's/^# /#   /p' "$WORK/log"
	else
		printf 'not ok %d - %s\n' "$tap_count" "$sentence"
		sed 's/^/#   /' "$WORK/log"
		tap_failed=$((tap_failed + 1))
	fi
}

# skip SENTENCE REASON
skip()
{
	tap_count=$((tap_count + 1))
	printf 'ok %d - %s # SKIP %s\n' "$tap_count" "$1" "$2"
}

finish()
{
	printf '1..%d\n' "$tap_count"
	[ "$tap_failed" -eq 0 ]
}

# The number of reasons in the ABI
reason_count()
{
	grep -c '^	BPIO_REASON_[A-Z_]*	*= [0-9]*,$' \
		"$HERE/../uapi/linux/dm-bpio.h"
}

complain()
{
	printf '%s\n' "$*"
	return 1
}

# "!" in front of a command would keep its failure from ending the test.
refute()
{
	if "$@"; then
		complain "expected failure of \"$*\""
	fi
}

# expect STATUS COMMAND [ARG...]: output goes to the files out and err
expect()
{
	local want=$1 got=0

	shift
	timeout 60 "$@" >out 2>err || got=$?
	[ "$got" -eq "$want" ] || {
		cat out err
		complain "expected status $want of \"$*\", but got $got"
	}
}

# wait_for COMMAND...: until it succeeds
wait_for()
{
	local deadline=$((SECONDS + 60))

	until "$@" >/dev/null 2>&1; do
		[ "$SECONDS" -lt "$deadline" ] ||
			complain "\"$*\" has not come true"
		sleep 0.1
	done
}

# says FILE TEXT: the file contains the text
says()
{
	grep -qF -- "$2" "$1" || {
		cat "$1"
		complain "expected \"$2\" in $1"
	}
}

# json FILE POINTER VALUE: the member has the value
json()
{
	local got

	got=$(json-get "$2" <"$1") || complain "no $2 in $1"
	[ "$got" = "$3" ] || {
		cat "$1"
		complain "expected $2 to be \"$3\", but got \"$got\""
	}
}

# The kernel lists the listeners of its events, by process.
# listening PID: wait until the process listens to them
listening()
{
	until awk -v pid="$1" '$2 == 15 && $3 == pid { found = 1 }
		END { exit !found }' /proc/net/netlink; do
		kill -0 "$1" || complain "bpio watch ended"
	done
}
