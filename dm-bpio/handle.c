// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bypass handles: BypassIO of one open file, from ENABLE to the last close.
 */
#include <linux/file.h>
#include <linux/slab.h>

#include "bypass.h"
#include "descriptor.h"
#include "event.h"
#include "file.h"
#include "handle.h"
#include "reason.h"
#include "stack.h"
#include "trace.h"

/**
 * bpio_handle_count() - add the reads of a handle to a sum
 * @handle: the handle
 * @sum: the sum
 *
 * Context: any; @handle is kept alive by volume->lock or a descriptor.
 */
void bpio_handle_count(struct bpio_handle *handle, struct bpio_counters *sum)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		struct bpio_counters *counters =
			&per_cpu_ptr(handle->stats, cpu)->counters;

		sum->direct_reads += READ_ONCE(counters->direct_reads);
		sum->direct_bytes += READ_ONCE(counters->direct_bytes);
		sum->fallback_reads += READ_ONCE(counters->fallback_reads);
		sum->fallback_bytes += READ_ONCE(counters->fallback_bytes);
	}
}

static struct bpio_handle *bpio_handle_create(struct bpio_file *file,
					      struct file *user_file)
{
	struct bpio_handle *handle = kzalloc(sizeof(*handle), GFP_KERNEL);

	lockdep_assert_held(&file->volume->lock);

	if (!handle)
		return NULL;

	handle->accessed_at = jiffies - 1;
	handle->stats = alloc_percpu(struct bpio_handle_stats);
	if (!handle->stats) {
		kfree(handle);
		return NULL;
	}
	handle->file = file;
	handle->user_file = get_file(user_file);
	list_add_tail(&handle->node, &file->handles);
	WRITE_ONCE(file->enabled, file->enabled + 1);
	file->volume->active++;
	trace_bpio_enable(handle);
	return handle;
}

/* Return: whether it was enabled. */
static bool bpio_handle_set_disabled(struct bpio_handle *handle)
{
	struct bpio_file *file = handle->file;

	lockdep_assert_held(&file->volume->lock);

	if (handle->disabled)
		return false;

	WRITE_ONCE(handle->disabled, true);
	WRITE_ONCE(file->enabled, file->enabled - 1);
	file->volume->active--;
	trace_bpio_disable(handle);
	return true;
}

/* Tell the stack that a handle is not enabled any more. */
static void bpio_handle_tell_disabled(struct bpio_volume *volume,
				      struct inode *inode)
{
	struct bpio_results ignored;

	lockdep_assert_held(&volume->drain_lock);

	/* Without a live target there is no stack; its layers start afresh. */
	if (volume->target)
		bpio_stack_query_file(volume, inode, FS_BPIO_OP_DISABLE,
				      &ignored);
	bpio_bypass_update_locked(volume);
}

/* The last descriptor of a handle is gone. Return: whether the file is, too. */
static bool bpio_handle_close(struct bpio_handle *handle)
{
	struct bpio_file *file = handle->file;
	struct bpio_volume *volume = file->volume;
	bool was_enabled, last_of_file;

	lockdep_assert_held(&volume->drain_lock);

	mutex_lock(&volume->lock);
	was_enabled = bpio_handle_set_disabled(handle);
	bpio_handle_count(handle, &volume->closed);
	list_del(&handle->node);
	last_of_file = list_empty(&file->handles);
	if (last_of_file)
		bpio_volume_forget(volume, file);
	else
		bpio_file_handle_closed(file);
	mutex_unlock(&volume->lock);

	if (was_enabled)
		bpio_handle_tell_disabled(volume, file_inode(handle->user_file));
	return last_of_file;
}

/**
 * bpio_handle_put() - drop a descriptor
 * @handle: the handle
 *
 * The last one of a handle takes the handle along, the last handle of a file
 * takes the file along.
 *
 * Context: sleeps, as bpio_file_destroy() does.
 */
void bpio_handle_put(struct bpio_handle *handle)
{
	struct bpio_file *file = handle->file;
	struct bpio_volume *volume = file->volume;
	bool last_of_file;
	unsigned int noio;

	noio = bpio_bypass_lock(volume);
	if (--handle->descriptors) {
		bpio_bypass_unlock(volume, noio);
		return;
	}
	bpio_volume_hold(volume);
	last_of_file = bpio_handle_close(handle);
	bpio_bypass_unlock(volume, noio);
	bpio_volume_put(volume);

	if (last_of_file)
		bpio_file_destroy(file);

	/* Pinned the inode that bpio_file_destroy() still needed. */
	fput(handle->user_file);
	free_percpu(handle->stats);
	kfree(handle);
}

static struct bpio_handle *bpio_handle_find(struct bpio_file *file,
					    const struct file *user_file)
{
	struct bpio_handle *handle;

	lockdep_assert_held(&file->volume->lock);

	list_for_each_entry(handle, &file->handles, node)
		if (handle->user_file == user_file && !handle->disabled)
			return handle;
	return NULL;
}

