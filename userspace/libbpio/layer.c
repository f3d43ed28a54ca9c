// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * QUERY of all layers of a volume.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

/* Most stacks fit at once. */
#define ROOM_FIRST	16
/* More than the kernel ever returns. */
#define ROOM_MOST	4096

/*
 * The answer has a row for each layer. If they do not fit, try again with more room;
 * the number of layers may change in between.
 */
static int ask(int door, int fd, struct fs_bpio_stack **answer)
{
	unsigned int room = ROOM_FIRST, before = 0;
	struct fs_bpio_stack *stack;
	size_t size;
	int ret;

	for (;;) {
		size = sizeof(*stack) + room * sizeof(stack->layer[0]);
		stack = malloc(size);
		if (!stack)
			return -ENOMEM;
		ret = bpio__fsctl_sized(door, FS_BPIO_OP_QUERY,
					FS_BPIO_INFL_ALL_LAYERS, fd,
					&stack->output, size);
		/* Stop if more room brought no more rows: the kernel has a limit too */
		if ((ret && ret != -EXDEV) ||
		    stack->layers <= stack->written ||
		    stack->written == before)
			break;
		before = stack->written;
		room = stack->layers < ROOM_MOST ? stack->layers : ROOM_MOST;
		room += ROOM_FIRST;
		free(stack);
	}
	/* Do not trust the driver that answered to respect the size of the buffer. */
	if (stack->written > room)
		stack->written = room;
	*answer = stack;
	return ret;
}

static void translate(const struct bpio_layer_info *from, struct bpio_layer *to)
{
	*to = (struct bpio_layer) {
		.major = from->major,
		.minor = from->minor,
		.flags = from->flags,
		.depth = from->depth,
		.op_status = bpio__status(from->verdict.op_status),
		.reason = from->verdict.reason,
		.bypassed_reads = from->bypassed_reads,
		.paused_since = from->paused_since,
	};
	bpio__string(to->name, sizeof(to->name), from->name, from->name_len,
		     BPIO_DRIVER_NAME_MAX);
	bpio__string(to->reason_text, sizeof(to->reason_text),
		     from->verdict.failure_reason,
		     from->verdict.failure_reason_len, BPIO_REASON_TEXT_MAX);
	bpio__string(to->paused_by, sizeof(to->paused_by), from->who,
		     from->who_len, BPIO_DRIVER_NAME_MAX);
	bpio__string(to->paused_why, sizeof(to->paused_why), from->why,
		     from->why_len, BPIO_PAUSE_TEXT_MAX);
}

static int visit_all(const struct fs_bpio_stack *stack,
		     int (*visit)(const struct bpio_layer *layer, void *arg),
		     void *arg)
{
	struct bpio_layer layer;
	unsigned int i;
	int ret = 0;

	for (i = 0; !ret && i < stack->written; i++) {
		translate(&stack->layer[i], &layer);
		ret = visit(&layer, arg);
	}
	return ret;
}

int bpio__layers(int door, int fd, struct bpio_verdict *verdict,
		 int (*visit)(const struct bpio_layer *layer, void *arg),
		 void *arg)
{
	struct fs_bpio_stack *stack = NULL;
	int ret;

	ret = ask(door, fd, &stack);
	if (!ret || ret == -EXDEV)
		bpio__verdict(verdict, door, fd, &stack->output,
			      &stack->output.query);
	if (!ret)
		ret = visit_all(stack, visit, arg);
	free(stack);
	return ret;
}

int bpio_layer_foreach_on(int door, int fd, struct bpio_verdict *verdict,
			  int (*visit)(const struct bpio_layer *layer,
				       void *arg), void *arg)
{
	int ret;

	ret = bpio__check(0, 0, verdict);
	if (!ret && fd == -1)
		ret = bpio__check_volume(door);
	return ret ? ret : bpio__layers(door, fd, verdict, visit, arg);
}

int bpio_layer_foreach_fd(int fd, struct bpio_verdict *verdict,
			  int (*visit)(const struct bpio_layer *layer,
				       void *arg), void *arg)
{
	struct bpio_verdict volume = BPIO_VERDICT_INIT;
	struct route route;
	int ret;

	if (bpio__check(0, 0, verdict))
		return -EINVAL;
	ret = bpio__route(fd, &route);
	if (ret)
		return ret;
	ret = bpio__layers(route.door, route.subject,
			   route.fstype[0] ? &volume : verdict, visit, arg);
	if (!ret && route.fstype[0])
		bpio__hidden_verdict(verdict, &route, &volume);
	bpio__route_close(&route);
	return ret == -EXDEV ? -ENOTTY : ret;
}

int bpio_layer_foreach(const char *path, struct bpio_verdict *verdict,
		       int (*visit)(const struct bpio_layer *layer, void *arg),
		       void *arg)
{
	bool special;
	int fd, ret;

	if (bpio__check(0, 0, verdict))
		return -EINVAL;
	fd = bpio__open_for_query(path, verdict, &special);
	if (fd < 0)
		return fd;
	ret = bpio_layer_foreach_fd(fd, special ? NULL : verdict, visit, arg);
	close(fd);
	return ret;
}
