/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory of a PCI device, which other PCI devices can transfer to.
 *
 * The file that is mapped for it is named by the environment: BPIO_PEER_MEMORY, of
 * the controller of the first NVMe namespace.
 */
#ifndef SELFTESTS_PEER_H
#define SELFTESTS_PEER_H

#include <stddef.h>
#include <stdint.h>

/* NULL, or a sentence why there is no such memory. */
const char *peer_missing(void);

/*
 * @bytes of it, a multiple of the page size, at @where or, when that is NULL,
 * anywhere. Never NULL. To be unmapped, or the next process finds none left.
 */
void *peer_map(void *where, size_t bytes);

/* As content_is(), for @bytes of it, a multiple of 8. */
int peer_is(const void *peer, size_t bytes, uint64_t offset, uint32_t file,
	    uint32_t generation);

#endif /* SELFTESTS_PEER_H */
