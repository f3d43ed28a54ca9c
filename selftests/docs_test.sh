#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Type in every transcript of the installed documentation and compare the output with
# that on the page.
#
# A transcript is a block "```console" of README.md, or an example (.EX) of a
# man page whose first line is a command. Lines that begin with "# " are commands
# for root, which continue on the next line if they end with a backslash. The lines that
# follow are their output, including standard error, in which
#
#	<N>	stands for any number without a sign
#	...	alone on a line stands for any lines, or none
#
# A comment "machine: NAME" before the block selects the initial state: "full" (the
# default: the volume vol on the first NVMe namespace, with ext4 on /mnt and
# /mnt/file of 16 MiB), "partial" (the same above a linear target, lower),
# "vetoed" (above a layer, scan, that vetoes), "lvm" (vg/data instead of vol, with one
# segment on the first and one on the third namespace), "empty" (nothing), or "host": the
# machine of selftests/host, which calls this with BPIO_HOST=yes and types in nothing
# else. The guest's devices get the names and numbers of DEVICES. The number of blanks
# between two words does not matter, because columns are as wide as their numbers.
set -euo pipefail
# LVM's commands must not warn of open files of the shell
export LVM_SUPPRESS_FD_WARNINGS=1

MARK='== the next command =='
SPACE='[[:space:]]*'
count=0
failed=0

prefix=$(dirname "$(dirname "$(command -v bpio || echo /usr/local/bin/bpio)")")
pages=("$prefix/share/doc/dm-bpio/README.md"
	"$prefix/share/man/man1/bpio.1"
	"$prefix/share/man/man3/libbpio.3"
	"$prefix/share/man/man4/dm-bpio.4"
	"$prefix/share/man/man5/bpiotab.5")
