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

/* NULL, or a sentence that says why there is no such memory. */
const char *peer_missing(void);

/*
 * Map @bytes of it, a multiple of the page size, at @where or, if that is NULL, anywhere.
 * Never NULL. Unmap it, or none may be left for the next process.
 */
void *peer_map(void *where, size_t bytes);

/* Like content_is(), for @bytes of such memory, a multiple of 8. */
int peer_is(const void *peer, size_t bytes, uint64_t offset, uint32_t file,
	    uint32_t generation);

#endif /* SELFTESTS_PEER_H */
