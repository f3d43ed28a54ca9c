// SPDX-License-Identifier: GPL-2.0-only
/*
 * Events for monitoring programs, until uevent.c sends them.
 *
 * Any process that may read a file can cause events: with an ENABLE that a layer
 * vetoes, or with a loop of ENABLE, ARM and close, and changes of the file. The cost
 * to other processes is bounded as follows:
 *
 * - An event is posted only when something has changed. A QUERY changes nothing,
 *   nor does a second pause. The veto of a file that is not enabled leaves no state
 *   to compare with, so the same veto is posted once in BPIO_EVENT_REPEAT.
 * - Posting copies the event into a ring of fixed size and allocates no memory that
 *   would have to be charged to the user. While a ring is full, events are dropped
 *   and counted. The ring accepts events again when it is empty, so a flood shows
 *   as blocks: many events, then one LOST with the number of dropped events.
 * - Events that need no privilege have a separate ring and are sent at a limited
 *   rate, because each wakes all listeners, including udevd. They neither displace
 *   nor delay events that need privileges (pauses, tables, layers).
 * - In that ring, a waiting ARM or REVOKE is replaced by a later one of the same
 *   file.
 * - ARM is held back until another event is sent, for BPIO_EVENT_HOLD at most, and
 *   dropped if the file is closed by then. Programs that open many files, read each
 *   once and close it would otherwise cause one event per file, which costs more
 *   than arming the file, and far more in the listeners.
 *
 * Level: foundation.
 */
#include <linux/jiffies.h>
#include <linux/minmax.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "event.h"
#include "standing.h"
#include "uevent.h"

/* Events that wait to be sent: of files, and of volumes and layers. */
#define BPIO_EVENT_FILES_ROOM	256
#define BPIO_EVENT_OTHERS_ROOM	64

/* Average minimum interval between events of files; a burst may be a full ring. */
#define BPIO_EVENT_INTERVAL	DIV_ROUND_UP(HZ, 100)
#define BPIO_EVENT_BURST	(BPIO_EVENT_FILES_ROOM * BPIO_EVENT_INTERVAL)

/* How long an ARM is held back. */
#define BPIO_EVENT_HOLD		DIV_ROUND_UP(HZ, 10)

/* How long a repeated veto is suppressed, while the ring still has the first. */
#define BPIO_EVENT_REPEAT	(10 * HZ)

/**
 * struct bpio_event_ring - events of one kind, oldest first
 * @slots: the events; those that were sent stay until they are overwritten
 * @room: number of @slots
 * @first: index of the next event to be sent
 * @nr: number of events to be sent
 * @lost: number of dropped events that no LOST has reported yet
 *
 * bpio_event_lock protects all of it, except @slots and @room, which are constant.
 */
struct bpio_event_ring {
	struct bpio_event	*slots;
	unsigned int		room;
	unsigned int		first;
	unsigned int		nr;
	u64			lost;
};

static struct bpio_event bpio_event_files_slots[BPIO_EVENT_FILES_ROOM];
static struct bpio_event bpio_event_others_slots[BPIO_EVENT_OTHERS_ROOM];

static struct bpio_event_ring bpio_event_files = {
	.slots	= bpio_event_files_slots,
	.room	= BPIO_EVENT_FILES_ROOM,
};

static struct bpio_event_ring bpio_event_others = {
	.slots	= bpio_event_others_slots,
	.room	= BPIO_EVENT_OTHERS_ROOM,
};

/* Protects both rings and the three variables below; innermost. */
static DEFINE_SPINLOCK(bpio_event_lock);
static u64 bpio_event_number;
/* Events with a lower number are to be sent at once. */
static u64 bpio_event_urgent;
/*
 * When the next event of a file would be due, in jiffies, if they came evenly. A
 * burst may be ahead of that by the time a full ring takes.
 */
static u64 bpio_event_due;

/*
 * A worker sends the events: sending allocates memory and takes locks held by tasks
 * that allocate, while posters may hold locks that the resume of a device needs. If
 * memory reclaim waits for that device, the two would deadlock.
 */
