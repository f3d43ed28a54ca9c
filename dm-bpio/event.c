// SPDX-License-Identifier: GPL-2.0-only
/*
 * Events for monitoring programs: uevents of subsystem "bpio".
 *
 * They are sent for a separate kobject instead of the mapped device, because a
 * change event of a device makes udev probe it again. Each carries BPIO_EVENT,
 * BPIO_DEVICE (major:minor) except in LOST, and variables specific to the event.
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
#include <linux/fs.h>
#include <linux/jiffies.h>
#include <linux/kobject.h>
#include <linux/minmax.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "event.h"
#include "reason.h"
#include "standing.h"

/* Longest variable, with its name: a failure reason. */
#define BPIO_EVENT_TEXT_MAX	(BPIO_REASON_TEXT_MAX + 32)

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
 * struct bpio_event - an event that waits to be sent, or was sent
 * @type: what happened
 * @dev: the volume, or the device of the layer
 * @ino: the inode number of the file concerned, or 0
 * @support: enum bpio_support, for SUPPORT
 * @objector: the device of the layer that objects, or 0
 * @status: a negative errno, or 0
 * @reason: enum bpio_reason
 * @number: sequence number over both rings
 * @posted: time in jiffies, plus 1; 0 when the slot was never used
 * @lost: number of lost events, for LOST
 * @driver: a driver or a command
 * @text: a sentence
 */
struct bpio_event {
	enum bpio_event_type	type;
	dev_t			dev;
	unsigned long		ino;
	enum bpio_support	support;
	dev_t			objector;
	int			status;
	enum bpio_reason	reason;
	u64			number;
	u64			posted;
	u64			lost;
	char			driver[BPIO_DRIVER_NAME_MAX + 1];
	char			text[BPIO_REASON_TEXT_MAX + 1];
};

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

static struct kset *bpio_event_kset;
static struct kobject *bpio_event_source;

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

/* The variables of a uevent; used only by the single sender. */
static struct bpio_event_env {
	char	text[8][BPIO_EVENT_TEXT_MAX];
	char	*envp[9];
	int	nr;
} bpio_event_env;

static __printf(1, 2) void bpio_event_add(const char *format, ...)
{
	struct bpio_event_env *env = &bpio_event_env;
	va_list args;

	va_start(args, format);
	vsnprintf(env->text[env->nr], BPIO_EVENT_TEXT_MAX, format, args);
	va_end(args);
	env->envp[env->nr] = env->text[env->nr];
	env->nr++;
}

static const char *bpio_event_name(const struct bpio_event *event)
{
	static const char *const names[] = {
		[BPIO_EVENT_ARM]	= "arm",
		[BPIO_EVENT_REVOKE]	= "revoke",
		[BPIO_EVENT_REFUSE]	= "veto",
		[BPIO_EVENT_VETO]	= "veto",
		[BPIO_EVENT_ALLOW]	= "resume",
		[BPIO_EVENT_PAUSE]	= "pause",
		[BPIO_EVENT_RESUME]	= "resume",
		[BPIO_EVENT_SUPPORT]	= "support",
		[BPIO_EVENT_LOST]	= "lost",
	};

	if (event->type == BPIO_EVENT_SUPPORT &&
	    event->reason == BPIO_REASON_LAYER_VETO)
		return "veto";
	return names[event->type];
}

static void bpio_event_add_verdict(const struct bpio_event *event)
{
	const char *text = event->text;

	if (!*text && event->reason)
		text = bpio_reason_text(event->reason);
	if (event->objector)
		bpio_event_add("BPIO_LAYER=%u:%u", MAJOR(event->objector),
			       MINOR(event->objector));
	if (event->status)
		bpio_event_add("BPIO_STATUS=%d", event->status);
	if (*event->driver)
		bpio_event_add("BPIO_DRIVER=%s", event->driver);
	if (*text)
		bpio_event_add("BPIO_REASON=%s", text);
}

static void bpio_event_send(const struct bpio_event *event)
{
	memset(&bpio_event_env, 0, sizeof(bpio_event_env));
	bpio_event_add("BPIO_EVENT=%s", bpio_event_name(event));
	if (event->type == BPIO_EVENT_LOST)
		bpio_event_add("BPIO_COUNT=%llu", event->lost);
	else
		bpio_event_add("BPIO_DEVICE=%u:%u", MAJOR(event->dev),
			       MINOR(event->dev));
	if (event->type == BPIO_EVENT_SUPPORT)
		bpio_event_add("BPIO_SUPPORT=%s",
			       bpio_support_text(event->support));
	if (event->ino)
		bpio_event_add("BPIO_INODE=%lu", event->ino);
	bpio_event_add_verdict(event);
	/* Lost without memory; delivery of each event is not guaranteed. */
	kobject_uevent_env(bpio_event_source, KOBJ_CHANGE, bpio_event_env.envp);
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
			bpio_event_send(&event);
		cond_resched();
	} while (taken);

	/* For events that are held back; a new event queues the work itself. */
	if (left)
		queue_delayed_work(bpio_event_wq, &bpio_event_sender, delay);
}

static void bpio_event_release(struct kobject *kobj)
{
	kfree(kobj);
}

static const struct kobj_type bpio_event_ktype = {
	.release	= bpio_event_release,
	.sysfs_ops	= &kobj_sysfs_ops,
};

/**
 * bpio_event_init() - create /sys/kernel/bpio/events, the source of all events
 *
 * Return: 0 or a negative errno.
 */
int bpio_event_init(void)
{
	int ret = -ENOMEM;

	bpio_event_wq = alloc_ordered_workqueue("bpio_event", 0);
	if (!bpio_event_wq)
		return -ENOMEM;

	bpio_event_kset = kset_create_and_add("bpio", NULL, kernel_kobj);
	if (!bpio_event_kset)
		goto destroy;

	bpio_event_source = kzalloc(sizeof(*bpio_event_source), GFP_KERNEL);
	if (!bpio_event_source)
		goto unregister;
	bpio_event_source->kset = bpio_event_kset;
	ret = kobject_init_and_add(bpio_event_source, &bpio_event_ktype, NULL,
				   "events");
	if (!ret)
		return 0;

	kobject_put(bpio_event_source);
unregister:
	kset_unregister(bpio_event_kset);
destroy:
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
	kobject_put(bpio_event_source);
	kset_unregister(bpio_event_kset);
}
