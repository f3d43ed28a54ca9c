// SPDX-License-Identifier: GPL-2.0-only
/*
 * Devices that do not take part end the route: reads skip the file system and the
 * layers above, and enter there. They return the content of the file, however the
 * device below stores it.
 */
#include <fcntl.h>
#include <stdlib.h>

#include "load.h"
#include "objection.h"
#include "program.h"
#include "stack.h"

#define KIB	1024
#define BYTES	(2 * 1024 * KIB)
#define BLOCKS	16
#define FILTER	"bpio-filter"
#define SECTORS	MIB_SECTORS(32)

static int program_setup(void)
{
	return module_load("dm-bpio-filter");
}

static int program_cleanup(void)
{
	return 0;
}

/*
 * A volume above a layer above what the variant makes from four pieces of NVMe,
 * $P0 to $P3. The command "make" has to leave the device in $D.
 */
FIXTURE(unaware) {
	char		below[96];
	struct volume	volume;
	int		fd;
};

FIXTURE_VARIANT(unaware) {
	const char	*make;
	const char	*unmake;
	const char	*type;		/* as people call it */
	enum bpio_reason reason;
};

#define DM(name, table) \
	"dmsetup create " DM_PREFIX name " --table \"" table "\"; "
#define DM_NODE(name) "/dev/mapper/" DM_PREFIX name
#define UNDM(name) "dmsetup remove --retry " DM_PREFIX name "; "

FIXTURE_VARIANT_ADD(unaware, linear) {
	.make = DM("u", "0 $N linear $P0 0") "D=" DM_NODE("u"),
	.unmake = UNDM("u"),
	.type = "linear", .reason = BPIO_REASON_LAYER_UNAWARE,
};

FIXTURE_VARIANT_ADD(unaware, striped) {
	.make = DM("u", "0 $N striped 4 32 $P0 0 $P1 0 $P2 0 $P3 0")
		"D=" DM_NODE("u"),
	.unmake = UNDM("u"),
	.type = "striped", .reason = BPIO_REASON_LAYER_UNAWARE,
};

FIXTURE_VARIANT_ADD(unaware, crypt) {
	.make = "K=$(printf %064d 7); "
		DM("u", "0 $N crypt aes-xts-plain64 $K 0 $P0 0")
		"D=" DM_NODE("u"),
	.unmake = UNDM("u"),
	.type = "crypt", .reason = BPIO_REASON_LAYER_UNAWARE,
};

FIXTURE_VARIANT_ADD(unaware, delay) {
	.make = DM("u", "0 $N delay $P0 0 1") "D=" DM_NODE("u"),
	.unmake = UNDM("u"),
	.type = "delay", .reason = BPIO_REASON_LAYER_UNAWARE,
};

/* The devices above were made before the slow one could delay anything. */
FIXTURE_VARIANT_ADD(unaware, linear_on_what_became_a_delay) {
	.make = DM("v", "0 $N linear $P0 0")
		DM("u", "0 $N linear " DM_NODE("v") " 0")
		"dmsetup reload " DM_PREFIX "v --table \"0 $N delay $P0 0 1\"; "
		"dmsetup resume " DM_PREFIX "v; D=" DM_NODE("u"),
	.unmake = UNDM("u") UNDM("v"),
	.type = "linear", .reason = BPIO_REASON_LAYER_UNAWARE,
};

FIXTURE_VARIANT_ADD(unaware, snapshot) {
	.make = "dd if=/dev/zero of=$P1 bs=4096 count=1 oflag=direct status=none; "
		DM("u", "0 $N snapshot $P0 $P1 P 16") "D=" DM_NODE("u"),
	.unmake = UNDM("u"),
	.type = "snapshot", .reason = BPIO_REASON_LAYER_UNAWARE,
};

FIXTURE_VARIANT_ADD(unaware, snapshot_origin) {
	.make = "dd if=/dev/zero of=$P1 bs=4096 count=1 oflag=direct status=none; "
		DM("u", "0 $N snapshot-origin $P0")
		DM("v", "0 $N snapshot $P0 $P1 P 16") "D=" DM_NODE("u"),
	.unmake = UNDM("v") UNDM("u"),
	.type = "snapshot-origin", .reason = BPIO_REASON_LAYER_UNAWARE,
};