static struct workqueue_struct *bpio_event_wq;
static void bpio_event_work(struct work_struct *work);
static DECLARE_DELAYED_WORK(bpio_event_sender, bpio_event_work);

static struct bpio_event *bpio_event_slot(struct bpio_event_ring *ring,
					  unsigned int i)
{
	return &ring->slots[(ring->first + i) % ring->room];
}

/* Jiffies until the rate limit allows the next event of a file. */
static unsigned long bpio_event_delay(void)
{
	u64 earliest, now = get_jiffies_64();

	lockdep_assert_held(&bpio_event_lock);

	earliest = bpio_event_due - min_t(u64, bpio_event_due, BPIO_EVENT_BURST);
	return earliest > now ? earliest - now : 0;
}

/* Jiffies until the first event of files may be sent; the ring is not empty. */
static unsigned long bpio_event_hold(void)
{
	const struct bpio_event *event = bpio_event_slot(&bpio_event_files, 0);
	u64 earliest = event->posted + BPIO_EVENT_HOLD, now = get_jiffies_64();
	unsigned long delay = bpio_event_delay();

	lockdep_assert_held(&bpio_event_lock);

	if (event->type != BPIO_EVENT_ARM || earliest <= now ||
	    event->number < bpio_event_urgent)
		return delay;
	return max_t(unsigned long, delay, earliest - now);
}

/* Whether the ring still has the same veto of the same file. */
static bool bpio_event_is_repeated(const struct bpio_event_ring *ring,
				   const struct bpio_event *event)
{
	const struct bpio_event *slot;

	lockdep_assert_held(&bpio_event_lock);

	if (event->type != BPIO_EVENT_REFUSE)
		return false;
	for (slot = ring->slots; slot < ring->slots + ring->room; slot++)
		if (slot->posted && slot->type == event->type &&
		    slot->ino == event->ino && slot->dev == event->dev &&
		    slot->objector == event->objector &&
		    slot->status == event->status &&
		    event->posted < slot->posted + BPIO_EVENT_REPEAT &&
		    !strcmp(slot->text, event->text))
			return true;
	return false;
}

/* Replace a waiting event of the same file. Return: whether there was one. */
static bool bpio_event_merge(struct bpio_event_ring *ring,
			     const struct bpio_event *event)
{
	struct bpio_event *slot;
	unsigned int i;

	lockdep_assert_held(&bpio_event_lock);

	if (event->type > BPIO_EVENT_REVOKE || !bpio_event_delay())
		return false;
	for (i = 0; i < ring->nr; i++) {
		slot = bpio_event_slot(ring, i);
		if (slot->type <= BPIO_EVENT_REVOKE &&
		    slot->ino == event->ino && slot->dev == event->dev) {
			slot->type = event->type;
			slot->reason = event->reason;
			return true;
		}
	}
	return false;
}

static void bpio_event_put(struct bpio_event_ring *ring, struct bpio_event *event)
{
	lockdep_assert_held(&bpio_event_lock);

	event->number = bpio_event_number++;
	if (ring->lost || ring->nr == ring->room)
		ring->lost++;
	else
		*bpio_event_slot(ring, ring->nr++) = *event;
	/* An ARM can wait until half of the ring is full. */
	if (event->type != BPIO_EVENT_ARM || ring->nr > ring->room / 2)
		bpio_event_urgent = bpio_event_number;
}

static void bpio_event_post(struct bpio_event *event)
{
	struct bpio_event_ring *ring = &bpio_event_others;
	unsigned long delay = 0;
	bool urgent;

	if (event->type <= BPIO_EVENT_ALLOW)
		ring = &bpio_event_files;
	event->posted = get_jiffies_64() + 1;

	spin_lock(&bpio_event_lock);
	if (bpio_event_is_repeated(ring, event) ||
	    bpio_event_merge(ring, event)) {
		spin_unlock(&bpio_event_lock);
		return;
	}
	bpio_event_put(ring, event);
	urgent = bpio_event_urgent == bpio_event_number;
	if (ring == &bpio_event_files)
		delay = urgent ? bpio_event_delay() : BPIO_EVENT_HOLD;
	spin_unlock(&bpio_event_lock);

	/* The timer for events that are held back already runs. */
	if (delay)
		queue_delayed_work(bpio_event_wq, &bpio_event_sender, delay);
	else
		mod_delayed_work(bpio_event_wq, &bpio_event_sender, 0);
}

