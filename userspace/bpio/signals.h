/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The end of a verb that waits for events.
 */
#ifndef BPIO_SIGNALS_H
#define BPIO_SIGNALS_H

/*
 * Blocks SIGINT and SIGTERM. Returns a descriptor that becomes readable when one of them
 * asks the command to end, or -1
 */
int signals_open(void);

#endif /* BPIO_SIGNALS_H */
