#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Everyday programs that read with O_DIRECT: each has the same output and exit status
# plain, under "bpio run", and with "bpio attach" while it runs; and its reads go direct.
# A program that is not installed is skipped. PostgreSQL is not included: it has direct
# I/O since 16, and the guest's release has 15.
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
# shellcheck source=lib.sh
. "$here/lib.sh"

# Sectors of each volume, and where it begins. The second one is slow: programs
# take seconds to read from it.
SECTORS=$((200 * 2048))
START=2048
SLOW_START=$((START + SECTORS))
SLOW_MS=8

WORK=
KEEP=
fast=${MNT_PREFIX}fast
slow=${MNT_PREFIX}slow

# The volumes are made once, so lib.sh may not sweep them between the tests.
sweep()
{
	[ -n "$KEEP" ] || "$HERE/sweep" 2>&1 | diagnose
}

volume()
{
	local name=$PREFIX$1 device=$2 start=$3

	dm create "$name" --table "0 $SECTORS bpio $device $start"
	bounded mkfs.ext4 -q -F -E nodiscard "/dev/mapper/$name"
	mkdir -p "$MNT_PREFIX$1"
	mount "/dev/mapper/$name" "$MNT_PREFIX$1"
}

# delayed MS: the table of the layer that makes reads take that long
delayed()
{
	echo "0 $SECTORS delay $NVME $SLOW_START $1"
}

# The same files on both: data, which has an odd tail, a disk image and two
# copies of it in other formats.
files()
{
	local dir=$1

	cp "$WORK/data" "$WORK/disk" "$WORK/disk.qcow2" "$dir/"
	cp "$WORK/disk" "$dir/disk2"
	chmod 644 "$dir"/d*
	sync -f "$dir"
}

setup()
{
	WORK=$(mktemp -d)
	export WORK here
	head -c $((2 * 1024 * 1024 + 1000)) /dev/urandom >"$WORK/data"
	head -c $((12 * 1024 * 1024)) /dev/urandom >"$WORK/disk"
	: >"$WORK/disk.qcow2"
	! command -v qemu-img >/dev/null ||
		qemu-img convert -f raw -O qcow2 "$WORK/disk" "$WORK/disk.qcow2"
	volume fast "$NVME" "$START"
	dm create "${PREFIX}delay" --table "$(delayed 0)"
	volume slow "/dev/mapper/${PREFIX}delay" 0
	files "$fast"
	files "$slow"
	dm reload "${PREFIX}delay" --table "$(delayed "$SLOW_MS")"
	dm resume "${PREFIX}delay"
	# what writes a file is done with it
	echo 3 >/proc/sys/vm/drop_caches
}

need()
{
	command -v "$1" >/dev/null || skip "$1 is not installed"
}

# The number NAME of what bpio says of a volume: told_of fast direct_reads
told_of()
{
	# it ends with 10 where the bypass is partial
	{ bpio info --json "$PREFIX$1" || true; } | jq ".$2"
}

# --- the programs: each function reads below the directory $1 ---

# What a program prints of its speed differs each time.
without_times()
{
	sed -E '/(ops; |sec\)|bytes\/s|KiB\/sec|MiB\/sec)/d'
}

dd_reads()
{
	dd if="$1/data" iflag=direct bs=4k status=none | sha256sum
}

ddrescue_reads()
{
	rm -f "$WORK/rescued" "$WORK/map"
	ddrescue -q -d -b 512 -c 8 "$1/data" "$WORK/rescued" "$WORK/map" || return
	sha256sum <"$WORK/rescued"
}

ioping_reads()
{
	ioping -D -q -c 400 -i 5ms -s 4k "$1/data" >"$WORK/ioping" || return
	echo pinged
}

xfs_io_reads()
{
	xfs_io -d -r -c 'pread -v 0 16k' -c 'pread -b 4k 0 2m' -c fsync \
		-c fdatasync -c 'fiemap -v' -c lsattr -c stat -c lsproj \
		"$1/data" >"$WORK/xfs_io" 2>&1 || return
	without_times <"$WORK/xfs_io" | sed "s,$1/,,g; /^stat\.\(ino\|.time\)/d" |
		grep -v -E '^ *[0-9]+: \[|^fd\.path'
}

