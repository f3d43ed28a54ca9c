/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_REASON_H
#define BPIO_REASON_H

#include <linux/dm-bpio.h>

const char *bpio_reason_text(enum bpio_reason reason);
const char *bpio_reason_token(enum bpio_reason reason);
const char *bpio_support_text(enum bpio_support support);
void bpio_reason_fill(struct bpio_results *results, int status,
		      const char *driver, enum bpio_reason reason,
		      const char *text);

#endif /* BPIO_REASON_H */
