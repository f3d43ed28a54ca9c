/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Names of systemd's units.
 */
#ifndef BPIO_UNIT_H
#define BPIO_UNIT_H

/* As "systemd-escape TEXT"; to be freed */
char *unit_escape(const char *text);

/* As "systemd-escape --path PATH", for an absolute path; to be freed */
char *unit_escape_path(const char *path);

/* "PREFIX@NAME.SUFFIX", with the name escaped; to be freed */
char *unit_instance(const char *prefix, const char *name, const char *suffix);

/* The device unit of a path in /dev; to be freed */
char *unit_device(const char *path);

#endif /* BPIO_UNIT_H */
