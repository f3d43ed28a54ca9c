/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The mount, file system and block device of a path.
 */
#ifndef BPIO_PLACE_H
#define BPIO_PLACE_H

#include <stdbool.h>
#include <sys/types.h>

struct command_line;
struct json_object;

/**
 * struct place - where a path is
 *
 * @path: The path; for the name of a mapped device, the path of its node.
 * @dev: The block device: the path itself, or the device of its file system; 0
 *	when there is none.
 * @is_device: The path is a block device.
 * @is_regular: The path is a regular file.
 * @is_directory: The path is a directory.
 * @is_hidden: Its file system shows an anonymous device number, as btrfs does.
 * @is_root: The path is a mount point of the root of a file system.
 * @mount_point: The mount point of the file system, or NULL.
 * @fstype: Its type, or NULL.
 * @source: The source of the mount, or NULL.
 */
struct place {
	char *path;
	dev_t dev;
	bool is_device;
	bool is_regular;
	bool is_directory;
	bool is_hidden;
	bool is_root;
	char *mount_point;
	char *fstype;
	char *source;
};

/* Neither a file, a directory nor a block device; such a path is not opened */
bool place_is_special(const struct place *place);

/* 0, or the exit status after an error was printed */
int place_find(const struct command_line *line, const char *path,
	       struct place *place);
void place_free(struct place *place);

/* Prints that @place is not on a bpio volume, and what it is on instead */
int place_is_no_volume(const struct command_line *line,
		       const struct place *place);

/* Opens the volume: a descriptor, or minus the exit status */
int place_open_volume(const struct command_line *line,
		      const struct place *place);

/* An action on a place and a descriptor; returns the exit status */
typedef int place_action(const struct command_line *line,
			 const struct place *place, int fd);

/* Finds the place of the first argument, opens its volume, and calls @act */
int with_volume(const struct command_line *line, place_action *act);

/*
 * The same for queries, with the file, directory or device opened for reading, or, if
 * that is not possible, its volume or a directory on that.
 */
int with_subject(const struct command_line *line, place_action *act);

/* The same for queries about the volume, with the volume or a directory on it */
int with_whole(const struct command_line *line, place_action *act);

/* Prints why a query about @place failed */
int ask_failed(const struct command_line *line, const struct place *place,
	       int error);

/* The block devices that are mounted, each once; to be freed */
size_t mounted_devices(dev_t **devices);

/* Mounts of a block device: [{"mount_point", "filesystem"}] */
struct json_object *mounts_of(dev_t dev);

/* The members @key of mounts_of(), joined by ","; "-" for none; to be freed */
char *mounts_join(struct json_object *mounts, const char *key);

#endif /* BPIO_PLACE_H */
