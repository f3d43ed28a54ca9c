/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The answers of the layers below a path, from the kernel, joined with information
 * about them from device-mapper's tables and sysfs.
 */
#ifndef BPIO_LAYERS_H
#define BPIO_LAYERS_H

#include "bpio.h"
#include "place.h"
#include "report.h"
#include "stack.h"

/**
 * struct row - one layer
 *
 * @said: Its answer; only device number and depth, if it was not queried.
 * @asked: The kernel queried it. It cannot query layers below one that does not take
 *	part.
 * @device: Its device, from the tables; NULL without permission.
 */
struct row {
	struct bpio_layer said;
	bool asked;
	const struct layer *device;
};

/**
 * struct layers - the answer of a whole stack
 *
 * @verdict: The answer to the question about the path.
 * @rows: The layers from top to bottom.
 * @count: Number of @rows.
 * @stack: The devices, empty without permission.
 */
struct layers {
	struct bpio_verdict verdict;
	struct row *rows;
	size_t count;
	struct stack stack;
};

/* Queries @place with @fd. 0, or a negative errno as bpio_layer_foreach_fd() */
int layers_ask(const struct place *place, int fd, struct layers *layers);
void layers_free(struct layers *layers);

dev_t row_dev(const struct row *row);
/* Target type or driver */
const char *row_type(const struct row *row);
/* "agrees", "not-asked", or the word for the reason */
const char *row_verdict(const struct row *row);
/* Whether the row keeps the bypass from being full, as far as is known */
bool row_objects(const struct row *row);
/* "TYPE (NODE)"; to be freed */
char *row_name(const struct row *row);

/* The layer whose objection is the verdict, or NULL when it is none's */
const struct row *layers_objector(const struct layers *layers);

/* {"code", "token", "text"} */
struct json_object *reason_to_json(unsigned int reason, const char *text);
/* {TOKEN: NUMBER, ...} of the reasons that are counted at least once */
struct json_object *reasons_to_json(const __u64 *counts);
/* Adds "status" and, if there is one, "status_name" and "status_text" */
void status_to_json(struct json_object *json, int op_status);

/* The pauses of the layers: lines of text, and the member "pauses" */
void layers_report_pauses(struct report *report, const struct layers *layers);
/* Every objection: lines of text if @all, and the member "objections" */
void layers_report_objections(struct report *report,
			      const struct layers *layers, bool all);

struct json_object *pause_to_json(const struct bpio_layer *layer);

#endif /* BPIO_LAYERS_H */
