// SPDX-License-Identifier: GPL-2.0-only
/*
 * See module.h.
 */
#include <dirent.h>
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli.h"
#include "module.h"
#include "swap.h"

#define FILTER_DIR	"/sys/module/dm_bpio_filter"

static char * const environment[] = {
	"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL
};

bool module_loaded(void)
{
	return !access(MODULE_DIR, F_OK);
}

static char *read_line(FILE *file)
{
	char *text = NULL;
	size_t size = 0;

	if (getline(&text, &size, file) < 0) {
		free(text);
		return NULL;
	}
	text[strcspn(text, "\n")] = '\0';
	return text;
}

char *module_attribute(const char *name)
{
	char path[320], *text;
	FILE *file;

	snprintf(path, sizeof(path), MODULE_DIR "/%s", name);
	file = fopen(path, "re");
	if (!file)
		return NULL;
	text = read_line(file);
	fclose(file);
	return text;
}

/* Runs a program of kmod's: 0, or an errno; ECHILD when it has failed */
static int run(const char *name, char *const argv[], int out)
{
	posix_spawn_file_actions_t actions;
	char path[64];
	int status, error;
	pid_t pid;

	snprintf(path, sizeof(path), "/sbin/%s", name);
	if (access(path, X_OK))
		snprintf(path, sizeof(path), "/usr/sbin/%s", name);
	posix_spawn_file_actions_init(&actions);
	if (out >= 0)
		posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	error = posix_spawn(&pid, path, &actions, NULL, argv, environment);
	posix_spawn_file_actions_destroy(&actions);
	if (error)
		return error;
	return waitpid(pid, &status, 0) != pid || status ? ECHILD : 0;
}

char *module_installed(const char *field)
{
	char *const argv[] = {
		"modinfo", "-F", (char *)field, "dm-bpio", NULL
	};
	FILE *out = tmpfile();
	char *text = NULL;

	if (!out)
		return NULL;
	if (!run("modinfo", argv, fileno(out))) {
		rewind(out);
		text = read_line(out);
	}
	fclose(out);
	return text;
}

static int not_loaded(char *why, size_t size)
{
	char *installed = module_installed("version");
	bool is_installed = installed;

	free(installed);
	if (is_installed)
		return wrong(why, size, -ENOEXEC,
			     "cannot load the module dm-bpio, although it is installed; dmesg shows why, and dm-bpio(4) what Secure Boot requires");
	return wrong(why, size, -ENOENT,
		     "cannot load the module dm-bpio; it must be installed for the running kernel");
}

int module_load(char *why, size_t size)
{
	char *const argv[] = { "modprobe", "dm-bpio", NULL };
	int error;

	if (module_loaded())
		return 0;
	error = run("modprobe", argv, -1);
	if (error == ECHILD)
		return not_loaded(why, size);
	if (error)
		return wrong(why, size, -error, "cannot run modprobe: %s",
			     strerror(error));
	return 0;
}

int module_unload(void)
{
	static char *const alone[] = { "modprobe", "-qr", "dm-bpio", NULL };
	static char *const both[] = {
		"modprobe", "-qr", "dm-bpio-filter", "dm-bpio", NULL
	};
	bool filter = !access(FILTER_DIR, F_OK);
	int tries, error;

	/* The last reference to a table or file may go a moment later. */
	for (tries = 0; tries < 20; tries++) {
		char *users = module_attribute("refcnt");
		bool used = users && strcmp(users, "0");

		free(users);
		if (!used || filter) {
			error = run("modprobe", filter ? both : alone, -1);
			if (!error)
				return 0;
			if (error != ECHILD)
				return -error;
		}
		usleep(50000);
	}
	return -EBUSY;
}

char *module_users(void)
{
	DIR *dir = opendir(MODULE_DIR "/holders");
	struct dirent *entry;
	char *text = NULL;
	size_t size;
	FILE *out;

	if (!dir)
		return NULL;
	out = open_memstream(&text, &size);
	if (!out)
		abort();
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			fprintf(out, "%s%s", ftell(out) ? ", " : "",
				entry->d_name);
	fclose(out);
	closedir(dir);
	if (*text)
		return text;
	free(text);
	return NULL;
}

void parameters_read(struct parameters *parameters)
{
	DIR *dir = opendir(MODULE_DIR "/parameters");
	struct dirent *entry;

	parameters->count = 0;
	while (dir && (entry = readdir(dir))) {
		char path[300], *value;

		if (entry->d_name[0] == '.' ||
		    parameters->count == ARRAY_SIZE(parameters->names))
			continue;
		snprintf(path, sizeof(path), "parameters/%s", entry->d_name);
		value = module_attribute(path);
		if (!value)
			continue;
		parameters->names[parameters->count] = strdup(entry->d_name);
		if (!parameters->names[parameters->count])
			abort();
		parameters->values[parameters->count++] = value;
	}
	if (dir)
		closedir(dir);
}

void parameters_restore(struct parameters *parameters)
{
	while (parameters->count) {
		size_t i = --parameters->count;
		char path[300];
		FILE *file;

		snprintf(path, sizeof(path), MODULE_DIR "/parameters/%s",
			 parameters->names[i]);
		/* A newer module may lack it. */
		file = fopen(path, "we");
		if (file) {
			fputs(parameters->values[i], file);
			fclose(file);
		}
		free(parameters->names[i]);
		free(parameters->values[i]);
	}
}
