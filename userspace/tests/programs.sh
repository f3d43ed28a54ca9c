#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# bpio run on a real volume. As root in a guest of selftests/vm; see guest.sh.
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")/userspace
# shellcheck source=volumes.sh
. "$here/volumes.sh"

# bpio run with the summary in sum: summary COMMAND [ARG...]
summary()
{
	expect 0 bpio run --json --summary sum "$@"
}

YAMA=/proc/sys/kernel/yama/ptrace_scope
# As an unprivileged user
NOBODY=(setpriv --reuid=65534 --regid=65534 --clear-groups)

readable()
{
	chmod 755 "$WORK" "$mnt"
	chmod 644 "$mnt/file"
}

status()
{
	expect 0 bpio run -q true
	expect 7 bpio run -q -- sh -c 'exit 7'
	expect 143 bpio run -q -- sh -c 'kill -TERM $$'
	[ ! -s err ]
}

cannot_open()
{
	trap 'chmod 666 /dev/bpio' EXIT
	chmod 600 /dev/bpio
	expect 126 "${NOBODY[@]}" bpio run touch ran
	says err 'cannot bypass anything: /dev/bpio cannot be opened: Permission denied'
	[ "$(wc -l <err)" -eq 1 ]
	[ ! -e ran ]
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

programs()
{
	summary -- sh -c 'env true; env true; (true); true'
	[ "$(json-get /programs <sum)" -ge 4 ]
	json sum /exit_status 0
}

every_open()
{
	summary opens "$mnt/file"
	json sum /files "$(cat out)"
	[ "$(cat out)" -ge 11 ]
	json sum /refused_by_reason '{ }'
	json sum /direct_reads 0
}

summary_file()
{
	expect 0 bpio run --summary sum -- echo hello
	[ "$(cat out)" = hello ]
	[ ! -s err ]
	says sum 'bpio run: "echo" ended with status 0.'
	expect 0 bpio run -q --summary sum -- echo hello
	says sum 'Direct reads: 0'
}

killed_itself()
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

none_enabled()
{
	[ "$(bpio info --json "$mnt" | json-get /active_files)" -eq 0 ]
}

fio_engine()
{
	summary -- fio --name=r --filename="$mnt/file" --readonly --direct=1 \
		--rw=randread --bs=4k --number_ios=100 --output=fio.txt "$@"
	[ "$(json-get /files <sum)" -ge 1 ]
	json sum /direct_reads 100
	json sum /fallback_reads 0
	# the kernel closes the registered files of a ring some time after its end
	[[ " $* " == *' --registerfiles '* ]] || json sum /open_files 0
	wait_for none_enabled
}

fio_verify()
{
	fio --name=w --filename="$mnt/verify" --size=4m --rw=write --bs=64k \
		--verify=crc32c --do_verify=0 --output=fio.txt
	sync
	summary -- fio --name=w --filename="$mnt/verify" --size=4m --rw=read \
		--bs=64k --verify=crc32c --direct=1 --ioengine=io_uring \
		--readonly --output=fio.txt
	json sum /direct_reads 64
	json sum /fallback_reads 0
	# A byte that is wrong must be seen by what was just shown to see none.
	printf x | dd of="$mnt/verify" bs=1 seek=1000000 conv=notrunc,fsync \
		status=none
	expect 1 bpio run -q -- fio --name=w --filename="$mnt/verify" \
		--size=4m --rw=read --bs=64k --verify=crc32c --direct=1 \
		--ioengine=io_uring --readonly --output=fio.txt
	rm "$mnt/verify"
}

same_bytes()
{
	summary -- dd if="$mnt/file" iflag=direct of=copy bs=64k status=none
	cmp copy "$mnt/file"
	json sum /files 1
	json sum /direct_bytes "$(stat -c %s "$mnt/file")"
}

inherits()
{
	summary -- sh -c "dd if=$mnt/file iflag=direct of=/dev/null bs=1M;
		exec dd if=$mnt/file iflag=direct of=/dev/null bs=1M"
	json sum /files 2
	json sum /direct_reads 8
}

# globbed FILES COMMAND...: so many of the files that the command reads match
globbed()
{
	summary "${@:2}"
	json sum /files "$1"
	json sum /refused_by_reason '{ }'
}

globs()
{
	local read=(iflag=direct of=/dev/null bs=1M)

	cp "$mnt/file" "$mnt/other"
	ln -s "$mnt/file" link
	ln -s "$mnt" dir
	globbed 1 --file "$mnt/ot*" -- sh -c "
		dd if=$mnt/file ${read[*]}; dd if=$mnt/other ${read[*]}"
	json sum /direct_reads 4
	globbed 1 --file link -- dd if="$WORK/link" "${read[@]}"
	globbed 1 --file "$mnt/f*" -- dd if=link "${read[@]}"
	globbed 1 --file "$WORK/dir/*" -- dd if="$WORK/dir/file" "${read[@]}"
	globbed 0 --file other --file '*.data' -- dd if="$mnt/file" "${read[@]}"
	globbed 1 --file other --file '*/fil?' -- dd if="$mnt/file" "${read[@]}"
	# by fcntl, where only the file itself has a name
	globbed 1 --file "$mnt/fil*" -- reader "$mnt/file" set-direct
	globbed 0 --file "$mnt/oth*" -- reader "$mnt/file" set-direct
	cd "$mnt"
	globbed 1 --file file -- dd if=file "${read[@]}"
	rm other out err sum
}

fallback_reasons()
{
	exec 7>>"$mnt/file"
	summary -- dd if="$mnt/file" iflag=direct of=/dev/null bs=1M count=4
	expect 0 bpio run -- dd if="$mnt/file" iflag=direct of=/dev/null bs=1M \
		count=4
	exec 7>&-
	json sum /files 1
	json sum /direct_reads 0
	json sum /fallback_reads 4
	json sum /fallback_by_reason/writer 4
	says err '    Fell back: 4 writer (The file is open for writing'
}

# A file of the volume that is refused, and one that is on none
refusals()
{
	local reads

	dd if=/dev/zero of="$mnt/swap" bs=1M count=1 status=none
	chmod 600 "$mnt/swap"
	mkswap -q "$mnt/swap"
	swapon "$mnt/swap"
	reads="dd if=$mnt/swap iflag=direct of=/dev/null bs=1M
		dd if=$mnt/swap iflag=direct of=/dev/null bs=1M
		dd if=elsewhere/file iflag=direct of=/dev/null bs=1M"
	mkfs.ext4 -q "$BPIO_NVME_B1"
	mkdir -p elsewhere
	mount "$BPIO_NVME_B1" elsewhere
	cp "$mnt/file" elsewhere/file
	sync
	summary -- sh -c "$reads"
	expect 0 bpio run -- sh -c "$reads"
	swapoff "$mnt/swap"
	umount elsewhere
	rm "$mnt/swap"
	json sum /files 0
	json sum /refused_by_reason/swap-file 2
	json sum /not_on_volume 1
	json sum /failed 0
	says err '    Refused: 2 swap-file ('
	says err '    Not on a bpio volume: 1'
}

unprivileged()
{
	readable
	expect 0 "${NOBODY[@]}" bpio run -- \
		dd if="$mnt/file" iflag=direct bs=1M count=4 status=none
	says err '    Files opened with bypass: 1'
	says err '    Direct reads: 4'
	cmp out "$mnt/file"
}

# Every read counted once, whatever the program does with its descriptors
counted()
{
	local reads

	expect 0 bpio run --json --summary sum -- reader "$mnt/file" "$1"
	reads=$(cat out)
	[ "$reads" -gt 0 ]
	json sum /direct_reads "$reads"
	json sum /fallback_reads 0
	json sum /open_files 0
	json sum /uncounted_files 0
	json sum /failed 0
}

killed()
{
	expect 137 bpio run --json --summary sum -- reader "$mnt/file" killed
	json sum /exit_status 137
	json sum /files 2
	json sum /direct_reads 16
	json sum /open_files 0
}

# One that has the tally can go on counting as another user, one that has closed
# it may not have it back.
other_user()
{
	readable
	summary -- setpriv --reuid=65534 --clear-groups \
		reader "$mnt/file" close
	json sum /direct_reads 8
	json sum /uncounted_files 0
	expect 0 bpio run --summary sum.txt -- setpriv --reuid=65534 \
		--clear-groups reader "$mnt/file" closes-first
	says sum.txt 'Direct reads: 0'
	says sum.txt 'Files opened with bypass but not counted below: 1'
	says sum.txt 'Note: a program that closed the tally'
}

# Where processes may look at their descendants only
yama()
{
	read -r before <"$YAMA"
	trap 'echo "$before" >"$YAMA"' EXIT
	echo 1 >"$YAMA"
	readable
	expect 0 "${NOBODY[@]}" bpio run -- reader "$mnt/file" closes-first
	says err '    Direct reads: 8'
}

few_descriptors()
{
	(
		ulimit -n 64
		summary -- reader "$mnt/file" close
	)
	json sum /direct_reads 8
}

# The summary comes when the command ends, not when all its processes do.
goes_on()
{
	mkfifo orders answers
	exec 7<>orders
	echo >&7
	# shellcheck disable=SC2016 # for the inner shell
	summary -- sh -c 'hold "$1" <orders >answers 7>&- &
		read -r word <answers; exec test "$word" = direct' - "$mnt/file"
	exec 7>&-
	json sum /files 1
	json sum /open_files 1
	json sum /direct_reads 1
	while pgrep -x hold; do
		sleep 0.1
	done
}

static_child()
{
	local where

	where=$(command -v obey)
	expect 126 bpio run obey
	says err "\"$where\" is statically linked; start it without \"bpio run\" and use \"bpio attach\""
	# at the end of a shell, replacing it, and beside it
	for command in 'obey' 'exec obey' 'obey | cat' '(sh -c "obey; true"); true'
	do
		expect 0 bpio run --json --summary sum -- \
			sh -c "sleep 1 | { $command; }"
		json sum /static_programs/0 "$where"
		refute json-get /static_programs/1 <sum
	done
	expect 0 bpio run -- sh -c 'sleep 1 | obey'
	says err "    Not served: \"$where\" is statically linked and loads no library; \"bpio attach\" can serve it"
	refute grep Note err
	summary -- sh -c 'sleep 1 | cat'
	json sum /static_programs '[ ]'
}

by_the_loader()
{
	summary -- sh -c "sleep 1 | /lib64/ld-linux-x86-64.so.2 $(command -v cat)"
	json sum /static_programs '[ ]'
}

nothing_left()
{
	expect 0 bpio info --json vol
	json out /active_files 0
}

set_up "$BPIO_NVME_A1"
it "The exit status is that of the command or 128 and its signal" status
it "Without permission on the control node nothing is run" cannot_open
it "Options behind the command belong to the command" program_options
it "Libraries that are preloaded already stay so" environment
it "Programs that the command starts are counted" programs
it "Every way to open a file for direct reading is seen, no other is" every_open
it "The summary goes to the file it should" summary_file
it "A signal to bpio run ends the command" killed_itself
for engine in psync pvsync2 libaio io_uring; do
	it "fio reads directly by $engine under bpio run" \
		fio_engine --ioengine="$engine" --iodepth=4
done
it "fio reads directly from threads" fio_engine --thread
it "fio reads directly with registered files and fixed buffers" \
	fio_engine --ioengine=io_uring --registerfiles --fixedbufs
it "fio's own verification finds the bytes it wrote" fio_verify
it "A program under bpio run reads the same bytes" same_bytes
it "Children and programs that replace others are bypassed too" inherits
it "--file takes relative, absolute and resolved paths" globs
it "The summary tells why reads fell back" fallback_reasons
it "The summary tells why and how often files were not bypassed" refusals
it "A user who may only read the file is bypassed" unprivileged
for way in clear-direct close close-range closes-first dup dup2 end-at-once \
	exec exec-closed exit fclose fork quick-exit set-direct threads vfork; do
	it "Reads are counted once, whatever the program does: $way" \
		counted "$way"
done
it "Reads of a program that is killed are counted" killed
it "Reads as another user are counted, or said not to be" other_user
if [ -e "$YAMA" ]; then
	it "A program that closes the tally gets it back also where Yama rules" \
		yama
else
	skip "A program that closes the tally gets it back also where Yama rules" \
		"this kernel has no Yama"
fi
it "A low limit of descriptors is no obstacle" few_descriptors
it "A process that outlives the command does not hold up the summary" goes_on
it "Statically linked programs are named" static_child
if [ -e /lib64/ld-linux-x86-64.so.2 ]; then
	it "A program that is started by the loader is not taken for one" \
		by_the_loader
else
	skip "A program that is started by the loader is not taken for one" \
		"the loader has another name here"
fi
it "In the end nothing is left enabled" nothing_left
tear_down
finish
