// SPDX-License-Identifier: GPL-2.0-only
/*
 * The read_iter of an enabled file: direct, or by the file system.
 *
 * Level: read.
 */
#include <linux/uio.h>

#include "compat.h"
#include "direct.h"
#include "fallback.h"
#include "file.h"
#include "open_file.h"
#include "read.h"

/* A page of the reader was missing: fault it in, with nothing held. */
static noinline ssize_t bpio_read_again(struct bpio_open_file *of,
					struct kiocb *iocb, struct iov_iter *to)
{
	size_t count = iov_iter_count(to);
	ssize_t ret = -EFAULT;

	if (fault_in_iov_iter_writeable(to, count) < count)
		ret = bpio_direct_read(of, iocb, to, true);
	/* A page is missing again, or only part of the memory can be faulted in. */
	if (ret == -EFAULT)
		ret = bpio_fallback_read(of, iocb, to, BPIO_REASON_NO_MEMORY);
	return ret;
}

/*
 * Whether a read must fall back before it raises i_dio_count, because a task may wait
 * until that is zero; see the top of file.c. The check comes before the count is
 * raised: a read that must not wait for the inode lock is retried at once, and several
 * such readers that raised the count for the check would keep it above zero.
 *
 * Also check, once a tick, whether the file system still serves reads. A check in each
 * read would cost too much of what a direct read saves. In the rest of the tick, reads
 * return what they would have returned before the shutdown.
 */
static inline enum bpio_reason bpio_read_look(struct bpio_open_file *of)
{
	unsigned long state = READ_ONCE(of->file->state);
	unsigned long now = jiffies;
	enum bpio_reason reason;

	if (unlikely(state))
		return bpio_direct_blocked(of, state);
	if (unlikely(bpio_compat_inode_is_locked(of->file->inode)))
		return BPIO_REASON_LOCKED;
	if (likely(READ_ONCE(of->asked_at) == now))
		return BPIO_REASON_NONE;
	reason = bpio_file_ask(of->filp);
	if (!reason)
		WRITE_ONCE(of->asked_at, now);
	return reason;
}

/**
 * bpio_read_iter() - read_iter of an enabled file
 * @iocb: the caller's
 * @to: the buffer
 *
 * The VFS has checked the permission and the range, and notifies watches of the
 * access, as for any read of this file.
 *
 * Context: as read_iter.
 * Return: as read_iter.
 */
ssize_t bpio_read_iter(struct kiocb *iocb, struct iov_iter *to)
{
	struct bpio_open_file *of = bpio_open_file_of(iocb->ki_filp);
	enum bpio_reason reason;
	ssize_t ret;

	if (unlikely(!(iocb->ki_flags & IOCB_DIRECT) || !iov_iter_count(to) ||
		     bpio_compat_iter_is_pipe(to)))
		return of->orig->read_iter(iocb, to);

	reason = bpio_read_look(of);
	if (unlikely(reason))
		return bpio_fallback_read(of, iocb, to, reason);

	ret = bpio_direct_read(of, iocb, to, false);
	if (unlikely(ret == -EFAULT))
		ret = bpio_read_again(of, iocb, to);
	return ret;
}
