#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The command line of bpio, and its messages without a volume.
# shellcheck source=tap.sh
. "$(dirname "${BASH_SOURCE[0]}")/tap.sh"

bpio help --json >"$WORK/help.json"

# Values of an array's members: members POINTER KEY
members()
{
	local i

	for ((i = 0; ; i++)); do
		json-get "$1/$i/$2" <"$WORK/help.json" || return 0
	done
}

mapfile -t verbs < <(members /verbs name)

options_of()
{
	local i

	for ((i = 0; i < ${#verbs[@]}; i++)); do
		[ "${verbs[i]}" = "$1" ] && members "/verbs/$i/options" name
	done
	return 0
}

mapfile -t options < <(for verb in "${verbs[@]}"; do
	options_of "$verb"
done | sort -u)

no_arguments()
{
	expect 2 bpio
	says err 'expected a verb, but got nothing; "bpio help"'
}

unknown_verb()
{
	expect 2 bpio sate /
	says err 'expected a verb, but got "sate"'
	expect 2 bpio help sate
	says err 'expected a verb, but got "sate"'
}

unknown_option()
{
	expect 2 bpio state --no-such-option /
	says err 'unknown or ambiguous option "--no-such-option"'
	expect 2 bpio state -x /
	says err 'option "-x"'
	expect 2 bpio --no-such-option list
	says err '"bpio help" lists the options'
}

missing_argument()
{
	expect 2 bpio run --file
	says err 'option --file needs an argument, GLOB'
	expect 2 bpio run -s
	says err 'option --summary needs an argument, FILE'
	expect 2 bpio watch --count
	says err 'option --count needs an argument, N'
}

bad_count()
{
	local word

	for word in 0 -1 x 1x '' 99999999999999999999; do
		expect 2 bpio watch "--count=$word"
		says err "option --count needs a number above 0, but got \"$word\""
	done
}

unwanted_argument()
{
	expect 2 bpio list --json=yes
	says err 'option --json takes no argument, but got "--json=yes"'
}

misplaced_options()
{
	local verb option count=0 arg

	for verb in "${verbs[@]}"; do
		for option in "${options[@]}"; do
			options_of "$verb" | grep -qx "$option" && continue
			arg=--$option
			case $option in
			count | file | summary) arg=$arg=x ;;
			esac
			expect 2 bpio "$verb" "$arg" x
			says err "option --$option does not belong to \"$verb\""
			expect 2 bpio "$arg" "$verb" x
			says err "option --$option does not belong to \"$verb\""
			count=$((count + 1))
		done
	done
	[ "$count" -ge 10 ] || complain "only $count pairs were tried"
}

too_many_arguments()
{
	expect 2 bpio state / /tmp
	says err '"state" expects PATH, but got "/tmp" too'
	expect 2 bpio list x
	says err '"list" expects no argument, but got "x" too'
}

too_few_arguments()
{
	expect 2 bpio state
	says err '"state" expects PATH, but got nothing'
	expect 2 bpio run --
	says err '"run" expects [--] COMMAND [ARG...], but got nothing'
}

options_anywhere()
{
	expect 0 bpio --json explain writer
	cp out first
	expect 0 bpio explain -j writer
	cmp first out
	expect 0 bpio explain writer --json
	cmp first out
}

help_of_verbs()
{
	local verb option

	expect 0 bpio help
	for verb in "${verbs[@]}"; do
		says out "  $verb "
	done
	cp out all
	expect 0 bpio --help
	cmp all out
	for verb in "${verbs[@]}"; do
		expect 0 bpio help "$verb"
		says out "usage: bpio $verb"
		for option in $(options_of "$verb"); do
			says out "--$option"
		done
		cp out one
		expect 0 bpio "$verb" --help
		cmp one out
	done
}

no_such_path()
{
	expect 1 bpio state /no/such/path
	says err '"/no/such/path" cannot be looked up: No such file'
	expect 1 bpio info no-such-device
	says err '"no-such-device" cannot be looked up'
}

not_a_volume()
{
	local path

	: >file
	for path in file . / /proc/self/stat /dev/null; do
		expect 4 bpio state "$path"
		says err "\"$path\" is not on a bpio volume: it is on "
		[ "$(wc -l <err)" -eq 1 ] || complain "more than one sentence"
	done
}

control_elsewhere()
{
	local verb

	: >file
	for verb in stack pause resume enable disable; do
		expect 4 bpio "$verb" file
		says err '"file" is not on a bpio volume: it is on '
		expect 1 bpio "$verb" no-such-path
		says err '"no-such-path" cannot be looked up'
	done
}

# In a separate process: a shell in the background ignores SIGINT.
watch_ends()
{
	local status pid signal

	for signal in INT TERM; do
		setsid env --default-signal=INT bpio watch >out 2>err &
		pid=$!
		listening "$pid"
		kill -"$signal" "$pid"
		status=0
		wait "$pid" || status=$?
		[ "$status" -eq 0 ] || complain "SIG$signal: status $status"
		[ ! -s out ] && [ ! -s err ]
	done
}

# Without any event: the end of the reader is enough.
watch_without_reader()
{
	mkfifo fifo
	setsid bpio watch >fifo 2>err &
	exec 8<fifo
	listening $!
	exec 8<&-
	wait $!
	[ ! -s err ]
}

not_a_volume_json()
{
	expect 4 bpio state --json /proc
	json out /command state
	json out /error/exit_status 4
	says out 'is not on a bpio volume'
	says err 'is not on a bpio volume'
}

other_device()
{
	local device

	device=$(find /dev -maxdepth 1 -type b | head -n 1)
	expect 4 bpio state "$device"
	says err "\"$device\" is not a bpio volume: expected a mapped device"
	expect 4 bpio info "$device"
}

quiet()
{
	expect 0 bpio explain -q
	[ ! -s out ]
	expect 4 bpio state --json -q /proc
	[ ! -s out ]
	says err 'is not on a bpio volume'
}

empty_list()
{
	expect 0 bpio list
	says out 'There is no bpio volume'
	expect 0 bpio list --json
	json out /volumes '[ ]'
}

explain_all()
{
	local i count

	count=$(reason_count)
	[ "$count" -ge 36 ]

	expect 0 bpio explain --json
	for ((i = 0; i < count; i++)); do
		json out "/reasons/$i/code" "$i"
		[ "$(json-get "/reasons/$i/meaning" <out | wc -c)" -gt 20 ]
		[ "$(json-get "/reasons/$i/advice" <out | wc -c)" -gt 7 ]
		[ "$(json-get "/reasons/$i/text" <out | wc -c)" -le 129 ]
	done
	refute json-get "/reasons/$i/code" <out
	refute grep -F 'newer than this command' out
}

explain_one()
{
	expect 0 bpio explain verity
	says out 'verity (6): '
	cp out word
	expect 0 bpio explain 6
	cmp word out
}

explain_unknown()
{
	local word

	for word in "$(reason_count)" -1 '' 6x 99999999999999999999 verit; do
		expect 2 bpio explain -- "$word"
		says err "but got \"$word\""
	done
}

advice_keeps_protection()
{
	bpio explain --json >out
	refute grep -iE 'advice.*(decrypt|disable|remove|turn off|without (encryption|verity|integrity))' out
}

version()
{
	local release

	release=$(sed -n 's/^#define DM_BPIO_VERSION[[:blank:]]*"\(.*\)"$/\1/p' \
		"$HERE/../dm-bpio/dm-bpio.h")
	expect 0 bpio version
	says out "bpio $release"
	expect 0 bpio version --json
	json out /version "$release"
	json out /abi_version 2
	bpio version >verb
	for option in --version -V; do
		expect 0 bpio "$option"
		cmp out verb
		expect 2 bpio state "$option" /
		says err 'option --version does not belong to "state"; it is an option of version'
	done
	expect 0 bpio --version --json
	json out /command version
}

full_output()
{
	expect 1 sh -c 'bpio help >/dev/full'
	says err 'cannot write the output'
}

it "Without arguments bpio points to its help" no_arguments
it "A verb that does not exist is quoted" unknown_verb
it "An option that does not exist is quoted" unknown_option
it "An option without its argument says what it needs" missing_argument
it "A count that is no number above 0 is quoted" bad_count
it "An option with an argument it does not take quotes it" unwanted_argument
it "Every option is an error with every verb it does not belong to" \
	misplaced_options
it "An argument too many is quoted" too_many_arguments
it "A missing argument is named" too_few_arguments
it "Options may stand before and after the verb and its arguments" \
	options_anywhere
it "The help names every verb and every option of each" help_of_verbs
it "A path that does not exist is an error that quotes it" no_such_path
it "A path elsewhere is not on a bpio volume, said in one sentence" not_a_volume
it "Nothing is paused, enabled or asked elsewhere" control_elsewhere
if [ -r /proc/net/netlink ]; then
	it "watch ends by SIGINT and SIGTERM, with success" watch_ends
	it "watch ends when nobody reads its output any more" \
		watch_without_reader
else
	skip "watch ends by SIGINT and SIGTERM, with success" \
		"this machine does not list its netlink sockets"
	skip "watch ends when nobody reads its output any more" \
		"this machine does not list its netlink sockets"
fi
it "With --json an error is an object on standard output too" not_a_volume_json
if [ -n "$(find /dev -maxdepth 1 -type b | head -n 1)" ]; then
	it "A block device of another kind is not a bpio volume" other_device
else
	skip "A block device of another kind is not a bpio volume" \
		"this machine shows no block device"
fi
it "With --quiet nothing but errors is printed" quiet
if [ ! -e /dev/mapper/control ]; then
	it "Without device-mapper the list of volumes is empty" empty_list
else
	skip "Without device-mapper the list of volumes is empty" \
		"this machine has device-mapper"
fi
it "explain has a meaning and advice for every reason of the ABI" explain_all
it "explain takes a reason by word and by number" explain_one
it "explain quotes what is no reason" explain_unknown
it "No advice tells to give up protection of the data" advice_keeps_protection
it "version tells the versions of the command and of the ABI" version
it "Output that cannot be written is an error" full_output
finish
