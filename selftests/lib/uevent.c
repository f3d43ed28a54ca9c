// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "uevent.h"
#include "util.h"

/* Room for all events that arrive while a test does not read. */
#define BUFFER	(32 << 20)

int uevent_open(void)
{
	struct sockaddr_nl address = {
		.nl_family = AF_NETLINK,
		.nl_groups = 1,
	};
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC,
			NETLINK_KOBJECT_UEVENT);
	int buffer = BUFFER;

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer)) ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address))) {
		int error = errno;

		close(fd);
		return -error;
	}
	return fd;
}

static const char *value_of(const char *text, const char *name)
{
	size_t length = strlen(name);

	return !strncmp(text, name, length) && text[length] == '=' ?
	       text + length + 1 : NULL;
}

static void copy_text(const char *text, const char *name, char *to, size_t size)
{
	const char *value = value_of(text, name);

	if (value)
		snprintf(to, size, "%s", value);
}

static void copy_number(const char *text, const char *name, uint64_t *to)
{
	const char *value = value_of(text, name);

	if (value)
		*to = strtoull(value, NULL, 10);
}

static void parse_line(const char *text, struct uevent *event)
{
	const char *status = value_of(text, "BPIO_STATUS");

	copy_text(text, "BPIO_EVENT", event->name, sizeof(event->name));
	copy_text(text, "BPIO_DEVICE", event->device, sizeof(event->device));
	copy_text(text, "BPIO_LAYER", event->layer, sizeof(event->layer));
	copy_text(text, "BPIO_DRIVER", event->driver, sizeof(event->driver));
	copy_text(text, "BPIO_REASON", event->reason, sizeof(event->reason));
	copy_text(text, "BPIO_SUPPORT", event->support, sizeof(event->support));
	copy_number(text, "BPIO_INODE", &event->inode);
	copy_number(text, "BPIO_COUNT", &event->count);
	if (status)
		event->status = atoi(status);
}

/* Whether an event is of subsystem "bpio". */
static bool parse(const char *message, size_t size, struct uevent *event)
{
	const char *text;

	memset(event, 0, sizeof(*event));
	for (text = message; text < message + size; text += strlen(text) + 1)
		parse_line(text, event);
	return event->name[0];
}

int uevent_next(int socket, struct uevent *event, int timeout_ms)
{
	struct pollfd poll_fd = { .fd = socket, .events = POLLIN };
	uint64_t deadline = now_ms() + timeout_ms;
	char message[8192];
	ssize_t size;

	do {
		uint64_t now = now_ms();
		int left = now < deadline ? (int)(deadline - now) : 0;

		if (poll(&poll_fd, 1, left) <= 0)
			return -ETIMEDOUT;
		size = recv(socket, message, sizeof(message) - 1, MSG_DONTWAIT);
		if (size < 0 && errno != EAGAIN)
			return -errno;
		if (size < 0)
			size = 0;
		message[size] = '\0';
	} while (!parse(message, size, event));
	return 0;
}
