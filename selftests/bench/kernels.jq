# SPDX-License-Identifier: GPL-2.0-only
# bench-all.json as text: the targets, a column for each kernel.
include "text";

def cell:
	(if . == null then "- " else measured +
		(if .met then " " else "!" end) end) | right(13);

.kernels as $kernels |
[$kernels[].targets[]] as $all |
($all | map(.mitigations) | unique | reverse)[] as $mode |
([$all[] | select(.mitigations == $mode) | {name: .what}] | names) as $what |
("mitigations=" + $mode | left(54)) + ("wanted" | right(12)) +
	([$kernels | keys_unsorted[] | . + " " | right(13)] | join("")),
($what[] as $name |
 [$kernels[] | [.targets[] |
	select(.mitigations == $mode and .what == $name)][0]] as $row |
 ($name | left(54)) + ($row | map(values)[0] | wanted | right(12)) +
	($row | map(cell) | join(""))),
"(! missed)",
""
