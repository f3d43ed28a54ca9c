// SPDX-License-Identifier: GPL-2.0-only
/*
 * Lengths, addresses, flags and reserved fields of the two control codes, sent to
 * the mapped device and to the control node. A refused request must have no effect: no
 * file enabled or disabled, no descriptor left open.
 */
#include <pthread.h>
#include <sys/ioctl.h>

#include "program.h"

static struct volume volume;

static int program_setup(void)
{
	return volume_ext4(&volume, "abi-buffer", devices.nvme, 2048,
			   MIB_SECTORS(32)) ?:
	       file_create(volume_path(&volume, "file"), PAGE, 1);
}

static int program_cleanup(void)
{
	return volume_remove(&volume);
}

/* One well-formed request, to be spoilt. */
FIXTURE(request) {
	int			file;
	int			door;	/* what the request is sent to */
	int			fds;
	int			active;
	unsigned char		*in;	/* ends where unmapped memory begins */
	unsigned char		*out;	/* likewise */
	struct bpio_ioctl	*envelope;
};

FIXTURE_VARIANT(request) {
	unsigned long	code;
	uint32_t	operation;
	size_t		in_size;
	size_t		out_size;
	bool		node;
};

#define REQUEST_VARIANT(name, ioctl_code, op, in_type, out_type, ...)	\
	FIXTURE_VARIANT_ADD(request, name) {				\
		.code = ioctl_code, .operation = op, ##__VA_ARGS__,	\
		.in_size = sizeof(struct in_type),			\
		.out_size = sizeof(struct out_type),			\
	}

REQUEST_VARIANT(enable, FSCTL_MANAGE_BYPASS_IO, FS_BPIO_OP_ENABLE,
		fs_bpio_input, fs_bpio_output);
REQUEST_VARIANT(disable, FSCTL_MANAGE_BYPASS_IO, FS_BPIO_OP_DISABLE,
		fs_bpio_input, fs_bpio_output);
REQUEST_VARIANT(query, FSCTL_MANAGE_BYPASS_IO, FS_BPIO_OP_QUERY,
		fs_bpio_input, fs_bpio_output);
REQUEST_VARIANT(get_info, FSCTL_MANAGE_BYPASS_IO, FS_BPIO_OP_GET_INFO,
		fs_bpio_input, fs_bpio_output);
REQUEST_VARIANT(enable_by_node, FSCTL_MANAGE_BYPASS_IO, FS_BPIO_OP_ENABLE,
		fs_bpio_input, fs_bpio_output, .node = true);
REQUEST_VARIANT(disable_by_node, FSCTL_MANAGE_BYPASS_IO, FS_BPIO_OP_DISABLE,
		fs_bpio_input, fs_bpio_output, .node = true);
REQUEST_VARIANT(query_by_node, FSCTL_MANAGE_BYPASS_IO, FS_BPIO_OP_QUERY,
		fs_bpio_input, fs_bpio_output, .node = true);
REQUEST_VARIANT(get_info_by_node, FSCTL_MANAGE_BYPASS_IO, FS_BPIO_OP_GET_INFO,
		fs_bpio_input, fs_bpio_output, .node = true);
REQUEST_VARIANT(storage_query, IOCTL_STORAGE_MANAGE_BYPASS_IO, BPIO_OP_QUERY,
		bpio_input, bpio_output);

FIXTURE_SETUP(request)
{
	self->file = file_open_direct(volume_path(&volume, "file"));
	ASSERT_LE(0, self->file);
	self->door = variant->node ? node_open() : volume.fd;
	ASSERT_LE(0, self->door) TH_LOG("%s", strerror(-self->door));
	self->active = variant->code == FSCTL_MANAGE_BYPASS_IO &&
		       variant->operation == FS_BPIO_OP_DISABLE;
	if (self->active)
		ASSERT_EQ(0, fs_enable(self->door, self->file));
	self->fds = count_fds();
	ASSERT_EQ(self->active, active_count(volume.fd));
	self->in = guarded_pages(PROT_READ | PROT_WRITE) - variant->in_size;
	self->out = guarded_pages(PROT_READ | PROT_WRITE) - variant->out_size;
	self->envelope = (void *)(guarded_pages(PROT_READ | PROT_WRITE) -
				  sizeof(*self->envelope));
	if (variant->code == FSCTL_MANAGE_BYPASS_IO) {
		struct fs_bpio_input in = {
			.operation = variant->operation, .fd = self->file,
		};

		memcpy(self->in, &in, sizeof(in));
	} else {
		struct bpio_input in = {
			.version = BPIO_INPUT_VERSION, .size = sizeof(in),
			.operation = variant->operation,
		};

		memcpy(self->in, &in, sizeof(in));
	}
	*self->envelope = (struct bpio_ioctl) {
		.size = sizeof(*self->envelope),
		.in_buffer = (uintptr_t)self->in,
		.out_buffer = (uintptr_t)self->out,
		.in_length = variant->in_size,
		.out_length = variant->out_size,
	};
}

