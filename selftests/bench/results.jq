# SPDX-License-Identifier: GPL-2.0-only
#
# Add derived values to the figures. The input is the object that "run" gathered,
# $targets[0] the content of targets.json: a missed target does not fail the benchmark,
# but is printed.
#
# A target is for one row ("row"), or for the worst of those whose names match
# ("each"): the figure, or its part "field", divided by that of another row if one is
# given ("by", or the name after the replacements "instead").

def instead($pairs): reduce $pairs[] as $pair (.; split($pair[0]) | join($pair[1]));

# The quotients, or figures, of a target that were measured.
def candidates($figure):
	. as $target |
	(if .each then [$figure | keys_unsorted[] | select(test($target.each))] |
		map({row: ., by: (. as $row | if $target.instead
			then $row | instead($target.instead) else null end)})
	 else [{row, by}] end)[] |
	.value = $figure[.row][$target.field // "value"] | select(.value) |
	if .by then .value /= ($figure[.by].value // empty) else . end;

def targets($wanted):
	[group_by(.mitigations)[] |
	 .[0].mitigations as $mode |
	 (map(select(.value) | {key: .name, value: .}) | from_entries) as $figure |
	 $wanted[] | . as $target |
	 [candidates($figure)] | select(. != []) |
	 if $target.at_most then max_by(.value) else min_by(.value) end |
	 $target + . + {mitigations: $mode} |
	 .met = (if .at_most then .value <= .at_most
		 else .value >= .at_least end)];

# How a read was made: engine, size, depth.
def how: .name | split("/")[2:] | join("/");

# Each read by the same read of the raw device. Blocks that were never written
# cannot be compared with those that were, nor can operations and whole files.
def relate:
	(map(select(.name | test("^device/(null|bare)/")) |
	     {key: "\(.mitigations) \(.name)", value: .value}) | from_entries)
		as $raw |
	map((if .name | test("/bare") then "bare" else "null" end) as $base |
	    $raw["\(.mitigations) device/\($base)/\(how)"] as $base |
	    if $base and .value and (.name | test("^op/|/wide|-once@") | not)
	    then . + {of_raw: (.value / $base)} else . end);

.figures |= relate | .targets = (.figures | targets($targets[0]))
