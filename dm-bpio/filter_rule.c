// SPDX-License-Identifier: GPL-2.0-only
/*
 * The objections of a filter: what tables and messages say, kept until a callback of
 * filter.c needs it. Nothing here is specific to BypassIO.
 */
#include <linux/dcache.h>
#include <linux/err.h>
#include <linux/glob.h>
#include <linux/slab.h>

#include "dm-bpio.h"
#include "filter_rule.h"

static void filter_rule_free(struct filter_rule *rule)
{
	if (!rule)
		return;
	kfree(rule->pattern);
	kfree(rule->reason);
	kfree(rule);
}

/*
 * Return: the rule; -EINVAL for an invalid errno; -ENODATA, -E2BIG or -EILSEQ for an
 * invalid reason, such as one with a quote, which the table line could not represent.
 */
static struct filter_rule *filter_rule_create(const char *pattern,
					      const char *status,
					      const char *reason)
{
	struct filter_rule *rule;
	unsigned int err;

	if (kstrtouint(status, 10, &err) || !err || err > MAX_ERRNO)
		return ERR_PTR(-EINVAL);
	if (!*reason)
		return ERR_PTR(-ENODATA);
	if (strlen(reason) > BPIO_REASON_TEXT_MAX)
		return ERR_PTR(-E2BIG);
	if (strchr(reason, '"'))
		return ERR_PTR(-EILSEQ);

	rule = kzalloc(sizeof(*rule), GFP_KERNEL);
	if (!rule)
		return ERR_PTR(-ENOMEM);
	rule->status = -(int)err;
	rule->reason = kstrdup(reason, GFP_KERNEL);
	if (pattern)
		rule->pattern = kstrdup(pattern, GFP_KERNEL);
	if (!rule->reason || (pattern && !rule->pattern)) {
		filter_rule_free(rule);
		return ERR_PTR(-ENOMEM);
	}
	return rule;
}

static bool filter_rule_matches(const struct filter_rule *rule,
				struct inode *inode)
{
	struct dentry *dentry;
	unsigned long ino;
	bool matches = false;

	if (!kstrtoul(rule->pattern, 10, &ino))
		return inode->i_ino == ino;

	dentry = d_find_alias(inode);
	if (!dentry)
		return false;
	spin_lock(&dentry->d_lock);
	matches = glob_match(rule->pattern, dentry->d_name.name);
	spin_unlock(&dentry->d_lock);
	dput(dentry);
	return matches;
}

/**
 * filter_rules_init() - begin without objections
 * @rules: the objections
 */
void filter_rules_init(struct filter_rules *rules)
{
	mutex_init(&rules->lock);
	INIT_LIST_HEAD(&rules->files);
}

/**
 * filter_rules_free() - free all objections
 * @rules: the objections, no longer in use
 */
void filter_rules_free(struct filter_rules *rules)
{
	struct filter_rule *rule, *next;

	list_for_each_entry_safe(rule, next, &rules->files, node)
		filter_rule_free(rule);
	filter_rule_free(rules->veto);
}

static void filter_rules_set_veto(struct filter_rules *rules,
				  struct filter_rule *rule)
{
	struct filter_rule *old;

	mutex_lock(&rules->lock);
	old = rules->veto;
	rules->veto = rule;
	mutex_unlock(&rules->lock);
	filter_rule_free(old);
}

static struct filter_rule *
filter_rules_find_pattern(const struct filter_rules *rules, const char *pattern)
{
	struct filter_rule *rule;

	lockdep_assert_held(&rules->lock);

	list_for_each_entry(rule, &rules->files, node)
		if (!strcmp(rule->pattern, pattern))
			return rule;
	return NULL;
}

/* Replace the rule for a pattern by @rule. Return: whether there was one. */
static bool filter_rules_replace_file(struct filter_rules *rules,
				      const char *pattern,
				      struct filter_rule *rule)
{
	struct filter_rule *old;

	mutex_lock(&rules->lock);
	old = filter_rules_find_pattern(rules, pattern);
	if (old)
		list_del(&old->node);
	if (rule)
		list_add_tail(&rule->node, &rules->files);
	mutex_unlock(&rules->lock);
	filter_rule_free(old);
	return old;
}

/**
 * filter_rules_add() - object
 * @rules: the objections
 * @pattern: the files, or NULL for the volume; replaces an objection to the same
 * @status: errno, as text
 * @reason: sentence
 *
 * Context: may sleep.
 * Return: 0 or a negative errno; filter_rules_error() has the words.
 */
int filter_rules_add(struct filter_rules *rules, const char *pattern,
		     const char *status, const char *reason)
{
	struct filter_rule *rule = filter_rule_create(pattern, status, reason);

	if (IS_ERR(rule))
		return PTR_ERR(rule);
	if (pattern)
		filter_rules_replace_file(rules, pattern, rule);
	else
		filter_rules_set_veto(rules, rule);
	return 0;
}

/**
 * filter_rules_remove_veto() - withdraw the objection to the volume, if there is one
 * @rules: the objections
 *
 * Context: may sleep.
 */
void filter_rules_remove_veto(struct filter_rules *rules)
{
	filter_rules_set_veto(rules, NULL);
}

/**
 * filter_rules_remove_file() - withdraw an objection to files
 * @rules: the objections
 * @pattern: the pattern it was added with
 *
 * Context: may sleep.
 * Return: whether there was one.
 */
bool filter_rules_remove_file(struct filter_rules *rules, const char *pattern)
{
	return filter_rules_replace_file(rules, pattern, NULL);
}

