/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Differences between the supported kernels: 6.1 to 6.12, 7.2 and 7.3.
 *
 * This is the only file that may check the version of the kernel. Stable and
 * distribution kernels backport many changes, so a feature macro of the kernel is
 * preferred to a version wherever one exists.
 */
#ifndef BPIO_COMPAT_H
#define BPIO_COMPAT_H

#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error "dm-bpio supports Linux 6.1 to 6.12, 7.2 and 7.3; this kernel is older"
#define BPIO_COMPAT_UNSUPPORTED
#elif LINUX_VERSION_CODE >= KERNEL_VERSION(7, 4, 0)
#error "dm-bpio supports Linux 6.1 to 6.12, 7.2 and 7.3; this kernel is newer"
#define BPIO_COMPAT_UNSUPPORTED
#elif LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0) && \
	LINUX_VERSION_CODE < KERNEL_VERSION(7, 2, 0)
#error "dm-bpio supports Linux 6.1 to 6.12, 7.2 and 7.3; this kernel is between"
#define BPIO_COMPAT_UNSUPPORTED
#endif

#ifdef BPIO_COMPAT_UNSUPPORTED
/* A missing header stops the compiler at once, instead of after a page of errors. */
#include "a-kernel-that-dm-bpio-supports.h"
#endif

#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/cred.h>
#include <linux/device-mapper.h>
#include <linux/exportfs.h>
#include <linux/fs.h>
#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/sched/task.h>
#include <linux/uio.h>

#include "pages.h"

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 8, 0)
#include <linux/filelock.h>
#endif

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 16, 0)
/*
 * From 6.16 on, prepare_ioctl gets the ioctl itself. Before, it can only name a block
 * device to which device-mapper forwards the ioctl.
 */
#define BPIO_TARGET_SEES_IOCTLS	1
#endif

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 9, 0)
static inline struct gendisk *bpio_compat_alloc_disk(void)
{
	return blk_alloc_disk(NULL, NUMA_NO_NODE);
}
#else
static inline struct gendisk *bpio_compat_alloc_disk(void)
{
	struct gendisk *disk = blk_alloc_disk(NUMA_NO_NODE);

	return disk ? disk : ERR_PTR(-ENOMEM);
}
#endif

/* Writes pass through unsplit, so atomic writes work too. */
#ifdef DM_TARGET_ATOMIC_WRITES
#define BPIO_COMPAT_ATOMIC_WRITES	DM_TARGET_ATOMIC_WRITES
#else
#define BPIO_COMPAT_ATOMIC_WRITES	0
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 17, 0)
#define file_kattr	fileattr
#endif

#ifndef __uninitialized
/* A variable that the compiler need not clear. */
#define __uninitialized
#endif

#ifndef __counted_by
/* The attribute exists from 6.6 on. */
#define __counted_by(...)
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 5, 0)
#define blk_mode_t	fmode_t
#define BLK_OPEN_WRITE	FMODE_WRITE
#endif

static inline bool bpio_compat_iter_is_pipe(const struct iov_iter *iter)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 5, 0)
	/*
	 * Here splice(2) passes a pipe to read_iter; its pages do not exist before the
	 * file system fills them.
	 */
	return iov_iter_is_pipe(iter);
#else
	return false;
#endif
}

/*
 * Allocate a bio from the per-CPU cache of its bioset if the caller's kiocb permits.
 * Before 6.2 an interrupt must not free such a bio.
 */
static inline blk_opf_t bpio_compat_opf(const struct kiocb *iocb)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0) && defined(IOCB_ALLOC_CACHE)
	return iocb->ki_flags & IOCB_ALLOC_CACHE ?
	       REQ_OP_READ | REQ_ALLOC_CACHE : REQ_OP_READ;
#else
	return REQ_OP_READ;
#endif
}

/* Bytes of the vector at bi_idx that the iterator has already passed. */
static inline unsigned int bpio_compat_bvec_done(const struct bvec_iter *iter)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 3, 0)
	return iter->bi_offset;
#else
	return iter->bi_bvec_done;
#endif
}

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
#define BPIO_COMPAT_POLLED	REQ_POLLED
#else
/*
 * Before 6.2 a polled bio must not wait for a free request: only the poller completes
 * requests, and it would be asleep.
 */
#define BPIO_COMPAT_POLLED	(REQ_POLLED | REQ_NOWAIT)
#endif

