# SPDX-License-Identifier: GPL-2.0-only
# bench-all.json as text: the targets, a column for each kernel.
include "text";

def wanted:
	if .at_most then "<= \(.at_most | fixed(3))"
	else ">= \(.at_least | fixed(3))" end;

def cell:
	(if . == null then "- " else (.value | fixed(3)) +
		(if .met then " " else "!" end) end) | right(11);

.kernels as $kernels |
[$kernels[].targets[]] as $all |
($all | map(.mitigations) | unique | reverse)[] as $mode |
([$all[] | select(.mitigations == $mode) | {name: .what}] | names) as $what |
("mitigations=" + $mode | left(50)) + ("wanted" | right(9)) +
	([$kernels | keys_unsorted[] | . + " " | right(11)] | join("")),
($what[] as $name |
 [$kernels[] | [.targets[] |
	select(.mitigations == $mode and .what == $name)][0]] as $row |
 ($name | left(50)) + ($row | map(values)[0] | wanted | right(9)) +
	($row | map(cell) | join(""))),
"(! missed)",
""
