# SPDX-License-Identifier: GPL-2.0-only
# Cost of a read against depth. Columns: layers, ext4 on dm-linear, dm-linear
# itself, enabled file over layers that take part, raw device.
set title "What a read costs, by the number of layers below the file system"
set xlabel "layers"
set ylabel "instructions per read"
set xrange [-0.2:8.4]
set xtics 0, 1, 8
plot data using 1:2 with linespoints lw 2.5 pt 7 ps 0.9 lc rgb file_color \
		title "file of ext4 on dm-linear", \
	data using 1:3 with linespoints lw 2.5 pt 5 ps 0.9 lc rgb device_color \
		title "dm-linear, without a file system", \
	data using 1:4 with linespoints lw 2.5 pt 9 ps 1.1 lc rgb enabled_color \
		title "file of ext4, enabled", \
	data using 1:5 with lines lw 1.5 dt 2 lc rgb device_color \
		title "raw device"
