// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <libaio.h>
#include <liburing.h>
#include <linux/nvme_ioctl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "bench.h"
#include "engine.h"

/* From the NVMe specification; <linux/nvme.h> is not for user space. */
#define NVME_READ	0x02

static void check(const struct reader *reader, uint64_t offset, long result)
{
	if (result < 0)
		die("read at offset %llu: %s", (unsigned long long)offset,
		    strerror(-result));
	if ((size_t)result != reader->bs)
		die("read at offset %llu returned %ld bytes, not %zu",
		    (unsigned long long)offset, result, reader->bs);
}

static void pread_open(struct reader *reader)
{
	(void)reader;
}

static void pread_read(struct reader *reader, const uint64_t *offsets)
{
	ssize_t ret = pread(reader->fd, reader->buffers[0], reader->bs,
			    offsets[0]);

	check(reader, offsets[0], ret < 0 ? -errno : ret);
}

static void pread_close(struct reader *reader)
{
	(void)reader;
}

/**
 * struct uring - state of the io_uring engines
 * @ring: the ring
 * @fixed: buffers and file are registered
 * @nsid: ID of the NVMe namespace to send commands to; 0 to read
 */
struct uring {
	struct io_uring	ring;
	bool		fixed;
	int		nsid;
};

static void uring_register(struct reader *reader, struct uring *uring)
{
	struct iovec iovecs[ENGINE_MAX_DEPTH];
	unsigned int i;
	int ret;

	for (i = 0; i < reader->depth; i++) {
		iovecs[i].iov_base = reader->buffers[i];
		iovecs[i].iov_len = reader->bs;
	}
	ret = io_uring_register_buffers(&uring->ring, iovecs, reader->depth);
	if (!ret)
		ret = io_uring_register_files(&uring->ring, &reader->fd, 1);
	if (ret)
		die("io_uring: buffers or file cannot be registered: %s",
		    strerror(-ret));
}

static struct uring *uring_setup(struct reader *reader, bool fixed,
				 unsigned int flags)
{
	struct uring *uring = calloc(1, sizeof(*uring));
	int ret;

	if (!uring)
		die("no memory");
	ret = io_uring_queue_init(reader->depth, &uring->ring, flags);
	if (ret)
		die("io_uring cannot be set up: %s", strerror(-ret));
	uring->fixed = fixed;
	reader->state = uring;
	if (fixed)
		uring_register(reader, uring);
	return uring;
}

static void uring_open(struct reader *reader)
{
	uring_setup(reader, false, 0);
}

static void uring_fixed_open(struct reader *reader)
{
	uring_setup(reader, true,
		    IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
}

static void uring_poll_open(struct reader *reader)
{
	uring_setup(reader, true,
		    IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
		    IORING_SETUP_IOPOLL);
}

static void uring_cmd_open(struct reader *reader)
{
	int nsid = ioctl(reader->fd, NVME_IOCTL_ID);
	struct uring *uring;

	if (nsid < 0)
		die("not an NVMe character device: %s", strerror(errno));
	if (reader->bs % reader->lba)
		die("--bs %zu is no multiple of the logical block %zu",
		    reader->bs, reader->lba);
	uring = uring_setup(reader, true,
			    IORING_SETUP_SINGLE_ISSUER |
			    IORING_SETUP_DEFER_TASKRUN |
			    IORING_SETUP_SQE128 | IORING_SETUP_CQE32);
	uring->nsid = nsid;
}

static void uring_prepare_cmd(const struct reader *reader,
			      const struct uring *uring,
			      struct io_uring_sqe *sqe, unsigned int i,
			      uint64_t offset)
{
	struct nvme_uring_cmd *cmd = (struct nvme_uring_cmd *)sqe->cmd;
	uint64_t block = offset / reader->lba;

	/* liburing clears half of an entry of this size only */
	memset(sqe, 0, 2 * sizeof(*sqe));
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->flags = IOSQE_FIXED_FILE;
	sqe->cmd_op = NVME_URING_CMD_IO;
	sqe->uring_cmd_flags = IORING_URING_CMD_FIXED;
	sqe->buf_index = i;
	cmd->opcode = NVME_READ;
	cmd->nsid = uring->nsid;
	cmd->addr = (uintptr_t)reader->buffers[i];
	cmd->data_len = reader->bs;
	cmd->cdw10 = (uint32_t)block;
	cmd->cdw11 = block >> 32;
	cmd->cdw12 = reader->bs / reader->lba - 1;
}

static void uring_prepare(struct reader *reader, struct uring *uring,
			  unsigned int i, uint64_t offset)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&uring->ring);

	if (uring->nsid) {
		uring_prepare_cmd(reader, uring, sqe, i, offset);
	} else if (uring->fixed) {
		io_uring_prep_read_fixed(sqe, 0, reader->buffers[i],
					 reader->bs, offset, i);
		sqe->flags |= IOSQE_FIXED_FILE;
	} else {
		io_uring_prep_read(sqe, reader->fd, reader->buffers[i],
				   reader->bs, offset);
	}
	sqe->user_data = i;
}

