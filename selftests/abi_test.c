// SPDX-License-Identifier: GPL-2.0-only
/*
 * The numbers of <linux/dm-bpio.h>: sizes, offsets, ioctl codes, enums, the
 * version query. A program built today must work with every later kernel.
 */
#include <stddef.h>
#include <sys/ioctl.h>

#include "program.h"

static struct volume volume;

static int program_setup(void)
{
	return volume_create(&volume, "abi", devices.nvme, 2048,
			     MIB_SECTORS(16), "");
}

static int program_cleanup(void)
{
	return volume_remove(&volume);
}

#define EXPECT_FIELD(type, field, offset, size) do {			\
	EXPECT_EQ(offset, (int)offsetof(struct type, field));		\
	EXPECT_EQ(size, (int)sizeof(((struct type *)0)->field));	\
} while (0)

TEST(the_envelope_has_its_pinned_layout)
{
	EXPECT_EQ(40, (int)sizeof(struct bpio_ioctl));
	EXPECT_FIELD(bpio_ioctl, size, 0, 4);
	EXPECT_FIELD(bpio_ioctl, flags, 4, 4);
	EXPECT_FIELD(bpio_ioctl, in_buffer, 8, 8);
	EXPECT_FIELD(bpio_ioctl, out_buffer, 16, 8);
	EXPECT_FIELD(bpio_ioctl, in_length, 24, 4);
	EXPECT_FIELD(bpio_ioctl, out_length, 28, 4);
	EXPECT_FIELD(bpio_ioctl, bytes_returned, 32, 4);
	EXPECT_FIELD(bpio_ioctl, reserved, 36, 4);
}

TEST(the_file_level_input_and_output_have_their_pinned_layout)
{
	EXPECT_EQ(32, (int)sizeof(struct fs_bpio_input));
	EXPECT_FIELD(fs_bpio_input, operation, 0, 4);
	EXPECT_FIELD(fs_bpio_input, in_flags, 4, 4);
	EXPECT_FIELD(fs_bpio_input, reserved1, 8, 8);
	EXPECT_FIELD(fs_bpio_input, reserved2, 16, 8);
	EXPECT_FIELD(fs_bpio_input, fd, 24, 4);
	EXPECT_FIELD(fs_bpio_input, reserved3, 28, 4);

	EXPECT_EQ(224, (int)sizeof(struct fs_bpio_output));
	EXPECT_FIELD(fs_bpio_output, operation, 0, 4);
	EXPECT_FIELD(fs_bpio_output, out_flags, 4, 4);
	EXPECT_FIELD(fs_bpio_output, reserved1, 8, 8);
	EXPECT_FIELD(fs_bpio_output, reserved2, 16, 8);
	EXPECT_FIELD(fs_bpio_output, enable, 24, 172);
	EXPECT_FIELD(fs_bpio_output, query, 24, 172);
	EXPECT_FIELD(fs_bpio_output, volume_stack_resume, 24, 172);
	EXPECT_FIELD(fs_bpio_output, stream_resume, 24, 172);
	EXPECT_FIELD(fs_bpio_output, get_info, 24, 104);
	EXPECT_FIELD(fs_bpio_output, space, 24, 192);
	EXPECT_FIELD(fs_bpio_output, support, 216, 4);
	EXPECT_FIELD(fs_bpio_output, obstacle, 220, 4);
}

