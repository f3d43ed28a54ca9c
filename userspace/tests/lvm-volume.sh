# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Common parts of the tests of LVM volumes. Source it after volumes.sh.
: "${mnt:?where the volume is mounted}"
if ! command -v lvm >/dev/null; then
	echo "1..0 # SKIP there is no LVM"
	exit 4
fi
: "${BPIO_TEST_SECONDS:=6}"
pvs=("$BPIO_NVME_A1" "$BPIO_NVME_B1")

stock()
{
	refute grep -q bpio < <(dmsetup table "$1")
}

adopted()
{
	[ -n "$(dmsetup table "$1")" ] &&
		refute grep -qv '^[^ ]* [^ ]* bpio' < <(dmsetup table "$1")
}

# No table waits to become live, and the device is not suspended.
clean()
{
	[ "$(dmsetup info -c --noheadings -o tables_loaded,suspended "$1")" = \
		Live:Active ] || {
		dmsetup info "$1"
		dmsetup table --inactive "$1"
		complain "$1 is not as it was"
	}
}

same_content()
{
	md5sum --quiet -c "$WORK/digest"
	[ "$(dd if="$mnt/file" iflag=direct bs=1M status=none | md5sum)" = \
		"$(md5sum <"$mnt/file")" ]
}

# A test that begins with the volume as LVM made it: fresh COMMAND...
fresh()
{
	bpio release -q vg/data
	"$@"
}

one_segment()
{
	lvcreate -qq -y -W n -n data -L 320M vg "$BPIO_NVME_A1"
}

# make_volume FILE-SYSTEM [COMMAND that makes vg/data]
make_volume()
{
	pvcreate -qq -y -ff "${pvs[@]}"
	vgcreate -qq vg "${pvs[@]}"
	"${2:-one_segment}"
	case $1 in
	ext4) mkfs.ext4 -q /dev/vg/data ;;
	xfs) mkfs.xfs -q -f /dev/vg/data ;;
	esac
	mkdir -p "$mnt"
	mount /dev/vg/data "$mnt"
	head -c 8M /dev/urandom >"$mnt/file"
	md5sum "$mnt/file" >"$WORK/digest"
	fio --name=read --filename="$mnt/read" --size=40M --rw=write --bs=4k \
		--verify=crc32c --verify_state_save=0 --do_verify=0 \
		--end_fsync=1 >/dev/null
	sync
}

remove_volume()
{
	umount "$mnt"
	vgremove -qq -ff -y vg
	pvremove -qq -y "${pvs[@]}"
	rm -f /etc/bpiotab
}

# shellcheck disable=SC2317 # called on exit
kill_load()
{
	# also those that fio has started
	fuser -s -k "$mnt/written" "$mnt/read" || true
	wait "$writer" "$reader" || true
}

# Verified writes, and verified reads with BypassIO enabled, until stop_load. However
# long it is told to, fio verifies what it reads in one pass only; at 10 reads a second
# one takes 17 minutes.
start_load()
{
	local common=(--direct=1 --ioengine=libaio --bs=4k --verify=crc32c
		--verify_state_save=0 --verify_fatal=1 --time_based
		--runtime=1000 --output-format=json)

	fio --name=write --filename="$mnt/written" --size=4M --rw=randrw \
		--iodepth=4 --verify_backlog=32 --thinktime=500 \
		--output=write.json "${common[@]}" &
	writer=$!
	bpio run --json --summary=run.json -- \
		fio --name=read --filename="$mnt/read" --size=40M --rw=randread \
		--iodepth=4 --rate_iops=10 --output=read.json "${common[@]}" &
	reader=$!
	trap kill_load EXIT
	wait_for fuser -s "$mnt/written"
	wait_for fuser -s "$mnt/read"
}

stop_load()
{
	local name

	kill -0 "$writer" || complain "the writer has ended"
	kill -0 "$reader" || complain "the reader has ended"
	pkill -INT -P "$reader" fio
	kill -INT "$writer"
	wait "$writer" "$reader" || true
	trap - EXIT
	for name in write read; do
		# it says by which signal it was ended
		sed -i '/^fio:/d' "$name.json"
		jq -e '[.jobs[].error] | add == 0' "$name.json" >/dev/null || {
			cat "$name.json"
			complain "fio has seen an error"
		}
		jq -e '.jobs[0].read.total_ios > 0' "$name.json" >/dev/null
	done
	jq -e '.jobs[0].write.total_ios > 0' write.json >/dev/null
	json run.json /files 1
}

direct_reads()
{
	{ bpio info --json "$mnt" || true; } | json-get /direct_reads
}

# more_direct COUNT: more reads than that went direct
more_direct()
{
	[ "$(direct_reads)" -gt "$1" ]
}

# Reads of enabled files go direct again.
goes_direct()
{
	wait_for more_direct "$(direct_reads)"
}

# Swaps under verified reads and writes
under_load()
{
	local end count=0

	bpio adopt -q "$mnt"
	start_load
	end=$((SECONDS + BPIO_TEST_SECONDS))
	while [ "$SECONDS" -lt "$end" ] || [ "$count" -lt 3 ]; do
		goes_direct
		bpio release -q "$mnt"
		bpio adopt -q "$mnt"
		count=$((count + 1))
	done
	stop_load
	echo "# $count times" >&2
	[ "$(json-get /direct_reads <run.json)" -gt 0 ]
	[ "$(json-get /fallback_reads <run.json)" -gt 0 ]
	same_content
	clean vg-data
}