static void bpio_event_set_verdict(struct bpio_event *event, dev_t objector,
				   const struct bpio_results *verdict)
{
	event->objector = objector;
	event->status = verdict->op_status;
	event->reason = verdict->reason;
	snprintf(event->driver, sizeof(event->driver), "%.*s",
		 verdict->failing_driver_name_len, verdict->failing_driver_name);
	snprintf(event->text, sizeof(event->text), "%.*s",
		 verdict->failure_reason_len, verdict->failure_reason);
}

/**
 * bpio_event_support() - reads of a volume skip more or less than before
 * @volume: the volume
 * @standing: the new state
 *
 * A veto of the volume is reported by this event too, which corresponds to the event
 * that FltVetoBypassIo logs.
 *
 * Context: any that may take a spinlock.
 */
void bpio_event_support(dev_t volume, const struct bpio_standing *standing)
{
	struct bpio_event event = {
		.type		= BPIO_EVENT_SUPPORT,
		.dev		= volume,
		.support	= standing->support,
	};

	bpio_event_set_verdict(&event, standing->objector, &standing->results);
	/* There is no route, so no layer objects to one. */
	if (standing->support == BPIO_SUPPORT_NONE) {
		event.status = 0;
		event.driver[0] = '\0';
	}
	bpio_event_post(&event);
}

/**
 * bpio_event_veto() - a layer vetoed a file
 * @type: REFUSE or VETO
 * @volume: the volume it lies on
 * @ino: its inode number
 * @layer: the mapped device the layer is part of
 * @verdict: its status, name and reason
 *
 * Corresponds to the event that FltVetoBypassIo logs.
 *
 * Context: any that may take a spinlock.
 */
void bpio_event_veto(enum bpio_event_type type, dev_t volume,
		     unsigned long ino, dev_t layer,
		     const struct bpio_results *verdict)
{
	struct bpio_event event = {
		.type	= type,
		.dev	= volume,
		.ino	= ino,
	};

	bpio_event_set_verdict(&event, layer, verdict);
	bpio_event_post(&event);
}

/**
 * bpio_event_layer() - a layer or a volume was paused or resumed
 * @type: PAUSE or RESUME
 * @dev: the mapped device
 * @who: a driver or a command
 * @why: a sentence, or ""
 *
 * Context: any that may take a spinlock.
 */
void bpio_event_layer(enum bpio_event_type type, dev_t dev, const char *who,
		      const char *why)
{
	struct bpio_event event = { .type = type, .dev = dev };

	strscpy(event.driver, who, sizeof(event.driver));
	strscpy(event.text, why, sizeof(event.text));
	bpio_event_post(&event);
}

/**
 * bpio_event_file() - something happened to a file
 * @type: ARM, REVOKE, ALLOW, PAUSE or RESUME
 * @volume: the volume it lies on
 * @ino: its inode number
 * @reason: why
 *
 * Context: any that may take a spinlock.
 */
void bpio_event_file(enum bpio_event_type type, dev_t volume,
		     unsigned long ino, enum bpio_reason reason)
{
	struct bpio_event event = {
		.type	= type,
		.dev	= volume,
		.ino	= ino,
		.reason	= reason,
	};

	bpio_event_post(&event);
}

/**
 * bpio_event_forget_file() - drop a waiting ARM of a file that was closed
 * @volume: the volume it lay on
 * @ino: its inode number
 *
 * Context: any that may take a spinlock.
 */
