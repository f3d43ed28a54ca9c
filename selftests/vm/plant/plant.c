// SPDX-License-Identifier: GPL-2.0-only
/*
 * Faults on purpose, so that the VM harness can show that it notices them.
 * Nothing but its self-test loads this module.
 */
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/string.h>

static char *fault = "none";
module_param(fault, charp, 0444);
MODULE_PARM_DESC(fault, "none, warning, oops, blocked or sleeping");

/* A task that sleeps uninterruptibly for ever, as a lost completion does. */
static int blocked(void *unused)
{
	set_current_state(TASK_UNINTERRUPTIBLE);
	schedule();
	return 0;
}

static int plant_blocked(void)
{
	struct task_struct *task = kthread_run(blocked, NULL, "plant_blocked");

	return PTR_ERR_OR_ZERO(task);
}

static int plant_sleeping(void)
{
	preempt_disable();
	msleep(20);
	preempt_enable();
	return 0;
}

static int __init plant_init(void)
{
	if (!strcmp(fault, "none"))
		return 0;
	if (!strcmp(fault, "warning"))
		return WARN(1, "planted warning\n") ? 0 : -EINVAL;
	if (!strcmp(fault, "oops"))
		return READ_ONCE(*(int *)sizeof(fault));
	if (!strcmp(fault, "blocked"))
		return plant_blocked();
	if (!strcmp(fault, "sleeping"))
		return plant_sleeping();
	pr_err("no fault '%s'\n", fault);
	return -EINVAL;
}
module_init(plant_init);

MODULE_DESCRIPTION("Planted kernel faults for the VM harness's self-test");
MODULE_INFO(test, "Y");
MODULE_LICENSE("GPL");
