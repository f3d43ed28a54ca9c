#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The tests of lease_test on XFS.
BPIO_TEST_FS=xfs exec "$(dirname "$(realpath "$0")")/lease_test" "$@"