TEST(the_verdict_and_the_info_have_their_pinned_layout)
{
	EXPECT_EQ(172, (int)sizeof(struct bpio_results));
	EXPECT_FIELD(bpio_results, op_status, 0, 4);
	EXPECT_FIELD(bpio_results, failing_driver_name_len, 4, 2);
	EXPECT_FIELD(bpio_results, failing_driver_name, 6, 32);
	EXPECT_FIELD(bpio_results, failure_reason_len, 38, 2);
	EXPECT_FIELD(bpio_results, failure_reason, 40, 128);
	EXPECT_FIELD(bpio_results, reason, 168, 4);

	EXPECT_EQ(104, (int)sizeof(struct fs_bpio_info));
	EXPECT_FIELD(fs_bpio_info, active_count, 0, 4);
	EXPECT_FIELD(fs_bpio_info, storage_driver_name_len, 4, 2);
	EXPECT_FIELD(fs_bpio_info, storage_driver_name, 6, 32);
	EXPECT_FIELD(fs_bpio_info, flags, 38, 2);
	EXPECT_FIELD(fs_bpio_info, storage_major, 40, 4);
	EXPECT_FIELD(fs_bpio_info, storage_minor, 44, 4);
	EXPECT_FIELD(fs_bpio_info, volume_major, 48, 4);
	EXPECT_FIELD(fs_bpio_info, volume_minor, 52, 4);
	EXPECT_FIELD(fs_bpio_info, direct_reads, 56, 8);
	EXPECT_FIELD(fs_bpio_info, direct_bytes, 64, 8);
	EXPECT_FIELD(fs_bpio_info, fallback_reads, 72, 8);
	EXPECT_FIELD(fs_bpio_info, fallback_bytes, 80, 8);
	EXPECT_FIELD(fs_bpio_info, mapped_reads, 88, 8);
	EXPECT_FIELD(fs_bpio_info, bmap_steps, 96, 8);
}

TEST(the_report_on_layers_has_its_pinned_layout)
{
	EXPECT_EQ(340, (int)offsetof(struct bpio_layer_info, reserved2));
	EXPECT_EQ(344, (int)sizeof(struct bpio_layer_info));
	EXPECT_FIELD(bpio_layer_info, major, 0, 4);
	EXPECT_FIELD(bpio_layer_info, minor, 4, 4);
	EXPECT_FIELD(bpio_layer_info, flags, 8, 4);
	EXPECT_FIELD(bpio_layer_info, depth, 12, 4);
	EXPECT_FIELD(bpio_layer_info, bypassed_reads, 16, 8);
	EXPECT_FIELD(bpio_layer_info, paused_since, 24, 8);
	EXPECT_FIELD(bpio_layer_info, name_len, 32, 2);
	EXPECT_FIELD(bpio_layer_info, who_len, 34, 2);
	EXPECT_FIELD(bpio_layer_info, why_len, 36, 2);
	EXPECT_FIELD(bpio_layer_info, reserved, 38, 2);
	EXPECT_FIELD(bpio_layer_info, name, 40, 32);
	EXPECT_FIELD(bpio_layer_info, who, 72, 32);
	EXPECT_FIELD(bpio_layer_info, why, 104, 64);
	EXPECT_FIELD(bpio_layer_info, verdict, 168, 172);
	EXPECT_EQ(232, (int)sizeof(struct fs_bpio_stack));
	EXPECT_FIELD(fs_bpio_stack, output, 0, 224);
	EXPECT_FIELD(fs_bpio_stack, layers, 224, 4);
	EXPECT_FIELD(fs_bpio_stack, written, 228, 4);
	EXPECT_EQ(232, (int)offsetof(struct fs_bpio_stack, layer));
}

TEST(the_storage_level_input_and_output_have_their_pinned_layout)
{
	EXPECT_EQ(32, (int)sizeof(struct bpio_input));
	EXPECT_FIELD(bpio_input, version, 0, 4);
	EXPECT_FIELD(bpio_input, size, 4, 4);
	EXPECT_FIELD(bpio_input, operation, 8, 4);
	EXPECT_FIELD(bpio_input, in_flags, 12, 4);
	EXPECT_FIELD(bpio_input, fd, 16, 4);
	EXPECT_FIELD(bpio_input, reserved1, 20, 4);
	EXPECT_FIELD(bpio_input, reserved2, 24, 8);

	EXPECT_EQ(232, (int)sizeof(struct bpio_output));
	EXPECT_FIELD(bpio_output, version, 0, 4);
	EXPECT_FIELD(bpio_output, size, 4, 4);
	EXPECT_FIELD(bpio_output, operation, 8, 4);
	EXPECT_FIELD(bpio_output, out_flags, 12, 4);
	EXPECT_FIELD(bpio_output, reserved1, 16, 8);
	EXPECT_FIELD(bpio_output, reserved2, 24, 8);
	EXPECT_FIELD(bpio_output, enable, 32, 172);
	EXPECT_FIELD(bpio_output, query, 32, 172);
	EXPECT_FIELD(bpio_output, space, 32, 192);
	EXPECT_FIELD(bpio_output, support, 224, 4);
	EXPECT_FIELD(bpio_output, reserved3, 228, 4);
}

