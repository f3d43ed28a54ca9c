#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Everything that may change a file or the stack happens at once for a while,
# and every byte that is read on a handle is judged. "make stress" does it for
# longer; BPIO_STRESS_SECONDS tells how long here.
# shellcheck source=lib.sh
. "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/lib.sh"

seconds=${BPIO_STRESS_SECONDS:-40}

# judged FS
judged()
{
	timeout --kill-after=10 $((seconds + 200)) "$HERE/oracle" --fs "$1" \
		--seconds "$seconds"
}

on_ext4()
{
	judged ext4
}

on_xfs()
{
	judged xfs
}

plan 2
it "no read on a handle is wrong whatever happens to files and stack, on ext4" \
	on_ext4
it "no read on a handle is wrong whatever happens to files and stack, on XFS" \
	on_xfs
ktap_finished