FIXTURE_VARIANT_ADD(unaware, thin) {
	.make = "dd if=/dev/zero of=$P1 bs=4096 count=1 oflag=direct status=none; "
		DM("v", "0 $N thin-pool $P1 $P0 128 0")
		"dmsetup message " DM_PREFIX "v 0 'create_thin 0'; "
		DM("u", "0 $N thin " DM_NODE("v") " 0") "D=" DM_NODE("u"),
	.unmake = UNDM("u") UNDM("v"),
	.type = "thin", .reason = BPIO_REASON_LAYER_UNAWARE,
};

FIXTURE_VARIANT_ADD(unaware, raid_of_device_mapper) {
	.make = DM("u", "0 $N raid raid1 3 0 region_size 1024 2 - $P0 - $P1")
		"D=" DM_NODE("u"),
	.unmake = UNDM("u"),
	.type = "raid", .reason = BPIO_REASON_LAYER_UNAWARE,
};

FIXTURE_VARIANT_ADD(unaware, mirror_of_md) {
	.make = "D=/dev/md/" DM_PREFIX "u; mdadm --quiet --build $D "
		"--level=1 --assume-clean --raid-devices=2 $P0 $P1; "
		"udevadm settle",
	.unmake = "mdadm --quiet --stop /dev/md/" DM_PREFIX "u",
	.type = "md", .reason = BPIO_REASON_NOT_NVME,
};

FIXTURE_VARIANT_ADD(unaware, stripes_of_md) {
	.make = "D=/dev/md/" DM_PREFIX "u; mdadm --quiet --build $D "
		"--level=0 --chunk=16 --raid-devices=2 $P0 $P1; "
		"udevadm settle",
	.unmake = "mdadm --quiet --stop /dev/md/" DM_PREFIX "u",
	.type = "md", .reason = BPIO_REASON_NOT_NVME,
};

FIXTURE_VARIANT_ADD(unaware, loop) {
	.make = "modprobe -q loop || :; D=$(losetup --find --show --direct-io=on $P0)",
	.unmake = "losetup --detach $(losetup --noheadings --output NAME "
		  "--associated $P0)",
	.type = "loop", .reason = BPIO_REASON_NOT_NVME,
};

/* Run the variant's script with its variables; the last word it prints is $D. */
static int run_script(const char *script, char *device, size_t size)
{
	char command[2048], line[96] = "";
	FILE *pipe;
	int status;

	/* by the environment, which needs no quoting */
	setenv("P0", dm_node("p0"), 1);
	setenv("P1", dm_node("p1"), 1);
	setenv("P2", dm_node("p2"), 1);
	setenv("P3", dm_node("p3"), 1);
	snprintf(line, sizeof(line), "%llu", (unsigned long long)SECTORS);
	setenv("N", line, 1);
	snprintf(command, sizeof(command), "%s\necho ${D-}", script);
	setenv("SCRIPT", command, 1);
	pipe = popen("timeout 60 sh -euc \"$SCRIPT\" 2>&1", "re");
	if (!pipe)
		return -errno;
	while (fgets(line, sizeof(line), pipe)) {
		line[strcspn(line, "\n")] = 0;
		if (device)
			snprintf(device, size, "%s", line);
		if (*line && *line != '/')
			diag("| %s", line);
	}
	status = pclose(pipe);
	return status ? -EIO : 0;
}

/* The pieces are mapped devices, so that none can be mistaken for NVMe. */
static int make_pieces(void)
{
	unsigned int i;
	char name[8];
	int ret = 0;

	for (i = 0; i < 4 && !ret; i++) {
		snprintf(name, sizeof(name), "p%u", i);
		/* room for the superblocks of md */
		ret = dm_create_one(name, "linear", devices.nvme,
				    2048 + i * MIB_SECTORS(40),
				    MIB_SECTORS(40), "");
	}
	return ret;
}

static int remove_pieces(void)
{
	unsigned int i;
	char name[8];
	int ret = 0;

	for (i = 0; i < 4; i++) {
		snprintf(name, sizeof(name), "p%u", i);
		ret = dm_remove(name) ?: ret;
	}
	return ret;
}

