// SPDX-License-Identifier: GPL-2.0-only
/*
 * See tab.h.
 */
#include <blkid/blkid.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "tab.h"

#define BLANKS		" \t"
#define NAME_CHARS	"abcdefghijklmnopqrstuvwxyz"	\
			"ABCDEFGHIJKLMNOPQRSTUVWXYZ"	\
			"0123456789#+-.:=@_"

static const char *const tags[] = { "UUID", "PARTUUID", "LABEL", "PARTLABEL" };

static char *copy(const char *text)
{
	char *copied = strdup(text);

	if (!copied)
		abort();
	return copied;
}

/* Control characters must not end a message or reach a terminal. */
static char *printable(char *text)
{
	char *at;

	for (at = text; *at; at++)
		if ((unsigned char)*at < ' ' || *at == '\177')
			*at = '?';
	return text;
}

void tab_complain(struct tab *tab, unsigned int number, const char *format,
		  ...)
{
	struct tab_error error = { .number = number };
	char *sentence;
	va_list args;
	size_t at;

	va_start(args, format);
	if (vasprintf(&sentence, format, args) < 0)
		abort();
	va_end(args);
	if (asprintf(&error.sentence, "%s:%u: %s", tab->path, number,
		     printable(sentence)) < 0)
		abort();
	free(sentence);
	tab->errors = reallocarray(tab->errors, tab->error_count + 1,
				   sizeof(*tab->errors));
	if (!tab->errors)
		abort();
	for (at = tab->error_count++; at > 0; at--) {
		if (tab->errors[at - 1].number <= number)
			break;
		tab->errors[at] = tab->errors[at - 1];
	}
	tab->errors[at] = error;
}

/* Decodes \040 and the like in place, as in fstab(5) */
static void decode(char *word)
{
	char *to = word, *at;

	for (at = word; *at; at++) {
		if (at[0] == '\\' && at[1] >= '0' && at[1] <= '3' &&
		    at[2] >= '0' && at[2] <= '7' &&
		    at[3] >= '0' && at[3] <= '7' &&
		    (at[1] != '0' || at[2] != '0' || at[3] != '0')) {
			*to++ = (at[1] - '0') * 64 + (at[2] - '0') * 8 +
				at[3] - '0';
			at += 3;
			continue;
		}
		*to++ = *at;
	}
	*to = '\0';
}

/* The next word of @rest, or NULL */
static char *next_word(char **rest)
{
	char *word;

	*rest += strspn(*rest, BLANKS);
	if (!**rest)
		return NULL;
	word = *rest;
	*rest += strcspn(*rest, BLANKS);
	if (**rest)
		*(*rest)++ = '\0';
	return word;
}

static bool check_name(struct tab *tab, const struct tab_line *line)
{
	const char *name = line->name;
	size_t good = strspn(name, NAME_CHARS);
	const struct tab_line *other = tab_find(tab, name);

	if (name[good])
		tab_complain(tab, line->number,
			     "expected a name of letters, digits and #+-.:=@_, but found \"%s\"",
			     name);
	else if (good > TAB_NAME_MAX)
		tab_complain(tab, line->number,
			     "expected a name of at most %u characters, but found one of %zu",
			     TAB_NAME_MAX, good);
	else if (!strcmp(name, ".") || !strcmp(name, "..") ||
		 !strcmp(name, "control"))
		tab_complain(tab, line->number,
			     "\"%s\" cannot be the name of a mapped device; choose another name",
			     name);
	else if (other)
		tab_complain(tab, line->number,
			     "the name \"%s\" is used by line %u already; choose another name",
			     name, other->number);
	else
		return true;
	return false;
}

bool tab_tag(const struct tab_line *line, char **tag, char **value)
{
	size_t i;

	*tag = NULL;
	*value = NULL;
	if (line->device[0] == '/' ||
	    blkid_parse_tag_string(line->device, tag, value))
		return false;
	for (i = 0; i < ARRAY_SIZE(tags); i++)
		if (!strcmp(*tag, tags[i]) && *value && **value)
			return true;
	free(*tag);
	free(*value);
	*tag = NULL;
	*value = NULL;
	return false;
}

static bool is_path(const char *device)
{
	const char *slash = strchr(device, '/');

	if (!strncmp(device, "/dev/", 5))
		return device[5] && !strstr(device, "/../");
	/* VG/LV */
	return slash && slash != device && slash[1] && !strchr(slash + 1, '/') &&
	       device[strspn(device, NAME_CHARS "/")] == '\0' &&
	       strncmp(device, "../", 3) && strncmp(device, "./", 2);
}

