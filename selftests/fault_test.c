// SPDX-License-Identifier: GPL-2.0-only
/*
 * Failures during a call: of its first allocation, its second, and so on until none is
 * left. The call succeeds, or fails with a matching errno and has no effect.
 *
 * Allocations of device-mapper, the file system or io_uring fail as well; the tests do
 * not distinguish them.
 */
#include <fcntl.h>
#include <liburing.h>
#include <linux/aio_abi.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "fault.h"
#include "mapper.h"
#include "program.h"

#define BLOCK		4096
#define PIECES		32
#define BYTES		(PIECES * BLOCK)
/* Far more than any of the calls asks for. */
#define STEPS		3000
#define LAYERS_ROOM	16

static struct volume volume;
static const char *unavailable;
/* "file" is whole, "pieces" has an extent for each block, "other" is unknown. */
static char path[192], pieces[192], other[192];

static int program_setup(void)
{
	int ret = module_load("dm-bpio-filter") ?:
		  volume_ext4(&volume, "fault", devices.nvme, 2048,
			      MIB_SECTORS(64));

	if (ret)
		return ret;
	snprintf(path, sizeof(path), "%s", volume_path(&volume, "file"));
	snprintf(pieces, sizeof(pieces), "%s", volume_path(&volume, "pieces"));
	snprintf(other, sizeof(other), "%s", volume_path(&volume, "other"));
	unavailable = fault_unavailable();
	return file_create(path, BYTES, 1) ?:
	       file_create_fragmented(pieces, PIECES, BLOCK, 2) ?:
	       file_create(other, BYTES, 3) ?:
	       (unavailable ? 0 : fault_setup());
}

static int program_cleanup(void)
{
	if (!unavailable)
		fault_cleanup();
	return volume_remove(&volume);
}

/* A step: what the call is given, and what is left of it. */
struct step {
	const char	*path;		/* "file", or "other" */
	int		fd;		/* of that, not enabled at first */
	int		other;		/* of "pieces", enabled */
	int		first;		/* of "file", enabled */
	int		node;
	int		new_node;	/* or -1 */
	char		*buffer;
};

/* What a step is of; @call returns 0 or a negative errno. */
FIXTURE_VARIANT(step) {
	int	(*prepare)(struct step *step);
	int	(*call)(struct step *step);
	int	(*undo)(struct step *step);
	bool	enables;	/* "fd", if it succeeds */
	bool	may_succeed;	/* whatever fails */
	bool	of_other;	/* which nobody has enabled */
};

FIXTURE(step) {
	struct step	step;
};

#define STEP(name, ...) \
	FIXTURE_VARIANT_ADD(step, name) { __VA_ARGS__ }

static int enable(struct step *step)
{
	return fs_enable(volume.fd, step->fd);
}

/* With all that ENABLE has made: what is only disabled keeps it. */
static int reopen(struct step *step)
{
	close(step->fd);
	step->fd = file_open_direct(step->path);
	return step->fd < 0 ? step->fd : 0;
}

STEP(enable, .call = enable, .undo = reopen, .enables = true);

FIXTURE_VARIANT_ADD(step, enable_of_another_file) {
	.call = enable, .undo = reopen, .enables = true, .of_other = true,
};

static int enable_by_node(struct step *step)
{
	return node_enable(step->node, step->fd);
}

FIXTURE_VARIANT_ADD(step, enable_by_the_node) {
	.call = enable_by_node, .undo = reopen, .enables = true,
	.of_other = true,
};

static int open_node(struct step *step)
{
	step->new_node = node_open();
	return step->new_node < 0 ? step->new_node : 0;
}

static int close_node(struct step *step)
{
	int ret = step->new_node < 0 ? 0 : close(step->new_node);

	step->new_node = -1;
	return ret;
}

STEP(open_of_the_node, .call = open_node, .undo = close_node);

static int ask_tally(struct step *step)
{
	struct bpio_tally tally;
	int ret = tally_read(step->node, &tally);

	if (ret)
		return ret;
	return tally.files || tally.refused ? -EPROTO : 0;
}

STEP(tally, .call = ask_tally);

static int disable(struct step *step)
{
	return fs_disable(volume.fd, step->fd);
}

STEP(disable, .prepare = enable, .call = disable, .undo = reopen);

