// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where the data of a file lies, told by its file system: it is given an ordinary
 * O_DIRECT read into memory of ours, and the bios that it sends to the volume for
 * that are looked at and completed without any I/O.
 *
 * Which bios are taken. A direct read into an ITER_BVEC iterator borrows the array
 * of vectors that the iterator was made of (bio_iov_bvec_set()), and clones and
 * splits keep the pointer. So a bio whose bi_io_vec points into the array of a read
 * that is under way belongs to that read, and its place in the array says which
 * part of the file it is for. No other bio can have such a pointer: vectors of the
 * page cache, of metadata and of other programs lie in memory that somebody else
 * has allocated, and the array is on the volume's list only while it is allocated.
 * Should the file system serve the read through the page cache, its bios have
 * vectors of their own and reach the device. So nobody ever takes a page for read
 * that was not.
 *
 * What the bios tell. The file system must send one for each block that holds data,
 * with the address that it would read; it sends none for what reads as zeroes. If
 * the kernel copies the array, no bio matches, and the probe finds nothing where there
 * ought to be data: for each file, that result is checked with bmap(). A bio that was
 * taken has the address that a read of the file would go to, because it is one. What
 * could be mistaken is its place in the array: a matter of the kernel and not of the
 * file. So that is compared with bmap() until it was right once with the driver of
 * the file system. A file that differs is mapped by bmap() only.
 *
 * A table with lines of other targets sends some of the bios where nobody takes them.
 * Files of such a volume are mapped by bmap() only.
 *
 * What is told stays true as long as the lease is held; see file.c.
 *
 * Level: file.
 */
#include <linux/bio.h>
#include <linux/blk-crypto.h>
#include <linux/blk-integrity.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/stat.h>
#include <linux/uio.h>

#include "compat.h"
#include "extent.h"
#include "file.h"
#include "plant.h"
#include "probe.h"
#include "volume.h"

/* The longest read, and the first one, with little at stake if no bio is taken. */
#define BPIO_PROBE_WINDOW	SZ_64M
#define BPIO_PROBE_FIRST	SZ_64K

/*
 * The scratch memory is large, because the file system checks the alignment of all
 * vectors once for each extent. Pieces of it when memory is fragmented.
 */
#define BPIO_PROBE_ORDER	get_order(SZ_2M)
#define BPIO_PROBE_VECS		1024U

/* Extents that find room in one read. */
#define BPIO_PROBE_ROOM_MIN	64U
#define BPIO_PROBE_ROOM		1024U

/* Where extents are shorter than this on average bmap() costs less. */
#define BPIO_PROBE_DENSE_BLOCKS	3
/* So many extents say something about the average. */
#define BPIO_PROBE_DENSE_EXTENTS	256U
#define BPIO_PROBE_DENSE_WALK	SZ_16M

/*
 * A bit for each driver of a file system that has sent a bio as bmap() tells it.
 * Set and read without a lock.
 */
static unsigned long bpio_probe_proven;

/**
 * struct bpio_probe - reads of a file that tell where its data lies
 * @node: in volume->probes; volume->probes_lock
 * @builder: where extents go; has room for all that may come. While @node is on
 *	the list written under the same lock, else by the owner
 * @vecs: the array that bios are known by
 * @nr: length of that
 * @vec_size: bytes of each
 * @pos: offset in the file of the read that is under way
 * @next: the lowest offset that may be told next
 * @bios: bios that were taken
 * @extents: extents that these began; device-mapper splits where chunks of stripes end
 * @failed: one came that is not understood
 * @full: there was no room for what lies at @next and after
 * @window: bytes of the next read
 */
struct bpio_probe {
	struct list_head		node;
	struct bpio_extent_builder	*builder;
	struct bio_vec			*vecs;
	unsigned int			nr;
	size_t				vec_size;
	u64				pos;
	u64				next;
	unsigned int			bios;
	unsigned int			extents;
	bool				failed;
	bool				full;
	u64				window;
};

/*
 * Zeroes of holes go there, and data when no bio is taken. Nobody ever looks at
 * it, so one does for all. Allocated once, because allocation may clear it.
 */
static struct page *bpio_probe_scratch;
static unsigned int bpio_probe_order;
static DEFINE_MUTEX(bpio_probe_scratch_lock);

