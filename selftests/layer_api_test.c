// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel interface for layers, used correctly and incorrectly by a third-party
 * module (modules/bpio-probe.c).
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "objection.h"
#include "program.h"
#include "stack.h"

#define BYTES	(512 * 1024)
#define BLOCKS	16

/* The first is called "guard", the second "scanner". */
static struct stack stack;
static char path[192], other[192];

static int program_setup(void)
{
	int ret = module_load("bpio-probe") ?:
		  stack_ext4(&stack, "api", "bpio-probe bpio-probe",
			     devices.nvme, 2048, MIB_SECTORS(32)) ?:
		  stack_reload(&stack, 0, "bpio-probe", "2 name guard") ?:
		  stack_reload(&stack, 1, "bpio-probe", "2 name scanner") ?:
		  file_create(volume_path(&stack.volume, "file"), BYTES, 1) ?:
		  file_create(volume_path(&stack.volume, "other"), BYTES, 2);

	snprintf(path, sizeof(path), "%s", volume_path(&stack.volume, "file"));
	snprintf(other, sizeof(other), "%s",
		 volume_path(&stack.volume, "other"));
	return ret;
}

static int program_cleanup(void)
{
	return stack_remove(&stack);
}

#define GUARD	(stack.layer[0].name)
#define SCANNER	(stack.layer[1].name)

#define TELL(layer, ...) \
	ASSERT_EQ(0, dm_message(layer, NULL, 0, __VA_ARGS__))

/* The answer of a layer, which has to be @expected. */
#define EXPECT_ANSWER(expected, layer, ...) do {			\
	char __answer[512];						\
									\
	ASSERT_EQ(0, dm_message(layer, __answer, sizeof(__answer),	\
				__VA_ARGS__));				\
	EXPECT_STREQ(expected, __answer);				\
} while (0)

FIXTURE(api) {
	int	fd;
};

FIXTURE_SETUP(api)
{
	self->fd = file_open_direct(path);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(api)
{
	close(self->fd);
	TELL(GUARD, "allow");
	TELL(SCANNER, "allow");
	EXPECT_EQ(0, active_count(stack.volume.fd));
}

static int query(int fd, struct fs_bpio_output *out)
{
	return fs_op(stack.volume.fd, FS_BPIO_OP_QUERY, fd, out);
}

TEST_F(api, a_third_party_vetoes_a_file_in_its_own_words)
{
	struct fs_bpio_output out;

	TELL(SCANNER, "file_veto 13 Somebody_else_says_no.");
	ASSERT_EQ(0, query(self->fd, &out));
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_NONE, out.support);
	EXPECT_OBJECTION(&out.query, FILE_VETO, -EACCES, "scanner",
			 "Somebody else says no.");
	EXPECT_EQ(-EACCES, fs_enable(stack.volume.fd, self->fd));
}

TEST_F(api, a_third_party_vetoes_the_volume_in_its_own_words)
{
	struct fs_bpio_output out;

	TELL(SCANNER, "storage_veto 16 Somebody_else_says_no.");
	ASSERT_EQ(0, query(self->fd, &out));
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_PARTIAL, out.support);
	EXPECT_OBJECTION(&out.query, LAYER_VETO, -EBUSY, "scanner",
			 "Somebody else says no.");
}

TEST_F(api, a_reason_of_128_bytes_is_told_in_full_and_one_of_129_is_no_veto)
{
	struct fs_bpio_output out;
	char reason[BPIO_REASON_TEXT_MAX + 2];

	memset(reason, 'r', sizeof(reason));
	reason[BPIO_REASON_TEXT_MAX] = 0;
	TELL(GUARD, "storage_veto 5 %s", reason);
	ASSERT_EQ(0, query(-1, &out));
	EXPECT_OBJECTION(&out.query, LAYER_VETO, -EIO, "guard", reason);

	strcat(reason, "r");
	TELL(GUARD, "storage_veto 5 %s", reason);
	ASSERT_EQ(0, query(-1, &out));
	EXPECT_NO_OBJECTION(&out.query);
}

