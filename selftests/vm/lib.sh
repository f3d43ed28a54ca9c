# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Common parts of the scripts of the VM harness.  Sourced, never run.

VM_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export VM_DIR

# Exit statuses of "run" beyond the command's own; no command should use them.
VM_EXIT_USAGE=123	# the harness was called wrongly or cannot start
VM_EXIT_NO_RESULT=125	# the guest ended without a result
VM_EXIT_LOG=126		# the command ended, but the kernel log shows a fault
export VM_EXIT_USAGE VM_EXIT_NO_RESULT VM_EXIT_LOG

say()
{
	printf 'vm: %s\n' "$*" >&2
}

die()
{
	say "$*"
	exit "$VM_EXIT_USAGE"
}

# Names in a list file: comments and blank lines dropped.
list_names()
{
	sed -e 's/#.*//' -e 's/[[:space:]]*$//' -e '/^$/d' "$1"
}

need_tools()
{
	local tool missing=()

	for tool in "$@"; do
		command -v "$tool" >/dev/null || missing+=("$tool")
	done
	[ "${#missing[@]}" -eq 0 ] ||
		die "missing on this host: ${missing[*]}; run selftests/vm/prepare as root"
}

cache_dir()
{
	local dir=${BPIO_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/dm-bpio}

	mkdir -p "$dir" || die "cannot create the cache directory $dir; set BPIO_CACHE"
	(cd "$dir" && pwd)
}

# Read the row of kernel $1 of the file "kernels" into variables K_*. K_ARCH is
# Debian's name of the architecture, K_GNU what a cross compiler's begins with.
kernel_row()
{
	local row

	row=$(list_names "$VM_DIR/kernels" | awk -v k="$1" '$1 == k')
	[ -n "$row" ] ||
		die "no kernel '$1'; known: $(list_names "$VM_DIR/kernels" |
			awk '{ printf "%s%s", sep, $1; sep = ", " }')"
	read -r K_NAME K_SUITE K_POCKETS K_IMAGE K_HEADERS K_BUILD <<<"$row"
	K_LAST_POCKET=${K_POCKETS##*,}
	K_ARCH=amd64
	K_GNU=
	case $K_BUILD-$K_IMAGE in
	cross-*-arm64) K_ARCH=arm64 K_GNU=aarch64-linux-gnu ;;
	esac
	export K_NAME K_SUITE K_POCKETS K_IMAGE K_HEADERS K_BUILD K_LAST_POCKET
	export K_ARCH K_GNU
}

# Build something in the cache unless it is there: $1 is its directory, whose
# file "ready" says that it is complete, $2 what to call it, and the rest a
# function and its arguments, run with a working directory before these; what
# it leaves in "product" there becomes $1.  Callers in parallel wait for one
# another; a build that fails leaves nothing and exits.
#
# Never call this where bash ignores set -e (in a condition, or before ||):
# the build would go on after a failed command.
cached()
{
	local dir=$1 what=$2 began=$SECONDS work job lock
	shift 2

	if [ -e "$dir/ready" ]; then
		touch -c "$dir"
		return
	fi
	[ "$(id -u)" -eq 0 ] || die "building the $what needs root"
	exec {lock}>"$dir.lock"
	if ! flock --nonblock "$lock"; then
		say "another caller is building the $what; waiting for it"
		flock "$lock"
	fi
	if [ ! -e "$dir/ready" ]; then
		say "building the $what ..."
		prune_cache "$(dirname "$dir")"
		work=$(mktemp -d "$(dirname "$dir")/build.XXXXXX")
		mkdir "$work/product"
		# A process group of its own, to end all of it when interrupted;
		# without the lock's descriptor, to free it with this process.
		set -m
		"$1" "$work" "${@:2}" </dev/null >"$work/log" 2>&1 {lock}>&- &
		job=$!
		set +m
		# shellcheck disable=SC2064 # the values as they are now
		trap "kill -- -$job 2>/dev/null || true; wait $job || true
			rm -rf '$work'" EXIT
		trap 'exit 1' INT TERM HUP
		if ! wait "$job"; then
			tail -n 40 "$work/log" >&2
			die "building the $what failed; the lines above say why"
		fi
		touch "$work/product/ready"
		mv -T "$work/product" "$dir"
		rm -rf "$work"
		trap - EXIT INT TERM HUP
		say "done after $((SECONDS - began)) s: $dir"
	fi
	exec {lock}>&-
}

# Files not used for a month belong to old recipes.
prune_cache()
{
	find "$1" -maxdepth 1 -type d -mtime +30 \
		'(' -name 'image-*' -o -name 'emulator-*' -o -name 'builder-*' \
		-o -name 'kernel-*' -o -name 'host-*' -o -name 'source-*' ')' \
		-exec rm -rf {} +
	find "$1" -maxdepth 1 -name 'build.*' -mtime +1 -exec rm -rf {} +
}
