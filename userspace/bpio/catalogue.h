/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What each reason means at length, and what is safe to do about it.
 */
#ifndef BPIO_CATALOGUE_H
#define BPIO_CATALOGUE_H

const char *catalogue_meaning(unsigned int reason);
const char *catalogue_advice(unsigned int reason);

#endif /* BPIO_CATALOGUE_H */
