// SPDX-License-Identifier: GPL-2.0-only
/*
 * What there is to know of the device at the end of a stack.
 */
#include <linux/blk-integrity.h>
#include <linux/device-mapper.h>

#include "compat.h"
#include "storage.h"

/*
 * The class of the parent device tells NVMe: "nvme" for a plain namespace, whose
 * parent is the controller, "nvme-subsystem" for a multipath head. Names of
 * devices and drivers prove nothing.
 */
static bool bpio_storage_is_nvme(struct block_device *bdev)
{
	struct device *parent = disk_to_dev(bdev->bd_disk)->parent;

	return parent && parent->class &&
	       (!strcmp(parent->class->name, "nvme") ||
		!strcmp(parent->class->name, "nvme-subsystem"));
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
 *
 * Context: any; the caller keeps @bdev open.
 * Return: a name that lives as long as the device is open.
 */
const char *bpio_storage_driver_name(struct block_device *bdev)
{
	struct gendisk *disk = bdev->bd_disk;
	struct device *parent = disk_to_dev(disk)->parent;

	if (bpio_storage_is_nvme(bdev))
		return "nvme";
	if (parent && parent->driver)
		return parent->driver->name;
	if (disk->fops->owner)
		return module_name(disk->fops->owner);
	return disk->disk_name;
}

/**
 * bpio_storage_judge() - whether a device may be the end of a full route
 * @bdev: a device without a layer
 * @any_storage: whether it need not be NVMe
 *
 * Context: any; the caller keeps @bdev open.
 * Return: BPIO_REASON_NONE, or why not.
 */
enum bpio_reason bpio_storage_judge(struct block_device *bdev, bool any_storage)
{
	/* It never said that its bios may be left out. */
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