FIXTURE_TEARDOWN(request)
{
	close(self->file);
	if (variant->node)
		close(self->door);
	EXPECT_EQ(0, active_count(volume.fd));
}

#define SEND(envelope) \
	(ioctl(self->door, variant->code, envelope) ? -errno : 0)

#define EXPECT_UNTOUCHED(fmt, ...) do {					\
	EXPECT_EQ(self->active, active_count(volume.fd))		\
		TH_LOG(fmt, ##__VA_ARGS__);				\
	EXPECT_EQ(self->fds, count_fds()) TH_LOG(fmt, ##__VA_ARGS__);	\
} while (0)

#define EXPECT_REFUSED(error, fmt, ...) do {				\
	EXPECT_EQ(-(error), SEND(self->envelope))			\
		TH_LOG(fmt, ##__VA_ARGS__);				\
	EXPECT_UNTOUCHED(fmt, ##__VA_ARGS__);				\
} while (0)

/* The request as it stands is accepted. */
#define EXPECT_ACCEPTED(fmt, ...) do {					\
	EXPECT_EQ(0, SEND(self->envelope)) TH_LOG(fmt, ##__VA_ARGS__);	\
	EXPECT_EQ(variant->out_size, self->envelope->bytes_returned)	\
		TH_LOG(fmt, ##__VA_ARGS__);				\
} while (0)

/* Undo what an accepted request did. */
static void take_back(int file, const void *output)
{
	struct fs_bpio_output out;

	memcpy(&out, output, sizeof(out));
	if (out.operation == FS_BPIO_OP_ENABLE)
		fs_disable(volume.fd, file);
}

TEST_F(request, a_well_formed_request_is_accepted)
{
	EXPECT_ACCEPTED("the unspoilt request");
	take_back(self->file, self->out);
}

TEST_F(request, every_shorter_input_is_emsgsize)
{
	uint32_t length;

	for (length = 0; length < variant->in_size; length++) {
		self->envelope->in_length = length;
		EXPECT_REFUSED(EMSGSIZE, "input of %u bytes", length);
	}
}

TEST_F(request, every_shorter_output_is_erange)
{
	uint32_t length;

	memset(self->out, 0xa5, variant->out_size);
	for (length = 0; length < variant->out_size; length++) {
		self->envelope->out_length = length;
		EXPECT_REFUSED(ERANGE, "output of %u bytes", length);
	}
	for (length = 0; length < variant->out_size; length++)
		ASSERT_EQ(0xa5, self->out[length])
			TH_LOG("byte %u was written", length);
}

TEST_F(request, a_longer_input_must_be_zero_behind_its_structure)
{
	unsigned char *in = self->in - 64;
	unsigned int i;

	memmove(in, self->in, variant->in_size);
	memset(in + variant->in_size, 0, 64);
	self->envelope->in_buffer = (uintptr_t)in;
	self->envelope->in_length = variant->in_size + 64;
	for (i = 0; i < 64; i++) {
		in[variant->in_size + i] = 0x80;
		EXPECT_REFUSED(EINVAL, "byte %u behind the structure", i);
		in[variant->in_size + i] = 0;
	}
	EXPECT_ACCEPTED("zeroes behind the structure");
	take_back(self->file, self->out);
}

TEST_F(request, a_longer_input_may_cross_pages_but_must_be_there)
{
	unsigned char *end = self->in + variant->in_size;
	unsigned char request[64], *in = end - 1024;

	memcpy(request, self->in, variant->in_size);
	memset(end - 2 * PAGE, 0, 2 * PAGE);
	memcpy(in, request, variant->in_size);
	self->envelope->in_buffer = (uintptr_t)in;
	self->envelope->in_length = 1025;
	EXPECT_REFUSED(EFAULT, "one byte more than is mapped");
	memset(in, 0, variant->in_size);
	in = end - PAGE - 1024;
	memcpy(in, request, variant->in_size);
	self->envelope->in_buffer = (uintptr_t)in;
	self->envelope->in_length = 2048;
	EXPECT_ACCEPTED("zeroes of two pages behind the structure");
	take_back(self->file, self->out);
}

/* How much longer is not part of the contract; that it ends soon is. */
TEST_F(request, an_input_said_to_be_longer_than_memory_is_refused)
{
	self->envelope->in_length = UINT32_MAX;
	EXPECT_GT(0, SEND(self->envelope));
	EXPECT_UNTOUCHED("4 GiB of input");
}

TEST_F(request, a_longer_output_is_left_alone_behind_its_structure)
{
	unsigned char *out = self->out - 64;
	unsigned int i;

	memset(out, 0xa5, variant->out_size + 64);
	self->envelope->out_buffer = (uintptr_t)out;
	self->envelope->out_length = variant->out_size + 64;
	EXPECT_ACCEPTED("64 bytes of room behind the structure");
	take_back(self->file, out);
	for (i = 0; i < 64; i++)
		EXPECT_EQ(0xa5, out[variant->out_size + i])
			TH_LOG("byte %u behind the structure", i);
}

TEST_F(request, an_output_said_to_be_longer_than_memory_is_accepted)
{
	self->envelope->out_length = UINT32_MAX;
	EXPECT_ACCEPTED("4 GiB of room");
	take_back(self->file, self->out);
}

TEST_F(request, input_that_cannot_be_read_is_efault)
{
	unsigned int cut;

	self->envelope->in_buffer = 0;
	EXPECT_REFUSED(EFAULT, "input at NULL");
	self->envelope->in_buffer = UINT64_MAX - 15;
	EXPECT_REFUSED(EFAULT, "input at the end of the address space");
	for (cut = 1; cut <= variant->in_size; cut++) {
		self->envelope->in_buffer = (uintptr_t)self->in + cut;
		EXPECT_REFUSED(EFAULT, "last %u bytes not mapped", cut);
	}
}

TEST_F(request, output_that_cannot_be_written_is_efault)
{
	unsigned int cut;

	self->envelope->out_buffer = 0;
	EXPECT_REFUSED(EFAULT, "output at NULL");
	self->envelope->out_buffer = UINT64_MAX - 15;
	EXPECT_REFUSED(EFAULT, "output at the end of the address space");
	self->envelope->out_buffer =
		(uintptr_t)guarded_pages(PROT_READ) - variant->out_size;
	EXPECT_REFUSED(EFAULT, "read-only output");
	for (cut = 1; cut <= variant->out_size; cut++) {
		self->envelope->out_buffer = (uintptr_t)self->out + cut;
		EXPECT_REFUSED(EFAULT, "last %u bytes not mapped", cut);
	}
}

TEST_F(request, an_envelope_that_cannot_be_read_or_written_is_efault)
{
	unsigned char *end = (unsigned char *)self->envelope +
			     sizeof(*self->envelope);
	struct bpio_ioctl copy = *self->envelope;
	unsigned int cut;

	EXPECT_EQ(-EFAULT, SEND(NULL));
	for (cut = 1; cut < sizeof(copy); cut++) {
		unsigned char *at = end - sizeof(copy) + cut;

		memcpy(at, &copy, sizeof(copy) - cut);
		EXPECT_EQ(-EFAULT, SEND(at))
			TH_LOG("last %u bytes not mapped", cut);
		EXPECT_UNTOUCHED("last %u bytes not mapped", cut);
	}
	*self->envelope = copy;
	/* bytes_returned has no place to go to */
	ASSERT_EQ(0, mprotect(end - 2 * PAGE, 2 * PAGE, PROT_READ));
	EXPECT_REFUSED(EFAULT, "read-only envelope");
}

TEST_F(request, buffers_need_no_alignment)
{
	unsigned int shift;

	for (shift = 1; shift < 8; shift++) {
		unsigned char *in = self->in - shift, *out = self->out - shift;
		unsigned char *envelope = (unsigned char *)self->envelope - shift;
		struct bpio_ioctl copy = *self->envelope;
		unsigned char request[64];

		memcpy(request, self->in, variant->in_size);
		memcpy(in, request, variant->in_size);
		copy.in_buffer = (uintptr_t)in;
		copy.out_buffer = (uintptr_t)out;
		memcpy(envelope, &copy, sizeof(copy));
		EXPECT_EQ(0, SEND(envelope)) TH_LOG("shifted by %u", shift);
		take_back(self->file, out);
		memcpy(self->in, request, variant->in_size);
		copy.in_buffer = (uintptr_t)self->in;
		copy.out_buffer = (uintptr_t)self->out;
		*self->envelope = copy;
	}
}

TEST_F(request, input_and_output_may_overlap)
{
	memcpy(self->out, self->in, variant->in_size);
	self->envelope->in_buffer = (uintptr_t)self->out;
	EXPECT_ACCEPTED("the same buffer for both");
	take_back(self->file, self->out);
}

TEST_F(request, a_wrong_size_of_the_envelope_is_refused)
{
	static const uint32_t sizes[] = {
		0, 1, 4, 8, 32, 36, 39, 41, 48, 64, PAGE, UINT32_MAX,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		self->envelope->size = sizes[i];
		EXPECT_REFUSED(EINVAL, "size %u", sizes[i]);
	}
}

TEST_F(request, every_flag_and_reserved_bit_of_the_envelope_is_refused)
{
	unsigned int bit;

	for (bit = 0; bit < 32; bit++) {
		self->envelope->flags = 1u << bit;
		EXPECT_REFUSED(EINVAL, "flags 0x%x", self->envelope->flags);
	}
	self->envelope->flags = 0;
	for (bit = 0; bit < 32; bit++) {
		self->envelope->reserved = 1u << bit;
		EXPECT_REFUSED(EINVAL, "reserved 0x%x",
			       self->envelope->reserved);
	}
}

TEST_F(request, what_bytes_returned_holds_before_does_not_matter)
{
	self->envelope->bytes_returned = UINT32_MAX;
	EXPECT_ACCEPTED("bytes_returned of all ones");
	take_back(self->file, self->out);
}

/* Set every bit of @bytes bytes at @offset of the input in turn. */
#define EXPECT_BITS_REFUSED(offset, bytes, error, what) do {		\
	unsigned int __bit;						\
									\
	for (__bit = 0; __bit < 8 * (bytes); __bit++) {			\
		self->in[(offset) + __bit / 8] ^= 1u << __bit % 8;	\
		EXPECT_REFUSED(error, what " bit %u", __bit);		\
		self->in[(offset) + __bit / 8] ^= 1u << __bit % 8;	\
	}								\
} while (0)

/* The report on layers is for QUERY only, arming for ENABLE sent to the node. */
static bool is_known_flag(const FIXTURE_VARIANT(request) *variant, uint32_t flag)
{
	return flag == FS_BPIO_INFL_SKIP_STORAGE_STACK_QUERY ||
	       (flag == FS_BPIO_INFL_ALL_LAYERS &&
		variant->operation == FS_BPIO_OP_QUERY) ||
	       (flag == FS_BPIO_INFL_ARM && variant->node &&
		variant->operation == FS_BPIO_OP_ENABLE);
}

TEST_F(request, every_unknown_flag_and_reserved_bit_of_the_input_is_refused)
{
	unsigned int bit;

	if (variant->code != FSCTL_MANAGE_BYPASS_IO) {
		EXPECT_BITS_REFUSED(12, 4, EINVAL, "in_flags");
		EXPECT_BITS_REFUSED(16, 8, EINVAL, "fd and reserved1");
		EXPECT_BITS_REFUSED(24, 8, EINVAL, "reserved2");
		return;
	}
	EXPECT_BITS_REFUSED(8, 8, EINVAL, "reserved1");
	EXPECT_BITS_REFUSED(16, 8, EINVAL, "reserved2");
	EXPECT_BITS_REFUSED(28, 4, EINVAL, "reserved3");
	for (bit = 0; bit < 32; bit++) {
		uint32_t flags = 1u << bit;

		if (is_known_flag(variant, flags))
			continue;
		memcpy(self->in + 4, &flags, 4);
		EXPECT_REFUSED(EINVAL, "in_flags 0x%x", flags);
	}
}

TEST_F(request, every_unknown_operation_is_refused)
{
	static const uint32_t unknown[] = {
		0, 9, 10, 31, 32, 33, 63, 64, 256, 0x10001, 0x80000001,
		0x7fffffff, UINT32_MAX,
	};
	size_t at = variant->code == FSCTL_MANAGE_BYPASS_IO ? 0 : 8;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(unknown); i++) {
		memcpy(self->in + at, &unknown[i], 4);
		EXPECT_REFUSED(EINVAL, "operation %u", unknown[i]);
	}
	if (variant->code != FSCTL_MANAGE_BYPASS_IO) {
		for (i = 4; i <= 8; i++) {
			memcpy(self->in + at, &i, 4);
			EXPECT_REFUSED(EINVAL, "operation %u", i);
		}
	}
}

TEST(a_wrong_version_or_size_of_the_storage_input_is_refused)
{
	static const uint32_t versions[] = { 0, 2, 3, 0x100, UINT32_MAX };
	static const uint32_t sizes[] = { 0, 1, 31, 33, 64, UINT32_MAX };
	struct bpio_output out;
	struct bpio_input in = {
		.version = BPIO_INPUT_VERSION, .size = sizeof(in),
		.operation = BPIO_OP_QUERY,
	};
	struct bpio_ioctl envelope = {
		.size = sizeof(envelope),
		.in_buffer = (uintptr_t)&in, .in_length = sizeof(in),
		.out_buffer = (uintptr_t)&out, .out_length = sizeof(out),
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(versions); i++) {
		in.version = versions[i];
		EXPECT_EQ(-1, ioctl(volume.fd, IOCTL_STORAGE_MANAGE_BYPASS_IO,
				    &envelope)) TH_LOG("version %u", in.version);
		EXPECT_EQ(EINVAL, errno);
	}
	in.version = BPIO_INPUT_VERSION;
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		in.size = sizes[i];
		EXPECT_EQ(-1, ioctl(volume.fd, IOCTL_STORAGE_MANAGE_BYPASS_IO,
				    &envelope)) TH_LOG("size %u", in.size);
		EXPECT_EQ(EINVAL, errno);
	}
	in.size = sizeof(in);
	EXPECT_EQ(0, ioctl(volume.fd, IOCTL_STORAGE_MANAGE_BYPASS_IO,
			   &envelope));
}

