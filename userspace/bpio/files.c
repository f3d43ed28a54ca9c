// SPDX-License-Identifier: GPL-2.0-only
/*
 * bpio list --files [PATH]: the kernel describes each enabled open file in the fdinfo
 * of its descriptors.
 */
#include <errno.h>
#include <limits.h>
#include <linux/kcmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "bpio.h"
#include "cli.h"
#include "files.h"
#include "layers.h"
#include "place.h"
#include "process.h"
#include "report.h"
#include "stack.h"

#define COLUMNS	6

static const char * const heading[COLUMNS] = {
	"FILE", "DEVICE", "HOLDERS", "DIRECT", "FALLBACK", "STATE",
};

/* A descriptor */
struct holder {
	pid_t pid;
	int fd;
	char command[COMMAND_MAX];
};

/* An open file, and the descriptors that are known to share it */
struct open_file {
	char *path;
	struct fdinfo info;
	struct holder *holders;
	size_t count;
};

/**
 * struct survey - all enabled open files that can be seen
 *
 * @volume: Only those of this volume, 0 for all.
 * @active: Number of its enabled open files, as the kernel counts them.
 * @files: The files.
 * @count: Number of @files.
 * @hidden: Number of processes that cannot be inspected.
 */
struct survey {
	dev_t volume;
	unsigned long active;
	struct open_file **files;
	size_t count;
	unsigned long hidden;
};

/*
 * Whether two descriptors share one open file. If the kernel cannot tell (kcmp(2)
 * requires the permission for ptrace(2)), they count as two.
 */
static bool shared(const struct holder *a, const struct holder *b)
{
	return syscall(SYS_kcmp, a->pid, b->pid, KCMP_FILE, a->fd, b->fd) == 0;
}

static void *grow(void *array, size_t count, size_t size)
{
	array = reallocarray(array, count + 1, size);
	if (!array)
		abort();
	return array;
}

static void *zeroed(size_t count, size_t size)
{
	void *array = calloc(count, size);

	if (!array)
		abort();
	return array;
}

static struct open_file *find_file(struct survey *survey,
				   const struct fdinfo *info,
				   const struct holder *holder)
{
	size_t i;

	for (i = 0; i < survey->count; i++) {
		struct open_file *file = survey->files[i];

		if (file->info.volume == info->volume &&
		    file->info.inode == info->inode &&
		    shared(&file->holders[0], holder))
			return file;
	}
	return NULL;
}

static struct open_file *add_file(struct survey *survey,
				  const struct fdinfo *info, const char *path)
{
	struct open_file *file = zeroed(1, sizeof(*file));

	file->info = *info;
	file->path = strdup(path);
	survey->files = grow(survey->files, survey->count,
			     sizeof(*survey->files));
	survey->files[survey->count++] = file;
	return file;
}

/* Whether the descriptor still refers to the file that its fdinfo described */
static bool same_file(const struct holder *holder, const struct fdinfo *info)
{
	char link[64];
	struct stat st;

	snprintf(link, sizeof(link), "/proc/%d/fd/%d", (int)holder->pid,
		 holder->fd);
	return !stat(link, &st) && st.st_ino == info->inode &&
	       st.st_dev == info->volume;
}

/* 0, or -EACCES when the process may not be inspected */
static int look_at_fd(struct survey *survey, pid_t pid, int fd)
{
	struct holder holder = { .pid = pid, .fd = fd };
	struct open_file *file;
	struct fdinfo info;
	char path[PATH_MAX];
	int ret;

	ret = fdinfo_read(pid, fd, &info);
	if (ret == -EACCES)
		return ret;
	if (ret || !info.enabled)
		return 0;
	if (survey->volume && survey->volume != info.volume)
		return 0;
	if (!process_file_path(pid, fd, path, sizeof(path)) ||
	    !same_file(&holder, &info))
		return 0;
	process_command(pid, holder.command, sizeof(holder.command));
	file = find_file(survey, &info, &holder);
	if (!file)
		file = add_file(survey, &info, path);
	file->holders = grow(file->holders, file->count,
			     sizeof(*file->holders));
	file->holders[file->count++] = holder;
	return 0;
}

static void look_at_process(struct survey *survey, pid_t pid)
{
	size_t i, count;
	int *fds, ret;

	ret = process_list_fds(pid, &fds, &count);
	for (i = 0; !ret && i < count; i++)
		ret = look_at_fd(survey, pid, fds[i]);
	if (ret == -EACCES)
		survey->hidden++;
	free(fds);
}

static char *print(const char *format, unsigned long long value)
{
	char *text;

	if (asprintf(&text, format, value) < 0)
		abort();
	return text;
}

/* "COMMAND[PID]:FD", joined by ","; to be freed */
static char *join_holders(const struct open_file *file)
{
	char *text = NULL;
	size_t i, size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		abort();
	for (i = 0; i < file->count; i++)
		fprintf(out, "%s%s[%d]:%d", i ? "," : "",
			file->holders[i].command, (int)file->holders[i].pid,
			file->holders[i].fd);
	fclose(out);
	return text;
}

/* "armed; fell back: 3 unaligned, 1 unmapped" or "WHY NOT. Fell back: ..." */
static char *state_of(const struct fdinfo *info)
{
	const char *separator = info->armed ? "; fell back: " : " Fell back: ";
	char *text = NULL;
	unsigned int i;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		abort();
	fputs(info->armed ? "armed" : info->obstacle, out);
	for (i = 0; i < BPIO_REASON_COUNT; i++) {
		if (!info->reasons[i])
			continue;
		fprintf(out, "%s%llu %s", separator, info->reasons[i],
			bpio_reason_token(i));
		separator = ", ";
	}
	fclose(out);
	return text;
}