/*
 * Whether the inode lock is held exclusively. Older kernels have the same bit, but no
 * name for it.
 */
static inline bool bpio_compat_inode_is_locked(const struct inode *inode)
{
#ifdef CONFIG_PREEMPT_RT
	return atomic_read(&inode->i_rwsem.rwbase.readers) == WRITER_BIAS;
#else
#ifndef RWSEM_WRITER_LOCKED
#define RWSEM_WRITER_LOCKED	BIT(0)
#endif
	return atomic_long_read(&inode->i_rwsem.count) & RWSEM_WRITER_LOCKED;
#endif
}

/*
 * Whether this device can transfer into memory of a PCI device. Before 6.2 user space
 * cannot map such memory.
 */
static inline bool bpio_compat_takes_peer_memory(struct block_device *bdev)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
	return IS_ENABLED(CONFIG_PCI_P2PDMA) &&
	       blk_queue_pci_p2pdma(bdev_get_queue(bdev));
#else
	return false;
#endif
}

/*
 * Fill a bio from an iterator. Afterwards the bio owns the pages, even after a failure,
 * and bio_release_pages() releases them in the way of this kernel. With @peer, pages
 * may be memory of PCI devices; without, such pages fail with -EREMOTEIO.
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 2, 0)

static inline bool bpio_compat_iter_is_aligned(const struct iov_iter *iter,
					       unsigned int memory_mask,
					       unsigned int length_mask)
{
	struct iov_iter rest = *iter;
	size_t segment;

	if (likely(iter_is_ubuf(iter)))
		return !((unsigned long)iter_iov_addr(iter) & memory_mask ||
			 iov_iter_count(iter) & length_mask);

	if (iov_iter_alignment(iter) & memory_mask)
		return false;
	while (iov_iter_count(&rest)) {
		segment = iov_iter_single_seg_count(&rest);
		/* An empty segment must not cause an endless loop. */
		if (!segment || segment & length_mask)
			return false;
		iov_iter_advance(&rest, segment);
	}
	return true;
}

/* The bio uses the iterator's own vectors, which the caller keeps. */
static inline void bpio_compat_bio_borrow(struct bio *bio, struct iov_iter *iter)
{
	bio->bi_io_vec = (struct bio_vec *)iter->bvec;
	bio->bi_vcnt = iter->nr_segs;
	bio->bi_iter.bi_size = iter->iov_offset + iter->count;
	bvec_iter_advance(bio->bi_io_vec, &bio->bi_iter, iter->iov_offset);
	bio_set_flag(bio, BIO_CLONED);
	iov_iter_advance(iter, iter->count);
}

/* Remove the partial block at the end of the vectors. */
static inline void bpio_compat_bio_trim(struct bio *bio, struct iov_iter *iter,
					unsigned int length_mask)
{
	struct bio_vec *last = bio->bi_io_vec + bio->bi_vcnt - 1;
	unsigned int excess = bio->bi_iter.bi_size & length_mask;
	unsigned int end, part;

	iov_iter_revert(iter, excess);
	bio->bi_iter.bi_size -= excess;
	while (excess) {
		end = last->bv_offset + last->bv_len;
		part = min_t(unsigned int, last->bv_len,
			     offset_in_page(end - 1) + 1);
		if (excess < part) {
			last->bv_len -= excess;
			break;
		}
		/* Unpin its page now, because the bio no longer refers to it. */
		if (bio_flagged(bio, BIO_PAGE_PINNED))
			unpin_user_page(last->bv_page + (end - 1) / PAGE_SIZE);
		excess -= part;
		last->bv_len -= part;
		if (!last->bv_len) {
			last--;
			bio->bi_vcnt--;
		}
	}
}

