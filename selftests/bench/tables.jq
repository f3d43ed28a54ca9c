# SPDX-License-Identifier: GPL-2.0-only
# bench.json as text.
include "text";

def cell:
	(if . == null then "" elif .error then "failed"
	 elif .skipped then "skipped"
	 else .value | thousands end | right(17)) +
	(if .of_raw then .of_raw | fixed(3) else "" end | right(8));

def figures($modes):
	(map({key: "\(.mitigations) \(.name)", value: .}) | from_entries) as $all |
	("instructions" | left(50)) +
	($modes | map(("mitigations=" + . | right(17)) + ("of raw" | right(8))) |
	 join("")),
	(names[] as $name | ($name | left(50)) +
	 ($modes | map($all[. + " " + $name] | cell) | join("")));

def target($modes):
	(map({key: .mitigations, value: .}) | from_entries) as $by |
	(.[0].what | left(50)) +
	(if .[0].at_most then "<= \(.[0].at_most | fixed(3))"
	 else ">= \(.[0].at_least | fixed(3))" end | right(9)) +
	($modes | map($by[.] |
		if . == null then "" else (.value | fixed(3)) +
			(if .met then "  " else " !" end) end | right(11)) |
	 join(""));

(.mitigations | keys | reverse) as $modes |
(.figures | figures($modes)),
"",
"Kernel \(.kernel), QEMU \(.qemu), CPU \(.cpu),",
"\(.device).",
if .targets == [] then empty else
	"",
	("target" | left(50)) + ("wanted" | right(9)) +
	($modes | map(. + "  " | right(11)) | join("")),
	(.targets as $targets | [$targets[] | {name: .what}] | names[] as $what |
	 [$targets[] | select(.what == $what)] | target($modes)),
	"(! missed)"
end,
""
