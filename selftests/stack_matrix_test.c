// SPDX-License-Identifier: GPL-2.0-only
/*
 * Stacks of every depth, of layers that take part and others in any order, on
 * every kind of NVMe: each is enabled, queried, read, paused, vetoed, suspended,
 * and every byte that is read is compared.
 */
#include <fcntl.h>
#include <stdlib.h>

#include "load.h"
#include "objection.h"
#include "program.h"
#include "stack.h"

#define KIB	1024
#define BYTES	(1024 * KIB)
#define BLOCKS	8
#define FILTER	"bpio-filter"
#define SECTORS	MIB_SECTORS(32)
#define HERE	2048
/* Segments on two devices; odd, so that files and blocks cross them. */
#define SEGMENT	(1024 + 8)
#define SEGMENTS ((unsigned int)(SECTORS / SEGMENT + 1))

enum bottom { NAMESPACE, PARTITION, TWO, LOOP, TCP };

static int program_setup(void)
{
	return module_load("dm-bpio-filter");
}

static int program_cleanup(void)
{
	return 0;
}

FIXTURE(stack) {
	struct stack	stack;
	char		device[96];
	int		fd;	/* enabled */
	int		plain;
	struct fs_bpio_output enabled;
	unsigned int	entry;	/* number of the layer where reads enter */
};

FIXTURE_VARIANT(stack) {
	const char	*layers;
	enum bottom	bottom;
};

#define STACK(name, types, on)						\
	FIXTURE_VARIANT_ADD(stack, name) {				\
		.layers = types, .bottom = on,				\
	}

#define TWICE(types) types " " types

STACK(of_no_layer, "", NAMESPACE);
STACK(of_1_layer, FILTER, NAMESPACE);
STACK(of_2_layers, TWICE(FILTER), NAMESPACE);
STACK(of_3_layers, FILTER " " TWICE(FILTER), NAMESPACE);
STACK(of_4_layers, TWICE(TWICE(FILTER)), NAMESPACE);
STACK(of_5_layers, FILTER " " TWICE(TWICE(FILTER)), NAMESPACE);
STACK(of_6_layers, TWICE(FILTER " " TWICE(FILTER)), NAMESPACE);
STACK(of_7_layers, FILTER " " TWICE(FILTER " " TWICE(FILTER)), NAMESPACE);
STACK(of_8_layers, TWICE(TWICE(TWICE(FILTER))), NAMESPACE);
STACK(with_a_stock_layer_on_top, "linear " TWICE(FILTER), NAMESPACE);
STACK(with_a_stock_layer_inside, TWICE(FILTER) " crypt " FILTER, NAMESPACE);
STACK(with_a_stock_layer_below, TWICE(FILTER) " striped", NAMESPACE);
STACK(of_volumes_and_filters, TWICE("bpio " FILTER), NAMESPACE);
STACK(of_stripes_and_filters, "bpio-striped " FILTER, NAMESPACE);
STACK(of_stock_layers, "linear crypt delay striped", NAMESPACE);
STACK(on_two_devices, TWICE(FILTER), TWO);
STACK(on_two_devices_with_a_stock_layer, FILTER " linear", TWO);
STACK(on_a_partition, TWICE(FILTER), PARTITION);
STACK(of_no_layer_on_a_partition, "", PARTITION);
STACK(on_a_loop_fabric, TWICE(FILTER), LOOP);
STACK(of_no_layer_on_a_loop_fabric, "", LOOP);
STACK(on_a_tcp_fabric, TWICE(FILTER), TCP);
STACK(of_no_layer_on_a_tcp_fabric, "", TCP);

/* Segments of two namespaces in turn, by a layer that takes part. */
static int make_two(void)
{
	const char *second = getenv("BPIO_NVME_B1") ?: devices.nvme2;
	char params[SEGMENTS][128];
	struct dm_line lines[SEGMENTS];
	unsigned int i;
	int ret = 0;

	for (i = 0; i < SEGMENTS && !ret; i++) {
		lines[i] = (struct dm_line) {
			.start = i * SEGMENT, .sectors = SEGMENT,
			.type = FILTER, .params = params[i],
		};
		ret = dm_params(params[i], 128, FILTER,
				i % 2 ? second : devices.nvme,
				HERE + (SEGMENTS - i) * SEGMENT, "");
	}
	return ret ?: dm_create("two", lines, SEGMENTS, false);
}

/* Returns 0, 1 with a reason in @device to skip the test, or a negative errno. */
static int make_fabric(const char *kind, char *device, size_t size)
{
	char command[256];
	FILE *pipe;
	int status;

	/* a part of the namespace, so that its content is not detected */
	if (dm_create_one("piece", "linear", devices.nvme, HERE, SECTORS, ""))
		return -EIO;
	snprintf(command, sizeof(command), "\"$(dirname \"$(readlink /proc/%d/exe)"
		 "\")\"/fabric up %s %s 2>&1", getpid(), kind, dm_node("piece"));
	pipe = popen(command, "re");
	if (!pipe)
		return -errno;
	while (fgets(device, size, pipe))
		device[strcspn(device, "\n")] = 0;
	status = pclose(pipe);
	if (!status)
		return 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == KSFT_SKIP)
		return 1;
	diag("fabric: %s", device);
	return -EIO;
}

