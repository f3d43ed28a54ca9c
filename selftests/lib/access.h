/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who a process is, and what it is handed.
 *
 * Functions return 0, a descriptor, or a negative errno.
 */
#ifndef SELFTESTS_ACCESS_H
#define SELFTESTS_ACCESS_H

#include <stdbool.h>

#define NOBODY	65534

/* Hand a descriptor to whoever is at the other end of a socket (SCM_RIGHTS). */
int send_fd(int socket, int fd);
int receive_fd(int socket);

/* Become nobody with one capability (CAP_*), effective and permitted. */
int become_nobody_with(int capability);

/* Enter a user namespace of its own, as its root. For one thread only. */
int enter_user_namespace(void);

/* A user namespace in which the ids from @first on of here are those from 0 on. */
int user_namespace(unsigned int first);

/*
 * Let the calling thread, and those that it starts, have nobody's effective ids
 * and no effective capability; or give them back to it alone.
 */
int thread_is_nobody(bool nobody);

#endif /* SELFTESTS_ACCESS_H */
