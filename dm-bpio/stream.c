// SPDX-License-Identifier: GPL-2.0-only
/*
 * Operations on a file ("stream" in the protocol). They apply to all its open files
 * with BypassIO.
 *
 * Level: bypass.
 */
#include <linux/fs.h>

#include "bypass.h"
#include "event.h"
#include "file.h"
#include "kernel_pause.h"
#include "reason.h"
#include "stack.h"
#include "stream.h"
#include "view.h"
#include "volume.h"

static struct bpio_file *bpio_stream_find(struct bpio_volume *volume,
					  struct inode *inode)
{
	struct bpio_file *file;

	lockdep_assert_held(&volume->drain_lock);

	mutex_lock(&volume->lock);
	file = bpio_volume_find_file(volume, inode);
	mutex_unlock(&volume->lock);
	return file;
}

/* Return: the ticket to wait for. */
static unsigned long bpio_stream_set(struct bpio_volume *volume,
				     struct inode *inode,
				     enum bpio_file_state bit,
				     enum bpio_reason reason)
{
	struct bpio_file *file = bpio_stream_find(volume, inode);

	if (!file)
		return volume->drain.ended;

	if (!test_and_set_bit(bit, &file->state))
		bpio_event_file(BPIO_EVENT_PAUSE, volume->dev, inode->i_ino,
				reason);
	/* Every read that the drain does not wait for sees the bit. */
	return bpio_bypass_drain_locked(volume);
}

/**
 * bpio_stream_pause() - pause a file for all its open files
 * @volume: the volume
 * @inode: the file
 *
 * Implements FS_BPIO_OP_STREAM_PAUSE: ignored when not enabled.
 *
 * Context: sleeps until direct reads in flight have ended; no lock held.
 * Return: 0, or -EINTR when the task was killed meanwhile; the file is paused all
 * the same.
 */
int bpio_stream_pause(struct bpio_volume *volume, struct inode *inode)
{
	unsigned long ticket;
	unsigned int noio;

	noio = bpio_bypass_lock(volume);
	ticket = bpio_stream_set(volume, inode, BPIO_FILE_PAUSED,
				 BPIO_REASON_STREAM_PAUSED);
	bpio_bypass_unlock(volume, noio);

	return bpio_bypass_wait(volume, ticket);
}

/**
 * bpio_stream_pause_by_kernel() - pause a file on behalf of kernel code
 * @volume: the volume
 * @inode: the file, enabled or not
 *
 * Neither user space nor the last close ends this pause, see kernel_pause.c.
 *
 * Context: as bpio_stream_pause().
 * Return: as bpio_stream_pause(), or -ENOSPC or -ENOMEM.
 */
int bpio_stream_pause_by_kernel(struct bpio_volume *volume, struct inode *inode)
{
	unsigned long ticket = 0;
	unsigned int noio;
	int ret;

	noio = bpio_bypass_lock(volume);
	ret = bpio_kernel_pause_add(volume, inode);
	if (!ret)
		ticket = bpio_stream_set(volume, inode, BPIO_FILE_KERNEL_PAUSED,
					 BPIO_REASON_KERNEL_PAUSED);
	bpio_bypass_unlock(volume, noio);

	return ret ?: bpio_bypass_wait(volume, ticket);
}

/*
 * Query the layers about a file again. Return: whether one has begun to object. Reads
 * that skip it may then still be in flight.
 */
static bool bpio_stream_query(struct bpio_volume *volume, struct bpio_file *file,
			      struct bpio_results *results)
{
	unsigned long ino = file->inode->i_ino;
	struct bpio_view view = {};

	lockdep_assert_held(&volume->drain_lock);

	if (bpio_stack_view_file(volume, file->inode, FS_BPIO_OP_QUERY, &view)) {
		if (!test_bit(BPIO_FILE_VETOED, &file->state))
			return false;
		clear_bit_unlock(BPIO_FILE_VETOED, &file->state);
		bpio_event_file(BPIO_EVENT_ALLOW, volume->dev, ino,
				BPIO_REASON_NONE);
		return false;
	}
	*results = view.results;
	if (test_and_set_bit(BPIO_FILE_VETOED, &file->state))
		return false;
	bpio_event_veto(BPIO_EVENT_VETO, volume->dev, ino, view.objector,
			&view.results);
	return true;
}

/**
 * bpio_stream_query_all() - query the layers about all enabled files again
 * @volume: the volume; its target is live
 *
 * Reads of files that are now vetoed no longer go direct.
 *
 * Context: may sleep; volume->drain_lock held, so that no file is freed.
 * Return: whether the caller must wait for reads in flight.
 */
bool bpio_stream_query_all(struct bpio_volume *volume)
{
	struct bpio_results ignored;
	struct bpio_file *file;
	bool vetoed = false;
	unsigned long ino;

	lockdep_assert_held(&volume->drain_lock);

	xa_for_each(&volume->files, ino, file)
		vetoed |= bpio_stream_query(volume, file, &ignored);
	return vetoed;
}

/* Return: whether no layer vetoes. */
static bool bpio_stream_clear(struct bpio_volume *volume, struct bpio_file *file,
			      enum bpio_file_state bit,
			      struct bpio_results *results)
{
	bool agreed;

	lockdep_assert_held(&volume->drain_lock);

	bpio_stream_query(volume, file, results);
	agreed = !test_bit(BPIO_FILE_VETOED, &file->state);
	clear_bit_unlock(bit, &file->state);
	bpio_event_file(BPIO_EVENT_RESUME, volume->dev, file->inode->i_ino,
			agreed ? BPIO_REASON_NONE : BPIO_REASON_FILE_VETO);
	return agreed;
}

