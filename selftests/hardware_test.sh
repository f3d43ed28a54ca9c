#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The benchmark for real hardware refuses what it cannot measure, and measures the rest.
# The times here are those of an emulated device.
# shellcheck source=lib.sh
. "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/lib.sh"

MIB=2048	# sectors
TOOL=$HERE/hardware

# A volume with a file, or without bypass: set_up TABLE
set_up()
{
	create vol "0 $((96 * MIB)) $1 $NVME 0"
	make_fs vol
	file=${MNT_PREFIX}vol/file
	bounded dd if=/dev/urandom of="$file" bs=1M count=16 conv=fsync \
		status=none
}

tear_down()
{
	bounded umount "${MNT_PREFIX}vol"
	dm remove --retry "${PREFIX}vol"
}

# refused SENTENCE ARGUMENT...: with status 2, before anything is read
refused()
{
	local sentence=$1 status=0 said
	shift

	said=$(bounded "$TOOL" "$@" 2>&1) || status=$?
	same "the status of '$*'" 2 "$status"
	[[ $said == *"$sentence"* ]] || fail "'$*' was answered with: $said"
}

refuse_arguments()
{
	set_up bpio
	refused "--file says what to read"
	refused "--file needs a value" --file
	refused "unknown argument" --fill
	refused "there is no file" --file "${MNT_PREFIX}vol/other"
	refused "there is no file" --file "${MNT_PREFIX}vol"
	refused "no block device" --file "$file" --device /dev/null
	refused "no such engine" --file "$file" --engines psync,mmap
	refused "--sizes wants" --file "$file" --sizes 4k,big
	refused "--depths wants" --file "$file" --depths 0
	refused "--runtime wants" --file "$file" --runtime 1m
	bounded truncate -s 15M "$file"
	refused "smaller than 16 MiB" --file "$file"
	tear_down
}

refuse_file_without_bypass()
{
	set_up linear
	refused "cannot be bypassed" --file "$file"
	tear_down
}

measure()
{
	local before

	type -P fio jq >/dev/null || skip "fio or jq is not installed"
	set_up bpio
	before=$(sha256sum "$file")
	timeout 600 "$TOOL" --file "$file" --device "$NVME" --runtime 1 \
		--engines psync,libaio,io_uring --sizes 4k --depths 1,4 \
		--json "$SKIP_FILE.json" >"$SKIP_FILE.out" || {
		cat "$SKIP_FILE.out"
		fail "rows failed"
	}
	same "the summary" "15 passed, 0 failed, 0 skipped" \
		"$(tail -n 1 "$SKIP_FILE.out")"
	same "rows with figures" 15 "$(jq '[.figures[] |
		select(.reads > 0 and .mean_us > 0 and .cpu_us > 0)] | length' \
		"$SKIP_FILE.json")"
	rm -f "$SKIP_FILE.json" "$SKIP_FILE.out"
	same "the file" "$before" "$(sha256sum "$file")"
	tear_down
}

# A writer keeps reads from going direct: no figure may pass for bypass then.
fail_without_bypass()
{
	local status=0 said

	type -P fio jq >/dev/null || skip "fio or jq is not installed"
	set_up bpio
	exec {writer}<>"$file"
	said=$(timeout 200 "$TOOL" --file "$file" --runtime 1 --engines psync \
		--sizes 4k --depths 1) || status=$?
	exec {writer}>&-
	same "the status" 1 "$status"
	[[ $said == *"FAILED: enabled/psync/4k/1"* ]] || fail "it said: $said"
	same "the summary" "1 passed, 1 failed, 0 skipped" \
		"$(tail -n 1 <<<"$said")"
	tear_down
}

plan 4
it "arguments that make no sense are refused with a sentence" refuse_arguments
it "a file that cannot be bypassed is refused" refuse_file_without_bypass
it "device, file and enabled file are measured by each engine, and not changed" measure
it "a row of an enabled file whose reads fall back has failed" fail_without_bypass
