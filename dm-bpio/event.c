// SPDX-License-Identifier: GPL-2.0-only
/*
 * Events for programs that watch: uevents of subsystem "bpio".
 *
 * They are sent for an object of our own and not for the mapped device, because
 * a change event of a device makes udev read it again. Each carries BPIO_EVENT
 * and BPIO_DEVICE (major:minor), and what else the event has.
 */
#include <linux/fs.h>
#include <linux/kobject.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "event.h"
#include "reason.h"

/* Longest value, with its name: a failure reason. */
#define BPIO_EVENT_TEXT_MAX	(BPIO_REASON_TEXT_MAX + 32)

static struct kset *bpio_event_kset;
static struct kobject *bpio_event_source;

/*
 * Events are sent by a worker: sending allocates, and waits for others who do,
 * while those who have something to tell hold locks that the resume of a device
 * needs, and with it the freeing of memory.
 */
static struct workqueue_struct *bpio_event_wq;

struct bpio_event {
	struct work_struct work;
	char	text[6][BPIO_EVENT_TEXT_MAX];
	char	*envp[7];
	int	nr;
};

static __printf(2, 3) void bpio_event_add(struct bpio_event *event,
					  const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(event->text[event->nr], BPIO_EVENT_TEXT_MAX, format, args);
	va_end(args);
	event->envp[event->nr] = event->text[event->nr];
	event->nr++;
}

static struct bpio_event *bpio_event_begin(const char *name, dev_t dev)
{
	struct bpio_event *event = kzalloc(sizeof(*event), GFP_NOIO);

	if (!event)
		return NULL;
	bpio_event_add(event, "BPIO_EVENT=%s", name);
	bpio_event_add(event, "BPIO_DEVICE=%u:%u", MAJOR(dev), MINOR(dev));
	return event;
}

/* A watcher that misses an event for want of memory asks again anyway. */
static void bpio_event_work(struct work_struct *work)
{
	struct bpio_event *event = container_of(work, struct bpio_event, work);

	kobject_uevent_env(bpio_event_source, KOBJ_CHANGE, event->envp);
	kfree(event);
}

static void bpio_event_send(struct bpio_event *event)
{
	INIT_WORK(&event->work, bpio_event_work);
	queue_work(bpio_event_wq, &event->work);
}

/**
 * bpio_event_veto() - a layer vetoed
 * @volume: the volume that was to be bypassed
 * @dev: the mapped device the layer is part of
 * @verdict: its status, name and reason
 *
 * Follows the event that FltVetoBypassIo logs.
 *
 * Context: may sleep, does no I/O.
 */
void bpio_event_veto(dev_t volume, dev_t dev, const struct bpio_results *verdict)
{
	struct bpio_event *event = bpio_event_begin("veto", volume);

	if (!event)
		return;
	bpio_event_add(event, "BPIO_LAYER=%u:%u", MAJOR(dev), MINOR(dev));
	bpio_event_add(event, "BPIO_STATUS=%d", verdict->op_status);
	bpio_event_add(event, "BPIO_DRIVER=%.*s",
		       verdict->failing_driver_name_len,
		       verdict->failing_driver_name);
	bpio_event_add(event, "BPIO_REASON=%.*s", verdict->failure_reason_len,
		       verdict->failure_reason);
	bpio_event_send(event);
}

/**
 * bpio_event_layer() - a layer or a volume was paused or resumed
 * @name: "pause" or "resume"
 * @dev: the mapped device
 * @who: a driver or a command
 * @why: a sentence, or ""
 *
 * Context: may sleep, does no I/O.
 */
void bpio_event_layer(const char *name, dev_t dev, const char *who,
		      const char *why)
{
	struct bpio_event *event = bpio_event_begin(name, dev);

	if (!event)
		return;
	bpio_event_add(event, "BPIO_DRIVER=%s", who);
	bpio_event_add(event, "BPIO_REASON=%s", why);
	bpio_event_send(event);
}

/**
 * bpio_event_file() - something happened to a file
 * @name: "arm", "revoke", "pause" or "resume"
 * @volume: the volume it lies on
 * @ino: its inode number
 * @reason: why
 *
 * Context: may sleep, does no I/O.
 */
void bpio_event_file(const char *name, dev_t volume, unsigned long ino,
		     enum bpio_reason reason)
{
	struct bpio_event *event = bpio_event_begin(name, volume);

	if (!event)
		return;
	bpio_event_add(event, "BPIO_INODE=%lu", ino);
	bpio_event_add(event, "BPIO_REASON=%s",
		       reason ? bpio_reason_text(reason) : "");
	bpio_event_send(event);
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
 * bpio_event_init() - make /sys/kernel/bpio/events, which events are sent for
 *
 * Return: 0 or a negative errno.
 */
int bpio_event_init(void)
{
	int ret = -ENOMEM;

	/* Ordered, so that a resume is never told before its pause. */
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
	destroy_workqueue(bpio_event_wq);
	kobject_put(bpio_event_source);
	kset_unregister(bpio_event_kset);
}