static void uring_read(struct reader *reader, const uint64_t *offsets)
{
	struct uring *uring = reader->state;
	struct io_uring_cqe *cqe;
	unsigned int i, head, seen = 0;
	int ret;

	for (i = 0; i < reader->depth; i++)
		uring_prepare(reader, uring, i, offsets[i]);
	ret = io_uring_submit_and_wait(&uring->ring, reader->depth);
	if (ret != (int)reader->depth)
		die("io_uring took %d of %u reads", ret, reader->depth);
	while (seen < reader->depth) {
		ret = io_uring_wait_cqe(&uring->ring, &cqe);
		if (ret)
			die("io_uring: %s", strerror(-ret));
		i = 0;
		io_uring_for_each_cqe(&uring->ring, head, cqe) {
			/* a command returns its status, 0 for success */
			check(reader, offsets[cqe->user_data],
			      uring->nsid && !cqe->res ? (long)reader->bs :
							 cqe->res);
			i++;
		}
		io_uring_cq_advance(&uring->ring, i);
		seen += i;
	}
}

static void uring_close(struct reader *reader)
{
	struct uring *uring = reader->state;

	/* A ring releases its registered file some time after the ring is closed. */
	if (uring->fixed) {
		io_uring_unregister_files(&uring->ring);
		io_uring_unregister_buffers(&uring->ring);
	}
	io_uring_queue_exit(&uring->ring);
	free(uring);
}

static void aio_open(struct reader *reader)
{
	io_context_t context = NULL;
	int ret = io_setup(reader->depth, &context);

	if (ret)
		die("io_setup: %s", strerror(-ret));
	reader->state = context;
}

static void aio_read(struct reader *reader, const uint64_t *offsets)
{
	struct iocb iocbs[ENGINE_MAX_DEPTH], *submit[ENGINE_MAX_DEPTH];
	struct io_event events[ENGINE_MAX_DEPTH];
	unsigned int i;
	int ret;

	for (i = 0; i < reader->depth; i++) {
		submit[i] = &iocbs[i];
		io_prep_pread(submit[i], reader->fd, reader->buffers[i],
			      reader->bs, offsets[i]);
		iocbs[i].data = (void *)(uintptr_t)i;
	}
	ret = io_submit(reader->state, reader->depth, submit);
	if (ret != (int)reader->depth)
		die("io_submit took %d of %u reads", ret, reader->depth);
	ret = io_getevents(reader->state, reader->depth, reader->depth, events,
			   NULL);
	if (ret != (int)reader->depth)
		die("io_getevents returned %d of %u reads", ret, reader->depth);
	for (i = 0; i < reader->depth; i++)
		check(reader, offsets[(uintptr_t)events[i].data], events[i].res);
}

static void aio_close(struct reader *reader)
{
	io_destroy(reader->state);
}

static const struct engine engines[] = {
	{
		.name = "pread",
		.max_depth = 1,
		.direct = true,
		.open = pread_open,
		.read = pread_read,
		.close = pread_close,
	},
	{
		.name = "pread-cached",
		.max_depth = 1,
		.cached = true,
		.open = pread_open,
		.read = pread_read,
		.close = pread_close,
	},
	{
		.name = "uring",
		.max_depth = ENGINE_MAX_DEPTH,
		.direct = true,
		.open = uring_open,
		.read = uring_read,
		.close = uring_close,
	},
	{
		.name = "uring-fixed",
		.max_depth = ENGINE_MAX_DEPTH,
		.direct = true,
		.open = uring_fixed_open,
		.read = uring_read,
		.close = uring_close,
	},
	{
		.name = "uring-poll",
		.max_depth = ENGINE_MAX_DEPTH,
		.direct = true,
		.open = uring_poll_open,
		.read = uring_read,
		.close = uring_close,
	},
	{
		.name = "uring-cmd",
		.max_depth = ENGINE_MAX_DEPTH,
		.open = uring_cmd_open,
		.read = uring_read,
		.close = uring_close,
	},
	{
		.name = "aio",
		.max_depth = ENGINE_MAX_DEPTH,
		.direct = true,
		.open = aio_open,
		.read = aio_read,
		.close = aio_close,
	},
};

const struct engine *engine_find(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(engines); i++)
		if (!strcmp(engines[i].name, name))
			return &engines[i];
	die("no engine '%s'; there are: %s", name, engine_names());
}

const char *engine_names(void)
{
	static char names[128];
	size_t i;

	names[0] = 0;
	for (i = 0; i < ARRAY_SIZE(engines); i++) {
		strcat(names, i ? " " : "");
		strcat(names, engines[i].name);
	}
	return names;
}
