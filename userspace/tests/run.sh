#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# bpio run, as far as it needs no module.
# shellcheck source=tap.sh
. "$(dirname "${BASH_SOURCE[0]}")/tap.sh"

cannot_run()
{
	expect 127 bpio run no-such-command-anywhere
	says err 'there is no "no-such-command-anywhere"'
	expect 127 bpio run ./no-such-file
	: >plain
	expect 126 bpio run ./plain
	says err 'cannot execute "./plain": Permission denied'
	expect 126 bpio run /
}

static_program()
{
	printf 'int main(void) { return 0; }\n' >static.c
	${CC:-cc} -static -o static static.c
	expect 126 bpio run ./static
	says err '"./static" is statically linked; start it without "bpio run" and use "bpio attach"'
}

static_script()
{
	printf 'int main(void) { return 0; }\n' >static.c
	${CC:-cc} -static -o static static.c
	printf '#!%s/static\n' "$WORK" >script
	chmod +x script
	expect 126 bpio run ./script
	says err "static\" is statically linked"
}

setuid_program()
{
	cp /bin/true suid
	chown nobody suid
	chmod u+s suid
	expect 126 bpio run ./suid
	says err '"./suid" is set-user-ID'
}

foreign_program()
{
	cp /bin/true foreign
	# EI_CLASS: 32 bits
	printf '\x01' | dd of=foreign bs=1 seek=4 conv=notrunc status=none
	expect 126 bpio run ./foreign
	says err 'for another architecture'
}

bad_glob()
{
	expect 2 bpio run --file '' true
	says err 'expected a pattern for paths, but got ""'
}

summary_file()
{
	expect 125 bpio run --summary /no/such/folder/file -- touch ran
	says err 'cannot write the summary to "/no/such/folder/file"'
	[ ! -e ran ]
}

no_node()
{
	expect 126 bpio run touch ran
	says err 'cannot bypass anything: there is no /dev/bpio; is the module dm-bpio loaded?'
	[ "$(wc -l <err)" -eq 1 ]
	[ ! -e ran ]
}

no_library()
{
	BPIO_PRELOAD_LIBRARY=/no/such.so expect 125 bpio run touch ran
	says err 'cannot read the preload library "/no/such.so"'
	[ ! -e ran ]
}

it "A command that does not exist is 127, one that is no program 126" cannot_run
it "A statically linked program is refused by name" static_program
it "A script of a statically linked program is refused" static_script
if [ "$(id -u)" -eq 0 ]; then
	it "A set-user-ID program is refused by name" setuid_program
else
	skip "A set-user-ID program is refused by name" "takes root to make one"
fi
it "A program for another processor is refused by name" foreign_program
it "An empty pattern is an error" bad_glob
it "A summary that cannot be written is an error, and nothing is run" \
	summary_file
it "Without the preload library nothing is run" no_library
if [ ! -e /dev/bpio ]; then
	it "Without the control node nothing is run, and a sentence says so" \
		no_node
else
	skip "Without the control node nothing is run, and a sentence says so" \
		"this machine has the module"
fi
finish
