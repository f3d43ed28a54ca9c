/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * bpio list --files
 */
#ifndef BPIO_FILES_H
#define BPIO_FILES_H

struct command_line;

int list_files(const struct command_line *line);

#endif /* BPIO_FILES_H */