TEST_F(api, bpio_veto_refuses_every_wrong_argument_and_then_vetoes_nothing)
{
	struct fs_bpio_output out;

	TELL(GUARD, "check");
	ASSERT_EQ(0, fs_enable(stack.volume.fd, self->fd));
	/* EINVAL for a status that is not an error, ENODATA, E2BIG; EOPNOTSUPP outside */
	EXPECT_ANSWER("file_pre -22 -22 -22 -61 -61 -7 file_post -95 "
		      "storage_pre -22 -22 -22 -61 -61 -7 storage_post -95",
		      GUARD, "checks");
	ASSERT_EQ(0, query(self->fd, &out));
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_FULL, out.support);
	EXPECT_NO_OBJECTION(&out.query);
	/* DISABLE, at both levels */
	close(self->fd);
	self->fd = -1;
	EXPECT_ANSWER("file_pre -22 -22 -22 -61 -61 -7 file_post -95 "
		      "storage_pre -22 -22 -22 -61 -61 -7 storage_post -95",
		      GUARD, "checks");
}

TEST_F(api, the_first_veto_of_a_layer_counts)
{
	struct fs_bpio_output out;

	TELL(GUARD, "twice");
	TELL(GUARD, "file_veto 13 The_first_one.");
	ASSERT_EQ(0, query(self->fd, &out));
	EXPECT_OBJECTION(&out.query, FILE_VETO, -EACCES, "guard",
			 "The first one.");
}

FIXTURE(nonsense) {
	int	fd;
};

FIXTURE_VARIANT(nonsense) {
	int	ret;
	int	status;
};

FIXTURE_VARIANT_ADD(nonsense, a_positive_number) {
	.ret = 7, .status = -EINVAL,
};

FIXTURE_VARIANT_ADD(nonsense, beyond_all_errors) {
	.ret = -9999, .status = -EINVAL,
};

FIXTURE_VARIANT_ADD(nonsense, the_lowest_number) {
	.ret = INT32_MIN, .status = -EINVAL,
};

FIXTURE_VARIANT_ADD(nonsense, an_error_without_a_veto) {
	.ret = -EIO, .status = -EIO,
};

FIXTURE_SETUP(nonsense)
{
	self->fd = file_open_direct(path);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(nonsense)
{
	close(self->fd);
	TELL(SCANNER, "allow");
	EXPECT_EQ(0, active_count(stack.volume.fd));
}

TEST_F(nonsense, from_a_callback_for_files_is_a_veto_of_the_file)
{
	struct fs_bpio_output out;

	TELL(SCANNER, "file_return %d", variant->ret);
	ASSERT_EQ(0, fs_op(stack.volume.fd, FS_BPIO_OP_ENABLE, self->fd, &out));
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_NONE, out.support);
	EXPECT_OBJECTION(&out.enable, FILE_VETO, variant->status, "scanner",
			 NULL);
	EXPECT_EQ(0, active_count(stack.volume.fd));
}

TEST_F(nonsense, from_a_callback_for_the_volume_is_a_veto_of_the_volume)
{
	struct fs_bpio_output out;

	TELL(SCANNER, "storage_return %d", variant->ret);
	ASSERT_EQ(0, fs_op(stack.volume.fd, FS_BPIO_OP_ENABLE, self->fd, &out));
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_PARTIAL, out.support);
	EXPECT_OBJECTION(&out.enable, LAYER_VETO, variant->status, "scanner",
			 NULL);
	ASSERT_EQ(0, file_armed(self->fd));
	READ_BLOCKS(self->fd, BLOCKS, 1);
	EXPECT_EQ((uint64_t)BLOCKS, file_direct(self->fd));
}

/* Calls of the callbacks of a layer, for ENABLE and DISABLE. */
struct calls {
	unsigned int	file_pre, file_post, file_disable;
	unsigned int	storage_pre, storage_post, storage_disable;
};

static void count_calls(struct __test_metadata *_metadata, const char *layer,
			struct calls *calls)
{
	char answer[256];
	int n;

	ASSERT_EQ(0, dm_message(layer, answer, sizeof(answer), "counts"));
	n = sscanf(answer,
		   "file_pre %u %*u %*u file_post %u %u %*u "
		   "storage_pre %u %*u %*u storage_post %u %u %*u",
		   &calls->file_pre, &calls->file_post, &calls->file_disable,
		   &calls->storage_pre, &calls->storage_post,
		   &calls->storage_disable);
	ASSERT_EQ(6, n) TH_LOG("%s", answer);
}

