/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tests for a table of calls. Included by a program that defines "volume", before the
 * rows of its table.
 */
#ifndef SELFTESTS_SAME_TABLE_H
#define SELFTESTS_SAME_TABLE_H

#include "program.h"
#include "same.h"

FIXTURE(row) {
	struct same_file	*files;
};

FIXTURE_VARIANT(row) {
	same_calls	calls;
	int		flags;		/* of open(), besides the access mode */
	const char	*holds;		/* the account contains it, with O_DIRECT */
	bool		direct;		/* some of its reads go direct */
};

#define COMPARE(name, ...)	\
	FIXTURE_VARIANT_ADD(row, name) { .calls = name, __VA_ARGS__ }
#define READING(name, ...)	COMPARE(name, .direct = true, __VA_ARGS__)

FIXTURE_SETUP(row)
{
	self->files = same_files(2);
	ASSERT_NE(NULL, self->files);
}

FIXTURE_TEARDOWN(row)
{
	/* calls may have left the close to a kernel thread */
	EXPECT_EQ(0, active_count_wait(volume.fd, 0));
	unlink(volume_path(&volume, "same"));
	unlink(volume_path(&volume, "other"));
}

static void expect_same(struct __test_metadata *_metadata,
			FIXTURE_DATA(row) *self,
			const FIXTURE_VARIANT(row) *variant, int flags,
			enum same_state state)
{
	struct same_file *plain = &self->files[0], *other = &self->files[1];

	*plain = *other = (struct same_file) {
		.volume = &volume, .flags = flags | variant->flags,
	};
	other->state = state;
	ASSERT_EQ(0, same_run(plain, variant->calls));
	ASSERT_EQ(0, same_run(other, variant->calls));
	EXPECT_EQ(0, same_compare(plain, other));
	if (variant->direct && flags & O_DIRECT && state == SAME_ENABLED)
		EXPECT_LT(0u, other->direct);
	if (variant->direct && state == SAME_DISABLED)
		EXPECT_EQ(0u, other->direct);
	if (flags & O_DIRECT)
		EXPECT_NE(NULL, strstr(plain->account, variant->holds))
			TH_LOG("the account: %s", plain->account);
}

TEST_F(row, is_the_same_on_a_file_that_is_enabled)
{
	expect_same(_metadata, self, variant, O_DIRECT, SAME_ENABLED);
}

TEST_F(row, is_the_same_on_a_file_that_is_enabled_without_o_direct)
{
	expect_same(_metadata, self, variant, 0, SAME_ENABLED);
}

TEST_F(row, is_the_same_on_a_file_that_was_disabled_again)
{
	expect_same(_metadata, self, variant, O_DIRECT, SAME_DISABLED);
}

#endif /* SELFTESTS_SAME_TABLE_H */
