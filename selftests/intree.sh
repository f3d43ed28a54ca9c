# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Make a kernel tree that contains the module. Sourced after host.sh, never run.

MODULE_DIR=drivers/md/dm-bpio
RST=Documentation/admin-guide/device-mapper/dm-bpio.rst

# unpack_tree TARBALL TREE: unpack a tarball, unless that was done before
unpack_tree()
{
	local tarball=$1 tree=$2

	[ ! -e "$tree/.unpacked" ] || return 0
	[ -e "$tarball" ] || die "$tarball is missing; run selftests/vm/prepare as root"
	say "unpacking the kernel's source (about a minute, once)"
	rm -rf "$tree"
	mkdir -p "$tree"
	timeout --foreground 1200 tar -xf "$tarball" -C "$tree" --strip-components=1
	touch "$tree/.unpacked"
}

# insert_before PATTERN FILE LINE...: insert lines before the first that matches; fails if
# none does
insert_before()
{
	local pattern=$1 file=$2
	shift 2

	printf '%s\n' "$@" | awk -v pattern="$pattern" '
		FNR == NR { text = text $0 "\n"; next }
		!done && $0 ~ pattern { printf "%s", text; done = 1 }
		{ print }
		END { exit !done }' - "$file" >"$file.new" || {
		rm -f "$file.new"
		die "no line of $file matches $pattern"
	}
	mv "$file.new" "$file"
}

# hook_module TREE: make the build of drivers/md descend into the module's folder
hook_module()
{
	local tree=$1

	grep -q "$MODULE_DIR" "$tree/drivers/md/Kconfig" && return
	insert_before '^source "drivers/md/dm-vdo/' "$tree/drivers/md/Kconfig" \
		"source \"$MODULE_DIR/Kconfig\"" ''
	insert_before '^obj-.\(CONFIG_DM_VDO\)' "$tree/drivers/md/Makefile" \
		$'obj-$(CONFIG_DM_BPIO)\t\t+= dm-bpio/'
}

# put_documentation TREE: add the page for administrators
put_documentation()
{
	cp "$TOP/dm-bpio/dm-bpio.rst" "$1/$RST"
	grep -q '^ *dm-bpio$' "$1/$(dirname "$RST")/index.rst" ||
		insert_before '^ *dm-clone$' "$1/$(dirname "$RST")/index.rst" \
			'    dm-bpio'
}

# tree_make TREE LOG ARGUMENT...
tree_make()
{
	local tree=$1 log=$2
	shift 2

	plain_make -s -j "$(nproc)" -C "$tree" "$@" >"$log" 2>&1 </dev/null
}
