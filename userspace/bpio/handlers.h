/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The handlers of the verbs: each executes its verb and returns the exit status. Only
 * main.c calls them, so the tables and all that handlers share can lie below them.
 */
#ifndef BPIO_HANDLERS_H
#define BPIO_HANDLERS_H

struct command_line;
struct verb;

int verb_state(const struct command_line *line);
int verb_info(const struct command_line *line);
int verb_list(const struct command_line *line);
int verb_stack(const struct command_line *line);
int verb_pause(const struct command_line *line);
int verb_resume(const struct command_line *line);
int verb_enable(const struct command_line *line);
int verb_disable(const struct command_line *line);
int verb_adopt(const struct command_line *line);
int verb_release(const struct command_line *line);
int verb_tab(const struct command_line *line);
int verb_up(const struct command_line *line);
int verb_down(const struct command_line *line);
int verb_upgrade(const struct command_line *line);
int verb_watch(const struct command_line *line);
int verb_run(const struct command_line *line);
int verb_attach(const struct command_line *line);
int verb_detach(const struct command_line *line);
int verb_explain(const struct command_line *line);
int verb_help(const struct command_line *line);
int verb_version(const struct command_line *line);

/* The help of one verb, for --help */
int help_for_verb(const struct verb *verb);

#endif /* BPIO_HANDLERS_H */
