// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <liburing.h>
#include <linux/aio_abi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "content.h"
#include "control.h"
#include "load.h"
#include "mapper.h"
#include "util.h"

/* A read in flight. */
struct slot {
	char		*buffer;
	size_t		length;
	uint64_t	offset;
	bool		may_fail;	/* load->may_fail when it began */
	struct iocb	iocb;		/* of libaio only */
};

static void load_fails(struct load *load, const char *why)
{
	bool expected = false;

	if (atomic_compare_exchange_strong(&load->failed, &expected, true))
		snprintf(load->why, sizeof(load->why), "%s", why);
}

static void slot_prepare(struct load_thread *thread, struct slot *slot,
			 unsigned int *random)
{
	struct load *load = thread->load;
	uint64_t units;

	*random = *random * 1103515245 + 12345;
	slot->length = ((*random >> 8) % (load->length / load->unit) + 1) *
		       load->unit;
	*random = *random * 1103515245 + 12345;
	units = (load->bytes - slot->length) / load->unit + 1;
	slot->offset = (*random >> 4) % units * load->unit;
	/* stale contents must not pass for data that was read */
	memset(slot->buffer, 0xa5, slot->length);
	slot->may_fail = load->may_fail;
	load->begun++;
}

static void slot_judge(struct load_thread *thread, struct slot *slot,
		       ssize_t result)
{
	static const char *const ways[LOAD_THREADS] = {
		"pread", "pread", "io_uring", "libaio",
	};
	struct load *load = thread->load;
	struct content_rule rule = {
		.file = load->file, .oldest = 1, .newest = 1,
	};
	char why[256], line[512];

	thread->reads++;
	if (result == -EIO && (slot->may_fail || load->may_fail)) {
		load->errors++;
		return;
	}
	if (result == (ssize_t)slot->length) {
		if (!content_check(slot->buffer, slot->length, slot->offset,
				   &rule, why, sizeof(why)))
			return;
	} else {
		snprintf(why, sizeof(why), "returned %zd, %s", result,
			 result < 0 ? strerror(-result) : "a short read");
	}
	snprintf(line, sizeof(line), "%s of %zu bytes at %llu: %s",
		 ways[thread->number], slot->length,
		 (unsigned long long)slot->offset, why);
	load_fails(load, line);
}

static bool load_goes_on(const struct load *load)
{
	return !load->stop && !load->failed;
}

static void load_pread(struct load_thread *thread, struct slot *slot,
		       unsigned int *random)
{
	ssize_t n;

	while (load_goes_on(thread->load)) {
		slot_prepare(thread, slot, random);
		n = pread(thread->load->fd, slot->buffer, slot->length,
			  slot->offset);
		slot_judge(thread, slot, n < 0 ? -errno : n);
	}
}

static void load_uring(struct load_thread *thread, struct slot *slots,
		       unsigned int *random)
{
	struct load *load = thread->load;
	struct io_uring_cqe *cqe;
	struct io_uring ring;
	unsigned int i, in_flight = 0;
	bool busy[LOAD_DEPTH] = { false };
	struct slot *slot;
	int ret;

	ret = io_uring_queue_init(LOAD_DEPTH, &ring, 0);
	if (ret) {
		load_fails(load, "no io_uring");
		return;
	}
	for (;;) {
		for (i = 0; i < LOAD_DEPTH && load_goes_on(load); i++) {
			struct io_uring_sqe *sqe;

			if (busy[i])
				continue;
			sqe = io_uring_get_sqe(&ring);
			slot_prepare(thread, &slots[i], random);
			io_uring_prep_read(sqe, load->fd, slots[i].buffer,
					   slots[i].length, slots[i].offset);
			io_uring_sqe_set_data(sqe, &slots[i]);
			busy[i] = true;
			in_flight++;
		}
		if (!in_flight)
			break;
		ret = io_uring_submit_and_wait(&ring, 1);
		while (!io_uring_peek_cqe(&ring, &cqe)) {
			slot = io_uring_cqe_get_data(cqe);
			slot_judge(thread, slot, cqe->res);
			busy[slot - slots] = false;
			in_flight--;
			io_uring_cqe_seen(&ring, cqe);
		}
		if (ret < 0 && ret != -EINTR) {
			load_fails(load, "io_uring_submit_and_wait failed");
			break;
		}
	}
	io_uring_queue_exit(&ring);
}

static int aio_submit(struct load_thread *thread, aio_context_t context,
		      struct slot *slot)
{
	struct iocb *iocb = &slot->iocb;

	memset(iocb, 0, sizeof(*iocb));
	iocb->aio_data = (uintptr_t)slot;
	iocb->aio_lio_opcode = IOCB_CMD_PREAD;
	iocb->aio_fildes = thread->load->fd;
	iocb->aio_buf = (uintptr_t)slot->buffer;
	iocb->aio_nbytes = slot->length;
	iocb->aio_offset = slot->offset;
	return syscall(SYS_io_submit, context, 1, &iocb) == 1 ? 0 : -errno;
}

