// SPDX-License-Identifier: GPL-2.0-only
/*
 * O_DIRECT reads of an enabled file that its file system serves.
 *
 * The file system gets the caller's own kiocb, as if BypassIO had never been
 * enabled: whether the read is synchronous, polled, or completes later is
 * between it and the caller.
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
 * Context: any.
 */
void bpio_fallback_count(struct bpio_open_file *of, loff_t pos, size_t count,
			 enum bpio_reason reason)
{
	atomic64_inc(&of->fallbacks[reason]);
	this_cpu_inc(of->file->volume->stats->fallback_reads);
	trace_bpio_fallback(of, pos, count, reason);
}

/* The read comes again, and is counted then. */
static void bpio_fallback_uncount(struct bpio_open_file *of,
				  enum bpio_reason reason)
{
	atomic64_dec(&of->fallbacks[reason]);
	this_cpu_dec(of->file->volume->stats->fallback_reads);
}

static void bpio_fallback_count_bytes(struct bpio_open_file *of, ssize_t bytes)
{
	atomic64_add(bytes, &of->fallback_bytes);
	this_cpu_add(of->file->volume->stats->fallback_bytes, bytes);
}

static void bpio_fallback_count_result(struct bpio_open_file *of, ssize_t ret)
{
	if (ret > 0)
		bpio_fallback_count_bytes(of, ret);
}

/* Bytes of a range that lie before the end of the file. */
static size_t bpio_fallback_within(const struct bpio_open_file *of, loff_t pos,
				   size_t count)
{
	loff_t size = i_size_read(of->file->inode);

	return pos < size ? min_t(u64, count, size - pos) : 0;
}

/* What has to be done about the reason, so that later reads go direct. */
static void bpio_fallback_kick(struct bpio_open_file *of, loff_t pos,
			       size_t count, enum bpio_reason reason)
{
	struct bpio_volume *volume = of->file->volume;

	if (reason != BPIO_REASON_DISABLED && bpio_file_wants_arming(of->file))
		bpio_file_kick(of->file);
	else if (reason == BPIO_REASON_NOT_ARMED)
		bpio_file_want(of->file, pos, count);
	else if (reason == BPIO_REASON_NO_MEMORY &&
		 !rcu_access_pointer(volume->route))
		bpio_bypass_update_later(volume);
}

/*
 * Once the file system has queued it, the read may complete at any moment and
 * take the last reference to the open file along. So its bytes are counted
 * beforehand, and corrected only when it was not queued.
 */
static ssize_t bpio_fallback_read_async(struct bpio_open_file *of,
					struct kiocb *iocb, struct iov_iter *to)
{
	size_t bytes = bpio_fallback_within(of, iocb->ki_pos, iov_iter_count(to));
	ssize_t ret;

	bpio_fallback_count_bytes(of, bytes);
	ret = of->orig->read_iter(iocb, to);
	if (ret == -EIOCBQUEUED)
		return ret;

	bpio_fallback_count_bytes(of, max_t(ssize_t, ret, 0) - bytes);
	return ret;
}

static ssize_t bpio_fallback_read_sync_iocb(struct bpio_open_file *of,
					    struct kiocb *iocb,
					    struct iov_iter *to)
{
	ssize_t ret = of->orig->read_iter(iocb, to);

	bpio_fallback_count_result(of, ret);
	return ret;
}

/* A read that may come again; apart, so that others need not remember @reason. */
static noinline ssize_t bpio_fallback_read_again(struct bpio_open_file *of,
						 struct kiocb *iocb,
						 struct iov_iter *to,
						 enum bpio_reason reason)
{
	ssize_t ret;

	ret = is_sync_kiocb(iocb) ? bpio_fallback_read_sync_iocb(of, iocb, to) :
				    bpio_fallback_read_async(of, iocb, to);
	if (ret == -EAGAIN && iocb->ki_flags & IOCB_NOWAIT)
		bpio_fallback_uncount(of, reason);
	return ret;
}

/**
 * bpio_fallback_read() - let the file system serve a read
 * @of: the open file
 * @iocb: the caller's
 * @to: as the caller gave it
 * @reason: why it does not go direct
 *
 * A read that lies behind the end of the file is not counted.
 *
 * Context: as read_iter; neither i_dio_count nor a route is held.
 * Return: as read_iter.
 */
ssize_t bpio_fallback_read(struct bpio_open_file *of, struct kiocb *iocb,
			   struct iov_iter *to, enum bpio_reason reason)
{
	/*
	 * Not polled below the file system: when device-mapper splits a polled
	 * bio, the second part carries a mark that makes a mapped device below
	 * crash. Without it the read completes by itself, and the poller sees that.
	 */
	iocb->ki_flags &= ~IOCB_HIPRI;

	/* Behind the end there is nothing to bypass: programs read until there. */
	if (unlikely(iocb->ki_pos >= i_size_read(of->file->inode)))
		return of->orig->read_iter(iocb, to);

	/* Before it is served: a read that waits is to be seen in the counters. */
	bpio_fallback_count(of, iocb->ki_pos, iov_iter_count(to), reason);
	bpio_fallback_kick(of, iocb->ki_pos, iov_iter_count(to), reason);

	if (unlikely(!is_sync_kiocb(iocb) || iocb->ki_flags & IOCB_NOWAIT))
		return bpio_fallback_read_again(of, iocb, to, reason);
	return bpio_fallback_read_sync_iocb(of, iocb, to);
}

/**
 * bpio_fallback_read_sync() - repeat part of a direct read that failed
 * @of: the open file
 * @pos: offset in the file, in bytes
 * @to: where the bytes go
 *
 * Context: sleeps; without i_dio_count or a route, for which the file system
 * or a suspend might wait while this waits for them.
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
	bpio_fallback_count_result(of, ret);
	return ret;
}
