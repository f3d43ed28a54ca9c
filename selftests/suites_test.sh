#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# "suites" with a substitute for a public suite, which has xfstests' interface and a few
# commands instead of tests.
# shellcheck source=lib.sh
. "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/lib.sh"

work=$(mktemp -d)

make_checkout()
{
	cat >"$work/check" <<'END'
#!/bin/bash
set -e
. "$HOST_OPTIONS"
case $1 in
good)
	mount "$TEST_DEV" "$TEST_DIR"
	trap 'umount "$TEST_DIR"' EXIT
	dd if=/dev/urandom of="$TEST_DIR/file" bs=64k count=16 conv=fsync
	dd if="$TEST_DIR/file" bs=64k iflag=direct | cmp - "$TEST_DIR/file"
	mkfs."$FSTYP" -q "$SCRATCH_DEV" -f 2>&1 || mkfs."$FSTYP" -q -F "$SCRATCH_DEV"
	;;
bad) exit 1 ;;
picky) dmsetup table "$TEST_DEV" | grep -q ' linear ' ;;
absent) echo "$1 [not run] it needs something" ;;
slow) sleep 100 ;;
esac
END
	chmod 755 "$work/check"
}

# suites ARGUMENT...: its output lands in $work/said, its status in $status
suites()
{
	status=0
	bounded "$HERE/suites" --suite xfstests --device "$NVME" \
		--scratch "$NVME2" --results "$work/results" "$@" \
		>"$work/said" 2>&1 || status=$?
	cat "$work/said"
}

# result WAY TEST
result()
{
	jq -r --arg way "$1" --arg test "$2" '.tests[] |
		select(.way == $way and .test == $test).result' "$work/results"
}

tells_what_passes_fails_and_does_not_run()
{
	local way

	suites "$work" good bad absent
	same "its status" 0 "$status"
	for way in linear idle volume run; do
		same "a good test ($way)" passed "$(result "$way" good)"
		same "a bad one ($way)" failed "$(result "$way" bad)"
		same "one that is not run ($way)" notrun "$(result "$way" absent)"
	done
	same "the summaries" 4 "$(grep -c ': 1 passed, 1 failed, 1 not run, 0 cut off' "$work/said")"
	same "direct reads of files in way run" true "$(jq '.ways[] |
		select(.way == "run").direct_reads > 0' "$work/results")"
}

fails_for_a_test_that_only_dm_linear_passes()
{
	suites --fs xfs --ways idle "$work" good picky
	same "its status" 1 "$status"
	same "on dm-linear" passed "$(result linear picky)"
	same "on a bpio volume" failed "$(result idle picky)"
	grep -q '^idle: .*; only dm-linear passes: picky' "$work/said"
}

cuts_off_a_test_that_does_not_end()
{
	suites --ways linear --timeout 2 "$work" slow good
	same "its status" 0 "$status"
	same "the slow test" timeout "$(result linear slow)"
	same "the one after it" passed "$(result linear good)"
}

keeps_readers_going_that_verify_direct_reads()
{
	suites --ways idle --readers "$work" good
	same "its status" 0 "$status"
	same "what they read" "right right" \
		"$(jq -r '[.ways[].readers] | join(" ")' "$work/results")"
	same "direct reads" true "$(jq '.ways[] |
		select(.way == "idle") | .direct_reads > .fallback_reads' \
		"$work/results")"
}

# refuses SENTENCE ARGUMENT...
refuses()
{
	local sentence=$1
	shift

	suites "$@"
	same "its status" 2 "$status"
	grep -q -F -e "$sentence" "$work/said" || fail "it does not say: $sentence"
}

refuses_what_it_cannot_do_in_one_sentence()
{
	refuses "expected a checkout and the names of tests" "$work"
	refuses "there is no program /nowhere/check" /nowhere good
	refuses "no way is called 'other'" --ways other "$work" good
	refuses "expected --fs ext4 or xfs, found 'ext5'" --fs ext5 "$work" good
	refuses "found '/dev/null'" --device /dev/null "$work" good
	refuses "found 'ltp'" --suite ltp "$work" good
}

make_checkout
plan 5
it "what passes, fails and does not run is told apart in every way" \
	tells_what_passes_fails_and_does_not_run
it "a test that only dm-linear passes is named and makes it fail" \
	fails_for_a_test_that_only_dm_linear_passes
it "a test that does not end is cut off and the next one runs" \
	cuts_off_a_test_that_does_not_end
it "readers go on beside the suite, direct, and what they read is verified" \
	keeps_readers_going_that_verify_direct_reads
it "what cannot be done is refused in one sentence" \
	refuses_what_it_cannot_do_in_one_sentence
rm -r "$work"
ktap_finished