TEST(the_version_and_the_file_structures_have_their_pinned_layout)
{
	EXPECT_EQ(24, (int)sizeof(struct bpio_version));
	EXPECT_FIELD(bpio_version, size, 0, 4);
	EXPECT_FIELD(bpio_version, abi_version, 4, 4);
	EXPECT_FIELD(bpio_version, features, 8, 8);
	EXPECT_FIELD(bpio_version, fs_operations, 16, 4);
	EXPECT_FIELD(bpio_version, storage_operations, 20, 4);

	EXPECT_EQ(32, (int)sizeof(struct bpio_file_arm));
	EXPECT_FIELD(bpio_file_arm, size, 0, 4);
	EXPECT_FIELD(bpio_file_arm, flags, 4, 4);
	EXPECT_FIELD(bpio_file_arm, armed, 8, 4);
	EXPECT_FIELD(bpio_file_arm, reason, 12, 4);
	EXPECT_FIELD(bpio_file_arm, extents, 16, 8);
	EXPECT_FIELD(bpio_file_arm, mapped_bytes, 24, 8);

	EXPECT_EQ(600, (int)sizeof(struct bpio_file_info));
	EXPECT_FIELD(bpio_file_info, size, 0, 4);
	EXPECT_FIELD(bpio_file_info, flags, 4, 4);
	EXPECT_FIELD(bpio_file_info, armed, 8, 4);
	EXPECT_FIELD(bpio_file_info, reason, 12, 4);
	EXPECT_FIELD(bpio_file_info, support, 16, 4);
	EXPECT_FIELD(bpio_file_info, volume_major, 20, 4);
	EXPECT_FIELD(bpio_file_info, volume_minor, 24, 4);
	EXPECT_FIELD(bpio_file_info, enabled, 28, 4);
	EXPECT_FIELD(bpio_file_info, extents, 32, 8);
	EXPECT_FIELD(bpio_file_info, mapped_bytes, 40, 8);
	EXPECT_FIELD(bpio_file_info, revokes, 48, 8);
	EXPECT_FIELD(bpio_file_info, direct_reads, 56, 8);
	EXPECT_FIELD(bpio_file_info, direct_bytes, 64, 8);
	EXPECT_FIELD(bpio_file_info, fallback_reads, 72, 8);
	EXPECT_FIELD(bpio_file_info, fallback_bytes, 80, 8);
	EXPECT_FIELD(bpio_file_info, fallback_reason, 88, 512);
}

TEST(the_tally_has_its_pinned_layout)
{
	EXPECT_EQ(1088, (int)sizeof(struct bpio_tally));
	EXPECT_FIELD(bpio_tally, size, 0, 4);
	EXPECT_FIELD(bpio_tally, flags, 4, 4);
	EXPECT_FIELD(bpio_tally, files, 8, 8);
	EXPECT_FIELD(bpio_tally, open_files, 16, 8);
	EXPECT_FIELD(bpio_tally, direct_reads, 24, 8);
	EXPECT_FIELD(bpio_tally, direct_bytes, 32, 8);
	EXPECT_FIELD(bpio_tally, fallback_reads, 40, 8);
	EXPECT_FIELD(bpio_tally, fallback_bytes, 48, 8);
	EXPECT_FIELD(bpio_tally, refused, 56, 8);
	EXPECT_FIELD(bpio_tally, fallback_reason, 64, 512);
	EXPECT_FIELD(bpio_tally, refused_reason, 576, 512);
}

TEST(ioctl_codes_are_pinned)
{
	EXPECT_EQ(0xc018bb00u, (unsigned int)BPIO_IOC_GET_VERSION);
	EXPECT_EQ(0xc028bb01u, (unsigned int)FSCTL_MANAGE_BYPASS_IO);
	EXPECT_EQ(0xc028bb02u, (unsigned int)IOCTL_STORAGE_MANAGE_BYPASS_IO);
	EXPECT_EQ(0xc020bb10u, (unsigned int)BPIO_IOC_FILE_ARM);
	EXPECT_EQ(0xc258bb11u, (unsigned int)BPIO_IOC_FILE_INFO);
	EXPECT_EQ(0xc440bb20u, (unsigned int)BPIO_IOC_TALLY);
}

