#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Run the oracle (stress/) for a while: it does everything that may change a file or the
# stack at the same time, and judges every byte that is read with bypass. "make stress"
# runs it for longer; BPIO_STRESS_SECONDS sets the time here.
# shellcheck source=lib.sh
. "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/lib.sh"

seconds=${BPIO_STRESS_SECONDS:-30}

# judged FS [OPTION]...: run the oracle on a file system
judged()
{
	timeout --kill-after=10 $((seconds + 200)) "$HERE/oracle" --fs "$@" \
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

# it reuses freed blocks sooner
on_xfs_without_shared_blocks()
{
	judged xfs --mkfs '-m reflink=0'
}

what="no read of an enabled file is wrong whatever happens to files and stack"
plan 3
it "$what, on ext4" on_ext4
it "$what, on XFS" on_xfs
it "$what, on XFS without shared blocks" on_xfs_without_shared_blocks
ktap_finished
