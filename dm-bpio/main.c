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
	/* Last: from now on user space can use the module. */
	ret = bpio_node_init();
	if (ret)
		goto exit_striped;
	/* Never unload if there is no way to wait for preempted tasks. */
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
 * Wait until no CPU executes completion code of this module any more.
 *
 * A read in flight pins the module through the struct file that it reads, or through
 * the table of its target. Device-mapper destroys the table after the target's end_io
 * has returned to it. The struct file may be released earlier: ki_complete(), or the
 * woken reader, may drop its last reference while the caller in this module, or the
 * completion of another bio of the read, still has some instructions to execute. These
 * access no freed memory, but their code must still be mapped. Where such a completion
 * can be, and what waits for it:
 *
 * - in an interrupt, or otherwise with preemption disabled: a grace period;
 * - in a preempted task, such as a worker of dm-crypt, loop or nvme-tcp that ends bios:
 *   a grace period of RCU-tasks, which ends when every task has scheduled voluntarily.
 *   The completion does not sleep before it returns;
 * - in a worker of this module: destroy_workqueue() and flush_work() wait until the
 *   function has returned.
 *
 * The rcu_barrier() at the end waits for RCU callbacks. Tasks that break a lease call
 * this module under a spinlock that the removal of the lease also takes. Callers of
 * the operations of files, of the node and of targets put their reference to the
 * module afterwards.
 */
static void bpio_await_completions(void)
{
	synchronize_rcu();
	synchronize_rcu_tasks();
}

/*
 * Targets and enabled files hold references to the module, so none is left. Routes that
 * they retired may still wait for a grace period.
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