static void fill_row(char **row, const struct open_file *file)
{
	const struct fdinfo *info = &file->info;

	row[0] = strdup(file->path);
	row[1] = device_node(info->volume);
	row[2] = join_holders(file);
	row[3] = print("%llu", info->direct_reads);
	row[4] = print("%llu", info->fallback_reads);
	row[5] = state_of(info);
}

static void report_rows(struct report *report, const struct survey *survey)
{
	char ***rows = zeroed(survey->count + 1, sizeof(*rows));
	size_t i, column;

	for (i = 0; i <= survey->count; i++) {
		rows[i] = zeroed(COLUMNS, sizeof(**rows));
		if (i)
			fill_row(rows[i], survey->files[i - 1]);
		for (column = 0; !i && column < COLUMNS; column++)
			rows[i][column] = strdup(heading[column]);
	}
	report_table(report, rows, survey->count + 1, COLUMNS);
	for (i = 0; i <= survey->count; i++) {
		for (column = 0; column < COLUMNS; column++)
			free(rows[i][column]);
		free(rows[i]);
	}
	free(rows);
}

static struct json_object *holders_to_json(const struct open_file *file)
{
	struct json_object *list = json_object_new_array();
	size_t i;

	for (i = 0; i < file->count; i++) {
		struct json_object *json = json_object_new_object();

		json_object_object_add(json, "pid",
				       json_object_new_int(file->holders[i].pid));
		json_object_object_add(json, "command",
				       json_object_new_string(file->holders[i].command));
		json_object_object_add(json, "descriptor",
				       json_object_new_int(file->holders[i].fd));
		json_object_array_add(list, json);
	}
	return list;
}

/* The kernel prints the sentence of a reason; convert it back to the number. */
static struct json_object *obstacle_to_json(const char *text)
{
	struct json_object *json;
	unsigned int i;

	for (i = 0; i < BPIO_REASON_COUNT; i++)
		if (!strcmp(text, bpio_reason_text(i)))
			return reason_to_json(i, text);
	json = json_object_new_object();
	json_object_object_add(json, "text", json_object_new_string(text));
	return json;
}

static struct json_object *file_to_json(const struct open_file *file)
{
	struct json_object *json = json_object_new_object();
	const struct fdinfo *info = &file->info;

	json_object_object_add(json, "path", json_object_new_string(file->path));
	json_object_object_add(json, "volume", device_to_json(info->volume));
	json_object_object_add(json, "inode",
			       json_object_new_uint64(info->inode));
	json_object_object_add(json, "holders", holders_to_json(file));
	json_object_object_add(json, "armed",
			       json_object_new_boolean(info->armed));
	if (!info->armed)
		json_object_object_add(json, "reason",
				       obstacle_to_json(info->obstacle));
	reads_to_json(json, READS_OF(info));
	json_object_object_add(json, "fallback_by_reason",
			       reasons_to_json(info->reasons));
	return json;
}

/* The count of open files that no visible descriptor refers to */
static void report_missing(struct report *report, const struct survey *survey)
{
	const char *disabled = bpio_reason_text(BPIO_REASON_DISABLED);
	unsigned long found = 0;
	size_t i;

	for (i = 0; i < survey->count; i++)
		if (strcmp(survey->files[i]->info.obstacle, disabled))
			found++;
	report_number(report, "active_files", NULL, survey->active, NULL);
	if (survey->active > found)
		report_heading(report,
			       "Enabled open files of this volume that were not found: %lu; see bpio(1).",
			       survey->active - found);
}

static int report_survey(const struct command_line *line,
			 const struct survey *survey)
{
	struct report *report = report_new(line);
	struct json_object *list = json_object_new_array();
	size_t i;

	for (i = 0; i < survey->count; i++)
		json_object_array_add(list, file_to_json(survey->files[i]));
	report_json(report, "files", list);
	if (survey->count)
		report_rows(report, survey);
	else
		report_heading(report,
			       "No visible process has BypassIO enabled for a file%s.",
			       survey->volume ? " of this volume" : "");
	if (survey->volume)
		report_missing(report, survey);
	report_number(report, "hidden_processes", NULL, survey->hidden, NULL);
	if (survey->hidden)
		report_heading(report,
			       "Processes that cannot be inspected: %lu%s",
			       survey->hidden,
			       geteuid() ? "; root sees all." : ".");
	return report_finish(report, STATUS_OK);
}

static void free_survey(struct survey *survey)
{
	size_t i;

	for (i = 0; i < survey->count; i++) {
		free(survey->files[i]->path);
		free(survey->files[i]->holders);
		free(survey->files[i]);
	}
	free(survey->files);
}

static int list_files_of(const struct command_line *line, dev_t volume,
			 unsigned long active)
{
	struct survey survey = { .volume = volume, .active = active };
	int *pids, status, ret;
	size_t i, count;

	ret = process_list(&pids, &count);
	/* Skip this process: the descriptors it inherited are closed in a moment. */
	for (i = 0; !ret && i < count; i++)
		if (pids[i] != getpid())
			look_at_process(&survey, pids[i]);
	free(pids);
	if (ret)
		status = fail(line, status_of_error(ret),
			      "cannot read the list of processes in /proc: %s",
			      strerror(-ret));
	else
		status = report_survey(line, &survey);
	free_survey(&survey);
	return status;
}

static int act(const struct command_line *line, const struct place *place,
	       int fd)
{
	struct bpio_volume_info info = BPIO_VOLUME_INFO_INIT;
	int ret = bpio_volume_info(fd, &info);

	if (ret)
		return ask_failed(line, place, ret);
	return list_files_of(line, makedev(info.volume_major, info.volume_minor),
			     info.active_files);
}

int list_files(const struct command_line *line)
{
	return line->argc ? with_whole(line, act) : list_files_of(line, 0, 0);
}