static struct bpio_probe *bpio_probe_find(struct bpio_volume *volume,
					  const struct bio *bio)
{
	const struct bio_vec *vec = bio->bi_io_vec;
	struct bpio_probe *probe;

	lockdep_assert_held(&volume->probes_lock);

	list_for_each_entry(probe, &volume->probes, node)
		if (vec >= probe->vecs && vec < probe->vecs + probe->nr)
			return probe;
	return NULL;
}

static void bpio_probe_note(struct bpio_probe *probe, struct bio *bio)
{
	const struct bvec_iter *iter = &bio->bi_iter;
	unsigned int nr = probe->builder->nr;
	size_t index = bio->bi_io_vec - probe->vecs + iter->bi_idx;
	u64 offset = probe->pos + index * probe->vec_size +
		     bpio_compat_bvec_done(iter);

	probe->bios++;
	if (probe->full)
		return;
	/* Out of order when one was held up, as by a suspend. */
	if (offset < probe->next || bio_has_crypt_ctx(bio) ||
	    bio_integrity(bio)) {
		probe->failed = true;
		return;
	}
	/* Memory cannot be had here: to free some, this bio may be waited for. */
	if (bpio_extent_is_full(probe->builder)) {
		probe->full = true;
		probe->next = offset;
		return;
	}
	bpio_extent_append(probe->builder, offset, iter->bi_size,
			   iter->bi_sector);
	probe->extents += probe->builder->nr - nr;
	probe->next = offset + iter->bi_size;
}

/**
 * bpio_probe_take() - take a bio if it is one of a probe
 * @volume: the volume
 * @bio: a read of the volume that is being mapped
 *
 * Context: the map method.
 * Return: whether it was one; it has completed then.
 */
bool bpio_probe_take(struct bpio_volume *volume, struct bio *bio)
{
	struct bpio_probe *probe;
	bool taken;

	spin_lock(&volume->probes_lock);
	probe = bpio_probe_find(volume, bio);
	if (probe)
		bpio_probe_note(probe, bio);
	taken = probe || (bpio_plant(BPIO_PLANT_PROBE) &&
			  !list_empty(&volume->probes) &&
			  !(bio->bi_opf & REQ_META));
	spin_unlock(&volume->probes_lock);

	if (!taken)
		return false;
	/* With success always: a failure may end in a report of a bad disk. */
	bio_endio(bio);
	return true;
}

static void bpio_probe_begin(struct bpio_probe *probe,
			     struct bpio_volume *volume)
{
	spin_lock(&volume->probes_lock);
	list_add(&probe->node, &volume->probes);
	set_bit(BPIO_MAP_PROBES, &volume->map_watch);
	spin_unlock(&volume->probes_lock);
}

static void bpio_probe_end(struct bpio_probe *probe, struct bpio_volume *volume)
{
	spin_lock(&volume->probes_lock);
	list_del(&probe->node);
	if (list_empty(&volume->probes))
		clear_bit(BPIO_MAP_PROBES, &volume->map_watch);
	spin_unlock(&volume->probes_lock);
}

/* One read by the file system. What it does not tell holds no data. */
static int bpio_probe_read(struct bpio_probe *probe, struct bpio_file *file,
			   u64 pos, u64 count)
{
	u64 size = i_size_read(file->inode);
	struct iov_iter iter;
	struct kiocb kiocb;
	ssize_t ret;

	init_sync_kiocb(&kiocb, file->lease_file);
	kiocb.ki_flags |= IOCB_DIRECT;
	kiocb.ki_pos = pos;
	iov_iter_bvec(&iter, ITER_DEST, probe->vecs,
		      DIV_ROUND_UP(count, probe->vec_size), count);
	probe->pos = pos;
	probe->next = pos;
	probe->bios = 0;
	probe->extents = 0;
	probe->full = false;

	bpio_probe_begin(probe, file->volume);
	/* Of the inode: the lease file may be one that cannot be read. */
	ret = file->inode->i_fop->read_iter(&kiocb, &iter);
	bpio_probe_end(probe, file->volume);

	if (ret < 0)
		return ret;
	/* The file system reads through the page cache after all. */
	if (!(kiocb.ki_flags & IOCB_DIRECT) || probe->failed)
		return -EOPNOTSUPP;
	return ret == min(count, size - pos) ? 0 : -EIO;
}

/* The bit of @bpio_probe_proven: ext2 to ext4 are one driver, the other is XFS. */
static unsigned int bpio_probe_driver(const struct bpio_file *file)
{
	return bpio_file_is_xfs(file);
}