FIXTURE_SETUP(unaware)
{
	const char *file;
	int ret;

	ASSERT_EQ(0, make_pieces());
	ret = run_script(variant->make, self->below, sizeof(self->below));
	/* a kernel without one kind of device has others still */
	if (ret)
		remove_pieces();
	ASSERT_EQ(0, ret);
	ASSERT_EQ(0, dm_create_one("above", FILTER, self->below, 0, SECTORS,
				   ""));
	ASSERT_EQ(0, volume_create(&self->volume, "unaware", dm_node("above"),
				   0, SECTORS, ""));
	ASSERT_EQ(0, volume_quiet_ext4(&self->volume));
	file = volume_path(&self->volume, "file");
	ASSERT_EQ(0, file_create(file, BYTES, 1));
	self->fd = file_open_direct(file);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, fs_enable_armed(self->volume.fd, self->fd));
}

FIXTURE_TEARDOWN(unaware)
{
	close(self->fd);
	EXPECT_EQ(0, volume_remove(&self->volume));
	EXPECT_EQ(0, dm_remove("above"));
	EXPECT_EQ(0, run_script(variant->unmake, NULL, 0));
	EXPECT_EQ(0, remove_pieces());
}

TEST_F(unaware, device_is_named_and_reads_enter_there_past_the_layer_above)
{
	uint64_t seen = filter_reads("above");
	struct fs_bpio_output out;
	struct bpio_file_info info;

	ASSERT_EQ(0, fs_op(self->volume.fd, FS_BPIO_OP_QUERY, self->fd, &out));
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_PARTIAL, out.support);
	verdict_is(_metadata, &out.query, variant->reason, NULL);
	EXPECT_EQ(0u, out.out_flags & FS_BPIO_OUTFL_COMPATIBLE_STORAGE_DRIVER);
	READ_BLOCKS(self->fd, BLOCKS, 1);
	EXPECT_EQ(seen, filter_reads("above"));
	ASSERT_EQ(0, file_info(self->fd, &info));
	EXPECT_EQ((uint64_t)BLOCKS, info.direct_reads);
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_PARTIAL, info.support);
}

TEST_F(unaware, device_is_called_by_its_type_by_the_command)
{
	if (shell("command -v bpio >/dev/null"))
		SKIP(return, "there is no bpio");
	/* the kernel knows no more than "device-mapper" of some */
	EXPECT_EQ(0, shell("bpio state --json %s | grep '\"layer_type\": *\"%s\"'",
			   self->volume.node, variant->type));
	EXPECT_EQ(0, shell("bpio stack %s | grep '^    [^ ]* *%s  *no '",
			   self->volume.node, variant->type));
}

TEST_F(unaware, device_is_read_in_every_way_and_by_no_detour)
{
	uint64_t seen = filter_reads("above");
	struct bpio_file_info info;
	struct load load = load_of(self->fd, BYTES, 128 * KIB, 512), again = load;

	EXPECT_EQ(0, load_all_direct(&load, 40));
	EXPECT_EQ(seen, filter_reads("above"));

	/* the path through the layers works too */
	ASSERT_EQ(0, fs_disable(self->volume.fd, self->fd));
	ASSERT_EQ(0, load_start(&again));
	EXPECT_EQ(0, load_progress(&again, 10));
	EXPECT_EQ(0, load_stop(&again));
	ASSERT_EQ(0, file_info(self->fd, &info));
	EXPECT_EQ(again.begun, info.fallback_reads);
	EXPECT_EQ(load.begun, info.direct_reads);
}

TEST_F(unaware, device_is_written_through_the_layers)
{
	uint64_t writes = filter_writes("above");
	const char *other = volume_path(&self->volume, "other");
	int fd;

	ASSERT_EQ(0, file_create(other, BYTES, 2));
	EXPECT_LT(writes, filter_writes("above"));
	fd = file_open_direct(other);
	ASSERT_EQ(0, fs_enable_armed(self->volume.fd, fd));
	READ_BLOCKS(fd, BLOCKS, 2);
	close(fd);
}

PROGRAM_MAIN
