// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Numbers to words. The sentences are those of the kernel module.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "internal.h"

/* Evaluates to nothing; fails to compile if a sentence is too long for the ABI. */
#define FITTING(text) \
	((text) + 0 * sizeof(char[sizeof(text) <= BPIO_REASON_TEXT_MAX + 1 ? 1 : -1]))

static const struct {
	const char *token;
	const char *text;
} reasons[] = {
#define BPIO_REASON(name, token, text) \
	[BPIO_REASON_##name] = { token, FITTING(text) },
#include "reasons.h"
#undef BPIO_REASON
};

static_assert(ARRAY_SIZE(reasons) == BPIO_REASON_COUNT,
	      "reasons.h misses the last reasons of linux/dm-bpio.h");

const char *bpio_reason_text(unsigned int reason)
{
	if (reason >= ARRAY_SIZE(reasons) || !reasons[reason].text)
		return "A reason that this version of the library does not know.";
	return reasons[reason].text;
}

const char *bpio_reason_token(unsigned int reason)
{
	if (reason >= ARRAY_SIZE(reasons) || !reasons[reason].token)
		return "unknown";
	return reasons[reason].token;
}

int bpio_reason_from_token(const char *token)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(reasons); i++)
		if (reasons[i].token && !strcmp(reasons[i].token, token))
			return i;
	return -EINVAL;
}

const char *bpio_support_token(unsigned int support)
{
	static const char * const tokens[] = {
		[BPIO_SUPPORT_NONE] = "none",
		[BPIO_SUPPORT_PARTIAL] = "partial",
		[BPIO_SUPPORT_FULL] = "full",
	};

	return support < ARRAY_SIZE(tokens) ? tokens[support] : "unknown";
}

const char *bpio_library_version(void)
{
	return BPIO_VERSION_STRING;
}