#define EXPECT_CALLS(layer, since, ...) do {				\
	struct calls __now, __new = { __VA_ARGS__ };			\
									\
	count_calls(_metadata, layer, &__now);				\
	EXPECT_EQ(__new.file_pre, __now.file_pre - (since).file_pre);	\
	EXPECT_EQ(__new.file_post, __now.file_post - (since).file_post);	\
	EXPECT_EQ(__new.file_disable,					\
		  __now.file_disable - (since).file_disable);		\
	EXPECT_EQ(__new.storage_pre,					\
		  __now.storage_pre - (since).storage_pre);		\
	EXPECT_EQ(__new.storage_post,					\
		  __now.storage_post - (since).storage_post);		\
	EXPECT_EQ(__new.storage_disable,				\
		  __now.storage_disable - (since).storage_disable);	\
	(since) = __now;							\
} while (0)

/* The route stays for a second after the last file. */
static void wait_for_storage_disable(struct __test_metadata *_metadata,
				     const char *layer,
				     const struct calls *before)
{
	uint64_t deadline = now_ms() + DEADLINE_MS;
	struct calls now;

	do
		count_calls(_metadata, layer, &now);
	while (now.storage_disable == before->storage_disable &&
	       poll_again(deadline));
}

TEST_F(api, the_storage_operations_come_with_the_first_file_and_the_last)
{
	const char *layers[] = { GUARD, SCANNER };
	int first, duplicate, last, i;

	for (i = 0; i < 2; i++) {
		struct calls calls;

		first = file_open_direct(path);
		duplicate = dup(first);
		last = file_open_direct(other);
		count_calls(_metadata, layers[i], &calls);
		ASSERT_EQ(0, fs_enable(stack.volume.fd, first));
		EXPECT_CALLS(layers[i], calls, .file_pre = 1, .file_post = 1,
			     .storage_pre = 1, .storage_post = 1);
		/* the same open file again is nothing new */
		ASSERT_EQ(0, fs_enable(stack.volume.fd, duplicate));
		EXPECT_CALLS(layers[i], calls, 0);
		ASSERT_EQ(0, fs_enable(stack.volume.fd, last));
		EXPECT_CALLS(layers[i], calls, .file_pre = 1, .file_post = 1);
		close(duplicate);
		EXPECT_CALLS(layers[i], calls, 0);
		close(first);
		EXPECT_CALLS(layers[i], calls, .file_disable = 1);
		ASSERT_EQ(0, fs_disable(stack.volume.fd, last));
		wait_for_storage_disable(_metadata, layers[i], &calls);
		EXPECT_CALLS(layers[i], calls, .file_disable = 1,
			     .storage_disable = 1);
		close(last);
		EXPECT_CALLS(layers[i], calls, 0);
	}
}

/* Else each file of many that are read one after the other would cost a walk. */
TEST_F(api, a_file_that_is_enabled_right_after_the_last_close_is_no_first_one)
{
	uint64_t deadline = now_ms() + DEADLINE_MS, took;
	struct calls before, after;

	ASSERT_EQ(0, fs_enable(stack.volume.fd, self->fd));
	do {
		count_calls(_metadata, GUARD, &before);
		took = now_ms();
		close(self->fd);
		self->fd = file_open_direct(path);
		ASSERT_EQ(0, fs_enable(stack.volume.fd, self->fd));
		took = now_ms() - took;
		count_calls(_metadata, GUARD, &after);
	} while (took > 500 && poll_again(deadline));
	EXPECT_EQ(before.file_disable + 1, after.file_disable);
	EXPECT_EQ(before.storage_pre, after.storage_pre);
	EXPECT_EQ(before.storage_disable, after.storage_disable);
}

TEST_F(api, a_query_sends_neither_enable_nor_disable)
{
	struct fs_bpio_output out;
	struct bpio_output storage;
	struct calls calls;

	count_calls(_metadata, GUARD, &calls);
	ASSERT_EQ(0, query(self->fd, &out));
	ASSERT_EQ(0, query(-1, &out));
	ASSERT_EQ(0, storage_op(stack.volume.fd, BPIO_OP_QUERY, &storage));
	ASSERT_EQ(0, fs_op(stack.volume.fd, FS_BPIO_OP_GET_INFO, -1, &out));
	EXPECT_CALLS(GUARD, calls, 0);
}

/* When the last calls were, and the status that the post-operations got. */
struct order {
	int	file_pre, file_post, storage_pre, storage_post;
	int	file_status, storage_status;
};

static void get_order(struct __test_metadata *_metadata, const char *layer,
		      struct order *order)
{
	char answer[256];
	int n;

