// SPDX-License-Identifier: GPL-2.0-only
/*
 * See tab_device.h.
 */
#include <blkid/blkid.h>
#include <errno.h>
#include <libdevmapper.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "mapped.h"
#include "swap.h"
#include "tab_device.h"

/* Whether the device is a volume made from a bpiotab */
static bool is_volume(dev_t dev)
{
	char prefix[sizeof(TAB_UUID_PREFIX)];

	return mapped_attribute(dev, "uuid", prefix, sizeof(prefix)) &&
	       !strcmp(prefix, TAB_UUID_PREFIX);
}

bool tab_mapped(const char *name, const char *uuid, dev_t *dev)
{
	struct dm_task *task;
	struct dm_info info;
	bool found;

	/* libdevmapper would create the node, even without device-mapper. */
	if (access("/dev/mapper/control", F_OK))
		return false;
	task = dm_task_create(DM_DEVICE_INFO);
	if (!task)
		return false;
	found = (name ? dm_task_set_name(task, name) :
			dm_task_set_uuid(task, uuid)) &&
		dm_task_run(task) && dm_task_get_info(task, &info) &&
		info.exists;
	if (found)
		*dev = makedev(info.major, info.minor);
	dm_task_destroy(task);
	return found;
}

static int ambiguous(const struct tab_line *line, dev_t one, dev_t other,
		     char *why, size_t size)
{
	char *first = blkid_devno_to_devname(one);
	char *second = blkid_devno_to_devname(other);
	int ret;

	ret = wrong(why, size, -ENOTUNIQ,
		    "expected one device that is \"%s\", but both %s and %s are; name the right one by its path or PARTUUID=",
		    line->device, first ? first : "one device",
		    second ? second : "another");
	free(first);
	free(second);
	return ret;
}

/* Probe the devices themselves: udev's links and blkid's cache may be out of date. */
static int find_by_tag(const struct tab_line *line, const char *tag,
		       const char *value, dev_t *dev, char *why, size_t size)
{
	blkid_dev_iterate iterate;
	blkid_cache cache;
	blkid_dev found;
	dev_t own = 0;
	int ret = -ENODEV;

	if (blkid_get_cache(&cache, "/dev/null"))
		return wrong(why, size, -EIO, "cannot look for devices");
	tab_mapped(line->name, NULL, &own);
	blkid_probe_all(cache);
	iterate = blkid_dev_iterate_begin(cache);
	blkid_dev_set_search(iterate, tag, value);
	while (ret != -ENOTUNIQ && !blkid_dev_next(iterate, &found)) {
		struct stat st;

		if (stat(blkid_dev_devname(found), &st) ||
		    is_volume(st.st_rdev) ||
		    (!line->adopt && st.st_rdev == own))
			continue;
		if (!ret && *dev != st.st_rdev)
			ret = ambiguous(line, *dev, st.st_rdev, why, size);
		else
			ret = 0;
		*dev = st.st_rdev;
	}
	blkid_dev_iterate_end(iterate);
	blkid_put_cache(cache);
	if (ret == -ENODEV)
		wrong(why, size, ret, "expected a device that is \"%s\", but there is none",
		      line->device);
	return ret;
}

static int find_by_path(const struct tab_line *line, dev_t *dev, char *why,
			size_t size)
{
	char *path = tab_path(line);
	struct stat st;
	int ret = 0;

	if (stat(path, &st))
		ret = wrong(why, size, errno == ENOENT ? -ENODEV : -errno,
			    "expected a block device, but \"%s\" cannot be looked up: %s",
			    path, strerror(errno));
	else if (!S_ISBLK(st.st_mode))
		ret = wrong(why, size, -ENOTBLK,
			    "expected a block device, but \"%s\" is not one",
			    path);
	else
		*dev = st.st_rdev;
	free(path);
	return ret;
}

int tab_resolve(const struct tab_line *line, dev_t *dev, char *why, size_t size)
{
	char *tag, *value;
	int ret;

	if (line->dm_uuid) {
		if (tab_mapped(NULL, line->dm_uuid, dev))
			return 0;
		return wrong(why, size, -ENODEV,
			     "expected a mapped device with the DM UUID \"%s\", but there is none",
			     line->dm_uuid);
	}
	if (!tab_tag(line, &tag, &value))
		return find_by_path(line, dev, why, size);
	ret = find_by_tag(line, tag, value, dev, why, size);
	free(tag);
	free(value);
	return ret;
}

static const char *property(const char *name)
{
	const char *value = getenv(name);

	return value ? value : "";
}

/* The next of udev's links, or NULL */
static char *next_link(char **rest)
{
	char *link;

	do
		link = strsep(rest, " ");
	while (link && !*link);
	return link;
}

static bool has_link(const char *path)
{
	char *links = strdup(property("DEVLINKS")), *rest = links, *link;
	bool found = !strcmp(path, property("DEVNAME"));

	if (!links)
		abort();
	while (!found && (link = next_link(&rest)))
		found = !strcmp(link, path);
	free(links);
	return found;
}

/* udev's property for a tag, in the encoding of its links */
static const char *property_of_tag(const char *tag)
{
	if (!strcmp(tag, "UUID"))
		return property("ID_FS_UUID_ENC");
	if (!strcmp(tag, "LABEL"))
		return property("ID_FS_LABEL_ENC");
	if (!strcmp(tag, "PARTUUID"))
		return property("ID_PART_ENTRY_UUID");
	return property("ID_PART_ENTRY_NAME");
}

static bool is_claimed(const struct tab_line *line)
{
	char *path = tab_path(line), *tag, *value;
	bool found;

	if (tab_tag(line, &tag, &value)) {
		found = !strcasecmp(strrchr(path, '/') + 1,
				    property_of_tag(tag));
		free(tag);
		free(value);
	} else {
		found = has_link(path);
	}
	free(path);
	return found;
}

const struct tab_line *tab_claim(const struct tab *tab)
{
	size_t i;

	if (!strncmp(property("DM_UUID"), TAB_UUID_PREFIX,
		     strlen(TAB_UUID_PREFIX)))
		return NULL;
	for (i = 0; i < tab->count; i++)
		if (!tab->lines[i].adopt && is_claimed(&tab->lines[i]))
			return &tab->lines[i];
	return NULL;
}

static bool is_of_contents(const char *link)
{
	return !strncmp(link, "/dev/disk/by-uuid/", 18) ||
	       !strncmp(link, "/dev/disk/by-label/", 19);
}

char *tab_claim_links(const struct tab_line *line)
{
	char *links = strdup(property("DEVLINKS")), *rest = links, *link;
	char *kept = NULL;
	size_t size;
	FILE *out = open_memstream(&kept, &size);

	if (!links || !out)
		abort();
	fprintf(out, "disk/by-bpio/%s", line->name);
	while ((link = next_link(&rest)))
		if (!is_of_contents(link) && !strncmp(link, "/dev/", 5) &&
		    strncmp(link, "/dev/disk/by-bpio/", 18))
			fprintf(out, " %s", link + 5);
	fclose(out);
	free(links);
	return kept;
}