static struct bpio_handle *bpio_handle_find_enabled(struct bpio_volume *volume,
						    struct file *user_file)
{
	struct bpio_handle *handle = NULL;
	struct bpio_file *file;

	mutex_lock(&volume->lock);
	file = bpio_volume_find_file(volume, file_inode(user_file));
	if (file)
		handle = bpio_handle_find(file, user_file);
	mutex_unlock(&volume->lock);
	return handle;
}

static struct bpio_handle *bpio_handle_add(struct bpio_volume *volume,
					   struct file *user_file)
{
	struct bpio_handle *handle = NULL;
	struct bpio_file *file;

	mutex_lock(&volume->lock);
	file = bpio_volume_find_or_create_file(volume, file_inode(user_file));
	if (file) {
		handle = bpio_handle_create(file, user_file);
		if (!handle && list_empty(&file->handles)) {
			bpio_volume_forget(volume, file);
			bpio_file_free(file);
		}
	}
	mutex_unlock(&volume->lock);
	return handle;
}

/* Ask the layers, then count the file, then see to the route. */
static struct bpio_handle *bpio_handle_begin(struct bpio_volume *volume,
					     struct file *user_file,
					     struct bpio_results *veto)
{
	struct bpio_handle *handle;

	lockdep_assert_held(&volume->drain_lock);

	if (!bpio_stack_query_file(volume, file_inode(user_file),
				   FS_BPIO_OP_ENABLE, veto))
		return ERR_PTR(-EOPNOTSUPP);

	handle = bpio_handle_add(volume, user_file);
	if (!handle) {
		bpio_handle_tell_disabled(volume, file_inode(user_file));
		return ERR_PTR(-ENOMEM);
	}
	bpio_bypass_update_locked(volume);
	bpio_file_kick(handle->file);
	return handle;
}

/**
 * bpio_handle_enable() - enable BypassIO for an open file
 * @volume: the volume the file lies on; its target is live
 * @user_file: the open file, found fit by the caller
 * @out: support and verdict are written
 *
 * Follows FS_BPIO_OP_ENABLE: once per open file; again for the same one only
 * makes another descriptor.
 *
 * Context: may sleep, does no file-system I/O: arming is left to the worker.
 * Return: a struct file for the caller to install or put, NULL when a layer
 * vetoed the file, or an ERR_PTR.
 */
struct file *bpio_handle_enable(struct bpio_volume *volume,
				struct file *user_file,
				struct fs_bpio_output *out)
{
	struct bpio_handle *handle;
	struct file *filp;
	unsigned int noio;

	noio = bpio_bypass_lock(volume);
	handle = bpio_handle_find_enabled(volume, user_file);
	if (!handle)
		handle = bpio_handle_begin(volume, user_file, &out->enable);
	if (IS_ERR(handle)) {
		bpio_bypass_unlock(volume, noio);
		return PTR_ERR(handle) == -EOPNOTSUPP ? NULL : ERR_CAST(handle);
	}

	handle->descriptors++;
	out->support = bpio_bypass_verdict(volume, &out->enable);
	filp = bpio_descriptor_open(handle);
	bpio_bypass_unlock(volume, noio);

	if (IS_ERR(filp))
		bpio_handle_put(handle);
	return filp;
}

/* The handle that a descriptor means: itself, or that of an enabled file. */
static struct bpio_handle *bpio_handle_resolve(struct bpio_volume *volume,
					       struct file *file)
{
	struct bpio_handle *handle = bpio_descriptor_handle(file);

	lockdep_assert_held(&volume->drain_lock);

	if (handle)
		return handle->file->volume == volume ? handle : NULL;
	return bpio_handle_find_enabled(volume, file);
}

/**
 * bpio_handle_disable() - disable BypassIO for an open file
 * @volume: the volume
 * @file: the file bypass was enabled for, or a handle
 *
 * Follows FS_BPIO_OP_DISABLE: never fails, ignored when not enabled. Direct
 * reads have drained when it returns.
 *
 * Context: sleeps until direct reads in flight have ended.
 */
void bpio_handle_disable(struct bpio_volume *volume, struct file *file)
{
	struct bpio_handle *handle;
	bool was_enabled = false;
	unsigned int noio;

	noio = bpio_bypass_lock(volume);
	handle = bpio_handle_resolve(volume, file);
	if (handle) {
		mutex_lock(&volume->lock);
		was_enabled = bpio_handle_set_disabled(handle);
		mutex_unlock(&volume->lock);
	}
	if (was_enabled) {
		bpio_bypass_drain_locked(volume);
		bpio_handle_tell_disabled(volume, handle->file->inode);
		bpio_file_kick(handle->file);
	}
	bpio_bypass_unlock(volume, noio);
}

