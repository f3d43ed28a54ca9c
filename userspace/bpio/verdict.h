/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Prints a verdict as part of a report.
 */
#ifndef BPIO_VERDICT_H
#define BPIO_VERDICT_H

#include "bpio.h"
#include "layers.h"
#include "report.h"
#include "stack.h"

/* Exit status for a verdict */
int verdict_status(const struct bpio_verdict *verdict);

/* "currently supported" and the like */
const char *verdict_phrase(const struct bpio_verdict *verdict);

/* Status, driver and reason */
void verdict_report(struct report *report, const struct layers *layers);
/* The same without the text */
void verdict_report_json(struct report *report, const struct layers *layers);

/* Storage device and driver. @stack may be NULL */
void storage_report(struct report *report,
		    const struct bpio_volume_info *info,
		    const struct bpio_verdict *verdict,
		    const struct stack *stack);

#endif /* BPIO_VERDICT_H */
