#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The tests of enable_race_test on XFS.
BPIO_TEST_FS=xfs exec "$(dirname "$(realpath "$0")")/enable_race_test" "$@"
