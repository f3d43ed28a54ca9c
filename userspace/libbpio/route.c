// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Chooses the destination of a request about an open file.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "internal.h"

/*
 * The device of a file system that shows an anonymous device number instead. 0 when
 * there is none, or it may not be opened: then the file itself is queried, and the
 * kernel returns that it is on no volume.
 */
static dev_t find_hidden(int fd, struct route *route)
{
	dev_t dev;

	if (bpio__mount_source(fd, &dev, route->fstype,
			       sizeof(route->fstype)))
		return 0;
	route->device = bpio__open_dev(dev, O_RDONLY);
	if (route->device >= 0)
		return dev;
	route->device = -1;
	route->fstype[0] = '\0';
	return 0;
}

/* Sends the request to the mapped device itself */
static int by_device(struct route *route, dev_t dev)
{
	if (route->device < 0)
		route->device = bpio__open_dev(dev, O_RDONLY);
	route->door = route->device;
	return route->door < 0 ? route->door : 0;
}

int bpio__route(int fd, struct route *route)
{
	struct stat st;

	*route = (struct route) { .subject = fd, .node = -1, .device = -1 };
	if (fstat(fd, &st))
		return -errno;
	if (S_ISBLK(st.st_mode))
		return bpio__route_device(fd, route);
	if (!major(st.st_dev) && find_hidden(fd, route))
		route->subject = route->device;
	route->node = bpio_node_open();
	if (route->node >= 0) {
		route->door = route->node;
		return 0;
	}
	if (!bpio__no_node(route->node)) {
		bpio__route_close(route);
		return route->node;
	}
	if (route->fstype[0])
		route->subject = -1;
	return by_device(route, st.st_dev);
}

int bpio__ask(int fd, unsigned int operation, struct fs_bpio_output *output)
{
	struct route route;
	int ret;

	ret = bpio__route(fd, &route);
	return ret ? ret : bpio__ask_along(&route, operation, output);
}

void bpio__hidden_verdict(struct bpio_verdict *verdict,
			  const struct route *route,
			  const struct bpio_verdict *volume)
{
	struct bpio_verdict full = *volume;

	full.support = BPIO_SUPPORT_NONE;
	full.op_status = -EOPNOTSUPP;
	full.reason = BPIO_REASON_FILE_SYSTEM;
	full.obstacle = BPIO_REASON_NONE;
	snprintf(full.driver, sizeof(full.driver), "%s", route->fstype);
	snprintf(full.reason_text, sizeof(full.reason_text), "%s",
		 bpio_reason_text(full.reason));
	bpio__give(verdict, &full, sizeof(full));
}
