// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files that kernel code has paused. They are kept by volume and inode number, whether
 * or not the file is open.
 *
 * Neither user space nor the last close ends such a pause: a struct bpio_file that is
 * created for the inode later starts paused. The pause ends
 *
 * - when it was resumed as often as it was paused. Unlike STREAM_PAUSE it is counted:
 *   two independent drivers may pause the same file, and the resume of one must not
 *   end the pause while the other still moves blocks.
 * - with the inode. When an inode number is reused, the new inode has another
 *   generation, which ext4 and XFS choose at random; a lookup of the number then drops
 *   the old pause. (Only on an ext4 without metadata checksums can the owner of a file
 *   set its generation.) Pauses of an earlier file system on the device end likewise.
 * - with the volume, that is, when the mapped device has neither a bpio target nor an
 *   enabled file any more. A new volume on the same device may hold other files.
 *
 * Pauses of deleted files remain until then, so their number is limited.
 *
 * Level: volume.
 */
#include <linux/fs.h>
#include <linux/slab.h>

#include "kernel_pause.h"
#include "volume.h"

/* Maximum number of paused files of a volume. */
#define BPIO_KERNEL_PAUSE_MAX	1024

/**
 * struct bpio_kernel_pause - an inode that kernel code has paused
 * @generation: i_generation of the inode
 * @count: pauses minus resumes
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

/* Find the pause of an inode; drop one of a former inode with the same number. */
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
 * bpio_kernel_pause_add() - pause an inode, counted
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
 * bpio_kernel_pause_drop() - undo one bpio_kernel_pause_add()
 * @volume: the volume
 * @inode: the inode
 *
 * Context: may sleep; volume->drain_lock held.
 * Return: whether this ended the pause.
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
 * bpio_kernel_pause_forget_all() - drop all pauses of a volume
 * @volume: the volume, which is about to be freed
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
