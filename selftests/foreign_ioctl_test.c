// SPDX-License-Identifier: GPL-2.0-only
/*
 * A volume is still a block device: ioctls other than BypassIO's reach the device below
 * under the same condition as with dm-linear. Each is sent to a bpio device and to a
 * linear device over the same sectors, and both must give the same answer.
 */
#include <fcntl.h>
#include <linux/blkzoned.h>
#include <linux/capability.h>
#include <linux/cdrom.h>
#include <linux/fs.h>
#include <linux/hdreg.h>
#include <linux/nvme_ioctl.h>
#include <linux/pr.h>
#include <scsi/sg.h>
#include <sys/ioctl.h>

#include "program.h"

#define PART_SECTORS	MIB_SECTORS(32)

static struct volume whole;
static struct volume part;

static int linear_create(const char *name, uint64_t start, uint64_t sectors)
{
	char params[64];
	struct dm_line line = {
		.sectors = sectors, .type = "linear", .params = params,
	};

	snprintf(params, sizeof(params), "%s %llu", devices.nvme,
		 (unsigned long long)start);
	return dm_create(name, &line, 1, false);
}

static int program_setup(void)
{
	return volume_create(&whole, "ioctl-whole", devices.nvme, 0, 0, "") ?:
	       volume_create(&part, "ioctl-part", devices.nvme, 2048,
			     PART_SECTORS, "") ?:
	       linear_create("ioctl-lin-whole", 0,
			     device_sectors(devices.nvme)) ?:
	       linear_create("ioctl-lin-part", 2048, PART_SECTORS);
}

static int program_cleanup(void)
{
	return volume_remove(&whole) | volume_remove(&part) |
	       dm_remove("ioctl-lin-whole") | dm_remove("ioctl-lin-part");
}

FIXTURE(device) {
	int	bpio;
	int	linear;
};

FIXTURE_VARIANT(device) {
	const char	*bpio;
	const char	*linear;
	bool		whole;
	bool		rawio;
};

FIXTURE_VARIANT_ADD(device, whole) {
	.bpio = "/dev/mapper/" DM_PREFIX "ioctl-whole",
	.linear = "/dev/mapper/" DM_PREFIX "ioctl-lin-whole",
	.whole = true, .rawio = true,
};

FIXTURE_VARIANT_ADD(device, whole_without_rawio) {
	.bpio = "/dev/mapper/" DM_PREFIX "ioctl-whole",
	.linear = "/dev/mapper/" DM_PREFIX "ioctl-lin-whole",
	.whole = true, .rawio = false,
};

FIXTURE_VARIANT_ADD(device, part) {
	.bpio = "/dev/mapper/" DM_PREFIX "ioctl-part",
	.linear = "/dev/mapper/" DM_PREFIX "ioctl-lin-part",
	.whole = false, .rawio = true,
};

FIXTURE_VARIANT_ADD(device, part_without_rawio) {
	.bpio = "/dev/mapper/" DM_PREFIX "ioctl-part",
	.linear = "/dev/mapper/" DM_PREFIX "ioctl-lin-part",
	.whole = false, .rawio = false,
};

FIXTURE_SETUP(device)
{
	self->bpio = open(variant->bpio, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->bpio);
	self->linear = open(variant->linear, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->linear);
	if (!variant->rawio)
		ASSERT_EQ(0, drop_capability(CAP_SYS_RAWIO));
}

FIXTURE_TEARDOWN(device)
{
	close(self->bpio);
	close(self->linear);
}

TEST_F(device, its_size_is_its_own)
{
	uint64_t bytes[2] = { 0, 0 };

	ASSERT_EQ(0, ioctl(self->bpio, BLKGETSIZE64, &bytes[0]));
	ASSERT_EQ(0, ioctl(self->linear, BLKGETSIZE64, &bytes[1]));
	EXPECT_EQ(bytes[1], bytes[0]);
	if (!variant->whole)
		EXPECT_EQ(512 * PART_SECTORS, bytes[0]);
}

TEST_F(device, nvme_ioctls_pass_when_the_whole_device_is_mapped_or_with_rawio)
{
	struct nvme_admin_cmd identify = {
		.opcode = 0x06, .cdw10 = 1,	/* of the controller */
	};
	bool pass = variant->whole || variant->rawio;
	char *page = dio_alloc(4096);

	if (pass) {
		EXPECT_LT(0, ioctl(self->bpio, NVME_IOCTL_ID));
		EXPECT_EQ(ioctl(self->linear, NVME_IOCTL_ID),
			  ioctl(self->bpio, NVME_IOCTL_ID));
	} else {
		EXPECT_EQ(-1, ioctl(self->bpio, NVME_IOCTL_ID));
		EXPECT_EQ(ENOTTY, errno);
	}
	identify.addr = (uintptr_t)page;
	identify.data_len = 4096;
	memset(page, 0, 4096);
	if (pass) {
		EXPECT_EQ(0, ioctl(self->bpio, NVME_IOCTL_ADMIN_CMD, &identify));
		EXPECT_NE(0, page[0] | page[1]);	/* the vendor */
	} else {
		EXPECT_EQ(-1, ioctl(self->bpio, NVME_IOCTL_ADMIN_CMD,
				    &identify));
		EXPECT_EQ(ENOTTY, errno);
	}
}