python_reads()
{
	python3 - "$1/data" <<-'END'
	import hashlib, mmap, os, sys
	fd = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECT)
	pages = [mmap.mmap(-1, 4096) for _ in range(2)]
	digest, at = hashlib.sha256(), 0
	while True:
	    n = os.preadv(fd, pages, at)
	    digest.update((pages[0][:] + pages[1][:])[:n])
	    at += n
	    if n < 8192:
	        break
	print(at, digest.hexdigest())
	END
}

qemu_convert()
{
	rm -f "$WORK/converted"
	qemu-img convert -T none -r 3M -m 1 -f raw -O raw "$1/disk" \
		"$WORK/converted" || return
	sha256sum <"$WORK/converted"
}

qemu_convert_qcow2()
{
	rm -f "$WORK/converted"
	qemu-img convert -T none -r 3M -m 1 -f qcow2 -O raw "$1/disk.qcow2" \
		"$WORK/converted" || return
	sha256sum <"$WORK/converted"
}

qemu_compare()
{
	qemu-img compare -T none -f raw -F raw "$1/disk" "$1/disk2"
}

qemu_compare_different()
{
	qemu-img compare -T none -f raw -F raw "$1/disk" "$1/data"
}

# qemu_io MODE DIRECTORY
qemu_io()
{
	local i commands=()

	for i in {0..60}; do
		commands+=(-c "read $((i * 65536)) 64k")
	done
	qemu-io -r -t none -i "$1" -f raw "${commands[@]}" \
		-c 'read -v 1M 4k' -c 'read -v 4190208 4k' -c length \
		-c 'aio_read 0 1M' -c aio_flush -c 'aio_read 2M 1M' \
		-c aio_flush \
		"$2/disk" >"$WORK/qemu-io" || return
	without_times <"$WORK/qemu-io"
}

qemu_io_io_uring()
{
	qemu_io io_uring "$1"
}

qemu_io_native()
{
	qemu_io native "$1"
}

qemu_io_threads()
{
	qemu_io threads "$1"
}

# fio_engine ENGINE DIRECTORY
fio_engine()
{
	fio --name=job --readonly --rw=read --bs=4k --direct=1 --size=2M \
		--ioengine="$1" --iodepth=2 --filename="$2/data" --thread \
		--output-format=json >"$WORK/fio" 2>&1 || return
	sed -n '/^{/,$p' "$WORK/fio" |
		jq '.jobs[] | .error, .read.io_bytes, .read.total_ios'
}

rocks()
{
	db_bench --num=20000 --value_size=100 --compression_type=none \
		--threads=1 --disable_wal=1 --use_direct_reads=true --seed=1 \
		--cache_size=0 --histogram=0 "$@"
}

db_bench_reads()
{
	rocks --db="$1/rocks" --benchmarks=readseq,readrandom --reads=2000 \
		--use_existing_db=1 >"$WORK/rocks" 2>"$WORK/rocks.err" || return
	sed -n -E 's/.*\(([0-9]+ of [0-9]+) found.*/\1/p' "$WORK/rocks"
}

ldb_scans()
{
	ldb --db="$1/rocks" --try_load_options scan >"$WORK/ldb" || return
	sha256sum <"$WORK/ldb"
}

static_busybox()
{
	busybox dd if="$1/data" iflag=direct bs=4k 2>/dev/null | sha256sum
}

raw_reads()
{
	"$here/raw_reader" "$1/data" 4096
}

static_reads()
{
	"$here/raw_reader_static" "$1/data" 4096
}

# --- what is done with each ---

export -f without_times dd_reads ddrescue_reads ioping_reads xfs_io_reads \
	python_reads qemu_convert qemu_convert_qcow2 qemu_compare \
	qemu_compare_different qemu_io qemu_io_io_uring qemu_io_native \
	qemu_io_threads fio_engine rocks db_bench_reads ldb_scans static_busybox \
	raw_reads static_reads

# plain WHAT: output and status in the file of that name, the first time
plain()
{
	local status=0 to=$WORK/plain-$1

	[ ! -e "$to" ] || return 0
	bounded bash -c "$1 $fast" >"$to" 2>&1 </dev/null || status=$?
	echo "status $status" >>"$to"
}

