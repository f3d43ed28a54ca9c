// SPDX-License-Identifier: GPL-2.0-only
/*
 * The reader's pages. A direct read changes them without the knowledge of the
 * writeback that owns them, so they must be dirty when the read has ended.
 *
 * Level: foundation.
 */
#include <linux/bio.h>
#include <linux/memremap.h>
#include <linux/pagemap.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "pages.h"

/* Bios whose pages must be marked dirty again, by a worker because that may sleep. */
static struct bio_list bpio_pages_cleaned;
static DEFINE_SPINLOCK(bpio_pages_lock);

/*
 * Check all folios that a vector covers, nearly always one. This avoids the overhead
 * of the folio iterator, which is 5 % of a large read.
 */
static bool bpio_pages_vec_is_dirty(const struct bio_vec *vec)
{
	struct folio *folio = page_folio(vec->bv_page);
	size_t left = vec->bv_len;
	size_t room;

	if (likely(vec->bv_offset + vec->bv_len <= PAGE_SIZE))
		return folio_test_dirty(folio);

	room = folio_size(folio) - vec->bv_offset -
	       PAGE_SIZE * folio_page_idx(folio, vec->bv_page);
	while (folio_test_dirty(folio)) {
		if (left <= room)
			return true;
		left -= room;
		folio = folio_next(folio);
		room = folio_size(folio);
	}
	return false;
}

/**
 * bpio_pages_are_dirty() - whether all pages of a read are dirty
 * @bio: the read
 *
 * If they are dirty after the read has completed, none needs marking: the later
 * writeback of a page writes the data that the read stored in it.
 *
 * Context: any.
 */
bool bpio_pages_are_dirty(struct bio *bio)
{
	unsigned short i;

	for (i = 0; i < bio->bi_vcnt; i++)
		if (!bpio_pages_vec_is_dirty(&bio->bi_io_vec[i]))
			return false;
	return true;
}

/**
 * bpio_pages_set_dirty() - mark the pages of a read dirty before it begins
 * @bio: the read
 *
 * Context: process context; waits for nothing.
 */
void bpio_pages_set_dirty(struct bio *bio)
{
	struct folio_iter fi;

	if (likely(bpio_pages_are_dirty(bio)))
		return;
	bio_for_each_folio_all(fi, bio) {
		/* The lock holder may wait for I/O. The end of the read marks it. */
		if (folio_test_dirty(fi.folio) || !folio_trylock(fi.folio))
			continue;
		folio_mark_dirty(fi.folio);
		folio_unlock(fi.folio);
	}
}

/**
 * bpio_pages_are_peer() - whether a read is into memory of a PCI device
 * @bio: the read
 *
 * Context: any.
 */
bool bpio_pages_are_peer(const struct bio *bio)
{
	unsigned int i;

	for (i = 0; i < bio->bi_vcnt; i++)
		if (is_pci_p2pdma_page(bio->bi_io_vec[i].bv_page))
			return true;
	return false;
}

static void bpio_pages_work(struct work_struct *work)
{
	struct bio_list list;
	struct bio *bio;

	spin_lock_irq(&bpio_pages_lock);
	list = bpio_pages_cleaned;
	bio_list_init(&bpio_pages_cleaned);
	spin_unlock_irq(&bpio_pages_lock);

	while ((bio = bio_list_pop(&list))) {
		bio_release_pages(bio, true);
		bio_put(bio);
	}
}

static DECLARE_WORK(bpio_pages_dirty, bpio_pages_work);

static void bpio_pages_release_later(struct bio *bio)
{
	unsigned long flags;

	spin_lock_irqsave(&bpio_pages_lock, flags);
	bio_list_add(&bpio_pages_cleaned, bio);
	spin_unlock_irqrestore(&bpio_pages_lock, flags);
	schedule_work(&bpio_pages_dirty);
}

/**
 * bpio_pages_release() - unpin the pages of a bio that has ended, and free it
 * @bio: the bio
 * @dirty: the pages must be dirty; writeback may have cleaned them meanwhile
 *
 * Context: any.
 */
void bpio_pages_release(struct bio *bio, bool dirty)
{
	if (unlikely(dirty && !bpio_pages_are_dirty(bio))) {
		bpio_pages_release_later(bio);
		return;
	}
	bio_release_pages(bio, false);
	bio_put(bio);
}

/**
 * bpio_pages_flush() - wait for deferred work
 *
 * Context: may sleep; bpio_pages_release() is not called any more.
 */
void bpio_pages_flush(void)
{
	flush_work(&bpio_pages_dirty);
}
