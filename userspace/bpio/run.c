// SPDX-License-Identifier: GPL-2.0-only
/*
 * bpio run [--file GLOB]... [--summary FILE] [--] COMMAND
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli.h"
#include "program.h"
#include "run.h"
#include "share.h"

extern char **environ;

/* For the signal handler */
static _Atomic pid_t child;

static void pass_on(int number)
{
	int error = errno;

	if (child > 0)
		kill(child, number);
	errno = error;
}

/*
 * Ctrl-C reaches the command by itself; bpio has to outlive it for the summary.
 * What is sent to bpio alone is passed on.
 */
static void set_signals(void)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	struct sigaction forward = { .sa_handler = pass_on };

	sigaction(SIGINT, &ignore, NULL);
	sigaction(SIGQUIT, &ignore, NULL);
	sigaction(SIGTERM, &forward, NULL);
	sigaction(SIGHUP, &forward, NULL);
}

static struct share *make_share(char *path, size_t size)
{
	struct share *share;
	int fd;

	fd = memfd_create("bpio-run", MFD_CLOEXEC);
	if (fd < 0)
		return NULL;
	if (ftruncate(fd, sizeof(*share)))
		return NULL;
	share = mmap(NULL, sizeof(*share), PROT_READ | PROT_WRITE, MAP_SHARED,
		     fd, 0);
	if (share == MAP_FAILED)
		return NULL;
	share->magic = SHARE_MAGIC;
	share->version = SHARE_VERSION;
	snprintf(path, size, "/proc/%d/fd/%d", (int)getpid(), fd);
	return share;
}

/* The preload library beside the command in a build tree, else as installed */
static const char *find_preload(void)
{
	static char path[PATH_MAX];
	const char *named = getenv("BPIO_PRELOAD_LIBRARY");
	ssize_t length;
	char *slash;

	if (named)
		return named;
	length = readlink("/proc/self/exe", path, sizeof(path) - 32);
	if (length > 0) {
		path[length] = '\0';
		slash = strrchr(path, '/');
		snprintf(slash + 1, 32, "libbpio-preload.so");
		if (!access(path, R_OK))
			return path;
	}
	return PRELOAD_PATH;
}

/* 0, or the exit status for a pattern that can match no path */
static int check_globs(const struct command_line *line)
{
	size_t i;

	for (i = 0; i < line->glob_count; i++) {
		const char *glob = line->globs[i];

		if (!*glob || strchr(glob, '\n') || strlen(glob) >= PATH_MAX)
			return fail(line, STATUS_USAGE,
				    "expected a pattern for paths, but got \"%s\"",
				    glob);
	}
	return 0;
}

/* Globs of --file as absolute ones, one per line */
static int set_globs(const struct command_line *line)
{
	char *list = NULL, *cwd;
	size_t i, size;
	FILE *out;
	int ret;

	if (!line->glob_count)
		return unsetenv(SHARE_GLOBS_ENV);
	ret = check_globs(line);
	if (ret)
		return ret;
	out = open_memstream(&list, &size);
	cwd = getcwd(NULL, 0);
	if (!out || !cwd)
		return fail(line, STATUS_RUN_FAILURE,
			    "cannot find the working directory: %s",
			    strerror(errno));
	for (i = 0; i < line->glob_count; i++) {
		const char *glob = line->globs[i];

		if (*glob == '/' || *glob == '*')
			fprintf(out, "%s\n", glob);
		else
			fprintf(out, "%s/%s\n", cwd, glob);
	}
	fclose(out);
	setenv(SHARE_GLOBS_ENV, list, 1);
	free(list);
	free(cwd);
	return 0;
}

static int set_preload(const struct command_line *line)
{
	const char *library = find_preload(), *others = getenv("LD_PRELOAD");
	char *value = NULL;

	if (access(library, R_OK))
		return fail(line, STATUS_RUN_FAILURE,
			    "cannot read the preload library \"%s\": %s; is bpio installed completely?",
			    library, strerror(errno));
	if (strpbrk(library, " :"))
		return fail(line, STATUS_RUN_FAILURE,
			    "the dynamic loader takes no path with spaces or colons, but the preload library is \"%s\"",
			    library);
	if (asprintf(&value, "%s%s%s", library, others ? ":" : "",
		     others ? others : "") < 0)
		abort();
	setenv("LD_PRELOAD", value, 1);
	free(value);
	return 0;
}

static int check_command(const struct command_line *line)
{
	const char *command = line->argv[0];
	char path[PATH_MAX];
	char *why;
	int ret;

	ret = program_find(command, path, sizeof(path));
	if (ret == -ENOENT || ret == -ENOTDIR)
		return fail(line, STATUS_RUN_NOT_FOUND,
			    "expected a command, but there is no \"%s\"",
			    command);
	if (ret)
		return fail(line, STATUS_RUN_CANNOT,
			    "cannot execute \"%s\": %s", command,
			    strerror(-ret));
	why = program_obstacle(path);
	if (!why)
		return 0;
	ret = fail(line, STATUS_RUN_CANNOT,
		   "expected a program that can load a library, but %s; run it without \"bpio run\", or let it use libbpio(3)",
		   why);
	free(why);
	return ret;
}

static int start(const struct command_line *line)
{
	posix_spawnattr_t attributes;
	sigset_t defaults;
	pid_t pid;
	int error;

	sigemptyset(&defaults);
	sigaddset(&defaults, SIGINT);
	sigaddset(&defaults, SIGQUIT);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigdefault(&attributes, &defaults);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
	set_signals();
	error = posix_spawnp(&pid, line->argv[0], NULL, &attributes, line->argv,
			     environ);
	posix_spawnattr_destroy(&attributes);
	if (error)
		return fail(line, error == ENOENT ? STATUS_RUN_NOT_FOUND :
						    STATUS_RUN_CANNOT,
			    "cannot execute \"%s\": %s", line->argv[0],
			    strerror(error));
	child = pid;
	return 0;
}

static int wait_for_child(void)
{
	int status;

	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return STATUS_RUN_FAILURE;
	child = 0;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) :
				     WEXITSTATUS(status);
}

static int run_with(const struct command_line *line, FILE *summary)
{
	char path[64];
	struct share *share = make_share(path, sizeof(path));
	int status;

	if (!share)
		return fail(line, STATUS_RUN_FAILURE,
			    "cannot make memory to share with the command: %s",
			    strerror(errno));
	setenv(SHARE_ENV, path, 1);
	status = set_preload(line);
	if (!status)
		status = start(line);
	if (status)
		return status;
	status = wait_for_child();
	if (summary)
		run_summary(line, share, status, summary);
	return status;
}

int verb_run(const struct command_line *line)
{
	FILE *summary = line->quiet ? NULL : stderr;
	int status;

	status = check_command(line);
	if (!status)
		status = set_globs(line);
	if (status)
		return status;
	if (line->summary) {
		summary = fopen(line->summary, "we");
		if (!summary)
			return fail(line, STATUS_RUN_FAILURE,
				    "cannot write the summary to \"%s\": %s",
				    line->summary, strerror(errno));
	}
	status = run_with(line, summary);
	if (summary && summary != stderr && fclose(summary))
		fprintf(stderr, "bpio: cannot write the summary to \"%s\": %s\n",
			line->summary, strerror(errno));
	return status;
}
