// SPDX-License-Identifier: GPL-2.0-only
/*
 * bpio-generator: makes units of systemd from /etc/bpiotab, see
 * systemd.generator(7). It runs early at boot and at each "daemon-reload", accesses no
 * device itself, and must not fail: an invalid line is reported in the kernel log and
 * skipped.
 *
 * For each line it writes a service bpio@NAME, which is started by bpio.target (part of
 * sysinit.target) and by units that need /dev/mapper/NAME.
 *
 * The services are ordered before local-fs-pre.target, and mounts of local file
 * systems after it, so file systems are mounted after the volumes are made and
 * unmounted before they are removed. This also holds when fstab names a file system by
 * its UUID or label. The udev rule makes sure that such a name leads to the volume, see
 * 69-dm-bpio.rules. A mount by such a name starts the service if the table has that
 * name, or if udev has seen the file system before the generator runs.
 */
#include <errno.h>
#include <libudev.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tab.h"
#include "unit.h"

#define TARGET	"bpio.target"

struct output {
	const char *dir;
	const char *table;
};

/* Links by UUID and label that lead to a volume because of the file system on it */
struct names {
	char *paths[3];
	size_t count;
};

/* One line per message, in the format of /dev/kmsg */
__attribute__((__format__(printf, 1, 2)))
static void complain(const char *format, ...)
{
	const char *path = getenv("BPIO_KMSG");
	FILE *log = fopen(path ? path : "/dev/kmsg", "ae");
	va_list args;
	char *text;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		abort();
	va_end(args);
	if (log)
		fprintf(log, "<3>bpio-generator: %s\n", text);
	else
		fprintf(stderr, "bpio-generator: %s\n", text);
	if (log)
		fclose(log);
	free(text);
}

static FILE *new_file(const struct output *output, const char *dir,
		      const char *name)
{
	FILE *file = NULL;
	char *path;

	if (asprintf(&path, "%s/%s", output->dir, dir) < 0)
		abort();
	mkdir(path, 0755);
	free(path);
	if (asprintf(&path, "%s/%s/%s", output->dir, dir, name) < 0)
		abort();
	file = fopen(path, "we");
	if (!file)
		complain("cannot create %s: %s", path, strerror(errno));
	free(path);
	return file;
}

/* Makes @other start @unit: @kind is "wants" or "requires" */
static void add_to(const struct output *output, const char *other,
		   const char *kind, const char *unit)
{
	char *dir, *path, *target;

	if (asprintf(&dir, "%s/%s.%s", output->dir, other, kind) < 0 ||
	    asprintf(&path, "%s/%s", dir, unit) < 0 ||
	    asprintf(&target, "../%s", unit) < 0)
		abort();
	mkdir(dir, 0755);
	if (symlink(target, path) && errno != EEXIST)
		complain("cannot create %s: %s", path, strerror(errno));
	free(target);
	free(path);
	free(dir);
}

/* Whether the device is named by UUID or label, which the volume has as well */
static bool is_by_contents(const struct tab_line *line)
{
	char *tag, *value;
	bool by_contents;

	if (!tab_tag(line, &tag, &value))
		return false;
	by_contents = !strcmp(tag, "UUID") || !strcmp(tag, "LABEL");
	free(tag);
	free(value);
	return by_contents;
}

/*
 * Path of the device below. The links by UUID and label belong to the volume, so the
 * udev rule makes another link for the device. To be freed
 */
static char *device_path(const struct tab_line *line)
{
	char *path;

	if (line->dm_uuid) {
		if (asprintf(&path, "/dev/disk/by-id/dm-uuid-%s",
			     line->dm_uuid) < 0)
			abort();
	} else if (is_by_contents(line) && !line->adopt) {
		if (asprintf(&path, "/dev/disk/by-bpio/%s", line->name) < 0)
			abort();
	} else {
		path = tab_path(line);
	}
	return path;
}

static char *device_unit(const struct tab_line *line)
{
	char *path = device_path(line), *unit;

	unit = unit_device(path);
	free(path);
	return unit;
}

static void add_name(struct names *names, char *path)
{
	size_t i;

	for (i = 0; i < names->count; i++)
		if (!strcmp(names->paths[i], path))
			break;
	if (i < names->count)
		free(path);
	else
		names->paths[names->count++] = path;
}

static void add_property(struct names *names, struct udev_device *device,
			 const char *property, const char *dir)
{
	const char *value = udev_device_get_property_value(device, property);
	char *path;

	if (!value)
		return;
	if (asprintf(&path, "%s/%s", dir, value) < 0)
		abort();
	add_name(names, path);
}

/* By what the table says, and by what udev has found on the device below */
static void find_names(const struct tab_line *line, struct names *names)
{
	char *path = device_path(line);
	struct udev_device *device;
	struct udev *udev;
	struct stat st;

	names->count = 0;
	if (is_by_contents(line))
		add_name(names, tab_path(line));
	udev = stat(path, &st) || !S_ISBLK(st.st_mode) ? NULL : udev_new();
	free(path);
	if (!udev)
		return;
	device = udev_device_new_from_devnum(udev, 'b', st.st_rdev);
	if (device) {
		add_property(names, device, "ID_FS_UUID_ENC",
			     "/dev/disk/by-uuid");
		add_property(names, device, "ID_FS_LABEL_ENC",
			     "/dev/disk/by-label");
		udev_device_unref(device);
	}
	udev_unref(udev);
}

static void free_names(struct names *names)
{
	while (names->count)
		free(names->paths[--names->count]);
}

