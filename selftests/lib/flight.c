// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "content.h"
#include "flight.h"
#include "mapper.h"
#include "util.h"

#define BLOCK	4096

int flight_start(struct flight *flight, int fd, const char *slow)
{
	uint64_t deadline = now_ms() + DEADLINE_MS;
	int ret, i;

	ret = io_uring_queue_init(FLIGHT_READS, &flight->ring, 0);
	if (ret)
		return ret;
	flight->slow = slow;
	flight->buffer = dio_alloc(FLIGHT_READS * BLOCK);
	memset(flight->buffer, 0xa5, FLIGHT_READS * BLOCK);
	/* not adjacent to each other, or the block layer would merge them */
	for (i = 0; i < FLIGHT_READS; i++) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&flight->ring);

		io_uring_prep_read(sqe, fd, flight->buffer + i * BLOCK, BLOCK,
				   (uint64_t)2 * i * BLOCK);
		io_uring_sqe_set_data64(sqe, i);
		/* "delay" does not accept reads with REQ_NOWAIT */
		io_uring_sqe_set_flags(sqe, IOSQE_ASYNC);
	}
	ret = io_uring_submit(&flight->ring);
	if (ret != FLIGHT_READS)
		return ret < 0 ? ret : -EIO;
	do {
		if (flight_left(flight) == FLIGHT_READS)
			return 0;
	} while (poll_again(deadline));
	diag("%d reads in flight, not %d", flight_left(flight), FLIGHT_READS);
	return -ETIMEDOUT;
}

int flight_left(const struct flight *flight)
{
	uint64_t reads = delay_reads(flight->slow);

	return reads == UINT64_MAX ? -EIO : (int)reads;
}

int flight_end(struct flight *flight, uint32_t file)
{
	struct io_uring_cqe *cqe;
	int i, ret = 0;

	for (i = 0; i < FLIGHT_READS; i++) {
		uint64_t n;

		if (io_uring_wait_cqe(&flight->ring, &cqe))
			return -1;
		n = cqe->user_data;
		if (cqe->res != BLOCK) {
			diag("a read in flight returned %d", cqe->res);
			ret = -1;
		} else if (content_is(flight->buffer + n * BLOCK, BLOCK,
				      2 * n * BLOCK, file, 1)) {
			ret = -1;
		}
		io_uring_cqe_seen(&flight->ring, cqe);
	}
	io_uring_queue_exit(&flight->ring);
	free(flight->buffer);
	return ret;
}