[ $# -eq 0 ] || pages=("$@")

skip_all()
{
	echo "1..0 # SKIP $*"
	exit 4
}

for page in "${pages[@]}"; do
	[ -e "$page" ] || skip_all "$page is not installed"
done
[ -b "${BPIO_NVME_A1-}" ] || skip_all "only for a guest of selftests/vm"
WORK=$(mktemp -d)

# In the documentation, and here; no name contains another one.
number()
{
	lsblk -dno MAJ:MIN "$1" | tr -d ' '
}
declare -A DEVICES=(
	[nvme0n1p1]=${BPIO_NVME_A1#/dev/}p1
	[nvme0n1]=${BPIO_NVME_A1#/dev/} [259:1]=$(number "$BPIO_NVME_A1")
	[nvme0n2]=${BPIO_NVME_A2#/dev/} [259:2]=$(number "$BPIO_NVME_A2")
	[nvme1n1]=${BPIO_NVME_B1#/dev/} [259:3]=$(number "$BPIO_NVME_B1")
	[vdb]=${BPIO_SCRATCH#/dev/}
)
to_here=()
to_documented=()
for name in "${!DEVICES[@]}"; do
	to_here+=("$name" "${DEVICES[$name]}")
	to_documented+=("${DEVICES[$name]}" "$name")
done

# substitute [WORD OTHER]...: replace words, in two steps, because a word may also be
# the replacement of another
substitute()
{
	local i=0 first=() second=()

	while [ $# -gt 0 ]; do
		i=$((i + 1))
		first+=(-e "s/\\b$1\\b/@$i@/g")
		second+=(-e "s/@$i@/$2/g")
		shift 2
	done
	sed "${first[@]}" "${second[@]}"
}

remove_machine()
{
	local name

	[ -z "${BPIO_HOST-}" ] || return 0
	rm -f /etc/bpiotab
	! mountpoint -q /mnt || umount /mnt
	for name in vol lower scan; do
		! dmsetup info "$name" >/dev/null 2>&1 || dmsetup remove "$name"
	done
	! vgs vg >/dev/null 2>&1 || vgremove -qq -ff -y vg
	# or LVM would find its signatures on the next file system
	wipefs -q -a "$BPIO_NVME_A1" "$BPIO_NVME_B1"
}

make_group()
{
	pvcreate -qq -y "$BPIO_NVME_A1" "$BPIO_NVME_B1"
	vgcreate -qq vg "$BPIO_NVME_A1" "$BPIO_NVME_B1"
	lvcreate -qq -y -W n -n data -L 32M vg "$BPIO_NVME_A1"
	lvextend -qq -L +32M vg/data "$BPIO_NVME_B1"
	fill_machine vg-data
}

# fill_machine NAME: make a file system with a file on a mapped device
fill_machine()
{
	mkfs.ext4 -q "/dev/mapper/$1"
	mount "/dev/mapper/$1" /mnt
	head -c 16M /dev/urandom >/mnt/file
	sync
}
trap 'remove_machine; rm -rf "$WORK"' EXIT

make_machine()
{
	local sectors below=$BPIO_NVME_A1

	remove_machine
	sectors=$(blockdev --getsz "$BPIO_NVME_A1")
	case $1 in
	empty | host) return ;;
	lvm) make_group; return ;;
	full) ;;
	partial)
		dmsetup create lower --table "0 $sectors linear $below 0"
		below=/dev/mapper/lower
		;;
	vetoed)
		dmsetup create scan --table \
			"0 $sectors bpio-filter $below 0 3 veto 95 Scans."
		below=/dev/mapper/scan
		;;
	*) echo "there is no machine '$1'"; return 1 ;;
	esac
	dmsetup create vol --table "0 $sectors bpio $below 0"
	fill_machine vol
}

# matches EXPECTED FOUND: whether the output in file FOUND is as in file EXPECTED
matches()
{
	local line regex='^' output

	while IFS= read -r line; do
		if [ "$line" = ... ]; then
			regex+=$'(.*\n)?'
		else
			regex+=$(sed -e 's/[][(){}.*+?^$|\\]/\\&/g' \
				-e 's/<N>/[0-9]+/g' <<<"$line")$'\n'
		fi
	done < <(tr -s ' ' <"$1")
	output=$(tr -s ' ' <"$2"; echo .)
	[[ ${output%.} =~ $regex$ ]]
}

# Read the transcript in file $1: commands into the array "commands", and their output
# into files expected.0, expected.1, ...
read_transcript()
{
	local line command='' open=no

	commands=()
	while IFS= read -r line; do
		if [ "$open" = yes ]; then
			command+=$'\n'$line
		elif [[ $line == '# '* ]]; then
			command=${line#'# '}
			: >"$WORK/expected.${#commands[@]}"
		else
			[ "${#commands[@]}" -gt 0 ] ||
				{ echo "it begins with no command"; return 1; }
			printf '%s\n' "$line" \
				>>"$WORK/expected.$((${#commands[@]} - 1))"
			continue
		fi
		open=yes
		if [[ $line != *\\ ]]; then
			open=no
			commands+=("$(substitute "${to_here[@]}" <<<"$command")")
		fi
	done <"$1"
}

# Run the commands in one shell, as a person does; a command may ask for the exit status
# of the previous one.
type_in()
{
	# shellcheck disable=SC2016 # for the inner shell
	timeout 300 bash -c '
		mark=$1 status=0
		shift
		for command; do
			echo "$mark"
			{ (exit "$status"); eval "$command"; } </dev/null
			status=$?
		done' bash "$MARK" "${commands[@]}" 2>&1 || true
}

check_transcript()
{
	local i

	make_machine "$2"
	read_transcript "$1"
	rm -f "$WORK"/actual.*
	type_in | substitute "${to_documented[@]}" |
		awk -v mark="$MARK" -v base="$WORK/actual." '
		$0 == mark { n++; printf "" >(base n - 1); next }
		{ print >(base n - 1) }'
	for i in "${!commands[@]}"; do
		[ -e "$WORK/actual.$i" ] || {
			echo "not reached: ${commands[i]}"
			return 1
		}
		matches "$WORK/expected.$i" "$WORK/actual.$i" && continue
		echo "${commands[i]}"
		diff --label documented --label actual -u \
			"$WORK/expected.$i" "$WORK/actual.$i" || true
		return 1
	done
}

# it SENTENCE COMMAND...
it()
{
	local sentence=$1
	shift

	count=$((count + 1))
	# as a separate job, so that set -e works inside
	(set -e; "$@") >"$WORK/log" 2>&1 &
	if wait $!; then
		echo "ok $count - $sentence"
	else
		failed=$((failed + 1))
		echo "not ok $count - $sentence"
		sed 's/^/# /' "$WORK/log"
	fi
}

# Check that the comparison can fail.
check_comparison()
{
	printf '# echo 12 apples; echo pears; false\n<N> apples\n...\n# echo $?\n1\n' \
		>"$WORK/transcript"
	check_transcript "$WORK/transcript" empty
	for wrong in 's/apples$/pears/' 's/<N>/1/' 's/^\.\.\.$/plums/' 's/^1$/0/' \
		'/^\.\.\.$/d'; do
		sed "$wrong" "$WORK/transcript" >"$WORK/wrong"
		(set -e; check_transcript "$WORK/wrong" empty) >/dev/null 2>&1 &
		if wait $!; then
			echo "not seen to be wrong after $wrong:"
			cat "$WORK/wrong"
			return 1
		fi
	done
}

# Convert a line of a man page's example to what a reader sees.
unroff()
{
	sed -e 's/\\-/-/g' -e 's/\\&//g' -e "s/\\\\(aq/'/g" -e 's/\\(dq/"/g' \
		-e 's/\\f[BIR]//g' -e 's/\\e/\\/g'
}

check_page()
{
	local page=$1 line number=0 begin=0 machine=full here
	local from='^```console$' to='^```$'

	case $page in
	*.md) ;;
	*) from='^\.EX$' to='^\.EE$' ;;
	esac
	exec 3<"$page"
	while IFS= read -r line <&3; do
		number=$((number + 1))
		if [[ $line =~ machine:$SPACE([a-z]+) && $begin -eq 0 ]]; then
			machine=${BASH_REMATCH[1]}
		elif [[ $line =~ $from ]]; then
			begin=$((number + 1))
			: >"$WORK/transcript"
		elif [[ $line =~ $to && $begin -ne 0 ]]; then
			[[ $page == *.md ]] || {
				unroff <"$WORK/transcript" >"$WORK/plain"
				mv "$WORK/plain" "$WORK/transcript"
			}
			here=no
			[ "$machine" != host ] || here=yes
			# examples in other languages are not for a shell
			if [ "$here" = "${BPIO_HOST:-no}" ] &&
			   [[ $page == *.md || $(<"$WORK/transcript") == '# '* ]]; then
				it "${page##*/}, line $begin" check_transcript \
					"$WORK/transcript" "$machine"
			fi
			begin=0
			machine=full
		elif [ $begin -ne 0 ]; then
			printf '%s\n' "$line" >>"$WORK/transcript"
		fi
	done
	exec 3<&-
}

echo "TAP version 13"
[ -n "${BPIO_HOST-}" ] || it "wrong transcripts are seen to be wrong" check_comparison
for page in "${pages[@]}"; do
	before=$count
	check_page "$page"
	# only this page may have no transcript
	[ "$count" -gt "$before" ] || [[ $page == */libbpio.3 ]] || {
		count=$((count + 1))
		failed=$((failed + 1))
		echo "not ok $count - ${page##*/} has transcripts"
	}
done
echo "1..$count"
[ "$failed" -eq 0 ]
