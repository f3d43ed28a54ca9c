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
	("instructions" | left(54)) +
	($modes | map(("mitigations=" + . | right(17)) + ("of raw" | right(8))) |
	 join("")),
	(names[] as $name | ($name | left(54)) +
	 ($modes | map($all[. + " " + $name] | cell) | join("")));

def target($modes):
	(map({key: .mitigations, value: .}) | from_entries) as $by |
	(.[0].what | left(54)) + (.[0] | wanted | right(12)) +
	($modes | map($by[.] |
		if . == null then "" else measured +
			(if .met then "  " else " !" end) end | right(13)) |
	 join(""));

# The first mode's figures by name.
def values: map(select(.value) | {key: .name, value: .value}) | from_entries;

def number: if . then thousands else "" end | right(18);
def ratio($a; $b): if $a and $b then $a / $b | fixed(3) else "" end | right(8);

# Every engine, size and depth, where memory is copied and where nothing is.
def engines($value):
	({"ext4": ["device/null", "ext4/null", "ext4-enabled/null+bpio"],
	  "XFS": ["device/null", "xfs/xfs", "xfs-enabled/xfs+bpio"],
	  "ext4, nothing copied":
		["device/bare", "ext4@64M/bare", "ext4-enabled@64M/bare+bpio"]} |
	 to_entries)[] as $stack |
	[("4K", "64K", "1M") as $size |
	 ("pread", "aio", "uring", "uring-fixed", "uring-poll") as $engine |
	 (1, 32) as $depth |
	 "\($engine)/\($size)/\($depth)" as $how |
	 [$stack.value[] | $value["\(.)/\($how)"]] as $of |
	 select($of[1] and $of[2]) |
	 ($how | left(22)) + ($of | map(number) | join("")) +
	 ratio($of[2]; $of[1]) + ratio($of[2]; $of[0])] |
	select(. != []) |
	($stack.key | left(22)) + ("raw device" | right(18)) +
	("file system" | right(18)) + ("enabled" | right(18)) +
	("/ fs" | right(8)) + ("/ raw" | right(8)), .[], "";

# A file from open to close.
def once($value):
	[("64K", "1M", "64M", "1G", "100G") as $file |
	 ("pread/4K/1", "pread/64K/1", "pread/1M/1",
	  "uring/4K/32", "uring/64K/32", "uring/1M/32") as $how |
	 [$value["ext4-once@\($file)/bare/\($how)"],
	  $value["ext4-enabled-once@\($file)/bare+bpio/\($how)"],
	  $value["ext4-once@\($file)/bare+4linear/\($how)"],
	  $value["ext4-enabled-once@\($file)/bare+4filter+bpio/\($how)"]] as $of |
	 select($of | any) |
	 ("\($file) \($how)" | left(22)) +
	 ($of[0] | number) + ($of[1] | number) + ratio($of[1]; $of[0]) +
	 ($of[2] | number) + ($of[3] | number) + ratio($of[3]; $of[2])] |
	select(. != []) |
	("a file once" | left(22)) + ("ext4" | right(18)) + ("enabled" | right(18)) +
	("/ fs" | right(8)) + ("ext4, 4 layers" | right(18)) +
	("enabled" | right(18)) + ("/ fs" | right(8)), .[], "";

(.mitigations | keys | reverse) as $modes |
(.figures | figures($modes)),
"",
([.figures[] | select(.mitigations == $modes[0])] | values |
 engines(.), once(.)),
"Kernel \(.kernel), QEMU \(.qemu), CPU \(.cpu),",
"\(.device).",
if .targets == [] then empty else
	"",
	("target" | left(54)) + ("wanted" | right(12)) +
	($modes | map(. + "  " | right(13)) | join("")),
	(.targets as $targets | [$targets[] | {name: .what}] | names[] as $what |
	 [$targets[] | select(.what == $what)] | target($modes)),
	"(! missed)",
	(.targets[] | select(.met | not) |
	 "missed, mitigations=\(.mitigations): \(.row)")
end,
""
