/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_DRAIN_H
#define BPIO_DRAIN_H

#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

struct bpio_route;
struct percpu_ref;

/**
 * struct bpio_drain - the retired routes of a volume, until the reads on them have
 *	ended
 * @retired: list of struct bpio_route.node, ordered by number; protected by the
 *	volume's drain_lock
 * @nr: number of @retired; likewise
 * @begun: number of the route that was retired last. Written under drain_lock,
 *	read without.
 * @ended: all routes up to this number have drained and are gone; likewise
 * @lock: protects bpio_route.drained, together with queueing @work
 * @wait: woken when @ended changes
 * @work: collects the routes that have drained
 *
 * A number serves as a ticket: to wait for all reads in flight, note @begun under
 * drain_lock, drop the lock, and wait until @ended reaches the noted number.
 */
struct bpio_drain {
	struct list_head	retired;
	unsigned int		nr;
	unsigned long		begun;
	unsigned long		ended;
	spinlock_t		lock;		/* bpio_route.drained */
	wait_queue_head_t	wait;
	struct work_struct	work;
};

void bpio_drain_setup(struct bpio_drain *drain, work_func_t work);
void bpio_drain_add(struct bpio_drain *drain, struct bpio_route *route);
void bpio_drain_start(struct bpio_route *route);
void bpio_drain_release(struct percpu_ref *ref);
struct bpio_route *bpio_drain_collect(struct bpio_drain *drain);
void bpio_drain_announce(struct bpio_drain *drain);
long bpio_drain_wait(struct bpio_drain *drain, unsigned long ticket,
		     unsigned int state, unsigned long timeout);

/**
 * bpio_drain_reached() - whether all routes up to a ticket are gone
 * @drain: the drain
 * @ticket: the ticket
 *
 * Context: any.
 */
static inline bool bpio_drain_reached(const struct bpio_drain *drain,
				      unsigned long ticket)
{
	/* Pairs with bpio_drain_announce(). */
	return (long)(smp_load_acquire(&drain->ended) - ticket) >= 0;
}

/**
 * bpio_drain_is_idle() - whether no route is draining
 * @drain: the drain
 *
 * Context: any.
 */
static inline bool bpio_drain_is_idle(const struct bpio_drain *drain)
{
	return bpio_drain_reached(drain, READ_ONCE(drain->begun));
}

int bpio_drain_init(void);
void bpio_drain_exit(void);

#endif /* BPIO_DRAIN_H */