static int make_bottom(enum bottom bottom, char *device, size_t size)
{
	switch (bottom) {
	case PARTITION:
		snprintf(device, size, "%sp9", devices.nvme);
		return shell("addpart %s 9 %d %llu && udevadm settle -t 30",
			     devices.nvme, HERE, (unsigned long long)SECTORS);
	case TWO:
		snprintf(device, size, "%s", dm_node("two"));
		return make_two();
	case LOOP:
	case TCP:
		return make_fabric(bottom == LOOP ? "loop" : "tcp", device,
				   size);
	default:
		snprintf(device, size, "%s", devices.nvme);
		return 0;
	}
}

static int remove_bottom(enum bottom bottom)
{
	switch (bottom) {
	case PARTITION:
		return shell("delpart %s 9 && udevadm settle -t 30",
			     devices.nvme);
	case TWO:
		return dm_remove("two");
	case LOOP:
	case TCP:
		return shell("\"$(dirname \"$(readlink /proc/%d/exe)\")\""
			     "/fabric down", getpid()) ?: dm_remove("piece");
	default:
		return 0;
	}
}

static bool takes_part(const struct stack_layer *layer)
{
	return !strncmp(layer->type, "bpio", 4);
}

FIXTURE_SETUP(stack)
{
	struct stack *stack = &self->stack;
	const char *file;
	int ret;

	if (variant->bottom == TWO && !getenv("BPIO_NVME_B1") && !devices.nvme2)
		SKIP(return, "there is only one NVMe namespace");
	ret = make_bottom(variant->bottom, self->device, sizeof(self->device));
	if (ret == 1) {
		dm_remove("piece");
		SKIP(return, "%s", self->device);
	}
	ASSERT_EQ(0, ret);
	ASSERT_EQ(0, stack_ext4(stack, "matrix", variant->layers, self->device,
				variant->bottom == NAMESPACE ? HERE : 0,
				SECTORS));
	while (self->entry < stack->count &&
	       takes_part(&stack->layer[self->entry]))
		self->entry++;
	file = volume_path(&stack->volume, "file");
	ASSERT_EQ(0, file_create(file, BYTES, 1));
	self->fd = file_open_direct(file);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, fs_op(stack->volume.fd, FS_BPIO_OP_ENABLE, self->fd,
			   &self->enabled));
	ASSERT_EQ(0, file_armed(self->fd));
	self->plain = file_open_direct(file);
	ASSERT_LE(0, self->plain);
}

FIXTURE_TEARDOWN(stack)
{
	close(self->plain);
	close(self->fd);
	EXPECT_EQ(0, active_count(self->stack.volume.fd));
	EXPECT_EQ(0, stack_remove(&self->stack));
	EXPECT_EQ(0, remove_bottom(variant->bottom));
}

/* Read by @fd, which all layers from number @entry on see, and no other does. */
static void enters_at(struct __test_metadata *_metadata,
		      const struct stack *stack, int fd, unsigned int entry)
{
	uint64_t before[STACK_LAYERS];
	unsigned int i;

	for (i = 0; i < stack->count; i++)
		before[i] = device_reads(dm_node(stack->layer[i].name));
	READ_BLOCKS(fd, BLOCKS, 1);
	for (i = 0; i < stack->count; i++)
		EXPECT_EQ(before[i] + (i >= entry ? BLOCKS : 0),
			  device_reads(dm_node(stack->layer[i].name)))
			TH_LOG("layer %u", i);
}

#define EXPECT_ENTRY(fd, entry) \
	enters_at(_metadata, &self->stack, fd, entry)

static void verdict_fits(struct __test_metadata *_metadata,
			 const FIXTURE_DATA(stack) *self,
			 const struct bpio_results *results,
			 uint32_t support, uint32_t flags)
{
	bool full = self->entry == self->stack.count;

	if (full)
		EXPECT_NO_OBJECTION(results);
	else
		EXPECT_VERDICT(results, LAYER_UNAWARE, NULL);
	EXPECT_EQ((unsigned int)(full ? BPIO_SUPPORT_FULL :
					BPIO_SUPPORT_PARTIAL), support);
	EXPECT_EQ(full ? FS_BPIO_OUTFL_COMPATIBLE_STORAGE_DRIVER : 0, flags);
}

#define EXPECT_FIT(results, support, flags) \
	verdict_fits(_metadata, self, results, support, flags)

