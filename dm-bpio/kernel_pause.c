// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files that kernel code has paused: kept by volume and inode number, whether or not
 * anybody has the file open.
 *
 * No user can end such a pause, and neither does the last close: a struct bpio_file
 * that is made for the inode later starts paused. It ends
 *
 * - when it has been resumed as often as it was paused. It is counted, unlike
 *   STREAM_PAUSE: two drivers that know nothing of each other may pause the same
 *   file, and the one that still moves its blocks must not lose the pause to the
 *   other one's resume.
 * - with the inode. A number that is given to another file comes with another
 *   generation, which ext4 and XFS draw at random; the pause of the former file is
 *   dropped when the number is looked up. (The owner of a file can set its generation
 *   on an ext4 without metadata checksums only.) So is one of an earlier file system
 *   on the device.
 * - with the volume, that is, when the mapped device has neither a bpio target nor an
 *   enabled file any more. What a new volume on the same device holds is not known.
 *
 * Unused pauses of deleted files remain until then, so their number is limited.
 *
 * Level: volume.
 */
#include <linux/fs.h>
#include <linux/slab.h>

#include "kernel_pause.h"
#include "volume.h"

/* Files of a volume that can be paused. */
#define BPIO_KERNEL_PAUSE_MAX	1024

/**
 * struct bpio_kernel_pause - an inode that kernel code has paused
 * @generation: i_generation of the inode
 * @count: how often
 */
struct bpio_kernel_pause {
	u32		generation;
	unsigned int	count;
};

static void bpio_kernel_pause_forget(struct bpio_volume *volume,
				     unsigned long ino)
{
	kfree(xa_erase(&volume->kernel_pauses, ino));
	volume->nr_kernel_pauses--;
}

/* The pause of an inode; that of an inode with its number that is gone, ends. */
static struct bpio_kernel_pause *
bpio_kernel_pause_find(struct bpio_volume *volume, const struct inode *inode)
{
	struct bpio_kernel_pause *pause;

	lockdep_assert_held(&volume->drain_lock);

	pause = xa_load(&volume->kernel_pauses, inode->i_ino);
	if (pause && pause->generation != inode->i_generation) {
		bpio_kernel_pause_forget(volume, inode->i_ino);
		pause = NULL;
	}
	return pause;
}

/**
 * bpio_kernel_pause_add() - pause an inode once more
 * @volume: the volume
 * @inode: the inode
 *
 * Context: may sleep; volume->drain_lock held.
 * Return: 0; -ENOSPC when BPIO_KERNEL_PAUSE_MAX files are paused; -ENOMEM.
 */
int bpio_kernel_pause_add(struct bpio_volume *volume, const struct inode *inode)
{
	struct bpio_kernel_pause *pause = bpio_kernel_pause_find(volume, inode);

	if (pause) {
		pause->count++;
		return 0;
	}
	if (volume->nr_kernel_pauses == BPIO_KERNEL_PAUSE_MAX)
		return -ENOSPC;

	pause = kmalloc(sizeof(*pause), GFP_KERNEL);
	if (!pause)
		return -ENOMEM;
	pause->generation = inode->i_generation;
	pause->count = 1;
	if (xa_err(xa_store(&volume->kernel_pauses, inode->i_ino, pause,
			    GFP_KERNEL))) {
		kfree(pause);
		return -ENOMEM;
	}
	volume->nr_kernel_pauses++;
	return 0;
}

/**
 * bpio_kernel_pause_drop() - undo bpio_kernel_pause_add() once
 * @volume: the volume
 * @inode: the inode
 *
 * Context: may sleep; volume->drain_lock held.
 * Return: whether the inode was paused and is not any more.
 */
bool bpio_kernel_pause_drop(struct bpio_volume *volume,
			    const struct inode *inode)
{
	struct bpio_kernel_pause *pause = bpio_kernel_pause_find(volume, inode);

	if (!pause || --pause->count)
		return false;
	bpio_kernel_pause_forget(volume, inode->i_ino);
	return true;
}

/**
 * bpio_kernel_pause_holds() - whether kernel code has paused an inode
 * @volume: the volume
 * @inode: the inode
 *
 * Context: may sleep; volume->drain_lock held.
 */
bool bpio_kernel_pause_holds(struct bpio_volume *volume,
			     const struct inode *inode)
{
	return bpio_kernel_pause_find(volume, inode);
}

/**
 * bpio_kernel_pause_forget_all() - the volume goes
 * @volume: the volume, which nobody refers to any more
 *
 * Context: may sleep.
 */
void bpio_kernel_pause_forget_all(struct bpio_volume *volume)
{
	struct bpio_kernel_pause *pause;
	unsigned long ino;

	xa_for_each(&volume->kernel_pauses, ino, pause)
		kfree(pause);
	xa_destroy(&volume->kernel_pauses);
}
