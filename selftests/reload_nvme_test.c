// SPDX-License-Identifier: GPL-2.0-only
/*
 * The NVMe controller below a volume is reset, or pulled out, while a file is
 * read by file bypass or by volume bypass. The controller that is pulled out is
 * plugged in again.
 */
#include <fcntl.h>
#include <limits.h>

#include "load.h"
#include "objection.h"
#include "program.h"
#include "stack.h"

#define KIB	1024
#define BYTES	(1024 * KIB)
#define FILTER	"bpio-filter"

/* The device of the test; the others of its controller vanish with it. */
static const char *device;

static int program_setup(void)
{
	const char *own = getenv("BPIO_NVME_B1");

	device = own ? own : devices.nvme;
	return module_load("dm-bpio-filter");
}

static int program_cleanup(void)
{
	return 0;
}

/* Only the tests write, so that only reads fail when the device does. */
static int make_stack(struct stack *stack)
{
	struct volume *volume = &stack->volume;

	return stack_create(stack, "nvme", FILTER " " FILTER, device, 2048,
			    MIB_SECTORS(32), "") ?:
	       volume_format(volume, MKFS_EXT4) ?:
	       volume_mount(volume, "ext4",
			    "noinit_itable,errors=continue") ?:
	       file_create(volume_path(volume, "file"), BYTES, 1) ?:
	       shell("sync && mount -o remount,ro %s", volume->mount);
}

/* A file of the controller in sysfs; NULL when it has none. */
static const char *controller(const char *file)
{
	static char full[PATH_MAX];

	/* of a path of a multipath device there may be several */
	snprintf(full, sizeof(full), "/sys/class/block/%s/device/%s",
		 strrchr(device, '/') + 1, file);
	return access(full, W_OK) ? NULL : full;
}

static int plug_in(void)
{
	uint64_t deadline = now_ms() + DEADLINE_MS;

	if (shell("echo 1 >/sys/bus/pci/rescan"))
		return -EIO;
	do {
		if (device_sectors(device))
			return 0;
	} while (poll_again(deadline));
	diag("%s has not come back", device);
	return -ETIMEDOUT;
}

FIXTURE(controller) {
	struct stack	stack;
	int		fd;
	struct load	load;
};

FIXTURE_VARIANT(controller) {
	bool	mapped;
};

FIXTURE_VARIANT_ADD(controller, below_an_enabled_file) {
	.mapped = false,
};

FIXTURE_VARIANT_ADD(controller, below_volume_bypass) {
	.mapped = true,
};

static uint64_t mapped_reads(const struct stack *stack)
{
	struct fs_bpio_info info;

	return fs_info(stack->volume.fd, &info) ? 0 : info.mapped_reads;
}

/* Wait until reads go past the layers. Returns 0 or a negative errno. */
static int goes_past(FIXTURE_DATA(controller) *self, bool mapped)
{
	uint64_t deadline = now_ms() + DEADLINE_MS;
	uint64_t before = mapped_reads(&self->stack);

	if (!mapped)
		return load_direct(&self->load);
	while (mapped_reads(&self->stack) <= before + LOAD_IN_FLIGHT)
		if (!poll_again(deadline))
			return -ETIMEDOUT;
	return 0;
}

static int begin(FIXTURE_DATA(controller) *self, bool mapped)
{
	struct bpio_output out;

	if (mapped)
		return storage_op(self->stack.volume.fd, BPIO_OP_ENABLE, &out);
	return fs_enable_armed(self->stack.volume.fd, self->fd);
}

FIXTURE_SETUP(controller)
{
	ASSERT_EQ(0, make_stack(&self->stack));
	self->fd = file_open_direct(volume_path(&self->stack.volume, "file"));
	ASSERT_LE(0, self->fd);
	self->load = load_of(self->fd, BYTES, 64 * KIB, 512);
	ASSERT_EQ(0, begin(self, variant->mapped));
	ASSERT_EQ(0, load_start(&self->load));
	ASSERT_EQ(0, goes_past(self, variant->mapped));
}

FIXTURE_TEARDOWN(controller)
{
	EXPECT_EQ(0, load_stop(&self->load));
	close(self->fd);
	EXPECT_EQ(0, active_count(self->stack.volume.fd));
	EXPECT_EQ(0, stack_remove(&self->stack));
	EXPECT_EQ(0, plug_in());
}

TEST_F(controller, that_is_reset_fails_no_read_and_bypass_goes_on)
{
	const char *reset = controller("reset_controller");
	int round;

	if (!reset)
		SKIP(return, "the controller cannot be reset");
	for (round = 0; round < 4; round++) {
		ASSERT_EQ(0, shell("echo 1 >%s", reset));
		ASSERT_EQ(0, load_progress(&self->load, 10));
		ASSERT_EQ(0, goes_past(self, variant->mapped));
	}
	EXPECT_EQ(0u, self->load.errors);
	if (!variant->mapped)
		EXPECT_EQ(0u, file_fallbacks(self->fd,
					     BPIO_REASON_DEVICE_ERROR));
}

TEST_F(controller, that_is_pulled_out_fails_reads_and_holds_up_nothing)
{
	const char *unplug = controller("device/remove");
	int volume = self->stack.volume.fd;
	struct fs_bpio_output out;
	char status[256];
	uint64_t errors;

	if (!unplug)
		SKIP(return, "the controller cannot be pulled out");
	self->load.may_fail = true;
	ASSERT_EQ(0, shell("echo 1 >%s", unplug));
	ASSERT_EQ(0, load_progress(&self->load, 20));
	errors = self->load.errors;
	EXPECT_LT(0u, errors);
	ASSERT_EQ(0, load_progress(&self->load, 20));
	EXPECT_LT(errors, self->load.errors);
	/* nor do questions wait for a device that is gone */
	EXPECT_EQ(0, fs_op(volume, FS_BPIO_OP_QUERY, self->fd, &out));
	EXPECT_EQ(0, fs_op(volume, FS_BPIO_OP_GET_INFO, -1, &out));
	EXPECT_EQ(0, dm_status("nvme", 0, status, sizeof(status)));
	EXPECT_EQ(0, fs_op(volume, FS_BPIO_OP_VOLUME_STACK_PAUSE, -1, &out));
	EXPECT_EQ(0, fs_op(volume, FS_BPIO_OP_VOLUME_STACK_RESUME, -1, &out));
	ASSERT_EQ(0, load_progress(&self->load, 20));
}

PROGRAM_MAIN
