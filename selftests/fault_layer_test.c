// SPDX-License-Identifier: GPL-2.0-only
/*
 * Failures below a mapped device: of each request in turn that the modules make to the
 * kernel while a table is created, replaced, removed or gets a message; and of the
 * device that direct reads are sent to.
 */
#include <fcntl.h>

#include "fault.h"
#include "program.h"
#include "stack.h"

#define BYTES		65536
#define START		2048
#define SECTORS		MIB_SECTORS(64)
/* Of a further mapped device. */
#define ELSEWHERE	(START + SECTORS)
/* Far more than any of the commands asks for. */
#define STEPS		200

static struct stack stack;
static const char *unavailable;

static int program_setup(void)
{
	int ret = module_load("dm-bpio-filter") ?:
		  stack_ext4(&stack, "fault-layer", "bpio-filter", devices.nvme,
			     START, SECTORS);

	if (ret)
		return ret;
	unavailable = fault_unavailable();
	return file_create(volume_path(&stack.volume, "file"), BYTES, 1) ?:
	       (unavailable ? 0 : fault_setup());
}

static int program_cleanup(void)
{
	if (!unavailable)
		fault_cleanup();
	return stack_remove(&stack);
}

/* Of an armed file, which are to be right whatever becomes of the stack. */
struct reads {
	int	fd;
	int	plain;		/* the same file, not enabled */
	char	*buffer;
};

static int reads_begin(struct reads *reads)
{
	reads->buffer = dio_alloc(BYTES);
	reads->plain = file_open_direct(volume_path(&stack.volume, "file"));
	reads->fd = file_open_direct(volume_path(&stack.volume, "file"));
	return fs_enable_armed(stack.volume.fd, reads->fd);
}

static void reads_end(struct reads *reads)
{
	close(reads->fd);
	close(reads->plain);
	free(reads->buffer);
}

/* 0, -EPROTO for wrong bytes, or the error. */
static int reads_right(struct reads *reads)
{
	ssize_t n = pread(reads->fd, reads->buffer, BYTES, 0);

	if (n < 0)
		return -errno;
	return n == BYTES && !content_is(reads->buffer, BYTES, 0, 1, 1) ?
		0 : -EPROTO;
}

static int reads_direct(struct reads *reads)
{
	return file_wait_direct(reads->fd, reads->buffer, BYTES, 0);
}

/* @call returns 0 or a negative errno and changes nothing then. */
FIXTURE_VARIANT(command) {
	const char	*module;
	int		(*call)(void);
	int		(*undo)(void);
	bool		asks_for_nothing;
};

FIXTURE(command) {
	struct reads	reads;
};

#define COMMAND(name, ...) \
	FIXTURE_VARIANT_ADD(command, name) { __VA_ARGS__ }

static int create(const char *type)
{
	return dm_create_one("fault-new", type, devices.nvme, ELSEWHERE, SECTORS,
			     "");
}

static int create_volume(void)
{
	return create("bpio");
}

static int create_layer(void)
{
	return create("bpio-filter");
}

static int remove_new(void)
{
	return dm_remove("fault-new");
}

COMMAND(create_of_a_volume, "dm_bpio", create_volume, remove_new);
COMMAND(create_of_a_layer, "dm_bpio_filter", create_layer, remove_new);

static int reload_volume(void)
{
	return dm_reload_one(stack.volume.name, "bpio", dm_node("fault-layer-0"),
			     0, SECTORS, "");
}

static int reload_layer(void)
{
	return stack_reload(&stack, 0, "bpio-filter", "");
}

COMMAND(reload_of_the_volume, "dm_bpio", reload_volume);
COMMAND(reload_of_the_layer, "dm_bpio_filter", reload_layer);
COMMAND(reload_of_the_layer_by_the_volume, "dm_bpio", reload_layer,
	.asks_for_nothing = true);

static int suspend_and_resume(void)
{
	return dm_suspend("fault-layer-0") ?: dm_resume("fault-layer-0");
}

COMMAND(suspend_and_resume, "dm_bpio", suspend_and_resume,
	.asks_for_nothing = true);

static int tell_layer(const char *words)
{
	return dm_message("fault-layer-0", NULL, 0, "%s", words);
}

static int veto(void)
{
	return tell_layer("veto 16 a test objects");
}

static int allow(void)
{
	return tell_layer("allow");
}

static int veto_file(void)
{
	return tell_layer("file_veto *.test 16 a test objects");
}

static int allow_file(void)
{
	return tell_layer("file_allow *.test");
}

static int pause_below(void)
{
	return tell_layer("pause 16 a test objects");
}

static int resume_below(void)
{
	return tell_layer("resume");
}

COMMAND(veto, "dm_bpio_filter", veto, allow);
COMMAND(veto_of_a_file, "dm_bpio_filter", veto_file, allow_file);
COMMAND(pause, "dm_bpio_filter", pause_below, resume_below);

FIXTURE_SETUP(command)
{
	if (unavailable)
		SKIP(return, "%s", unavailable);
	ASSERT_EQ(0, reads_begin(&self->reads));
	ASSERT_EQ(0, fault_below(variant->module));
}

