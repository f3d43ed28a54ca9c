# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Scratch repositories for the series. Sourced after host.sh, never run.

# What the series changes in a kernel tree, what judges it, and the headers that say
# which names of compat.h the kernel has.
BASE=(Makefile MAINTAINERS drivers/md/Kconfig drivers/md/Makefile
	Documentation/admin-guide/device-mapper/index.rst
	Documentation/userspace-api/ioctl/ioctl-number.rst
	tools/testing/selftests/Makefile
	scripts/checkpatch.pl scripts/spelling.txt scripts/const_structs.checkpatch
	include/linux/compiler_attributes.h include/linux/compiler_types.h
	include/linux/device-mapper.h include/linux/fs.h include/linux/rwsem.h)

# unpack_base TARBALL DIR: only these, once.
unpack_base()
{
	local tarball=$1 dir=$2 top=${1##*/}

	[ ! -e "$dir/.unpacked" ] || return 0
	[ -e "$tarball" ] || die "$tarball is missing; run selftests/vm/prepare as root"
	say "unpacking some files of the kernel's source (about a minute, once)"
	rm -rf "$dir"
	mkdir -p "$dir"
	timeout --foreground 600 tar -xf "$tarball" -C "$dir" --strip-components=1 \
		--occurrence=1 "${BASE[@]/#/${top%.tar.xz}/}"
	touch "$dir/.unpacked"
}

# The user's identity, or that of the last commit.
author()
{
	local name email

	name=$(git -C "$TOP" config user.name) &&
		email=$(git -C "$TOP" config user.email) ||
		IFS='|' read -r name email < <(git -C "$TOP" log -1 --format='%an|%ae') ||
		die "git knows no user.name and user.email"
	printf '%s\n%s\n' "$name" "$email"
}

# repository DIR: of the base's files that are in DIR, whatever else lies there.
repository()
{
	local dir=$1 name email

	{ read -r name && read -r email; } < <(author)
	rm -rf "$dir/.git"
	git -C "$dir" init -q -b series
	git -C "$dir" config user.name "$name"
	git -C "$dir" config user.email "$email"
	git -C "$dir" config core.autocrlf false
	git -C "$dir" add -f "${BASE[@]}"
	git -C "$dir" commit -q -m base
}

# Numbers and words of a step: what its file puts in, its message.
step_puts()
{
	sed -n '/^$/q; s/^Put: //p' "$1"
}

step_message()
{
	sed '1,/^$/d' "$1"
}
