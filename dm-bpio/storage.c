// SPDX-License-Identifier: GPL-2.0-only
/*
 * The properties of the device at the end of a stack.
 *
 * Level: foundation.
 */
#include <linux/blk-integrity.h>
#include <linux/device-mapper.h>
#include <linux/rcupdate.h>
#include <linux/string.h>

#include "compat.h"
#include "storage.h"

/*
 * The parent of a disk, or NULL. The disk exists while it is open, but del_gendisk()
 * puts its reference to the parent, for instance after a hot unplug. Before that,
 * del_gendisk() sets GD_DEAD and waits for a grace period (in bdi_unregister()). So a
 * parent found under RCU stays valid within the RCU section.
 */
static struct device *bpio_storage_parent(struct gendisk *disk)
{
	RCU_LOCKDEP_WARN(!rcu_read_lock_held(), "the parent may be freed");

	return test_bit(GD_DEAD, &disk->state) ? NULL : disk_to_dev(disk)->parent;
}

/*
 * The class of the parent device identifies NVMe: "nvme" for a plain namespace, whose
 * parent is the controller, "nvme-subsystem" for a multipath head. Names of devices
 * and drivers prove nothing. A deleted disk is judged by the name of the module of
 * its operations all the same, because only that is certain to still exist.
 */
static bool bpio_storage_is_nvme(struct block_device *bdev)
{
	struct gendisk *disk = bdev->bd_disk;
	struct device *parent;
	bool is_nvme = false;

	rcu_read_lock();
	parent = bpio_storage_parent(disk);
	if (parent && parent->class)
		is_nvme = !strcmp(parent->class->name, "nvme") ||
			  !strcmp(parent->class->name, "nvme-subsystem");
	else if (!parent && disk->fops->owner)
		is_nvme = !strcmp(module_name(disk->fops->owner), "nvme_core");
	rcu_read_unlock();
	return is_nvme;
}

static bool bpio_storage_is_mapped_device(struct block_device *bdev)
{
	struct mapped_device *md = dm_get_md(disk_devt(bdev->bd_disk));

	if (!md)
		return false;
	dm_put(md);
	return true;
}

/**
 * bpio_storage_driver_name() - driver of a block device, for people
 * @bdev: the device
 * @name: written, at most @room bytes with the NUL
 * @room: bytes of @name
 *
 * The driver may be unbound and its module unloaded at any time. So its name is
 * copied under RCU, as dev_uevent() does: free_module() waits for a grace period
 * after the driver was unbound from its devices.
 *
 * Context: any; the caller keeps @bdev open.
 */
void bpio_storage_driver_name(struct block_device *bdev, char *name, size_t room)
{
	struct gendisk *disk = bdev->bd_disk;
	struct device *parent;

	if (bpio_storage_is_nvme(bdev)) {
		strscpy(name, "nvme", room);
		return;
	}

	rcu_read_lock();
	parent = bpio_storage_parent(disk);
	if (parent && READ_ONCE(parent->driver))
		/* Just unbound: use the name of its bus. */
		strscpy(name, dev_driver_string(parent), room);
	else if (disk->fops->owner)
		strscpy(name, module_name(disk->fops->owner), room);
	else
		strscpy(name, disk->disk_name, room);
	rcu_read_unlock();
}

/**
 * bpio_storage_judge() - whether a device may be the end of a full route
 * @bdev: a device without a layer
 * @any_storage: accept devices other than NVMe
 *
 * Context: any; the caller keeps @bdev open.
 * Return: BPIO_REASON_NONE, or why not.
 */
enum bpio_reason bpio_storage_judge(struct block_device *bdev, bool any_storage)
{
	/* This layer has not opted in to being bypassed. */
	if (bpio_storage_is_mapped_device(bdev))
		return BPIO_REASON_LAYER_UNAWARE;
	if (bdev_is_zoned(bdev))
		return BPIO_REASON_ZONED;
	if (bdev_get_integrity(bdev))
		return BPIO_REASON_METADATA;
	if (!any_storage && !bpio_storage_is_nvme(bdev))
		return BPIO_REASON_NOT_NVME;
	return BPIO_REASON_NONE;
}
