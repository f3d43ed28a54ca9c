/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where a path is: on which mount, file system and block device.
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
 * @path: The path that leads there; for the bare name of a mapped device the
 *	path of its node.
 * @dev: The block device: the path itself, or what its file system is on; 0
 *	when there is none.
 * @is_device: The path is a block device.
 * @is_regular: The path is a regular file.
 * @is_directory: The path is a directory.
 * @is_hidden: Its file system shows an anonymous device number, as btrfs does.
 * @is_root: The path is where the root of a file system is mounted.
 * @mount_point: Where the file system is mounted, or NULL.
 * @fstype: Its type, or NULL.
 * @source: What is mounted, or NULL.
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

/* Neither a file nor a directory nor a block device, so that it is not opened */
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

/* What is done with a place and a descriptor; returns the exit status */
typedef int place_action(const struct command_line *line,
			 const struct place *place, int fd);

/* Finds what the first argument names, opens its volume, and lets @act use both */
int with_volume(const struct command_line *line, place_action *act);

/*
 * The same for questions, with the file, directory or device open for reading.
 * For what cannot be opened, its volume or a directory of that.
 */
int with_subject(const struct command_line *line, place_action *act);

/* The same for questions about the volume, or a directory of it */
int with_whole(const struct command_line *line, place_action *act);

/* Prints why a question about @place was not answered */
int ask_failed(const struct command_line *line, const struct place *place,
	       int error);

/* The block devices that are mounted, each once; to be freed */
size_t mounted_devices(dev_t **devices);

/* Mounts of a block device: [{"mount_point", "filesystem"}] */
struct json_object *mounts_of(dev_t dev);

/* The members @key of mounts_of(), joined by ","; "-" for none; to be freed */
char *mounts_join(struct json_object *mounts, const char *key);

#endif /* BPIO_PLACE_H */
