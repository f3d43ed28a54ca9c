/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Explanations of the reasons, and what can be done safely about each.
 */
#ifndef BPIO_CATALOGUE_H
#define BPIO_CATALOGUE_H

const char *catalogue_meaning(unsigned int reason);
const char *catalogue_advice(unsigned int reason);

#endif /* BPIO_CATALOGUE_H */
