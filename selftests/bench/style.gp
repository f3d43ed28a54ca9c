# SPDX-License-Identifier: GPL-2.0-only
# What the plots have in common; "plot" sets kind, output and note.
if (kind eq "svg") {
	set terminal svg size 900,540 dynamic enhanced background "white" \
		font "sans-serif,14"
} else {
	set terminal pngcairo size 1350,810 enhanced background "white" \
		font "sans-serif,15"
}
set output output
set border 3 lc "#555555"
set tics nomirror textcolor "#333333"
set grid ytics lc "#dddddd" lt 1
set datafile separator tab
set datafile missing "?"
set yrange [0:*]
set format y "%.0f"
set label 1 note at screen 0.012, 0.025 left font ",10" tc "#666666" noenhanced
set bmargin 5
set key top left reverse Left samplen 2
file_color = "#c1432e"
device_color = "#8a8a8a"
enabled_color = "#1f6fb2"