FIXTURE_TEARDOWN(command)
{
	if (unavailable)
		return;
	EXPECT_EQ(0, fault_below(NULL));
	reads_end(&self->reads);
	EXPECT_EQ(0, active_count(stack.volume.fd));
}

/* Let the @nth thing fail. Returns what came of the command. */
static int inject(int (*call)(void), unsigned int nth, bool *injected)
{
	int ret = fault_arm(nth);

	if (ret)
		return ret;
	ret = call();
	*injected = fault_disarm();
	return ret;
}

TEST_F_TIMEOUT(command, does_it_or_changes_nothing_whatever_fails_on_its_way,
	       800)
{
	unsigned int nth, failures = 0;
	bool injected = true;
	int ret;

	for (nth = 1; injected && nth < STEPS; nth++) {
		ret = inject(variant->call, nth, &injected);
		failures += !!ret;
		ASSERT_EQ(0, reads_right(&self->reads)) TH_LOG("failure %u", nth);
		/* and now without a failure, from where that has led */
		if (ret) {
			ASSERT_TRUE(injected) TH_LOG("%s", strerror(-ret));
			ASSERT_EQ(0, variant->call()) TH_LOG("failure %u", nth);
		}
		if (variant->undo)
			ASSERT_EQ(0, variant->undo()) TH_LOG("failure %u", nth);
		ASSERT_EQ(0, reads_direct(&self->reads)) TH_LOG("failure %u", nth);
	}
	TH_LOG("%u steps, of which %u failed", nth - 1, failures);
	EXPECT_GT(STEPS, nth);
	if (!variant->asks_for_nothing)
		EXPECT_LT(0u, failures);
}

/* The device fails reads. */
FIXTURE(device) {
	struct reads	reads;
	char		faults[64];	/* its directory */
};

FIXTURE_VARIANT(device) {
	bool	by_driver;	/* NVMe's own, or the block layer's for any */
};

FIXTURE_VARIANT_ADD(device, by_the_block_layer) { .by_driver = false };
FIXTURE_VARIANT_ADD(device, by_the_driver) { .by_driver = true };

static int fails(const char *capability, int times)
{
	return fault_set(capability, "times", "%d", times) ?:
	       fault_set(capability, "probability", "%u", times ? 100 : 0);
}

/* For the block layer's own: which device it is. */
static int make_it_fail(bool fail)
{
	return shell("echo %u >/sys/block/%s/make-it-fail", fail,
		     strrchr(devices.nvme, '/') + 1);
}

FIXTURE_SETUP(device)
{
	if (unavailable)
		SKIP(return, "%s", unavailable);
	if (variant->by_driver)
		snprintf(self->faults, sizeof(self->faults), "%s/fault_inject",
			 strrchr(devices.nvme, '/') + 1);
	else
		snprintf(self->faults, sizeof(self->faults), "fail_make_request");
	ASSERT_LE(0, fault_get(self->faults, "probability"));
	ASSERT_EQ(0, reads_begin(&self->reads));
	ASSERT_EQ(0, fault_set(self->faults, "interval", "1"));
	ASSERT_EQ(0, fault_set(self->faults, "verbose", "0"));
	/* an unrecovered read error, which is not worth another try */
	if (variant->by_driver) {
		ASSERT_EQ(0, fault_set(self->faults, "status", "0x281"));
		ASSERT_EQ(0, fault_set(self->faults, "dont_retry", "1"));
	} else {
		ASSERT_EQ(0, make_it_fail(true));
	}
}

FIXTURE_TEARDOWN(device)
{
	if (unavailable)
		return;
	EXPECT_EQ(0, fails(self->faults, 0));
	if (!variant->by_driver)
		EXPECT_EQ(0, make_it_fail(false));
	reads_end(&self->reads);
	EXPECT_EQ(0, active_count(stack.volume.fd));
}

TEST_F(device, error_is_repeated_through_the_layers_and_seen_by_nobody)
{
	int fd = self->reads.fd;
	uint64_t before = file_fallbacks(fd, BPIO_REASON_DEVICE_ERROR);

	ASSERT_EQ(0, fails(self->faults, 1));
	EXPECT_EQ(0, reads_right(&self->reads));
	EXPECT_LT(before, file_fallbacks(fd, BPIO_REASON_DEVICE_ERROR));
	EXPECT_EQ(0, reads_direct(&self->reads));
}

TEST_F(device, errors_that_last_reach_the_reader_and_end_with_them)
{
	int error;

	ASSERT_EQ(0, fails(self->faults, -1));
	error = reads_alike(self->reads.plain, self->reads.fd, BYTES);
	EXPECT_TRUE(error == EIO || error == ENODATA) TH_LOG("%d", error);
	ASSERT_EQ(0, fails(self->faults, 0));
	EXPECT_EQ(0, reads_right(&self->reads));
	EXPECT_EQ(0, reads_direct(&self->reads));
}

PROGRAM_MAIN
