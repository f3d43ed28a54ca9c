// SPDX-License-Identifier: GPL-2.0-only
/*
 * What all threads share: the state of the run, its end, random numbers, and the reports
 * of errors.
 */
#include <glob.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "stress.h"

#define VIOLATIONS_SAID	5

struct stress stress = {
	.seconds = 60, .share = 50, .fs = "ext4", .mkfs = "",
	.pace_ms = 800,
	.policy = PTHREAD_MUTEX_INITIALIZER,
	.slots_lock = PTHREAD_MUTEX_INITIALIZER,
	.chase = { .lock = PTHREAD_MUTEX_INITIALIZER, .slot = FILES },
};

void dice_init(struct dice *dice, const char *name)
{
	dice->state = stress.seed * 0x9e3779b97f4a7c15ull + 1;
	while (*name)
		dice->state = (dice->state ^ (unsigned char)*name++) *
			      0x100000001b3ull;
}

unsigned int roll(struct dice *dice, unsigned int sides)
{
	dice->state = dice->state * 6364136223846793005ull +
		      1442695040888963407ull;
	return sides ? (dice->state >> 33) % sides : 0;
}

uint64_t elapsed_ms(void)
{
	return now_ms() - stress.started;
}

bool goes_on(void)
{
	return !stress.stop;
}

void rest(unsigned int ms)
{
	uint64_t until = now_ms() + ms;

	do
		usleep(2000);
	while (goes_on() && now_ms() < until);
}

static void say_line(const char *what, const char *fmt, va_list args)
{
	char text[1400];

	vsnprintf(text, sizeof(text), fmt, args);
	diag("%s after %llu.%03llu s: %s", what,
	     (unsigned long long)elapsed_ms() / 1000,
	     (unsigned long long)elapsed_ms() % 1000, text);
}

void violation(const char *fmt, ...)
{
	uint64_t none = 0;
	va_list args;

	atomic_compare_exchange_strong(&stress.first_violation, &none,
				       elapsed_ms());
	if (stress.counters.violations++ >= VIOLATIONS_SAID)
		return;
	va_start(args, fmt);
	say_line("VIOLATION", fmt, args);
	va_end(args);
	if (!stress.go_on)
		stress.stop = true;
}

/*
 * Print where a task waits in the kernel: a program anywhere but in a sleep, a kernel
 * thread in a module.
 */
static void say_task(const char *dir)
{
	char path[64], line[200], name[32] = "", stack[1400] = "";
	FILE *file;

	snprintf(path, sizeof(path), "%s/comm", dir);
	read_line(path, name, sizeof(name));
	snprintf(path, sizeof(path), "%s/stack", dir);
	file = fopen(path, "re");
	/* "[<0>] function+0x1/0x2 [module]" */
	while (file && fgets(line, sizeof(line), file) &&
	       strlen(stack) + strlen(line) < sizeof(stack)) {
		line[strcspn(line, "\n")] = 0;
		strcat(stack, line + strcspn(line, " "));
	}
	if (file)
		fclose(file);
	if (strstr(stack, " [") || (*stack && !strstr(stack, "ret_from_fork") &&
				    !strstr(stack, "nanosleep")))
		diag("%s %s:%s", strrchr(dir, '/') + 1, name, stack);
}

static void say_tasks(void)
{
	glob_t found;
	size_t i;

	if (glob("/proc/[0-9]*/task/[0-9]*", 0, NULL, &found))
		return;
	for (i = 0; i < found.gl_pathc; i++)
		say_task(found.gl_pathv[i]);
	globfree(&found);
}

void broken(const char *fmt, ...)
{
	va_list args;

	if (stress.broken)
		return;
	stress.broken = true;
	va_start(args, fmt);
	say_line("cannot go on", fmt, args);
	va_end(args);
	say_tasks();
	stress.stop = true;
}
