// SPDX-License-Identifier: GPL-2.0-only
/*
 * A program as a user of the installed library writes it.
 */
#include <bpio.h>
#include <stdio.h>

int main(void)
{
	struct bpio_verdict verdict = BPIO_VERDICT_INIT;

	if (bpio_query("/", 0, &verdict) >= 0)
		puts(verdict.reason_text);
	puts(bpio_library_version());
	return 0;
}
