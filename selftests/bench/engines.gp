# SPDX-License-Identifier: GPL-2.0-only
# Cost by engine. Columns: engine and depth, ext4 on four dm-linear, raw device,
# enabled file.
set title "What a read costs, by engine and reads in flight"
set ylabel "instructions per read"
set style data histograms
set style histogram clustered gap 1
set style fill solid 0.9 noborder
set boxwidth 0.9
set key above horizontal center
set xtics scale 0 font ",12"
plot data using 2:xtic(1) lc rgb file_color title "file of ext4 on 4 dm-linear", \
	"" using 3 lc rgb device_color title "raw device", \
	"" using 4 lc rgb enabled_color title "file of ext4, enabled"
