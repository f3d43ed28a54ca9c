# SPDX-License-Identifier: GPL-2.0-only
# Cost by engine, a part for each size. Columns: engine and depth, ext4 on four
# dm-linear, ext4, raw device, enabled file; two empty lines between sizes.
set style data histograms
set style histogram clustered gap 1
set style fill solid 0.9 noborder
set boxwidth 0.9
set xtics scale 0 font ",11"
set bmargin 3
unset label 1
set multiplot layout 3, 1 title \
	"What a read costs where nothing is copied, by engine, reads in flight and size" \
	margins 0.11, 0.98, 0.10, 0.90 spacing 0.09
do for [part = 0:2] {
	set ylabel word("4K 64K 1M", part + 1) offset 1
	if (part == 0) {
		set key at screen 0.5, 0.955 center horizontal
	} else {
		unset key
	}
	if (part == 2) {
		set label 1 note at screen 0.012, 0.018 left font ",10" \
			tc "#666666" noenhanced
	}
	plot data index part using 2:xtic(1) lc rgb layers_color \
			title "ext4 on 4 dm-linear", \
		"" index part using 3 lc rgb file_color title "ext4", \
		"" index part using 4 lc rgb device_color title "raw device", \
		"" index part using 5 lc rgb enabled_color title "ext4, enabled"
}
unset multiplot
