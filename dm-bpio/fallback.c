// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads on a handle that the file system serves, as if they had been sent to
 * the file that bypass was asked for.
 */
#include <linux/percpu.h>
#include <linux/refcount.h>
#include <linux/slab.h>

#include "bypass.h"
#include "compat.h"
#include "fallback.h"
#include "file.h"
#include "handle.h"
#include "lease.h"
#include "trace.h"

/**
 * struct bpio_fallback - an asynchronous read in the hands of the file system
 * @kiocb: what the file system was given
 * @ref: one for the submitter, because file systems look at the kiocb once more
 *	after they have queued it, and one for the completion
 * @iocb: what the handle was given
 * @handle: the handle; kept alive by @iocb
 * @reason: what the read was counted for
 * @started: jiffies when the read began, if it is to be noted, else 0
 */
struct bpio_fallback {
	struct kiocb		kiocb;
	refcount_t		ref;
	struct kiocb		*iocb;
	struct bpio_handle	*handle;
	enum bpio_reason	reason;
	unsigned long		started;
};

/**
 * bpio_fallback_count() - count a read that the file system serves
 * @handle: the handle
 * @pos: offset in the file, in bytes
 * @count: bytes asked for
 * @reason: why it does not go direct
 *
 * Context: any.
 */
void bpio_fallback_count(struct bpio_handle *handle, loff_t pos, size_t count,
			 enum bpio_reason reason)
{
	this_cpu_inc(handle->stats->counters.fallback_reads);
	this_cpu_inc(handle->stats->reasons[reason]);
	trace_bpio_fallback(handle, pos, count, reason);
}

/*
 * A read that could not be served without waiting comes again, and is counted
 * then. Taken back only now, because a read that waits for its device is to be
 * seen in the counters meanwhile. A device may also refuse to be asked, see
 * bpio_direct_would_wait().
 */
static ssize_t bpio_fallback_result(struct bpio_handle *handle,
				    const struct kiocb *iocb, ssize_t ret,
				    enum bpio_reason reason)
{
	/* Of a read that is queued, @iocb may be gone. */
	if (ret != -EAGAIN && ret != -EOPNOTSUPP)
		return ret;
	if (!(iocb->ki_flags & IOCB_NOWAIT))
		return ret;
	this_cpu_dec(handle->stats->counters.fallback_reads);
	this_cpu_dec(handle->stats->reasons[reason]);
	return -EAGAIN;
}

/**
 * bpio_fallback_count_bytes() - count what such a read returned
 * @handle: the handle
 * @bytes: its result
 *
 * Context: any.
 */
void bpio_fallback_count_bytes(struct bpio_handle *handle, ssize_t bytes)
{
	if (bytes > 0)
		this_cpu_add(handle->stats->counters.fallback_bytes, bytes);
}

/* What a read that has ended tells. */
static void bpio_fallback_note(struct bpio_handle *handle,
			       unsigned long started, ssize_t ret)
{
	bpio_fallback_count_bytes(handle, ret);
	if (started && ret > 0)
		bpio_bypass_note_read(handle->file->volume, started);
}

static void bpio_fallback_prepare(struct bpio_handle *handle,
				  struct kiocb *kiocb, struct kiocb *iocb)
{
	kiocb_clone(kiocb, iocb, handle->user_file);

	/*
	 * Flags by which the caller and the file that it submits to agree about
	 * the kiocb itself do not fit the copy. O_DIRECT may have been taken off
	 * the handle or the file since.
	 */
	kiocb->ki_flags &= ~BPIO_COMPAT_IOCB_PRIVATE;
	kiocb->ki_flags |= IOCB_DIRECT;
}

static void bpio_fallback_put(struct bpio_fallback *fallback)
{
	if (refcount_dec_and_test(&fallback->ref))
		kfree(fallback);
}

static void bpio_fallback_complete(struct kiocb *kiocb, long ret)
{
	struct bpio_fallback *fallback =
		container_of(kiocb, struct bpio_fallback, kiocb);
	struct kiocb *iocb = fallback->iocb;

	bpio_fallback_note(fallback->handle, fallback->started, ret);
	ret = bpio_fallback_result(fallback->handle, iocb, ret,
				   fallback->reason);
	iocb->ki_pos = kiocb->ki_pos;
	bpio_fallback_put(fallback);

	/* May drop the last reference to the handle. */
	iocb->ki_complete(iocb, ret);
}