TEST(operations_flags_and_levels_of_support_are_pinned)
{
	EXPECT_EQ(1, FS_BPIO_OP_ENABLE);
	EXPECT_EQ(2, FS_BPIO_OP_DISABLE);
	EXPECT_EQ(3, FS_BPIO_OP_QUERY);
	EXPECT_EQ(4, FS_BPIO_OP_VOLUME_STACK_PAUSE);
	EXPECT_EQ(5, FS_BPIO_OP_VOLUME_STACK_RESUME);
	EXPECT_EQ(6, FS_BPIO_OP_STREAM_PAUSE);
	EXPECT_EQ(7, FS_BPIO_OP_STREAM_RESUME);
	EXPECT_EQ(8, FS_BPIO_OP_GET_INFO);
	EXPECT_EQ(1, BPIO_OP_ENABLE);
	EXPECT_EQ(2, BPIO_OP_DISABLE);
	EXPECT_EQ(3, BPIO_OP_QUERY);
	EXPECT_EQ(1u, FS_BPIO_INFL_SKIP_STORAGE_STACK_QUERY);
	EXPECT_EQ(0x10000u, FS_BPIO_INFL_ALL_LAYERS);
	EXPECT_EQ(0x20000u, FS_BPIO_INFL_ARM);
	EXPECT_EQ(0x30001u, FS_BPIO_INFL_ALL);
	EXPECT_EQ(1u, BPIO_LAYER_TAKES_PART);
	EXPECT_EQ(2u, BPIO_LAYER_STORAGE);
	EXPECT_EQ(4u, BPIO_LAYER_BYPASSED);
	EXPECT_EQ(8u, BPIO_LAYER_PAUSED);
	EXPECT_EQ(1u, FS_BPIO_OUTFL_VOLUME_STACK_BYPASS_PAUSED);
	EXPECT_EQ(2u, FS_BPIO_OUTFL_STREAM_BYPASS_PAUSED);
	EXPECT_EQ(4u, FS_BPIO_OUTFL_FILTER_ATTACH_BLOCKED);
	EXPECT_EQ(8u, FS_BPIO_OUTFL_COMPATIBLE_STORAGE_DRIVER);
	EXPECT_EQ(0x20000u, FS_BPIO_OUTFL_STREAM_KERNEL_PAUSED);
	EXPECT_EQ(0, BPIO_SUPPORT_NONE);
	EXPECT_EQ(1, BPIO_SUPPORT_PARTIAL);
	EXPECT_EQ(2, BPIO_SUPPORT_FULL);
	EXPECT_EQ(1, BPIO_INPUT_VERSION);
	EXPECT_EQ(1, BPIO_OUTPUT_VERSION);
	EXPECT_EQ(2, BPIO_ABI_VERSION);
	EXPECT_EQ(64, BPIO_REASON_SLOTS);
}

/* By name: the tokens stand in the CLI's JSON, the numbers in the ABI. */
static const char *const pinned_reasons[] = {
	"none", "not-regular-file", "not-readable", "not-direct",
	"other-volume", "file-system", "verity", "encrypted", "compressed",
	"dax", "swap-file", "not-nvme", "zoned", "metadata", "layer-unaware",
	"layer-veto", "file-veto", "query-skipped", "not-armed", "writer",
	"revoked", "lease", "dirty-pages", "unmapped", "map-limit",
	"unaligned", "volume-suspended", "volume-paused", "stream-paused",
	"disabled", "device-error", "no-memory", "no-wait", "switched-off",
	"realtime", "not-read-only", "kernel-paused",
	"locked",
	"shut-down",
	"peer-memory",
};

TEST(reasons_keep_their_numbers_and_fit_their_fields)
{
	unsigned int i;

	ASSERT_EQ((int)ARRAY_SIZE(pinned_reasons), (int)BPIO_REASON_COUNT);
	for (i = 0; i < ARRAY_SIZE(pinned_reasons); i++)
		EXPECT_STREQ(pinned_reasons[i], reason_token(i));
	for (i = 0; i < BPIO_REASON_COUNT; i++) {
		size_t length;

		ASSERT_NE(NULL, reason_sentence(i))
			TH_LOG("reason %u has no sentence", i);
		length = strlen(reason_sentence(i));
		EXPECT_LE(length, (size_t)BPIO_REASON_TEXT_MAX);
		EXPECT_EQ('.', reason_sentence(i)[length - 1]);
	}
	EXPECT_LE((int)BPIO_REASON_COUNT, BPIO_REASON_SLOTS);
}