/* A mount unit is ordered after blockdev@ of its device, under the name it uses. */
static void write_blockdev(const struct names *names, FILE *out)
{
	char *escaped;
	size_t i;

	fprintf(out, "Wants=blockdev@dev-mapper-%%i.target\n"
		"Before=blockdev@dev-mapper-%%i.target\n");
	for (i = 0; i < names->count; i++) {
		escaped = unit_escape_path(names->paths[i]);
		fprintf(out, "Before=blockdev@%s.target\n", escaped);
		free(escaped);
	}
}

static void write_order(const struct tab_line *line, const struct names *names,
			FILE *out)
{
	const char *fs = line->netdev ? "remote-fs-pre" : "local-fs-pre";

	if (!line->netdev && !line->nofail && !line->noauto)
		fprintf(out, "Before=%s\n", TARGET);
	/* A file system can be mounted before its device is adopted. */
	if (line->adopt)
		return;
	write_blockdev(names, out);
	/* Other mounts must not wait for a device that may be missing. */
	if (!line->nofail && !line->noauto)
		fprintf(out, "Wants=%s.target\n"
			"Before=%s.target\n", fs, fs);
	/* The root file system stays mounted until the end. */
	if (!line->initrd)
		fprintf(out, "Conflicts=umount.target\n"
			"Before=umount.target\n");
}

static void write_service(const struct output *output,
			  const struct tab_line *line,
			  const struct names *names, const char *unit,
			  const char *device)
{
	FILE *out = new_file(output, ".", unit);

	if (!out)
		return;
	fprintf(out, "# Made by bpio-generator\n\n"
		"[Unit]\n"
		"Description=BypassIO Volume %%I\n"
		"Documentation=man:bpiotab(5) man:bpio(1)\n"
		"SourcePath=%s\n"
		"DefaultDependencies=no\n"
		"IgnoreOnIsolate=yes\n"
		"After=systemd-udevd-kernel.socket\n"
		"BindsTo=%s\n"
		"After=%s\n",
		output->table, device, device);
	write_order(line, names, out);
	fprintf(out, "\n[Service]\n"
		"Type=oneshot\n"
		"RemainAfterExit=yes\n"
		"TimeoutSec=0\n"
		"ExecStart=%s up -- %s\n"
		"ExecStop=%s down -- %s\n",
		BPIO_COMMAND, line->name, BPIO_COMMAND, line->name);
	fclose(out);
}

static void write_timeout(const struct output *output, const char *device,
			  const char *timeout)
{
	char *dir;
	FILE *out;

	if (asprintf(&dir, "%s.d", device) < 0)
		abort();
	out = new_file(output, dir, "50-bpio-timeout.conf");
	if (out) {
		fprintf(out, "# Made by bpio-generator\n\n[Unit]\n"
			"JobRunningTimeoutSec=%s\n", timeout);
		fclose(out);
	}
	free(dir);
}

/* Makes the unit of a device start @unit */
static void add_to_device(const struct output *output, const char *path,
			  const char *unit)
{
	char *device = unit_device(path);

	add_to(output, device, "requires", unit);
	free(device);
}

/* Makes units that need the volume, by a name only the volume has, start its service. */
static void add_to_volume(const struct output *output,
			  const struct tab_line *line,
			  const struct names *names, const char *unit)
{
	char *path;
	size_t i;

	if (asprintf(&path, "/dev/mapper/%s", line->name) < 0)
		abort();
	add_to_device(output, path, unit);
	free(path);
	for (i = 0; i < names->count; i++)
		add_to_device(output, names->paths[i], unit);
}

static void write_line(const struct output *output,
		       const struct tab_line *line)
{
	char *unit = unit_instance("bpio", line->name, "service");
	char *device = device_unit(line);
	struct names names;

	find_names(line, &names);
	write_service(output, line, &names, unit, device);
	if (line->device_timeout)
		write_timeout(output, device, line->device_timeout);
	if (!line->noauto)
		add_to(output, line->netdev ? "remote-fs.target" : TARGET,
		       line->nofail ? "wants" : "requires", unit);
	if (!line->adopt)
		add_to_volume(output, line, &names, unit);
	free_names(&names);
	free(device);
	free(unit);
}

static void write_target(const struct output *output)
{
	FILE *out = new_file(output, ".", TARGET);

	if (!out)
		return;
	fprintf(out, "# Made by bpio-generator\n\n"
		"[Unit]\n"
		"Description=BypassIO Volumes\n"
		"Documentation=man:bpiotab(5)\n"
		"SourcePath=%s\n"
		"DefaultDependencies=no\n"
		"Conflicts=shutdown.target\n", output->table);
	fclose(out);
	add_to(output, "sysinit.target", "wants", TARGET);
}

static void generate(const struct output *output, const struct tab *tab)
{
	bool in_initrd = !access("/etc/initrd-release", F_OK);
	size_t i, count = 0;

	for (i = 0; i < tab->count; i++) {
		if (in_initrd && !tab->lines[i].initrd)
			continue;
		write_line(output, &tab->lines[i]);
		count++;
	}
	if (count)
		write_target(output);
	for (i = 0; i < tab->error_count; i++)
		complain("%s", tab->errors[i].sentence);
}

int main(int argc, char **argv)
{
	const char *table = getenv("BPIO_TAB");
	struct output output = { .table = table ? table : TAB_PATH };
	struct tab tab;
	int ret;

	if (argc < 2) {
		fprintf(stderr,
			"bpio-generator: expected the directory for units, but got no argument; systemd runs this, see systemd.generator(7)\n");
		return 1;
	}
	output.dir = argv[1];
	ret = tab_read(output.table, &tab);
	if (ret && ret != -ENOENT)
		complain("cannot read \"%s\": %s", output.table, strerror(-ret));
	if (!ret)
		generate(&output, &tab);
	tab_free(&tab);
	return 0;
}