/* What an ioctl answers: its result, or a negative errno. */
static int ask(int fd, unsigned long code, const void *argument, size_t size)
{
	char copy[1024] = { 0 };
	int ret;

	memcpy(copy, argument, size);
	ret = ioctl(fd, code, copy);
	return ret < 0 ? -errno : ret;
}

#define EXPECT_SAME(code, type, ...) do {				\
	type __argument = { __VA_ARGS__ };				\
									\
	EXPECT_EQ(ask(self->linear, code, &__argument,			\
		      sizeof(__argument)),				\
		  ask(self->bpio, code, &__argument,			\
		      sizeof(__argument))) TH_LOG(#code);		\
} while (0)

TEST_F(device, persistent_reservations_answer_as_linear_does)
{
	EXPECT_SAME(IOC_PR_REGISTER, struct pr_registration,
		    .new_key = 0x1234);
	EXPECT_SAME(IOC_PR_RESERVE, struct pr_reservation,
		    .key = 0x1234, .type = PR_WRITE_EXCLUSIVE);
	EXPECT_SAME(IOC_PR_RELEASE, struct pr_reservation,
		    .key = 0x1234, .type = PR_WRITE_EXCLUSIVE);
	EXPECT_SAME(IOC_PR_PREEMPT, struct pr_preempt,
		    .old_key = 1, .new_key = 2, .type = PR_WRITE_EXCLUSIVE);
	EXPECT_SAME(IOC_PR_CLEAR, struct pr_clear, .key = 0x1234);
}

TEST_F(device, unknown_ioctls_answer_as_linear_does)
{
	EXPECT_SAME(_IO('Z', 0x7f), int, 0);
	EXPECT_SAME(_IO(BPIO_IOC_TYPE, 0x7f), int, 0);
	EXPECT_SAME(_IOR(BPIO_IOC_TYPE, 0x01, struct bpio_ioctl), int, 0);
	EXPECT_SAME(BPIO_IOC_FILE_INFO, int, 0);
	EXPECT_SAME(BPIO_IOC_TALLY, int, 0);
	EXPECT_SAME(CDROM_GET_CAPABILITY, int, 0);
	EXPECT_SAME(SG_GET_VERSION_NUM, int, 0);
	EXPECT_SAME(SG_IO, struct sg_io_hdr, 0);
	EXPECT_SAME(FIBMAP, int, 0);
	EXPECT_EQ(-1, ioctl(self->bpio, _IO('Z', 0x7f)));
	EXPECT_EQ(ENOTTY, errno);
}

TEST_F(device, block_ioctls_answer_as_linear_does)
{
	struct hd_geometry geometry[2] = { 0 };
	uint64_t range[2] = { 1 << 20, 1 << 20 };

	EXPECT_SAME(BLKROGET, int, 0);
	EXPECT_SAME(BLKSSZGET, int, 0);
	EXPECT_SAME(BLKPBSZGET, int, 0);
	EXPECT_SAME(BLKIOMIN, int, 0);
	EXPECT_SAME(BLKIOOPT, int, 0);
	EXPECT_SAME(BLKALIGNOFF, int, 0);
	EXPECT_SAME(BLKROTATIONAL, short, 0);
	EXPECT_SAME(BLKDISCARDZEROES, int, 0);
	EXPECT_SAME(BLKGETZONESZ, int, 0);
	EXPECT_SAME(BLKFLSBUF, int, 0);
	EXPECT_SAME(BLKSECDISCARD, struct { uint64_t range[2]; },
		    { 1 << 20, 1 << 20 });
	EXPECT_EQ(0, ioctl(self->bpio, BLKDISCARD, range));
	EXPECT_EQ(0, ioctl(self->bpio, BLKZEROOUT, range));
	EXPECT_EQ(0, ioctl(self->bpio, HDIO_GETGEO, &geometry[0]));
	EXPECT_EQ(0, ioctl(self->linear, HDIO_GETGEO, &geometry[1]));
	EXPECT_EQ(0, memcmp(&geometry[0], &geometry[1], sizeof(geometry[0])));
}

/* Our own codes are not subject to the rule for foreign ones. */
TEST_F(device, bypass_ioctls_need_no_privilege_beyond_the_open_device)
{
	struct fs_bpio_info info;

	EXPECT_EQ(0, become_nobody());
	EXPECT_EQ(0, fs_info(self->bpio, &info));
	EXPECT_EQ(0u, info.active_count);
}

PROGRAM_MAIN