static inline int bpio_compat_bio_fill(struct bio *bio, struct iov_iter *iter,
				       bool peer)
{
	iov_iter_extraction_t flags = peer ? ITER_ALLOW_P2PDMA : 0;
	ssize_t ret;

	if (iov_iter_is_bvec(iter)) {
		bpio_compat_bio_borrow(bio, iter);
		return 0;
	}

	if (iov_iter_extract_will_pin(iter))
		bio_set_flag(bio, BIO_PAGE_PINNED);
	do {
		/* No mask: bpio_compat_iter_is_aligned() was already checked. */
		ret = iov_iter_extract_bvecs(iter, bio->bi_io_vec,
					     BIO_MAX_SIZE - bio->bi_iter.bi_size,
					     &bio->bi_vcnt, bio->bi_max_vecs, 0,
					     flags);
		if (ret <= 0)
			break;
		bio->bi_iter.bi_size += ret;
	} while (iov_iter_count(iter) && bio->bi_vcnt < bio->bi_max_vecs);

	if (!bio->bi_vcnt)
		return ret;
	/*
	 * The block layer maps a whole request in the way its first page needs. So do
	 * not mix memory of different devices: stop extracting for this bio, and do not
	 * merge it with others.
	 */
	if (ret == -EREMOTEIO || (peer && !ret))
		return -EREMOTEIO;
	if (peer && is_pci_p2pdma_page(bio->bi_io_vec->bv_page))
		bio->bi_opf |= REQ_NOMERGE;
	bpio_compat_bio_trim(bio, iter,
			     bdev_logical_block_size(bio->bi_bdev) - 1);
	return 0;
}

/* Like blk_io_schedule(): do not report a hung task because of slow storage. */
static inline void bpio_compat_io_schedule(void)
{
	io_schedule_timeout(10 * HZ);
}

#else

static inline bool bpio_compat_iter_is_aligned(const struct iov_iter *iter,
					       unsigned int memory_mask,
					       unsigned int length_mask)
{
	return iov_iter_is_aligned(iter, memory_mask, length_mask);
}

/*
 * The block layer maps each page separately, and checks the queue of the bio's device
 * for support of peer memory. But parts of the bio may go to other devices.
 */
static inline int bpio_compat_bio_fill(struct bio *bio, struct iov_iter *iter,
				       bool peer)
{
	int ret = bio_iov_iter_get_pages(bio, iter);

	if (!ret && !peer && user_backed_iter(iter) &&
	    bpio_compat_takes_peer_memory(bio->bi_bdev) &&
	    bpio_pages_are_peer(bio))
		return -EREMOTEIO;
	return ret;
}

/*
 * The bio uses the iterator's own vectors, which the caller keeps. The iterator is not
 * used afterwards.
 */
static inline void bpio_compat_bio_borrow(struct bio *bio, struct iov_iter *iter)
{
	bio->bi_io_vec = (struct bio_vec *)iter->bvec;
	bio->bi_vcnt = iter->nr_segs;
	bio->bi_iter.bi_size = iov_iter_count(iter);
	bio->bi_iter.bi_bvec_done = iter->iov_offset;
	bio_set_flag(bio, BIO_CLONED);
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 5, 0)
	bio_set_flag(bio, BIO_NO_PAGE_REF);
#endif
}

static inline void bpio_compat_io_schedule(void)
{
	blk_io_schedule();
}

#endif

/*
 * The online repair of XFS breaks layout leases only if XFS was built with
 * CONFIG_EXPORTFS_BLOCK_OPS, which also adds these operations. Their presence shows
 * that the loaded XFS was built that way.
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 2, 0)
#define BPIO_COMPAT_BLOCK_OPS	block_ops
#else
#define BPIO_COMPAT_BLOCK_OPS	map_blocks
#endif

static inline bool bpio_compat_breaks_layouts(const struct super_block *sb)
{
#ifdef CONFIG_EXPORTFS_BLOCK_OPS
	return sb->s_export_op && sb->s_export_op->BPIO_COMPAT_BLOCK_OPS;
#else
	return false;
#endif
}

/*
 * Newer kernels let the owner of a lease decide whether it may be granted while the
 * file is open for writing. Older ones grant the kind used here. file.c checks for
 * writers once the lease is in place, which is right for both.
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 2, 0)
static inline int bpio_compat_lease_open_conflict(struct file *file, int type)
{
	return 0;
}

#define BPIO_COMPAT_LEASE_OPEN_CONFLICT \
	.lm_open_conflict = bpio_compat_lease_open_conflict,
#else
#define BPIO_COMPAT_LEASE_OPEN_CONFLICT
#endif

/* Leases. Before 6.9 they share a structure with byte-range locks. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 9, 0)

#define bpio_compat_for_each_lease(lease, context) \
	list_for_each_entry(lease, &(context)->flc_lease, c.flc_list)

static inline void *bpio_compat_lease_owner(struct file_lease *lease)
{
	return lease->c.flc_owner;
}

static inline struct file *bpio_compat_lease_file(struct file_lease *lease)
{
	return lease->c.flc_file;
}

/* The VFS checks the permission before it announces a lease. */
static inline bool bpio_compat_may_lease(struct file *file)
{
	return true;
}