static bool check_device(struct tab *tab, const struct tab_line *line)
{
	char *tag, *value;
	size_t i;

	if (tab_tag(line, &tag, &value)) {
		free(tag);
		free(value);
	} else if (!is_path(line->device)) {
		tab_complain(tab, line->number,
			     "expected UUID=, PARTUUID=, LABEL=, PARTLABEL=, a path in /dev or VG/LV as the device, but found \"%s\"",
			     line->device);
		return false;
	}
	for (i = 0; i < tab->count; i++) {
		if (strcmp(tab->lines[i].device, line->device))
			continue;
		tab_complain(tab, line->number,
			     "the device \"%s\" is used by line %u already; a device can be below one volume only",
			     line->device, tab->lines[i].number);
		return false;
	}
	return true;
}

static bool parse_size(struct tab *tab, struct tab_line *line, char *value)
{
	static const char units[] = "KMGT";
	const char *unit;
	unsigned long long number = 0;
	char *end = value;
	unsigned int shift = 0;

	errno = 0;
	if (*value >= '0' && *value <= '9')
		number = strtoull(value, &end, 10);
	unit = *end ? strchr(units, *end) : NULL;
	if (unit) {
		shift = 10 * (unit - units + 1);
		end++;
	}
	if (errno || !number || *end || number > UINT64_MAX >> shift ||
	    (number << shift) % 512) {
		tab_complain(tab, line->number,
			     "expected a number of bytes above 0 that is a multiple of 512, optionally with a suffix K, M, G or T, but found \"size=%s\"",
			     value);
		return false;
	}
	line->size = number << shift;
	return true;
}

struct flag {
	const char *name;
	size_t offset;
};

#define FLAG(word, member)	{ word, offsetof(struct tab_line, member) }

static const struct flag flags[] = {
	FLAG("adopt", adopt),
	FLAG("any_storage", any_storage),
	FLAG("enable", enable),
	FLAG("readonly", readonly),
	FLAG("nofail", nofail),
	FLAG("noauto", noauto),
	FLAG("_netdev", netdev),
	FLAG("x-initrd.attach", initrd),
};

static bool set_text(struct tab *tab, struct tab_line *line, char **text,
		     const char *word, const char *value)
{
	if (!*value) {
		tab_complain(tab, line->number,
			     "option \"%s\" needs a value, but found none",
			     word);
		return false;
	}
	free(*text);
	*text = copy(value);
	return true;
}

static bool parse_value(struct tab *tab, struct tab_line *line, char *word,
			char *value)
{
	if (!strcmp(word, "size"))
		return parse_size(tab, line, value);
	if (!strcmp(word, "dm-uuid"))
		return set_text(tab, line, &line->dm_uuid, word, value);
	if (!strcmp(word, "x-systemd.device-timeout"))
		return set_text(tab, line, &line->device_timeout, word, value);
	/* As in fstab(5), these are for other programs. */
	if (!strncmp(word, "x-", 2) && strncmp(word, "x-systemd.", 10) &&
	    strncmp(word, "x-initrd.", 9))
		return true;
	tab_complain(tab, line->number,
		     "unknown option \"%s=%s\"; see bpiotab(5) for the options",
		     word, value);
	return false;
}

static bool parse_option(struct tab *tab, struct tab_line *line, char *word)
{
	char *value = strchr(word, '=');
	size_t i;

	if (value) {
		*value++ = '\0';
		return parse_value(tab, line, word, value);
	}
	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		if (strcmp(word, flags[i].name))
			continue;
		*(bool *)((char *)line + flags[i].offset) = true;
		return true;
	}
	if (!strcmp(word, "defaults") || !*word)
		return true;
	if (!strncmp(word, "x-", 2) && strncmp(word, "x-systemd.", 10) &&
	    strncmp(word, "x-initrd.", 9))
		return true;
	tab_complain(tab, line->number,
		     "unknown option \"%s\"; see bpiotab(5) for the options",
		     word);
	return false;
}

static bool check_options(struct tab *tab, const struct tab_line *line)
{
	if (line->adopt && (line->size || line->readonly))
		tab_complain(tab, line->number,
			     "option \"%s\" cannot be used with \"adopt\", which keeps what the device has",
			     line->size ? "size" : "readonly");
	else if (line->dm_uuid && !line->adopt)
		tab_complain(tab, line->number,
			     "option \"dm-uuid\" can only be used with \"adopt\"");
	else
		return true;
	return false;
}

