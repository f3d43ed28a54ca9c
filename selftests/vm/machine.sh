# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# A machine that boots its own root with its own init and keeps its disks. It can be
# started, run commands, shut down, and lose power. Sourced after lib.sh and qemu.sh, with
# a row of "kernels" read and $emulator set.
#
# The state of a machine is in its directory, so any shell can use a machine that
# another one started:
#   root.img          its root, an ext4 file system that contains Debian's kernel
#   packages.img      a read-only squashfs, mounted on /in
#   nvme-*.img        the namespaces of three NVMe controllers, made by the first start
#   efivars.fd        if it exists: the variables of a UEFI firmware, which starts the
#                     machine with Secure Boot
#   pid               process ID of the running emulator's parent, timeout
#   console           console output since the last start
#   consoles          console output of all earlier starts
#
# Commands and what they print pass through Debian's qemu-guest-agent on a virtio
# port, which depends neither on the console nor on the software under test.

# Sizes of the namespaces for data, and of the one to which the root may be moved.
MACHINE_SIZE_NVME=1G
MACHINE_SIZE_SYSTEM=7G

# Copy file $2 of the root of machine $1 to $3. The file system may not be clean after a
# power cut, but these files were written long before it.
machine_file()
{
	local target

	# the links /vmlinuz and /initrd.img lead to the kernel to boot
	target=$(debugfs -R "stat $2" "$1/root.img" 2>/dev/null |
		sed -n 's/^Fast link dest: "\(.*\)"$/\1/p')
	debugfs -R "dump ${target:-$2} $3" "$1/root.img" 2>/dev/null
	[ -s "$3" ] || die "the root of the machine has no $2"
}

# Load the kernel and the initramfs as a boot loader would. Only the kernel's own
# unpacking, which is slow in emulation, tells it that Secure Boot is on.
machine_kernel()
{
	machine_file "$1" /vmlinuz "$1/vmlinuz"
	machine_file "$1" /initrd.img "$1/initrd"
	if [ -e "$1/efivars.fd" ]; then
		mv "$1/vmlinuz" "$1/vmlinux"
	else
		"$VM_DIR/unpack-kernel" "$1/vmlinuz" "$1/vmlinux"
	fi
}

# The keys that Debian's firmware for QEMU is delivered with, for tests: the owner of
# the machine is the one who has this private key.
OWNER_KEY=/usr/share/ovmf/PkKek-1-snakeoil.key
OWNER_CERTIFICATE=/usr/share/ovmf/PkKek-1-snakeoil.pem

# From the next start on, machine $1 has a firmware with Secure Boot.
machine_secure()
{
	cp /usr/share/OVMF/OVMF_VARS_4M.snakeoil.fd "$1/efivars.fd"
}

# Add the firmware of machine $1.
machine_firmware()
{
	[ -e "$1/efivars.fd" ] || return 0
	# only code in system management mode may write to the variables
	qemu+=(-machine smm=on -global "driver=cfi.pflash01,property=secure,value=on"
		-drive "if=pflash,unit=0,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.secboot.fd"
		-drive "if=pflash,unit=1,format=raw,file=$1/efivars.fd")
}

# machine_enroll DIR CERTIFICATE: make the firmware of the running machine trust
# CERTIFICATE (DER), which kernels take into account from the next start on
machine_enroll()
{
	local dir=$1 update

	openssl rsa -in "$OWNER_KEY" -passin pass:snakeoil -out "$dir/owner.key"
	openssl x509 -inform der -in "$2" -out "$dir/enroll.pem"
	cert-to-efi-sig-list "$dir/enroll.pem" "$dir/enroll.esl"
	sign-efi-sig-list -a -k "$dir/owner.key" -c "$OWNER_CERTIFICATE" \
		db "$dir/enroll.esl" "$dir/enroll.auth"
	# a write to efivarfs begins with the variable's attributes: kept, for boot and
	# run time, authenticated by time, appended
	update=$({ printf '\x67\0\0\0'; cat "$dir/enroll.auth"; } | base64 -w 0)
	machine_ask "$dir" 60 "set -e
		db=(/sys/firmware/efi/efivars/db-*)
		chattr -i \"\${db[0]}\"
		base64 -d <<<'$update' >/run/update
		dd if=/run/update \"of=\${db[0]}\" bs=64k status=none"
}

machine_devices()
{
	local dir=$1 nvme

	add_disk root "$dir/root.img"
	add_disk packages "$dir/packages.img" read-only=on,
	nvme=$(controller)
	qemu+=(-device "$nvme,id=nvme-a,serial=bpio-a")
	add_namespace nvme-a 1 "$dir/nvme-a-1.img" "$MACHINE_SIZE_NVME"
	add_namespace nvme-a 2 "$dir/nvme-a-2.img" "$MACHINE_SIZE_NVME"
	qemu+=(-device "$nvme,id=nvme-b,serial=bpio-b")
	add_namespace nvme-b 1 "$dir/nvme-b-1.img" "$MACHINE_SIZE_NVME"
	qemu+=(-device "$nvme,id=nvme-c,serial=bpio-c")
	add_namespace nvme-c 1 "$dir/nvme-c-1.img" "$MACHINE_SIZE_SYSTEM"
	rm -f "$dir/agent.in" "$dir/agent.out"
	mkfifo "$dir/agent.in" "$dir/agent.out"
	qemu+=(-chardev "file,id=console,path=$dir/console" -serial chardev:console
		-device virtio-serial-pci
		-chardev "pipe,id=agent,path=$dir/agent"
		-device "virtserialport,chardev=agent,name=org.qemu.guest_agent.0")
}

