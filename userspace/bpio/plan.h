/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The changes of "bpio adopt" and "bpio release" to the mapped devices below a path.
 */
#ifndef BPIO_PLAN_H
#define BPIO_PLAN_H

#include "counterpart.h"
#include "lvm_lock.h"
#include "swap.h"

struct place;

/**
 * struct plan - the devices whose tables are swapped, and the locks for that
 *
 * @direction: To dm-bpio targets or to stock targets.
 * @any_storage: Storage other than NVMe is allowed.
 * @all: All volumes, for a short time: they stay in the list of kept devices.
 * @swaps: The devices, bottom up; the last is the one that the user named.
 * @count: Number of @swaps.
 * @groups: Volume groups of @swaps, sorted, each once.
 * @group_count: Number of @groups.
 * @locks: The locks held on @groups.
 * @lock_count: Number of @locks.
 * @own_lock: The lock against other adoptions, negative while it is not held.
 */
struct plan {
	enum direction direction;
	bool any_storage;
	bool all;
	struct swap *swaps;
	size_t count;
	char **groups;
	size_t group_count;
	struct lvm_lock *locks;
	size_t lock_count;
	int own_lock;
};

/*
 * Plans for the device of @place, or for all volumes if @place is NULL: 0; -EMEDIUMTYPE
 * when a device cannot be swapped, or another negative errno, with a sentence in @why.
 */
int plan_make(const struct place *place, struct plan *plan, char *why,
	      size_t size);

/* The same, and takes the locks that keep the plan valid. -EINTR after a signal */
int plan_make_locked(const struct place *place, struct plan *plan, char *why,
		     size_t size);
void plan_free(struct plan *plan);

/* Swaps all or none: 0, or a negative errno and a sentence */
int plan_run(struct plan *plan, char *why, size_t size);
/* Undoes plan_run(): 0, or a negative errno after sentences on standard error */
int plan_undo(struct plan *plan);

/* Whether there is anything to do */
bool plan_needed(const struct plan *plan);
/* The device that was named */
const struct swap *plan_top(const struct plan *plan);

#endif /* BPIO_PLAN_H */
