/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_DESCRIPTOR_H
#define BPIO_DESCRIPTOR_H

struct bpio_handle;
struct file;

struct bpio_handle *bpio_descriptor_handle(struct file *file);
struct file *bpio_descriptor_open(struct bpio_handle *handle);

#endif /* BPIO_DESCRIPTOR_H */
