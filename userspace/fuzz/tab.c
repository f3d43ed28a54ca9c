// SPDX-License-Identifier: GPL-2.0-only
/*
 * The lines of /etc/bpiotab, the names of their devices in /dev and in systemd, and the
 * links that udev's rule passes (the first line of the input).
 */
#include "../bpio/tab.c"
#include "../bpio/unit.c"

#include "../bpio/tab_device.h"
#include "fuzz.h"

static void use_line(const struct tab_line *line)
{
	char *path = tab_path(line), *tag, *value, *text;

	if (strlen(line->name) > TAB_NAME_MAX ||
	    line->name[strspn(line->name, NAME_CHARS)])
		abort();
	if (tab_tag(line, &tag, &value)) {
		touch(value);
		free(tag);
		free(value);
	}
	text = unit_device(path);
	touch(text);
	free(text);
	text = unit_instance("bpio", line->name, "service");
	if (strchr(text, '/'))
		abort();
	free(text);
	text = tab_claim_links(line);
	touch(text);
	free(text);
	free(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tab tab;
	char *links;
	FILE *in;
	size_t i;

	input_begin(data, size);
	links = input_line();
	setenv("DEVLINKS", links, 1);
	free(links);
	if (!input.left)
		return 0;
	in = fmemopen((void *)input.at, input.left, "r");
	if (!in)
		abort();
	tab_parse(in, "tab", &tab);
	fclose(in);
	for (i = 0; i < tab.count; i++)
		use_line(&tab.lines[i]);
	tab_claim(&tab);
	for (i = 0; i < tab.error_count; i++) {
		if (strncmp(tab.errors[i].sentence, "tab:", 4) ||
		    strchr(tab.errors[i].sentence, '\n'))
			abort();
		if (i && tab.errors[i].number < tab.errors[i - 1].number)
			abort();
	}
	tab_free(&tab);
	return 0;
}
