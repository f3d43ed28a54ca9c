// SPDX-License-Identifier: GPL-2.0-only
/*
 * See kept.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kept.h"
#include "lvm_lock.h"

/* Whether the line of the list, which is overwritten, names the device */
static bool line_names(char *line, const struct mapped *mapped,
		       const char *volume)
{
	char *rest = line, *name, *uuid;

	line[strcspn(line, "#\n")] = '\0';
	do
		name = strsep(&rest, " \t");
	while (name && !*name);
	do
		uuid = strsep(&rest, " \t");
	while (uuid && !*uuid);
	if (!name)
		return false;
	if (uuid && strcmp(uuid, "-"))
		return !strcmp(uuid, mapped->uuid);
	return !strcmp(name, volume);
}

static bool names(const char *line, const struct mapped *mapped,
		  const char *volume)
{
	char *copy = strdup(line);
	bool found;

	if (!copy)
		abort();
	found = line_names(copy, mapped, volume);
	free(copy);
	return found;
}

static char *volume_name(const struct mapped *mapped)
{
	if (!strncmp(mapped->uuid, "LVM-", 4))
		return lvm_volume(mapped->name);
	return strdup(mapped->name);
}

/* Copies the lines that do not name the device to @out, if there is one */
static bool read_list(const struct mapped *mapped, const char *volume,
		      FILE *out)
{
	FILE *list = fopen(KEPT_LIST, "re");
	bool found = false;
	char *line = NULL;
	size_t size = 0;

	while (list && getline(&line, &size, list) >= 0) {
		if (names(line, mapped, volume))
			found = true;
		else if (out)
			fputs(line, out);
	}
	free(line);
	if (list)
		fclose(list);
	return found;
}

bool kept_has(const struct mapped *mapped)
{
	char *volume = volume_name(mapped);
	bool found = read_list(mapped, volume, NULL);

	free(volume);
	return found;
}

/* Written beside the list, and put in its place when it is complete */
static int write_list(const struct mapped *mapped, const char *volume,
		      bool kept)
{
	FILE *out = fopen(KEPT_LIST ".new", "we");
	bool bad;

	if (!out)
		return -errno;
	fchmod(fileno(out), 0644);
	if (access(KEPT_LIST, F_OK))
		fputs("# Devices that \"bpio adopt --kept\" adopts again, see bpio(1): NAME UUID\n",
		      out);
	read_list(mapped, volume, out);
	if (kept)
		fprintf(out, "%s %s\n", volume,
			*mapped->uuid ? mapped->uuid : "-");
	bad = fflush(out) || fsync(fileno(out));
	bad |= fclose(out);
	if (bad || rename(KEPT_LIST ".new", KEPT_LIST)) {
		int error = errno ? -errno : -EIO;

		unlink(KEPT_LIST ".new");
		return error;
	}
	return 0;
}

int kept_set(const struct mapped *mapped, bool kept)
{
	char *volume = volume_name(mapped);
	int ret = 0;

	if (!volume)
		return -ENOMEM;
	if (read_list(mapped, volume, NULL) != kept) {
		if (mkdir("/etc/bpio", 0755) && errno != EEXIST)
			ret = -errno;
		else
			ret = write_list(mapped, volume, kept);
	}
	free(volume);
	return ret;
}
