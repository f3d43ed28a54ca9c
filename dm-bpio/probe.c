// SPDX-License-Identifier: GPL-2.0-only
/*
 * Probes find where the data of a file lies: they send its file system an ordinary
 * O_DIRECT read into scratch memory. The map method takes the addresses of the bios
 * that the file system sends to the volume, and completes them without any I/O.
 *
 * Which bios are taken. A direct read into an ITER_BVEC iterator borrows the array
 * of vectors of the iterator (bio_iov_bvec_set()), and clones and splits keep the
 * pointer. So a bio whose bi_io_vec points into the array of a probe in flight belongs
 * to that probe, and its index in the array gives the offset in the file. No other bio
 * can have such a pointer: the vectors of the page cache, of metadata and of other
 * programs are in other allocations, and the array is on the volume's list only while
 * it is allocated. If the file system serves the read through the page cache, the bios
 * have other vectors and reach the device. So no page of the page cache is ever marked
 * uptodate without having been read.
 *
 * What the bios prove. The file system must send one for each block that holds data,
 * with the address that it would read; it sends none for ranges that read as zeroes.
 * If the kernel copies the array, no bio matches, and the probe finds nothing where
 * data should be: for each file, an empty result is checked with bmap(). The address
 * of a taken bio is right, because it is the address of a read of the file. Only its
 * index in the array could be misinterpreted; that depends on the kernel, not on the
 * file. So it is compared with bmap() until both have agreed once for the file-system
 * driver. A file for which they differ is mapped by bmap() only.
 *
 * If the table also has lines of other targets, these would not take the bios. So files
 * of such a volume are mapped by bmap() only.
 *
 * The result stays valid as long as the lease is held; see file.c.
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

/* Length of the longest read, and of the first: short, as no bio may be taken. */
#define BPIO_PROBE_WINDOW	SZ_64M
#define BPIO_PROBE_FIRST	SZ_64K

/*
 * The scratch page is large, so that there are few vectors: the file system checks the
 * alignment of all vectors for each extent. Smaller if memory is fragmented.
 */
#define BPIO_PROBE_ORDER	get_order(SZ_2M)
#define BPIO_PROBE_VECS		1024U

/* The least and the most extents to make room for before a read. */
#define BPIO_PROBE_ROOM_MIN	64U
#define BPIO_PROBE_ROOM		1024U

/* If extents are shorter than this on average, bmap() is cheaper. */
#define BPIO_PROBE_DENSE_BLOCKS	3
/* Minimum number of extents to compute an average from. */
#define BPIO_PROBE_DENSE_EXTENTS	256U
#define BPIO_PROBE_DENSE_WALK	SZ_16M

/*
 * A bit for each file-system driver for which a bio once agreed with bmap(). Set and
 * read without a lock.
 */
static unsigned long bpio_probe_proven;

/**
 * struct bpio_probe - reads of a file that find where its data lies
 * @node: in volume->probes; volume->probes_lock
 * @builder: receives the extents; has room for all of one read. Written under the
 *	same lock while @node is on the list, else by the owner
 * @vecs: the array by which bios are recognized
 * @nr: length of @vecs
 * @vec_size: bytes of each vector
 * @pos: offset in the file of the read in flight
 * @next: the lowest offset that the next bio may have
 * @bios: number of bios taken
 * @extents: number of extents they started; device-mapper splits bios where chunks of
 *	stripes end
 * @failed: a bio was not as expected
 * @full: @builder had no room for the extent at @next
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
 * Receives the zeroes of holes, and data if no bio is taken. Nobody reads it, so all
 * probes share it. Allocated only once, because the allocator may have to clear it.
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
	/* A bio is out of order if it was delayed, for instance by a suspend. */
	if (offset < probe->next || bio_has_crypt_ctx(bio) ||
	    bio_integrity(bio)) {
		probe->failed = true;
		return;
	}
	/* No allocation here: reclaim may wait for this bio. */
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
 * bpio_probe_take() - take a bio if it belongs to a probe
 * @volume: the volume
 * @bio: a read of the volume that is being mapped
 *
 * Context: the map method.
 * Return: whether it belongs to a probe; if so, it has completed.
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
	/* Always with success: a failure might be reported as a bad disk. */
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

/* One read by the file system. Ranges without a bio hold no data. */
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
	/* Not the lease file's f_op: that is opened with O_PATH. */
	ret = file->inode->i_fop->read_iter(&kiocb, &iter);
	bpio_probe_end(probe, file->volume);

	if (ret < 0)
		return ret;
	/* The file system fell back to the page cache. */
	if (!(kiocb.ki_flags & IOCB_DIRECT) || probe->failed)
		return -EOPNOTSUPP;
	return ret == min(count, size - pos) ? 0 : -EIO;
}

/* The bit in bpio_probe_proven: 0 for the driver of ext2 to ext4, 1 for XFS. */
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
 * Compare with bmap(): the first bio, or the absence of a bio at @pos where SEEK_DATA
 * found data. Where bmap() returns 0 it has no opinion: for all blocks of an XFS file
 * that has or had shared blocks, and for preallocated ones. If no bio was taken there,
 * the block counts as a hole, and the file system serves it.
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

/* Choose the length of the next read so that its extents are likely to fit. */
static void bpio_probe_adapt(struct bpio_probe *probe, u64 bytes, u32 block)
{
	u64 fit = bytes * BPIO_PROBE_ROOM_MIN / max(probe->extents, 1U) / 2;

	if (probe->full)
		fit = bytes;
	/* The file system refuses parts of a block. */
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
 * Whether there may be holes; preallocated ranges are possible either way. In a file
 * without holes, SEEK_DATA costs as much as a quarter of a read.
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

	/* vfs_llseek() fails, because a file opened with O_PATH is not seekable. */
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

	/* The first read is short, so an empty result wastes little. */
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

/* Allocate vectors for at least @most bytes, or for the longest read. */
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
 * @builder: the extents so far; continued at @builder->end
 * @end: byte offset to stop at, rounded up to whole blocks
 *
 * Stops early when the lease is broken, when the map is not needed any more, or when
 * @builder is full.
 *
 * Context: a worker, so that the reads are not accounted to a user; sleeps, also while
 * the volume is suspended; the caller holds neither the inode lock nor anything that a
 * suspend waits for.
 * Return: 0, -EOPNOTSUPP when probes do not work for the file, -ENOMEM, -E2BIG, or an
 * error of the read.
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
 * bpio_probe_suits() - whether a probe of this file can work
 * @file: the file, with its lease file
 *
 * Context: may sleep, does no I/O.
 */
bool bpio_probe_suits(const struct bpio_file *file)
{
	const struct path *path = &file->lease_file->f_path;
	unsigned int block = i_blocksize(file->inode);
	struct kstat stat;

	/* For these, newer kernels read into a bounce buffer, not into the array. */
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
