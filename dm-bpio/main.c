// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loading and unloading.
 *
 * Level: door.
 */
#include <linux/module.h>
#include <linux/rcupdate.h>

#include "bypass.h"
#include "change.h"
#include "dm-bpio.h"
#include "drain.h"
#include "event.h"
#include "file.h"
#include "io.h"
#include "map.h"
#include "node.h"
#include "probe.h"
#include "target.h"
#include "volume.h"

static int __init bpio_init(void)
{
	int ret;

	bpio_change_init();
	ret = bpio_event_init();
	if (ret)
		return ret;
	ret = bpio_drain_init();
	if (ret)
		goto exit_event;
	ret = bpio_bypass_init();
	if (ret)
		goto exit_drain;
	ret = bpio_file_init();
	if (ret)
		goto exit_volume;
	ret = bpio_io_init();
	if (ret)
		goto exit_file;
	ret = bpio_map_init();
	if (ret)
		goto exit_io;
	ret = bpio_linear_init();
	if (ret)
		goto exit_map;
	ret = bpio_striped_init();
	if (ret)
		goto exit_linear;
	/* Last: from here on anybody may call. */
	ret = bpio_node_init();
	if (ret)
		goto exit_striped;
	/* Without a way to wait for preempted tasks, stay. */
	if (IS_ENABLED(CONFIG_PREEMPTION) && !IS_ENABLED(CONFIG_TASKS_RCU))
		__module_get(THIS_MODULE);
	return 0;

exit_striped:
	bpio_striped_exit();
exit_linear:
	bpio_linear_exit();
exit_map:
	bpio_map_exit();
exit_io:
	bpio_io_exit();
exit_file:
	bpio_file_exit();
exit_volume:
	bpio_bypass_exit();
exit_drain:
	bpio_drain_exit();
exit_event:
	bpio_event_exit();
	return ret;
}

/*
 * Wait until the ends of reads have left the code of the module.
 *
 * A read in flight keeps the module by the struct file that it reads, or by the
 * table of its target. Device-mapper takes the table down after the target's end_io
 * has returned to it. The struct file may go earlier: ki_complete(), or the reader
 * that was woken, may drop its last reference while the function of this module
 * that called it, or the completion of another bio of the read, still has some
 * instructions to go. These touch nothing that is freed, but they have to be there.
 * Where such a completion can stand, and what ends it:
 *
 * - in an interrupt, or otherwise with preemption disabled: a grace period;
 * - in a task that was preempted there, such as a worker of dm-crypt, loop or
 *   nvme-tcp that ends bios: it does not sleep from there on before it has
 *   returned, so a grace period of RCU-tasks, which ends when every task has
 *   scheduled of its own accord, comes after that;
 * - in a worker of this module: destroy_workqueue() and flush_work() wait until the
 *   function has returned.
 *
 * RCU callbacks are waited for by the rcu_barrier() at the end. Breakers of leases
 * call under a spinlock that removing the lease takes, and the operations of files,
 * of the node and of targets are called by code that puts its reference afterwards.
 */
static void bpio_await_completions(void)
{
	synchronize_rcu();
	synchronize_rcu_tasks();
}

/*
 * Targets and enabled files hold references to the module, so neither is left. Routes
 * that they retired may still wait for a grace period.
 */
static void __exit bpio_exit(void)
{
	bpio_await_completions();
	bpio_node_exit();
	bpio_striped_exit();
	bpio_linear_exit();
	bpio_map_exit();
	bpio_io_exit();
	bpio_file_exit();
	bpio_probe_exit();
	bpio_bypass_exit();
	bpio_drain_exit();
	bpio_event_exit();
	rcu_barrier();
}

module_init(bpio_init);
module_exit(bpio_exit);

MODULE_DESCRIPTION("BypassIO: reads that skip the file system and the layers below");
MODULE_AUTHOR("The dm-bpio developers");
MODULE_LICENSE("GPL");
MODULE_VERSION(DM_BPIO_VERSION);
