// SPDX-License-Identifier: GPL-2.0-only
/*
 * See program.h. In all these cases the dynamic loader silently ignores a preload
 * library, and the user would only see that nothing is bypassed.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "program.h"

/* Depth to which the kernel follows scripts whose interpreter is a script */
#define SCRIPT_DEPTH	5

static int check_executable(const char *path)
{
	struct stat st;

	if (stat(path, &st))
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	return access(path, X_OK) ? -errno : 0;
}

int program_find(const char *command, char *path, size_t size)
{
	const char *dirs = getenv("PATH");
	int ret = -ENOENT;

	if (strchr(command, '/')) {
		snprintf(path, size, "%s", command);
		return check_executable(path);
	}
	if (!*command)
		return -ENOENT;
	if (!dirs)
		dirs = "/bin:/usr/bin";
	for (;;) {
		int length = strcspn(dirs, ":");
		int error;

		snprintf(path, size, "%.*s%s%s", length, dirs,
			 length ? "/" : "", command);
		error = check_executable(path);
		if (!error)
			return 0;
		if (error == -EACCES)
			ret = error;
		if (!dirs[length])
			return ret;
		dirs += length + 1;
	}
}

__attribute__((__format__(printf, 1, 2)))
static char *say(const char *format, ...)
{
	char *text = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		abort();
	va_end(args);
	return text;
}

static char *privilege_obstacle(int fd, const char *path)
{
	struct statvfs vfs;
	struct stat st;

	if (fstat(fd, &st) || (!fstatvfs(fd, &vfs) && vfs.f_flag & ST_NOSUID))
		return NULL;
	if ((st.st_mode & S_ISUID) && st.st_uid != geteuid())
		return say("\"%s\" is set-user-ID", path);
	if ((st.st_mode & S_ISGID) && (st.st_mode & 0010) &&
	    st.st_gid != getegid())
		return say("\"%s\" is set-group-ID", path);
	if (getuid() && fgetxattr(fd, "security.capability", NULL, 0) > 0)
		return say("\"%s\" has file capabilities", path);
	return NULL;
}

static bool read_at(int fd, void *to, size_t size, off_t at)
{
	return pread(fd, to, size, at) == (ssize_t)size;
}

/* 1 when the program names a dynamic loader, 0 when not, -1 when unreadable */
static int has_loader(int fd)
{
	Elf64_Ehdr header;
	Elf64_Phdr segment;
	unsigned int i;

	if (!read_at(fd, &header, sizeof(header), 0))
		return -1;
	for (i = 0; i < header.e_phnum; i++) {
		if (header.e_phentsize != sizeof(segment) ||
		    !read_at(fd, &segment, sizeof(segment),
			     header.e_phoff + i * sizeof(segment)))
			return -1;
		if (segment.p_type == PT_INTERP)
			return 1;
	}
	return 0;
}

bool program_is_static(int fd)
{
	unsigned char ident[EI_NIDENT];

	return read_at(fd, ident, sizeof(ident), 0) &&
	       !memcmp(ident, ELFMAG, SELFMAG) && !has_loader(fd);
}

static bool same_machine(const unsigned char *ident, int fd)
{
	Elf64_Half own, other;
	int self;
	bool same = false;

	if (ident[EI_CLASS] != (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32))
		return false;
	self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (self < 0)
		return true;
	if (read_at(self, &own, sizeof(own), offsetof(Elf64_Ehdr, e_machine)) &&
	    read_at(fd, &other, sizeof(other), offsetof(Elf64_Ehdr, e_machine)))
		same = own == other;
	close(self);
	return same;
}

static char *elf_obstacle(int fd, const unsigned char *ident, const char *path)
{
	if (!same_machine(ident, fd))
		return say("\"%s\" is built for another architecture than bpio",
			   path);
	switch (has_loader(fd)) {
	case 0:
		return say("\"%s\" is statically linked", path);
	case 1:
		return NULL;
	default:
		return say("\"%s\" is not a valid ELF program", path);
	}
}

static char *obstacle(const char *path, unsigned int depth);

/* @line is what follows "#!" */
static char *script_obstacle(char *line, unsigned int depth)
{
	char *interpreter;

	line[strcspn(line, "\n")] = '\0';
	interpreter = line + strspn(line, " \t");
	interpreter[strcspn(interpreter, " \t")] = '\0';
	if (!*interpreter || depth >= SCRIPT_DEPTH)
		return NULL;
	return obstacle(interpreter, depth + 1);
}

static char *obstacle(const char *path, unsigned int depth)
{
	char start[256] = "";
	char *why;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	/* A program that may be executed but not read cannot be checked. */
	if (fd < 0)
		return NULL;
	if (pread(fd, start, sizeof(start) - 1, 0) < EI_NIDENT &&
	    strncmp(start, "#!", 2)) {
		close(fd);
		return NULL;
	}
	if (!strncmp(start, "#!", 2)) {
		why = script_obstacle(start + 2, depth);
	} else {
		why = privilege_obstacle(fd, path);
		if (!why && !memcmp(start, ELFMAG, SELFMAG))
			why = elf_obstacle(fd, (unsigned char *)start, path);
	}
	close(fd);
	return why;
}

char *program_obstacle(const char *path)
{
	return obstacle(path, 0);
}
