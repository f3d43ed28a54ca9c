// SPDX-License-Identifier: GPL-2.0-only
/*
 * Defines the trace events of trace.h.
 *
 * Level: foundation.
 */
#define CREATE_TRACE_POINTS
#include "trace.h"
