// SPDX-License-Identifier: GPL-2.0-only
/*
 * O_DIRECT reads of an enabled file that its file system serves.
 *
 * The file system gets the caller's own kiocb, as if BypassIO had never been enabled.
 * So dm-bpio need not know whether the read is synchronous or asynchronous.
 *
 * Level: read.
 */
#include <linux/percpu.h>

#include "bypass.h"
#include "fallback.h"
#include "file.h"
#include "open_file.h"
#include "trace.h"

/**
 * bpio_fallback_count() - count a read that the file system serves
 * @of: the open file
 * @pos: offset in the file, in bytes
 * @count: bytes asked for
 * @reason: why it does not go direct
 *
 * Its bytes are counted separately.
 *
 * Context: any.
 */
void bpio_fallback_count(struct bpio_open_file *of, loff_t pos, size_t count,
			 enum bpio_reason reason)
{
	atomic64_inc(&of->fallbacks[reason]);
	this_cpu_inc(of->file->volume->stats->fallback_reads);
	trace_bpio_fallback(of, pos, count, reason);
}

static void bpio_fallback_count_bytes(struct bpio_open_file *of, ssize_t bytes)
{
	atomic64_add(bytes, &of->fallback_bytes);
	this_cpu_add(of->file->volume->stats->fallback_bytes, bytes);
}

/* Count the read and its bytes; inline, to keep a fall-back cheap. */
static __always_inline void bpio_fallback_count_all(struct bpio_open_file *of,
						    struct bpio_file *file,
						    size_t bytes,
						    enum bpio_reason reason)
{
	struct bpio_counters __percpu *stats = file->volume->stats;

	atomic64_inc(&of->fallbacks[reason]);
	this_cpu_inc(stats->fallback_reads);
	atomic64_add(bytes, &of->fallback_bytes);
	this_cpu_add(stats->fallback_bytes, bytes);
}

/*
 * Correct the count of a read that did not return @bytes. A read that failed because it
 * would have to wait (-EAGAIN) is retried, and counted then.
 */
static noinline ssize_t bpio_fallback_correct(struct bpio_open_file *of,
					      const struct kiocb *iocb,
					      enum bpio_reason reason,
					      size_t bytes, ssize_t ret)
{
	if (ret == -EIOCBQUEUED)
		return ret;
	bpio_fallback_count_bytes(of, max_t(ssize_t, ret, 0) - (ssize_t)bytes);
	if (ret == -EAGAIN && iocb->ki_flags & IOCB_NOWAIT) {
		atomic64_dec(&of->fallbacks[reason]);
		this_cpu_dec(of->file->volume->stats->fallback_reads);
	}
	return ret;
}

/* Start the work that removes the reason, so that later reads go direct. */
static void bpio_fallback_kick(struct bpio_file *file, const struct kiocb *iocb,
			       const struct iov_iter *to,
			       enum bpio_reason reason)
{
	if (reason != BPIO_REASON_DISABLED && bpio_file_wants_arming(file))
		bpio_file_kick(file);
	else if (reason == BPIO_REASON_NOT_ARMED)
		bpio_file_want(file, iocb->ki_pos, iov_iter_count(to));
	else if (reason == BPIO_REASON_NO_MEMORY &&
		 !rcu_access_pointer(file->volume->route))
		bpio_bypass_update_later(file->volume);
}

/**
 * bpio_fallback_read() - have the file system serve a read
 * @of: the open file
 * @iocb: the caller's
 * @to: the caller's
 * @reason: why it does not go direct
 *
 * A read behind the end of the file is not counted.
 *
 * Other reads are counted before they are served, so that a read which waits shows in
 * the counters. Once the file system has queued a read, it may complete at any moment
 * and drop the last reference to the open file. So the bytes are counted before the
 * call too, as the length of the read up to the end of the file, and corrected
 * afterwards unless the file system has queued the read.
 *
 * Context: as read_iter; neither i_dio_count nor a route is held.
 * Return: as read_iter.
 */
ssize_t bpio_fallback_read(struct bpio_open_file *of, struct kiocb *iocb,
			   struct iov_iter *to, enum bpio_reason reason)
{
	struct bpio_file *file = of->file;
	loff_t size = i_size_read(file->inode);
	size_t bytes;
	ssize_t ret;

	/*
	 * Do not poll below the file system: when device-mapper splits a polled bio,
	 * the clone of the second part has a flag on which a mapped device below
	 * crashes. Without polling, the read completes by interrupt.
	 */
	iocb->ki_flags &= ~IOCB_HIPRI;

	/* Programs read until the end of the file; nothing can be bypassed there. */
	if (unlikely(iocb->ki_pos >= size))
		return of->orig->read_iter(iocb, to);

	bytes = min_t(u64, iov_iter_count(to), size - iocb->ki_pos);
	bpio_fallback_count_all(of, file, bytes, reason);
	if (trace_bpio_fallback_enabled())
		trace_bpio_fallback(of, iocb->ki_pos, iov_iter_count(to), reason);
	bpio_fallback_kick(file, iocb, to, reason);

	ret = of->orig->read_iter(iocb, to);
	if (likely(ret == bytes))
		return ret;
	return bpio_fallback_correct(of, iocb, reason, bytes, ret);
}

/**
 * bpio_fallback_read_sync() - repeat part of a direct read that failed
 * @of: the open file
 * @pos: offset in the file, in bytes
 * @to: the buffer
 *
 * Context: sleeps; the caller holds neither i_dio_count nor a route. The file system or
 * a suspend might wait for these, while this waits for them.
 * Return: bytes read or a negative errno.
 */
ssize_t bpio_fallback_read_sync(struct bpio_open_file *of, loff_t pos,
				struct iov_iter *to)
{
	struct kiocb kiocb;
	ssize_t ret;

	init_sync_kiocb(&kiocb, of->filp);
	kiocb.ki_flags |= IOCB_DIRECT;
	kiocb.ki_pos = pos;
	ret = of->orig->read_iter(&kiocb, to);
	if (ret > 0)
		bpio_fallback_count_bytes(of, ret);
	return ret;
}