/* Both answer: the mapped device and the control node. */
FIXTURE(version) {
	int	fd;
};

FIXTURE_VARIANT(version) {
	bool	node;
};

FIXTURE_VARIANT_ADD(version, of_the_mapped_device) { .node = false };
FIXTURE_VARIANT_ADD(version, of_the_node) { .node = true };

FIXTURE_SETUP(version)
{
	self->fd = variant->node ? node_open() : dup(volume.fd);
	ASSERT_LE(0, self->fd) TH_LOG("%s", strerror(-self->fd));
}

FIXTURE_TEARDOWN(version)
{
	close(self->fd);
}

static int get_version(int fd, struct bpio_version *version)
{
	return ioctl(fd, BPIO_IOC_GET_VERSION, version) ? -errno : 0;
}

TEST_F(version, tells_what_the_kernel_offers)
{
	struct bpio_version version = { .size = sizeof(version) };
	uint32_t always = 1u << FS_BPIO_OP_ENABLE | 1u << FS_BPIO_OP_DISABLE |
			  1u << FS_BPIO_OP_QUERY | 1u << FS_BPIO_OP_GET_INFO;

	ASSERT_EQ(0, get_version(self->fd, &version));
	EXPECT_EQ(24u, version.size);
	EXPECT_EQ((unsigned int)BPIO_ABI_VERSION, version.abi_version);
	EXPECT_EQ(BPIO_FEATURE_EXT4, version.features & BPIO_FEATURE_EXT4);
	EXPECT_EQ(always, version.fs_operations & always);
	/* bits 0 and 9 to 31 are no operations */
	EXPECT_EQ(0u, version.fs_operations & ~0x1feu);
	EXPECT_EQ(1u << BPIO_OP_QUERY,
		  version.storage_operations & 1u << BPIO_OP_QUERY);
	EXPECT_EQ(0u, version.storage_operations & ~0xeu);
}

TEST_F(version, with_too_little_room_is_refused_and_writes_nothing)
{
	unsigned int size;

	for (size = 0; size < sizeof(struct bpio_version); size++) {
		struct bpio_version version, before;

		memset(&version, 0xa5, sizeof(version));
		version.size = size;
		before = version;
		EXPECT_EQ(-EINVAL, get_version(self->fd, &version))
			TH_LOG("with size %u", size);
		EXPECT_EQ(0, memcmp(&version, &before, sizeof(version)));
	}
}

TEST_F(version, with_more_room_gets_zeroes_behind_what_is_known)
{
	union {
		struct bpio_version version;
		unsigned char bytes[64];
	} room;
	unsigned int i;

	memset(&room, 0xa5, sizeof(room));
	room.version.size = 48;
	ASSERT_EQ(0, get_version(self->fd, &room.version));
	EXPECT_EQ(sizeof(struct bpio_version), room.version.size);
	for (i = sizeof(struct bpio_version); i < 48; i++)
		EXPECT_EQ(0, room.bytes[i]) TH_LOG("byte %u", i);
	for (i = 48; i < sizeof(room); i++)
		EXPECT_EQ(0xa5, room.bytes[i]) TH_LOG("byte %u", i);
}

TEST_F(version, without_memory_is_efault)
{
	char *end = guarded_pages(PROT_READ | PROT_WRITE);
	struct bpio_version *version;

	EXPECT_EQ(-EFAULT, get_version(self->fd, NULL));
	/* the size can be read, the rest is not there */
	version = (void *)(end - 8);
	version->size = sizeof(*version);
	EXPECT_EQ(-EFAULT, get_version(self->fd, version));
	/* the structure is there, the room it speaks of is not */
	version = (void *)(end - sizeof(*version));
	version->size = 4096;
	EXPECT_EQ(-EFAULT, get_version(self->fd, version));
}

PROGRAM_MAIN
