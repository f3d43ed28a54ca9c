# SPDX-License-Identifier: GPL-2.0-only
#
# The figures that "run" stores for later comparisons. If only the rows $rows were
# measured, they replace the same rows of $stored[0].

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
