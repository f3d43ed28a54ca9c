// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages of a mapped file that are pinned as the buffer of a read. They become dirty when
 * that read completes, which may be long after the mapping and the descriptor are gone, so
 * when the file has no visible writer.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/aio_abi.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "change.h"
#include "content.h"
#include "control.h"
#include "mapper.h"
#include "util.h"

#define SLOW		"change-slow"
#define SLOW_START	MIB_SECTORS(1600)

struct pinned {
	int		source;		/* on SLOW, with the next generation */
	char		*map;
	aio_context_t	aio;
	struct io_uring	ring;
	bool		registered;
};

static int source_create(struct change *c, struct pinned *p)
{
	char *fresh = dio_alloc(CHANGE_BYTES);
	int ret;

	ret = dm_create_one(SLOW, "linear", c->device, SLOW_START,
			    CHANGE_BYTES / 512, "");
	if (ret)
		return ret;
	p->source = open(dm_node(SLOW), O_RDWR | O_DIRECT | O_CLOEXEC);
	content_fill(fresh, CHANGE_BYTES, CHANGE_FILE, 0, c->readers.newest + 1);
	if (pwrite(p->source, fresh, CHANGE_BYTES, 0) != CHANGE_BYTES)
		ret = -EIO;
	free(fresh);
	return ret;
}

static int map_file(struct change *c, struct pinned *p)
{
	int fd = open(c->path, O_RDWR | O_CLOEXEC);

	p->map = mmap(NULL, CHANGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		      0);
	close(fd);
	return p->map == MAP_FAILED ? -ENOMEM : 0;
}

static int read_by_aio(struct pinned *p)
{
	struct iocb iocb = {
		.aio_lio_opcode = IOCB_CMD_PREAD, .aio_fildes = p->source,
		.aio_buf = (uintptr_t)p->map, .aio_nbytes = CHANGE_BYTES,
	}, *pointer = &iocb;

	if (syscall(SYS_io_setup, 1, &p->aio) ||
	    syscall(SYS_io_submit, p->aio, 1, &pointer) != 1)
		return -errno;
	return 0;
}

static int read_by_ring(struct pinned *p)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&p->ring);

	io_uring_prep_read_fixed(sqe, p->source, p->map, CHANGE_BYTES, 0, 0);
	return io_uring_submit(&p->ring) == 1 ? 0 : -EIO;
}

/* Returns the bytes that were read, or a negative errno. */
static int wait_for_read(struct pinned *p)
{
	struct io_uring_cqe *cqe;
	struct io_event event;
	int ret;

	if (!p->registered) {
		ret = syscall(SYS_io_getevents, p->aio, 1, 1, &event, NULL);
		syscall(SYS_io_destroy, p->aio);
		return ret == 1 ? (int)event.res : -EIO;
	}
	ret = io_uring_wait_cqe(&p->ring, &cqe);
	ret = ret ?: cqe->res;
	io_uring_queue_exit(&p->ring);
	return ret;
}

/* Although the pages are pinned, the file is armed again, as it has no writer. */
static int pages_become_dirty(struct change *c, struct pinned *p)
{
	int ret = change_wait_direct(c);

	c->readers.newest++;
	if (dm_resume(SLOW) || wait_for_read(p) != CHANGE_BYTES)
		ret = -EIO;
	/* a worker marks the pages, perhaps a moment later */
	ret = ret ?: change_wait_counted(c, BPIO_REASON_DIRTY_PAGES);
	c->readers.oldest++;
	return ret;
}

static int register_buffer(struct change *c, struct pinned *p)
{
	struct iovec iov = { .iov_base = p->map, .iov_len = CHANGE_BYTES };
	int ret = io_uring_queue_init(1, &p->ring, 0);

	if (ret) {
		c->cannot = "the kernel has no io_uring";
		return ret;
	}
	ret = io_uring_register_buffers(&p->ring, &iov, 1);
	if (!ret)
		return 0;
	io_uring_queue_exit(&p->ring);
	if (ret == -EOPNOTSUPP || ret == -EFAULT)
		c->cannot = "the kernel registers no buffer in a mapped file";
	return ret;
}

static int read_into_mapping(struct change *c, struct pinned *p)
{
	int ret = map_file(c, p);

	if (!ret && p->registered)
		ret = register_buffer(c, p);
	if (!ret) {
		ret = dm_suspend(SLOW);
		ret = ret ?: p->registered ? read_by_ring(p) : read_by_aio(p);
	}
	if (p->map != MAP_FAILED)
		munmap(p->map, CHANGE_BYTES);
	return ret ?: pages_become_dirty(c, p);
}

static int pinned(struct change *c, bool registered)
{
	struct pinned p = { .source = -1, .registered = registered };
	int ret = source_create(c, &p);

	ret = ret ?: read_into_mapping(c, &p);
	/* needed if the test failed while the device was suspended */
	dm_resume(SLOW);
	close(p.source);
	return dm_remove(SLOW) ?: ret;
}

int change_pinned_by_direct_io(struct change *c)
{
	return pinned(c, false);
}

int change_pinned_by_ring(struct change *c)
{
	return pinned(c, true);
}