static int query_all_layers(struct step *step)
{
	union {
		struct fs_bpio_stack	stack;
		char			room[LAYERS_ROOM *
					     sizeof(struct bpio_layer_info)];
	} out = {};
	struct fs_bpio_input in = {
		.operation = FS_BPIO_OP_QUERY, .fd = step->fd,
		.in_flags = FS_BPIO_INFL_ALL_LAYERS,
	};
	struct bpio_ioctl envelope = {
		.size = sizeof(envelope), .in_buffer = (uintptr_t)&in,
		.out_buffer = (uintptr_t)&out, .in_length = sizeof(in),
		.out_length = sizeof(out),
	};

	if (ioctl(volume.fd, FSCTL_MANAGE_BYPASS_IO, &envelope))
		return -errno;
	if (out.stack.output.query.op_status)
		return out.stack.output.query.op_status;
	return out.stack.layers == out.stack.written && out.stack.layers ?
		0 : -EPROTO;
}

STEP(query_of_all_layers, .call = query_all_layers);

static int get_info(struct step *step)
{
	struct fs_bpio_info info;
	int ret = fs_info(volume.fd, &info);

	(void)step;
	if (ret)
		return ret;
	return info.active_count == 2 && info.storage_major ? 0 : -EPROTO;
}

STEP(get_info, .call = get_info);

static int give_up_map(const char *file)
{
	int fd = open(file, O_WRONLY | O_CLOEXEC);

	return fd < 0 ? -errno : close(fd);
}

static int revoke_pieces(struct step *step)
{
	(void)step;
	return give_up_map(pieces);
}

static int arm(struct step *step)
{
	struct bpio_file_arm arm;
	int ret = file_arm(step->other, &arm);

	if (ret || arm.armed)
		return ret;
	return arm.reason == BPIO_REASON_NO_MEMORY ||
	       arm.reason == BPIO_REASON_LEASE ||
	       arm.reason == BPIO_REASON_NOT_ARMED ||
	       arm.reason == BPIO_REASON_REVOKED ? -ENOMEM : -EPROTO;
}

STEP(arming, .prepare = revoke_pieces, .call = arm, .may_succeed = true);

static int file_op(struct step *step, uint32_t operation)
{
	struct fs_bpio_output out;

	return fs_op(volume.fd, operation, step->other, &out);
}

static int pause_stream(struct step *step)
{
	return file_op(step, FS_BPIO_OP_STREAM_PAUSE);
}

static int resume_stream(struct step *step)
{
	return file_op(step, FS_BPIO_OP_STREAM_RESUME);
}

static int pause_volume(struct step *step)
{
	return file_op(step, FS_BPIO_OP_VOLUME_STACK_PAUSE);
}

static int resume_volume(struct step *step)
{
	return file_op(step, FS_BPIO_OP_VOLUME_STACK_RESUME);
}

STEP(pause_of_a_file, .call = pause_stream, .undo = resume_stream);
STEP(resume_of_a_file, .prepare = pause_stream, .call = resume_stream);
STEP(pause_of_the_volume, .call = pause_volume, .undo = resume_volume);
STEP(resume_of_the_volume, .prepare = pause_volume, .call = resume_volume);

static int set_bypass(bool enabled)
{
	struct bpio_output out;

	return storage_op(volume.fd, enabled ? BPIO_OP_ENABLE : BPIO_OP_DISABLE,
			  &out);
}

static int bypass_all(struct step *step)
{
	(void)step;
	return set_bypass(true);
}

static int bypass_none(struct step *step)
{
	(void)step;
	return set_bypass(false);
}

STEP(bypass_of_the_volume, .call = bypass_all, .undo = bypass_none);
STEP(end_of_the_bypass, .prepare = bypass_all, .call = bypass_none);

/* Bytes read, or a negative errno, into 0 or a negative errno. */
static int judge_read(struct step *step, ssize_t got, size_t asked,
		      uint32_t file)
{
	if (got < 0)
		return got;
	if (!got)
		return -EPROTO;
	if (content_is(step->buffer, got, 0, file, 1))
		return -EPROTO;
	return (size_t)got == asked ? 0 : -ENOMEM;
}

static int read_file(struct step *step, int fd, size_t bytes, uint32_t file)
{
	ssize_t got = pread(fd, step->buffer, bytes, 0);

	return judge_read(step, got < 0 ? -errno : got, bytes, file);
}

static int read_one_bio(struct step *step)
{
	return read_file(step, step->first, BLOCK, 1);
}

static int read_many_bios(struct step *step)
{
	return read_file(step, step->other, BYTES, 2);
}

static int read_the_volume(struct step *step)
{
	return read_file(step, step->fd, BYTES, 1);
}