static bool bpio_probe_is_proven(const struct bpio_probe *probe,
				 const struct bpio_file *file)
{
	return probe->bios &&
	       test_bit(bpio_probe_driver(file), &bpio_probe_proven);
}

/*
 * The first bio, or that there was none at @pos where the file system says that
 * there is data, as bmap() tells it. That knows nothing of blocks that files of XFS
 * share.
 */
static int bpio_probe_verify(const struct bpio_probe *probe,
			     const struct bpio_file *file, u64 pos)
{
	const struct bpio_extent *first = probe->builder->extents;
	unsigned int bits = file->inode->i_blkbits;
	u64 offset = probe->bios ? first->offset : pos;
	sector_t block = offset >> bits;

	if (bpio_probe_is_proven(probe, file))
		return 0;
	if (bmap(file->inode, &block))
		return -EOPNOTSUPP;
	if (!block)
		return 0;
	if (probe->bios && block << (bits - SECTOR_SHIFT) == first->sector) {
		set_bit(bpio_probe_driver(file), &bpio_probe_proven);
		return 0;
	}
	pr_warn_once("bpio: a probe of inode %llu on %s differs from bmap at %llu\n",
		     (u64)file->inode->i_ino, file->volume->name, offset);
	return -EOPNOTSUPP;
}

/* As much in the next read as is likely to find room. */
static void bpio_probe_adapt(struct bpio_probe *probe, u64 bytes, u32 block)
{
	u64 fit = bytes * BPIO_PROBE_ROOM_MIN / max(probe->extents, 1U) / 2;

	if (probe->full)
		fit = bytes;
	/* Parts of a block are refused. */
	probe->window = round_down(clamp_t(u64, fit, SZ_1M, BPIO_PROBE_WINDOW),
				   block);
}

static bool bpio_probe_is_dense(const struct bpio_probe *probe,
				const struct bpio_file *file, u64 bytes)
{
	u64 dense = BPIO_PROBE_DENSE_BLOCKS * i_blocksize(file->inode);

	return probe->extents >= BPIO_PROBE_DENSE_EXTENTS &&
	       bytes < probe->extents * dense && !bpio_file_is_xfs(file);
}

static int bpio_probe_reserve(struct bpio_extent_builder *builder,
			      const struct bpio_file *file, u64 count)
{
	unsigned int most = DIV_ROUND_UP(min_t(u64, count, SZ_1G),
					 i_blocksize(file->inode));

	return bpio_extent_reserve(builder, min(most, clamp(builder->nr,
							    BPIO_PROBE_ROOM_MIN,
							    BPIO_PROBE_ROOM)));
}

/*
 * Whether there may be holes; ranges that were never written may be all the same.
 * Where there is none, looking for one costs as much as a quarter of a read.
 */
static bool bpio_probe_may_skip(const struct bpio_file *file)
{
	return (u64)READ_ONCE(file->inode->i_blocks) << SECTOR_SHIFT <
	       i_size_read(file->inode);
}

/* Return: 0, with @pos at data or at @end; or a negative errno. */
static int bpio_probe_skip_hole(const struct bpio_file *file, u64 end, u64 *pos)
{
	struct file *filp = file->lease_file;
	loff_t data;

	/* Generic code would ask whether the file may be sought in. */
	data = file->inode->i_fop->llseek(filp, *pos, SEEK_DATA);
	if (data == -ENXIO)
		data = end;
	if (data < 0)
		return data;
	*pos = clamp_t(u64, round_down(data, i_blocksize(file->inode)), *pos,
		       end);
	return 0;
}

static int bpio_probe_step(struct bpio_probe *probe, struct bpio_file *file,
			   u64 end)
{
	struct bpio_extent_builder *builder = probe->builder;
	bool first = !builder->mapped;
	u64 pos = builder->end;
	u64 count;
	int ret;

	/* The first read is short: not much is lost if it finds nothing. */
	if (!first || bpio_probe_may_skip(file)) {
		ret = bpio_probe_skip_hole(file, end, &pos);
		if (ret || pos == end) {
			builder->end = ret ? builder->end : end;
			return ret;
		}
	}
	count = min(end - pos, probe->window);
	ret = bpio_probe_reserve(builder, file, count);
	if (ret)
		return ret;

	ret = bpio_probe_read(probe, file, pos, count);
	if (!ret && (first || !probe->bios))
		ret = bpio_probe_verify(probe, file, pos);
	if (ret)
		return ret;

	builder->end = probe->full ? probe->next : pos + count;
	count = builder->end - pos;
	bpio_probe_adapt(probe, count, i_blocksize(file->inode));
	if (!bpio_probe_is_dense(probe, file, count))
		return 0;
	return bpio_extent_walk(builder, file->inode,
				min(end, builder->end + BPIO_PROBE_DENSE_WALK));
}