/* Nothing of the kernel's memory leaves it, and reserved fields are zero. */
TEST_F(request, every_byte_of_the_output_is_defined)
{
	struct fs_bpio_output fs;
	struct bpio_output storage;
	unsigned int i;

	memset(self->out, 0xa5, variant->out_size);
	EXPECT_ACCEPTED("an output full of 0xa5");
	take_back(self->file, self->out);
	if (variant->code != FSCTL_MANAGE_BYPASS_IO) {
		memcpy(&storage, self->out, sizeof(storage));
		EXPECT_EQ((unsigned int)BPIO_OUTPUT_VERSION, storage.version);
		EXPECT_EQ(sizeof(storage), storage.size);
		EXPECT_EQ(variant->operation, storage.operation);
		EXPECT_EQ(0u, storage.reserved1);
		EXPECT_EQ(0u, storage.reserved2);
		EXPECT_EQ(0u, storage.reserved3);
		for (i = 32 + sizeof(struct bpio_results); i < 224; i++)
			EXPECT_EQ(0, self->out[i]) TH_LOG("byte %u", i);
		return;
	}
	memcpy(&fs, self->out, sizeof(fs));
	EXPECT_EQ(variant->operation, fs.operation);
	EXPECT_EQ(0u, fs.reserved1);
	EXPECT_EQ(0u, fs.reserved2);
	if (variant->operation == FS_BPIO_OP_ENABLE ||
	    variant->operation == FS_BPIO_OP_QUERY) {
		EXPECT_GT((unsigned int)BPIO_REASON_COUNT, fs.obstacle);
	} else {
		EXPECT_EQ(0u, fs.obstacle);
	}
	if (variant->operation == FS_BPIO_OP_DISABLE ||
	    variant->operation == FS_BPIO_OP_GET_INFO)
		EXPECT_EQ(0u, fs.support);
	i = variant->operation == FS_BPIO_OP_GET_INFO ?
		sizeof(struct fs_bpio_info) : sizeof(struct bpio_results);
	for (i += 24; i < 216; i++)
		EXPECT_EQ(0, self->out[i]) TH_LOG("byte %u", i);
	if (variant->operation == FS_BPIO_OP_GET_INFO) {
		EXPECT_EQ(0u, fs.get_info.flags & ~BPIO_INFO_PEER_MEMORY);
		for (i = fs.get_info.storage_driver_name_len;
		     i < BPIO_DRIVER_NAME_MAX; i++)
			EXPECT_EQ(0, fs.get_info.storage_driver_name[i]);
		return;
	}
	for (i = fs.enable.failing_driver_name_len; i < BPIO_DRIVER_NAME_MAX; i++)
		EXPECT_EQ(0, fs.enable.failing_driver_name[i]);
	for (i = fs.enable.failure_reason_len; i < BPIO_REASON_TEXT_MAX; i++)
		EXPECT_EQ(0, fs.enable.failure_reason[i]);
}

