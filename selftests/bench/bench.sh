# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Common parts of "run" and "profile". Sourced after host.sh, never run.

BENCH=$SELFTESTS/bench
work=$BUILD/bench

# A CPU model that needs all mitigations of its time.
GUEST_CPU=Broadwell-noTSX,+rdrand
# Nothing that differs from boot to boot may change the cost of a read.
GUEST_OPTIONS=(--icount --cpu "$GUEST_CPU" --mem 3G
	--append "nokaslr norandmaps randomize_kstack_offset=off")
export BENCH GUEST_OPTIONS

# build KERNEL GOAL...: build the files for guests of KERNEL, in $work/guest; sets
# release
build()
{
	local kernel=$1 variables
	shift

	"$SELFTESTS/vm/prepare"
	release=$(<"$("$SELFTESTS/vm/image" --kernel "$kernel")/release")
	variables=("BUILD=$BUILD" "KERNEL=$kernel" "KREL=$release")
	say "building for $release"
	plain_make -s -C "$TOP" guest-modules "${variables[@]}" >&2
	mkdir -p "$work"
	plain_make -s -C "$BENCH" "OUTPUT=$work" "$@" >&2
	rm -rf "$work/guest/modules"
	mkdir -p "$work/guest/modules"
	cp "$BUILD/kmod/$release"/dm-bpio/*.ko "$work/guest/modules/"
}
