/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A mapped device as device-mapper's control node shows it: names and tables.
 */
#ifndef BPIO_MAPPED_H
#define BPIO_MAPPED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct dm_task;

/**
 * struct target - one line of a table
 *
 * @start: First sector of the mapped device.
 * @length: Number of sectors.
 * @type: Target type.
 * @params: Its arguments, in which devices are numbers.
 */
struct target {
	uint64_t start;
	uint64_t length;
	char *type;
	char *params;
};

/**
 * struct table - the lines of a table
 *
 * @targets: The lines in order.
 * @count: Number of @targets.
 */
struct table {
	struct target *targets;
	size_t count;
};

/**
 * struct mapped - a mapped device
 *
 * @dev: Device number.
 * @name: Its name, as libdevmapper takes it.
 * @uuid: Its DM UUID, empty if it has none.
 * @suspended: It is suspended.
 * @read_only: It is read-only.
 * @has_inactive: A table is loaded that a resume would make live.
 * @table: The table that was asked for.
 */
struct mapped {
	dev_t dev;
	char *name;
	char *uuid;
	bool suspended;
	bool read_only;
	bool has_inactive;
	struct table table;
};

/* Runs a task of type @type on @dev; to be destroyed; NULL with errno set */
struct dm_task *mapped_task(int type, dev_t dev);

/*
 * Reads names and the live table of @dev, or with @inactive the loaded one.
 * 0, or a negative errno: -EACCES when the caller may not use device-mapper.
 */
int mapped_read(dev_t dev, bool inactive, struct mapped *mapped);
void mapped_free(struct mapped *mapped);

/*
 * Reads an attribute from sysfs, which needs no permission to use device-mapper; false
 * for a device that is not mapped.
 */
bool mapped_attribute(dev_t dev, const char *name, char *value, size_t size);
bool mapped_is_suspended(dev_t dev);

/*
 * The error of a query of @dev, but -ENOTTY instead of -EAGAIN if it is not suspended:
 * then it is no longer a volume, because its table was replaced while a file on it is
 * enabled.
 */
int mapped_error(dev_t dev, int error);

/* Appends a line; the strings are copied */
void table_add(struct table *table, uint64_t start, uint64_t length,
	       const char *type, const char *params);
void table_free(struct table *table);
bool table_equal(const struct table *table, const struct table *other);
/* The lines as "dmsetup table" prints them; to be freed */
char *table_text(const struct table *table);
/* The target types, each once, joined by "+"; to be freed */
char *table_types(const struct table *table);

#endif /* BPIO_MAPPED_H */
