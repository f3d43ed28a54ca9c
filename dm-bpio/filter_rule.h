/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef FILTER_RULE_H
#define FILTER_RULE_H

#include <linux/device-mapper.h>
#include <linux/fs.h>
#include <linux/list.h>
#include <linux/mutex.h>

/**
 * struct filter_rule - an objection
 * @node: in filter_rules.files, for an objection to files
 * @pattern: the files it applies to, or NULL for the volume
 * @status: negative errno
 * @reason: sentence
 */
struct filter_rule {
	struct list_head	node;
	char			*pattern;
	int			status;
	char			*reason;
};

/**
 * struct filter_rules - the objections of one filter
 * @lock: protects the others. Taken inside callbacks, so it must not be held during
 *	calls of dm-bpio.h.
 * @veto: objection to bypass of the volume, or NULL
 * @files: objections to files
 */
struct filter_rules {
	struct mutex		lock;	/* see above */
	struct filter_rule	*veto;
	struct list_head	files;
};

void filter_rules_init(struct filter_rules *rules);
void filter_rules_free(struct filter_rules *rules);
int filter_rules_add(struct filter_rules *rules, const char *pattern,
		     const char *status, const char *reason);
void filter_rules_remove_veto(struct filter_rules *rules);
bool filter_rules_remove_file(struct filter_rules *rules, const char *pattern);
const struct filter_rule *filter_rules_find(const struct filter_rules *rules,
					    struct inode *inode);
const char *filter_rules_error(int ret);
int filter_rules_parse(struct filter_rules *rules, const char *pattern,
		       struct dm_arg_set *as, unsigned int *left, char **error);
unsigned int filter_rules_words(const struct filter_rules *rules);
unsigned int filter_rules_emit(const struct filter_rules *rules, char *result,
			       unsigned int maxlen, unsigned int sz);

char *filter_text_join(char **argv, unsigned int first, unsigned int end);
char *filter_text_unquote(char *text);

#endif /* FILTER_RULE_H */