# same_as_plain WHAT OUTPUT
same_as_plain()
{
	diff "$WORK/plain-$1" "$2" || fail "it is not as it was plain"
}

# run WHAT: under "bpio run", with the summary in $WORK/sum
run()
{
	local status=0

	plain "$1"
	bounded bpio run --json --summary "$WORK/sum" -- \
		bash -c "$1 $fast" >"$WORK/run" 2>&1 </dev/null || status=$?
	echo "status $status" >>"$WORK/run"
	same_as_plain "$1" "$WORK/run"
}

summed()
{
	jq -e "$1" "$WORK/sum" >/dev/null || {
		jq . "$WORK/sum"
		fail "not so: $1"
	}
}

runs()
{
	run "$1"
	summed '.direct_reads > 0 and .files > 0'
}

# Until a process has a file of the slow volume open, or one whose path there
# matches $holds; it is $pid then.
wait_for_holder()
{
	local deadline=$((SECONDS + 60))

	pid=
	while [ -z "$pid" ] && [ "$SECONDS" -lt "$deadline" ]; do
		pid=$(find /proc/[0-9]*/fd -lname "$slow/${holds:-*}" -printf '%h\n' \
			-quit 2>/dev/null || true)
		pid=${pid#/proc/}
		pid=${pid%/fd}
	done
	[ -n "$pid" ] || fail "it never had the file open"
}

# attached WHAT [OPTION...]: the program is started first and then attached to,
# while it is stopped, unless $stops is empty
attached()
{
	local what=$1 before status=0 job
	shift

	plain "$what"
	before=$(told_of slow direct_reads)
	timeout 240 bash -c "$what $slow" >"$WORK/attached" 2>&1 </dev/null &
	job=$!
	wait_for_holder
	# so that it is not over before "bpio" has started on a busy machine
	[ -z "${stops-yes}" ] || kill -STOP "$pid"
	bpio attach "$@" "$pid" >"$WORK/attach" 2>&1 || status=$?
	kill -CONT "$pid"
	cat "$WORK/attach"
	[ "$status" -eq 0 ] || fail "attach ended with status $status"
	wait "$job" || status=$?
	echo "status $status" >>"$WORK/attached"
	sed -i "s,$slow,$fast,g" "$WORK/attached"
	same_as_plain "$what" "$WORK/attached"
	[ "$(told_of slow direct_reads)" -gt "$before" ] ||
		fail "no read went direct"
	[ "$(told_of slow active_files)" -eq 0 ] || fail "it is still enabled"
}

# both PROGRAM SENTENCE WHAT: the two tests of most programs
both()
{
	local program=$1 sentence=$2 what=$3

	eval "run_$what() { need $program; runs '$what'; }"
	eval "attach_$what() { need $program; attached '$what'; }"
	it "$sentence under bpio run, and direct" "run_$what"
	it "$sentence attached while it runs, and direct" "attach_$what"
}

both_fio()
{
	local engine=$1

	eval "run_fio_$engine() { fio_has $engine; runs 'fio_engine $engine'; }"
	eval "attach_fio_$engine() { fio_has $engine; fio_attach $engine; }"
	it "fio's engine $engine reads the same under bpio run, and direct" \
		"run_fio_$engine"
	it "fio's engine $engine reads the same attached, and direct" \
		"attach_fio_$engine"
}

# The engine io_uring closes its file and opens it again when a stop has
# interrupted it.
fio_attach()
{
	local stops=yes

	[ "$1" != io_uring ] || stops=
	attached "fio_engine $1"
}

fio_has()
{
	need fio
	fio --enghelp | grep -q -w "$1" || skip "fio has no engine $1"
}

# Whose reads are those of the page cache.
fio_mmap()
{
	fio_has mmap
	run 'fio_engine mmap'
	summed '.direct_reads == 0'
}

compare_run()
{
	need qemu-img
	runs qemu_compare
}

compare_different_run()
{
	need qemu-img
	runs qemu_compare_different
	grep -q 'status 1' "$WORK/run"
}

rocks_made()
{
	need db_bench
	for dir in "$fast" "$slow"; do
		[ -e "$dir/rocks/CURRENT" ] || rocks --db="$dir/rocks" \
			--benchmarks=fillseq >/dev/null 2>&1
	done
}

db_bench_run()
{
	rocks_made
	runs db_bench_reads
}

db_bench_attach()
{
	# its other files are open earlier, and not read with O_DIRECT
	local holds='rocks/*.sst'

	rocks_made
	attached db_bench_reads
}

ldb_run()
{
	need ldb
	rocks_made
	runs ldb_scans
	[ "$(wc -l <"$WORK/ldb")" -ge 20000 ]
}

static_is_told()
{
	local status=0

	bpio run "$here/raw_reader_static" "$fast/data" 4096 >"$WORK/out" \
		2>"$WORK/err" || status=$?
	cat "$WORK/err"
	[ "$status" -eq 126 ]
	grep -q static "$WORK/err"
	grep -q 'bpio attach' "$WORK/err"
	[ ! -s "$WORK/out" ]
}

# As a child of a program that is not: it runs, and is named in the summary.
static_child()
{
	run static_reads
	summed '.direct_reads == 0 and .files == 0'
	grep -q raw_reader_static "$WORK/sum" || fail "$(<"$WORK/sum")"
}

raw_is_not_enabled()
{
	run raw_reads
	summed '.direct_reads == 0 and .files == 0'
}

static_attach()
{
	attached static_reads
}

raw_attach()
{
	attached raw_reads
}

busybox_attach()
{
	need busybox
	busybox dd if="$fast/data" iflag=direct bs=4k count=1 of=/dev/null \
		2>/dev/null || skip "busybox dd does not know iflag=direct"
	attached static_busybox
}

nobody_reads()
{
	chmod 755 "$fast" "$WORK"
	plain dd_reads
	setpriv --reuid=65534 --regid=65534 --clear-groups bpio run --json \
		-- bash -c "dd_reads $fast" >"$WORK/run" 2>"$WORK/sum" </dev/null
	echo "status 0" >>"$WORK/run"
	same_as_plain dd_reads "$WORK/run"
	summed '.direct_reads > 500'
}

plan 51
KEEP=yes
trap 'KEEP=; rm -rf "$WORK"; finish' EXIT
setup
both dd "dd iflag=direct reads the same" dd_reads
both ddrescue "ddrescue -d reads the same" ddrescue_reads
both ioping "ioping -D reads" ioping_reads
both xfs_io "xfs_io -d reads and tells the same" xfs_io_reads
both python3 "Python's os.preadv reads the same" python_reads
both qemu-img "qemu-img convert -T none reads the same" qemu_convert
both qemu-img "qemu-img convert -T none of qcow2 reads the same" \
	qemu_convert_qcow2
# soon over, also where reads are slow
it "qemu-img compare -T none says the same under bpio run, and direct" \
	compare_run
it "qemu-img compare -T none finds the same difference under bpio run" \
	compare_different_run
both qemu-io "qemu-io -t none with io_uring reads the same" qemu_io_io_uring
both qemu-io "qemu-io -t none with native reads the same" qemu_io_native
both qemu-io "qemu-io -t none with threads reads the same" qemu_io_threads
for engine in sync psync vsync pvsync pvsync2 libaio io_uring posixaio splice; do
	both_fio "$engine"
done
it "fio's engine mmap reads the same under bpio run, and not direct" fio_mmap
it "RocksDB's db_bench finds the same under bpio run, and direct" db_bench_run
it "RocksDB's db_bench finds the same attached, and direct" db_bench_attach
it "RocksDB's ldb scans the same under bpio run, and direct" ldb_run
it "a static program is refused by bpio run with the way out" static_is_told
it "a static program among the children is named in the summary" static_child
it "a program that makes system calls itself is not enabled by bpio run" \
	raw_is_not_enabled
it "a static program reads the same attached, and direct" static_attach
it "a program that makes system calls itself reads the same attached, and direct" \
	raw_attach
it "static busybox dd reads the same attached, and direct" busybox_attach
it "dd reads direct under bpio run as nobody" nobody_reads
ktap_finished
