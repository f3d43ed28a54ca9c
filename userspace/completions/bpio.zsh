#compdef bpio
# SPDX-License-Identifier: GPL-2.0-only
# Completion of bpio(1) for zsh.

_bpio_verbs() {
	local -a verbs=(
		'state:say whether reads of a path are bypassed'
		'info:show the storage, mounts and counters of a volume'
		'list:list every bpio volume'
		'stack:show what each layer below a path says'
		'pause:stop the bypass of a file or volume'
		'resume:end a pause'
		'enable:let all reads of a volume skip layers'
		'disable:end what enable began'
		'adopt:make a volume of a device in use'
		'release:undo what adopt did'
		'tab:show the volumes of /etc/bpiotab'
		'up:make volumes of /etc/bpiotab'
		'down:undo what up did'
		'upgrade:replace the loaded module by the installed one'
		'watch:show events as they happen'
		'run:run a command whose direct reads are bypassed'
		'attach:enable BypassIO for open files of a process'
		'detach:disable BypassIO for open files of a process'
		'explain:explain why something is not bypassed'
		'help:show the help'
		'version:show the version'
	)

	_describe verb verbs
}

_bpio_volumes() {
	local -a names=(/sys/block/dm-*/dm/name(N))
	local -a volumes

	(( $#names )) && volumes=(${(f)"$(cat $names)"})
	_alternative 'volumes:volume:compadd -a volumes' 'files:file:_files'
}

_bpio_table() {
	local -a names

	[[ -r /etc/bpiotab ]] &&
		names=(${${${(f)"$(</etc/bpiotab)"}:#[[:space:]]#\#*}%%[[:space:]]*})
	compadd -a names
}

_bpio_reasons() {
	local -a tokens=(${${(f)"$(_call_program reasons bpio explain)"}[@]})
	local -a reasons
	local line

	for line in $tokens; do
		reasons+=(${${(z)line}[2]})
	done
	compadd -a reasons
}

_bpio() {
	local -a common=(
		'(-j --json)'{-j,--json}'[print JSON]'
		'(-q --quiet)'{-q,--quiet}'[print no results]'
		'(-h --help)'{-h,--help}'[show the help of the verb]'
	)
	local -a version=('(-V --version)'{-V,--version}'[show the version]')
	local state line
	typeset -A opt_args

	_arguments -C -A '-*' $common $version '1: :_bpio_verbs' \
		'*:: :->arguments'
	[[ $state == arguments ]] || return
	case $words[1] in
	state)
		_arguments $common \
			'(-a --all)'{-a,--all}'[show every objection]' \
			'(-v --verbose)'{-v,--verbose}'[also show the layers and a hint]' \
			'1: :_bpio_volumes'
		;;
	info | stack | pause | resume | enable | disable)
		_arguments $common '1: :_bpio_volumes'
		;;
	adopt)
		_arguments $common \
			'(-n --dry-run)'{-n,--dry-run}'[print the tables, change nothing]' \
			'(-k --keep)'{-k,--keep}'[adopt again whenever the table is replaced]' \
			'(-K --kept)'{-K,--kept}'[adopt a kept device again, for udev]' \
			'(-S --any-storage)'{-S,--any-storage}'[also storage other than NVMe]' \
			'1: :_bpio_volumes'
		;;
	release)
		_arguments $common \
			'(-n --dry-run)'{-n,--dry-run}'[print the tables, change nothing]' \
			'1: :_bpio_volumes'
		;;
	tab)
		_arguments $common \
			'(-C --check)'{-C,--check}'[fail if a volume cannot be made]' \
			'(-D --claims)'{-D,--claims}'[print the volume above a device, for udev]' \
			'1: :_files'
		;;
	up)
		_arguments $common \
			'(-i --initrd)'{-i,--initrd}'[only volumes of the initramfs]' \
			'*: :_bpio_table'
		;;
	down)
		_arguments $common '*: :_bpio_table'
		;;
	upgrade)
		_arguments $common
		;;
	watch)
		_arguments $common \
			'(-c --count)'{-c,--count}'[end after N events]:number:'
		;;
	list)
		_arguments $common \
			'(-o --files)'{-o,--files}'[list the files with BypassIO enabled]' \
			'1: :_files'
		;;
	attach)
		_arguments $common \
			'*'{-f,--file}'[only files that match]:glob:_files' \
			'(-F --follow)'{-F,--follow}'[continue with files that are opened later]' \
			'1: :_pids'
		;;
	detach)
		_arguments $common \
			'*'{-f,--file}'[only files that match]:glob:_files' \
			'1: :_pids'
		;;
	run)
		_arguments $common \
			'*'{-f,--file}'[only files that match]:glob:_files' \
			'(-s --summary)'{-s,--summary}'[write the summary to a file]:file:_files' \
			'(-):command:_command_names -e' \
			'*::arguments:_normal'
		;;
	explain)
		_arguments $common '1: :_bpio_reasons'
		;;
	help)
		_arguments $common '1: :_bpio_verbs'
		;;
	version)
		_arguments $common $version
		;;
	esac
}

_bpio "$@"
