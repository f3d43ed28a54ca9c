# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Completion of bpio(1) for bash.

_bpio_volumes()
{
	local name

	for name in /sys/block/dm-*/dm/name; do
		if [ -r "$name" ]; then
			cat "$name"
		fi
	done
}

_bpio_table()
{
	local name

	if [ ! -r /etc/bpiotab ]; then
		return 0
	fi
	while read -r name _; do
		case $name in
		'' | '#'*) ;;
		*) printf '%s\n' "$name" ;;
		esac
	done </etc/bpiotab
}

_bpio_processes()
{
	local dir

	for dir in /proc/[0-9]*; do
		printf '%s\n' "${dir#/proc/}"
	done
}

_bpio_reasons()
{
	bpio explain 2>/dev/null | while read -r _ token _; do
		printf '%s\n' "$token"
	done
}

_bpio()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
	local verbs="state info list stack pause resume enable disable adopt
		release tab up down upgrade watch run attach detach explain
		help version"
	local common="-j --json -q --quiet -h --help"
	local verb='' at=0 i options words

	for ((i = 1; i < COMP_CWORD; i++)); do
		[ -n "$verb" ] && break
		case ${COMP_WORDS[i]} in
		-*) ;;
		*) verb=${COMP_WORDS[i]} at=$i ;;
		esac
	done
	COMPREPLY=()
	case $verb in
	'') words=$verbs options="$common -V --version" ;;
	state)
		words=$(_bpio_volumes)
		options="$common -a --all -v --verbose"
		;;
	info | stack | pause | resume | enable | disable)
		words=$(_bpio_volumes) options=$common
		;;
	adopt)
		words=$(_bpio_volumes)
		options="$common -n --dry-run -k --keep -K --kept
			-S --any-storage"
		;;
	release)
		words=$(_bpio_volumes)
		options="$common -n --dry-run"
		;;
	tab)
		words=''
		options="$common -C --check -D --claims"
		;;
	up) words=$(_bpio_table) options="$common -i --initrd" ;;
	down) words=$(_bpio_table) options=$common ;;
	upgrade) words='' options=$common ;;
	watch) words='' options="$common -c --count" ;;
	list)
		words=''
		options="$common -o --files"
		;;
	attach)
		words=$(_bpio_processes)
		options="$common -f --file -F --follow"
		;;
	detach)
		words=$(_bpio_processes)
		options="$common -f --file"
		;;
	version) words='' options="$common -V --version" ;;
	explain) words=$(_bpio_reasons) options=$common ;;
	help) words=$verbs options=$common ;;
	run)
		_bpio_run "$at"
		return
		;;
	*) return ;;
	esac
	case $cur in
	-*) words=$options ;;
	esac
	case $verb$prev in
	watch-c | watch--count) return ;;
	attach-f | attach--file | detach-f | detach--file)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
	case $verb in
	state | info | list | stack | pause | resume | enable | disable | \
		adopt | release | tab)
		case $cur in
		-*) ;;
		*) mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY \
			< <(compgen -f -- "$cur") ;;
		esac
		;;
	esac
}

# Options of "run", then the command, then whatever the command completes.
_bpio_run()
{
	local i

	for ((i = $1 + 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		-f | --file | -s | --summary) i=$((i + 1)) ;;
		--) i=$((i + 1)); break ;;
		-*) ;;
		*) break ;;
		esac
	done
	if [ "$i" -lt "$COMP_CWORD" ]; then
		if declare -F _command_offset >/dev/null; then
			_command_offset "$i"
		else
			mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		fi
		return
	fi
	case $prev in
	-f | --file | -s | --summary)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	esac
	case $cur in
	-*) mapfile -t COMPREPLY < <(compgen -W \
		"$common -f --file -s --summary --" -- "$cur") ;;
	*) mapfile -t COMPREPLY < <(compgen -c -- "$cur") ;;
	esac
}

complete -o filenames -F _bpio bpio
