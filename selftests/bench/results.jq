# SPDX-License-Identifier: GPL-2.0-only
#
# Add to the figures what follows from them. The input is the object that "run"
# gathered, $targets[0] what targets.json wants: missing a target does not fail
# the benchmark, but it is told.

# The quotients whose rows were measured.
def targets($wanted):
	[group_by(.mitigations)[] |
	 .[0].mitigations as $mode |
	 (map({key: .name, value: .value}) | from_entries) as $value |
	 $wanted[] | select($value[.row] and $value[.by]) |
	 . + {mitigations: $mode, value: ($value[.row] / $value[.by])} |
	 .met = (if .at_most then .value <= .at_most
		 else .value >= .at_least end)];

# How a read was made: engine, size, depth.
def how: .name | split("/")[2:] | join("/");

# Each read by the same read of the raw device. Blocks that were never written
# cannot be compared with those that were, nor can operations.
def relate:
	(map(select(.name | startswith("device/null/")) |
	     {key: "\(.mitigations) \(how)", value: .value}) | from_entries)
		as $raw |
	map($raw["\(.mitigations) \(how)"] as $base |
	    if $base and .value and (.name | test("^op/|/wide") | not)
	    then . + {of_raw: (.value / $base)} else . end);

.figures |= relate | .targets = (.figures | targets($targets[0]))