static void load_aio(struct load_thread *thread, struct slot *slots,
		     unsigned int *random)
{
	struct load *load = thread->load;
	struct io_event events[LOAD_DEPTH];
	bool busy[LOAD_DEPTH] = { false };
	unsigned int i, in_flight = 0;
	aio_context_t context = 0;
	struct slot *slot;
	int n;

	if (syscall(SYS_io_setup, LOAD_DEPTH, &context)) {
		load_fails(load, "no libaio");
		return;
	}
	for (;;) {
		for (i = 0; i < LOAD_DEPTH && load_goes_on(load); i++) {
			if (busy[i])
				continue;
			slot_prepare(thread, &slots[i], random);
			n = aio_submit(thread, context, &slots[i]);
			if (n) {
				/* libaio reports some errors at submission */
				slot_judge(thread, &slots[i], n);
				continue;
			}
			busy[i] = true;
			in_flight++;
		}
		if (!in_flight && load_goes_on(load))
			continue;
		if (!in_flight)
			break;
		n = syscall(SYS_io_getevents, context, 1, LOAD_DEPTH, events,
			    NULL);
		for (i = 0; n > 0 && i < (unsigned int)n; i++) {
			slot = (struct slot *)(uintptr_t)events[i].data;
			slot_judge(thread, slot, events[i].res);
			busy[slot - slots] = false;
			in_flight--;
		}
		if (n < 0 && errno != EINTR) {
			load_fails(load, "io_getevents failed");
			break;
		}
	}
	syscall(SYS_io_destroy, context);
}

static void *load_thread(void *argument)
{
	struct load_thread *thread = argument;
	unsigned int random = 7 + 1000 * thread->number;
	struct slot slots[LOAD_DEPTH];
	unsigned int i;

	for (i = 0; i < LOAD_DEPTH; i++)
		slots[i].buffer = dio_alloc(thread->load->length);
	if (thread->number == 2)
		load_uring(thread, slots, &random);
	else if (thread->number == 3)
		load_aio(thread, slots, &random);
	else
		load_pread(thread, slots, &random);
	for (i = 0; i < LOAD_DEPTH; i++)
		free(slots[i].buffer);
	return NULL;
}

struct load load_of(int fd, uint64_t bytes, size_t length, size_t unit)
{
	return (struct load) {
		.fd = fd, .file = 1, .bytes = bytes, .length = length,
		.unit = unit,
	};
}

int load_start(struct load *load)
{
	unsigned int i;
	int ret;

	for (i = 0; i < LOAD_THREADS; i++) {
		struct load_thread *thread = &load->threads[i];

		thread->load = load;
		thread->number = i;
		ret = pthread_create(&thread->thread, NULL, load_thread,
				     thread);
		if (ret)
			return -ret;
	}
	return 0;
}

/* The deadline is for a single read, because machines differ in speed. */
static void load_await(struct load *load, const struct load_thread *thread,
		       uint64_t count)
{
	uint64_t deadline = now_ms() + DEADLINE_MS, seen = thread->reads, now;
	uint64_t target = seen + count;

	while ((now = thread->reads) < target && !load->failed) {
		if (now > seen)
			deadline = now_ms() + DEADLINE_MS;
		seen = now;
		if (!poll_again(deadline)) {
			diag("thread %u of the load stands still",
			     thread->number);
			load_fails(load, "a thread stands still");
		}
	}
}

int load_progress(struct load *load, uint64_t count)
{
	unsigned int i;

	for (i = 0; i < LOAD_THREADS; i++)
		load_await(load, &load->threads[i], count);
	if (load->failed)
		diag("%s", load->why);
	return load->failed ? -1 : 0;
}

int load_direct(struct load *load)
{
	uint64_t deadline = now_ms() + DEADLINE_MS;
	uint64_t before = file_direct(load->fd);
	struct bpio_file_info info;

	do {
		if (file_direct(load->fd) > before + LOAD_IN_FLIGHT)
			return 0;
	} while (!load->failed && poll_again(deadline));
	if (load->failed) {
		diag("%s", load->why);
		return -EIO;
	}
	if (file_info(load->fd, &info))
		return -EIO;
	diag("no direct reads within %d ms: armed %u, reason %s", DEADLINE_MS,
	     info.armed, reason_token(info.reason));
	return -ETIMEDOUT;
}

int load_stop(struct load *load)
{
	unsigned int i;

	load->stop = true;
	for (i = 0; i < LOAD_THREADS; i++)
		pthread_join(load->threads[i].thread, NULL);
	if (!load->failed)
		return 0;
	diag("%s", load->why);
	return -1;
}

void load_watch(const struct load *load, struct load_watch *watch,
		const char *filter)
{
	watch->filter = filter;
	watch->begun[0] = load->begun;
	watch->seen = filter_reads(filter);
	watch->begun[1] = load->begun;
}

int load_was_seen(struct load *load, const struct load_watch *watch)
{
	uint64_t seen, least, most;
	int ret;

	ret = load_progress(load, 20) | load_stop(load);
	seen = filter_reads(watch->filter) - watch->seen;
	/* reads that began before @seen was read may be included in it or not */
	least = load->begun - watch->begun[1];
	most = load->begun - watch->begun[0] + LOAD_IN_FLIGHT;
	if (seen >= least && seen <= most && !load->errors)
		return ret;
	diag("%s has seen %llu reads, not %llu to %llu; %llu failed",
	     watch->filter, (unsigned long long)seen, (unsigned long long)least,
	     (unsigned long long)most, (unsigned long long)load->errors);
	return -1;
}

int load_all_direct(struct load *load, uint64_t count)
{
	struct bpio_file_info before, after;
	uint64_t direct;

	if (file_info(load->fd, &before) || load_start(load))
		return -1;
	if (load_progress(load, count) | load_stop(load) ||
	    file_info(load->fd, &after))
		return -1;
	direct = after.direct_reads - before.direct_reads;
	if (direct == load->begun && !after.fallback_reads)
		return 0;
	diag("of %llu reads %llu were direct, and %llu fell back",
	     (unsigned long long)load->begun, (unsigned long long)direct,
	     (unsigned long long)after.fallback_reads);
	return -1;
}
