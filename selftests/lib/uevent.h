/* SPDX-License-Identifier: GPL-2.0-only */
/* The uevents of subsystem "bpio", received from the kernel and not from udev. */
#ifndef SELFTESTS_UEVENT_H
#define SELFTESTS_UEVENT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The variables of an event; missing numbers are 0, missing texts are empty. */
struct uevent {
	char		name[16];
	char		device[24];
	char		layer[24];
	char		driver[40];
	char		reason[160];
	char		support[16];
	uint64_t	inode;
	int		status;
	uint64_t	count;
};

/* A socket that receives the events from now on, or a negative errno. */
int uevent_open(void);

/* Get the next event within @timeout_ms. Returns 0, -ETIMEDOUT, or another errno. */
int uevent_next(int socket, struct uevent *event, int timeout_ms);

#endif /* SELFTESTS_UEVENT_H */