TEST_F(stack, is_enabled_and_queried_alike_and_read_past_what_takes_part)
{
	int volume = self->stack.volume.fd;
	struct fs_bpio_output out;
	struct bpio_output storage;

	EXPECT_FIT(&self->enabled.enable, self->enabled.support,
		   self->enabled.out_flags);
	ASSERT_EQ(0, fs_op(volume, FS_BPIO_OP_QUERY, self->fd, &out));
	EXPECT_FIT(&out.query, out.support, out.out_flags);
	ASSERT_EQ(0, fs_op(volume, FS_BPIO_OP_QUERY, -1, &out));
	EXPECT_FIT(&out.query, out.support, out.out_flags);
	ASSERT_EQ(0, storage_op(volume, BPIO_OP_QUERY, &storage));
	EXPECT_FIT(&storage.query, storage.support, storage.out_flags);

	EXPECT_ENTRY(self->fd, self->entry);
	EXPECT_EQ((uint64_t)BLOCKS, file_direct(self->fd));
	EXPECT_ENTRY(self->plain, 0);
	/* all reads of the device, by the same way */
	ASSERT_EQ(0, storage_op(volume, BPIO_OP_ENABLE, &storage));
	EXPECT_FIT(&storage.enable, storage.support, storage.out_flags &
		   ~FS_BPIO_OUTFL_ALL_READS_ENABLED);
	EXPECT_ENTRY(self->plain, self->entry);
	ASSERT_EQ(0, storage_op(volume, BPIO_OP_DISABLE, &storage));
	EXPECT_ENTRY(self->plain, 0);
	ASSERT_EQ(0, fs_disable(volume, self->fd));
	EXPECT_ENTRY(self->fd, 0);
}

TEST_F(stack, is_paused_and_resumed_and_every_layer_objects_for_a_while)
{
	int volume = self->stack.volume.fd;
	struct fs_bpio_output out;
	unsigned int i;

	ASSERT_EQ(0, fs_op(volume, FS_BPIO_OP_VOLUME_STACK_PAUSE, -1, &out));
	EXPECT_ENTRY(self->fd, 0);
	ASSERT_EQ(0, fs_op(volume, FS_BPIO_OP_VOLUME_STACK_RESUME, -1, &out));
	EXPECT_FIT(&out.volume_stack_resume, out.support, out.out_flags);
	EXPECT_ENTRY(self->fd, self->entry);
	EXPECT_EQ(2u * BLOCKS, file_direct(self->fd));

	ASSERT_EQ(0, fs_op(volume, FS_BPIO_OP_STREAM_PAUSE, self->fd, &out));
	EXPECT_ENTRY(self->fd, 0);
	EXPECT_EQ(2u * BLOCKS, file_direct(self->fd));
	ASSERT_EQ(0, fs_op(volume, FS_BPIO_OP_STREAM_RESUME, self->fd, &out));
	EXPECT_ENTRY(self->fd, self->entry);

	for (i = 0; i < self->stack.count; i++) {
		const char *name = self->stack.layer[i].name;

		if (strcmp(self->stack.layer[i].type, FILTER))
			continue;
		ASSERT_EQ(0, dm_message(name, NULL, 0, "veto 13 Watches."));
		EXPECT_ENTRY(self->fd, i < self->entry ? i : self->entry);
		ASSERT_EQ(0, dm_message(name, NULL, 0, "allow"));
		ASSERT_EQ(0, dm_message(name, NULL, 0, "pause Works."));
		EXPECT_ENTRY(self->fd, i < self->entry ? i : self->entry);
		ASSERT_EQ(0, dm_message(name, NULL, 0, "resume"));
		ASSERT_EQ(0, dm_message(name, NULL, 0, "file_veto file 1 Mine."));
		EXPECT_ENTRY(self->fd, i < self->entry ? 0 : self->entry);
		ASSERT_EQ(0, dm_message(name, NULL, 0, "file_allow file"));
	}
	EXPECT_ENTRY(self->fd, self->entry);
}

TEST_F(stack, is_suspended_and_reloaded_layer_by_layer_under_load)
{
	struct stack *stack = &self->stack;
	struct load load = load_of(self->fd, BYTES, 64 * KIB, 512);
	unsigned int i;

	ASSERT_EQ(0, load_start(&load));
	ASSERT_EQ(0, load_direct(&load));
	ASSERT_EQ(0, dm_suspend("matrix"));
	ASSERT_EQ(0, dm_resume("matrix"));
	ASSERT_EQ(0, load_direct(&load));
	for (i = 0; i < stack->count; i++) {
		ASSERT_EQ(0, dm_suspend(stack->layer[i].name));
		ASSERT_EQ(0, dm_resume(stack->layer[i].name));
		ASSERT_EQ(0, load_progress(&load, 3));
		ASSERT_EQ(0, stack_reload(stack, i, stack->layer[i].type, ""));
		ASSERT_EQ(0, load_direct(&load));
	}
	EXPECT_EQ(0, load_progress(&load, 3));
	EXPECT_EQ(0, load_stop(&load));
	EXPECT_EQ(0u, load.errors);
	ASSERT_EQ(0, file_armed(self->fd));
	EXPECT_ENTRY(self->fd, self->entry);
}

PROGRAM_MAIN
