# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Shared by packages_test and machine_test: TAP, and root directories to work in. Sourced,
# never run. Each test runs in a subshell, so state for later tests is in files in $work.
set -euo pipefail

HOST_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../vm/lib.sh
. "$HOST_DIR/../vm/lib.sh"

number=0
failed=0

# Print where a test failed, and the first line of the command that failed.
failed_at()
{
	printf '%s: %s\n' "$1" "${2%%$'\n'*}" >&2
}

# it SENTENCE COMMAND...: passes if the command succeeds
it()
{
	local sentence=$1 began=$SECONDS status=0 log=$work/test.log
	shift

	number=$((number + 1))
	# not in an "if" or with ||, which would disable "set -e" in the command
	set +e
	(
		set -eE
		# "[" prints nothing when it fails
		trap 'failed_at "${BASH_SOURCE##*/} line $LINENO" "$BASH_COMMAND"' ERR
		"$@"
	) >"$log" 2>&1
	status=$?
	set -e
	tail -n 100 "$log" | sed 's/^/# /'
	printf '# after %d s:\n' $((SECONDS - began))
	if [ "$status" -eq 0 ]; then
		printf 'ok %d - %s\n' "$number" "$sentence"
	else
		failed=$((failed + 1))
		printf 'not ok %d - %s\n' "$number" "$sentence"
	fi
	return 0
}

# Like it, but ends the program on failure, since the tests that follow need it.
must()
{
	local before=$failed

	it "$@"
	[ "$failed" -eq "$before" ] || done_testing
}

done_testing()
{
	printf '1..%d\n' "$number"
	[ "$failed" -eq 0 ] || exit 1
	exit 0
}

fail()
{
	printf '%s\n' "$*"
	return 1
}

# in_root DIR COMMAND...: run COMMAND in a Debian root, with /proc, and only with device
# nodes that cannot change this machine
in_root()
{
	# shellcheck disable=SC2016 # expanded by the inner shell
	timeout 900 unshare --mount --pid --fork --kill-child \
		--propagation private bash -euc '
		root=$1
		shift
		mount -t tmpfs -o mode=755 dev "$root/dev"
		for node in null zero full random urandom tty; do
			touch "$root/dev/$node"
			mount --bind "/dev/$node" "$root/dev/$node"
		done
		mkdir "$root/dev/shm" "$root/dev/pts"
		ln -s /proc/self/fd "$root/dev/fd"
		mount -t proc proc "$root/proc"
		exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
			LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
			chroot "$root" "$@"
	' bash "$@" </dev/null
}

# copy_root FROM TO: copy a root; in the copy no service is started
copy_root()
{
	cp -a --reflink=auto "$1" "$2"
	printf '#!/bin/sh\nexit 101\n' >"$2/usr/sbin/policy-rc.d"
	chmod 755 "$2/usr/sbin/policy-rc.d"
}

# apt ROOT ARGUMENT...
APT=(apt-get -q -y -o APT::Sandbox::User=root -o Dpkg::Use-Pty=0)
apt()
{
	local root=$1
	shift

	in_root "$root" "${APT[@]}" "$@"
}