static struct bpio_file *bpio_handle_find_file(struct bpio_volume *volume,
					       struct file *file)
{
	struct bpio_handle *handle = bpio_descriptor_handle(file);
	struct bpio_file *found;

	lockdep_assert_held(&volume->drain_lock);

	if (handle)
		return handle->file->volume == volume ? handle->file : NULL;

	mutex_lock(&volume->lock);
	found = bpio_volume_find_file(volume, file_inode(file));
	mutex_unlock(&volume->lock);
	return found;
}

/**
 * bpio_handle_is_on() - whether a descriptor is a handle of a volume
 * @volume: the volume
 * @file: any open file
 *
 * Context: any.
 */
bool bpio_handle_is_on(const struct bpio_volume *volume, struct file *file)
{
	const struct bpio_handle *handle = bpio_descriptor_handle(file);

	return handle && handle->file->volume == volume;
}

/**
 * bpio_handle_pause_file() - pause all handles of a file
 * @volume: the volume
 * @file: any open file of the inode, or a handle
 *
 * Follows FS_BPIO_OP_STREAM_PAUSE: ignored when not enabled.
 *
 * Context: sleeps until direct reads in flight have ended.
 */
void bpio_handle_pause_file(struct bpio_volume *volume, struct file *file)
{
	struct bpio_file *found;
	unsigned int noio;

	noio = bpio_bypass_lock(volume);
	found = bpio_handle_find_file(volume, file);
	if (found) {
		set_bit(BPIO_FILE_PAUSED, &found->state);
		/* Each read that starts after the drain sees the bit. */
		bpio_bypass_drain_locked(volume);
		bpio_event_file("pause", volume->dev, found->inode->i_ino,
				BPIO_REASON_STREAM_PAUSED);
	}
	bpio_bypass_unlock(volume, noio);
}

/*
 * Ask the layers about a file again. Return: whether one has begun to object, so
 * that reads may be in flight which it wants to see.
 */
static bool bpio_handle_requery(struct bpio_volume *volume,
				struct bpio_file *file,
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
 * bpio_handle_requery_all() - ask the layers about all enabled files again
 * @volume: the volume; its target is live
 *
 * Files that are vetoed now are not read direct any more.
 *
 * Context: may sleep; volume->drain_lock held, which keeps files from going.
 * Return: whether reads in flight are for the caller to wait for.
 */
bool bpio_handle_requery_all(struct bpio_volume *volume)
{
	struct bpio_results ignored;
	struct bpio_file *file;
	bool vetoed = false;
	unsigned long ino;

	lockdep_assert_held(&volume->drain_lock);

	xa_for_each(&volume->files, ino, file)
		vetoed |= bpio_handle_requery(volume, file, &ignored);
	return vetoed;
}

/**
 * bpio_handle_resume_file() - end bpio_handle_pause_file()
 * @volume: the volume; without a live target the file stays paused
 * @file: any open file of the inode, or a handle
 * @results: a veto of a layer, which then keeps the file from being bypassed
 *
 * Follows FS_BPIO_OP_STREAM_RESUME: not counted, the layers are asked again,
 * ignored when not paused.
 *
 * Context: may sleep.
 * Return: whether nobody vetoed.
 */
bool bpio_handle_resume_file(struct bpio_volume *volume, struct file *file,
			     struct bpio_results *results)
{
	struct bpio_file *found;
	bool agreed = true;
	unsigned int noio;

	noio = bpio_bypass_lock(volume);
	found = bpio_handle_find_file(volume, file);
	if (found && !volume->target) {
		bpio_reason_fill(results, -EAGAIN, "bpio",
				 BPIO_REASON_VOLUME_SUSPENDED, NULL);
		agreed = false;
	} else if (found && test_bit(BPIO_FILE_PAUSED, &found->state)) {
		bpio_handle_requery(volume, found, results);
		agreed = !test_bit(BPIO_FILE_VETOED, &found->state);
		clear_bit_unlock(BPIO_FILE_PAUSED, &found->state);
		bpio_event_file("resume", volume->dev, found->inode->i_ino,
				agreed ? BPIO_REASON_NONE :
					 BPIO_REASON_FILE_VETO);
	}
	bpio_bypass_unlock(volume, noio);
	return agreed;
}

/**
 * bpio_handle_open_count() - open files of an inode with BypassIO enabled
 * @volume: the volume
 * @file: any open file of the inode, or a handle
 * @paused: whether the file is paused, out
 *
 * Context: may sleep.
 */
unsigned int bpio_handle_open_count(struct bpio_volume *volume,
				    struct file *file, bool *paused)
{
	struct bpio_file *found;
	unsigned int count;
	unsigned int noio;

	noio = bpio_bypass_lock(volume);
	found = bpio_handle_find_file(volume, file);
	count = found ? found->enabled : 0;
	*paused = found && test_bit(BPIO_FILE_PAUSED, &found->state);
	bpio_bypass_unlock(volume, noio);
	return count;
}
