# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# The command lines of the emulator and of the kernel, in the arrays "qemu" and
# "cmdline": the parts common to all machines.  Sourced after lib.sh, with a row of
# "kernels" read.

# Begin both. Uses $emulator, as printed by the script of that name; $mem; and $cpu, a
# CPU model of QEMU or empty.
begin_machine()
{
	local machine console

	# The simplest CPU models with the features that kernels need. The one of
	# arm64 has atomic instructions, but no pointer authentication, which is
	# slow to emulate.
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

# Add $smp CPUs, which run in parallel if the emulator supports that.
#
# A second CPU must not run while PCI devices get their addresses: QEMU may look its
# access up in the new memory map by an index into the old one, and abort. So the kernel
# boots with one CPU, and the others are started once all devices are present.
add_processors()
{
	qemu+=(-accel "tcg,thread=${emulator##* }" -smp "$smp")
	# the driver refuses more poll queues than CPUs
	cmdline+=(maxcpus=1 "nvme.poll_queues=$((smp > 1 ? 2 : 1))")
}

# Add a virtio disk with serial $1 on file $2; $3 has more properties.
add_disk()
{
	qemu+=(-blockdev "driver=file,node-name=$1-file,filename=$2,${3-}cache.no-flush=on"
		-blockdev "driver=raw,node-name=$1,file=$1-file,${3-}discard=unmap"
		-device "virtio-blk-pci,drive=$1,serial=$1")
}

# Add namespace $2 of NVMe controller $1, on file $3, whose size is set to $4.
add_namespace()
{
	truncate -s "$4" "$3"
	qemu+=(-blockdev "driver=file,node-name=$1-$2-file,filename=$3,cache.no-flush=on"
		-blockdev "driver=raw,node-name=$1-$2,file=$1-$2-file,discard=unmap"
		-device "nvme-ns,drive=$1-$2,bus=$1,nsid=$2")
}

# Print the device type and properties of an NVMe controller. Shadow doorbells, which few
# real controllers have, are off: with them a controller that is reset under load may
# lose commands, because the driver uses the doorbells of a queue as soon as it has
# created it, but tells the controller later where they are.
controller()
{
	printf nvme
	"${emulator% *}" -device nvme,help | grep '^ *dbcs=' >/dev/null || return 0
	printf ,dbcs=off
}

# Pack the contents of directory $1 into the read-only disk image $2.
pack_directory()
{
	local log

	log=$(timeout 300 mksquashfs "$1" "$2" -quiet -no-progress \
		-noI -noId -noD -noF -noX -all-root 2>&1) ||
		{ printf '%s\n' "$log" >&2; die "$1 cannot be packed"; }
}
