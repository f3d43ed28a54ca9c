/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_FILE_MAP_H
#define BPIO_FILE_MAP_H

#include <linux/dm-bpio.h>

struct bpio_file;

bool bpio_file_map_may_grow(const struct bpio_file *file);
enum bpio_reason bpio_file_map_step(struct bpio_file *file);
bool bpio_file_map_is_realtime(const struct bpio_file *file);

#endif /* BPIO_FILE_MAP_H */
