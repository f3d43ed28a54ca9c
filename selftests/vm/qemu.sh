# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# The command lines of the emulator and of the kernel, in the arrays "qemu" and
# "cmdline": the parts common to all machines.  Sourced after lib.sh, with a row of
# "kernels" read.

# Begin both. Uses $emulator, what the script of that name prints; $mem; $cpu, a
# model of QEMU, or empty.
begin_machine()
{
	local machine console

	# Of the processors the plainest that has what kernels want: that of arm64
	# has atomic instructions, and no pointer authentication, which is slow to
	# emulate.
	case $K_ARCH in
	amd64)
		machine=q35,sata=off,smbus=off,i8042=off
		cpu=${cpu:-qemu64,+rdrand}
		console=ttyS0
		;;
	arm64)
		machine=virt,gic-version=3
		cpu=${cpu:-neoverse-n1}
		console=ttyAMA0
		;;
	esac
	qemu=("${emulator% *}" -no-user-config -nodefaults -display none -no-reboot
		-machine "$machine" -cpu "$cpu" -m "$mem")
	# shellcheck disable=SC2034 # for the caller
	cmdline=("console=$console" panic=-1 oops=panic
		hung_task_panic=1 sysctl.kernel.panic_on_rcu_stall=1
		tsc=reliable no_timer_check log_buf_len=16M printk.devkmsg=on
		random.trust_cpu=on net.ifnames=0)
}

# $smp processors that run at once, if the emulator can do that.
#
# A processor must not run while PCI devices get their addresses: QEMU may look up
# its access in the new memory map by an index of the old one, and abort.  So the
# kernel starts one; the others are started once all devices are there.
add_processors()
{
	qemu+=(-accel "tcg,thread=${emulator##* }" -smp "$smp")
	# the driver refuses more poll queues than processors
	cmdline+=(maxcpus=1 "nvme.poll_queues=$((smp > 1 ? 2 : 1))")
}

# A virtio disk with serial $1 on file $2; further properties in $3.
add_disk()
{
	qemu+=(-blockdev "driver=file,node-name=$1-file,filename=$2,${3-}cache.no-flush=on"
		-blockdev "driver=raw,node-name=$1,file=$1-file,${3-}discard=unmap"
		-device "virtio-blk-pci,drive=$1,serial=$1")
}

# Namespace $2 of NVMe controller $1, on file $3, which is made $4 in size.
add_namespace()
{
	truncate -s "$4" "$3"
	qemu+=(-blockdev "driver=file,node-name=$1-$2-file,filename=$3,cache.no-flush=on"
		-blockdev "driver=raw,node-name=$1-$2,file=$1-$2-file,discard=unmap"
		-device "nvme-ns,drive=$1-$2,bus=$1,nsid=$2")
}

# What an NVMe controller is made of. With shadow doorbells, which few real ones
# have, one that is reset under load may lose commands: the driver uses them from
# when it has made a queue, and tells the controller where they are later.
controller()
{
	printf nvme
	"${emulator% *}" -device nvme,help | grep '^ *dbcs=' >/dev/null || return 0
	printf ,dbcs=off
}

# What directory $1 holds, as the read-only disk image $2.
pack_directory()
{
	local log

	log=$(timeout 300 mksquashfs "$1" "$2" -quiet -no-progress \
		-noI -noId -noD -noF -noX -all-root 2>&1) ||
		{ printf '%s\n' "$log" >&2; die "$1 cannot be packed"; }
}