	ASSERT_EQ(0, dm_message(layer, answer, sizeof(answer), "order"));
	n = sscanf(answer,
		   "file_pre %d %*d file_post %d %d "
		   "storage_pre %d %*d storage_post %d %d",
		   &order->file_pre, &order->file_post, &order->file_status,
		   &order->storage_pre, &order->storage_post,
		   &order->storage_status);
	ASSERT_EQ(6, n) TH_LOG("%s", answer);
}

TEST_F(api, layers_are_asked_top_to_bottom_and_told_bottom_to_top)
{
	struct order guard, scanner;
	struct fs_bpio_output out;

	ASSERT_EQ(0, query(self->fd, &out));
	get_order(_metadata, GUARD, &guard);
	get_order(_metadata, SCANNER, &scanner);
	/* first the level of the file, then that of the storage */
	EXPECT_GT(scanner.file_pre, guard.file_pre);
	EXPECT_GT(scanner.file_post, scanner.file_pre);
	EXPECT_GT(guard.file_post, scanner.file_post);
	EXPECT_GT(guard.storage_pre, guard.file_pre);
	EXPECT_GT(scanner.storage_pre, guard.storage_pre);
	EXPECT_GT(scanner.storage_post, scanner.storage_pre);
	EXPECT_GT(guard.storage_post, scanner.storage_post);
	EXPECT_EQ(0, guard.file_status);
	EXPECT_EQ(0, guard.storage_status);
}

TEST_F(api, a_layer_that_agreed_is_told_who_did_not_and_who_did_not_is_not)
{
	struct order guard, scanner, now;
	struct fs_bpio_output out;

	get_order(_metadata, SCANNER, &scanner);
	TELL(SCANNER, "file_veto 13 No.");
	TELL(SCANNER, "storage_veto 16 No.");
	get_order(_metadata, SCANNER, &scanner);
	ASSERT_EQ(0, query(self->fd, &out));
	get_order(_metadata, GUARD, &guard);
	get_order(_metadata, SCANNER, &now);
	EXPECT_EQ(-EACCES, guard.file_status);
	EXPECT_EQ(-EBUSY, guard.storage_status);
	EXPECT_LT(scanner.file_pre, now.file_pre);
	EXPECT_EQ(scanner.file_post, now.file_post);
	EXPECT_EQ(scanner.storage_post, now.storage_post);
}

TEST_F(api, wrong_registrations_are_refused_and_leave_nothing)
{
	struct fs_bpio_output out;

	EXPECT_ANSWER("-22 -22 -22 -22 -22", GUARD, "register");
	ASSERT_EQ(0, query(-1, &out));
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_FULL, out.support);
}

TEST_F(api, a_layer_pauses_with_a_reason_and_only_with_one_that_fits)
{
	struct fs_bpio_output out;
	char why[BPIO_PAUSE_TEXT_MAX + 2];

	memset(why, 'w', sizeof(why) - 1);
	why[BPIO_PAUSE_TEXT_MAX + 1] = 0;
	EXPECT_EQ(-ENODATA, dm_message(GUARD, NULL, 0, "pause"));
	EXPECT_EQ(-E2BIG, dm_message(GUARD, NULL, 0, "pause %s", why));
	ASSERT_EQ(0, query(-1, &out));
	EXPECT_NO_OBJECTION(&out.query);
	why[BPIO_PAUSE_TEXT_MAX] = 0;
	TELL(GUARD, "pause %s", why);
	ASSERT_EQ(0, query(-1, &out));
	EXPECT_OBJECTION(&out.query, VOLUME_PAUSED, -EBUSY, "guard", why);
	TELL(GUARD, "resume");
	ASSERT_EQ(0, query(-1, &out));
	EXPECT_NO_OBJECTION(&out.query);
}

TEST_F(api, a_layer_pauses_a_file_and_reads_its_open_count)
{
	int fd = file_open_direct(path);

	EXPECT_ANSWER("0", GUARD, "open_count %s", path);
	ASSERT_EQ(0, fs_enable(stack.volume.fd, self->fd));
	ASSERT_EQ(0, fs_enable(stack.volume.fd, fd));
	ASSERT_EQ(0, file_armed(self->fd));
	EXPECT_ANSWER("2", GUARD, "open_count %s", path);
	EXPECT_ANSWER("0", GUARD, "open_count %s", other);
	EXPECT_ANSWER("0", GUARD, "pause_file %s", path);
	READ_BLOCKS(self->fd, BLOCKS, 1);
	EXPECT_EQ((uint64_t)BLOCKS,
		  file_fallbacks(self->fd, BPIO_REASON_KERNEL_PAUSED));
	EXPECT_ANSWER("0", GUARD, "resume_file %s", path);
	READ_BLOCKS(self->fd, BLOCKS, 1);
	EXPECT_EQ((uint64_t)BLOCKS, file_direct(self->fd));
	close(fd);
	EXPECT_ANSWER("1", GUARD, "open_count %s", path);
	close(self->fd);
	self->fd = -1;
	EXPECT_ANSWER("0", GUARD, "open_count %s", path);
}

