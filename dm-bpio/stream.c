// SPDX-License-Identifier: GPL-2.0-only
/*
 * Operations on a file (a stream, in the words of the protocol), which hold for
 * everybody who has enabled it.
 */
#include <linux/fs.h>

#include "bypass.h"
#include "event.h"
#include "file.h"
#include "reason.h"
#include "stack.h"
#include "stream.h"
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

/**
 * bpio_stream_pause() - pause a file for everybody who has enabled it
 * @volume: the volume
 * @inode: the file
 *
 * Follows FS_BPIO_OP_STREAM_PAUSE: ignored when not enabled.
 *
 * Context: sleeps until direct reads in flight have ended; no lock held.
 * Return: 0, or -EINTR when the task was killed meanwhile; the file is paused all
 * the same.
 */
int bpio_stream_pause(struct bpio_volume *volume, struct inode *inode)
{
	struct bpio_file *file;
	unsigned long ticket = 0;
	unsigned int noio;

	noio = bpio_bypass_lock(volume);
	file = bpio_stream_find(volume, inode);
	if (file) {
		set_bit(BPIO_FILE_PAUSED, &file->state);
		/* Each read that the drain does not wait for sees the bit. */
		ticket = bpio_bypass_drain_locked(volume);
		bpio_event_file("pause", volume->dev, inode->i_ino,
				BPIO_REASON_STREAM_PAUSED);
	}
	bpio_bypass_unlock(volume, noio);

	return file ? bpio_bypass_wait(volume, ticket) : 0;
}

/*
 * Query the layers about a file again. Return: whether one has begun to object,
 * in which case reads that it wants to see may be in flight.
 */
static bool bpio_stream_query(struct bpio_volume *volume, struct bpio_file *file,
			      struct bpio_results *results)
{
	lockdep_assert_held(&volume->drain_lock);

	if (!bpio_stack_query_file(volume, file->inode, FS_BPIO_OP_QUERY,
				   results))
		return !test_and_set_bit(BPIO_FILE_VETOED, &file->state);

	clear_bit_unlock(BPIO_FILE_VETOED, &file->state);
	return false;
}

/**
 * bpio_stream_query_all() - query the layers about all enabled files again
 * @volume: the volume; its target is live
 *
 * Files that are vetoed now are not read direct any more.
 *
 * Context: may sleep; volume->drain_lock held, which keeps files from going.
 * Return: whether the caller has to wait for reads in flight.
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

/**
 * bpio_stream_resume() - end bpio_stream_pause()
 * @volume: the volume; without a live target the file stays paused
 * @inode: the file
 * @results: a veto of a layer, which then keeps the file from being bypassed
 *
 * Follows FS_BPIO_OP_STREAM_RESUME: not counted, the layers are queried again,
 * ignored when not paused.
 *
 * Context: may sleep.
 * Return: whether nobody vetoed.
 */
bool bpio_stream_resume(struct bpio_volume *volume, struct inode *inode,
			struct bpio_results *results)
{
	struct bpio_file *file;
	bool agreed = true;
	unsigned int noio;

	noio = bpio_bypass_lock(volume);
	file = bpio_stream_find(volume, inode);
	if (file && !volume->target) {
		bpio_reason_fill(results, -EAGAIN, "bpio",
				 BPIO_REASON_VOLUME_SUSPENDED, NULL);
		agreed = false;
	} else if (file && test_bit(BPIO_FILE_PAUSED, &file->state)) {
		bpio_stream_query(volume, file, results);
		agreed = !test_bit(BPIO_FILE_VETOED, &file->state);
		clear_bit_unlock(BPIO_FILE_PAUSED, &file->state);
		bpio_event_file("resume", volume->dev, inode->i_ino,
				agreed ? BPIO_REASON_NONE :
					 BPIO_REASON_FILE_VETO);
	}
	bpio_bypass_unlock(volume, noio);
	return agreed;
}

/**
 * bpio_stream_open_count() - open files of an inode with BypassIO enabled
 * @volume: the volume
 * @inode: the file
 * @paused: whether the file is paused, out
 *
 * Context: may sleep.
 */
unsigned int bpio_stream_open_count(struct bpio_volume *volume,
				    struct inode *inode, bool *paused)
{
	struct bpio_file *file;
	unsigned int count;
	unsigned int noio;

	noio = bpio_bypass_lock(volume);
	file = bpio_stream_find(volume, inode);
	count = file ? file->enabled : 0;
	*paused = file && test_bit(BPIO_FILE_PAUSED, &file->state);
	bpio_bypass_unlock(volume, noio);
	return count;
}
