/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * /etc/bpiotab: the volumes that are made at boot. See bpiotab(5).
 */
#ifndef BPIO_TAB_H
#define BPIO_TAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define TAB_PATH	"/etc/bpiotab"

/* Prefix of the DM UUIDs of the volumes that a table makes */
#define TAB_UUID_PREFIX	"BPIO-"

/* Maximum length of the name of a mapped device */
#define TAB_NAME_MAX	127

/**
 * struct tab_line - one volume
 *
 * @number: Number of the line in the file, from 1.
 * @name: Name of the volume.
 * @device: The device as written, with octal escapes decoded.
 * @adopt: The device is a mapped device, whose own table is swapped.
 * @any_storage: Storage other than NVMe is allowed.
 * @enable: All reads of the volume are bypassed.
 * @readonly: The volume is read-only.
 * @nofail: The machine boots without waiting for it.
 * @noauto: Only brought up by its name.
 * @netdev: The device needs the network.
 * @initrd: Needed in the initramfs.
 * @size: Bytes of the device that the volume has; 0 for all.
 * @dm_uuid: DM UUID by which an adopted device is found, or NULL.
 * @device_timeout: How long systemd waits for the device, or NULL.
 */
struct tab_line {
	unsigned int number;
	char *name;
	char *device;
	bool adopt;
	bool any_storage;
	bool enable;
	bool readonly;
	bool nofail;
	bool noauto;
	bool netdev;
	bool initrd;
	uint64_t size;
	char *dm_uuid;
	char *device_timeout;
};

/**
 * struct tab_error - one error
 *
 * @number: Number of the line.
 * @sentence: "PATH:NUMBER: ..."
 */
struct tab_error {
	unsigned int number;
	char *sentence;
};

/**
 * struct tab - the valid lines of a table, and the errors of the others
 *
 * @path: The file, for messages.
 * @lines: The valid lines in order.
 * @count: Number of @lines.
 * @errors: The errors in the order of their lines.
 * @error_count: Number of @errors.
 */
struct tab {
	const char *path;
	struct tab_line *lines;
	size_t count;
	struct tab_error *errors;
	size_t error_count;
};

/* Parses @in. @path must outlive the table */
void tab_parse(FILE *in, const char *path, struct tab *tab);

/* Reads the file: 0, or the negative errno of opening it */
int tab_read(const char *path, struct tab *tab);
void tab_free(struct tab *tab);

/* The line of that name, or NULL */
const struct tab_line *tab_find(const struct tab *tab, const char *name);

/* Adds an error: a sentence without "PATH:NUMBER: " */
__attribute__((__format__(printf, 3, 4)))
void tab_complain(struct tab *tab, unsigned int number, const char *format,
		  ...);

/* To standard error, in the order of the lines */
void tab_print_errors(const struct tab *tab);
void tab_forget_errors(struct tab *tab);

/* The tag of a device like UUID=..., both to be freed; false for a path or VG/LV */
bool tab_tag(const struct tab_line *line, char **tag, char **value);

/* The path in the line, or that of udev's link for a tag; to be freed */
char *tab_path(const struct tab_line *line);

#endif /* BPIO_TAB_H */