TEST_F(api, a_resume_of_a_file_from_the_kernel_tells_of_a_veto)
{
	ASSERT_EQ(0, fs_enable(stack.volume.fd, self->fd));
	EXPECT_ANSWER("0", GUARD, "pause_file %s", path);
	TELL(SCANNER, "file_veto 13 No.");
	EXPECT_ANSWER("-13", GUARD, "resume_file %s", path);
}

#define STREAM_PAUSED	FS_BPIO_OUTFL_STREAM_BYPASS_PAUSED
#define KERNEL_PAUSED	FS_BPIO_OUTFL_STREAM_KERNEL_PAUSED

static uint32_t pause_flags(int fd)
{
	struct fs_bpio_output out;

	if (query(fd, &out))
		return ~0;
	return out.out_flags & (STREAM_PAUSED | KERNEL_PAUSED);
}

/* Read some blocks, all of which go direct or fall back for @reason. */
static void expect_reads(struct __test_metadata *_metadata, int fd,
			 enum bpio_reason reason)
{
	uint64_t direct = file_direct(fd);
	uint64_t fallbacks = file_fallbacks(fd, reason);

	READ_BLOCKS(fd, BLOCKS, 1);
	EXPECT_EQ(direct + (reason ? 0 : BLOCKS), file_direct(fd));
	EXPECT_EQ(fallbacks + (reason ? BLOCKS : 0),
		  file_fallbacks(fd, reason));
}