# machine_start DIR ROOT: power on, with ROOT as the kernel's parameter root=, and
# wait until systemd says that the boot is over.
machine_start()
{
	# shellcheck disable=SC2034 # for begin_machine and add_processors
	local dir=$1 mem=2G smp=2 cpu='' qemu cmdline

	machine_kernel "$dir"
	[ ! -e "$dir/console" ] || cat "$dir/console" >>"$dir/consoles"
	begin_machine
	# udev may need longer in emulation than the 90 s that systemd waits for a device
	cmdline+=(panic_on_warn=1 sysctl.kernel.hung_task_timeout_secs=120
		systemd.default_device_timeout_sec=300
		nvme_core.multipath=N "root=$2" ro)
	add_processors
	machine_devices "$dir"
	machine_firmware "$dir"
	qemu+=(-kernel "$dir/vmlinux" -initrd "$dir/initrd" -append "${cmdline[*]}")
	# the machine outlives the shell that starts it, but not by much
	timeout --kill-after=5 "${MACHINE_LIMIT:-7200}" "${qemu[@]}" \
		</dev/null >"$dir/qemu.log" 2>&1 &
	echo $! >"$dir/pid"
	machine_meet "$dir" 400 || return
	# shellcheck disable=SC2016 # expanded in the machine
	machine_ask "$dir" 400 'systemctl is-system-running --wait >/dev/null || true
		for cpu in /sys/devices/system/cpu/cpu[1-9]*/online; do
			echo 1 >"$cpu"
		done
		mountpoint -q /in || mount -o ro /dev/disk/by-id/virtio-packages /in'
}

machine_runs()
{
	# readlink fails for a zombie
	[ -e "$1/pid" ] && readlink "/proc/$(<"$1/pid")/exe" >/dev/null
}

# Read one line of JSON from the agent into REPLY, within $2 seconds.
machine_line()
{
	local dir=$1 deadline=$((SECONDS + $2)) fd status=1

	exec {fd}<"$dir/agent.out"
	while [ "$SECONDS" -lt "$deadline" ]; do
		# a line that has begun is complete soon
		if IFS= read -r -t 2 -u "$fd" REPLY; then
			status=0
			break
		fi
		machine_runs "$dir" || break
	done
	exec {fd}<&-
	return "$status"
}

# Ask the agent to return a random number until it does; drop answers to older requests.
machine_meet()
{
	local dir=$1 deadline=$((SECONDS + $2)) number

	while [ "$SECONDS" -lt "$deadline" ]; do
		number=$RANDOM$RANDOM
		printf '{"execute":"guest-sync","arguments":{"id":%d}}\n' "$number" \
			>"$dir/agent.in"
		while machine_line "$dir" 10; do
			[[ $REPLY != *"\"return\": $number}"* ]] || return 0
		done
		machine_runs "$dir" || break
	done
	say "the machine does not answer; the last lines of its console:"
	machine_console "$dir"
	return 1
}

machine_console()
{
	tail -n "${2:-40}" "$1/console" | tr -d '\r' | sed 's/^/vm: | /' >&2
}

# Print what the agent returns for call $2 with the JSON arguments $3.
machine_call()
{
	printf '{"execute":"%s","arguments":%s}\n' "$2" "$3" >"$1/agent.in"
	if ! machine_line "$1" 60 || ! jq -e -c .return <<<"$REPLY"; then
		say "the machine did not answer"
		machine_console "$1"
		return 1
	fi
}

# machine_ask DIR SECONDS SCRIPT: run SCRIPT by bash in the machine; prints its output and
# returns its exit status
machine_ask()
{
	local dir=$1 deadline=$((SECONDS + $2)) arguments answer pid

	arguments=$(jq -n -c --arg script "$3" \
		'{path: "/bin/bash", arg: ["-c", $script], "capture-output": true,
		env: ["LC_ALL=C.UTF-8", "HOME=/root",
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]}')
	answer=$(machine_call "$dir" guest-exec "$arguments") || return 125
	pid=$(jq .pid <<<"$answer")
	while true; do
		answer=$(machine_call "$dir" guest-exec-status "{\"pid\":$pid}") ||
			return 125
		[ "$(jq .exited <<<"$answer")" = false ] || break
		if [ "$SECONDS" -ge "$deadline" ]; then
			say "still running after $2 s: $3"
			machine_console "$dir"
			return 124
		fi
		sleep 0.3
	done
	jq -j '."out-data" // empty | @base64d' <<<"$answer"
	jq -j '."err-data" // empty | @base64d' <<<"$answer" >&2
	return "$(jq '.exitcode // 128 + .signal' <<<"$answer")"
}

# Wait at most $2 seconds for the emulator to end by itself.
machine_wait()
{
	local deadline=$((SECONDS + $2))

	while machine_runs "$1"; do
		[ "$SECONDS" -lt "$deadline" ] || return 1
		sleep 0.2
	done
	rm -f "$1/pid"
}

# Shut down as an administrator would, within $2 seconds.
machine_stop()
{
	# not by machine_call: the machine may be down before the agent answers
	printf '{"execute":"guest-exec","arguments":{"path":"/bin/systemctl","arg":["--no-block","reboot"]}}\n' \
		>"$1/agent.in"
	machine_wait "$1" "$2" || {
		say "the machine is not down after $2 s"
		machine_console "$1"
		return 1
	}
}

# Cut the power: only what the disks had accepted is kept.
machine_cut()
{
	machine_runs "$1" || return 0
	pkill -KILL -P "$(<"$1/pid")" || true
	machine_wait "$1" 10
}
