// SPDX-License-Identifier: GPL-2.0-only
/*
 * json-get POINTER: print the value that a JSON pointer (RFC 6901) names in the
 * one JSON object on standard input. Fails when that is no JSON with the schema
 * number of bpio, or when there is no such value.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#define INPUT_MAX	0x100000

static struct json_object *parse(const char *text)
{
	struct json_tokener *tokener = json_tokener_new();
	struct json_object *root;
	size_t end;

	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
	root = json_tokener_parse_ex(tokener, text, strlen(text) + 1);
	end = json_tokener_get_parse_end(tokener);
	if (json_tokener_get_error(tokener) != json_tokener_success) {
		fprintf(stderr, "json-get: not JSON: %s\n",
			json_tokener_error_desc(json_tokener_get_error(tokener)));
		root = NULL;
	} else if (text[end + strspn(text + end, "\n ")]) {
		fprintf(stderr, "json-get: more than one object\n");
		root = NULL;
	}
	json_tokener_free(tokener);
	return root;
}

int main(int argc, char **argv)
{
	static char text[INPUT_MAX];
	struct json_object *root, *schema, *value;
	size_t length = fread(text, 1, sizeof(text) - 1, stdin);

	text[length] = '\0';
	if (argc != 2)
		return 2;
	root = parse(text);
	if (!root)
		return 2;
	if (json_pointer_get(root, "/schema", &schema) ||
	    json_object_get_int(schema) != 2) {
		fprintf(stderr, "json-get: no schema 2\n");
		return 2;
	}
	if (json_pointer_get(root, argv[1], &value))
		return 1;
	puts(json_object_get_string(value));
	json_object_put(root);
	return 0;
}
