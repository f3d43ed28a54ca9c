# SPDX-License-Identifier: GPL-2.0-only
# What compare.jq found, as text.
include "text";

(if .baseline == null then empty else
	"Compared with \(.baseline.commit[:12]) on kernel \(.baseline.kernel), QEMU \(.baseline.qemu):",
	(.baseline.later // {} | to_entries[] |
	 "(\(.key): with \(.value[:12]))"),
	(if .same_environment then empty
	 elif .same_series | not then
		"that is another series of kernels, and no row is judged by it"
	 else
		"that is another environment; the rows of this project are judged in",
		"relation to the raw device, the others are not"
	 end),
	(.rows[] | select(.change and .verdict != "same") |
	 (.key | left(54)) + (.before | thousands | right(14)) +
	 (.value | thousands | right(14)) +
	 ((.change - 1) * 100 | fixed(1) + " %" | right(10)) + "  \(.verdict)"),
	([.rows[] | select(.verdict == "same")] | length |
	 select(. > 0) | "\(.) rows as before"),
	""
 end),
(.rows[] | select(.verdict == "skipped") | "skipped: \(.key): \(.skipped)"),
(.rows[] | select(.verdict | IN("failed", "worse", "missing")) |
 "FAILED: \(.key): \(.error // .verdict)"),
"\(.passed) passed, \(.failed) failed, \(.skipped) skipped"
