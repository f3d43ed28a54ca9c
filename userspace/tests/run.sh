#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# bpio run, as far as it needs no volume.
# shellcheck source=tap.sh
. "$(dirname "${BASH_SOURCE[0]}")/tap.sh"

# The summary of a command: summary COMMAND [ARG...] leaves it in sum
summary()
{
	expect 0 bpio run --json --summary sum "$@"
}

status()
{
	expect 0 bpio run -q true
	expect 7 bpio run -q -- sh -c 'exit 7'
	expect 143 bpio run -q -- sh -c 'kill -TERM $$'
	[ ! -s err ]
}

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
	says err '"./static" is statically linked'
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
	says err 'for another kind of processor'
}

program_options()
{
	expect 0 bpio run -q env printf '%s' -q --json --file
	[ "$(cat out)" = "-q--json--file" ]
}

environment()
{
	# shellcheck disable=SC2016 # for the inner shell
	LD_PRELOAD=libc.so.6 expect 0 bpio run -q -- sh -c 'echo "$LD_PRELOAD"'
	grep -q '/libbpio-preload.so:libc.so.6$' out
}

children()
{
	summary -- sh -c 'env true; env true; (true); true'
	[ "$(json-get /processes <sum)" -ge 4 ]
	json sum /exit_status 0
}

# Where direct I/O works, so that programs can open files for it.
make_file()
{
	dd if=/dev/zero of=file bs=4096 count=2 status=none
	dd if=file iflag=direct of=/dev/null bs=4096 status=none
}

every_open()
{
	make_file
	summary opens file
	json sum /not_on_volume 8
	json sum /handles 0
	json sum /direct_reads 0
}

globs()
{
	make_file
	ln -s file link
	ln -s . dir
	summary --file file -- dd if=file iflag=direct of=/dev/null
	json sum /not_on_volume 1
	summary --file 'f*' -- dd if=link iflag=direct of=/dev/null
	json sum /not_on_volume 1
	summary --file "$WORK/dir/*" -- dd if="$WORK/dir/file" iflag=direct of=/dev/null
	json sum /not_on_volume 1
	summary --file other --file '*.data' -- dd if=file iflag=direct of=/dev/null
	json sum /not_on_volume 0
	summary --file other --file '*/fil?' -- dd if=file iflag=direct of=/dev/null
	json sum /not_on_volume 1
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
	expect 0 bpio run --summary sum -- echo hello
	[ "$(cat out)" = hello ]
	[ ! -s err ]
	says sum 'bpio run: "echo" ended with status 0.'
	expect 0 bpio run -q --summary sum -- echo hello
	says sum 'Direct reads: 0'
}

no_library()
{
	BPIO_PRELOAD_LIBRARY=/no/such.so expect 125 bpio run touch ran
	says err 'cannot read the preload library "/no/such.so"'
	[ ! -e ran ]
}

killed()
{
	bpio run -q -- sleep 60 &
	until pgrep -P $! sleep >pid; do
		kill -0 $! || complain "bpio run ended"
	done
	kill -TERM $!
	local status=0
	wait $! || status=$?
	[ "$status" -eq 143 ]
	refute kill -0 "$(cat pid)"
}

closes_all()
{
	cat >close.c <<-END
		#include <fcntl.h>
		#include <unistd.h>
		int main(void)
		{
			closefrom(3);
			close_range(3, ~0U, 0);
			return close(9) == 0;
		}
	END
	${CC:-cc} -D_GNU_SOURCE -o close close.c
	summary ./close
	json sum /processes 1
}

it "The exit status is that of the command or 128 and its signal" status
it "A command that does not exist is 127, one that is no program 126" cannot_run
it "A statically linked program is refused by name" static_program
it "A script of a statically linked program is refused" static_script
if [ "$(id -u)" -eq 0 ]; then
	it "A set-user-ID program is refused by name" setuid_program
else
	skip "A set-user-ID program is refused by name" "takes root to make one"
fi
it "A program for another processor is refused by name" foreign_program
it "Options behind the command belong to the command" program_options
it "Libraries that are preloaded already stay so" environment
it "Processes that the command starts are counted" children
it "Every function that opens files for direct reading is seen, no other is" \
	every_open
it "--file takes relative, absolute and resolved paths" globs
it "An empty pattern is an error" bad_glob
it "The summary goes to the file it should, or nothing is run" summary_file
it "Without the preload library nothing is run" no_library
it "A signal to bpio run ends the command" killed
it "A program that closes all descriptors is not disturbed" closes_all
finish
