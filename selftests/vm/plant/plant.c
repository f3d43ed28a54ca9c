// SPDX-License-Identifier: GPL-2.0-only
/*
 * Deliberate faults, to prove that the VM harness notices them. Only the harness's
 * self-test loads this module.
 */
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>

static char *fault = "none";
module_param(fault, charp, 0444);
MODULE_PARM_DESC(fault, "none, warning, oops, blocked, sleeping, leak, overrun, inversion or race");

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

/* For kmemleak: memory that nothing points to. */
static int plant_leak(void)
{
	char *memory = kmalloc(100, GFP_KERNEL);

	OPTIMIZER_HIDE_VAR(memory);
	return memory ? 0 : -ENOMEM;
}

/* For KASAN: a write behind the end of an object. */
static int plant_overrun(void)
{
	char *memory = kmalloc(100, GFP_KERNEL);

	if (!memory)
		return -ENOMEM;
	OPTIMIZER_HIDE_VAR(memory);
	memory[100] = 1;
	kfree(memory);
	return 0;
}

static DEFINE_MUTEX(plant_first);
static DEFINE_MUTEX(plant_second);

/* For lockdep: two lock orders, without a real deadlock. */
static int plant_inversion(void)
{
	mutex_lock(&plant_first);
	mutex_lock(&plant_second);
	mutex_unlock(&plant_second);
	mutex_unlock(&plant_first);

	mutex_lock(&plant_second);
	mutex_lock(&plant_first);
	mutex_unlock(&plant_first);
	mutex_unlock(&plant_second);
	return 0;
}

static unsigned long plant_count;

static int racer(void *unused)
{
	unsigned long until = jiffies + 5 * HZ;

	while (time_before(jiffies, until)) {
		plant_count++;
		/* keep the compiler from holding the count in a register */
		barrier();
		cond_resched();
	}
	return 0;
}

/* For KCSAN: two threads that increment a counter without a lock. */
static int plant_race(void)
{
	kthread_run(racer, NULL, "plant_race_1");
	kthread_run(racer, NULL, "plant_race_2");
	msleep(6000);
	return 0;
}

static const struct {
	const char *name;
	int (*plant)(void);
} plants[] = {
	{ "blocked", plant_blocked },
	{ "sleeping", plant_sleeping },
	{ "leak", plant_leak },
	{ "overrun", plant_overrun },
	{ "inversion", plant_inversion },
	{ "race", plant_race },
};

static int __init plant_init(void)
{
	size_t i;

	if (!strcmp(fault, "none"))
		return 0;
	if (!strcmp(fault, "warning"))
		return WARN(1, "planted warning\n") ? 0 : -EINVAL;
	if (!strcmp(fault, "oops"))
		return READ_ONCE(*(int *)sizeof(fault));
	for (i = 0; i < ARRAY_SIZE(plants); i++)
		if (!strcmp(fault, plants[i].name))
			return plants[i].plant();
	pr_err("no fault '%s'\n", fault);
	return -EINVAL;
}
module_init(plant_init);

MODULE_DESCRIPTION("Planted kernel faults for the VM harness's self-test");
MODULE_INFO(test, "Y");
MODULE_LICENSE("GPL");
