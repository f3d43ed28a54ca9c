/* SPDX-License-Identifier: GPL-2.0-only */
/* Checks of struct bpio_results, for use inside a test. */
#ifndef SELFTESTS_VERDICT_H
#define SELFTESTS_VERDICT_H

#include "program.h"

/* The strings of @results agree with their lengths and with @name, if given. */
static inline void verdict_strings(struct __test_metadata *_metadata,
				   const struct bpio_results *results,
				   const char *name)
{
	char driver[BPIO_DRIVER_NAME_MAX + 1] = "";

	ASSERT_LE(results->failing_driver_name_len, BPIO_DRIVER_NAME_MAX);
	ASSERT_LE(results->failure_reason_len, BPIO_REASON_TEXT_MAX);
	memcpy(driver, results->failing_driver_name,
	       results->failing_driver_name_len);
	EXPECT_EQ(strlen(driver), results->failing_driver_name_len);
	if (name)
		EXPECT_STREQ(name, driver);
	EXPECT_EQ(NULL, memchr(results->failure_reason, 0,
			       results->failure_reason_len));
}

/* There is an objection: @reason, with the text of reasons.h; @name may be NULL. */
static inline void verdict_is(struct __test_metadata *_metadata,
			      const struct bpio_results *results,
			      enum bpio_reason reason, const char *name)
{
	const char *sentence = reason_sentence(reason);

	EXPECT_STREQ(reason_token(reason), reason_token(results->reason));
	EXPECT_GT(0, results->op_status);
	EXPECT_LE(-4095, results->op_status);
	EXPECT_LT(0, results->failing_driver_name_len);
	EXPECT_EQ(strlen(sentence), results->failure_reason_len);
	EXPECT_EQ(0, memcmp(sentence, results->failure_reason,
			    results->failure_reason_len))
		TH_LOG("the reason reads: %.*s", results->failure_reason_len,
		       results->failure_reason);
	verdict_strings(_metadata, results, name);
}

/* There is no objection. */
static inline void verdict_none(struct __test_metadata *_metadata,
				const struct bpio_results *results)
{
	EXPECT_STREQ("none", reason_token(results->reason));
	EXPECT_EQ(0, results->op_status);
	EXPECT_EQ(0, results->failing_driver_name_len);
	verdict_strings(_metadata, results, NULL);
}

#define EXPECT_VERDICT(results, reason, name) \
	verdict_is(_metadata, results, BPIO_REASON_##reason, name)
#define EXPECT_NO_OBJECTION(results) verdict_none(_metadata, results)

#endif /* SELFTESTS_VERDICT_H */
