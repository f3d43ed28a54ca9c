// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loading and unloading.
 */
#include <linux/module.h>
#include <linux/rcupdate.h>

#include "bypass.h"
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
	ret = bpio_target_init();
	if (ret)
		goto exit_map;
	/* Last: from here on anybody may call. */
	ret = bpio_node_init();
	if (ret)
		goto exit_target;
	return 0;

exit_target:
	bpio_target_exit();
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
 * Targets and enabled files hold references to the module, so neither is left. Routes
 * that they retired may still wait for a grace period.
 */
static void __exit bpio_exit(void)
{
	bpio_node_exit();
	bpio_target_exit();
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
MODULE_VERSION("0.1.0");