void bpio_event_forget_file(dev_t volume, unsigned long ino)
{
	struct bpio_event_ring *ring = &bpio_event_files;
	struct bpio_event *slot;
	unsigned int i;

	spin_lock(&bpio_event_lock);
	/* The file armed last is usually the first to be closed. */
	for (i = ring->nr; i-- > 0;) {
		slot = bpio_event_slot(ring, i);
		if (slot->type == BPIO_EVENT_ARM && slot->ino == ino &&
		    slot->dev == volume)
			slot->type = BPIO_EVENT_FORGOTTEN;
		if (slot->type == BPIO_EVENT_FORGOTTEN && i + 1 == ring->nr)
			ring->nr--;
	}
	spin_unlock(&bpio_event_lock);
}

/* Once a ring is empty, make one LOST of the events it dropped while it was full. */
static bool bpio_event_take_lost(struct bpio_event_ring *ring,
				 struct bpio_event *event)
{
	lockdep_assert_held(&bpio_event_lock);

	if (ring->nr || !ring->lost)
		return false;
	*event = (struct bpio_event) {
		.type = BPIO_EVENT_LOST,
		.lost = ring->lost,
	};
	ring->lost = 0;
	return true;
}

/* The ring whose first event is to be sent now (the older one), or NULL. */
static struct bpio_event_ring *bpio_event_choose(void)
{
	struct bpio_event_ring *others = &bpio_event_others;
	struct bpio_event_ring *files = &bpio_event_files;

	lockdep_assert_held(&bpio_event_lock);

	if (!files->nr || bpio_event_hold())
		return others->nr ? others : NULL;
	if (others->nr && bpio_event_slot(others, 0)->number <
			  bpio_event_slot(files, 0)->number)
		return others;
	return files;
}

static void bpio_event_drop_first(struct bpio_event_ring *ring)
{
	lockdep_assert_held(&bpio_event_lock);

	ring->first = (ring->first + 1) % ring->room;
	ring->nr--;
}

static bool bpio_event_take(struct bpio_event *event)
{
	struct bpio_event_ring *ring = &bpio_event_files;

	lockdep_assert_held(&bpio_event_lock);

	while (ring->nr && bpio_event_slot(ring, 0)->type == BPIO_EVENT_FORGOTTEN)
		bpio_event_drop_first(ring);
	if (bpio_event_take_lost(&bpio_event_files, event) ||
	    bpio_event_take_lost(&bpio_event_others, event))
		return true;
	ring = bpio_event_choose();
	if (!ring)
		return false;
	*event = *bpio_event_slot(ring, 0);
	bpio_event_drop_first(ring);
	if (ring == &bpio_event_files) {
		bpio_event_due = max(bpio_event_due, get_jiffies_64()) +
				 BPIO_EVENT_INTERVAL;
	}
	return true;
}

static void bpio_event_work(struct work_struct *work)
{
	/* Static because it is large for the stack; there is one sender. */
	static struct bpio_event event;
	unsigned long delay;
	bool taken, left;

	do {
		spin_lock(&bpio_event_lock);
		taken = bpio_event_take(&event);
		left = bpio_event_files.nr;
		delay = left ? bpio_event_hold() : 0;
		spin_unlock(&bpio_event_lock);
		if (taken)
			bpio_uevent_send(&event);
		cond_resched();
	} while (taken);

	/* For events that are held back; a new event queues the work itself. */
	if (left)
		queue_delayed_work(bpio_event_wq, &bpio_event_sender, delay);
}

/**
 * bpio_event_init() - prepare to send events
 *
 * Return: 0 or a negative errno.
 */
int bpio_event_init(void)
{
	int ret;

	bpio_event_wq = alloc_ordered_workqueue("bpio_event", 0);
	if (!bpio_event_wq)
		return -ENOMEM;
	ret = bpio_uevent_init();
	if (ret)
		destroy_workqueue(bpio_event_wq);
	return ret;
}

/**
 * bpio_event_exit() - undo bpio_event_init()
 */
void bpio_event_exit(void)
{
	cancel_delayed_work_sync(&bpio_event_sender);
	destroy_workqueue(bpio_event_wq);
	bpio_uevent_exit();
}