#define EXPECT_READS(fd, reason) \
	expect_reads(_metadata, fd, BPIO_REASON_##reason)

TEST_F(api, a_pause_by_the_kernel_and_one_by_a_program_are_ended_each_by_its_own)
{
	struct fs_bpio_output out;

	ASSERT_EQ(0, fs_enable_armed(stack.volume.fd, self->fd));
	EXPECT_ANSWER("0", GUARD, "pause_file %s", path);
	EXPECT_EQ(STREAM_PAUSED | KERNEL_PAUSED, pause_flags(self->fd));
	ASSERT_EQ(0, fs_op(stack.volume.fd, FS_BPIO_OP_STREAM_RESUME, self->fd,
			   &out));
	EXPECT_EQ(STREAM_PAUSED | KERNEL_PAUSED,
		  out.out_flags & (STREAM_PAUSED | KERNEL_PAUSED));
	EXPECT_READS(self->fd, KERNEL_PAUSED);

	ASSERT_EQ(0, fs_op(stack.volume.fd, FS_BPIO_OP_STREAM_PAUSE, self->fd,
			   &out));
	EXPECT_ANSWER("0", GUARD, "resume_file %s", path);
	EXPECT_EQ(STREAM_PAUSED, pause_flags(self->fd));
	EXPECT_READS(self->fd, STREAM_PAUSED);
	ASSERT_EQ(0, fs_op(stack.volume.fd, FS_BPIO_OP_STREAM_RESUME, self->fd,
			   &out));
	EXPECT_EQ(0u, pause_flags(self->fd));
	EXPECT_READS(self->fd, NONE);
}

TEST_F(api, a_pause_by_the_kernel_outlives_every_close_and_needs_no_open_file)
{
	int round;

	EXPECT_ANSWER("0", GUARD, "pause_file %s", path);
	EXPECT_EQ(STREAM_PAUSED | KERNEL_PAUSED, pause_flags(self->fd));
	for (round = 0; round < 2; round++) {
		struct bpio_file_info info;

		ASSERT_EQ(0, fs_enable(stack.volume.fd, self->fd));
		ASSERT_EQ(0, file_info(self->fd, &info));
		EXPECT_STREQ("kernel-paused", reason_token(info.reason));
		EXPECT_READS(self->fd, KERNEL_PAUSED);
		close(self->fd);
		self->fd = file_open_direct(path);
	}
	EXPECT_ANSWER("0", GUARD, "resume_file %s", path);
	EXPECT_EQ(0u, pause_flags(self->fd));
	ASSERT_EQ(0, fs_enable_armed(stack.volume.fd, self->fd));
	EXPECT_READS(self->fd, NONE);
}

TEST_F(api, pauses_by_the_kernel_are_counted_and_a_resume_too_many_is_ignored)
{
	int i;

	ASSERT_EQ(0, fs_enable_armed(stack.volume.fd, self->fd));
	for (i = 0; i < 3; i++)
		EXPECT_ANSWER("0", i ? GUARD : SCANNER, "pause_file %s", path);
	for (i = 0; i < 3; i++) {
		EXPECT_READS(self->fd, KERNEL_PAUSED);
		EXPECT_ANSWER("0", GUARD, "resume_file %s", path);
	}
	EXPECT_READS(self->fd, NONE);
	EXPECT_ANSWER("0", GUARD, "resume_file %s", path);
	EXPECT_ANSWER("0", GUARD, "pause_file %s", path);
	EXPECT_READS(self->fd, KERNEL_PAUSED);
	EXPECT_ANSWER("0", GUARD, "resume_file %s", path);
}

TEST_F(api, a_pause_by_the_kernel_is_resumed_while_the_volume_is_suspended)
{
	ASSERT_EQ(0, fs_enable_armed(stack.volume.fd, self->fd));
	EXPECT_ANSWER("0", GUARD, "pause_file %s", path);
	ASSERT_EQ(0, dm_suspend(stack.volume.name));
	EXPECT_ANSWER("0", GUARD, "resume_file %s", path);
	ASSERT_EQ(0, dm_resume(stack.volume.name));
	EXPECT_EQ(0u, pause_flags(self->fd));
	EXPECT_READS(self->fd, NONE);
}

/* A file with the inode number of the one that was deleted. */
TEST_F(api, a_pause_by_the_kernel_does_not_pass_to_a_file_with_the_same_number)
{
	char name[224];
	struct stat old, new;
	int fd, tries = 0;

	snprintf(name, sizeof(name), "%s.short-lived", path);
	ASSERT_EQ(0, file_create(name, BYTES, 1));
	ASSERT_EQ(0, stat(name, &old));
	EXPECT_ANSWER("0", GUARD, "pause_file %s", name);
	do {
		ASSERT_EQ(0, unlink(name));
		ASSERT_EQ(0, file_create(name, BYTES, 1));
		ASSERT_EQ(0, stat(name, &new));
		ASSERT_GT(20, tries++);
	} while (old.st_ino != new.st_ino);

	fd = file_open_direct(name);
	EXPECT_EQ(0u, pause_flags(fd));
	ASSERT_EQ(0, fs_enable_armed(stack.volume.fd, fd));
	EXPECT_READS(fd, NONE);
	/* nor is it resumed by what was meant for the other one */
	EXPECT_ANSWER("0", GUARD, "resume_file %s", name);
	close(fd);
	ASSERT_EQ(0, unlink(name));
}

TEST_F(api, a_pause_by_the_kernel_holds_over_an_unmount)
{
	char node[96];

	EXPECT_ANSWER("0", GUARD, "pause_file %s", path);
	close(self->fd);
	self->fd = -1;
	snprintf(node, sizeof(node), "%s", stack.volume.mount);
	ASSERT_EQ(0, volume_umount(&stack.volume));
	ASSERT_EQ(0, volume_mount(&stack.volume, "ext4",
				  "noinit_itable,no_prefetch_block_bitmaps"));
	EXPECT_STREQ(node, stack.volume.mount);
	self->fd = file_open_direct(path);
	EXPECT_EQ(STREAM_PAUSED | KERNEL_PAUSED, pause_flags(self->fd));
	EXPECT_ANSWER("0", GUARD, "resume_file %s", path);
	EXPECT_EQ(0u, pause_flags(self->fd));
}

#define PAUSES	1024

TEST_F(api, the_kernel_can_pause_1024_files_of_a_volume_and_not_one_more)
{
	char name[224];
	int i, fd;

	for (i = 0; i <= PAUSES; i++) {
		snprintf(name, sizeof(name), "%s.%d", path, i);
		fd = open(name, O_CREAT | O_RDONLY | O_CLOEXEC, 0600);
		ASSERT_LE(0, fd);
		close(fd);
		EXPECT_ANSWER(i < PAUSES ? "0" : "-28", GUARD, "pause_file %s",
			      name);
	}
	for (i = 0; i <= PAUSES; i++) {
		snprintf(name, sizeof(name), "%s.%d", path, i);
		EXPECT_ANSWER("0", GUARD, "resume_file %s", name);
		ASSERT_EQ(0, unlink(name));
	}
	EXPECT_ANSWER("0", GUARD, "pause_file %s", path);
	EXPECT_ANSWER("0", GUARD, "resume_file %s", path);
}

TEST(a_pause_by_the_kernel_ends_with_the_volume)
{
	struct volume volume = { .fd = -1 };
	struct fs_bpio_output out;
	char name[192];
	int fd;

	ASSERT_EQ(0, volume_ext4(&volume, "gone", devices.nvme, MIB_SECTORS(64),
				 MIB_SECTORS(32)));
	snprintf(name, sizeof(name), "%s", volume_path(&volume, "file"));
	ASSERT_EQ(0, file_create(name, BYTES, 1));
	EXPECT_ANSWER("0", GUARD, "pause_file %s", name);
	ASSERT_EQ(0, volume_remove(&volume));
	/* the same file system, on a device with the same number as a rule */
	ASSERT_EQ(0, volume_create(&volume, "gone", devices.nvme,
				   MIB_SECTORS(64), MIB_SECTORS(32), ""));
	ASSERT_EQ(0, volume_mount(&volume, "ext4", ""));
	fd = file_open_direct(name);
	ASSERT_EQ(0, fs_op(volume.fd, FS_BPIO_OP_ENABLE, fd, &out));
	EXPECT_EQ(0u, out.out_flags & (STREAM_PAUSED | KERNEL_PAUSED));
	close(fd);
	ASSERT_EQ(0, volume_remove(&volume));
}

TEST_F(api, a_file_elsewhere_is_no_file_of_a_volume)
{
	EXPECT_ANSWER("-6", GUARD, "pause_file /etc/passwd");
	EXPECT_ANSWER("-6", GUARD, "resume_file /etc/passwd");
	EXPECT_ANSWER("0", GUARD, "open_count /etc/passwd");
}

TEST_F(api, storage_operations_from_the_kernel_are_answered_as_by_ioctl)
{
	unsigned int maj = major(stack.volume.dev);
	unsigned int min = minor(stack.volume.dev);
	struct fs_bpio_info before, after;

	EXPECT_ANSWER("0 3 2 0 ", GUARD, "storage 3 %u:%u", maj, min);
	EXPECT_ANSWER("0 1 2 0 ", GUARD, "storage 1 %u:%u", maj, min);
	ASSERT_EQ(0, fs_info(stack.volume.fd, &before));
	READ_BLOCKS(self->fd, BLOCKS, 1);
	ASSERT_EQ(0, fs_info(stack.volume.fd, &after));
	EXPECT_EQ(before.mapped_reads + BLOCKS, after.mapped_reads);
	EXPECT_ANSWER("0 2 0 0 ", GUARD, "storage 2 %u:%u", maj, min);
	TELL(SCANNER, "storage_veto 16 No.");
	EXPECT_ANSWER("0 3 1 -16 scanner", GUARD, "storage 3 %u:%u", maj, min);
	/* EINVAL for the operation, ENXIO for a device that is no volume */
	EXPECT_ANSWER("-22 0 0 0 ", GUARD, "storage 4 %u:%u", maj, min);
	EXPECT_ANSWER("-6 0 0 0 ", GUARD, "storage 3 1:3");
	EXPECT_ANSWER("-90 -34 -22", GUARD, "storage_short %u:%u", maj, min);
}

/* Back to how program_setup() made it. */
#define RESTORE_GUARD() \
	ASSERT_EQ(0, stack_reload(&stack, 0, "bpio-probe", "2 name guard"))

TEST_F(api, a_layer_without_callbacks_takes_part)
{
	struct fs_bpio_output out;

	ASSERT_EQ(0, stack_reload(&stack, 0, "bpio-probe", "1 silent"));
	ASSERT_EQ(0, query(self->fd, &out));
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_FULL, out.support);
	EXPECT_NO_OBJECTION(&out.query);
	RESTORE_GUARD();
}

