// SPDX-License-Identifier: GPL-2.0-only
/*
 * Events in the form of uevents of subsystem "bpio".
 *
 * They are sent for a separate kobject instead of the mapped device, because a
 * change event of a device makes udev probe it again. Each carries BPIO_EVENT,
 * BPIO_DEVICE (major:minor) except in LOST, and variables specific to the event.
 *
 * Level: foundation.
 */
#include <linux/fs.h>
#include <linux/kobject.h>
#include <linux/slab.h>

#include "reason.h"
#include "uevent.h"

/* Longest variable, with its name: a failure reason. */
#define BPIO_UEVENT_TEXT_MAX	(BPIO_REASON_TEXT_MAX + 32)

static struct kset *bpio_uevent_kset;
static struct kobject *bpio_uevent_source;

/* The variables of a uevent; used only by the single sender. */
static struct bpio_uevent_env {
	char	text[8][BPIO_UEVENT_TEXT_MAX];
	char	*envp[9];
	int	nr;
} bpio_uevent_env;

static __printf(1, 2) void bpio_uevent_add(const char *format, ...)
{
	struct bpio_uevent_env *env = &bpio_uevent_env;
	va_list args;

	va_start(args, format);
	vsnprintf(env->text[env->nr], BPIO_UEVENT_TEXT_MAX, format, args);
	va_end(args);
	env->envp[env->nr] = env->text[env->nr];
	env->nr++;
}

static const char *bpio_uevent_name(const struct bpio_event *event)
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

static void bpio_uevent_add_verdict(const struct bpio_event *event)
{
	const char *text = event->text;

	if (!*text && event->reason)
		text = bpio_reason_text(event->reason);
	if (event->objector)
		bpio_uevent_add("BPIO_LAYER=%u:%u", MAJOR(event->objector),
				MINOR(event->objector));
	if (event->status)
		bpio_uevent_add("BPIO_STATUS=%d", event->status);
	if (*event->driver)
		bpio_uevent_add("BPIO_DRIVER=%s", event->driver);
	if (*text)
		bpio_uevent_add("BPIO_REASON=%s", text);
}

/**
 * bpio_uevent_send() - send an event
 * @event: the event
 *
 * Context: the one worker that sends; sleeps.
 */
void bpio_uevent_send(const struct bpio_event *event)
{
	memset(&bpio_uevent_env, 0, sizeof(bpio_uevent_env));
	bpio_uevent_add("BPIO_EVENT=%s", bpio_uevent_name(event));
	if (event->type == BPIO_EVENT_LOST)
		bpio_uevent_add("BPIO_COUNT=%llu", event->lost);
	else
		bpio_uevent_add("BPIO_DEVICE=%u:%u", MAJOR(event->dev),
				MINOR(event->dev));
	if (event->type == BPIO_EVENT_SUPPORT)
		bpio_uevent_add("BPIO_SUPPORT=%s",
				bpio_support_text(event->support));
	if (event->ino)
		bpio_uevent_add("BPIO_INODE=%lu", event->ino);
	bpio_uevent_add_verdict(event);
	/* Lost without memory; delivery of each event is not guaranteed. */
	kobject_uevent_env(bpio_uevent_source, KOBJ_CHANGE, bpio_uevent_env.envp);
}

static void bpio_uevent_release(struct kobject *kobj)
{
	kfree(kobj);
}

static const struct kobj_type bpio_uevent_ktype = {
	.release	= bpio_uevent_release,
	.sysfs_ops	= &kobj_sysfs_ops,
};

/**
 * bpio_uevent_init() - create /sys/kernel/bpio/events, the source of all events
 *
 * Return: 0 or a negative errno.
 */
int bpio_uevent_init(void)
{
	int ret = -ENOMEM;

	bpio_uevent_kset = kset_create_and_add("bpio", NULL, kernel_kobj);
	if (!bpio_uevent_kset)
		return -ENOMEM;

	bpio_uevent_source = kzalloc(sizeof(*bpio_uevent_source), GFP_KERNEL);
	if (!bpio_uevent_source)
		goto unregister;
	bpio_uevent_source->kset = bpio_uevent_kset;
	ret = kobject_init_and_add(bpio_uevent_source, &bpio_uevent_ktype, NULL,
				   "events");
	if (!ret)
		return 0;

	kobject_put(bpio_uevent_source);
unregister:
	kset_unregister(bpio_uevent_kset);
	return ret;
}

/**
 * bpio_uevent_exit() - undo bpio_uevent_init()
 */
void bpio_uevent_exit(void)
{
	kobject_put(bpio_uevent_source);
	kset_unregister(bpio_uevent_kset);
}