static bool parse_options(struct tab *tab, struct tab_line *line, char *words)
{
	bool good = true;
	char *word;

	/* Parse all of them, so that all errors of the line are reported at once. */
	while ((word = strsep(&words, ",")))
		if (!parse_option(tab, line, word))
			good = false;
	return good && check_options(tab, line);
}

static void free_line(struct tab_line *line)
{
	free(line->name);
	free(line->device);
	free(line->dm_uuid);
	free(line->device_timeout);
}

static void add_line(struct tab *tab, const struct tab_line *line)
{
	tab->lines = reallocarray(tab->lines, tab->count + 1,
				  sizeof(*tab->lines));
	if (!tab->lines)
		abort();
	tab->lines[tab->count++] = *line;
}

static void parse_line(struct tab *tab, unsigned int number, char *text)
{
	char *rest = text, *name = next_word(&rest), *device, *options, *more;
	struct tab_line line = { .number = number };
	bool good;

	if (!name || *name == '#')
		return;
	device = next_word(&rest);
	options = next_word(&rest);
	more = next_word(&rest);
	if (!device || *device == '#') {
		tab_complain(tab, number,
			     "expected NAME DEVICE [OPTIONS], but found only \"%s\"",
			     name);
		return;
	}
	if (options && *options == '#')
		options = NULL;
	if (options && more && *more != '#') {
		tab_complain(tab, number,
			     "expected the end of the line after the options, but found \"%s\"; options are separated by commas without blanks",
			     more);
		return;
	}
	line.name = copy(name);
	line.device = copy(device);
	decode(line.device);
	good = check_name(tab, &line);
	good &= check_device(tab, &line);
	if (options)
		good &= parse_options(tab, &line, options);
	if (good)
		add_line(tab, &line);
	else
		free_line(&line);
}

void tab_parse(FILE *in, const char *path, struct tab *tab)
{
	unsigned int number = 0;
	char *text = NULL;
	size_t size = 0;
	ssize_t length;

	*tab = (struct tab) { .path = path };
	while ((length = getline(&text, &size, in)) >= 0) {
		number++;
		if (strlen(text) != (size_t)length) {
			tab_complain(tab, number,
				     "expected text, but found a NUL byte");
			continue;
		}
		text[strcspn(text, "\r\n")] = '\0';
		parse_line(tab, number, text);
	}
	free(text);
}

int tab_read(const char *path, struct tab *tab)
{
	FILE *in = fopen(path, "re");

	*tab = (struct tab) { .path = path };
	if (!in)
		return -errno;
	tab_parse(in, path, tab);
	fclose(in);
	return 0;
}

void tab_print_errors(const struct tab *tab)
{
	size_t i;

	for (i = 0; i < tab->error_count; i++)
		fprintf(stderr, "bpio: %s\n", tab->errors[i].sentence);
}

void tab_forget_errors(struct tab *tab)
{
	while (tab->error_count)
		free(tab->errors[--tab->error_count].sentence);
}

void tab_free(struct tab *tab)
{
	size_t i;

	for (i = 0; i < tab->count; i++)
		free_line(&tab->lines[i]);
	tab_forget_errors(tab);
	free(tab->lines);
	free(tab->errors);
	*tab = (struct tab) { .path = tab->path };
}

const struct tab_line *tab_find(const struct tab *tab, const char *name)
{
	size_t i;

	for (i = 0; i < tab->count; i++)
		if (!strcmp(tab->lines[i].name, name))
			return &tab->lines[i];
	return NULL;
}

/* As udev names its links: disk/by-TAG in lower case, and the value encoded */
static char *path_of_tag(const char *tag, const char *value)
{
	size_t size = 4 * strlen(value) + 1, i;
	char *encoded = malloc(size), *path, lower[16];

	if (!encoded)
		abort();
	if (blkid_encode_string(value, encoded, size))
		*encoded = '\0';
	for (i = 0; tag[i] && i < sizeof(lower) - 1; i++)
		lower[i] = tag[i] | 0x20;
	lower[i] = '\0';
	if (asprintf(&path, "/dev/disk/by-%s/%s", lower, encoded) < 0)
		abort();
	free(encoded);
	return path;
}

char *tab_path(const struct tab_line *line)
{
	char *tag, *value, *path;

	if (tab_tag(line, &tag, &value)) {
		path = path_of_tag(tag, value);
		free(tag);
		free(value);
		return path;
	}
	if (line->device[0] == '/')
		return copy(line->device);
	if (asprintf(&path, "/dev/%s", line->device) < 0)
		abort();
	return path;
}