/* Read past a layer that says with @options where it maps to. */
static void reads_past(struct __test_metadata *_metadata,
		       FIXTURE_DATA(api) *self, const char *options)
{
	struct fs_bpio_output out;
	uint64_t before;

	ASSERT_EQ(0, stack_reload(&stack, 0, "bpio-probe", options));
	ASSERT_EQ(0, query(self->fd, &out));
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_FULL, out.support);
	ASSERT_EQ(0, fs_enable_armed(stack.volume.fd, self->fd));
	before = filter_reads(GUARD);
	READ_BLOCKS(self->fd, BLOCKS, 1);
	EXPECT_EQ(before, filter_reads(GUARD));
	RESTORE_GUARD();
}

TEST_F(api, a_mapping_told_in_pieces_is_followed_piece_by_piece)
{
	reads_past(_metadata, self, "4 name guard map_length 8");
}

TEST_F(api, a_mapping_told_as_stripes_is_followed_by_its_arithmetic)
{
	reads_past(_metadata, self, "6 name guard map_legs 1 map_chunk 24");
}

FIXTURE(unmapped) {
	int	fd;
};

FIXTURE_VARIANT(unmapped) {
	const char	*options;
};

FIXTURE_VARIANT_ADD(unmapped, with_an_error) {
	.options = "4 name guard map_error 5",
};