static inline void bpio_compat_lease_set_kind(struct file_lease *lease,
					      unsigned int flags)
{
	lease->c.flc_flags = flags;
}

static inline struct file_lease *
bpio_compat_lease_alloc(struct file *file, void *owner,
			const struct lease_manager_operations *ops)
{
	struct file_lease *lease = locks_alloc_lease();

	if (!lease)
		return NULL;

	lease->c.flc_flags = FL_LAYOUT;
	lease->c.flc_type = F_RDLCK;
	lease->c.flc_owner = owner;
	lease->c.flc_pid = current->tgid;
	lease->c.flc_file = file;
	lease->fl_lmops = ops;
	return lease;
}

static inline void bpio_compat_lease_free(struct file_lease *lease)
{
	locks_free_lease(lease);
}

/* A lease that lease_modify() has left on a list. */
static inline void bpio_compat_lease_free_dropped(struct file_lease *lease)
{
	list_del_init(&lease->c.flc_list);
	locks_free_lease(lease);
}

/* Does not check the mode of @file, which is opened with O_PATH. */
static inline int bpio_compat_setlease(struct file *file,
				       struct file_lease **lease)
{
	return generic_setlease(file, F_RDLCK, lease, NULL);
}

static inline void bpio_compat_unlease(struct file *file, void *owner)
{
	generic_setlease(file, F_UNLCK, NULL, &owner);
}

#else

#define file_lease			file_lock
#define lease_manager_operations	lock_manager_operations

#define bpio_compat_for_each_lease(lease, context) \
	list_for_each_entry(lease, &(context)->flc_lease, fl_list)

static inline void *bpio_compat_lease_owner(struct file_lock *lease)
{
	return lease->fl_owner;
}

static inline struct file *bpio_compat_lease_file(struct file_lock *lease)
{
	return lease->fl_file;
}

/* Here the VFS announces a lease before it checks the permission. */
static inline bool bpio_compat_may_lease(struct file *file)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	struct mnt_idmap *map = file_mnt_idmap(file);
#else
	struct user_namespace *map = file_mnt_user_ns(file);
#endif

	return vfsuid_eq_kuid(i_uid_into_vfsuid(map, file_inode(file)),
			      current_fsuid()) || capable(CAP_LEASE);
}

static inline void bpio_compat_lease_set_kind(struct file_lock *lease,
					      unsigned int flags)
{
	lease->fl_flags = flags;
}

static inline struct file_lock *
bpio_compat_lease_alloc(struct file *file, void *owner,
			const struct lock_manager_operations *ops)
{
	struct file_lock *lease = locks_alloc_lock();

	if (!lease)
		return NULL;

	lease->fl_flags = FL_LAYOUT;
	lease->fl_type = F_RDLCK;
	lease->fl_owner = owner;
	lease->fl_pid = current->tgid;
	lease->fl_file = file;
	lease->fl_end = OFFSET_MAX;
	lease->fl_lmops = ops;
	return lease;
}

static inline void bpio_compat_lease_free(struct file_lock *lease)
{
	locks_free_lock(lease);
}

/* A lease that lease_modify() has left on a list. */
static inline void bpio_compat_lease_free_dropped(struct file_lock *lease)
{
	list_del_init(&lease->fl_list);
	locks_free_lock(lease);
}

/* Here only the owner of a file, or a task with CAP_LEASE, may change a lease. */
static inline int bpio_compat_generic_setlease(struct file *file, long type,
					       struct file_lock **lease,
					       void **priv)
{
	struct cred *cred = prepare_kernel_cred(&init_task);
	const struct cred *old;
	int ret;

	if (!cred)
		return -ENOMEM;
	old = override_creds(cred);
	ret = generic_setlease(file, type, lease, priv);
	revert_creds(old);
	put_cred(cred);
	return ret;
}

static inline int bpio_compat_setlease(struct file *file,
				       struct file_lock **lease)
{
	return bpio_compat_generic_setlease(file, F_RDLCK, lease, NULL);
}

/* Must not fail: the lease refers to memory that is about to be freed. */
static inline void bpio_compat_unlease(struct file *file, void *owner)
{
	while (bpio_compat_generic_setlease(file, F_UNLCK, NULL, &owner) ==
	       -ENOMEM)
		cond_resched();
}

#endif

#endif /* BPIO_COMPAT_H */
