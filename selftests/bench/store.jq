# SPDX-License-Identifier: GPL-2.0-only
#
# What "run" stores of its figures, to be compared with later. $stored[0] is there
# when only some rows, which $rows tells, take their places among those of it.

def environment: {kernel, qemu, cpu, device};

{commit} + environment + {
	values: (.figures | map(select(.value) |
		{key: "\(.mitigations) \(.name)", value: .value}) | from_entries)
} | . as $new | $stored[0] as $old |
if $old == null then .
elif ($old | environment) != ($new | environment)
then error("the stored ones are of another kernel, emulator or device")
else $old + {
	later: (($old.later // {}) + {($rows): $new.commit}),
	values: ($old.values + $new.values)
} end
