/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The lock of a volume group.
 */
#ifndef BPIO_LVM_LOCK_H
#define BPIO_LVM_LOCK_H

#include <stdbool.h>

/**
 * struct lvm_lock - a lock that is held
 *
 * @path: The lock file.
 * @fd: The open file that holds it.
 */
struct lvm_lock {
	char *path;
	int fd;
};

/* Waits for the lock of volume group @name. 0, or a negative errno (-EINTR) */
int lvm_lock(const char *name, struct lvm_lock *lock);
void lvm_unlock(struct lvm_lock *lock);

/* The volume group of a mapped device, to be freed; NULL if it is none of LVM's */
char *lvm_group(const char *name, const char *uuid);
/* "VG/LV" of such a device, to be freed */
char *lvm_volume(const char *name);

#endif /* BPIO_LVM_LOCK_H */