STEP(read_of_one_bio, .call = read_one_bio, .may_succeed = true);
STEP(read_of_many_bios, .call = read_many_bios, .may_succeed = true);
FIXTURE_VARIANT_ADD(step, read_that_falls_back) {
	.prepare = pause_volume, .call = read_many_bios, .undo = resume_volume,
	.may_succeed = true,
};

FIXTURE_VARIANT_ADD(step, read_by_the_bypassed_volume) {
	.prepare = bypass_all, .call = read_the_volume, .undo = bypass_none,
	.may_succeed = true,
};

/* Only the submission can be made to fail; workers are another test. */
static int read_by_ring(struct step *step)
{
	struct io_uring_cqe *cqe;
	struct io_uring ring;
	int ret = io_uring_queue_init(4, &ring, 0);

	if (ret)
		return ret;
	io_uring_prep_read(io_uring_get_sqe(&ring), step->other, step->buffer,
			   BYTES, 0);
	ret = io_uring_submit(&ring);
	if (ret == 1) {
		do
			ret = io_uring_wait_cqe(&ring, &cqe);
		while (ret == -EFAULT || ret == -EINTR || ret == -ENOMEM);
		ret = ret ?: judge_read(step, cqe->res, BYTES, 2);
	}
	io_uring_queue_exit(&ring);
	return ret;
}

STEP(read_by_io_uring, .call = read_by_ring, .may_succeed = true);
FIXTURE_VARIANT_ADD(step, read_by_io_uring_that_falls_back) {
	.prepare = pause_stream, .call = read_by_ring, .undo = resume_stream,
	.may_succeed = true,
};

static int read_by_context(struct step *step, aio_context_t context)
{
	struct iocb iocb = {
		.aio_lio_opcode = IOCB_CMD_PREAD, .aio_fildes = step->other,
		.aio_buf = (uintptr_t)step->buffer, .aio_nbytes = BYTES,
	}, *pointer = &iocb;
	struct io_event event;
	int got;

	if (syscall(SYS_io_submit, context, 1, &pointer) != 1)
		return -errno;
	do
		got = syscall(SYS_io_getevents, context, 1, 1, &event, NULL);
	while (got < 0 && (errno == EFAULT || errno == EINTR));
	return got == 1 ? judge_read(step, event.res, BYTES, 2) : -EPROTO;
}

static int read_by_aio(struct step *step)
{
	aio_context_t context = 0;
	int ret;

	if (syscall(SYS_io_setup, 4, &context))
		return -errno;
	ret = read_by_context(step, context);
	while (syscall(SYS_io_destroy, context) && errno == EFAULT)
		;
	return ret;
}

STEP(read_by_libaio, .call = read_by_aio, .may_succeed = true);

FIXTURE_SETUP(step)
{
	struct step *step = &self->step;

	if (unavailable)
		SKIP(return, "%s", unavailable);
	step->new_node = -1;
	step->buffer = dio_alloc(BYTES);
	step->path = variant->of_other ? other : path;
	step->fd = file_open_direct(step->path);
	ASSERT_LE(0, step->fd);
	step->node = node_open();
	ASSERT_LE(0, step->node);
	step->first = file_open_direct(path);
	ASSERT_EQ(0, fs_enable(volume.fd, step->first));
	step->other = file_open_direct(pieces);
	ASSERT_EQ(0, fs_enable(volume.fd, step->other));
	ASSERT_EQ(0, file_armed(step->first));
	ASSERT_EQ(0, file_armed(step->other));
}

FIXTURE_TEARDOWN(step)
{
	struct step *step = &self->step;

	if (unavailable)
		return;
	close_node(step);
	close(step->node);
	close(step->fd);
	close(step->first);
	close(step->other);
	free(step->buffer);
	EXPECT_EQ(0, active_count(volume.fd));
}

/* Errors of a call that could not allocate, or access the caller's memory. */
static bool is_injected(int ret)
{
	return ret == -ENOMEM || ret == -EFAULT || ret == -EAGAIN ||
	       ret == -ENOBUFS;
}

/* Both enabled files read what they should. */
static int still_right(struct step *step)
{
	return read_one_bio(step) ?: read_many_bios(step);
}

static int optional(int (*part)(struct step *step), struct step *step)
{
	return part ? part(step) : 0;
}

