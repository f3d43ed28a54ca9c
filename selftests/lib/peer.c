// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "content.h"
#include "peer.h"
#include "util.h"

const char *peer_missing(void)
{
	const char *file = getenv("BPIO_PEER_MEMORY");

	if (!file)
		return "no memory of a PCI device in BPIO_PEER_MEMORY: the kernel "
		       "or the emulator has none (CONFIG_PCI_P2PDMA)";
	return access(file, R_OK | W_OK) ?
	       "the file in BPIO_PEER_MEMORY is not there" : NULL;
}

void *peer_map(void *where, size_t bytes)
{
	int fd = open(getenv("BPIO_PEER_MEMORY"), O_RDWR | O_CLOEXEC);
	void *peer = mmap(where, bytes, PROT_READ | PROT_WRITE,
			  MAP_SHARED | (where ? MAP_FIXED : 0), fd, 0);

	if (peer == MAP_FAILED) {
		diag("%zu bytes of peer memory: %s", bytes, strerror(errno));
		abort();
	}
	close(fd);
	return peer;
}

int peer_is(const void *peer, size_t bytes, uint64_t offset, uint32_t file,
	    uint32_t generation)
{
	const uint64_t *from = peer;
	uint64_t *copy = malloc(bytes);
	size_t i;
	int ret;

	/* word by word, because device memory may be slow and allow no other access */
	for (i = 0; i < bytes / sizeof(*copy); i++)
		copy[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
	ret = content_is(copy, bytes, offset, file, generation);
	free(copy);
	return ret;
}
