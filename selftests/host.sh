# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Common parts of the scripts that run on the host. Sourced, never run.

SELFTESTS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TOP=$(dirname "$SELFTESTS")
BUILD=${BUILD:-$TOP/build}
RESULTS=$BUILD/results
export SELFTESTS TOP BUILD RESULTS

# Types of messages that checkpatch does not print for tests, because tests: consist of
# macros, those of kselftest's harness and some that keep the caller's line in messages;
# use functions, attributes and types of the C library, and not the kernel's BIT();
# get ENOSYS from kernels that lack something; print words that are also names of
# functions; and have "FIXTURE_DATA(x) *self", which looks like a multiplication.
TEST_TYPES=BIT_MACRO,BRACES,CAMELCASE,COMPLEX_MACRO,ENOSYS,MACRO_ARG_REUSE
TEST_TYPES+=,EMBEDDED_FUNCTION_NAME,MACRO_ARG_UNUSED,MACRO_WITH_FLOW_CONTROL
TEST_TYPES+=,PREFER_KERNEL_TYPES,SSCANF_TO_KSTRTO
TEST_TYPES+=,PREFER_DEFINED_ATTRIBUTE_MACRO,PREFER_FALLTHROUGH,SPACING
TEST_TYPES+=,SPLIT_STRING,STATIC_CONST_CHAR_ARRAY
export TEST_TYPES

# Print a headline with the time since the start.
say()
{
	printf '== %d:%02d %s\n' $((SECONDS / 60)) $((SECONDS % 60)) "$*" >&2
}

die()
{
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 2
}

# it SENTENCE COMMAND...: a test in TAP that fails if the command fails or prints
# something. Counts in "passed" and "failed", needs the folder "work", and also shows the
# end of the file "log" if the script has one.
it()
{
	local sentence=$1 status=0
	shift

	: "${work:?}"
	[ -z "${log-}" ] || : >"$log"
	"$@" >"$work/said" 2>&1 </dev/null || status=$?
	if [ "$status" -eq 0 ] && [ ! -s "$work/said" ]; then
		passed=$((passed + 1))
		echo "ok $((passed + failed)) - $sentence"
		return
	fi
	failed=$((failed + 1))
	echo "not ok $((passed + failed)) - $sentence"
	sed 's/^/# /' "$work/said"
	[ -z "${log-}" ] || tail -n 30 "$log" | sed 's/^/# /'
}

# Run make as a user would, without the flags and variables of a make that may have called
# this script, for half an hour at most.
plain_make()
{
	env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL -u MAKEOVERRIDES \
		timeout --foreground 1800 make --no-print-directory "$@"
}

# kernel_says KERNEL VARIABLE: print a variable that kernel_row sets from the kernel's row
kernel_says()
{
	# shellcheck source=/dev/null # its variables are of the subshell
	(. "$SELFTESTS/vm/lib.sh" && kernel_row "$1" && printf '%s\n' "${!2}")
}

# kernel_debugs KERNEL: whether it is one of those built here; those that find bugs are
# several times slower than Debian's
kernel_debugs()
{
	[ "$(kernel_says "$1" K_BUILD)" = source ]
}

# Print the commit that is tested, for the results.
commit()
{
	local id

	if ! id=$(git -C "$TOP" rev-parse HEAD 2>/dev/null); then
		echo unknown
		return
	fi
	[ -z "$(git -C "$TOP" status --porcelain 2>/dev/null)" ] || id+=-dirty
	printf '%s\n' "$id"
}

# distinct_kernels BUILD...: print the names of rows of vm/kernels whose modules are built
# in one of these ways, without rows whose kernel an earlier row has
distinct_kernels()
{
	local name build release seen=' '

	while read -r name _ _ _ _ build; do
		[[ " $* " == *" $build "* ]] || continue
		release=$("$SELFTESTS/vm/image" --kernel "$name") || return
		release=$(<"$release/release")
		[[ $seen != *" $release "* ]] || continue
		seen+="$release "
		printf '%s\n' "$name"
	done < <(sed -e 's/#.*//' -e '/^ *$/d' "$SELFTESTS/vm/kernels")
}

# summary FILE: print the summary line for a file of results
summary()
{
	jq -r '"\(.passed) passed, \(.failed) failed, \(.skipped) skipped"' "$1"
}
