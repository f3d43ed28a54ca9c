// SPDX-License-Identifier: GPL-2.0-only
/*
 * See kept.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kept.h"
#include "lvm_lock.h"

#define TAB_NEW		TAB_PATH ".new"
#define DOWN_DIR	"/run/bpio/down"

static void down_path(const struct tab_line *line, char *path, size_t size)
{
	snprintf(path, size, DOWN_DIR "/%s", line->name);
}

bool kept_is_down(const struct tab_line *line)
{
	char path[sizeof(DOWN_DIR) + TAB_NAME_MAX + 1];

	down_path(line, path, sizeof(path));
	return !access(path, F_OK);
}

int kept_set_down(const struct tab_line *line, bool down)
{
	char path[sizeof(DOWN_DIR) + TAB_NAME_MAX + 1];
	int fd;

	down_path(line, path, sizeof(path));
	if (!down)
		return unlink(path) && errno != ENOENT ? -errno : 0;
	mkdir("/run/bpio", 0755);
	mkdir(DOWN_DIR, 0755);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

/* VG/LV, or the name of the mapped device; to be freed */
static char *volume_name(const struct mapped *mapped)
{
	char *name = strncmp(mapped->uuid, "LVM-", 4) ?
		     strdup(mapped->name) : lvm_volume(mapped->name);

	if (!name)
		abort();
	return name;
}

/* The links may not be there yet while udev handles the event. */
static bool has_name(const struct tab_line *line, const struct mapped *mapped)
{
	char *path = tab_path(line), *name = volume_name(mapped);
	struct stat st;
	bool same;

	same = !strncmp(path, "/dev/", 5) &&
	       (!strcmp(path + 5, name) ||
		(!strncmp(path, "/dev/mapper/", 12) &&
		 !strcmp(path + 12, mapped->name)));
	if (!same && !stat(path, &st))
		same = S_ISBLK(st.st_mode) && st.st_rdev == mapped->dev;
	free(name);
	free(path);
	return same;
}

static const struct tab_line *find(const struct tab *tab,
				   const struct mapped *mapped)
{
	size_t i;

	for (i = 0; i < tab->count; i++) {
		const struct tab_line *line = &tab->lines[i];

		if (line->adopt && (line->dm_uuid ?
				    !strcmp(line->dm_uuid, mapped->uuid) :
				    has_name(line, mapped)))
			return line;
	}
	return NULL;
}

bool kept_has(const struct mapped *mapped, bool *any_storage)
{
	const struct tab_line *line;
	struct tab tab;
	bool found;

	if (tab_read(TAB_PATH, &tab))
		return false;
	line = find(&tab, mapped);
	found = line && !kept_is_down(line);
	if (found && any_storage)
		*any_storage = line->any_storage;
	tab_free(&tab);
	return found;
}

/* nofail: the file system can be mounted before its device is adopted. */
static char *make_line(const struct mapped *mapped, bool any_storage)
{
	char *volume = volume_name(mapped), *line;
	bool lvm = strchr(volume, '/');

	if (asprintf(&line, "%s %s%s adopt,nofail%s%s%s\n", mapped->name,
		     lvm ? "" : "/dev/mapper/", volume,
		     any_storage ? ",any_storage" : "",
		     *mapped->uuid ? ",dm-uuid=" : "", mapped->uuid) < 0)
		abort();
	free(volume);
	return line;
}

/* Whether the line can be read back */
static bool is_good(char *text)
{
	FILE *in = fmemopen(text, strlen(text), "r");
	struct tab tab;
	bool good;

	if (!in)
		abort();
	tab_parse(in, TAB_PATH, &tab);
	good = tab.count == 1 && !tab.error_count;
	tab_free(&tab);
	fclose(in);
	return good;
}

/* Copies the table without the line of that number */
static void copy_without(unsigned int number, FILE *out)
{
	FILE *in = fopen(TAB_PATH, "re");
	unsigned int at = 0;
	char *text = NULL;
	size_t size = 0;
	ssize_t length;

	if (!in) {
		fputs("# Volumes of dm-bpio, see bpiotab(5): NAME DEVICE [OPTIONS]\n",
		      out);
		return;
	}
	while ((length = getline(&text, &size, in)) >= 0) {
		if (++at == number)
			continue;
		fwrite(text, 1, length, out);
		if (length && text[length - 1] != '\n')
			fputc('\n', out);
	}
	free(text);
	fclose(in);
}

/* Written beside the table, and put in its place when it is complete */
static int write_table(unsigned int without, const char *added)
{
	struct stat st = { .st_mode = 0644 };
	FILE *out = fopen(TAB_NEW, "we");
	bool bad;
	int ret;

	if (!out)
		return -errno;
	stat(TAB_PATH, &st);
	fchmod(fileno(out), st.st_mode & 0777);
	copy_without(without, out);
	if (added)
		fputs(added, out);
	bad = fflush(out) || fsync(fileno(out));
	bad |= fclose(out);
	if (!bad && !rename(TAB_NEW, TAB_PATH))
		return 0;
	ret = errno ? -errno : -EIO;
	unlink(TAB_NEW);
	return ret;
}

static int add(const struct tab *tab, const struct mapped *mapped,
	       bool any_storage)
{
	char *text = make_line(mapped, any_storage);
	int ret;

	if (tab_find(tab, mapped->name))
		ret = -EEXIST;
	else if (!is_good(text))
		ret = -EINVAL;
	else
		ret = write_table(0, text);
	free(text);
	return ret;
}

int kept_set(const struct mapped *mapped, bool kept, bool any_storage)
{
	const struct tab_line *line;
	struct tab tab;
	int ret;

	ret = tab_read(TAB_PATH, &tab);
	if (ret == -ENOENT)
		ret = 0;
	if (ret)
		return ret;
	line = find(&tab, mapped);
	if (line)
		kept_set_down(line, false);
	if (!line && kept)
		ret = add(&tab, mapped, any_storage);
	else if (line && !kept)
		ret = write_table(line->number, NULL);
	tab_free(&tab);
	return ret;
}
