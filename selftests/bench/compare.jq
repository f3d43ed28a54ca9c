# SPDX-License-Identifier: GPL-2.0-only
#
# Judge the figures. The input is bench.json, $baseline[0] what "run --save"
# stored (there may be none), $tolerance what a row may grow by.
#
# A figure to which workers of the kernel contribute varies between runs: it may also
# grow by the difference between its batches, up to a tenth in all.
#
# The cost of reads while a file is being armed depends on how many come too early,
# which the slightest change of the timing changes: it is printed and not judged.
#
# Figures of another emulator, or of another release of the same kernel, differ for
# reasons outside of this project. With these, only rows that involve this project's
# modules are judged, by their ratio to the raw device's. Another series of kernels has
# different code below and above these modules: its rows are printed and not judged, and
# some of them may be missing.

def values:
	map(select(.value) | {key: "\(.mitigations) \(.name)", value: .value}) |
	from_entries;

def tolerated:
	if .waited then [$tolerance * .max / .min, 1.1] | min else $tolerance end;

def verdict($before; $scale; $comparable; $judged):
	tolerated as $tolerated |
	if .error then {verdict: "failed"}
	elif .skipped then {verdict: "skipped"}
	elif $comparable | not then {verdict: "measured"}
	elif $before == null then {verdict: "new"}
	elif $judged | not then {verdict: "foreign"}
	else
		(.value / ($before * $scale)) as $change |
		{change: $change,
		 verdict: (if $change > $tolerated then "worse"
			   elif $change < 2 - $tolerated then "better"
			   else "same" end)}
	end;

# The numbers of a release that tell its series.
def series: split(".")[:2];

# Rows of the baseline that are gone, where all were to be measured.
def missing($keys; $base):
	if .complete then
		.mitigations as $modes |
		[$base.values // {} | to_entries[] | select(IN(.key; $keys[]) | not) |
		 select(.key | split(" ")[0] as $mode | $modes | has($mode)) |
		 {key, before: .value, verdict: "missing"}]
	else [] end;

. as $today | $baseline[0] as $base |
([("kernel", "qemu", "cpu", "device") | $today[.] == $base[.]] | all) as $same |
($base != null and ($today.kernel | series) == ($base.kernel | series))
	as $same_series |
(.figures | values) as $now |
[.figures[] | . as $figure |
 "\(.mitigations) \(.name)" as $key |
 "\(.mitigations) device/null/pread/4K/1" as $raw |
 (if $same or ($now[$raw] and $base.values[$raw] | not) then 1
  else $now[$raw] / $base.values[$raw] end) as $scale |
 {key: $key, error, skipped, value, min, max, waited,
  before: $base.values[$key]} +
 verdict($base.values[$key]; $scale; $same_series;
	 ($same or ($figure.name | test("bpio|filter"))) and
	 ($figure.name | test("-arming@") | not))] as $rows |
($rows + missing([$rows[].key]; $base)) as $rows |
def count(f): [$rows[] | select(f)] | length;
{same_environment: $same, same_series: $same_series,
 baseline: ($base | del(.values)?), rows: $rows,
 failed: count(.verdict | IN("failed", "worse", "missing")),
 skipped: count(.verdict | IN("new", "foreign", "skipped"))} |
.passed = ($rows | length) - .failed - .skipped
