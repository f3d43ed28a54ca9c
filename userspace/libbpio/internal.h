/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Internal functions of libbpio. The preload library links single members of
 * libbpio.a, so the ones it needs (enable, enabled, ioctl, node, reason) must not call
 * the others, which need more libraries.
 *
 * A "door" is the destination of a request: the control node, or a mapped device.
 */
#ifndef LIBBPIO_INTERNAL_H
#define LIBBPIO_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "bpio.h"

#define ARRAY_SIZE(array)	(sizeof(array) / sizeof((array)[0]))

/* ioctl(2) with -errno as result; repeats EAGAIN until a deadline */
int bpio__ioctl(int fd, unsigned long request, void *arg);

/*
 * One FSCTL_MANAGE_BYPASS_IO; @output is zeroed first. -ENOTTY (from the node): @fd is
 * on no volume. -EXDEV (from the mapped device): @fd is not on this volume
 */
int bpio__fsctl(int door, unsigned int operation, unsigned int in_flags,
		int fd, struct fs_bpio_output *output);

/* The same for a larger answer that begins with the output */
int bpio__fsctl_sized(int door, unsigned int operation, unsigned int in_flags,
		      int fd, struct fs_bpio_output *output, size_t size);

/* A status of the kernel, 0 or a negative errno; -EPROTO for anything else */
int bpio__status(__s32 status);

/* Copies a string of the kernel, which has a length, to one with a NUL */
void bpio__string(char *to, size_t room, const __u8 *from, size_t length,
		  size_t max);

/* Copies as much of @full as the size member of the caller's structure permits */
void bpio__give(void *to, const void *full, size_t full_size);

/* Turns the answer of @door about @fd into a verdict with terminated strings */
void bpio__verdict(struct bpio_verdict *verdict, int door, int fd,
		   const struct fs_bpio_output *output,
		   const struct bpio_results *results);

/* A verdict of the library itself */
void bpio__own_verdict(struct bpio_verdict *verdict, int op_status,
		       unsigned int reason, const char *driver,
		       const char *text);

/* The verdict about a file for which ENABLE failed with @error, which it returns */
int bpio__failed(struct bpio_verdict *verdict, int error);

/* -EINVAL for flags that are not allowed and for a verdict without its size */
int bpio__check(unsigned int flags, unsigned int allowed,
		const struct bpio_verdict *verdict);

/* in_flags of the kernel for flags of the library */
unsigned int bpio__in_flags(unsigned int flags);

/* bpio_layer_foreach_on() after the check of arguments */
int bpio__layers(int door, int fd, struct bpio_verdict *verdict,
		 int (*visit)(const struct bpio_layer *layer, void *arg),
		 void *arg);

/**
 * struct route - where a request about an open file is sent
 *
 * @door: The node, or a mapped device.
 * @subject: The descriptor in the request: the file, the mapped device, or -1.
 * @fstype: The type of a file system that hides its device from the kernel, such as
 *	btrfs; else empty. @subject is then the device, not the file.
 * @node: The control node, to be closed, or -1.
 * @device: A mapped device, to be closed, or -1.
 */
struct route {
	int door;
	int subject;
	char fstype[40];
	int node;
	int device;
};

/* The one place that decides between the node and a mapped device */
int bpio__route(int fd, struct route *route);
/* The same when the open file is a mapped device */
int bpio__route_device(int volume, struct route *route);
void bpio__route_close(struct route *route);

/* Whether the error of an open means that there is no node */
bool bpio__no_node(int error);

/* One request along a route, which is closed */
int bpio__ask_along(struct route *route, unsigned int operation,
		    struct fs_bpio_output *output);

/* One request about @fd along its route */
int bpio__ask(int fd, unsigned int operation, struct fs_bpio_output *output);

/* Turns the verdict about @volume into that about a file on @route.fstype */
void bpio__hidden_verdict(struct bpio_verdict *verdict,
			  const struct route *route,
			  const struct bpio_verdict *volume);

/*
 * Opens the subject of a query about @path. A special file is not opened; the subject
 * is then the mapped device, and @verdict says that the file is refused; else *@special
 * is false
 */
int bpio__open_for_query(const char *path, struct bpio_verdict *verdict,
			 bool *special);

/* -ENOTTY for errors of drivers that do not support an ioctl, and of other volumes */
int bpio__foreign(int error);

/* GET_INFO of the mapped device @dev. -ENOTTY unless it is a bpio volume itself */
int bpio__device_info(int volume, dev_t dev, struct fs_bpio_output *output);

/* -ENOTTY unless @volume is a mapped device that is a bpio volume itself */
int bpio__check_volume(int volume);

/* The volume with this device number, open as open(2)'s @mode says */
int bpio__open_dev(dev_t dev, int mode);

/* Device below the mount that @fd is on, and the type of its file system */
int bpio__mount_source(int fd, dev_t *dev, char *fstype, size_t fstype_size);

#endif /* LIBBPIO_INTERNAL_H */
