/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BPIO_NODE_H
#define BPIO_NODE_H

int bpio_node_init(void);
void bpio_node_exit(void);

#endif /* BPIO_NODE_H */
