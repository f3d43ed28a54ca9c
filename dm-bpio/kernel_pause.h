/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_KERNEL_PAUSE_H
#define BPIO_KERNEL_PAUSE_H

#include <linux/types.h>

struct bpio_volume;
struct inode;

int bpio_kernel_pause_add(struct bpio_volume *volume, const struct inode *inode);
bool bpio_kernel_pause_drop(struct bpio_volume *volume,
			    const struct inode *inode);
bool bpio_kernel_pause_holds(struct bpio_volume *volume,
			     const struct inode *inode);
void bpio_kernel_pause_forget_all(struct bpio_volume *volume);

#endif /* BPIO_KERNEL_PAUSE_H */