/**
 * filter_rules_find() - find the objection to a file
 * @rules: the objections
 * @inode: the file
 *
 * Context: under rules->lock; may sleep.
 * Return: the first objection that applies, or NULL.
 */
const struct filter_rule *filter_rules_find(const struct filter_rules *rules,
					    struct inode *inode)
{
	const struct filter_rule *rule;

	lockdep_assert_held(&rules->lock);

	list_for_each_entry(rule, &rules->files, node)
		if (filter_rule_matches(rule, inode))
			return rule;
	return NULL;
}

/**
 * filter_rules_error() - say why filter_rules_add() failed
 * @ret: what it returned
 *
 * Return: the words.
 */
const char *filter_rules_error(int ret)
{
	switch (ret) {
	case -EINVAL:
		return "Invalid errno, expected a number from 1 to 4095";
	case -ENODATA:
		return "A veto needs a reason";
	case -E2BIG:
		return "Reason too long, expected at most 128 bytes";
	case -EILSEQ:
		return "A reason must not hold double quotes";
	default:
		return "Cannot allocate rule";
	}
}

/**
 * filter_text_join() - join words with blanks
 * @argv: the words
 * @first: the first to join
 * @end: the one behind the last
 *
 * Context: may sleep.
 * Return: the text, for kfree(), or NULL without memory.
 */
char *filter_text_join(char **argv, unsigned int first, unsigned int end)
{
	char *text = kstrdup("", GFP_KERNEL), *more;
	unsigned int i;

	for (i = first; text && i < end; i++) {
		more = kasprintf(GFP_KERNEL, "%s%s%s", text,
				 i > first ? " " : "", argv[i]);
		kfree(text);
		text = more;
	}
	return text;
}

/**
 * filter_text_unquote() - remove the quotes, if a text begins and ends with one
 * @text: the text, which is changed
 *
 * Return: where it begins now.
 */
char *filter_text_unquote(char *text)
{
	size_t len = strlen(text);

	if (len < 2 || text[0] != '"' || text[len - 1] != '"')
		return text;
	text[len - 1] = 0;
	return text + 1;
}

/* Number of words of a reason: one, or all up to the closing quote. */
static unsigned int filter_reason_words(const struct dm_arg_set *as,
					unsigned int left)
{
	unsigned int i = 0;
	size_t len;

	if (as->argv[0][0] != '"')
		return 1;
	do {
		len = strlen(as->argv[i]);
		if (as->argv[i][len - 1] == '"' && (i || len > 1))
			return i + 1;
	} while (++i < left);
	return left;
}

/**
 * filter_rules_parse() - read "<errno> <reason>" of a table
 * @rules: the objections, to which it is added
 * @pattern: the files, or NULL for the volume
 * @as: the remaining arguments
 * @left: those of them that are options, without the errno; the reason is deducted
 * @error: set if that fails, except for lack of memory
 *
 * Context: may sleep.
 * Return: 0, -EINVAL or -ENOMEM.
 */
int filter_rules_parse(struct filter_rules *rules, const char *pattern,
		       struct dm_arg_set *as, unsigned int *left, char **error)
{
	const char *status = dm_shift_arg(as);
	unsigned int words = filter_reason_words(as, *left);
	char *text = filter_text_join(as->argv, 0, words);
	int ret;

	if (!text)
		return -ENOMEM;
	dm_consume_args(as, words);
	*left -= words;

	ret = filter_rules_add(rules, pattern, status, filter_text_unquote(text));
	if (ret)
		*error = (char *)filter_rules_error(ret);
	kfree(text);
	return !ret || ret == -ENOMEM ? ret : -EINVAL;
}

/* Number of words that filter_rule_emit() writes. */
static unsigned int filter_rule_words(const struct filter_rule *rule)
{
	unsigned int words = rule->pattern ? 4 : 3;
	const char *c;

	for (c = rule->reason; *c; c++)
		words += *c == ' ';
	return words;
}

static unsigned int filter_rule_emit(const struct filter_rule *rule,
				     char *result, unsigned int maxlen,
				     unsigned int sz)
{
	if (rule->pattern)
		DMEMIT(" file_veto %s", rule->pattern);
	else
		DMEMIT(" veto");
	DMEMIT(" %d \"%s\"", -rule->status, rule->reason);
	return sz;
}

/**
 * filter_rules_words() - count the words that filter_rules_emit() writes
 * @rules: the objections
 *
 * Context: under rules->lock.
 * Return: their number.
 */
unsigned int filter_rules_words(const struct filter_rules *rules)
{
	const struct filter_rule *rule;
	unsigned int words = rules->veto ? filter_rule_words(rules->veto) : 0;

	lockdep_assert_held(&rules->lock);

	list_for_each_entry(rule, &rules->files, node)
		words += filter_rule_words(rule);
	return words;
}

/**
 * filter_rules_emit() - write the objections as the options of a table
 * @rules: the objections
 * @result: where to
 * @maxlen: size of @result
 * @sz: bytes of it that are in use
 *
 * Context: under rules->lock.
 * Return: @sz, and what was written.
 */
unsigned int filter_rules_emit(const struct filter_rules *rules, char *result,
			       unsigned int maxlen, unsigned int sz)
{
	const struct filter_rule *rule;

	lockdep_assert_held(&rules->lock);

	if (rules->veto)
		sz = filter_rule_emit(rules->veto, result, maxlen, sz);
	list_for_each_entry(rule, &rules->files, node)
		sz = filter_rule_emit(rule, result, maxlen, sz);
	return sz;
}
