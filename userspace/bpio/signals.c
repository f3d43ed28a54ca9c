// SPDX-License-Identifier: GPL-2.0-only
/*
 * See signals.h.
 */
#include <signal.h>
#include <stddef.h>
#include <sys/signalfd.h>

#include "signals.h"

int signals_open(void)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	return signalfd(-1, &signals, SFD_CLOEXEC);
}