/* Make a page writable and read-only in turn, until asked to stop. */
struct flicker {
	_Atomic bool	stop;
	void		*page;
};

static void *keep_flickering(void *argument)
{
	struct flicker *flicker = argument;

	while (!flicker->stop) {
		mprotect(flicker->page, PAGE, PROT_READ);
		mprotect(flicker->page, PAGE, PROT_READ | PROT_WRITE);
	}
	return NULL;
}

/*
 * Send ENABLE for a while, to an output that can be written when the operation
 * begins, and perhaps not when it is done: a matter of luck.
 */
static void enable_to_flicker(struct __test_metadata *_metadata, int fd,
			      bool was_enabled)
{
	unsigned char *page = guarded_pages(PROT_READ | PROT_WRITE) - PAGE;
	struct fs_bpio_input in = { .operation = FS_BPIO_OP_ENABLE, .fd = fd };
	struct bpio_ioctl envelope = {
		.size = sizeof(envelope),
		.in_buffer = (uintptr_t)&in, .in_length = sizeof(in),
		.out_buffer = (uintptr_t)page,
		.out_length = sizeof(struct fs_bpio_output),
	};
	struct flicker flicker = { .page = page };
	unsigned int good = 0, bad = 0;
	uint64_t end = now_ms() + 3000;
	int fds = count_fds();
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, keep_flickering, &flicker));
	while (now_ms() < end) {
		if (ioctl(volume.fd, FSCTL_MANAGE_BYPASS_IO, &envelope)) {
			ASSERT_EQ(EFAULT, errno);
			ASSERT_EQ(was_enabled, active_count(volume.fd));
			bad++;
		} else {
			ASSERT_EQ(1, active_count(volume.fd));
			if (!was_enabled)
				fs_disable(volume.fd, fd);
			good++;
		}
	}
	flicker.stop = true;
	pthread_join(thread, NULL);
	EXPECT_LT(0u, good);
	EXPECT_LT(0u, bad);
	EXPECT_EQ(was_enabled, active_count(volume.fd));
	EXPECT_EQ(fds, count_fds());
}

TEST(an_answer_that_cannot_be_delivered_in_the_end_undoes_enable)
{
	int fd = file_open_direct(volume_path(&volume, "file"));

	ASSERT_LE(0, fd);
	enable_to_flicker(_metadata, fd, false);
	close(fd);
	EXPECT_EQ(0, active_count(volume.fd));
}

TEST(an_answer_that_cannot_be_delivered_leaves_what_was_enabled_before)
{
	int fd = file_open_direct(volume_path(&volume, "file"));

	ASSERT_EQ(0, fs_enable(volume.fd, fd));
	enable_to_flicker(_metadata, fd, true);
	close(fd);
	EXPECT_EQ(0, active_count(volume.fd));
}

PROGRAM_MAIN
