// SPDX-License-Identifier: GPL-2.0-only
/*
 * Make a file of a given number of extents on an ext4 that is not mounted.
 *
 * The blocks are allocated, and the extents are marked as written, but nothing is
 * written. So making a file of 100 GiB takes no time and, on a device that stores
 * only what is written, no memory. The contents of its blocks are undefined.
 */
#include <ext2fs/ext2fs.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"

struct maker {
	ext2_filsys		fs;
	ext2_ino_t		ino;
	ext2_extent_handle_t	extents;
	blk64_t			logical;
	blk64_t			next;
	uint64_t		made;
};

static void must(errcode_t error, const char *what)
{
	if (error)
		die("%s: %s", what, error_message(error));
}

static void add_extent(struct maker *maker, blk64_t physical, uint32_t blocks)
{
	struct ext2fs_extent extent = {
		.e_lblk = maker->logical,
		.e_pblk = physical,
		.e_len = blocks,
	};

	must(ext2fs_extent_insert(maker->extents, EXT2_EXTENT_INSERT_AFTER,
				  &extent), "inserting an extent");
	maker->logical += blocks;
	maker->made++;
}

/* Find and allocate at most @wanted contiguous free blocks. */
static blk64_t take(struct maker *maker, blk64_t wanted, blk64_t *got)
{
	ext2_filsys fs = maker->fs;
	blk64_t last = ext2fs_blocks_count(fs->super) - 1;
	blk64_t first, end;

	must(ext2fs_find_first_zero_block_bitmap2(fs->block_map, maker->next,
						  last, &first),
	     "looking for free blocks");
	end = first + wanted - 1 < last ? first + wanted - 1 : last;
	if (!ext2fs_find_first_set_block_bitmap2(fs->block_map, first, end, &end))
		end--;
	*got = end - first + 1;
	ext2fs_block_alloc_stats_range(fs, first, *got, +1);
	maker->next = end + 1;
	return first;
}

/* As few extents as the file system allows. */
static void fill_large(struct maker *maker, blk64_t blocks)
{
	blk64_t first, got;

	while (blocks) {
		first = take(maker, blocks < EXT_INIT_MAX_LEN ? blocks :
			     EXT_INIT_MAX_LEN, &got);
		add_extent(maker, first, got);
		blocks -= got;
	}
}

/*
 * Swap the places of each two neighbouring blocks of the file on the device, so that no
 * extent continues the previous one.
 */
static void fill_pieces(struct maker *maker, blk64_t blocks, uint32_t piece)
{
	blk64_t first, got, rest, at;

	while (blocks) {
		first = take(maker, blocks < (1 << 15) ? blocks : 1 << 15, &got);
		rest = got % (2 * piece);
		got -= rest;
		ext2fs_block_alloc_stats_range(maker->fs, first + got, rest, -1);
		for (at = 0; at < got; at += 2 * piece) {
			add_extent(maker, first + at + piece, piece);
			add_extent(maker, first + at, piece);
		}
		blocks -= got;
	}
}

static void create(struct maker *maker, const char *name, blk64_t blocks)
{
	struct ext2_inode inode = {
		.i_mode = LINUX_S_IFREG | 0644,
		.i_links_count = 1,
		.i_flags = EXT4_EXTENTS_FL,
	};
	ext2_filsys fs = maker->fs;

	must(ext2fs_new_inode(fs, EXT2_ROOT_INO, inode.i_mode, NULL, &maker->ino),
	     "a new inode");
	must(ext2fs_inode_size_set(fs, &inode, blocks * fs->blocksize), "size");
	must(ext2fs_write_new_inode(fs, maker->ino, &inode), "writing the inode");
	ext2fs_inode_alloc_stats2(fs, maker->ino, +1, 0);
	must(ext2fs_link(fs, EXT2_ROOT_INO, name, maker->ino,
			 EXT2_FT_REG_FILE), name);
	must(ext2fs_extent_open(fs, maker->ino, &maker->extents), "extents");
}

static void finish(struct maker *maker, blk64_t blocks)
{
	struct ext2_inode inode;

	ext2fs_extent_free(maker->extents);
	must(ext2fs_read_inode(maker->fs, maker->ino, &inode), "the inode");
	must(ext2fs_iblk_add_blocks(maker->fs, &inode, blocks), "block count");
	must(ext2fs_write_inode(maker->fs, maker->ino, &inode), "the inode");
	must(ext2fs_close_free(&maker->fs), "writing the file system");
}

int main(int argc, char **argv)
{
	struct maker maker = { };
	uint64_t bytes, extents;
	blk64_t blocks;

	if (argc != 5)
		die("usage: mkextents DEVICE NAME BYTES EXTENTS (0: as few as possible)");
	bytes = parse_bytes("BYTES", argv[3]);
	extents = parse_bytes("EXTENTS", argv[4]);
	initialize_ext2_error_table();
	must(ext2fs_open(argv[1], EXT2_FLAG_RW | EXT2_FLAG_64BITS, 0, 0,
			 unix_io_manager, &maker.fs), argv[1]);
	must(ext2fs_read_bitmaps(maker.fs), "bitmaps");
	blocks = bytes / maker.fs->blocksize;
	if (extents && (blocks % extents || extents % 2))
		die("%llu blocks cannot be divided into %llu pairs of extents",
		    (unsigned long long)blocks, (unsigned long long)extents / 2);
	create(&maker, argv[2], blocks);
	if (extents)
		fill_pieces(&maker, blocks, blocks / extents);
	else
		fill_large(&maker, blocks);
	finish(&maker, blocks);
	printf("%s: %llu blocks in %llu extents\n", argv[2],
	       (unsigned long long)blocks, (unsigned long long)maker.made);
	return 0;
}