/**
 * bpio_stream_resume() - end bpio_stream_pause()
 * @volume: the volume; without a live table the file stays paused
 * @inode: the file
 * @results: a veto of a layer, which then keeps the file from being bypassed
 *
 * Implements FS_BPIO_OP_STREAM_RESUME: ends the pause however often it was set,
 * queries the layers again, ignored when not paused.
 *
 * Context: may sleep.
 * Return: whether no layer vetoed.
 */
bool bpio_stream_resume(struct bpio_volume *volume, struct inode *inode,
			struct bpio_results *results)
{
	struct bpio_file *file;
	bool agreed = true;
	unsigned int noio;

	noio = bpio_bypass_lock(volume);
	file = bpio_stream_find(volume, inode);
	if (file && !volume->table) {
		bpio_reason_fill(results, -EAGAIN, "bpio",
				 BPIO_REASON_VOLUME_SUSPENDED, NULL);
		agreed = false;
	} else if (file && test_bit(BPIO_FILE_PAUSED, &file->state)) {
		agreed = bpio_stream_clear(volume, file, BPIO_FILE_PAUSED,
					   results);
	}
	bpio_bypass_unlock(volume, noio);
	return agreed;
}

/**
 * bpio_stream_resume_by_kernel() - end bpio_stream_pause_by_kernel()
 * @volume: the volume
 * @inode: the file
 * @results: a veto of a layer, which then keeps the file from being bypassed
 *
 * While the volume is suspended the layers cannot be queried. They are queried about
 * all files after the resume, before reads go direct.
 *
 * Context: may sleep.
 * Return: whether no layer vetoed.
 */
bool bpio_stream_resume_by_kernel(struct bpio_volume *volume,
				  struct inode *inode,
				  struct bpio_results *results)
{
	struct bpio_file *file;
	bool agreed = true;
	unsigned int noio;

	noio = bpio_bypass_lock(volume);
	if (bpio_kernel_pause_drop(volume, inode)) {
		file = bpio_stream_find(volume, inode);
		if (file && volume->table)
			agreed = bpio_stream_clear(volume, file,
						   BPIO_FILE_KERNEL_PAUSED,
						   results);
		else if (file)
			clear_bit_unlock(BPIO_FILE_KERNEL_PAUSED, &file->state);
	}
	bpio_bypass_unlock(volume, noio);
	return agreed;
}

/**
 * bpio_stream_open_count() - number of open files of an inode with BypassIO enabled
 * @volume: the volume
 * @inode: the file
 *
 * Context: may sleep.
 */
unsigned int bpio_stream_open_count(struct bpio_volume *volume,
				    struct inode *inode)
{
	struct bpio_file *file;
	unsigned int count = 0;

	mutex_lock(&volume->lock);
	file = bpio_volume_find_file(volume, inode);
	if (file)
		count = file->enabled;
	mutex_unlock(&volume->lock);
	return count;
}

/**
 * bpio_stream_flags() - FS_BPIO_OUTFL_* that describe a file
 * @volume: the volume
 * @inode: the file
 *
 * Context: may sleep.
 */
u32 bpio_stream_flags(struct bpio_volume *volume, struct inode *inode)
{
	struct bpio_file *file;
	unsigned int noio;
	u32 flags = 0;

	noio = bpio_bypass_lock(volume);
	file = bpio_stream_find(volume, inode);
	if (file && test_bit(BPIO_FILE_PAUSED, &file->state))
		flags |= FS_BPIO_OUTFL_STREAM_BYPASS_PAUSED;
	if (bpio_kernel_pause_holds(volume, inode))
		flags |= FS_BPIO_OUTFL_STREAM_BYPASS_PAUSED |
			 FS_BPIO_OUTFL_STREAM_KERNEL_PAUSED;
	bpio_bypass_unlock(volume, noio);
	return flags;
}

static enum bpio_reason bpio_stream_dirty(const struct inode *inode)
{
	return mapping_tagged(inode->i_mapping, PAGECACHE_TAG_DIRTY) ||
	       mapping_tagged(inode->i_mapping, PAGECACHE_TAG_WRITEBACK) ?
	       BPIO_REASON_DIRTY_PAGES : BPIO_REASON_NONE;
}

/**
 * bpio_stream_obstacle() - what keeps reads of a file from going direct now
 * @volume: the volume
 * @inode: the file
 *
 * Applies to all open files with BypassIO. If there are none, this is what would keep
 * the file from being armed.
 *
 * Context: may sleep.
 * Return: the reason, BPIO_REASON_NONE when no obstacle is known.
 */
enum bpio_reason bpio_stream_obstacle(struct bpio_volume *volume,
				      struct inode *inode)
{
	enum bpio_reason reason = BPIO_REASON_NONE;
	struct bpio_file *file;

	mutex_lock(&volume->lock);
	file = bpio_volume_find_file(volume, inode);
	if (file && file->enabled)
		reason = bpio_file_reason(file, READ_ONCE(file->state)) ?:
			 bpio_stream_dirty(inode);
	else if (inode_is_open_for_write(inode))
		reason = BPIO_REASON_WRITER;
	if (!reason && volume->active && !rcu_access_pointer(volume->route))
		reason = READ_ONCE(volume->no_route);
	mutex_unlock(&volume->lock);
	return reason;
}