static ssize_t bpio_fallback_submit(struct bpio_handle *handle,
				    struct kiocb *kiocb, struct iov_iter *to)
{
	if (!(kiocb->ki_flags & IOCB_NOWAIT))
		bpio_lease_hold_off(handle->file);
	return handle->user_file->f_op->read_iter(kiocb, to);
}

static ssize_t bpio_fallback_read_async(struct bpio_handle *handle,
					struct kiocb *iocb, struct iov_iter *to,
					enum bpio_reason reason,
					unsigned long started)
{
	struct bpio_fallback *fallback = kmalloc(sizeof(*fallback), GFP_KERNEL);
	ssize_t ret;

	if (!fallback)
		return -ENOMEM;

	refcount_set(&fallback->ref, 2);
	fallback->iocb = iocb;
	fallback->handle = handle;
	fallback->reason = reason;
	fallback->started = started;
	bpio_fallback_prepare(handle, &fallback->kiocb, iocb);
	fallback->kiocb.ki_complete = bpio_fallback_complete;

	/* For a polled ring: there is no bio to poll, completion comes by itself. */
	WRITE_ONCE(iocb->private, NULL);

	ret = bpio_fallback_submit(handle, &fallback->kiocb, to);
	if (ret == -EIOCBQUEUED) {
		bpio_fallback_put(fallback);
		return ret;
	}

	/* It will not complete any more. */
	bpio_fallback_note(handle, started, ret);
	iocb->ki_pos = fallback->kiocb.ki_pos;
	kfree(fallback);

	/*
	 * A polled ring of 6.1 takes a short read that ends at once for the first
	 * part of one that it goes on with, and then forgets that part.
	 */
	if (ret >= 0 && iocb->ki_flags & IOCB_HIPRI) {
		iocb->ki_complete(iocb, ret);
		ret = -EIOCBQUEUED;
	}
	return ret;
}

/**
 * bpio_fallback_read() - let the file system serve a read on a handle
 * @handle: the handle
 * @iocb: as the handle got it
 * @to: as the handle got it
 * @reason: why it does not go direct
 *
 * The kiocb of the caller is never handed on, since it belongs to the handle's
 * struct file and may be gone as soon as it completes: the file system gets one
 * of its own.
 *
 * Context: as read_iter; rw_verify_area() was called for the user's file.
 * Return: as read_iter.
 */
ssize_t bpio_fallback_read(struct bpio_handle *handle, struct kiocb *iocb,
			   struct iov_iter *to, enum bpio_reason reason)
{
	unsigned long started = 0;
	struct kiocb kiocb;
	ssize_t ret;

	bpio_fallback_count(handle, iocb->ki_pos, iov_iter_count(to), reason);
	if (reason != BPIO_REASON_DISABLED &&
	    bpio_file_wants_arming(handle->file))
		bpio_file_kick(handle->file);
	else if (reason == BPIO_REASON_NO_MEMORY)
		bpio_bypass_update_later(handle->file->volume);
	else if (reason == BPIO_REASON_VOLUME_SUSPENDED)
		started = jiffies | 1;

	if (is_sync_kiocb(iocb)) {
		bpio_fallback_prepare(handle, &kiocb, iocb);
		ret = bpio_fallback_submit(handle, &kiocb, to);
		bpio_fallback_note(handle, started, ret);
		iocb->ki_pos = kiocb.ki_pos;
	} else {
		ret = bpio_fallback_read_async(handle, iocb, to, reason,
					       started);
	}
	return bpio_fallback_result(handle, iocb, ret, reason);
}

/**
 * bpio_fallback_read_sync() - repeat part of a direct read that failed
 * @handle: the handle
 * @pos: offset in the file, in bytes
 * @to: where the bytes go
 *
 * Context: sleeps; without i_dio_count or a route, for which the file system
 * or a suspend might wait while this waits for them.
 * Return: bytes read or a negative errno.
 */
ssize_t bpio_fallback_read_sync(struct bpio_handle *handle, loff_t pos,
				struct iov_iter *to)
{
	struct kiocb kiocb;
	ssize_t ret;

	init_sync_kiocb(&kiocb, handle->user_file);
	kiocb.ki_flags |= IOCB_DIRECT;
	kiocb.ki_pos = pos;
	ret = bpio_fallback_submit(handle, &kiocb, to);
	bpio_fallback_count_bytes(handle, ret);
	return ret;
}