static int bpio_probe_get_scratch(void)
{
	unsigned int order = BPIO_PROBE_ORDER;

	mutex_lock(&bpio_probe_scratch_lock);
	while (!bpio_probe_scratch) {
		bpio_probe_order = order;
		bpio_probe_scratch = alloc_pages(GFP_KERNEL | __GFP_COMP |
						 __GFP_NOWARN |
						 (order ? __GFP_NORETRY : 0),
						 order);
		if (!order--)
			break;
	}
	mutex_unlock(&bpio_probe_scratch_lock);
	return bpio_probe_scratch ? 0 : -ENOMEM;
}

/* With vectors for @most bytes at least, or for the longest read. */
static int bpio_probe_init(struct bpio_probe *probe, u64 most)
{
	unsigned int i;

	if (bpio_probe_get_scratch())
		return -ENOMEM;

	probe->vec_size = PAGE_SIZE << bpio_probe_order;
	probe->nr = min_t(unsigned int, BPIO_PROBE_VECS,
			  DIV_ROUND_UP(min_t(u64, most, BPIO_PROBE_WINDOW),
				       probe->vec_size));
	probe->vecs = kmalloc_array(probe->nr, sizeof(*probe->vecs), GFP_KERNEL);
	if (!probe->vecs)
		return -ENOMEM;
	for (i = 0; i < probe->nr; i++)
		bvec_set_page(&probe->vecs[i], bpio_probe_scratch,
			      probe->vec_size, 0);
	return 0;
}

/**
 * bpio_probe_walk() - map the next part of a file
 * @file: the file, with its lease; bpio_probe_suits()
 * @builder: what was mapped so far; continued at @builder->end
 * @end: byte offset to stop at, rounded up to whole blocks
 *
 * Ends early when the lease is broken or nobody wants the map any more, and when
 * @builder has as many extents as it may.
 *
 * Context: a worker, so that nobody else seems to read; sleeps, waits for the
 * volume when that is suspended; the caller holds neither the inode lock nor
 * anything that a suspend waits for.
 * Return: 0, -EOPNOTSUPP when the file system does not tell, -ENOMEM, -E2BIG, or
 * an error of the read.
 */
int bpio_probe_walk(struct bpio_file *file, struct bpio_extent_builder *builder,
		    u64 end)
{
	struct bpio_probe probe = {
		.builder = builder, .window = BPIO_PROBE_FIRST,
	};
	int ret = -EOPNOTSUPP;

	end = round_up(end, i_blocksize(file->inode));
	if (!bpio_volume_is_mixed(file->volume))
		ret = bpio_probe_init(&probe, end - builder->end);
	while (!ret && bpio_extent_goes_on(builder, end) &&
	       bpio_file_wants_map(file)) {
		ret = bpio_probe_step(&probe, file, end);
		cond_resched();
	}
	kfree(probe.vecs);
	return ret;
}

/**
 * bpio_probe_suits() - whether the file system reads this file direct, as it is
 * @file: the file, with its lease file
 *
 * Context: may sleep, does no I/O.
 */
bool bpio_probe_suits(const struct bpio_file *file)
{
	const struct path *path = &file->lease_file->f_path;
	unsigned int block = i_blocksize(file->inode);
	struct kstat stat;

	/* Newer kernels read into a buffer of their own there, not into the array. */
	if (mapping_stable_writes(file->inode->i_mapping))
		return false;
	return !vfs_getattr_nosec(path, &stat, STATX_DIOALIGN,
				  AT_STATX_DONT_SYNC) &&
	       stat.result_mask & STATX_DIOALIGN &&
	       stat.dio_offset_align && stat.dio_offset_align <= block;
}

/**
 * bpio_probe_exit() - free the scratch memory
 */
void bpio_probe_exit(void)
{
	if (bpio_probe_scratch)
		__free_pages(bpio_probe_scratch, bpio_probe_order);
}
