// SPDX-License-Identifier: GPL-2.0-only
/*
 * Texts of reasons, and the one function that writes a verdict.
 *
 * Level: foundation.
 */
#include <linux/array_size.h>
#include <linux/build_bug.h>
#include <linux/minmax.h>
#include <linux/string.h>

#include "reason.h"

static const char *const bpio_reason_texts[] = {
#define BPIO_REASON(name, token, text) [BPIO_REASON_##name] = text,
#include "reasons.h"
#undef BPIO_REASON
};

static const char *const bpio_reason_tokens[] = {
#define BPIO_REASON(name, token, text) [BPIO_REASON_##name] = token,
#include "reasons.h"
#undef BPIO_REASON
};

static_assert(ARRAY_SIZE(bpio_reason_texts) == BPIO_REASON_COUNT);
static_assert(BPIO_REASON_COUNT <= BPIO_REASON_SLOTS);

/* Every sentence must fit the field of the ABI. */
union bpio_reason_longest {
#define BPIO_REASON(name, token, text) char name[sizeof(text) - 1];
#include "reasons.h"
#undef BPIO_REASON
};
static_assert(sizeof(union bpio_reason_longest) <= BPIO_REASON_TEXT_MAX);

/**
 * bpio_reason_text() - the sentence for a reason
 * @reason: the reason
 *
 * Context: any.
 * Return: an English sentence of at most BPIO_REASON_TEXT_MAX bytes.
 */
const char *bpio_reason_text(enum bpio_reason reason)
{
	if (reason >= BPIO_REASON_COUNT)
		return "Unknown reason.";
	return bpio_reason_texts[reason];
}

/**
 * bpio_reason_token() - the word for a reason
 * @reason: the reason
 *
 * Context: any.
 * Return: the word, without blanks.
 */
const char *bpio_reason_token(enum bpio_reason reason)
{
	if (reason >= BPIO_REASON_COUNT)
		return "unknown";
	return bpio_reason_tokens[reason];
}

/**
 * bpio_support_text() - the word for a level of support
 * @support: enum bpio_support
 *
 * Context: any.
 */
const char *bpio_support_text(enum bpio_support support)
{
	static const char *const texts[] = {
		[BPIO_SUPPORT_NONE]	= "none",
		[BPIO_SUPPORT_PARTIAL]	= "partial",
		[BPIO_SUPPORT_FULL]	= "full",
	};

	return texts[support];
}

static u16 bpio_reason_copy(u8 *to, size_t room, const char *from)
{
	size_t len = min(strlen(from), room);

	memset(to, 0, room);
	memcpy(to, from, len);
	return len;
}

/**
 * bpio_reason_fill() - write a verdict
 * @results: the verdict to write
 * @status: 0 or a negative errno
 * @driver: name of the objector; cut to BPIO_DRIVER_NAME_MAX bytes
 * @reason: the reason
 * @text: the sentence given with a veto, or NULL for that of @reason
 *
 * Context: any.
 */
void bpio_reason_fill(struct bpio_results *results, int status,
		      const char *driver, enum bpio_reason reason,
		      const char *text)
{
	if (!text)
		text = reason ? bpio_reason_text(reason) : "";

	results->op_status = status;
	results->reason = reason;
	results->failing_driver_name_len =
		bpio_reason_copy(results->failing_driver_name,
				 BPIO_DRIVER_NAME_MAX, driver);
	results->failure_reason_len =
		bpio_reason_copy(results->failure_reason,
				 BPIO_REASON_TEXT_MAX, text);
}
