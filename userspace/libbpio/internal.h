/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of libbpio share. The preload library takes single members
 * of libbpio.a, so the ones it needs (device, enable, handle, ioctl, reason,
 * volume) must not call into file.c, mount.c or list.c, which pull in more
 * libraries.
 */
#ifndef LIBBPIO_INTERNAL_H
#define LIBBPIO_INTERNAL_H

#include <stddef.h>
#include <sys/types.h>

#include "bpio.h"

#define ARRAY_SIZE(array)	(sizeof(array) / sizeof((array)[0]))

/* ioctl(2) with -errno as result; repeats EAGAIN until a deadline */
int bpio__ioctl(int fd, unsigned long request, void *arg);

/* One FSCTL_MANAGE_BYPASS_IO; @output is zeroed first */
int bpio__fsctl(int volume, unsigned int operation, unsigned int in_flags,
		int fd, struct fs_bpio_output *output);

/* The same with an answer of another size that begins with the output */
int bpio__fsctl_sized(int volume, unsigned int operation,
		      unsigned int in_flags, int fd,
		      struct fs_bpio_output *output, size_t size);

/* A status of the kernel, 0 or a negative errno; -EPROTO for anything else */
int bpio__status(__s32 status);

/* Copies a string of the kernel, which has a length, to one with a NUL */
void bpio__string(char *to, size_t room, const __u8 *from, size_t length,
		  size_t max);

/* Copies @full to the caller's structure as far as its size member says */
void bpio__give(void *to, const void *full, size_t full_size);

/* Turns the kernel's answer into a verdict with terminated strings */
void bpio__verdict(struct bpio_verdict *verdict, int volume,
		   const struct fs_bpio_output *output,
		   const struct bpio_results *results);

/* A verdict of the library itself */
void bpio__own_verdict(struct bpio_verdict *verdict, int op_status,
		       unsigned int reason, const char *driver,
		       const char *text);

/* -EINVAL for flags that are not allowed and for a verdict without its size */
int bpio__check(unsigned int flags, unsigned int allowed,
		const struct bpio_verdict *verdict);

/* in_flags of the kernel for flags of the library */
unsigned int bpio__in_flags(unsigned int flags);

/* -ENOTTY when the ioctls of @volume are answered by a volume below it */
int bpio__check_volume(int volume);

/* The volume with this device number, open */
int bpio__open_dev(dev_t dev);

/* Device below the mount that @fd is on, and the type of its file system */
int bpio__mount_source(int fd, dev_t *dev, char *fstype, size_t fstype_size);

#endif /* LIBBPIO_INTERNAL_H */
