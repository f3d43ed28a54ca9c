# SPDX-License-Identifier: GPL-2.0-only
# What gcov says of each object, to the lines of each source file. A header's
# line has run when it did in any object.

# Rows "file function why", by the first two.
def known:
	[$reasons | split("\n")[] | select(test("^[^#[:space:]]")) |
	 capture("^(?<file>\\S+)\\s+(?<function>\\S+)\\s+(?<why>.*)$") |
	 {key: "\(.file) \(.function)", value: .why}] | from_entries;

def percent($covered; $lines):
	if $lines == 0 then 100 else 1000 * $covered / $lines | floor / 10 end;

known as $known |
[.[].files[] | select(.file | test("/dm-bpio/[a-z_-]+\\.[ch]$|^[a-z_-]+\\.[ch]$")) |
 (.file | split("/") | last) as $file |
 .lines[] | {file: $file, line: .line_number, ran: (.count > 0),
	     function: (.function_name // "?")}] |
group_by([.file, .line]) |
map(.[0] + {ran: any(.[]; .ran)}) as $lines |
([$lines[] | select(.ran)] | length) as $covered |
{
	covered: $covered, lines: ($lines | length),
	percent: percent($covered; $lines | length),
	files: ($lines | group_by(.file) | map(
		([.[] | select(.ran)] | length) as $ran |
		{file: .[0].file, covered: $ran, lines: length,
		 percent: percent($ran; length)})),
	uncovered: ([$lines[] | select(.ran | not)] |
		group_by([.file, .function]) | map(
		{file: .[0].file, function: .[0].function, lines: map(.line),
		 reason: $known["\(.[0].file) \(.[0].function)"]}))
}
