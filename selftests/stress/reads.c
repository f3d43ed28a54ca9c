// SPDX-License-Identifier: GPL-2.0-only
/*
 * Threads that read enabled files in every way and judge what they get.
 */
#include <errno.h>
#include <liburing.h>
#include <linux/aio_abi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "control.h"
#include "stress.h"

#define DEPTH	8
#define LARGEST	(1024 * 1024)

/* A read. */
struct slot {
	const char	*way;
	struct dice	*dice;
	char		*buffer;
	struct file	*file;		/* NULL when idle */
	struct window	window;
	struct iocb	iocb;		/* of libaio only */
};

/* Mostly small reads; large ones take long to judge. */
static size_t length_of_read(struct dice *dice)
{
	static const size_t lengths[] = {
		4096, 4096, 4096, 4096, 4096, 8192, 8192, 16384, 16384, 65536,
	};

	if (!roll(dice, 200))
		return LARGEST;
	if (!roll(dice, 50))
		return 256 * 1024;
	return lengths[roll(dice, sizeof(lengths) / sizeof(*lengths))];
}

static void slot_init(struct slot *slot, const char *way, struct dice *dice)
{
	memset(slot, 0, sizeof(*slot));
	slot->way = way;
	slot->dice = dice;
	slot->buffer = dio_alloc(LARGEST + BLOCK);
}

/*
 * Usually read slowly while a file is empty or not armed. Without a delay the file
 * system would serve thousands of such reads per second, and they prove little. The
 * size in the model does not tell: a change that has shortened the file may not be
 * done yet because it waits for a suspended volume.
 */
static void wait_for_bypass(const struct file *file, struct dice *dice)
{
	struct bpio_file_info info;

	if (!roll(dice, 8))
		return;
	if (file->at_end ||
	    (file->slot != stress.chase.slot &&
	     !file_info(file->fd, &info) && !info.armed))
		usleep(20000);
}

static void slot_begin(struct slot *slot)
{
	slot->file = file_for_reader(slot->dice);
	wait_for_bypass(slot->file, slot->dice);
	slot->file->in_flight++;
	model_choose(&slot->file->model, roll(slot->dice, 1u << 30),
		     length_of_read(slot->dice), &slot->window);
	/* stale contents must not pass for data that was read */
	memset(slot->buffer, 0xa5, slot->window.bytes);
}

static void slot_end(struct slot *slot, ssize_t result)
{
	char why[900];
	int ret;

	slot->file->in_flight--;
	slot->file->at_end = !result;
	ret = model_judge(&slot->file->model, &slot->window, slot->buffer,
			  result, why, sizeof(why));
	if (ret > 0)
		stress.counters.unknown++;
	else
		stress.counters.judged++;
	if (ret < 0)
		violation("%s of %zu bytes at %llu of file %u: %s", slot->way,
			  slot->window.bytes,
			  (unsigned long long)slot->window.offset,
			  slot->file->id, why);
	file_put(slot->file);
	slot->file = NULL;
}

void *read_pread(void *name)
{
	struct dice dice;
	struct slot slot;
	ssize_t n;

	dice_init(&dice, name);
	slot_init(&slot, name, &dice);
	while (goes_on()) {
		slot_begin(&slot);
		n = pread(slot.file->fd, slot.buffer, slot.window.bytes,
			  slot.window.offset);
		slot_end(&slot, n < 0 ? -errno : n);
	}
	free(slot.buffer);
	return NULL;
}

static unsigned int uring_fill(struct io_uring *ring, struct slot *slots,
			       unsigned int depth)
{
	unsigned int i, in_flight = 0;

	for (i = 0; i < depth; i++) {
		struct slot *slot = &slots[i];
		struct io_uring_sqe *sqe;

		if (!slot->file && goes_on()) {
			sqe = io_uring_get_sqe(ring);
			slot_begin(slot);
			io_uring_prep_read(sqe, slot->file->fd, slot->buffer,
					   slot->window.bytes,
					   slot->window.offset);
			io_uring_sqe_set_data(sqe, slot);
		}
		in_flight += !!slot->file;
	}
	return in_flight;
}

static void uring_run(const char *name, unsigned int flags, unsigned int depth)
{
	struct slot slots[DEPTH];
	struct io_uring_cqe *cqe;
	struct io_uring ring;
	struct dice dice;
	unsigned int i;
	int ret;

	dice_init(&dice, name);
	if (io_uring_queue_init(DEPTH, &ring, flags)) {
		broken("there is no io_uring");
		return;
	}
	for (i = 0; i < depth; i++)
		slot_init(&slots[i], name, &dice);
	while (uring_fill(&ring, slots, depth)) {
		ret = io_uring_submit_and_wait(&ring, 1);
		if (ret < 0 && ret != -EINTR && ret != -EAGAIN) {
			broken("%s: io_uring_submit_and_wait: %s", name,
			       strerror(-ret));
			break;
		}
		while (!io_uring_peek_cqe(&ring, &cqe)) {
			slot_end(io_uring_cqe_get_data(cqe), cqe->res);
			io_uring_cqe_seen(&ring, cqe);
		}
	}
	io_uring_queue_exit(&ring);
	for (i = 0; i < depth; i++)
		free(slots[i].buffer);
}

void *read_uring(void *name)
{
	uring_run(name, 0, DEPTH);
	return NULL;
}

void *read_polled(void *name)
{
	uring_run(name, IORING_SETUP_IOPOLL, 2);
	return NULL;
}

static int aio_submit(aio_context_t context, struct slot *slot)
{
	struct iocb *iocb = &slot->iocb;

	memset(iocb, 0, sizeof(*iocb));
	iocb->aio_data = (uintptr_t)slot;
	iocb->aio_lio_opcode = IOCB_CMD_PREAD;
	iocb->aio_fildes = slot->file->fd;
	iocb->aio_buf = (uintptr_t)slot->buffer;
	iocb->aio_nbytes = slot->window.bytes;
	iocb->aio_offset = slot->window.offset;
	return syscall(SYS_io_submit, context, 1, &iocb) == 1 ? 0 : -errno;
}

static unsigned int aio_fill(aio_context_t context, struct slot *slots)
{
	unsigned int i, in_flight = 0;
	int ret;

	for (i = 0; i < DEPTH; i++) {
		if (!slots[i].file && goes_on()) {
			slot_begin(&slots[i]);
			ret = aio_submit(context, &slots[i]);
			if (ret)
				slot_end(&slots[i], ret);
		}
		in_flight += !!slots[i].file;
	}
	return in_flight;
}

void *read_aio(void *name)
{
	struct io_event events[DEPTH];
	aio_context_t context = 0;
	struct slot slots[DEPTH];
	struct dice dice;
	int i, n;

	dice_init(&dice, name);
	if (syscall(SYS_io_setup, DEPTH, &context)) {
		broken("there is no libaio");
		return NULL;
	}
	for (i = 0; i < DEPTH; i++)
		slot_init(&slots[i], name, &dice);
	while (aio_fill(context, slots)) {
		n = syscall(SYS_io_getevents, context, 1, DEPTH, events, NULL);
		for (i = 0; i < n; i++)
			slot_end((struct slot *)(uintptr_t)events[i].data,
				 events[i].res);
	}
	syscall(SYS_io_destroy, context);
	for (i = 0; i < DEPTH; i++)
		free(slots[i].buffer);
	return NULL;
}
