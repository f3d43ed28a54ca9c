# SPDX-License-Identifier: GPL-2.0-only
# Cost of reading a file once against its size. Columns: size, quotients of an
# enabled file and one that is not: reads of 4 KiB at random, 64 KiB, 1 MiB without
# layers, the same over four.
set title "A file opened, read once and closed: enabled, by what it costs otherwise"
set xlabel "size of the file"
set ylabel "of the cost without bypass"
set format y "%.1f"
set xrange [-0.3:4.3]
set key top right
set arrow 1 from graph 0, first 1 to graph 1, first 1 nohead lw 1.5 dt 2 lc rgb device_color
plot for [i = 2:4] data using 0:i:xtic(1) with linespoints lw 2.5 pt 2 * i + 3 ps 1 \
		lc rgb word(colors, i - 1) title word(reads, i - 1), \
	for [i = 5:7] data using 0:i with linespoints lw 2 dt 3 pt 2 * i - 4 ps 1 \
		lc rgb word(colors, i - 4) title word(reads, i - 4) . ", 4 layers"