/* Let the @nth thing fail. Returns what came of the call. */
static int inject(const FIXTURE_VARIANT(step) *variant, struct step *step,
		  unsigned int nth, bool *injected)
{
	int ret = optional(variant->prepare, step) ?: fault_arm(nth);

	memset(step->buffer, 0xa5, BYTES);
	if (ret)
		return ret;
	ret = variant->call(step);
	*injected = fault_disarm();
	return ret;
}

TEST_F_TIMEOUT(step, does_what_it_should_or_nothing_whatever_fails_on_its_way,
	       800)
{
	struct step *step = &self->step;
	unsigned int nth, failures = 0;
	bool injected = true;
	int ret;

	for (nth = 1; injected && nth < STEPS; nth++) {
		ret = inject(variant, step, nth, &injected);
		failures += !!ret;
		if (ret)
			ASSERT_TRUE(injected && is_injected(ret))
				TH_LOG("failure %u: %s", nth, strerror(-ret));
		if (variant->enables)
			ASSERT_EQ(2 + !ret, active_count(volume.fd))
				TH_LOG("failure %u", nth);
		/* and now without a failure, from where that has led */
		ASSERT_EQ(0, still_right(step)) TH_LOG("failure %u", nth);
		ASSERT_EQ(0, optional(variant->undo, step));
		ASSERT_EQ(0, optional(variant->prepare, step));
		ASSERT_EQ(0, variant->call(step)) TH_LOG("failure %u", nth);
		ASSERT_EQ(0, optional(variant->undo, step));
		ASSERT_EQ(2, active_count(volume.fd));
	}
	TH_LOG("%u steps, of which %u failed", nth - 1, failures);
	EXPECT_GT(STEPS, nth);
	/* what needs memory finds it prepared at times: not each call asks */
	if (!variant->may_succeed) {
		EXPECT_LT(2u, nth);
		EXPECT_LT(0u, failures);
	}
	EXPECT_EQ(0, file_armed(step->first));
	EXPECT_EQ(0, file_armed(step->other));
}

/* Until a read of "pieces", which was disarmed, goes direct again. */
static int get_bypass_back(struct step *step, uint64_t deadline)
{
	int ret = give_up_map(pieces);

	if (ret)
		return ret;
	/* the file system may be the one that finds no memory */
	do
		ret = file_wait_direct(step->other, step->buffer, BYTES, 0);
	while (ret == -ENOMEM && poll_again(deadline));
	return ret;
}

#define WORKER_FAILURES	12

/* Whatever task it is in: the one that reads, or a worker that arms. */
TEST_F(step, gets_bypass_back_after_failures_in_any_task)
{
	uint64_t deadline = now_ms() + 12 * DEADLINE_MS;
	struct step *step = &self->step;
	unsigned int times;

	if (variant->call != enable || variant->of_other)
		SKIP(return, "once is enough");
	ASSERT_EQ(0, fault_below("dm_bpio"));
	for (times = 1; times <= WORKER_FAILURES; times++) {
		ASSERT_EQ(0, fault_any_task(0, times));
		EXPECT_EQ(0, get_bypass_back(step, deadline));
		EXPECT_GT((long)times, fault_get("failslab", "times"));
		ASSERT_EQ(0, fault_any_task(0, 0));
		ASSERT_EQ(0, still_right(step)) TH_LOG("%u failures", times);
	}
	EXPECT_EQ(0, fault_below(NULL));
}

/* In steps smaller than what arming asks for at a time. */
#define WORKER_BYTES	8192
#define WORKER_STEP	128

TEST_F(step, gets_bypass_back_whatever_fails_while_a_worker_arms)
{
	uint64_t deadline = now_ms() + 12 * DEADLINE_MS;
	struct step *step = &self->step;
	unsigned int bytes, failures = 0;

	if (variant->call != enable || variant->of_other)
		SKIP(return, "once is enough");
	ASSERT_EQ(0, fault_below_function("bpio_file_arm_work"));
	for (bytes = 0; bytes < WORKER_BYTES; bytes += WORKER_STEP) {
		ASSERT_EQ(0, fault_any_task(bytes, 1));
		EXPECT_EQ(0, get_bypass_back(step, deadline));
		failures += !fault_get("failslab", "times");
		ASSERT_EQ(0, fault_any_task(0, 0));
		ASSERT_EQ(0, still_right(step)) TH_LOG("%u bytes", bytes);
	}
	EXPECT_EQ(0, fault_below(NULL));
	TH_LOG("%u of %u failed", failures, bytes / WORKER_STEP);
	EXPECT_LT(3u, failures);
}

PROGRAM_MAIN
