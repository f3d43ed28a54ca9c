# SPDX-License-Identifier: GPL-2.0-only
# What the plots have in common; "plot" sets kind, height, output and note.
if (kind eq "svg") {
	set terminal svg size 900,height dynamic enhanced background "white" \
		font "sans-serif,14"
} else {
	set terminal pngcairo size 1350,height * 3 / 2 enhanced background "white" \
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
layers_color = "#e3a78f"
device_color = "#8a8a8a"
enabled_color = "#1f6fb2"
colors = enabled_color . " #2f9e6e " . file_color
reads = "4K 64K 1M"
