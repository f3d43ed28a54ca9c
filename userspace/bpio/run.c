// SPDX-License-Identifier: GPL-2.0-only
/*
 * bpio run [--file GLOB]... [--summary FILE] [--] COMMAND
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bpio.h"
#include "cli.h"
#include "descendants.h"
#include "globs.h"
#include "handlers.h"
#include "program.h"
#include "run.h"
#include "share.h"

/* The lowest number of the descriptors that the processes of the command inherit */
#define INHERITED_FIRST	1000

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
 * The terminal sends Ctrl-C to the command as well; bpio must outlive the command to
 * print the summary. Signals sent only to bpio are forwarded.
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

/*
 * Closes @fd after making a copy that the processes inherit. Its number is one that
 * programs do not use, but low enough to keep their descriptor tables small.
 */
static int inherit(int fd, int least)
{
	struct rlimit limit;
	int copy = fcntl(fd, F_DUPFD, least);

	/* The limit does not permit such a number: use the highest one. */
	if (copy < 0 && !getrlimit(RLIMIT_NOFILE, &limit))
		copy = fcntl(fd, F_DUPFD, (int)limit.rlim_cur / 2);
	close(fd);
	return copy;
}

/* The memory that the processes share, in the memfd @fd; or NULL */
static struct share *make_share(int *fd)
{
	int memory = memfd_create("bpio-run", MFD_CLOEXEC);
	struct share *share;

	if (memory < 0 || ftruncate(memory, sizeof(*share)))
		return NULL;
	share = mmap(NULL, sizeof(*share), PROT_READ | PROT_WRITE, MAP_SHARED,
		     memory, 0);
	if (share == MAP_FAILED)
		return NULL;
	share->magic = SHARE_MAGIC;
	share->version = SHARE_VERSION;
	*fd = inherit(memory, INHERITED_FIRST);
	return *fd < 0 ? NULL : share;
}

/* Opens the control node, the tally of all processes, or returns minus the exit status */
static int open_tally(const struct command_line *line)
{
	int node = bpio_node_open();

	if (node == -ENOENT || node == -ENXIO || node == -ENODEV)
		return -fail(line, STATUS_RUN_CANNOT,
			     "cannot bypass anything: there is no %s; is the module dm-bpio loaded?",
			     BPIO_NODE);
	if (node < 0)
		return -fail(line, STATUS_RUN_CANNOT,
			     "cannot bypass anything: %s cannot be opened: %s",
			     BPIO_NODE, strerror(-node));
	node = inherit(node, INHERITED_FIRST);
	if (node < 0)
		return -fail(line, STATUS_RUN_FAILURE,
			     "cannot let the command inherit %s: %s", BPIO_NODE,
			     strerror(errno));
	return node;
}

/*
 * If the security module Yama lets processes inspect only their descendants, a process
 * that has closed the inherited descriptors could not copy them from bpio without this.
 */
static void tell_children(int node, int memory)
{
	char value[64];

	snprintf(value, sizeof(value), "%d:%d:%d", (int)getpid(), node, memory);
	setenv(TALLY_ENV, value, 1);
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
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

/* Globs of --file as absolute ones, one per line */
static int set_globs(const struct command_line *line)
{
	char *list = NULL, *cwd;
	size_t i, size;
	FILE *out;
	int ret;

	if (!line->glob_count)
		return unsetenv(SHARE_GLOBS_ENV);
	ret = globs_check(line);
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
			    "the dynamic loader accepts no path with spaces or colons, but the preload library is \"%s\"",
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
		   "expected a program that can load a library, but %s; start it without \"bpio run\" and use \"bpio attach\"",
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

/* Scans the processes, for @seen, until the command itself has ended */
static int wait_for_child(struct descendants *seen)
{
	struct pollfd end = { .fd = pidfd_open(child, 0), .events = POLLIN };
	int status;

	while (end.fd >= 0) {
		int wait = seen ? descendants_look(seen, child) : -1;
		int ended = poll(&end, 1, wait);

		if (ended > 0 || (ended < 0 && errno != EINTR))
			break;
	}
	close(end.fd);
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return STATUS_RUN_FAILURE;
	child = 0;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) :
				     WEXITSTATUS(status);
}

static int run_with(const struct command_line *line, FILE *summary)
{
	struct descendants seen = { 0 };
	int node, memory, status;
	struct share *share;

	status = set_preload(line);
	if (status)
		return status;
	node = open_tally(line);
	if (node < 0)
		return -node;
	share = make_share(&memory);
	if (!share)
		return fail(line, STATUS_RUN_FAILURE,
			    "cannot make memory to share with the command: %s",
			    strerror(errno));
	tell_children(node, memory);
	status = start(line);
	if (status)
		return status;
	status = wait_for_child(summary ? &seen : NULL);
	if (summary)
		run_summary(line, node, share, &seen, status, summary);
	descendants_free(&seen);
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