FIXTURE_VARIANT_ADD(unmapped, of_no_length) {
	.options = "4 name guard map_length 0",
};

FIXTURE_VARIANT_ADD(unmapped, of_stripes_without_chunks) {
	.options = "4 name guard map_legs 2",
};

FIXTURE_VARIANT_ADD(unmapped, of_stripes_whose_legs_are_not_told) {
	.options = "8 name guard map_legs 2 map_chunk 8 leg_error 5",
};

FIXTURE_SETUP(unmapped)
{
	self->fd = file_open_direct(path);
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, stack_reload(&stack, 0, "bpio-probe", variant->options));
}

FIXTURE_TEARDOWN(unmapped)
{
	close(self->fd);
	RESTORE_GUARD();
}

TEST_F(unmapped, range_ends_the_route_at_the_layer_which_is_named)
{
	struct fs_bpio_output out;
	uint64_t before;

	ASSERT_EQ(0, query(self->fd, &out));
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_PARTIAL, out.support);
	EXPECT_GT(0, out.query.op_status);
	verdict_strings(_metadata, &out.query, "guard");
	ASSERT_EQ(0, fs_enable_armed(stack.volume.fd, self->fd));
	before = filter_reads(GUARD);
	READ_BLOCKS(self->fd, BLOCKS, 1);
	EXPECT_EQ(before + BLOCKS, filter_reads(GUARD));
	EXPECT_EQ((uint64_t)BLOCKS, file_direct(self->fd));
}

/* Reads that go past it elsewhere have to be waited for when it goes. */
TEST(a_layer_that_maps_only_a_part_is_one_of_the_route)
{
	const char *guard = stack.layer[0].name;
	struct bpio_file_info info;
	int fd = file_open_direct(path);

	/* the upper half is not mapped; pieces of 1 MiB */
	ASSERT_EQ(0, stack_reload(&stack, 0, "bpio-probe",
				  "6 name guard map_length 2048 map_end 32768"));
	ASSERT_EQ(0, fs_enable_armed(stack.volume.fd, fd));
	ASSERT_EQ(0, file_info(fd, &info));
	EXPECT_EQ((unsigned int)BPIO_SUPPORT_PARTIAL, info.support);
	READ_BLOCKS(fd, BLOCKS, 1);
	ASSERT_EQ(0, dm_suspend(guard));
	ASSERT_EQ(0, file_info(fd, &info));
	EXPECT_STREQ("volume-suspended", reason_token(info.reason));
	ASSERT_EQ(0, dm_resume(guard));
	READ_BLOCKS(fd, BLOCKS, 1);
	close(fd);
	RESTORE_GUARD();
}

TEST(a_module_whose_layer_is_live_cannot_be_unloaded)
{
	const char *modules[] = { "bpio_probe", "dm_bpio" };
	unsigned int i;

	for (i = 0; i < 2; i++) {
		EXPECT_NE(0, syscall(SYS_delete_module, modules[i],
				     O_NONBLOCK)) TH_LOG("%s", modules[i]);
		EXPECT_TRUE(errno == EAGAIN || errno == EBUSY)
			TH_LOG("%s: %s", modules[i], strerror(errno));
	}
}

PROGRAM_MAIN
