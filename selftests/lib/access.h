/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Change the credentials of a process, and pass descriptors to it.
 *
 * Functions return 0, a descriptor, or a negative errno.
 */
#ifndef SELFTESTS_ACCESS_H
#define SELFTESTS_ACCESS_H

#include <stdbool.h>

#define NOBODY	65534

/* Send a descriptor over a socket (SCM_RIGHTS). */
int send_fd(int socket, int fd);
int receive_fd(int socket);

/* Become nobody with one capability (CAP_*), effective and permitted. */
int become_nobody_with(int capability);

/* Enter a new user namespace, as its root. Only for a process with one thread. */
int enter_user_namespace(void);

/* Callers, for variants of a fixture. */
int stay_root(void);
int root_without_cap_sys_admin(void);
int nobody_with_cap_sys_admin(void);
int nobody_as_root_of_a_user_namespace(void);
int root_in_a_user_namespace(void);

/* Make a user namespace that maps IDs from 0 on to IDs from @first on. */
int user_namespace(unsigned int first);

/*
 * Give the calling thread, and threads that it starts, the effective ids of nobody and
 * no effective capability; or undo that for the calling thread.
 */
int thread_is_nobody(bool nobody);

#endif /* SELFTESTS_ACCESS_H */
