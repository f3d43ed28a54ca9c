# SPDX-License-Identifier: GPL-2.0-only
# Tables for people.

def left($width): . + " " * ([$width - length, 1] | max);
def right($width): (" " * ([$width - length, 0] | max)) + .;

# Rounded, with so many digits behind the point.
def fixed($digits):
	if . < 0 then "-" + (-. | fixed($digits)) else
	(. * pow(10; $digits) | round | tostring) as $n |
	(if $n | length <= $digits
	 then "0" * ($digits + 1 - ($n | length)) + $n else $n end) |
	.[:length - $digits] + "." + .[length - $digits:] end;

def thousands:
	round | tostring |
	if length > 3 then
		(length % 3) as $head |
		[.[:$head], (.[$head:] | range(0; length; 3) as $i |
			.[$i:$i + 3])] | map(select(. != "")) | join(",")
	else . end;

# Of a target: a quotient, or instructions or bytes.
def target_number: if .by then .n | fixed(3) else .n | thousands end;
def measured: {by, n: .value} | target_number;
def wanted:
	if .at_most then "<= " + ({by, n: .at_most} | target_number)
	else ">= " + ({by, n: .at_least} | target_number) end;

# Names in the order of their first appearance.
def names: reduce .[].name as $name ([]; if index([$name]) then . else . + [$name] end);
